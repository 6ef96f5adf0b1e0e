//! Single parts that fail: a dataplane, its disk, a producer, an object.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use rivmesh_crds::{ConditionStatus, ConditionType, Kind, Reason};
use serde_json::json;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::deletion::release;
use super::release::{Half, Release, consumers_of, metric_of, restarts, started};
use super::world::World;
use crate::objects::{self, route};
use crate::suite::{Case, PATIENCE, cases, until};
use crate::traffic::{Call, HANGS, Losses, Rate, call_once};

pub(super) fn cases() -> Vec<Case<World>> {
    cases![a_dataplane_is_killed, a_producer_hangs, an_object_cannot_be_read, the_disk_of_the_table_is_full]
}

async fn a_dataplane_is_killed(world: &World) -> Result<()> {
    let region = &world.region;
    let pods = region.pods(Half::Dataplane).await?;
    let victim = pods.first().context("there are dataplanes")?;
    let (name, before) = (victim.name_any(), restarts(victim));
    let listener = consumers_of(victim)?;
    until("the Service leads to it", PATIENCE, async || {
        ensure!(region.endpoints().await?.contains(&listener.ip()), "it does not");
        Ok(())
    })
    .await?;
    let outage = tokio::spawn(until_it_listens_again(listener));
    region.signal(Half::Dataplane, &name, "KILL")?;
    let taken_out = until_taken_out(region, listener.ip(), &outage).await?;
    let outage = outage.await??;
    let started = until("it is ready again", Duration::from_secs(60), async || {
        let pods = region.until_pods(Half::Dataplane, pods.len(), PATIENCE).await?;
        let pod = pods.iter().find(|pod| pod.name_any() == name).context("its pod goes on")?;
        ensure!(restarts(pod) > before, "it was not killed yet");
        ensure!(restarts(pod) == before + 1, "it did not come up at the first attempt");
        started(pod)
    })
    .await?;
    // How long the kubelet takes is its own business; from there on it is ours.
    let listened =
        (SystemTime::now() - outage.end.elapsed()).duration_since(UNIX_EPOCH)?.as_secs_f64() - started as f64;
    ensure!(listened < 5.0, "it listened {listened:.1} s after it was started");
    let account = world.traffic().close_account().await?;
    let Losses { refused, broken } = account.losses()?;
    println!("      {account}");
    println!(
        "      {broken} calls in flight were broken off, {refused} connections refused in the {:.1?} without it",
        outage.end.duration_since(outage.start)
    );
    // Of its own it had half a tenth of a second's calls at the very most. Until the kubelet has noticed, new connections are
    // sent there and refused, and that is not in our hands; that nothing fails once it is out of the Service is, or back.
    ensure!(broken <= Rate::STEADY.calls_in(Duration::from_millis(50)), "more than were in flight");
    let late = account.failures.iter().find(|failure| failure.began > outage.end);
    ensure!(late.is_none(), "it listened again, and yet {late:?}");
    if let Some(taken_out) = taken_out {
        println!("      out of the Service after {:.1?}", taken_out.saturating_duration_since(outage.start));
        // kube-proxy needs a moment.
        let late = account.failures.iter().find(|failure| failure.began > taken_out + Duration::from_secs(5));
        ensure!(late.is_none(), "it was out of the Service, and yet {late:?}");
    }
    world.changes_are_programmed(PATIENCE).await
}

