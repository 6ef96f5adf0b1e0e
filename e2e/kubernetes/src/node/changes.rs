//! What administrators change while calls are made: routes, certificates, trust.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Api;
use kube::api::{Patch, PatchParams};
use rivmesh_e2e::pki::Pki;
use serde_json::json;

use super::cluster::FIRST;
use super::release::{Half, consumers_of, metric_of};
use super::world::{CONSUMER, PRODUCER, SERVER, World};
use crate::suite::{Case, cases, until};
use crate::traffic::{Identity, call_once};

pub(super) fn cases() -> Vec<Case<World>> {
    cases![a_route_is_moved, the_operators_certificate_is_lost]
}

/// Ends with a platform that knows other authorities than the other cases do.
pub(super) fn last_cases() -> Vec<Case<World>> {
    cases![trust_is_moved_to_other_authorities]
}

/// Longer than a kubelet takes to renew what it has mounted.
const MOUNTED: Duration = Duration::from_secs(150);

/// There and back: whoever waits for `Programmed` may rely on the next call.
async fn a_route_is_moved(world: &World) -> Result<()> {
    for producer in ["two", "one", "two", "one"] {
        world.traffic().expect_from(&["one", "two"]);
        let began = Instant::now();
        world.route_to(producer).await?;
        let wait = ["wait", "--for=condition=Programmed", "--timeout=30s", "routingentry/traffic"];
        world.region.kubectl(&wait)?;
        println!("      moved to {producer} after {:.2} s", began.elapsed().as_secs_f64());
        world.traffic().expect_from(&[producer]);
        // Enough calls to meet a dataplane that is behind.
        let account = world.traffic().close_account().await?;
        account.expect_none_lost()?;
        until("200 calls after the move", Duration::from_secs(30), async || {
            let so_far = world.traffic().answered();
            ensure!(so_far >= 200, "there were {so_far}");
            Ok(())
        })
        .await?;
    }
    Ok(())
}

/// As after a restore of a cluster from Git, where the Secret is as empty as the chart makes it.
async fn the_operators_certificate_is_lost(world: &World) -> Result<()> {
    let region = &world.region;
    let config_maps: Api<ConfigMap> = Api::namespaced(region.client().clone(), region.namespace);
    let published = async || -> Result<String> {
        let data = config_maps.get("rivmesh-operator-ca").await?.data.unwrap_or_default();
        data.get("ca.crt").cloned().context("no authority is published")
    };
    let before = published().await?;
    let secrets: Api<Secret> = Api::namespaced(region.client().clone(), region.namespace);
    secrets.patch("rivmesh-operator-tls", &PatchParams::default(), &Patch::Merge(json!({"data": null}))).await?;
    until("another authority is published", Duration::from_secs(60), async || {
        ensure!(published().await? != before, "it is still the one before");
        Ok(())
    })
    .await?;
    // Nothing of the old one is left in the operators; dataplanes learn of the new one from their kubelet.
    region.kubectl(&["delete", "pod", "-l", "app.kubernetes.io/component=operator"])?;
    region.until_pods(Half::Operator, 2, Duration::from_secs(60)).await?;
    until("all dataplanes follow an operator again", MOUNTED, async || {
        for pod in region.pods(Half::Dataplane).await? {
            ensure!(metric_of(&pod, "rivmesh_feed_connected", "")? > 0.5, "{:?} does not", pod.metadata.name);
        }
        Ok(())
    })
    .await?;
    world.changes_are_programmed(Duration::from_secs(60)).await
}

/// What each side shows, and whom it trusts, is moved from one PKI to another, step by step, each side in its turn.
async fn trust_is_moved_to_other_authorities(world: &World) -> Result<()> {
    let region = &world.region;
    let next = Pki::create(&world.parts.directory.join("next-pki"))?;
    next.issue_server(SERVER, &[])?;
    next.issue_server(PRODUCER, &[FIRST.host()])?;
    let (old, new) = (world.pki.directory(), next.directory());
    let both = world.parts.directory.join("both.pem");
    fs::write(&both, bundle(&[old, new], "root.pem")?)?;
    let (old_root, new_root) = (old.join("root.pem"), new.join("root.pem"));

    // Both are trusted by everybody.
    trust(world, &[old, new]).await?;
    for producer in [&world.one, &world.two] {
        producer.set_identity(old, PRODUCER, &both)?;
    }
    world.traffic().set_identity(Identity::new(old, CONSUMER, &both)?);
    let newcomer = Identity::new(new, CONSUMER, &old_root)?;
    until_everywhere(world, "a consumer of the new authorities is taken", &newcomer, true).await?;

    // The platform shows its new certificates.
    region.set_identity("server", new, SERVER).await?;
    region.set_identity("client", new, "platform-client").await?;
    let strict = Identity::new(new, CONSUMER, &new_root)?;
    until_everywhere(world, "the new certificate is shown", &strict, true).await?;

    // Then everybody else does, and the old ones end.
    for producer in [&world.one, &world.two] {
        producer.set_identity(new, PRODUCER, &both)?;
    }
    world.traffic().set_identity(strict);
    trust(world, &[new]).await?;
    let outcast = Identity::new(old, CONSUMER, &new_root)?;
    until_everywhere(world, "a consumer of the old authorities is refused", &outcast, false).await
}

/// The platform trusts consumers and producers of these PKIs.
async fn trust(world: &World, pkis: &[&Path]) -> Result<()> {
    let (roots, lists) = (bundle(pkis, "root.pem")?, bundle(pkis, "current.crl")?);
    world.region.set_secret("consumers", &[("ca.crt", &roots), ("site.crl", &lists)]).await?;
    world.region.set_secret("producers", &[("ca.crt", &roots)]).await
}

fn bundle(pkis: &[&Path], file: &str) -> Result<String> {
    pkis.iter().map(|pki| Ok(fs::read_to_string(pki.join(file))?)).collect()
}

/// Waits until every dataplane takes, or refuses, calls of this consumer.
async fn until_everywhere(world: &World, what: &str, consumer: &Identity, taken: bool) -> Result<()> {
    until(what, MOUNTED, async || {
        for pod in world.region.pods(Half::Dataplane).await? {
            let target: SocketAddr = consumers_of(&pod)?;
            let outcome = call_once(target, consumer, &world.call(), 1, None).await;
            ensure!(outcome.is_ok() == taken, "{:?}: {outcome:?}", pod.metadata.name);
        }
        Ok(())
    })
    .await
}
