//! What becomes of traffic and of changes when operators fail.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kube::ResourceExt;

use super::release::{Half, admin_of, is_ready, metric_of, restarts};
use super::world::World;
use crate::admin;
use crate::suite::{Case, PATIENCE, cases, until};
use crate::traffic::{Losses, Rate};

pub(super) fn cases() -> Vec<Case<World>> {
    cases![the_leader_is_killed, the_leader_is_stopped, all_operators_are_gone]
}

/// Longer than it takes to see that a leader is gone, to follow it, and to count its dataplanes as somebody else's.
const TAKEOVER: Duration = Duration::from_secs(120);

async fn the_leader_is_killed(world: &World) -> Result<()> {
    let leader = world.region.leader()?;
    world.region.signal(Half::Operator, &leader, "KILL")?;
    world.changes_are_programmed(TAKEOVER).await?;
    world.region.until_pods(Half::Operator, 2, PATIENCE).await?;
    let pods = world.region.pods(Half::Operator).await?;
    let killed = pods.iter().find(|pod| pod.name_any() == leader).context("its pod goes on")?;
    ensure!(restarts(killed) > 0, "{leader} was not killed");
    Ok(())
}

async fn the_leader_is_stopped(world: &World) -> Result<()> {
    let leader = world.region.leader()?;
    world.region.signal(Half::Operator, &leader, "STOP")?;
    until("another one leads", TAKEOVER, async || {
        let now = world.region.leader()?;
        ensure!(now != leader, "{now} still leads");
        Ok(())
    })
    .await?;
    world.changes_are_programmed(TAKEOVER).await?;
    // Its probe fails, and the kubelet starts it anew; this only makes it sooner.
    world.region.signal(Half::Operator, &leader, "KILL")?;
    world.region.until_pods(Half::Operator, 2, TAKEOVER).await.map(drop)
}

/// For minutes nobody answers dataplanes. Traffic flows; a container that is started anew serves from its disk; a pod
/// that has never had a table says so and takes no calls.
async fn all_operators_are_gone(world: &World) -> Result<()> {
    let region = &world.region;
    region.kubectl(&["scale", "deployment", "rivmesh-operator", "--replicas=0"])?;
    region.until_pods(Half::Operator, 0, Duration::from_secs(60)).await?;

    let pods = region.pods(Half::Dataplane).await?;
    let restarted = pods.first().context("there are dataplanes")?.name_any();
    // As the kubelet ends a container whose probe fails.
    region.signal(Half::Dataplane, &restarted, "TERM")?;
    until("the container is started anew and takes calls", Duration::from_secs(90), async || {
        let pods = region.pods(Half::Dataplane).await?;
        let pod = pods.iter().find(|pod| pod.name_any() == restarted).context("its pod goes on")?;
        ensure!(restarts(pod) == 1 && is_ready(pod), "{} restarts, ready: {}", restarts(pod), is_ready(pod));
        ensure!(metric_of(pod, "rivmesh_table_info", "source=\"disk\"")? > 0.5, "its table is not from disk");
        Ok(())
    })
    .await?;

    let autoscaler = |pods: usize| {
        let patch = format!("{{\"spec\": {{\"minReplicas\": {pods}, \"maxReplicas\": {pods}}}}}");
        region.kubectl(&["patch", "hpa", "rivmesh-dataplane", "-p", &patch])
    };
    autoscaler(pods.len() + 1)?;
    let waits = until("a new pod says what it waits for", Duration::from_secs(90), async || {
        let now = region.pods(Half::Dataplane).await?;
        let is_new = |name: &String| !pods.iter().any(|pod| pod.name_any() == *name);
        let new = now.iter().find(|pod| is_new(&pod.name_any())).context("there is no new pod")?;
        let waits = admin::waiting_for(admin_of(new)?)?;
        ensure!(!waits.is_empty() && !is_ready(new), "it is ready");
        Ok(waits)
    })
    .await?;
    println!("      the new pod: {}", waits.trim());
    ensure!(waits.contains("rivmesh-operator"), "it does not say that an operator is missing: {waits}");
    until("the tables are minutes old", Duration::from_secs(180), async || {
        for pod in region.pods(Half::Dataplane).await?.iter().filter(|pod| is_ready(pod)) {
            let age = metric_of(pod, "rivmesh_table_age_seconds", "")?;
            ensure!(age > 60.0, "the table of {} is {age} s old", pod.name_any());
        }
        Ok(())
    })
    .await?;

    region.kubectl(&["scale", "deployment", "rivmesh-operator", "--replicas=2"])?;
    region.until_pods(Half::Operator, 2, Duration::from_secs(60)).await?;
    region.until_pods(Half::Dataplane, pods.len() + 1, Duration::from_secs(60)).await?;
    autoscaler(pods.len())?;
    region.until_pods(Half::Dataplane, pods.len(), Duration::from_secs(120)).await?;
    let account = world.traffic().close_account().await?;
    println!("      {account}");
    // Until the kubelet has seen that the container has ended, consumers are sent there.
    let Losses { refused, broken } = account.losses()?;
    ensure!(broken == 0 && refused <= Rate::STEADY.calls_in(Duration::from_secs(1)), "{:?}", account.failures);
    world.changes_are_programmed(TAKEOVER).await
}
