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

use super::again::Again;
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

/// The replicas, as last heard of, this one among them: that its own report comes back is the proof that it hears at all.
#[derive(Debug)]
struct Replicas {
    me: String,
    known: BTreeMap<String, Known>,
}

#[derive(Debug)]
struct Known {
    version: Option<String>,
    /// When its lease last changed, by our own clock.
    heard: Instant,
    report: Report,
}

impl Replicas {
    fn new(me: &str) -> Self {
        Self { me: me.to_owned(), known: BTreeMap::new() }
    }

    fn hear(&mut self, lease: Lease, now: Instant) {
        let Some(name) = lease.metadata.name else { return };
        let version = lease.metadata.resource_version;
        if self.known.get(&name).is_some_and(|known| known.version == version) {
            return;
        }
        let annotation = lease.metadata.annotations.as_ref().and_then(|annotations| annotations.get(ANNOTATION));
        match annotation.map(|text| serde_json::from_str(text)) {
            Some(Ok(report)) => {
                self.pass_over_deafness(now);
                self.known.insert(name, Known { version, heard: now, report });
            }
            Some(Err(error)) => warn!("the report of {name} cannot be read: {error}"),
            None => {}
        }
    }

    /// When anybody was last heard of.
    fn last(&self) -> Option<Instant> {
        self.known.values().map(|known| known.heard).max()
    }

    /// Whether this replica hears: were it cut off, its own report would not come back either.
    fn hears(&self, now: Instant) -> bool {
        self.last().is_some_and(|last| now.saturating_duration_since(last) < STALE)
    }

    /// Time in which this replica heard nobody makes nobody older.
    fn pass_over_deafness(&mut self, now: Instant) {
        let Some(last) = self.last().filter(|_| !self.hears(now)) else { return };
        let deaf = now.saturating_duration_since(last);
        for known in self.known.values_mut() {
            known.heard += deaf;
        }
    }

    /// Reports of the others that are there, the one heard of last first. Silence counts only as long as something is
    /// heard: of a replica that hears nobody, the others keep the place that they had.
    fn reports(&self) -> Vec<Report> {
        let Some(last) = self.last() else { return Vec::new() };
        let is_there = |known: &Known| last.saturating_duration_since(known.heard) < STALE;
        let others = self.known.iter().filter(|(name, known)| **name != self.me && is_there(known));
        let mut there: Vec<&Known> = others.map(|(_, known)| known).collect();
        there.sort_by_key(|known| Reverse(known.heard));
        there.into_iter().map(|known| known.report.clone()).collect()
    }
}

async fn read(leases: Api<Lease>, replica: &Replica, ledger: &Ledger) {
    let config = watcher::Config::default().labels(&format!("{LABEL}={}", replica.name));
    let mut events = watcher(leases, config).backoff(Again::default()).boxed();
    let mut replicas = Replicas::new(&replica.pod);
    let mut heard = false;
    let mut ticks = interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut listed = Vec::new();
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(Ok(Event::Init)) => listed.clear(),
                Some(Ok(Event::InitApply(lease))) => {
                    listed.extend(lease.metadata.name.clone());
                    replicas.hear(lease, Instant::now());
                }
                Some(Ok(Event::InitDone)) => replicas.known.retain(|name, _| listed.contains(name)),
                Some(Ok(Event::Apply(lease))) => replicas.hear(lease, Instant::now()),
                Some(Ok(Event::Delete(lease))) => {
                    lease.metadata.name.and_then(|name| replicas.known.remove(&name));
                }
                Some(Err(error)) => warn!("the other replicas' reports cannot be followed: {error}"),
                None => return,
            },
            _ = ticks.tick() => {}
        }
        let hears = replicas.hears(Instant::now());
        if heard && !hears {
            warn!(
                "no replica's report has been heard for {} s, not even this one's own; until that ends, no dataplane is \
                 taken for missing",
                STALE.as_secs()
            );
        }
        heard = hears;
        ledger.set_peers(replicas.reports(), hears);
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

    fn routing(pod: &str) -> Report {
        let pods = vec![pod.to_owned()];
        Report { floor: Versions::from([("routingentries", 7)]), pods, exceptions: Vec::new() }
    }

    #[test]
    fn a_report_survives_the_lease_and_a_silent_replica_stops_counting() {
        let report = routing("dataplane-a");
        let (mut replicas, start) = (Replicas::new("me"), Instant::now());
        replicas.hear(written("other", "1", &report), start);
        replicas.hear(written("me", "2", &Report::default()), start);
        assert_eq!(replicas.reports(), std::slice::from_ref(&report));

        // The same lease heard again, as after a new list, does not make it younger.
        for (version, seconds) in [("3", 15), ("4", 30), ("5", 35)] {
            let later = start + Duration::from_secs(seconds);
            replicas.hear(written("other", "1", &report), later);
            replicas.hear(written("me", version, &Report::default()), later);
        }
        assert_eq!(replicas.reports(), []);
        replicas.hear(written("other", "6", &report), start + STALE);
        assert_eq!(replicas.reports(), [report]);
    }

    #[test]
    fn who_hears_nobody_takes_nobody_for_gone() {
        let (one, two) = (routing("dataplane-a"), routing("dataplane-b"));
        let (mut replicas, start) = (Replicas::new("me"), Instant::now());
        assert!(!replicas.hears(start), "before the first report comes back it is not known");
        replicas.hear(written("one", "1", &one), start);
        replicas.hear(written("two", "2", &two), start + Duration::from_secs(5));
        replicas.hear(written("me", "3", &Report::default()), start + Duration::from_secs(9));
        let all = [two.clone(), one.clone()];

        // The way to the API server is gone, or the watch has died without a word.
        let deaf = start + Duration::from_secs(200);
        assert_eq!((replicas.hears(deaf), replicas.reports()), (false, all.to_vec()));
        // What is heard first shows that something is heard again; the others have from now on to be heard.
        replicas.hear(written("me", "4", &Report::default()), deaf);
        assert_eq!((replicas.hears(deaf), replicas.reports()), (true, all.to_vec()));
        replicas.hear(written("one", "5", &one), deaf + Duration::from_secs(20));
        assert_eq!(replicas.reports(), [one.clone(), two]);
        replicas.hear(written("me", "6", &Report::default()), deaf + Duration::from_secs(31));
        assert_eq!(replicas.reports(), [one]);
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
        let (mut replicas, start) = (Replicas::new("me"), Instant::now());
        replicas.hear(written("other", "1", &Report::default()), start);
        let mut broken = written("other", "2", &Report::default());
        broken.metadata.annotations = Some(BTreeMap::from([(ANNOTATION.to_owned(), "{".to_owned())]));
        replicas.hear(broken, start);
        assert_eq!(replicas.reports(), [Report::default()]);
    }
}
