//! Too much is deleted at once: the shrink guard holds through a restart of every operator, and a person decides.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rivmesh_crds::{ConditionType, Kind};

use super::release::{Half, admin_of, is_ready, metric_of};
use super::world::World;
use crate::admin;
use crate::objects::route;
use crate::suite::{Case, PATIENCE, cases, until};
use crate::traffic::{Call, call_once};

pub(super) fn cases() -> Vec<Case<World>> {
    cases![a_kind_is_deleted_and_all_operators_are_restarted]
}

/// Objects with so many rows that nobody loses them by and by.
const MANY: [&str; 2] = ["many-a", "many-b"];

async fn a_kind_is_deleted_and_all_operators_are_restarted(world: &World) -> Result<()> {
    let region = &world.region;
    apply_many(world).await?;
    region.kubectl(&["delete", "routingentry", "--all"])?;
    until_held(world).await?;
    until("an event says so", PATIENCE, async || {
        let events = region.kubectl(&["events", "--for", "configmap/rivmesh-baseline"])?;
        ensure!(events.contains("TableHeld"), "the events are:\n{events}");
        Ok(())
    })
    .await?;

    // The new operators find an almost empty catalogue, and must not take it for the truth.
    region.kubectl(&["delete", "pod", "-l", "app.kubernetes.io/component=operator", "--wait=false"])?;
    let why = until_held(world).await?;
    println!("      {why}");
    for pod in region.pods(Half::Operator).await? {
        ensure!(!is_ready(&pod), "{:?} is ready without a table to serve", pod.metadata.name);
    }
    let so_far = world.traffic().answered();
    until("500 calls while everything is deleted", PATIENCE, async || {
        let more = world.traffic().answered() - so_far;
        ensure!(more >= 500, "there were {more}");
        Ok(())
    })
    .await?;

    // What is in Git is applied again; nothing has to be released.
    world.route_to("one").await?;
    apply_many(world).await?;
    region.until_pods(Half::Operator, 2, Duration::from_secs(60)).await?;

    // This time it is meant.
    region.kubectl(&["delete", "routingentry", MANY[0], MANY[1]])?;
    until_held(world).await?;
    release(world).await?;
    let call = Call { address: format!("SE1-{}-7", MANY[0]), expected: vec!["two"] };
    let (target, consumer) = (region.consumers().await?, world.consumer()?);
    until("the deleted addresses are unknown", PATIENCE, async || {
        let failure = call_once(target, &consumer, &call, 1, None).await.err().context("it is still routed")?;
        ensure!(failure.what.contains("VP004"), "{}", failure.what);
        Ok(())
    })
    .await?;
    world.changes_are_programmed(PATIENCE).await
}

async fn apply_many(world: &World) -> Result<()> {
    for name in MANY {
        let addresses: Vec<String> = (0..300).map(|number| format!("SE1-{name}-{number}")).collect();
        let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
        world.region.apply(&route(name, &addresses, &world.two.url("/thing"))).await?;
    }
    for name in MANY {
        world.region.until_true(Kind::RoutingEntry, name, ConditionType::Programmed).await?;
    }
    Ok(())
}

/// Waits until every operator holds its table; what the first says of it.
pub(super) async fn until_held(world: &World) -> Result<String> {
    until("all operators hold their table", Duration::from_secs(60), async || {
        let pods = world.region.pods(Half::Operator).await?;
        ensure!(pods.len() == 2, "there are {} operators", pods.len());
        let mut why = Vec::new();
        for pod in &pods {
            let held = metric_of(pod, "rivmesh_operator_table_held", "")?;
            ensure!(held > 0.5, "{:?} does not", pod.metadata.name);
            let status = admin::status(admin_of(pod)?)?;
            why.push(status["held"].as_str().context("the status says why")?.to_owned());
        }
        Ok(why.swap_remove(0))
    })
    .await
}

/// Does what the operators say releases the held table, and waits until nothing is held.
pub(super) async fn release(world: &World) -> Result<()> {
    let why = until_held(world).await?;
    let command = why.split("release it: ").nth(1).context("the message says how")?;
    let arguments: Vec<&str> = command.split_whitespace().skip(1).collect();
    world.cluster.kubectl(&arguments)?;
    until("nothing is held", PATIENCE, async || {
        for pod in world.region.pods(Half::Operator).await? {
            ensure!(metric_of(&pod, "rivmesh_operator_table_held", "")? < 0.5, "{:?} holds", pod.metadata.name);
        }
        Ok(())
    })
    .await
}
