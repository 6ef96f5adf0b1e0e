//! The shrink guard's memory in a cluster: a ConfigMap that the leader writes and every replica reads, so that operators
//! that are all restarted do not take an emptied catalogue for the truth. A person releases a held table by annotating
//! it with the table's digest.
//!
//! What is written is a part of the ledger: the table that is published, and the one that is held back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Patch, PatchParams};
use kube::runtime::watcher::watch_object;
use kube::{Api, Client};
use rivmesh_table::Digest;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tracing::{info, warn};

use super::guard_record::{BASELINE, HELD, Hold, RELEASE, baseline_in, config_map_name, hold_in, release_in};
use super::lease::Leadership;
use super::{Replica, describe};
use crate::guard::{Baseline, Guard, Held, Keeper};
use crate::ledger::Snapshot;
use crate::publish::Input;

/// Between two writes of a baseline: a catalogue that changes all the time is not written down all the time.
const PAUSE: Duration = Duration::from_secs(5);
/// Between attempts to read or write it.
const RETRY: Duration = Duration::from_secs(2);
/// How long a request may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The ConfigMap.
pub(crate) struct Store {
    config_maps: Api<ConfigMap>,
    name: String,
    manager: String,
    /// What the guard of this process goes by, once it has published a table.
    kept: watch::Receiver<Option<Baseline>>,
}

/// Hands on what is to be written, before the ledger's snapshot of the same table, and tells how to release.
#[derive(Debug)]
struct ByAnnotation {
    command: String,
    kept: watch::Sender<Option<Baseline>>,
}

impl Keeper for ByAnnotation {
    fn keep(&mut self, baseline: &Baseline) -> std::io::Result<()> {
        self.kept.send_replace(Some(*baseline));
        Ok(())
    }

    fn released(&self) -> Option<Digest> {
        None
    }

    fn how_to_release(&self, digest: Digest) -> String {
        format!("{}{digest}", self.command)
    }
}

/// What is to be written down.
#[derive(Debug, Clone, PartialEq, Eq)]
struct State {
    published: Option<Baseline>,
    held: Option<Arc<Held>>,
}

impl State {
    /// What is published and what a snapshot says; nothing before this process has a table.
    fn of(published: Option<Baseline>, snapshot: &Snapshot) -> Option<Self> {
        let held = snapshot.held.clone();
        (published.is_some() || held.is_some()).then_some(Self { published, held })
    }
}

impl Store {
    /// Reads the baseline, for as long as that takes: to start without it could publish an emptied table. Gives the
    /// guard that goes on from it.
    pub(crate) async fn open(client: &Client, replica: &Replica) -> (Self, Guard) {
        let name = config_map_name(&replica.name);
        let config_maps: Api<ConfigMap> = Api::namespaced(client.clone(), &replica.namespace);
        let baseline = loop {
            let problem = match timeout(PATIENCE, config_maps.get_opt(&name)).await {
                Ok(Ok(found)) => match found.as_ref().map_or(Ok(None), baseline_in) {
                    Ok(baseline) => break baseline,
                    Err(problem) => problem,
                },
                Ok(Err(error)) => describe(&error),
                Err(_) => "the API server does not answer".to_owned(),
            };
            warn!(
                "the baseline of the shrink guard in ConfigMap {name} cannot be read, and nothing is published before: {problem}"
            );
            tokio::time::sleep(RETRY).await;
        };
        let command = format!("kubectl annotate -n {} configmap {name} --overwrite {RELEASE}=", replica.namespace);
        let (sender, kept) = watch::channel(None);
        let keeper = ByAnnotation { command, kept: sender };
        let guard = Guard::with(baseline, Box::new(keeper));
        (Self { config_maps, name, manager: replica.manager(), kept }, guard)
    }

    /// Writes what is published and held while this replica leads, and tells what others wrote; for ever.
    pub(crate) async fn follow(
        self,
        snapshots: watch::Receiver<Arc<Snapshot>>,
        leadership: Leadership,
        tell: impl Fn(Input),
    ) {
        tokio::join!(self.write(snapshots, leadership), self.read(tell));
    }

