//! What must hold for any bytes whatsoever, one function for each fuzz target.
//!
//! The fuzz workspace only calls these; the corpora that it collects are replayed through them by the ordinary tests, so
//! that a finding stays found without the nightly toolchain.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::{
    Counts, Digest, FORMATS, HSA_SLOTS, MAX_ENVIRONMENT, Manifest, Query, ROW_SLOTS, SlotId, SlotRef, Switches, Table,
    TableError,
};

/// A fuzz target.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name, which is also that of its corpus' directory.
    pub name: &'static str,
    /// Panics if `data` breaks a promise.
    pub check: fn(data: &[u8]),
}

/// All targets of this crate.
pub const TARGETS: [Target; 2] = [Target { name: "shard", check: shard }, Target { name: "manifest", check: manifest }];

/// Memory of a table with a single shard, in bytes: what stands for the empty slots, and indexes that are a few times as
/// large as what they index.
fn most_memory(shard: usize) -> usize {
    (ROW_SLOTS + HSA_SLOTS) as usize * 64 + 16 * shard
}

/// Bytes that claim to be a shard, honestly named, make a table that answers every question about what is in it, or none
/// at all; either way they take no more memory than their length allows. The first two bytes are the slot.
pub fn shard(data: &[u8]) {
    let Some((slot, bytes)) = data.split_first_chunk() else { return };
    let Some(slot) = SlotId::new(u16::from_le_bytes(*slot)) else { return };
    let Ok(len) = u32::try_from(bytes.len()) else { return };
    let bytes = Bytes::copy_from_slice(bytes);
    let shard = SlotRef { digest: Digest::of(&bytes), len };
    let assemble = |counts| {
        let manifest = Manifest { slots: BTreeMap::from([(slot, shard)]), counts, ..Manifest::default() };
        Table::assemble(&manifest, None, &mut |_| Some(bytes.clone()))
    };
    let table = match assemble(Counts::default()) {
        // Whoever wrote the shard wrote the manifest too.
        Err(TableError::Counts { found, .. }) => assemble(found).expect("only the counts were wrong"),
        Err(_) => return,
        Ok(empty) => empty,
    };
    assert!(table.size() <= most_memory(bytes.len()), "{} bytes from {}", table.size(), bytes.len());
    for authorization in table.authorizations() {
        ask(&table, authorization.consumer, authorization.contract, authorization.address, "rivtabp21");
    }
    for route in table.routes() {
        ask(&table, "SE1-X", route.contract, route.address, route.profile);
        assert!(route.endpoints.into_iter().all(|endpoint| endpoint.url.len() <= bytes.len()));
    }
    for contract in table.contracts() {
        assert!(contract.urn().len() <= bytes.len());
        ask(&table, "SE1-X", contract.urn(), "SE1-A#SE1-B", "rivtabp20");
    }
}

/// Every way to ask gives an answer.
fn ask(table: &Table, consumer: &str, contract: &str, address: &str, profile: &str) {
    let query = Query { consumer, contract, address, profile, now: 1_800_000_000 };
    let switches = Switches::default();
    let _ = (table.explain(&query, &switches), table.decide_and_trail(&query, &switches));
}

/// A manifest that can be read is written as it was, names its environment in few bytes, and is the same table in every
/// other format.
pub fn manifest(data: &[u8]) {
    let Ok(manifest) = Manifest::decode(data) else { return };
    assert_eq!(manifest.encode(), data);
    assert!(manifest.environment.as_ref().is_none_or(|environment| environment.as_str().len() <= MAX_ENVIRONMENT));
    for format in FORMATS {
        let other = Manifest::decode(&manifest.encode_in(format)).expect("what can be written can be read");
        assert_eq!((other.format, other.counts, other.slots), (format, manifest.counts, manifest.slots.clone()));
    }
}
