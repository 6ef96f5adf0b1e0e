//! The shrink guard, when a kind is deleted, at once or object by object, and all operators are restarted after it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use rivmesh_crds::{ConditionStatus, ConditionType, Kind, Reason};
use rivmesh_e2e::pki::ALLOWED;

use super::processes::Operator;
use super::world::{Namespace, World};
use crate::objects::{grant, route};
use crate::suite::{Case, PATIENCE, cases, until};

pub(super) fn cases() -> Vec<Case<World>> {
    cases![
        a_mass_deletion_is_held_through_a_restart_and_released,
        a_deletion_object_by_object_is_held_through_a_restart,
        a_mass_deletion_is_released_by_the_command,
        a_held_table_that_is_restored_goes_on,
    ]
}

/// Enough rows for the guard to care, in two objects.
async fn fill(namespace: &Namespace<'_>) -> Result<()> {
    namespace.apply(&grant("grant", ALLOWED)).await?;
    for name in ["many-a", "many-b"] {
        let addresses: Vec<String> = (0..150).map(|number| format!("SE1-{name}-{number}")).collect();
        let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
        namespace.apply(&route(name, &addresses, &namespace.world.url("one"))).await?;
    }
    namespace.until_ready("many-a").await?;
    namespace.until_ready("many-b").await
}

async fn until_baseline(namespace: &Namespace<'_>, routes: u64) -> Result<()> {
    until("the baseline is written", PATIENCE, async || {
        let arguments = ["get", "configmap", "rivmesh-baseline", "-o", "jsonpath={.data}", "-n", &namespace.name];
        let written = namespace.world.kubectl(&arguments)?;
        ensure!(written.contains(&format!("\\\"routes\\\":{routes},")), "{written}");
        Ok(())
    })
    .await
}

async fn a_mass_deletion_is_held_through_a_restart_and_released(world: &World) -> Result<()> {
    let namespace = world.namespace("mass-deletion").await?;
    let mut operators = [namespace.ready_operator("operator-a").await?, namespace.ready_operator("operator-b").await?];
    let dataplane = namespace.ready_dataplane("proxy-a", &operators[1]).await?;
    fill(&namespace).await?;
    until_baseline(&namespace, 300).await?;

    world.kubectl(&["delete", "routingentries", "--all", "-n", &namespace.name])?;
    for operator in &operators {
        until_held(operator).await?;
    }
    dataplane.expect_answer_of("one", "SE1-many-a-7").context("while it is held")?;
    until("an event", Duration::from_secs(10), async || {
        let events = world.kubectl(&["get", "events", "-n", &namespace.name])?;
        ensure!(events.contains("TableHeld") && events.contains("configmap/rivmesh-baseline"), "{events}");
        Ok(())
    })
    .await?;
    // What changes meanwhile waits, and says so.
    namespace.apply(&route("meanwhile", &["SE1-M"], &world.url("two"))).await?;
    let entry = (Kind::RoutingEntry, "meanwhile");
    let message = namespace.until(entry, ConditionType::Programmed, ConditionStatus::False, Reason::Held).await?;
    ensure!(message.contains("kubectl annotate"), "{message}");

    // All operators go; the new ones find an almost empty catalogue and must not take it for the truth.
    let tables = operators[1].tables;
    operators.iter_mut().for_each(|operator| operator.platform.kill());
    let operator = namespace.operator_at("operator-c", tables, &[])?;
    let held = until("the new operator holds it too", PATIENCE, async || {
        let status = operator.status()?;
        let held = status["held"].as_str().context("nothing is held")?.to_owned();
        ensure!(status["ready"] == false && status["waitingFor"][0].as_str().is_some_and(|why| why.contains("held")));
        Ok(held)
    })
    .await?;
    dataplane.expect_answer_of("one", "SE1-many-a-7").context("after the restart")?;
    dataplane.expect_refusal("VP004", "SE1-M")?;

    // The command that the message gives is the one that releases it.
    let command = held.split("release it: ").nth(1).context("the message says how")?;
    let arguments: Vec<&str> = command.split_whitespace().skip(1).collect();
    world.kubectl(&arguments)?;
    until("the small table", PATIENCE, async || {
        dataplane.expect_refusal("VP004", "SE1-many-a-7")?;
        dataplane.expect_answer_of("two", "SE1-M")
    })
    .await?;
    namespace.until_ready("meanwhile").await?;
    until_baseline(&namespace, 1).await?;
    let annotations = world.kubectl(&[
        "get",
        "configmap",
        "rivmesh-baseline",
        "-o",
        "jsonpath={.metadata.annotations}",
        "-n",
        &namespace.name,
    ])?;
    ensure!(!annotations.contains("release"), "the release is used up: {annotations}");
    Ok(())
}

