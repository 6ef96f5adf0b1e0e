//! Who writes, when the one who did is killed, stopped or asked to go.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rivmesh_e2e::pki::ALLOWED;
use rustix::process::Signal;

use super::processes::Operator;
use super::world::World;
use crate::objects::{grant, route};
use crate::suite::{Case, cases, until};

pub(super) fn cases() -> Vec<Case<World>> {
    cases![a_killed_leader_is_replaced, a_stopped_leader_writes_no_more, a_leader_that_goes_hands_over_at_once]
}

/// A lease holds for 15 s, and is looked at every 2 s.
const TAKE_OVER: Duration = Duration::from_secs(25);

/// The replicas, the leader first.
async fn leader_first(mut replicas: [Operator; 2]) -> Result<[Operator; 2]> {
    let second = until("somebody leads", Duration::from_secs(10), async || {
        let leads = [replicas[0].leads()?, replicas[1].leads()?];
        ensure!(leads[0] != leads[1], "leaders: {leads:?}");
        Ok(leads[1])
    })
    .await?;
    if second {
        replicas.reverse();
    }
    Ok(replicas)
}

async fn until_leads(operator: &Operator, limit: Duration) -> Result<()> {
    until(&format!("{} leads", operator.pod), limit, async || {
        ensure!(operator.leads()?, "{} does not lead", operator.pod);
        Ok(())
    })
    .await
}

async fn a_killed_leader_is_replaced(world: &World) -> Result<()> {
    let namespace = world.namespace("killed").await?;
    let replicas = [namespace.ready_operator("operator-a").await?, namespace.ready_operator("operator-b").await?];
    let [mut leader, follower] = leader_first(replicas).await?;
    let dataplane = namespace.ready_dataplane("proxy-a", &follower).await?;
    namespace.apply(&grant("grant", ALLOWED)).await?;
    leader.platform.kill();
    // Routing does not wait for a leader; only the status does.
    namespace.apply(&route("during", &["SE1-A"], &world.url("one"))).await?;
    until("the route, without a leader", Duration::from_secs(5), async || dataplane.expect_answer_of("one", "SE1-A"))
        .await?;
    ensure!(!follower.leads()?, "it leads before the lease has run out");
    until_leads(&follower, TAKE_OVER).await?;
    namespace.until_ready("during").await
}

async fn a_stopped_leader_writes_no_more(world: &World) -> Result<()> {
    let namespace = world.namespace("stopped").await?;
    let replicas = [namespace.ready_operator("operator-a").await?, namespace.ready_operator("operator-b").await?];
    let [leader, follower] = leader_first(replicas).await?;
    let _dataplane = namespace.ready_dataplane("proxy-a", &follower).await?;
    namespace.apply(&route("before", &["SE1-B"], &world.url("one"))).await?;
    namespace.until_ready("before").await?;
    let written = leader.metric("rivmesh_operator_status_writes_total", "")?;
    leader.signal(Signal::STOP)?;
    until_leads(&follower, TAKE_OVER).await?;
    namespace.apply(&route("after", &["SE1-A"], &world.url("one"))).await?;
    namespace.until_ready("after").await?;

    // It wakes with news to judge, and in the belief that it leads.
    leader.signal(Signal::CONT)?;
    until(
        "the one that was stopped has noticed, and has judged what came meanwhile",
        Duration::from_secs(10),
        async || {
            let table = "rivmesh_operator_table_info";
            ensure!(leader.metrics(table)? == follower.metrics(table)?, "it has another table");
            ensure!(!leader.leads()?, "it still believes that it leads");
            Ok(())
        },
    )
    .await?;
    let now = leader.metric("rivmesh_operator_status_writes_total", "")?;
    ensure!((now - written).abs() < 0.5, "the one that was stopped wrote again: {written} statuses, then {now}");
    ensure!(follower.leads()?, "nobody leads");
    Ok(())
}

async fn a_leader_that_goes_hands_over_at_once(world: &World) -> Result<()> {
    let namespace = world.namespace("handover").await?;
    let replicas = [namespace.ready_operator("operator-a").await?, namespace.ready_operator("operator-b").await?];
    let [mut leader, follower] = leader_first(replicas).await?;
    let began = Instant::now();
    leader.platform.terminate()?;
    let status = leader.platform.wait_exit(Duration::from_secs(10)).context("it goes when it is asked to")?;
    ensure!(status.success(), "{status}: {}", leader.platform.transcript());
    until_leads(&follower, Duration::from_secs(8)).await?;
    ensure!(began.elapsed() < Duration::from_secs(14), "the lease had to run out");
    let leases = world.kubectl(&["get", "leases", "--namespace", &namespace.name])?;
    ensure!(!leases.contains(&format!("\n{} ", leader.pod)), "its own lease is left:\n{leases}");
    Ok(())
}
