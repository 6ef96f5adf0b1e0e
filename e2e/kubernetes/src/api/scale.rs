//! Ten thousand objects: what Kubernetes itself suggests as the most of a kind, compiled, served and judged.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use rivmesh_e2e::pki::ALLOWED;

use super::world::World;
use crate::objects::{grant, route};
use crate::suite::{Case, cases, until};

pub(super) fn cases() -> Vec<Case<World>> {
    cases![ten_thousand_objects]
}

const OBJECTS: usize = 10_000;
/// Requests at a time.
const AT_ONCE: usize = 32;

async fn ten_thousand_objects(world: &World) -> Result<()> {
    let namespace = world.namespace("ten-thousand").await?;
    namespace.apply(&grant("grant", ALLOWED)).await?;
    let began = Instant::now();
    stream::iter(0..OBJECTS)
        .map(|number| {
            let namespace = &namespace;
            async move {
                let addresses = [format!("SE1-{number}-A"), format!("SE1-{number}-B")];
                let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
                namespace.apply(&route(&format!("route-{number}"), &addresses, &world.url("one"))).await
            }
        })
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await?;
    println!("      {OBJECTS} objects written in {:.1} s", began.elapsed().as_secs_f64());

    let began = Instant::now();
    let mut operator = namespace.operator("operator-a", &["--status-rate=1000"])?;
    operator.platform.wait_ready()?;
    println!("      ready after {:.1} s", began.elapsed().as_secs_f64());
    let dataplane = namespace.ready_dataplane("proxy-a", &operator).await?;
    dataplane.expect_answer_of("one", "SE1-9999-B")?;
    until("all statuses are written", Duration::from_secs(120), async || {
        let (pending, not_ready) = (
            operator.metric("rivmesh_operator_status_pending", "")?,
            operator.metric("rivmesh_operator_not_ready_objects", "")?,
        );
        ensure!(pending < 0.5 && not_ready < 0.5, "{pending} pending, {not_ready} not ready");
        Ok(())
    })
    .await?;
    println!("      all programmed after {:.1} s", began.elapsed().as_secs_f64());

    let changed = Instant::now();
    namespace.apply(&route("route-5000", &["SE1-moved"], &world.url("two"))).await?;
    until("the change is routed", Duration::from_secs(10), async || dataplane.expect_answer_of("two", "SE1-moved"))
        .await?;
    println!("      one change routed after {:.2} s", changed.elapsed().as_secs_f64());

    // A restarted operator finds everything as it should be, and writes nothing.
    operator.platform.kill();
    let began = Instant::now();
    let mut operator = namespace.operator("operator-b", &[])?;
    operator.platform.wait_ready()?;
    let took = began.elapsed();
    until("it leads", Duration::from_secs(30), async || {
        ensure!(operator.leads()?, "it does not");
        Ok(())
    })
    .await?;
    // What it has to write comes after all that it would have written.
    namespace.apply(&route("route-2", &["SE1-moved-too"], &world.url("two"))).await?;
    until("nothing more is to be written", Duration::from_secs(30), async || {
        let written = operator.metric("rivmesh_operator_status_writes_total", "stored")?;
        let pending = operator.metric("rivmesh_operator_status_pending", "")?;
        ensure!(written > 0.5 && pending < 0.5, "{written} are written, {pending} pending");
        Ok(())
    })
    .await?;
    let writes = operator.metric("rivmesh_operator_status_writes_total", "stored")?;
    ensure!(writes < 10.0, "{writes} statuses were written although nothing had changed");
    println!("      ready again after {:.1} s, {writes} statuses written", took.as_secs_f64());
    Ok(())
}
