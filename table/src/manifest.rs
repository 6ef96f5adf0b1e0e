//! The manifest: which shard lies in which slot. One manifest is one epoch of the whole table, and its digest is the
//! table's version: two tables with the same manifest digest are the same table.
//!
//! It is written in more than one format, so that programs of different versions can speak during an upgrade. One table
//! then has a digest in each of them, while its shards are the same.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::codec::bytes::{Malformed, Reader, Writer};
use crate::{Digest, Environment, FORMAT, FORMATS, Kind, OLDEST_FORMAT, SlotId};

const MAGIC: [u8; 4] = *b"RVMM";
/// The format from which on a manifest names its environment.
const WITH_ENVIRONMENT: u32 = 2;

/// Lists the shards of one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Number of the format that it is written in.
    pub format: u32,
    /// The environment that the table is for. None in format 1, and where environments are not told apart.
    pub environment: Option<Environment>,
    /// The slots that are not empty.
    pub slots: BTreeMap<SlotId, SlotRef>,
    /// What the shards hold together.
    pub counts: Counts,
}

/// A manifest is of a format that this program does not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the table has format {0}, and this program reads {OLDEST_FORMAT} to {FORMAT}: upgrade {who}",
    who = older(*.0)
)]
pub struct UnknownFormat(pub u32);

fn older(format: u32) -> &'static str {
    if format > FORMAT { "this program" } else { "the operator that wrote it" }
}

impl UnknownFormat {
    /// Judges a format number.
    ///
    /// # Errors
    /// When this program does not read that format.
    pub fn check(format: u32) -> Result<(), Self> {
        if FORMATS.contains(&format) { Ok(()) } else { Err(Self(format)) }
    }
}

/// Why bytes are not a manifest that this program reads.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Its format is unknown, so the rest was not read.
    #[error(transparent)]
    Format(#[from] UnknownFormat),
    /// It is not written as its format demands.
    #[error(transparent)]
    Malformed(#[from] Malformed),
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
        Self { format: FORMAT, environment: None, slots: BTreeMap::new(), counts: Counts::default() }
    }
}

impl Manifest {
    /// The digest of the canonical bytes: the version of the table.
    pub fn digest(&self) -> Digest {
        self.digest_in(self.format)
    }

    /// The version of the table by the name that it has in another format.
    pub fn digest_in(&self, format: u32) -> Digest {
        Digest::of(&self.encode_in(format))
    }

    /// The canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        self.encode_in(self.format)
    }

    /// The canonical bytes in another of [`FORMATS`]. Format 1 has no place for the environment.
    pub fn encode_in(&self, format: u32) -> Vec<u8> {
        let mut out = Writer::new(MAGIC);
        out.u32(format);
        if format >= WITH_ENVIRONMENT {
            let environment = self.environment.as_ref().map_or("", Environment::as_str);
            out.len(environment.len());
            out.bytes(environment.as_bytes());
        }
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

    /// Reads canonical bytes of any of [`FORMATS`].
    ///
    /// # Errors
    /// When the format is another one, or the bytes are not exactly what [`Manifest::encode`] gives for some manifest.
    pub fn decode(bytes: &[u8]) -> Result<Self, ManifestError> {
        let mut input = Reader::new(bytes, MAGIC)?;
        let format = input.u32("format")?;
        UnknownFormat::check(format)?;
        let environment = if format >= WITH_ENVIRONMENT { environment(&mut input)? } else { None };
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
                return Err(wrong("slots are not in ascending order").into());
            }
            slots.insert(slot, SlotRef { digest, len });
        }
        input.end()?;
        Ok(Self { format, environment, slots, counts })
    }
}