    async fn write(&self, mut snapshots: watch::Receiver<Arc<Snapshot>>, mut leadership: Leadership) {
        let mut written: Option<(State, Instant)> = None;
        loop {
            // In this order: what is kept is then at least as new as the snapshot, and a newer snapshot is to come.
            let snapshot = snapshots.borrow_and_update().clone();
            let state = State::of(*self.kept.borrow(), &snapshot);
            let is_news = |state: &State| written.as_ref().is_none_or(|(before, _)| before != state);
            let due = state.filter(|state| is_news(state) && leadership.holds());
            // Somebody may be waiting for what is held, and for nothing else.
            let pause = match (&due, &written) {
                (Some(due), Some((before, at))) if due.held == before.held => PAUSE.saturating_sub(at.elapsed()),
                _ => Duration::ZERO,
            };
            if let Some(state) = due.clone().filter(|_| pause.is_zero()) {
                match timeout(PATIENCE, self.store(&state)).await {
                    Ok(Ok(())) => written = Some((state, Instant::now())),
                    Ok(Err(problem)) => self.complain(&problem).await,
                    Err(_) => self.complain("the API server does not answer").await,
                }
                continue;
            }
            tokio::select! {
                changed = snapshots.changed() => if changed.is_err() {
                    return;
                },
                () = leadership.changed() => {}
                () = tokio::time::sleep(pause), if due.is_some() => {}
            }
        }
    }

    async fn complain(&self, problem: &str) {
        let name = &self.name;
        warn!("the baseline of the shrink guard could not be written to ConfigMap {name}: {problem}");
        tokio::time::sleep(RETRY).await;
    }

    async fn store(&self, state: &State) -> Result<(), String> {
        let stored = self.config_maps.get_opt(&self.name).await.map_err(|error| describe(&error))?;
        let Some(patch) = patch(&stored.unwrap_or_default(), state, Timestamp::now()) else { return Ok(()) };
        let params = PatchParams { field_manager: Some(self.manager.clone()), ..PatchParams::default() };
        let patched = self.config_maps.patch(&self.name, &params, &Patch::Merge(patch)).await;
        patched.map(drop).map_err(|error| describe(&error))
    }

    async fn read(&self, tell: impl Fn(Input)) {
        let mut events = watch_object(self.config_maps.clone(), &self.name).boxed();
        let mut told: BTreeMap<&str, String> = BTreeMap::new();
        while let Some(event) = events.next().await {
            let config_map = match event {
                Ok(Some(config_map)) => config_map,
                // Whoever leads writes it anew with the next table.
                Ok(None) => continue,
                Err(error) => {
                    warn!("the baseline of the shrink guard cannot be followed: {error}");
                    tokio::time::sleep(RETRY).await;
                    continue;
                }
            };
            let is_news = |told: &mut BTreeMap<&str, String>, what: &'static str, value: String| {
                told.insert(what, value.clone()) != Some(value)
            };
            match baseline_in(&config_map) {
                // What the leader has published may be published here too, or a release would reach only the leader.
                Ok(Some(baseline)) if is_news(&mut told, "baseline", baseline.digest.to_string()) => {
                    tell(Input::Peer(baseline));
                }
                Ok(_) => {}
                Err(problem) => warn!("{problem}"),
            }
            match release_in(&config_map) {
                None => drop(told.remove("release")),
                Some(text) if !is_news(&mut told, "release", text.to_owned()) => {}
                Some(text) => match text.trim().parse() {
                    Ok(digest) => {
                        info!("table {digest} is released");
                        tell(Input::Release(digest));
                    }
                    Err(_) => warn!("annotation {RELEASE} of ConfigMap {} is not the digest of a table", self.name),
                },
            }
        }
    }
}

