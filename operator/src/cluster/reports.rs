//! What replicas tell each other: each keeps a Lease of its own and writes into its annotations how far its dataplanes
//! have come. They need no port to each other, it survives any of them, and `kubectl` shows it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};
use serde_json::json;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tracing::warn;

use super::{Replica, describe};
use crate::ledger::Ledger;
use crate::rollout::Report;

/// The annotation that holds the report.
const ANNOTATION: &str = "rivmesh.io/report";
/// The label by which the replicas of one operator find each other's leases.
const LABEL: &str = "rivmesh.io/replica-of";
/// A report is written this often at most.
const WRITE: Duration = Duration::from_secs(1);
/// A replica that has nothing new to say says that it is there, this often.
const RENEW: Duration = Duration::from_secs(10);
/// A replica that has not been heard of for this long counts for nothing: its dataplanes have gone to others.
const STALE: Duration = Duration::from_secs(35);
/// How long a request may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Writes this replica's report and reads those of the others, for as long as it is polled. The lease is removed when
/// `stop` ends.
pub(crate) async fn exchange(client: Client, replica: Replica, ledger: Arc<Ledger>, stop: impl Future<Output = ()>) {
    let leases: Api<Lease> = Api::namespaced(client, &replica.namespace);
    tokio::select! {
        () = write(&leases, &replica, &ledger) => {}
        () = read(leases.clone(), &replica, &ledger) => {}
        () = stop => {}
    }
    // The pod owns it, so what cannot be removed now goes with the pod.
    let _ = timeout(PATIENCE, leases.delete(&replica.pod, &DeleteParams::default())).await;
}

async fn write(leases: &Api<Lease>, replica: &Replica, ledger: &Ledger) {
    let mut ticks = interval(WRITE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut written: Option<(Report, Instant)> = None;
    loop {
        ticks.tick().await;
        let report = ledger.report();
        if written.as_ref().is_some_and(|(said, at)| *said == report && at.elapsed() < RENEW) {
            continue;
        }
        let patch = Patch::Apply(lease(replica, &report));
        let params = PatchParams::apply(&replica.manager()).force();
        match timeout(PATIENCE, leases.patch(&replica.pod, &params, &patch)).await {
            Ok(Ok(_)) => written = Some((report, Instant::now())),
            Ok(Err(error)) => warn!("this replica's report could not be written: {}", describe(&error)),
            Err(_) => warn!("this replica's report could not be written: the API server does not answer"),
        }
    }
}

fn lease(replica: &Replica, report: &Report) -> serde_json::Value {
    let report = serde_json::to_string(report).expect("names and numbers are JSON");
    let owner = OwnerReference {
        api_version: "v1".to_owned(),
        kind: "Pod".to_owned(),
        name: replica.pod.clone(),
        uid: replica.uid.clone(),
        ..OwnerReference::default()
    };
    json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {
            "name": replica.pod,
            "labels": {LABEL: replica.name},
            "annotations": {ANNOTATION: report},
            "ownerReferences": if replica.uid.is_empty() { vec![] } else { vec![owner] },
        },
        "spec": {
            "holderIdentity": replica.pod,
            "leaseDurationSeconds": STALE.as_secs(),
            "renewTime": Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string(),
        },
    })
}

/// The other replicas, as last heard of.
#[derive(Debug, Default)]
struct Peers(BTreeMap<String, Peer>);

#[derive(Debug)]
struct Peer {
    version: Option<String>,
    /// When its lease last changed, by our own clock.
    heard: Instant,
    report: Report,
}

impl Peers {
    fn hear(&mut self, lease: Lease, me: &str, now: Instant) {
        let Some(name) = lease.metadata.name.filter(|name| name != me) else { return };
        let version = lease.metadata.resource_version;
        if self.0.get(&name).is_some_and(|peer| peer.version == version) {
            return;
        }
        let annotation = lease.metadata.annotations.as_ref().and_then(|annotations| annotations.get(ANNOTATION));
        match annotation.map(|text| serde_json::from_str(text)) {
            Some(Ok(report)) => drop(self.0.insert(name, Peer { version, heard: now, report })),
            Some(Err(error)) => warn!("the report of {name} cannot be read: {error}"),
            None => {}
        }
    }

    /// Reports of those that are there.
    fn reports(&self, now: Instant) -> Vec<Report> {
        let is_there = |peer: &&Peer| now.saturating_duration_since(peer.heard) < STALE;
        self.0.values().filter(is_there).map(|peer| peer.report.clone()).collect()
    }
}

async fn read(leases: Api<Lease>, replica: &Replica, ledger: &Ledger) {
    let config = watcher::Config::default().labels(&format!("{LABEL}={}", replica.name));
    let mut events = watcher(leases, config).default_backoff().boxed();
    let mut peers = Peers::default();
    let mut ticks = interval(WRITE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut listed = Vec::new();
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(Ok(Event::Init)) => listed.clear(),
                Some(Ok(Event::InitApply(lease))) => {
                    listed.extend(lease.metadata.name.clone());
                    peers.hear(lease, &replica.pod, Instant::now());
                }
                Some(Ok(Event::InitDone)) => peers.0.retain(|name, _| listed.contains(name)),
                Some(Ok(Event::Apply(lease))) => peers.hear(lease, &replica.pod, Instant::now()),
                Some(Ok(Event::Delete(lease))) => {
                    lease.metadata.name.and_then(|name| peers.0.remove(&name));
                }
                Some(Err(error)) => warn!("the other replicas' reports cannot be followed: {error}"),
                None => return,
            },
            _ = ticks.tick() => {}
        }
        // A replica that can no longer be heard stops counting only when its dataplanes must have left it.
        ledger.set_peers(peers.reports(Instant::now()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::versions::Versions;

    fn replica(pod: &str) -> Replica {
        Replica { name: "rivmesh".to_owned(), namespace: "tak".to_owned(), pod: pod.to_owned(), uid: String::new() }
    }

    fn written(pod: &str, version: &str, report: &Report) -> Lease {
        let mut lease: Lease = serde_json::from_value(lease(&replica(pod), report)).expect("a lease");
        lease.metadata.resource_version = Some(version.to_owned());
        lease
    }

    #[test]
    fn a_report_survives_the_lease_and_a_silent_replica_stops_counting() {
        let report = Report {
            floor: Versions::from([("routingentries", 7)]),
            pods: vec!["dataplane-a".to_owned()],
            exceptions: Vec::new(),
        };
        let (mut peers, start) = (Peers::default(), Instant::now());
        peers.hear(written("other", "1", &report), "me", start);
        peers.hear(written("me", "2", &Report::default()), "me", start);
        assert_eq!(peers.reports(start), std::slice::from_ref(&report));

        // The same lease heard again, as after a new list, does not make it younger.
        let later = start + STALE;
        peers.hear(written("other", "1", &report), "me", later);
        assert_eq!(peers.reports(later), []);
        peers.hear(written("other", "3", &report), "me", later);
        assert_eq!(peers.reports(later), [report]);
    }

    #[test]
    fn a_report_that_cannot_be_read_leaves_the_one_before() {
        let (mut peers, start) = (Peers::default(), Instant::now());
        peers.hear(written("other", "1", &Report::default()), "me", start);
        let mut broken = written("other", "2", &Report::default());
        broken.metadata.annotations = Some(BTreeMap::from([(ANNOTATION.to_owned(), "{".to_owned())]));
        peers.hear(broken, "me", start);
        assert_eq!(peers.reports(start), [Report::default()]);
    }
}
