//! The work between the last shard of a manifest and a table that can serve: unpack, verify, assemble. It is pure and
//! takes up to a second for a million rows, so the machine hands it out and its owner runs it where no call waits.

use std::collections::HashMap;

use bytes::Bytes;
use rivmesh_table::{Digest, Manifest, SlotId, Table, TableError};

use crate::background::give_way;
use crate::{convert, limits, patch, wire};

/// Why a table was refused. The one before it goes on serving.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("table {digest} refused{}: {reason}", place(*slot, *row))]
pub struct Refusal {
    /// The refused manifest.
    pub digest: Digest,
    /// The slot at fault, if one was.
    pub slot: Option<SlotId>,
    /// The row at fault within that slot's shard, if one was.
    pub row: Option<u32>,
    /// One sentence.
    pub reason: String,
}

fn place(slot: Option<SlotId>, row: Option<u32>) -> String {
    match (slot, row) {
        (Some(slot), Some(row)) => format!(" at slot {slot}, row {row}"),
        (Some(slot), None) => format!(" at slot {slot}"),
        _ => String::new(),
    }
}

impl Refusal {
    pub(crate) fn whole(digest: Digest, reason: impl Into<String>) -> Self {
        Self { digest, slot: None, row: None, reason: reason.into() }
    }

    pub(crate) fn to_wire(&self) -> wire::Rejected {
        wire::Rejected {
            digest: convert::to_wire(self.digest),
            slot: self.slot.map(|slot| u32::from(slot.number())),
            row: self.row,
            reason: convert::printable(&self.reason, limits::MAX_REASON),
        }
    }
}

/// A manifest and the packed shards that came for it.
#[derive(Debug)]
pub struct Transfer {
    pub(crate) epoch: u64,
    pub(crate) digest: Digest,
    pub(crate) manifest: Manifest,
    pub(crate) parcels: Vec<Parcel>,
}

/// One packed shard.
#[derive(Debug)]
pub(crate) struct Parcel {
    pub(crate) slot: SlotId,
    pub(crate) digest: Digest,
    pub(crate) based: bool,
    pub(crate) data: Bytes,
}

impl Transfer {
    /// The manifest's epoch: the operator's count, for people.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The manifest's digest.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The table that the manifest describes. `current` is the one that the transfer began from.
    ///
    /// # Errors
    /// When any shard does not unpack, is not what the manifest names, or does not hold what a shard must hold.
    pub fn assemble(&self, current: &Table) -> Result<Table, Refusal> {
        let mut unpacked = HashMap::with_capacity(self.parcels.len());
        for parcel in &self.parcels {
            give_way();
            unpacked.insert(parcel.digest, self.unpack(parcel, current)?);
        }
        let table = Table::assemble(&self.manifest, Some(current), &mut |digest| unpacked.get(&digest).cloned());
        table.map_err(|error| self.refuse(&error))
    }

    fn unpack(&self, parcel: &Parcel, current: &Table) -> Result<Bytes, Refusal> {
        let refuse = |reason: String| Refusal { digest: self.digest, slot: Some(parcel.slot), row: None, reason };
        let base: Option<&[u8]> = parcel.based.then(|| current.shard(parcel.slot)).flatten().map(AsRef::as_ref);
        let length = self.manifest.slots.get(&parcel.slot).map_or(0, |shard| shard.len as usize);
        patch::unpack(&parcel.data, base, length).map(Bytes::from).map_err(|error| refuse(error.to_string()))
    }

    fn refuse(&self, error: &TableError) -> Refusal {
        let (slot, row) = match error {
            TableError::Content { slot, fault } => (Some(*slot), fault.row),
            TableError::Missing { slot, .. } | TableError::Length { slot, .. } | TableError::Digest { slot, .. } => {
                (Some(*slot), None)
            }
            TableError::Format(_) | TableError::Counts { .. } => (None, None),
        };
        let error = error.to_string();
        // The refusal names the slot itself.
        let place = slot.map_or_else(String::new, |slot| format!("slot {slot}: "));
        let reason = error.strip_prefix(&place).unwrap_or(&error).to_owned();
        Refusal { digest: self.digest, slot, row, reason }
    }
}
