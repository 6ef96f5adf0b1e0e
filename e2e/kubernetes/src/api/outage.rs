//! What becomes of tables and of an operator when the API server or etcd fails.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rivmesh_e2e::pki::ALLOWED;
use rustix::process::Signal;

use super::processes::Credentials;
use super::world::World;
use crate::objects::{grant, route};
use crate::suite::{Case, PATIENCE, cases, until};

pub(super) fn cases() -> Vec<Case<World>> {
    cases![an_api_server_that_goes_is_waited_for, a_slow_etcd_is_waited_for, a_dataplane_starts_from_its_disk]
}

async fn an_api_server_that_goes_is_waited_for(world: &World) -> Result<()> {
    let namespace = world.namespace("no-api-server").await?;
    let operator = namespace.ready_operator("operator-a").await?;
    let dataplane = namespace.ready_dataplane("proxy-a", &operator).await?;
    let newcomer = namespace.ready_dataplane("proxy-b", &operator).await?;
    namespace.apply(&grant("grant", ALLOWED)).await?;
    namespace.apply(&route("before", &["SE1-A"], &world.url("one"))).await?;
    namespace.until_ready("before").await?;
    drop(newcomer);
    let mut server = world.server.lock().await;
    server.stop_server();
    dataplane.expect_answer_of("one", "SE1-A")?;
    until("the operator notices", Duration::from_secs(20), async || {
        let problems = operator.status()?["problems"].to_string();
        ensure!(problems.contains("API server"), "{problems}");
        Ok(())
    })
    .await?;
    ensure!(operator.status()?["ready"] == true, "it has a table, so it stays ready");
    // A token that was good a moment ago still is, so a dataplane that starts anew gets its table.
    let mut again = namespace.emptied_dataplane("proxy-b", &operator)?;
    again.platform.wait_ready()?;
    again.expect_answer_of("one", "SE1-A")?;
    server.start_server().await?;
    drop(server);
    namespace.apply(&route("after", &["SE1-B"], &world.url("two"))).await?;
    namespace.until_ready("after").await?;
    dataplane.expect_answer_of("two", "SE1-B")
}

async fn a_slow_etcd_is_waited_for(world: &World) -> Result<()> {
    let namespace = world.namespace("slow-etcd").await?;
    let operator = namespace.ready_operator("operator-a").await?;
    let dataplane = namespace.ready_dataplane("proxy-a", &operator).await?;
    namespace.apply(&grant("grant", ALLOWED)).await?;
    // Bursts of standing still, each far shorter than a lease holds.
    for round in 0..5 {
        world.server.lock().await.signal_etcd(Signal::STOP)?;
        tokio::time::sleep(Duration::from_millis(1500)).await;
        world.server.lock().await.signal_etcd(Signal::CONT)?;
        let (name, address) = (format!("round-{round}"), format!("SE1-{round}"));
        namespace.apply(&route(&name, &[&address], &world.url("one"))).await?;
        namespace.until_ready(&name).await?;
        dataplane.expect_answer_of("one", &address)?;
    }
    // One that outlasts the lease: nobody leads then, everybody routes, and afterwards all is as before.
    world.server.lock().await.signal_etcd(Signal::STOP)?;
    until("it no longer leads", Duration::from_secs(30), async || {
        ensure!(!operator.leads()?, "it leads without being able to renew");
        Ok(())
    })
    .await?;
    dataplane.expect_answer_of("one", "SE1-4")?;
    world.server.lock().await.signal_etcd(Signal::CONT)?;
    until("it leads again", PATIENCE, async || {
        ensure!(operator.leads()?, "it does not");
        Ok(())
    })
    .await?;
    until("the API server takes writes again", PATIENCE, async || {
        namespace.apply(&route("after", &["SE1-after"], &world.url("two"))).await
    })
    .await?;
    namespace.until_ready("after").await
}

async fn a_dataplane_starts_from_its_disk(world: &World) -> Result<()> {
    let namespace = world.namespace("no-operator").await?;
    let mut operator = namespace.ready_operator("operator-a").await?;
    let dataplane = namespace.ready_dataplane("proxy-a", &operator).await?;
    namespace.apply(&grant("grant", ALLOWED)).await?;
    namespace.apply(&route("before", &["SE1-A"], &world.url("one"))).await?;
    namespace.until_ready("before").await?;
    let newcomer = namespace.dataplane("proxy-new", &operator, &Credentials::default()).await?;
    drop(newcomer);
    operator.platform.kill();
    drop(dataplane);
    let mut again = namespace.restarted_dataplane("proxy-a", &operator)?;
    again.platform.wait_ready()?;
    again.expect_answer_of("one", "SE1-A").context("from its disk")?;
    // One that never had a table says what it waits for, and takes no calls.
    let new = namespace.emptied_dataplane("proxy-new", &operator)?;
    until("it says what it waits for", PATIENCE, async || {
        let waits = new.waiting_for()?;
        ensure!(waits.contains("table:") && waits.contains("cannot be reached"), "{waits}");
        Ok(())
    })
    .await
}