/// Reads the name of an environment, which may be none.
fn environment(input: &mut Reader<'_>) -> Result<Option<Environment>, Malformed> {
    const SECTION: &str = "environment";
    let length = input.len(SECTION, 1)?;
    let name = input.text(SECTION, length)?;
    if name.is_empty() {
        return Ok(None);
    }
    name.parse().map(Some).map_err(|_| Malformed::section(SECTION, "is not the name of an environment"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(format: u32) -> Manifest {
        let environment = (format >= WITH_ENVIRONMENT).then(|| "production".parse().expect("a name"));
        let mut manifest = Manifest { format, environment, ..Manifest::default() };
        manifest.counts.routes = 7;
        for number in [0, 3, 1280] {
            let slot = SlotId::new(number).expect("exists");
            manifest.slots.insert(slot, SlotRef { digest: Digest::of(&number.to_le_bytes()), len: 9 });
        }
        manifest
    }

    /// Counts, how many slots, and one slot: what all formats have in common.
    const REST: &[u8] = b"\x07\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0\x0b\0\0\0\0\0\0\0\
        \x01\0\0\0\
        \x00\x05\0\0\x09\0\0\0\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f";

    #[test]
    fn the_bytes_of_each_format_never_change() {
        let digest = Digest::from_bytes(std::array::from_fn(|index| 0x10 + index as u8));
        let manifest = Manifest {
            format: FORMAT,
            environment: Some("production".parse().expect("a name")),
            slots: BTreeMap::from([(SlotId::new(1280).expect("exists"), SlotRef { digest, len: 9 })]),
            counts: Counts { routes: 7, authorizations: 5, contracts: 2, hsa_units: 11 },
        };
        let golden: [(u32, &[u8]); 2] = [(1, b"RVMM\x01\0\0\0"), (2, b"RVMM\x02\0\0\0\x0a\0\0\0production")];
        assert_eq!(golden.map(|(format, _)| format), [OLDEST_FORMAT, FORMAT], "every format has its golden bytes");
        for (format, head) in golden {
            assert_eq!(manifest.encode_in(format), [head, REST].concat(), "format {format}");
        }
        assert_eq!(manifest.digest_in(1).to_string(), "68924d38be5f12d6825248075a3e21f0");
        assert_eq!(manifest.digest_in(2).to_string(), "40d62849acdc0e9fb9f0ddaa1e43519b");
    }

    #[test]
    fn what_the_version_with_format_1_alone_wrote_is_read() {
        let written = include_bytes!("../../fuzz/corpus/manifest/several");
        let manifest = Manifest::decode(written).expect("it was good then");
        assert_eq!((manifest.format, manifest.environment.as_ref(), manifest.slots.len()), (1, None, 5));
        assert_eq!(manifest.encode(), written);
    }

    #[test]
    fn round_trip() {
        for format in FORMATS {
            let manifest = sample(format);
            assert_eq!(Manifest::decode(&manifest.encode()), Ok(manifest.clone()), "format {format}");
            assert_eq!(manifest.digest(), Digest::of(&manifest.encode()));
        }
        let nameless = Manifest { environment: None, ..sample(2) };
        assert_eq!(Manifest::decode(&nameless.encode()), Ok(nameless));
    }

    #[test]
    fn one_table_has_a_name_in_each_format_and_another_one_in_each_environment() {
        let manifest = sample(FORMAT);
        assert_eq!(manifest.digest_in(1), sample(1).digest());
        assert_ne!(manifest.digest_in(1), manifest.digest());
        let elsewhere = Manifest { environment: Some("test".parse().expect("a name")), ..manifest.clone() };
        assert_ne!(elsewhere.digest(), manifest.digest());
        assert_eq!(elsewhere.digest_in(1), manifest.digest_in(1), "format 1 cannot tell them apart");
    }

    #[test]
    fn every_truncation_and_every_extra_byte_is_refused() {
        for bytes in FORMATS.map(|format| sample(format).encode()) {
            for end in 0..bytes.len() {
                assert!(Manifest::decode(&bytes[..end]).is_err(), "{end}");
            }
            assert!(Manifest::decode(&[bytes, vec![0]].concat()).is_err());
        }
    }

    #[test]
    fn an_unknown_format_is_named_whatever_follows_and_whoever_is_older_is_to_be_upgraded() {
        for (format, who) in [(0, "upgrade the operator"), (3, "upgrade this program"), (u32::MAX, "this program")] {
            let bytes = [&MAGIC[..], &format.to_le_bytes(), b"whatever a later version may write"].concat();
            let error = Manifest::decode(&bytes).expect_err("unknown");
            assert_eq!(error, ManifestError::Format(UnknownFormat(format)));
            let words = error.to_string();
            assert!(words.contains(&format!("format {format}, and this program reads 1 to 2")), "{words}");
            assert!(words.contains(who), "{words}");
        }
    }

    #[test]
    fn what_is_no_name_of_an_environment_is_refused() {
        let bytes = |length: u32, name: &[u8]| [b"RVMM\x02\0\0\0", &length.to_le_bytes()[..], name, REST].concat();
        let refusal = |length: usize, name: &[u8]| {
            let error = Manifest::decode(&bytes(length as u32, name)).expect_err("no name");
            error.to_string()
        };
        assert!(Manifest::decode(&bytes(4, b"test")).is_ok());
        let long = [b'x'; 64];
        for name in [&b"te\nst"[..], b" test", &long, &[b'x'; 4096]] {
            assert_eq!(refusal(name.len(), name), "environment: is not the name of an environment");
        }
        assert_eq!(refusal(2, b"\xc3\x28"), "environment: is not UTF-8");
        assert_eq!(refusal(u32::MAX as usize, b"x"), "environment: claims more items than there are bytes left");
    }
}
