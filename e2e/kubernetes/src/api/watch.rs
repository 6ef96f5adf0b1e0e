//! How the operator follows the catalogue: what it misses while it is away, what it cannot read, and what it is told twice.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use rivmesh_crds::{ConditionStatus, ConditionType, Kind, Reason};
use rivmesh_e2e::pki::ALLOWED;
use rustix::process::Signal;
use serde_json::json;

use super::world::World;
use crate::objects::{api, grant, route};
use crate::suite::{Case, PATIENCE, cases, until};

pub(super) fn cases() -> Vec<Case<World>> {
    cases![
        a_watch_that_was_away_too_long_begins_anew,
        what_changed_while_no_operator_ran_is_taken_up,
        an_object_that_cannot_be_read_harms_only_itself,
        all_namespaces_can_be_watched,
    ]
}

async fn a_watch_that_was_away_too_long_begins_anew(world: &World) -> Result<()> {
    let namespace = world.namespace("gone").await?;
    let operator = namespace.ready_operator("operator-a").await?;
    let dataplane = namespace.ready_dataplane("proxy-a", &operator).await?;
    namespace.apply(&grant("grant", ALLOWED)).await?;
    for name in ["stays", "goes", "changes"] {
        namespace.apply(&route(name, &[&format!("SE1-{name}")], &world.url("one"))).await?;
        namespace.until_ready(name).await?;
    }
    // While the operator stands still much happens, and a new API server remembers none of it.
    operator.signal(Signal::STOP)?;
    namespace.delete(Kind::RoutingEntry, "goes").await?;
    for round in 0..300 {
        let address = format!("SE1-{round}");
        namespace.apply(&route("changes", &[&address, "SE1-changes"], &world.url("two"))).await?;
    }
    {
        let mut server = world.server.lock().await;
        server.stop_server();
        server.start_server().await?;
    }
    operator.signal(Signal::CONT)?;
    until("the operator has caught up", PATIENCE * 2, async || {
        dataplane.expect_answer_of("two", "SE1-changes")?;
        dataplane.expect_answer_of("two", "SE1-299")?;
        dataplane.expect_answer_of("one", "SE1-stays")?;
        dataplane.expect_refusal("VP004", "SE1-goes")
    })
    .await?;
    namespace.until_ready("changes").await
}

async fn what_changed_while_no_operator_ran_is_taken_up(world: &World) -> Result<()> {
    let namespace = world.namespace("restarts").await?;
    let mut operator = namespace.ready_operator("operator-a").await?;
    let dataplane = namespace.ready_dataplane("proxy-a", &operator).await?;
    namespace.apply(&grant("grant", ALLOWED)).await?;
    for name in ["stays", "goes"] {
        namespace.apply(&route(name, &[&format!("SE1-{name}")], &world.url("one"))).await?;
        namespace.until_ready(name).await?;
    }
    let written =
        world.kubectl(&["get", "rte", "stays", "-n", "restarts", "-o", "jsonpath={.metadata.resourceVersion}"])?;
    let tables = operator.tables;
    operator.platform.kill();
    dataplane.expect_answer_of("one", "SE1-goes").context("without an operator everything goes on")?;
    namespace.delete(Kind::RoutingEntry, "goes").await?;
    namespace.apply(&route("comes", &["SE1-comes"], &world.url("two"))).await?;

    let mut operator = namespace.operator_at("operator-b", tables, &[])?;
    operator.platform.wait_ready()?;
    until("the new operator's table", PATIENCE, async || {
        dataplane.expect_answer_of("two", "SE1-comes")?;
        dataplane.expect_answer_of("one", "SE1-stays")?;
        dataplane.expect_refusal("VP004", "SE1-goes")
    })
    .await?;
    namespace.until_ready("comes").await?;
    let after =
        world.kubectl(&["get", "rte", "stays", "-n", "restarts", "-o", "jsonpath={.metadata.resourceVersion}"])?;
    ensure!(written == after, "a status was written although nothing had changed");
    Ok(())
}

