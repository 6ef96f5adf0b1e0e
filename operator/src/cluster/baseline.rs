//! The shrink guard's memory in a cluster: a ConfigMap that the leader writes and every replica reads, so that operators
//! that are all restarted do not take an emptied catalogue for the truth. A person releases a held table by annotating
//! it with the table's digest.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Patch, PatchParams};
use kube::runtime::watcher::watch_object;
use kube::{Api, Client};
use rivmesh_table::Digest;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::{info, warn};

use super::lease::Leadership;
use super::{Replica, describe};
use crate::guard::{Baseline, Guard, Keeper};
use crate::publish::Input;

/// The annotation that releases a held table: its digest.
pub const RELEASE: &str = "rivmesh.io/release";
/// The key of the ConfigMap that holds the baseline.
const KEY: &str = "baseline.json";
/// Between two writes: a catalogue that changes all the time is not written down all the time.
const PAUSE: Duration = Duration::from_secs(5);
/// Between attempts to read or write it.
const RETRY: Duration = Duration::from_secs(2);
/// How long a request may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The name of the ConfigMap of the operator `name`.
pub fn config_map_name(name: &str) -> String {
    format!("{name}-baseline")
}

/// The ConfigMap.
pub(crate) struct Store {
    config_maps: Api<ConfigMap>,
    name: String,
    manager: String,
    kept: watch::Receiver<Option<Baseline>>,
}

/// Hands baselines to the task that writes them.
#[derive(Debug)]
struct Mailbox {
    kept: watch::Sender<Option<Baseline>>,
    command: String,
}

impl Keeper for Mailbox {
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
        let (kept, receiver) = watch::channel(None);
        let command = format!("kubectl annotate -n {} configmap {name} --overwrite {RELEASE}=", replica.namespace);
        let guard = Guard::with(baseline, Box::new(Mailbox { kept, command }));
        (Self { config_maps, name, manager: replica.manager(), kept: receiver }, guard)
    }

    /// Writes baselines while this replica leads, and tells what others wrote; for ever.
    pub(crate) async fn follow(self, leadership: Leadership, tell: impl Fn(Input)) {
        tokio::join!(self.write(leadership), self.read(tell));
    }

    async fn write(&self, mut leadership: Leadership) {
        let mut kept = self.kept.clone();
        let mut written = None;
        loop {
            let baseline = *kept.borrow_and_update();
            let is_due = baseline.is_some() && baseline != written && leadership.holds();
            if let Some(baseline) = baseline.filter(|_| is_due) {
                match timeout(PATIENCE, self.store(&baseline)).await {
                    Ok(Ok(())) => {
                        written = Some(baseline);
                        tokio::time::sleep(PAUSE).await;
                    }
                    Ok(Err(problem)) => self.complain(&problem).await,
                    Err(_) => self.complain("the API server does not answer").await,
                }
                continue;
            }
            tokio::select! {
                changed = kept.changed() => if changed.is_err() {
                    return;
                },
                () = leadership.changed() => {}
            }
        }
    }

    async fn complain(&self, problem: &str) {
        let name = &self.name;
        warn!("the baseline of the shrink guard could not be written to ConfigMap {name}: {problem}");
        tokio::time::sleep(RETRY).await;
    }

    /// Writes it, and takes a release back that has had its effect. What stands there already is left alone: only the
    /// counts decide.
    async fn store(&self, baseline: &Baseline) -> Result<(), String> {
        let stored = self.config_maps.get_opt(&self.name).await.map_err(|error| describe(&error))?;
        let has_release = stored.as_ref().is_some_and(|stored| release_in(stored).is_some());
        let same = stored.as_ref().and_then(|stored| baseline_in(stored).ok().flatten());
        if same.is_some_and(|same| same.counts == baseline.counts) && !has_release {
            return Ok(());
        }
        let content = serde_json::to_string(baseline).expect("numbers are JSON");
        let patch = Patch::Merge(json!({
            "metadata": {"annotations": {RELEASE: null}},
            "data": {KEY: content},
        }));
        let params = PatchParams { field_manager: Some(self.manager.clone()), ..PatchParams::default() };
        self.config_maps.patch(&self.name, &params, &patch).await.map(drop).map_err(|error| describe(&error))
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
                    tell(Input::Release(baseline.digest));
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

fn release_in(config_map: &ConfigMap) -> Option<&str> {
    config_map.metadata.annotations.as_ref()?.get(RELEASE).map(String::as_str)
}

fn baseline_in(config_map: &ConfigMap) -> Result<Option<Baseline>, String> {
    let Some(text) = config_map.data.as_ref().and_then(|data| data.get(KEY)) else { return Ok(None) };
    serde_json::from_str(text).map(Some).map_err(|error| {
        let name = config_map.metadata.name.as_deref().unwrap_or_default();
        format!(
            "{KEY} in ConfigMap {name} cannot be read ({error}); delete the key only if the catalogue is known to be whole"
        )
    })
}
