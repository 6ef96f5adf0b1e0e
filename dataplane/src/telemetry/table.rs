//! What log, metrics and `/status` tell about the routing table in use.

use super::hex::HexText;
use std::fmt;
use std::time::SystemTime;

/// Where the table in use came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableSource {
    /// Pushed by a control plane.
    Operator,
    /// The last good table, from this machine's disk.
    Disk,
    /// Compiled in this process or given by hand.
    Local,
}

impl TableSource {
    /// The name that log, metrics and `/status` use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Disk => "disk",
            Self::Local => "local",
        }
    }
}

/// How many rows of each sort a table has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RowCounts {
    /// (contract, address, profile) with a producer.
    pub routes: u64,
    /// (contract, address, consumer) that may call.
    pub authorizations: u64,
    /// Contracts with settings of their own.
    pub contracts: u64,
    /// Units of the HSA tree.
    pub hsa_units: u64,
}

/// A table that has been installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableInfo {
    /// The version: the digest of the manifest.
    pub digest: [u8; 16],
    /// The control plane's running number of the manifest; 0 where there is none.
    pub epoch: u64,
    /// Where it came from.
    pub source: TableSource,
    /// How much it holds.
    pub rows: RowCounts,
    /// When this process began to use it.
    pub installed: SystemTime,
}

/// A digest as 32 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hex(pub [u8; 16]);

impl fmt::Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HexText::of(&self.0).as_str())
    }
}
