//! Where things lie and what they are called: slots (fixed places that a hash picks) and digests (names of contents).
//! Addresses that differ in their last two characters only share a slot, because objects of one organisation change
//! together and should ship together; `*` rows are spread by contract.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::fold;

/// How many slots hold routes and authorisations.
pub const ROW_SLOTS: u16 = 1024;
/// How many slots hold the HSA tree.
pub const HSA_SLOTS: u16 = 256;

const FIRST_HSA: u16 = ROW_SLOTS;
const SETTINGS: u16 = FIRST_HSA + HSA_SLOTS;

/// A fixed place in the table that holds at most one shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct SlotId(u16);

/// What kind of shard lies in a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlotContent {
    /// Routes and authorisations.
    Rows,
    /// Units of the HSA tree.
    Hsa,
    /// Settings of every contract.
    Settings,
}

impl SlotId {
    /// The one slot with the settings of all contracts.
    pub const SETTINGS: Self = Self(SETTINGS);

    /// The slot with this number, if there is one.
    pub fn new(number: u16) -> Option<Self> {
        (number <= SETTINGS).then_some(Self(number))
    }

    /// Every slot, in order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..=SETTINGS).map(Self)
    }

    /// The slot's number.
    pub fn number(self) -> u16 {
        self.0
    }

    /// What lies here.
    pub fn content(self) -> SlotContent {
        match self.0 {
            0..FIRST_HSA => SlotContent::Rows,
            FIRST_HSA..SETTINGS => SlotContent::Hsa,
            _ => SlotContent::Settings,
        }
    }

    /// The slot of the rows for `address` and `contract`.
    pub(crate) fn of_rows(address: &str, contract_hash: u64) -> Self {
        let hash = if address == crate::DEFAULT_ADDRESS { contract_hash } else { hash_of_neighbours(address) };
        Self((hash % u64::from(ROW_SLOTS)) as u16)
    }

    /// The slot of the HSA unit `id`.
    pub(crate) fn of_unit(id: &str) -> Self {
        Self(FIRST_HSA + (hash_of_neighbours(id) % u64::from(HSA_SLOTS)) as u16)
    }

    pub(crate) fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// Ids that lie together (all but the last two bytes equal) have one hash.
fn hash_of_neighbours(id: &str) -> u64 {
    fold::hash(&id.as_bytes()[..id.len().saturating_sub(2)])
}

impl TryFrom<u16> for SlotId {
    type Error = String;

    fn try_from(number: u16) -> Result<Self, String> {
        Self::new(number).ok_or_else(|| format!("there is no slot {number}; the last one is {SETTINGS}"))
    }
}

impl From<SlotId> for u16 {
    fn from(slot: SlotId) -> Self {
        slot.0
    }
}

impl fmt::Display for SlotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The name of some canonical bytes: their BLAKE3 hash, first 16 bytes. Shown as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Digest([u8; 16]);

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        let mut digest = [0; 16];
        digest.copy_from_slice(&blake3::hash(bytes).as_bytes()[..16]);
        Self(digest)
    }

    /// The digest whose 16 bytes these are.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl std::str::FromStr for Digest {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' is not a digest: write its 32 hexadecimal digits");
        if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        u128::from_str_radix(text, 16).map(|value| Self(value.to_be_bytes())).map_err(|_| wrong())
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_share_a_slot_and_star_is_spread_by_contract() {
        let slot = |address| SlotId::of_rows(address, 7);
        assert_eq!(slot("SE2321000131-E000000000001"), slot("se2321000131-e000000000099"));
        assert_ne!(slot("SE2321000131-E000000000001"), slot("SE2321000131-E000000000101"));
        assert_eq!(slot("*").number(), 7);
        assert_eq!(slot("SE"), slot("X"), "short ids have nothing left to hash");
    }

    #[test]
    fn digests_are_read_as_they_are_shown() {
        let digest = Digest::of(b"rows");
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert!("+0000000000000000000000000000000".parse::<Digest>().is_err());
    }
}
