//! The shrink guards of a namespace as the API server has them: finding them, releasing what one holds, and watching what
//! its operator makes of that.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{anyhow, bail};
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, Client, Error, ResourceExt};
use rivmesh_operator::cluster::describe;
use rivmesh_operator::cluster::guard_record::{Hold, RELEASE, Record, SUFFIX, config_map_name};
use rivmesh_table::Digest;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

/// The labels of what the chart makes for operators.
const LABELS: &str = "app.kubernetes.io/part-of=rivmesh,app.kubernetes.io/component=operator";
/// The field manager under which a release is written.
const MANAGER: &str = "rivmesh-release";
/// How often it is looked whether the operator has taken a release up.
const LOOK: Duration = Duration::from_millis(500);
/// The ConfigMap may change between a look and a write; that often it is looked at again.
const ATTEMPTS: u32 = 5;
/// Digits of a digest that a person must give at least: enough to show that it was read and not guessed.
const FEWEST_DIGITS: usize = 8;

/// The beginning of a digest, or all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Prefix(String);

impl FromStr for Prefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_good = (FEWEST_DIGITS..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_good { Ok(Self(text.to_ascii_lowercase())) } else { Err("write 8 to 32 hexadecimal digits".to_owned()) }
    }
}

impl Prefix {
    fn begins(&self, digest: Digest) -> bool {
        digest.to_string().starts_with(&self.0)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which guards are meant.
#[derive(Debug, Clone)]
pub(super) struct Scope {
    pub(super) namespace: String,
    /// The operator; none for all of the namespace.
    pub(super) name: Option<String>,
}

/// A guard, and what its ConfigMap said when it was looked at.
#[derive(Debug, Clone)]
pub(super) struct Guard {
    /// The operator.
    pub(super) name: String,
    pub(super) record: Record,
    version: Option<String>,
}

/// What came of a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The table is published.
    Published,
    /// Nothing is held any more, and a table like this is published: the catalogue went on meanwhile.
    Over(Record),
    /// The catalogue has changed, and another table is held instead. The release was taken back.
    Overtaken(Hold),
    /// The operator has not taken it up. It stays written down.
    Waiting(Why),
}

/// Why a release is not taken up, as far as can be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Why {
    /// The API server did not answer in the end.
    Unanswered(String),
    /// No operator leads; who did last, and when.
    NoLeader(Option<(String, Timestamp)>),
    /// This one leads.
    Unknown(String),
}

/// The guards of a namespace.
pub(super) struct Guards {
    scope: Scope,
    config_maps: Api<ConfigMap>,
    leases: Api<Lease>,
}

impl Guards {
    pub(super) fn new(client: &Client, scope: Scope) -> Self {
        Self {
            config_maps: Api::namespaced(client.clone(), &scope.namespace),
            leases: Api::namespaced(client.clone(), &scope.namespace),
            scope,
        }
    }

    pub(super) fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The guards that are meant, at least one.
    ///
    /// # Errors
    /// When there is none, the API server refuses, or what one has written cannot be read.
    pub(super) async fn find(&self) -> anyhow::Result<Vec<Guard>> {
        let namespace = &self.scope.namespace;
        if let Some(name) = &self.scope.name {
            return Ok(vec![self.look(name).await.map_err(|problem| anyhow!(problem))?]);
        }
        let listed = self.config_maps.list(&ListParams::default().labels(LABELS)).await;
        let listed = listed.map_err(|error| {
            let hint = if is_forbidden(&error) { "; with --name only one ConfigMap is read" } else { "" };
            anyhow!("{}{hint}", describe(&error))
        })?;
        let found = listed.items.iter().filter_map(guard).collect::<Result<Vec<_>, String>>();
        let found = found.map_err(|problem| anyhow!(problem))?;
        if found.is_empty() {
            bail!(
                "there is no operator of rivmesh in namespace {namespace}: no ConfigMap with the chart's labels ends with \
                 {SUFFIX}; name the operator's own namespace with --namespace"
            );
        }
        Ok(found)
    }

    async fn look(&self, name: &str) -> Result<Guard, String> {
        let (wanted, namespace) = (config_map_name(name), &self.scope.namespace);
        let found = self.config_maps.get_opt(&wanted).await.map_err(|error| describe(&error))?;
        let found = found.ok_or_else(|| {
            format!("there is no ConfigMap {wanted} in namespace {namespace}: is that where the operator {name} runs?")
        })?;
        guard(&found).unwrap_or_else(|| Err(format!("{wanted} is not the name of an operator's ConfigMap")))
    }

