//! The manifest: which shard lies in which slot. One manifest is one epoch of the whole table, and its digest is the
//! table's version: two tables with the same manifest digest are the same table.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::codec::bytes::{Malformed, Reader, Writer};
use crate::{Digest, FORMAT, Kind, SlotId};

const MAGIC: [u8; 4] = *b"RVMM";

/// Lists the shards of one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Format number of the shards.
    pub format: u32,
    /// The slots that are not empty.
    pub slots: BTreeMap<SlotId, SlotRef>,
    /// What the shards hold together.
    pub counts: Counts,
}

/// The shard in a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SlotRef {
    /// Digest of the shard's bytes.
    pub digest: Digest,
    /// Length of the shard in bytes, uncompressed.
    pub len: u32,
}

/// How much a table holds; what the shrink guard compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Rows for routing: (contract, address, profile, period).
    pub routes: u64,
    /// Rows for authorisation: (contract, address, consumer, object).
    pub authorizations: u64,
    /// Contracts with settings.
    pub contracts: u64,
    /// Units of the HSA tree.
    pub hsa_units: u64,
}

impl Counts {
    /// The rows that objects of this kind gave.
    pub fn of(&self, kind: Kind) -> u64 {
        match kind {
            Kind::RoutingEntry => self.routes,
            Kind::CallAuthorization => self.authorizations,
            Kind::ServiceContract => self.contracts,
        }
    }
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.routes += other.routes;
        self.authorizations += other.authorizations;
        self.contracts += other.contracts;
        self.hsa_units += other.hsa_units;
    }
}

impl Default for Manifest {
    fn default() -> Self {
        Self { format: FORMAT, slots: BTreeMap::new(), counts: Counts::default() }
    }
}

impl Manifest {
    /// The digest of the canonical bytes: the version of the table.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.encode())
    }

    /// The canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new(MAGIC);
        out.u32(self.format);
        for count in [self.counts.routes, self.counts.authorizations, self.counts.contracts, self.counts.hsa_units] {
            out.u64(count);
        }
        out.len(self.slots.len());
        for (slot, shard) in &self.slots {
            out.u32(u32::from(slot.number()));
            out.u32(shard.len);
            out.bytes(shard.digest.as_bytes());
        }
        out.finish()
    }

    /// Reads canonical bytes.
    ///
    /// # Errors
    /// When the bytes are not exactly what [`Manifest::encode`] gives for some manifest. The format number is not
    /// judged here: [`crate::Table::assemble`] does that.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut input = Reader::new(bytes, MAGIC)?;
        let format = input.u32("format")?;
        let counts = Counts {
            routes: input.u64("counts")?,
            authorizations: input.u64("counts")?,
            contracts: input.u64("counts")?,
            hsa_units: input.u64("counts")?,
        };
        let mut slots = BTreeMap::new();
        for row in 0..input.len("slots", 24)? {
            let wrong = |reason| Malformed::row("slots", row, reason);
            let number = input.u32("slots")?;
            let slot = u16::try_from(number).ok().and_then(SlotId::new).ok_or_else(|| wrong("no such slot"))?;
            let len = input.u32("slots")?;
            let digest = Digest::from_bytes(input.array("slots")?);
            if slots.last_key_value().is_some_and(|(last, _)| *last >= slot) {
                return Err(wrong("slots are not in ascending order"));
            }
            slots.insert(slot, SlotRef { digest, len });
        }
        input.end()?;
        Ok(Self { format, slots, counts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Manifest {
        let mut manifest = Manifest::default();
        manifest.counts.routes = 7;
        for number in [0, 3, 1280] {
            let slot = SlotId::new(number).expect("exists");
            manifest.slots.insert(slot, SlotRef { digest: Digest::of(&number.to_le_bytes()), len: 9 });
        }
        manifest
    }

    #[test]
    fn round_trip() {
        assert_eq!(Manifest::decode(&sample().encode()), Ok(sample()));
    }

    #[test]
    fn every_truncation_and_every_extra_byte_is_refused() {
        let bytes = sample().encode();
        for end in 0..bytes.len() {
            assert!(Manifest::decode(&bytes[..end]).is_err(), "{end}");
        }
        assert!(Manifest::decode(&[bytes, vec![0]].concat()).is_err());
    }
}
