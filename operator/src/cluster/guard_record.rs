//! What the ConfigMap of the shrink guard says, for those who read it: replicas of the operator, and the person who has to
//! decide about a table that is held back, by `rivmesh release` or with plain `kubectl`.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use rivmesh_table::{Counts, Digest};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::guard::{Baseline, Held};

/// The annotation that releases a held table: its digest.
pub const RELEASE: &str = "rivmesh.io/release";
/// What the names of these ConfigMaps end with.
pub const SUFFIX: &str = "-baseline";
/// The key of the table that shrinking is measured against.
pub(crate) const BASELINE: &str = "baseline.json";
/// The key of the table that is held back; not there while none is.
pub(crate) const HELD: &str = "held.json";

/// The name of the ConfigMap of the operator `name`.
pub fn config_map_name(name: &str) -> String {
    format!("{name}{SUFFIX}")
}

/// Everything that the ConfigMap says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Record {
    /// What shrinking is measured against: a table with as many rows as the one in force, and what those shortly before
    /// it had.
    pub baseline: Option<Baseline>,
    /// The table that is held back, if one is.
    pub hold: Option<Hold>,
    /// The release that the operator has not taken up yet, if there is one: the digest that somebody wrote.
    pub release: Option<String>,
}

/// A table that is held back, as it is written down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hold {
    /// Its digest: what a release must name.
    pub digest: Digest,
    /// Since when tables have been held back without a break. Changes since then wait.
    pub since: Timestamp,
    /// What it holds.
    pub counts: Counts,
    /// Objects that are gone, the first few, as `RoutingEntry tak/hospital`. An operator that was started later does not
    /// know them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gone: Vec<String>,
    /// How many objects are known to be gone in all.
    #[serde(default)]
    pub gone_in_all: usize,
}

impl Hold {
    /// The record of a table that is held since then.
    pub(crate) fn new(held: &Held, since: Timestamp) -> Self {
        Self {
            digest: held.digest,
            since,
            counts: held.counts,
            gone: held.gone.iter().map(|id| format!("{} {id}", id.kind)).collect(),
            gone_in_all: held.gone_in_all,
        }
    }
}

impl Record {
    /// Reads a ConfigMap.
    ///
    /// # Errors
    /// The sentence that names the key that cannot be read, and what to do.
    pub fn of(config_map: &ConfigMap) -> Result<Self, String> {
        Ok(Self {
            baseline: baseline_in(config_map)?,
            hold: hold_in(config_map)?,
            release: release_in(config_map).map(str::to_owned),
        })
    }
}

pub(crate) fn baseline_in(config_map: &ConfigMap) -> Result<Option<Baseline>, String> {
    read(config_map, BASELINE, "delete the key only if the catalogue is known to be whole")
}

pub(crate) fn hold_in(config_map: &ConfigMap) -> Result<Option<Hold>, String> {
    read(config_map, HELD, "an operator of another version may have written it")
}

pub(crate) fn release_in(config_map: &ConfigMap) -> Option<&str> {
    config_map.metadata.annotations.as_ref()?.get(RELEASE).map(String::as_str)
}

fn read<T: DeserializeOwned>(config_map: &ConfigMap, key: &str, hint: &str) -> Result<Option<T>, String> {
    let Some(text) = config_map.data.as_ref().and_then(|data| data.get(key)) else { return Ok(None) };
    serde_json::from_str(text).map(Some).map_err(|error| {
        let name = config_map.metadata.name.as_deref().unwrap_or_default();
        format!("{key} in ConfigMap {name} cannot be read ({error}); {hint}")
    })
}
