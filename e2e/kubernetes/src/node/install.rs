//! The platform as it is installed: examples, the test of the chart, rights.

use anyhow::{Context, Result, ensure};
use rivmesh_crds::{ConditionType, Kind};
use serde_json::json;

use super::release::{Half, admin_of};
use super::world::World;
use crate::admin;
use crate::suite::{Case, PATIENCE, cases, until};

pub(super) fn cases() -> Vec<Case<World>> {
    cases![the_examples_are_applied_and_called, the_rights_are_the_least]
}

/// The journal viewer of the examples.
const JOURNAL_VIEWER: &str = "SE2329990001-JRN1";

async fn the_examples_are_applied_and_called(world: &World) -> Result<()> {
    let region = &world.region;
    let examples = World::charts().join("../examples/quickstart");
    for file in ["contracts", "authorizations", "routes"] {
        region.kubectl(&["apply", "-f", &examples.join(format!("{file}.yaml")).display().to_string()])?;
    }
    let objects = [
        (Kind::ServiceContract, "get-greeting-1"),
        (Kind::CallAuthorization, "journal-viewer-greetings"),
        (Kind::RoutingEntry, "hospital"),
        (Kind::RoutingEntry, "greetings-for-everybody-else"),
    ];
    for (kind, name) in objects {
        region.until_true(kind, name, ConditionType::Ready).await?;
    }
    let shown = region.kubectl(&["get", "tak"])?;
    for text in ["routingentry.rivmesh.io/hospital", "callauthorization.rivmesh.io/", "servicecontract.rivmesh.io/"] {
        ensure!(shown.contains(text), "`kubectl get tak` shows no {text}:\n{shown}");
    }

    // The hospital's system runs here, not where the example says.
    let endpoints = json!({"spec": {"producer": {"endpoints": [{"url": world.one.url("/journal")}]}}}).to_string();
    region.kubectl(&["patch", "routingentry", "hospital", "--type=merge", "-p", &endpoints])?;
    region.kubectl(&["wait", "--for=condition=Programmed", "--timeout=30s", "routingentry/hospital"])?;
    // A clinic of the hospital, which only the tree of HSA units leads to it, is called by the journal viewer from a pod.
    world.pki.issue_client("journal-viewer", JOURNAL_VIEWER)?;
    let pki = world.pki.directory();
    region.set_identity("journal-viewer", pki, "journal-viewer").await?;
    let units = format!("--from-file=hsaunits.xml={}", examples.join("hsaunits.xml").display());
    region.kubectl(&["create", "configmap", "hsa-units", &units])?;
    let test = json!({
        "clientSecret": "journal-viewer",
        "trust": {"secret": "producers"},
        "serverName": "localhost",
        "contract": "urn:riv:rivmesh:demo:GetGreetingResponder:1",
        "logicalAddress": "SE2329990001-E110",
    });
    let values = json!({"hsaUnits": [{"configMap": "hsa-units", "key": "hsaunits.xml"}], "test": test});
    region.upgrade(&World::charts(), values)?;
    until("every dataplane knows the HSA units", PATIENCE, async || {
        for pod in region.pods(Half::Dataplane).await? {
            let rows = &admin::status(admin_of(&pod)?)?["table"]["rows"];
            ensure!(rows["hsaUnits"].as_u64() > Some(0), "{:?} has {rows}", pod.metadata.name);
        }
        Ok(())
    })
    .await?;
    let helm = |arguments: &[&str]| world.cluster.administrator.helm(arguments);
    helm(&["test", "rivmesh", "--namespace", region.namespace, "--logs"]).context("helm test")?;
    region.upgrade(&World::charts(), json!({"test": {"logicalAddress": "SE2329990001-E300", "expect": "VP009"}}))?;
    helm(&["test", "rivmesh", "--namespace", region.namespace, "--logs"])
        .context("an address that nobody answers for")?;
    Ok(())
}

async fn the_rights_are_the_least(world: &World) -> Result<()> {
    let can = |who: &str, namespace: &str, what: &[&str]| {
        let account = format!("--as=system:serviceaccount:{}:{who}", world.region.namespace);
        let arguments = [&["auth", "can-i", "-n", namespace, &account][..], what].concat();
        // kubectl fails where the answer is no.
        world.cluster.kubectl(&arguments).is_ok()
    };
    let here = world.region.namespace;
    let refused = [
        ("rivmesh-dataplane", here, &["get", "routingentries.rivmesh.io"][..]),
        ("rivmesh-dataplane", here, &["get", "secrets"]),
        ("rivmesh-dataplane", here, &["get", "pods"]),
        ("rivmesh-operator", here, &["update", "routingentries.rivmesh.io"]),
        ("rivmesh-operator", here, &["patch", "routingentries.rivmesh.io"]),
        ("rivmesh-operator", here, &["delete", "routingentries.rivmesh.io"]),
        ("rivmesh-operator", here, &["get", "secrets/server"]),
        ("rivmesh-operator", here, &["list", "secrets"]),
        ("rivmesh-operator", here, &["create", "pods"]),
        ("rivmesh-operator", "default", &["list", "routingentries.rivmesh.io"]),
        ("rivmesh-operator", "default", &["get", "configmaps"]),
    ];
    for (who, namespace, what) in refused {
        ensure!(!can(who, namespace, what), "{who} may {what:?} in {namespace}");
    }
    // The same question about what it needs is answered with yes: the names above are right.
    let granted = [
        &["list", "routingentries.rivmesh.io"][..],
        &["patch", "routingentries.rivmesh.io", "--subresource=status"],
        &["get", "secrets/rivmesh-operator-tls"],
        &["create", "tokenreviews.authentication.k8s.io"],
    ];
    for what in granted {
        ensure!(can("rivmesh-operator", here, what), "the operator may not {what:?}");
    }
    let roles = world.cluster.kubectl(&["get", "clusterrole", "rivmesh-tak-view", "rivmesh-tak-edit", "-o", "yaml"])?;
    ensure!(!roles.contains("aggregate-to"), "the roles of TAK administrators come along with others:\n{roles}");
    Ok(())
}