/// What is to be changed in the ConfigMap at `now`; none if it says it all. Who first held a table knows best what went, so the same table's record stays. A release has had its effect as soon as
/// nothing is held any more.
fn patch(stored: &ConfigMap, state: &State, now: Timestamp) -> Option<Value> {
    let mut data = serde_json::Map::new();
    let before = baseline_in(stored).ok().flatten();
    let has_release = release_in(stored).is_some() && state.held.is_none();
    let is_news = |published: &Baseline| !before.is_some_and(|before| before.measures_like(published));
    if let Some(published) = state.published.filter(|published| has_release || is_news(published)) {
        data.insert(BASELINE.to_owned(), text(&published));
    }
    let is_held = stored.data.as_ref().is_some_and(|data| data.contains_key(HELD));
    let hold = hold_in(stored).ok().flatten();
    match &state.held {
        Some(held) if hold.as_ref().is_none_or(|hold| hold.digest != held.digest) => {
            let since = hold.map_or(now, |hold| hold.since);
            data.insert(HELD.to_owned(), text(&Hold::new(held, since)));
        }
        Some(_) => {}
        None if is_held => drop(data.insert(HELD.to_owned(), Value::Null)),
        None => {}
    }
    let mut patch = json!({ "data": data });
    if has_release {
        patch["metadata"] = json!({"annotations": {RELEASE: null}});
    }
    (has_release || patch["data"] != json!({})).then_some(patch)
}

fn text(record: &impl serde::Serialize) -> Value {
    Value::String(serde_json::to_string(record).expect("names and numbers are JSON"))
}

#[cfg(test)]
mod tests {
    use rivmesh_crds::Kind;
    use rivmesh_table::{Counts, Manifest, ObjectId};

    use super::super::guard_record::Record;
    use super::*;

    fn counts(routes: u64) -> Counts {
        Counts { routes, ..Counts::default() }
    }

    fn table(routes: u64) -> Baseline {
        let counts = counts(routes);
        Baseline { digest: Digest::of(&routes.to_le_bytes()), counts, most: Some(counts) }
    }

    fn held(routes: u64) -> Arc<Held> {
        let gone = ObjectId { kind: Kind::RoutingEntry, namespace: "tak".to_owned(), name: "a".to_owned() };
        let Baseline { digest, counts, .. } = table(routes);
        let (losses, gone, release) = (Vec::new(), vec![gone], String::new());
        Arc::new(Held { digest, losses, counts, gone, gone_in_all: 1, release })
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("in range")
    }

    /// A ConfigMap after each of these states was written to it, a second apart.
    fn written(states: &[(Option<u64>, Option<u64>)]) -> ConfigMap {
        let mut config_map = ConfigMap::default();
        for (second, (published, is_held)) in (1..).zip(states) {
            let state = State { published: published.map(table), held: is_held.map(held) };
            store(&mut config_map, &state, second);
        }
        config_map
    }

    fn store(config_map: &mut ConfigMap, state: &State, second: i64) {
        let Some(patch) = patch(config_map, state, at(second)) else { return };
        let data = config_map.data.get_or_insert_default();
        for (key, value) in patch["data"].as_object().expect("an object") {
            match value.as_str() {
                Some(text) => drop(data.insert(key.clone(), text.to_owned())),
                None => drop(data.remove(key)),
            }
        }
        if patch["metadata"]["annotations"][RELEASE].is_null() && patch.get("metadata").is_some() {
            config_map.metadata.annotations = None;
        }
    }

    fn record(config_map: &ConfigMap) -> Record {
        Record::of(config_map).expect("it can be read")
    }

    fn release(config_map: &mut ConfigMap, routes: u64) {
        let digest = table(routes).digest.to_string();
        config_map.metadata.annotations = Some(BTreeMap::from([(RELEASE.to_owned(), digest)]));
    }

    #[test]
    fn a_held_table_is_written_down_beside_the_one_in_force() {
        let found = record(&written(&[(Some(300), None), (Some(300), Some(1))]));
        assert_eq!(found.baseline, Some(table(300)));
        let hold = found.hold.expect("it is held");
        assert_eq!((hold.digest, hold.counts, hold.since), (table(1).digest, counts(1), at(2)));
        assert_eq!((hold.gone, hold.gone_in_all), (vec!["RoutingEntry tak/a".to_owned()], 1));
    }

