//! Tables that no compiler of ours would write: several valid rows for one key, rows without a URL. Tables from a foreign
//! catalogue may hold them, and the dataplane must answer VP006 and VP010 then.

use std::path::Path;
use std::time::SystemTime;

use anyhow::Result;
use rivmesh_sync::disk::{Directory, Store};
use rivmesh_table::handmade::{Handmade, HandmadeAuthorization, HandmadeRoute};
use rivmesh_table::{Environment, Manifest, Table};
use serde::{Deserialize, Serialize};

/// The rows of a hand-made table.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rows {
    /// The environment that the table is for; none if it does not say.
    pub environment: Option<Environment>,
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

/// Writes the rows as the last good table into `directory`, where the dataplane looks for it. No rows, no table.
pub fn write(directory: &Path, rows: &Rows) -> Result<()> {
    if rows.routes.is_empty() && rows.grants.is_empty() {
        return Ok(());
    }
    let routes = rows.routes.iter().map(|row| HandmadeRoute {
        contract: row.contract.clone(),
        address: row.address.clone(),
        profile: row.profile.clone(),
        urls: row.url.iter().cloned().collect(),
        object: "route".to_owned(),
        ..HandmadeRoute::default()
    });
    let authorizations = rows.grants.iter().map(|row| HandmadeAuthorization {
        contract: row.contract.clone(),
        address: row.address.clone(),
        consumer: row.consumer.clone(),
        object: "grant".to_owned(),
        ..HandmadeAuthorization::default()
    });
    let handmade =
        Handmade { routes: routes.collect(), authorizations: authorizations.collect(), ..Handmade::default() };
    let (manifest, shards) = handmade.build();
    let manifest = Manifest { environment: rows.environment.clone(), ..manifest };
    let table = Table::assemble(&manifest, None, &mut |digest| shards.get(&digest).cloned())?;
    Store::new(Directory::open(directory)?).save(&table, SystemTime::now())?;
    Ok(())
}
