//! What replicas tell each other: each keeps a Lease of its own and writes into its annotations how far its dataplanes
//! have come. They need no port to each other, it survives any of them, and `kubectl` shows it.

use std::cmp::Reverse;
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
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tracing::warn;

use super::pace::Pace;
use super::{Replica, describe};
use crate::ledger::Ledger;
use crate::rollout::Report;
use crate::versions::Versions;

/// The annotation that holds the report.
const ANNOTATION: &str = "rivmesh.io/report";
/// The label by which the replicas of one operator find each other's leases.
const LABEL: &str = "rivmesh.io/replica-of";
/// Reports are written this often in the long run.
const WRITES_PER_SECOND: f64 = 1.0;
/// After a pause this many may follow each other: somebody waits for the first change after it.
const WRITES_AT_ONCE: f64 = 5.0;
/// How often it is looked whether another replica has stopped counting, and how long a failed write waits.
const LOOK: Duration = Duration::from_secs(1);
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
    let mut snapshots = ledger.snapshots();
    let mut written: Option<(Report, Instant)> = None;
    let mut pace = Pace::new(WRITES_PER_SECOND, WRITES_AT_ONCE);
    loop {
        sleep(pace.wait(Instant::now())).await;
        snapshots.borrow_and_update();
        let (report, changed) = ledger.report();
        if let Some((_, at)) = written.as_ref().filter(|(said, _)| !is_news(said, &report, &changed)) {
            let renewal = RENEW.saturating_sub(at.elapsed());
            if let Ok(Ok(())) = timeout(renewal, snapshots.changed()).await {
                continue;
            }
        }
        pace.take();
        let patch = Patch::Apply(lease(replica, &report));
        let params = PatchParams::apply(&replica.manager()).force();
        match timeout(PATIENCE, leases.patch(&replica.pod, &params, &patch)).await {
            Ok(Ok(_)) => written = Some((report, Instant::now())),
            Ok(Err(error)) => complain(&describe(&error)).await,
            Err(_) => complain("the API server does not answer").await,
        }
    }
}

/// Whether anybody could be waiting for the difference. That the source was read on, past the last change, is none: it
/// is so after every status that is written.
fn is_news(said: &Report, report: &Report, changed: &Versions) -> bool {
    let is_floor_news = said.floor != report.floor && !said.floor.covers(changed);
    said.pods != report.pods || said.exceptions != report.exceptions || is_floor_news
}

async fn complain(problem: &str) {
    warn!("this replica's report could not be written: {problem}");
    sleep(LOOK).await;
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

    /// Reports of those that are there, the one heard of last first.
    fn reports(&self, now: Instant) -> Vec<Report> {
        let is_there = |peer: &&Peer| now.saturating_duration_since(peer.heard) < STALE;
        let mut there: Vec<&Peer> = self.0.values().filter(is_there).collect();
        there.sort_by_key(|peer| Reverse(peer.heard));
        there.into_iter().map(|peer| peer.report.clone()).collect()
    }
}

async fn read(leases: Api<Lease>, replica: &Replica, ledger: &Ledger) {
    let config = watcher::Config::default().labels(&format!("{LABEL}={}", replica.name));
    let mut events = watcher(leases, config).default_backoff().boxed();
    let mut peers = Peers::default();
    let mut ticks = interval(LOOK);
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
    fn only_what_somebody_may_wait_for_is_news() {
        let at = |version: u64| Versions::from([("routingentries", version)]);
        let report = |floor: u64, pods: &[&str]| Report {
            floor: at(floor),
            pods: pods.iter().map(|pod| (*pod).to_owned()).collect(),
            exceptions: Vec::new(),
        };
        assert!(is_news(&report(10, &["a"]), &report(10, &["a", "b"]), &at(5)));
        assert!(is_news(&report(10, &["a"]), &report(12, &["a"]), &at(11)));
        assert!(!is_news(&report(11, &["a"]), &report(12, &["a"]), &at(11)));
        assert!(!is_news(&report(10, &["a"]), &report(10, &["a"]), &at(11)));
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
