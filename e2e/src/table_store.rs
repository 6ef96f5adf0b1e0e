//! Tables that no compiler of ours would write: several valid rows for one key, rows without a URL. Tables from a foreign
//! catalogue may hold them, and the dataplane must answer VP006 and VP010 then.

use std::path::Path;

use anyhow::Result;
use serde::{Deserialize, Serialize};

/// The rows of a hand-made table.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rows {
    /// Routes.
    pub routes: Vec<RouteRow>,
    /// Authorisations.
    pub grants: Vec<GrantRow>,
}

/// A route.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteRow {
    /// Contract.
    pub contract: String,
    /// Logical address.
    pub address: String,
    /// Profile.
    pub profile: String,
    /// The producer's URL; none for a row without one.
    pub url: Option<String>,
}

/// An authorisation.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GrantRow {
    /// Contract.
    pub contract: String,
    /// Logical address.
    pub address: String,
    /// Consumer.
    pub consumer: String,
}

/// Writes the rows as the last good table into `directory`.
pub fn write(directory: &Path, rows: &Rows) -> Result<()> {
    let _ = (directory, rows);
    anyhow::bail!("hand-made tables are not written yet")
}