async fn an_object_that_cannot_be_read_harms_only_itself(world: &World) -> Result<()> {
    let namespace = world.namespace("poison").await?;
    let operator = namespace.ready_operator("operator-a").await?;
    let dataplane = namespace.ready_dataplane("proxy-a", &operator).await?;
    namespace.apply(&grant("grant", ALLOWED)).await?;
    namespace.apply(&route("good", &["SE1-A"], &world.url("one"))).await?;
    namespace.apply(&route("turned", &["SE1-T"], &world.url("one"))).await?;
    namespace.until_ready("turned").await?;

    // Somebody loosens the definition, as a newer one might, and writes what this operator cannot read.
    let definitions: Api<CustomResourceDefinition> = Api::all(world.client.clone());
    let strict = definitions.get("routingentries.rivmesh.io").await?;
    let loose = json!([{
        "op": "replace",
        "path": "/spec/versions/0/schema/openAPIV3Schema/properties/spec",
        "value": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
    }]);
    let patch: Patch<()> = Patch::Json(serde_json::from_value(loose)?);
    definitions.patch("routingentries.rivmesh.io", &PatchParams::default(), &patch).await?;
    let entries = api(&world.client, &namespace.name, Kind::RoutingEntry);
    let poison = |name: &str| {
        json!({"apiVersion": "rivmesh.io/v1alpha1", "kind": "RoutingEntry", "metadata": {"name": name},
            "spec": {"serviceContracts": {"not": "a list"}, "logicalAddresses": [1, 2]}})
    };
    until("the loosened definition is in use", PATIENCE, async || {
        entries.create(&PostParams::default(), &serde_json::from_value(poison("poison"))?).await.map(drop)?;
        Ok(())
    })
    .await?;
    let turned = Patch::Merge(json!({"spec": {"serviceContracts": {"not": "a list"}, "logicalAddresses": [1, 2]}}));
    entries.patch("turned", &PatchParams::default(), &turned).await?;
    let accepted = ConditionType::Accepted;
    for name in ["poison", "turned"] {
        let entry = (Kind::RoutingEntry, name);
        let message = namespace.until(entry, accepted, ConditionStatus::False, Reason::Undecodable).await?;
        ensure!(message.contains("spec.logicalAddresses[0]: "), "{message}");
    }
    dataplane.expect_answer_of("one", "SE1-A").context("the good one")?;
    dataplane.expect_refusal("VP004", "SE1-T").context("the one that turned counts for nothing, on every replica")?;
    namespace.apply(&route("later", &["SE1-L"], &world.url("two"))).await?;
    namespace.until_ready("later").await?;
    let undecodable = operator.metric("rivmesh_operator_undecodable_objects", "RoutingEntry")?;
    ensure!((undecodable - 2.0).abs() < 0.1, "{undecodable} are counted");

    // The definition is put right again, and so is the object.
    let params = PatchParams::apply("test").force();
    let mut whole = serde_json::to_value(&strict)?;
    whole["metadata"] = json!({"name": "routingentries.rivmesh.io"});
    whole["apiVersion"] = json!("apiextensions.k8s.io/v1");
    whole["kind"] = json!("CustomResourceDefinition");
    definitions.patch("routingentries.rivmesh.io", &params, &Patch::Apply(whole)).await?;
    // The server does not apply to what breaks its definition; it is deleted and made anew.
    namespace.delete(Kind::RoutingEntry, "poison").await?;
    namespace.delete(Kind::RoutingEntry, "turned").await?;
    until("the strict definition is in use", PATIENCE, async || {
        let answer = entries.create(&PostParams::default(), &serde_json::from_value(poison("another"))?).await;
        if answer.is_ok() {
            namespace.delete(Kind::RoutingEntry, "another").await?;
        }
        ensure!(answer.is_err(), "it is taken");
        Ok(())
    })
    .await?;
    namespace.apply(&route("turned", &["SE1-T"], &world.url("one"))).await?;
    namespace.until_ready("turned").await?;
    dataplane.expect_answer_of("one", "SE1-T")
}

async fn all_namespaces_can_be_watched(world: &World) -> Result<()> {
    let namespace = world.namespace("platform").await?;
    let (one, other) = (world.namespace("team-a").await?, world.namespace("team-b").await?);
    let mut operator = namespace.operator("operator-a", &["--watch-namespace=team-a", "--watch-namespace=team-b"])?;
    operator.platform.wait_ready()?;
    let dataplane = namespace.ready_dataplane("proxy-a", &operator).await?;
    one.apply(&grant("grant", ALLOWED)).await?;
    one.apply(&route("to-one", &["SE1-A"], &world.url("one"))).await?;
    other.apply(&route("to-two", &["SE1-B"], &world.url("two"))).await?;
    namespace.apply(&route("not-watched", &["SE1-C"], &world.url("one"))).await?;
    one.until_ready("to-one").await?;
    other.until_ready("to-two").await?;
    dataplane.expect_answer_of("one", "SE1-A")?;
    dataplane.expect_answer_of("two", "SE1-B")?;
    dataplane.expect_refusal("VP004", "SE1-C")?;
    // The release's namespace is not watched here, so nobody writes about its objects.
    ensure!(namespace.status(Kind::RoutingEntry, "not-watched").await.is_err(), "it has a status");

    // Another operator watches everything, and in particular what many others have left here.
    let mut everything = namespace.operator("operator-b", &["--watch-all-namespaces", "--name=everything"])?;
    until("it has read everything", Duration::from_secs(20), async || {
        let table = everything.status()?;
        ensure!(table["objects"]["total"].as_u64().unwrap_or_default() >= 4, "{table}");
        Ok(())
    })
    .await?;
    everything.platform.kill();
    Ok(())
}