    /// Releases a table that `seen` holds, and waits until that has had its effect.
    ///
    /// # Errors
    /// When the release could not be written down.
    pub(super) async fn release(&self, seen: &Guard, digest: Digest, limit: Duration) -> anyhow::Result<Outcome> {
        let mut guard = seen.clone();
        for _ in 0..ATTEMPTS {
            if let Some(outcome) = outcome(&guard.record, digest) {
                return Ok(outcome);
            }
            match self.annotate(&guard, json!(digest)).await {
                Ok(()) => return Ok(self.wait(&guard, digest, limit).await),
                // It has changed since it was looked at: is what is held still the same?
                Err(Error::Api(status)) if status.code == 409 => {
                    guard = self.look(&guard.name).await.map_err(|problem| anyhow!(problem))?;
                }
                Err(error) if is_forbidden(&error) => {
                    let (name, namespace) = (config_map_name(&guard.name), &self.scope.namespace);
                    bail!("{}; to release takes the right to patch ConfigMap {name} in {namespace}", describe(&error));
                }
                Err(error) => bail!("{}", describe(&error)),
            }
        }
        bail!("ConfigMap {} changes all the time; try again", config_map_name(&guard.name))
    }

    /// Writes the annotation, provided that the ConfigMap is still as it was seen.
    async fn annotate(&self, seen: &Guard, release: Value) -> Result<(), Error> {
        let metadata = json!({"resourceVersion": seen.version, "annotations": {RELEASE: release}});
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let patch = Patch::Merge(json!({ "metadata": metadata }));
        self.config_maps.patch(&config_map_name(&seen.name), &params, &patch).await.map(drop)
    }

    async fn wait(&self, seen: &Guard, digest: Digest, limit: Duration) -> Outcome {
        let end = Instant::now() + limit;
        loop {
            sleep(LOOK).await;
            let looked = self.look(&seen.name).await;
            match looked.as_ref().map(|guard| (guard, outcome(&guard.record, digest))) {
                Ok((guard, Some(outcome))) => {
                    let is_ours = guard.record.release.as_deref() == Some(digest.to_string().as_str());
                    if matches!(outcome, Outcome::Overtaken(_)) && is_ours {
                        // Left alone it would release that table should it come back, when nobody thinks of it any more.
                        let _ = self.annotate(guard, Value::Null).await;
                    }
                    return outcome;
                }
                Ok((_, None)) if Instant::now() >= end => return Outcome::Waiting(self.why(&seen.name).await),
                Err(problem) if Instant::now() >= end => return Outcome::Waiting(Why::Unanswered(problem.clone())),
                Ok((_, None)) | Err(_) => {}
            }
        }
    }

    /// Why the operator does not act, by its lease.
    async fn why(&self, name: &str) -> Why {
        let lease = match self.leases.get_opt(&format!("{name}-operator")).await {
            Ok(lease) => lease.and_then(|lease| lease.spec).unwrap_or_default(),
            Err(error) => return Why::Unanswered(describe(&error)),
        };
        let renewed = lease.renew_time.map(|time| time.0);
        let seconds = i64::from(lease.lease_duration_seconds.unwrap_or_default());
        match (lease.holder_identity.filter(|holder| !holder.is_empty()), renewed) {
            (Some(holder), Some(at)) if Timestamp::now().as_second() - at.as_second() > seconds => {
                Why::NoLeader(Some((holder, at)))
            }
            (Some(holder), _) => Why::Unknown(holder),
            (None, _) => Why::NoLeader(None),
        }
    }
}

fn is_forbidden(error: &Error) -> bool {
    matches!(error, Error::Api(status) if status.code == 403)
}

/// The guard of a ConfigMap; none if it is another ConfigMap of an operator.
fn guard(config_map: &ConfigMap) -> Option<Result<Guard, String>> {
    let name = config_map.metadata.name.as_deref()?.strip_suffix(SUFFIX)?.to_owned();
    let version = config_map.resource_version();
    Some(Record::of(config_map).map(|record| Guard { name, record, version }))
}

/// The one held table that is meant.
///
/// # Errors
/// The sentence that says what is held instead.
pub(super) fn choose<'g>(guards: &'g [Guard], digest: &Prefix) -> Result<(&'g Guard, &'g Hold), String> {
    let held: Vec<_> = guards.iter().filter_map(|guard| Some((guard, guard.record.hold.as_ref()?))).collect();
    let meant: Vec<_> = held.iter().filter(|(_, hold)| digest.begins(hold.digest)).collect();
    match (&meant[..], &held[..]) {
        ([one], _) => Ok(**one),
        ([], []) => Err("nothing is held back, so there is nothing to release".to_owned()),
        ([], held) => {
            let held: Vec<String> =
                held.iter().map(|(guard, hold)| format!("{} ({})", hold.digest, guard.name)).collect();
            Err(format!("{digest} is not held back; what is: {}. Look at it before you release it", held.join(", ")))
        }
        (several, _) => {
            let names: Vec<&str> = several.iter().map(|(guard, _)| guard.name.as_str()).collect();
            Err(format!("several operators hold such a table: {}; say which with --name", names.join(", ")))
        }
    }
}

/// What has become of the release of this table; none while it waits.
fn outcome(record: &Record, digest: Digest) -> Option<Outcome> {
    match &record.hold {
        Some(hold) if hold.digest == digest => None,
        _ if record.baseline.is_some_and(|baseline| baseline.digest == digest) => Some(Outcome::Published),
        Some(hold) => Some(Outcome::Overtaken(hold.clone())),
        None => Some(Outcome::Over(record.clone())),
    }
}
