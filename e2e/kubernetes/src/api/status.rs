//! What an object's status says, and that it is true: when it says that every dataplane routes by it, they do.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kube::api::{Patch, PatchParams};
use rivmesh_crds::{ConditionStatus, ConditionType, Kind, Reason};
use rustix::process::Signal;
use serde_json::json;

use super::processes::{Credentials, Dataplane};
use super::world::{Namespace, World};
use crate::objects::{api, contract, grant, route};
use crate::suite::{Case, cases, until};

use ConditionStatus::{False, True, Unknown};

pub(super) fn cases() -> Vec<Case<World>> {
    cases![
        programmed_means_that_the_next_call_is_routed_so,
        an_object_tells_what_is_wrong_with_it,
        a_status_touches_nothing_else,
        without_dataplanes_nothing_is_programmed,
        silent_pods_are_named_and_left_out,
        a_new_dataplane_takes_nothing_back,
    ]
}

/// The consumer whose certificate the calls are made with.
const CONSUMER: &str = rivmesh_e2e::pki::ALLOWED;

async fn programmed_means_that_the_next_call_is_routed_so(world: &World) -> Result<()> {
    let namespace = world.namespace("programmed").await?;
    namespace.apply(&grant("grant", CONSUMER)).await?;
    namespace.apply(&route("moving", &["SE1-A"], &world.url("one"))).await?;
    let (first, second) =
        (namespace.ready_operator("operator-a").await?, namespace.ready_operator("operator-b").await?);
    // One dataplane at each replica, so that one of them is never the leader's own.
    let dataplanes =
        [namespace.ready_dataplane("proxy-a", &first).await?, namespace.ready_dataplane("proxy-b", &second).await?];
    namespace.set_ready_pods(&["proxy-a", "proxy-b"]).await?;
    for round in 0..20 {
        let producer = if round % 2 == 0 { "two" } else { "one" };
        namespace.apply(&route("moving", &["SE1-A"], &world.url(producer))).await?;
        wait_programmed(&namespace, "routingentry/moving")?;
        for dataplane in &dataplanes {
            dataplane.expect_answer_of(producer, "SE1-A").with_context(|| format!("round {round}"))?;
        }
    }
    // A right that was taken away is gone as surely.
    namespace.apply(&grant("grant", "SE1-SOMEBODY-ELSE")).await?;
    wait_programmed(&namespace, "callauthorization/grant")?;
    dataplanes.iter().try_for_each(|dataplane| dataplane.expect_refusal("VP007", "SE1-A"))
}

/// As the documentation tells people to wait. kubectl itself compares `observedGeneration`.
fn wait_programmed(namespace: &Namespace<'_>, object: &str) -> Result<()> {
    let arguments = ["wait", "--for=condition=Programmed", object, "--timeout=20s", "--namespace", &namespace.name];
    namespace.world.kubectl(&arguments).map(drop)
}