/// From when until when a listener is away that is about to go.
async fn until_it_listens_again(listener: SocketAddr) -> Result<Range<Instant>> {
    let until_listening = async |wanted: bool| {
        let limit = tokio::time::timeout(PATIENCE, async {
            while TcpStream::connect(listener).await.is_ok() != wanted {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Instant::now()
        });
        limit.await.with_context(|| format!("{listener} listens: not {wanted} in time"))
    };
    Ok(until_listening(false).await?..until_listening(true).await?)
}

/// When Kubernetes takes a pod's address out of the Service, unless its outage is over before that is seen.
async fn until_taken_out<T>(region: &Release, pod: IpAddr, outage: &JoinHandle<T>) -> Result<Option<Instant>> {
    while !outage.is_finished() {
        if region.endpoints().await.is_ok_and(|known| !known.contains(&pod)) {
            return Ok(Some(Instant::now()));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(None)
}

async fn a_producer_hangs(world: &World) -> Result<()> {
    let region = &world.region;
    region.apply(&route("hangs", &["SE1-HANGS"], &world.two.url(HANGS))).await?;
    region.until_true(Kind::RoutingEntry, "hangs", ConditionType::Ready).await?;
    let call = Call { address: "SE1-HANGS".to_owned(), expected: vec!["two"] };
    let (target, consumer) = (region.consumers().await?, world.consumer()?);
    let calls: Vec<_> = (0..200)
        .map(|number| {
            let (call, consumer) = (call.clone(), consumer.clone());
            tokio::spawn(async move { call_once(target, &consumer, &call, number, None).await })
        })
        .collect();
    until("all of them wait", PATIENCE, async || {
        let mut waiting = 0.0;
        for pod in region.pods(Half::Dataplane).await? {
            waiting += metric_of(&pod, "rivmesh_producer_calls_in_flight", "")?;
        }
        ensure!(waiting >= 200.0, "{waiting} do");
        Ok(())
    })
    .await?;
    let so_far = world.traffic().answered();
    until("1000 calls beside them", PATIENCE, async || {
        let more = world.traffic().answered() - so_far;
        ensure!(more >= 1000, "there were {more}");
        Ok(())
    })
    .await?;
    ensure!(calls.iter().all(|call| !call.is_finished()), "some calls did not hang");
    calls.iter().for_each(tokio::task::JoinHandle::abort);
    region.kubectl(&["delete", "routingentry", "hangs"]).map(drop)
}

async fn an_object_cannot_be_read(world: &World) -> Result<()> {
    let region = &world.region;
    // Somebody loosens the definition, as a newer one might, and writes what this operator cannot read.
    let definitions: Api<CustomResourceDefinition> = Api::all(region.client().clone());
    let loose = json!([{
        "op": "replace",
        "path": "/spec/versions/0/schema/openAPIV3Schema/properties/spec",
        "value": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
    }]);
    let patch: Patch<()> = Patch::Json(serde_json::from_value(loose)?);
    definitions.patch("routingentries.rivmesh.io", &PatchParams::default(), &patch).await?;
    let entries = objects::api(region.client(), region.namespace, Kind::RoutingEntry);
    let poison = json!({"apiVersion": "rivmesh.io/v1alpha1", "kind": "RoutingEntry", "metadata": {"name": "poison"},
        "spec": {"serviceContracts": {"not": "a list"}, "logicalAddresses": [1, 2]}});
    until("the loosened definition is in use", PATIENCE, async || {
        entries.create(&PostParams::default(), &serde_json::from_value(poison.clone())?).await.map(drop)?;
        Ok(())
    })
    .await?;
    let entry = (Kind::RoutingEntry, "poison");
    let (accepted, reason) = (ConditionType::Accepted, Reason::Undecodable);
    objects::until(region.client(), region.namespace, entry, accepted, ConditionStatus::False, reason).await?;
    world.changes_are_programmed(PATIENCE).await?;

    // An operator that starts beside it is ready all the same.
    region.kubectl(&["delete", "pod", "-l", "app.kubernetes.io/component=operator"])?;
    region.until_pods(Half::Operator, 2, Duration::from_secs(60)).await?;
    world.changes_are_programmed(PATIENCE).await?;
    entries.delete("poison", &DeleteParams::default()).await?;
    // Helm takes a definition for unchanged that only somebody else has changed.
    let file = World::charts().join("rivmesh-crds/files/rivmesh.io_routingentries.yaml").display().to_string();
    world.cluster.kubectl(&["replace", "-f", &file]).map(drop)
}

/// 1 MiB is room for the tables of the other cases, not for that of a region.
async fn the_disk_of_the_table_is_full(world: &World) -> Result<()> {
    let region = &world.region;
    let disk = |volume: serde_json::Value| -> Result<()> {
        let patch = json!({"spec": {"template": {"spec": {"volumes": [{"name": "table", "emptyDir": volume}]}}}});
        region.kubectl(&["patch", "deployment", "rivmesh-dataplane", "-p", &patch.to_string()])?;
        region.kubectl(&["rollout", "status", "deployment/rivmesh-dataplane", "--timeout=180s"]).map(drop)
    };
    disk(json!({"medium": "Memory", "sizeLimit": "1Mi"}))?;
    region.until_pods(Half::Dataplane, 2, Duration::from_secs(120)).await?;
    let unsaved = async |wanted: bool| {
        until(&format!("dataplanes say that their table is unsaved: {wanted}"), PATIENCE, async || {
            for pod in region.pods(Half::Dataplane).await? {
                let says = metric_of(&pod, "rivmesh_table_unsaved", "")? > 0.5;
                ensure!(says == wanted, "{} says {says}", pod.name_any());
            }
            Ok(())
        })
        .await
    };
    unsaved(false).await?;
    let names: Vec<String> = (0..LARGE).map(|number| format!("large-{number}")).collect();
    for (number, name) in names.iter().enumerate() {
        let addresses: Vec<String> = (0..500).map(|unit| unlike_any_other(number * 500 + unit)).collect();
        let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
        region.apply(&route(name, &addresses, &world.two.url("/thing"))).await?;
    }
    for name in &names {
        region.until_true(Kind::RoutingEntry, name, ConditionType::Programmed).await?;
    }
    unsaved(true).await?;
    world.changes_are_programmed(PATIENCE).await?;

    // When there is room again, nobody has to do anything for the table to be saved.
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    region.kubectl(&[&["delete", "routingentry"], &names[..]].concat())?;
    release(world).await?;
    unsaved(false).await?;
    disk(json!({"medium": null, "sizeLimit": "512Mi"}))?;
    region.until_pods(Half::Dataplane, 2, Duration::from_secs(120)).await.map(drop)
}

/// How many objects of 500 rows do not fit into 1 MiB.
const LARGE: usize = 80;

/// An address that compresses badly.
fn unlike_any_other(number: usize) -> String {
    let scattered =
        |seed: u64| seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = number as u64;
    format!("SE{:016X}-{:016X}", scattered(number + 1), scattered(!number))
}