    #[test]
    fn a_hold_began_with_its_first_table_and_survives_a_restart() {
        let states = [(Some(300), None), (Some(300), Some(1)), (Some(300), Some(2)), (None, Some(3))];
        let found = record(&written(&states));
        let hold = found.hold.expect("it is held");
        assert_eq!((hold.digest, hold.since), (table(3).digest, at(2)));
        assert_eq!(found.baseline, Some(table(300)), "a process that has published nothing changes no baseline");
    }

    /// What a guard writes after these tables of so many routes, a process or a replica that starts later goes by.
    #[test]
    fn what_went_little_by_little_is_written_down_too() {
        let now = std::time::Instant::now();
        let manifest = |routes| Manifest { counts: counts(routes), ..Manifest::default() };
        let mut config_map = ConfigMap::default();
        let (sender, kept) = watch::channel(None);
        let keeper = ByAnnotation { command: String::new(), kept: sender };
        let mut guard = Guard::with(None, Box::new(keeper));
        for (second, routes) in (1..).zip([10_000, 8500, 7000]) {
            guard.published(&manifest(routes), now).expect("it is only handed on");
            let state = State::of(*kept.borrow(), &Snapshot::default()).expect("a table is published");
            store(&mut config_map, &state, second);
        }
        let baseline = record(&config_map).baseline.expect("it is written");
        assert_eq!((baseline.counts, baseline.most), (counts(7000), Some(counts(10_000))));
        let (sender, _) = watch::channel(None);
        let keeper = ByAnnotation { command: String::new(), kept: sender };
        let mut restarted = Guard::with(Some(baseline), Box::new(keeper));
        assert!(restarted.judge(&manifest(6500), now).is_err());

        // The same table, ten minutes later: what is measured against has become less.
        let state = State { published: Some(Baseline { most: Some(counts(7000)), ..baseline }), held: None };
        store(&mut config_map, &state, 9);
        assert_eq!(record(&config_map).baseline, state.published);
    }

    #[test]
    fn the_same_is_not_written_twice() {
        let config_map = written(&[(Some(300), None), (Some(300), Some(1))]);
        let same = State { published: Some(table(300)), held: Some(held(1)) };
        assert_eq!(patch(&config_map, &same, at(9)), None);
        let restarted = State { published: None, held: Some(held(1)) };
        assert_eq!(patch(&config_map, &restarted, at(9)), None);
    }

    #[test]
    fn a_restored_catalogue_ends_the_hold() {
        let found = record(&written(&[(Some(300), None), (Some(300), Some(1)), (Some(300), None)]));
        assert_eq!((found.baseline, found.hold), (Some(table(300)), None));
    }

    #[test]
    fn a_release_is_taken_back_when_it_has_had_its_effect_and_not_before() {
        let mut config_map = written(&[(Some(300), None), (Some(300), Some(1))]);
        release(&mut config_map, 1);
        let another = State { published: Some(table(300)), held: Some(held(2)) };
        store(&mut config_map, &another, 3);
        assert!(record(&config_map).release.is_some(), "it may be meant for what comes back");

        let released = State { published: Some(table(1)), held: None };
        store(&mut config_map, &released, 4);
        assert_eq!(record(&config_map), Record { baseline: Some(table(1)), ..Record::default() });

        // As many rows as before: the release alone is reason enough to write.
        release(&mut config_map, 1);
        store(&mut config_map, &released, 5);
        assert_eq!(record(&config_map).release, None);
    }

    #[test]
    fn what_cannot_be_read_is_written_anew() {
        let mut config_map = written(&[(Some(300), None)]);
        config_map.data.get_or_insert_default().insert(HELD.to_owned(), "{".to_owned());
        assert!(Record::of(&config_map).is_err_and(|error| error.contains("held.json")));
        let state = State { published: Some(table(300)), held: None };
        store(&mut config_map, &state, 2);
        assert_eq!(record(&config_map).hold, None);
    }
}
