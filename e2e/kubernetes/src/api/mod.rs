//! The tier with a real API server and no node: what the definitions refuse, how the operator watches, judges, writes,
//! leads, trusts and guards, and what becomes of it when the API server, etcd or a replica fails.

mod guard;
mod lease;
mod outage;
pub(crate) mod processes;
mod scale;
mod schema;
mod status;
mod trust;
mod watch;
pub(crate) mod world;

use std::path::Path;

use anyhow::Result;

use self::world::World;
use crate::suite::{Case, Tally};

/// Runs the cases whose names contain `filter`.
pub(crate) async fn run(programs: &Path, filter: &str) -> Result<Tally> {
    let cases: Vec<Case<World>> = [
        schema::cases(),
        status::cases(),
        watch::cases(),
        trust::cases(),
        lease::cases(),
        guard::cases(),
        outage::cases(),
        scale::cases(),
    ]
    .into_iter()
    .flatten()
    .collect();
    let world = World::start(programs).await?;
    let mut tally = Tally::default();
    for case in cases.iter().filter(|case| case.name.contains(filter)) {
        tally.judge(case.name, (case.run)(&world)).await;
    }
    Ok(tally)
}
