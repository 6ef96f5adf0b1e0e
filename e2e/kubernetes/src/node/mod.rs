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
const INSTALLED: &str = "the_platform_is_installed";

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
    .filter(|case| case.name.contains(filter))
    .collect();
    let mut tally = Tally::default();
    if let Some(kubeconfig) = parts.given {
        let administrator = Administrator { programs: parts.programs, kubeconfig, home: parts.directory };
        match tutorial::missing_images(&administrator)? {
            None => drop(tally.judge(TUTORIAL, tutorial::is_followed(&administrator)).await),
            Some(missing) => tally.skip(TUTORIAL, &missing),
        }
        skip_all(&mut tally, &cases, "it does to a node what nobody may do to a cluster that is only lent");
        return Ok(tally);
    }
    let world = World::start(parts).await?;
    if TUTORIAL.contains(filter) {
        tally.judge(TUTORIAL, tutorial::is_followed(&world.cluster.administrator)).await;
    }
    let upgrade = upgrades::from_an_earlier_release();
    let earlier = world.parts.earlier.as_deref().filter(|_| upgrade.name.contains(filter));
    let (charts, tag) =
        earlier.map_or_else(|| (World::charts(), "dev"), |earlier| (earlier.join("source/charts"), "earlier"));
    if !tally.judge(INSTALLED, world.install(&charts, json!({"image": {"tag": tag}}))).await {
        skip_all(&mut tally, &cases, "the platform could not be installed");
        return Ok(tally);
    }
    if earlier.is_some() {
        tally.judge(upgrade.name, beside_traffic(&world, &upgrade)).await;
    }
    for case in cases {
        tally.judge(case.name, beside_traffic(&world, &case)).await;
    }
    Ok(tally)
}

fn skip_all(tally: &mut Tally, cases: &[Case<World>], why: &str) {
    cases.iter().for_each(|case| tally.skip(case.name, why));
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