async fn an_object_tells_what_is_wrong_with_it(world: &World) -> Result<()> {
    let namespace = world.namespace("verdicts").await?;
    let operator = namespace.ready_operator("operator-a").await?;
    let _dataplane = namespace.ready_dataplane("proxy-a", &operator).await?;
    // The oldest wins, of one second the first by name.
    namespace.apply(&route("an-older", &["SE1-A"], "https://one.example/x")).await?;
    namespace.until_ready("an-older").await?;
    namespace.apply(&route("partly", &["SE1-A", "SE1-B"], "https://two.example/x")).await?;
    namespace.apply(&route("not-at-all", &["SE1-A"], "https://three.example/x")).await?;
    namespace.apply(&route("insecure", &["SE1-I"], "http://four.example/x")).await?;
    let mut suspended = route("suspended", &["SE1-S"], "https://five.example/x");
    suspended["spec"]["suspend"] = json!(true);
    namespace.apply(&suspended).await?;
    let accepted = ConditionType::Accepted;
    let entry = |name: &'static str| (Kind::RoutingEntry, name);
    let message = namespace.until(entry("partly"), accepted, True, Reason::PartiallyAccepted).await?;
    ensure!(message.contains("an-older") && message.contains("1 of 2"), "{message}");
    namespace.until(entry("partly"), ConditionType::Ready, False, Reason::PartiallyAccepted).await?;
    let status = namespace.status(Kind::RoutingEntry, "partly").await?;
    ensure!(status.rows.total == 2 && status.rows.rejected == 1, "{:?}", status.rows);
    ensure!(status.row_errors.len() == 1 && status.row_errors[0].reason == Reason::Conflict, "{:?}", status.row_errors);
    namespace.until(entry("not-at-all"), accepted, False, Reason::Conflict).await?;
    namespace.until(entry("insecure"), accepted, False, Reason::InsecureEndpoint).await?;
    namespace.until(entry("suspended"), ConditionType::Programmed, True, Reason::Programmed).await?;
    let refs = ConditionType::ResolvedRefs;
    namespace.until(entry("an-older"), refs, False, Reason::UnknownContract).await?;
    namespace.apply(&contract("contract", crate::objects::CONTRACT)).await?;
    namespace.until(entry("an-older"), refs, True, Reason::ResolvedRefs).await?;
    // The rival goes, and the row that lost comes into force by itself.
    namespace.delete(Kind::RoutingEntry, "an-older").await?;
    namespace.delete(Kind::RoutingEntry, "not-at-all").await?;
    namespace.until_ready("partly").await?;
    // Only failures are events.
    let events = until("an event about the failure", Duration::from_secs(10), async || {
        let events = world.kubectl(&["get", "events", "--namespace", &namespace.name])?;
        ensure!(events.contains("InsecureEndpoint"), "{events}");
        Ok(events)
    })
    .await?;
    ensure!(!events.contains("Programmed") && !events.contains("Normal"), "good news is no event:\n{events}");
    Ok(())
}

async fn a_status_touches_nothing_else(world: &World) -> Result<()> {
    let namespace = world.namespace("managers").await?;
    let operator = namespace.ready_operator("operator-a").await?;
    let _dataplane = namespace.ready_dataplane("proxy-a", &operator).await?;
    namespace.apply(&route("shared", &["SE1-A"], "https://one.example/x")).await?;
    namespace.until_ready("shared").await?;
    let entries = api(&world.client, &namespace.name, Kind::RoutingEntry);
    let before = entries.get("shared").await?;
    // Another controller has a condition of its own.
    let condition = json!([{"type": "Audited", "status": "True", "reason": "Seen", "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z"}]);
    let audited = json!({"apiVersion": "rivmesh.io/v1alpha1", "kind": "RoutingEntry",
        "metadata": {"name": "shared"}, "status": {"conditions": condition}});
    entries.patch_status("shared", &PatchParams::apply("auditor").force(), &Patch::Apply(audited)).await?;
    namespace.apply(&route("shared", &["SE1-B"], "https://one.example/x")).await?;
    namespace.until_ready("shared").await?;
    let after = entries.get("shared").await?;
    let conditions = after.data["status"]["conditions"].as_array().context("conditions")?;
    ensure!(conditions.iter().any(|condition| condition["type"] == "Audited"), "the auditor's condition is gone");
    for field in after.metadata.managed_fields.iter().flatten() {
        let fields = serde_json::to_value(&field.fields_v1)?;
        if field.manager.as_deref() == Some("rivmesh-operator") {
            let owned: Vec<&String> = fields.as_object().context("fields")?.keys().collect();
            ensure!(owned == ["f:status"], "the operator owns {owned:?}");
        }
    }
    ensure!(before.metadata.generation < after.metadata.generation, "only people change a spec");
    ensure!(after.metadata.generation == Some(2), "{:?}", after.metadata.generation);
    Ok(())
}

async fn without_dataplanes_nothing_is_programmed(world: &World) -> Result<()> {
    let namespace = world.namespace("lonely").await?;
    let _operator = namespace.ready_operator("operator-a").await?;
    namespace.apply(&route("alone", &["SE1-A"], "https://one.example/x")).await?;
    let programmed = ConditionType::Programmed;
    namespace.until((Kind::RoutingEntry, "alone"), programmed, Unknown, Reason::NoDataplane).await.map(drop)
}