async fn a_deletion_object_by_object_is_held_through_a_restart(world: &World) -> Result<()> {
    const OBJECTS: usize = 400;
    /// So many at a time, each a loss that is never held by itself.
    const AT_A_TIME: usize = 20;
    let namespace = world.namespace("slow-deletion").await?;
    let mut operators = [namespace.ready_operator("operator-a").await?, namespace.ready_operator("operator-b").await?];
    let name = |number: usize| format!("one-{number}");
    stream::iter(0..OBJECTS)
        .map(|number| {
            let (namespace, url) = (&namespace, world.url("one"));
            async move { namespace.apply(&route(&name(number), &[&format!("SE1-{number}")], &url)).await }
        })
        .buffer_unordered(16)
        .try_collect::<()>()
        .await?;
    for operator in &operators {
        until_in_force(operator, OBJECTS).await?;
    }
    until_baseline(&namespace, 400).await?;

    // Each batch is a table of its own, and what is gone with it is in force: 280 routes are exactly 30 % fewer.
    let mut rows = OBJECTS;
    while rows > 280 {
        delete(&namespace, (rows - AT_A_TIME..rows).map(name)).await?;
        rows -= AT_A_TIME;
        for operator in &operators {
            until_in_force(operator, rows).await?;
        }
    }
    until_baseline(&namespace, 280).await?;
    delete(&namespace, (rows - AT_A_TIME..rows).map(name)).await?;
    for operator in &operators {
        until_held(operator).await?;
        ensure!(
            operator.metric("rivmesh_operator_table_rows", "kind=\"routes\"")? > 279.5,
            "what it holds is in force"
        );
    }

    // Against the table in force it is a small loss; a process that starts now must know what there was before.
    operators.iter_mut().for_each(|operator| operator.platform.kill());
    let operator = namespace.operator("operator-c", &[])?;
    until_held(&operator).await?;
    let held = operator.status()?["held"].as_str().context("it says what it holds")?.to_owned();
    ensure!(held.contains("260 routes instead of 400"), "{held}");
    Ok(())
}

/// Deletes routes, several at a time.
async fn delete(namespace: &Namespace<'_>, names: impl Iterator<Item = String>) -> Result<()> {
    stream::iter(names)
        .map(|name| async move { namespace.delete(Kind::RoutingEntry, &name).await })
        .buffer_unordered(16)
        .try_collect()
        .await
}

async fn until_in_force(operator: &Operator, routes: usize) -> Result<()> {
    until("the table is published", PATIENCE, async || {
        let rows = operator.metric("rivmesh_operator_table_rows", "kind=\"routes\"")?;
        ensure!((rows - routes as f64).abs() < 0.5, "{rows} routes are in force at {}", operator.pod);
        Ok(())
    })
    .await
}

async fn until_held(operator: &Operator) -> Result<()> {
    until("the table is held", PATIENCE, async || {
        ensure!(operator.metric("rivmesh_operator_table_held", "")? > 0.5, "it is not, at {}", operator.pod);
        Ok(())
    })
    .await
}

async fn a_mass_deletion_is_released_by_the_command(world: &World) -> Result<()> {
    let namespace = world.namespace("released").await?;
    let operators = [namespace.ready_operator("operator-a").await?, namespace.ready_operator("operator-b").await?];
    let dataplane = namespace.ready_dataplane("proxy-a", &operators[1]).await?;
    fill(&namespace).await?;
    until_baseline(&namespace, 300).await?;
    let show = ["release", "--namespace", &namespace.name];
    let (code, shown) = world.plugin(&show)?;
    ensure!(code == Some(0) && shown.contains("holds nothing back. In force: 300 routes"), "{code:?} {shown}");

    world.kubectl(&["delete", "routingentries", "--all", "-n", &namespace.name])?;
    let shown = until("what is held is shown", PATIENCE, async || {
        let (code, shown) = world.plugin(&show)?;
        ensure!(code == Some(1), "{code:?} {shown}");
        Ok(shown)
    })
    .await?;
    for part in ["300         0   300 fewer", &format!("Gone: RoutingEntry {}/many-a", namespace.name), "since 20"] {
        ensure!(shown.contains(part), "{part} is missing in: {shown}");
    }
    let (code, told) = world.plugin(&[&show[..], &["0123456789"]].concat())?;
    ensure!(code == Some(2) && told.contains("is not held back"), "{code:?} {told}");
    dataplane.expect_answer_of("one", "SE1-many-a-7").context("while it is held")?;

    // What is shown last is what is to be typed.
    let command = shown.trim_end().lines().last().context("there is a last line")?;
    let arguments: Vec<&str> = command.split_whitespace().skip(1).collect();
    let (code, told) = world.plugin(&arguments)?;
    ensure!(code == Some(0) && told.contains("It is published"), "{code:?} {told}");
    for operator in &operators {
        until("no replica holds it", PATIENCE, async || {
            ensure!(operator.metric("rivmesh_operator_table_held", "")? < 0.5, "{} does", operator.pod);
            Ok(())
        })
        .await?;
    }
    until("the small table", PATIENCE, async || dataplane.expect_refusal("VP004", "SE1-many-a-7")).await?;
    let (code, shown) = world.plugin(&show)?;
    ensure!(code == Some(0) && shown.contains("holds nothing back. In force: 0 routes"), "{code:?} {shown}");
    Ok(())
}

async fn a_held_table_that_is_restored_goes_on(world: &World) -> Result<()> {
    let namespace = world.namespace("restored").await?;
    let operator = namespace.ready_operator("operator-a").await?;
    let dataplane = namespace.ready_dataplane("proxy-a", &operator).await?;
    fill(&namespace).await?;
    namespace.delete(Kind::RoutingEntry, "many-a").await?;
    until_held(&operator).await?;
    fill(&namespace).await?;
    let held = operator.metric("rivmesh_operator_table_held", "")?;
    ensure!(held < 0.5, "it is held although it is whole again");
    until("the record of it is gone", PATIENCE, async || {
        let (code, shown) = world.plugin(&["release", "--namespace", &namespace.name, "--name", "rivmesh"])?;
        ensure!(code == Some(0), "{code:?} {shown}");
        Ok(())
    })
    .await?;
    dataplane.expect_answer_of("one", "SE1-many-a-7")
}
