//! The tier with a whole cluster: the platform installed by its charts, traffic through it all the time, and then everything
//! that happens to a platform in production.

mod chain;
mod changes;
mod cluster;
mod control_plane;
mod deletion;
mod failures;
mod install;
mod operators;
mod release;
mod scaling;
mod upgrades;
mod world;

use anyhow::Result;
use serde_json::json;

pub(crate) use self::world::Parts;
use self::world::World;
use crate::suite::{Case, Tally};

/// Runs the cases whose names contain `filter`.
pub(crate) async fn run(parts: Parts, filter: &str) -> Result<Tally> {
    let cases: Vec<Case<World>> = [
        install::cases(),
        scaling::cases(),
        upgrades::cases(),
        changes::cases(),
        operators::cases(),
        control_plane::cases(),
        failures::cases(),
        deletion::cases(),
        chain::cases(),
        changes::last_cases(),
    ]
    .into_iter()
    .flatten()
    .collect();
    let world = World::start(parts).await?;
    let mut tally = Tally::default();
    world.install(&World::charts(), json!({})).await?;
    for case in cases.iter().filter(|case| case.name.contains(filter)) {
        tally.judge(case.name, beside_traffic(&world, case)).await;
    }
    Ok(tally)
}

/// Runs a case, and fails it if a call was lost meanwhile. A case that expects losses closes the account itself.
async fn beside_traffic(world: &World, case: &Case<World>) -> Result<()> {
    world.traffic().begin_account();
    if let Err(error) = (case.run)(world).await {
        println!("      {}", world.traffic().close_account().await?);
        world.restore();
        return Err(error);
    }
    let account = world.traffic().close_account().await?;
    println!("      {account}");
    account.expect_none_lost()
}