async fn silent_pods_are_named_and_left_out(world: &World) -> Result<()> {
    let namespace = world.namespace("silence").await?;
    let operator = namespace.ready_operator("operator-a").await?;
    let _dataplane = namespace.ready_dataplane("proxy-a", &operator).await?;
    let stopped = namespace.ready_dataplane("proxy-stopped", &operator).await?;
    // By the cluster's account all take calls. One of them is connected to nobody, and one has stopped to answer.
    namespace.set_ready_pods(&["proxy-a", "proxy-lost", "proxy-stopped"]).await?;
    stopped.signal(Signal::STOP)?;
    let missing = || operator.metric("rivmesh_operator_dataplanes", "state=\"missing\"");
    until("the pod is missed", Duration::from_secs(10), async || {
        ensure!(missing()? > 0.5, "nobody is missed");
        Ok(())
    })
    .await?;
    namespace.apply(&route("waiting", &["SE1-A"], "https://one.example/x")).await?;
    let entry = (Kind::RoutingEntry, "waiting");
    let pending = namespace.until(entry, ConditionType::Programmed, Unknown, Reason::Pending).await?;
    ensure!(pending.contains("1 of 3"), "{pending}");
    let status = until("the silent pods are left out", Duration::from_secs(90), async || {
        let status = namespace.status(Kind::RoutingEntry, "waiting").await?;
        let programmed = status.conditions.iter().find(|condition| condition.is(ConditionType::Programmed));
        let programmed = programmed.context("a condition")?;
        ensure!(programmed.status == True, "{}", programmed.message);
        Ok(programmed.message.clone())
    })
    .await?;
    let silent = ["proxy-lost", "proxy-stopped"];
    ensure!(status.contains("1 of 3") && silent.iter().all(|pod| status.contains(pod)), "{status}");
    // A process that stands still does not even answer the stream's pings: its stream is closed, and it is missed too.
    ensure!(missing()? > 1.5, "not both are missed");
    until("an event about each pod", Duration::from_secs(10), async || {
        let events = world.kubectl(&["get", "events", "--namespace", &namespace.name])?;
        let tells = |pod| events.lines().any(|line| line.contains("DataplaneMissing") && line.contains(pod));
        ensure!(silent.into_iter().all(tells), "{events}");
        Ok(())
    })
    .await
}

async fn a_new_dataplane_takes_nothing_back(world: &World) -> Result<()> {
    let namespace = world.namespace("scale-out").await?;
    let operator = namespace.ready_operator("operator-a").await?;
    let first = namespace.ready_dataplane("proxy-a", &operator).await?;
    namespace.set_ready_pods(&["proxy-a"]).await?;
    namespace.apply(&route("steady", &["SE1-A"], "https://one.example/x")).await?;
    namespace.until_ready("steady").await?;
    let version = |world: &World| {
        world.kubectl(&["get", "rte", "steady", "-n", "scale-out", "-o", "jsonpath={.metadata.resourceVersion}"])
    };
    let before = version(world)?;
    let mut more: Vec<Dataplane> = Vec::new();
    for pod in ["proxy-b", "proxy-c"] {
        more.push(namespace.dataplane(pod, &operator, &Credentials::default()).await?);
    }
    for dataplane in &mut more {
        dataplane.platform.wait_ready()?;
        ensure!(dataplane.table()? == first.table()?, "another table");
    }
    namespace.set_ready_pods(&["proxy-a", "proxy-b", "proxy-c"]).await?;
    drop(first);
    until("two are connected", Duration::from_secs(10), async || {
        let connected = operator.metric("rivmesh_operator_dataplanes", "state=\"connected\"")?;
        ensure!((connected - 2.0).abs() < 0.1, "{connected} are connected");
        Ok(())
    })
    .await?;
    // What is written for another object comes after all that could be written for this one.
    namespace.apply(&route("another", &["SE1-B"], "https://one.example/x")).await?;
    world.kubectl(&["wait", "--for=condition=Accepted", "--timeout=30s", "rte/another", "-n", "scale-out"])?;
    ensure!(version(world)? == before, "a status was written although nothing has changed");
    Ok(())
}
