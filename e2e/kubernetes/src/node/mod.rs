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
mod tutorial;
mod upgrades;
mod world;

use anyhow::Result;
use serde_json::json;

pub(crate) use self::world::Parts;
use self::world::World;
use crate::command::Administrator;
use crate::suite::{Case, Tally};

const TUTORIAL: &str = "the_tutorial_is_followed";
const ONLY_TUTORIAL: &str = "In a cluster that is given, only the tutorial is followed. Its nodes need the images that lie in \
    target/images/tutorial; the page tells how.";

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
    let mut tally = Tally::default();
    if let Some(kubeconfig) = parts.given.clone() {
        let administrator = Administrator { programs: parts.programs, kubeconfig, home: parts.directory };
        println!("{ONLY_TUTORIAL}");
        tally.judge(TUTORIAL, tutorial::is_followed(&administrator)).await;
        for case in cases {
            tally.skip(case.name, "it does to a node what nobody may do to a cluster that is only lent");
        }
        return Ok(tally);
    }
    let world = World::start(parts).await?;
    if TUTORIAL.contains(filter) {
        tally.judge(TUTORIAL, tutorial::is_followed(&world.cluster.administrator)).await;
    }
    let upgrade = upgrades::from_an_earlier_release();
    match world.parts.earlier.as_deref().filter(|_| upgrade.name.contains(filter)) {
        Some(earlier) => {
            world.install(&earlier.join("source/charts"), json!({"image": {"tag": "earlier"}})).await?;
            tally.judge(upgrade.name, beside_traffic(&world, &upgrade)).await;
        }
        None => world.install(&World::charts(), json!({})).await?,
    }
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
