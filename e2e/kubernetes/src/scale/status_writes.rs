//! What a status costs to write, in each of the three ways that an API server has: by server-side apply, as the operator
//! does, by a JSON merge patch, and by an update of the status subresource. Every way has objects of its own, so that none
//! finds the marks of another on them, and demands that the object is still the version that was judged.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use kube::api::{DynamicObject, ListParams, ObjectMeta, Patch, PatchParams, PostParams, TypeMeta};
use kube::{Api, ResourceExt};
use rivmesh_crds::{API_VERSION, Kind};
use rivmesh_loadgen::processes;
use serde_json::{Value, json};

use super::{catalogue, cost};
use crate::api::world::World;
use crate::objects;

/// Requests at a time, as many as the operator has.
const AT_ONCE: usize = 8;
/// Requests at a time while the objects are made.
const MAKING_AT_ONCE: usize = 32;
/// How often every object's status is written in each way; the first time there is none before.
const ROUNDS: usize = 3;
/// The operator's field manager.
const MANAGER: &str = "rivmesh-operator";
/// Another controller, and its condition.
const AUDITOR: &str = "auditor";
const AUDITED: &str = "Audited";

/// A way to write statuses, and what it cost.
#[derive(Debug, Clone)]
pub(super) struct Way {
    pub(super) name: &'static str,
    pub(super) rounds: Vec<Round>,
    pub(super) guarantees: Guarantees,
}

/// What a way promises by itself.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Guarantees {
    /// The writer owns fields of the status only, and everybody else still owns theirs.
    pub(super) owns_status_only: bool,
    /// A condition of another controller, which the write does not mention, stays.
    pub(super) keeps_others: bool,
    /// An object that has changed since it was judged is left alone.
    pub(super) refuses_stale: bool,
}

/// One status written for each object.
#[derive(Debug, Clone, Copy)]
pub(super) struct Round {
    pub(super) writes: usize,
    pub(super) took: Duration,
    /// Processor seconds of the API server, of etcd, and of the client.
    pub(super) server: f64,
    pub(super) etcd: f64,
    pub(super) client: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    Apply,
    MergePatch,
    Update,
}

const WAYS: [(How, &str, &str); 3] = [
    (How::Apply, "server-side apply", "apply"),
    (How::MergePatch, "JSON merge patch", "merge-patch"),
    (How::Update, "update", "update"),
];

/// Objects that are written to in one way.
struct Subjects {
    how: How,
    name: &'static str,
    api: Api<DynamicObject>,
    /// Name, uid and latest resource version of each.
    known: Vec<ObjectMeta>,
}

impl Subjects {
    fn way(&self) -> Way {
        Way { name: self.name, rounds: Vec::new(), guarantees: Guarantees::default() }
    }
}

/// Measures all ways, in turn, on so many objects each.
pub(super) async fn compare(world: &World, objects: usize) -> Result<Vec<Way>> {
    let mut subjects = Vec::new();
    for (how, name, namespace) in WAYS {
        subjects.push(make(world, how, name, namespace, objects).await?);
    }
    let mut ways: Vec<Way> = subjects.iter().map(|of| of.way()).collect();
    for round in 0..ROUNDS {
        for (subjects, way) in subjects.iter_mut().zip(&mut ways) {
            way.rounds.push(write_all(world, subjects, round).await?);
        }
        println!("      round {} of {ROUNDS} done, {objects} statuses in each way", round + 1);
    }
    for (subjects, way) in subjects.iter().zip(&mut ways) {
        way.guarantees = guarantees(subjects).await.with_context(|| subjects.name)?;
    }
    Ok(ways)
}

async fn make(world: &World, how: How, name: &'static str, namespace: &str, objects: usize) -> Result<Subjects> {
    let namespace = world.namespace(namespace).await?;
    // Contracts and grants of the catalogue are left out; there are enough entries in twice as many objects.
    let made = catalogue::make(objects * 4, 0, "https://localhost/unused")?.objects;
    let entries = made.iter().filter(|object| object["kind"] == Kind::RoutingEntry.as_str()).take(objects);
    let (namespace, client) = (&namespace, &world.client);
    stream::iter(entries)
        .map(|object| namespace.apply(object))
        .buffer_unordered(MAKING_AT_ONCE)
        .try_collect::<()>()
        .await?;
    let api = objects::api(client, &namespace.name, Kind::RoutingEntry);
    let listed = api.list(&ListParams::default()).await?;
    let known = listed.items.into_iter().map(|object| ObjectMeta {
        name: object.metadata.name,
        uid: object.metadata.uid,
        resource_version: object.metadata.resource_version,
        ..ObjectMeta::default()
    });
    let known: Vec<ObjectMeta> = known.collect();
    ensure!(known.len() == objects, "{} objects were made, not {objects}", known.len());
    Ok(Subjects { how, name, api, known })
}

async fn write_all(world: &World, subjects: &mut Subjects, round: usize) -> Result<Round> {
    let servers: Vec<u32> = world.server.lock().await.processes().map(|(_, id)| id).collect();
    let [etcd, server] = servers[..] else { anyhow::bail!("etcd and an API server are not both running") };
    let before = (cost::seconds(server)?, cost::seconds(etcd)?, processes::own_cpu_s());
    let began = Instant::now();
    let (how, api) = (subjects.how, &subjects.api);
    subjects.known = stream::iter(std::mem::take(&mut subjects.known))
        .map(|known| async move {
            let written = write(how, api, &known, &status(round)).await?;
            anyhow::Ok(ObjectMeta { resource_version: written.resource_version(), ..known })
        })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await?;
    Ok(Round {
        writes: subjects.known.len(),
        took: began.elapsed(),
        server: cost::seconds(server)? - before.0,
        etcd: cost::seconds(etcd)? - before.1,
        client: processes::own_cpu_s() - before.2,
    })
}

async fn write(how: How, api: &Api<DynamicObject>, known: &ObjectMeta, status: &Value) -> Result<DynamicObject> {
    let name = known.name.as_deref().context("an object has a name")?;
    let whole = || {
        json!({
            "apiVersion": API_VERSION, "kind": Kind::RoutingEntry.as_str(), "metadata": known, "status": status,
        })
    };
    Ok(match how {
        How::Apply => api.patch_status(name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(whole())).await?,
        How::MergePatch => {
            let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
            let patch =
                json!({"metadata": {"uid": known.uid, "resourceVersion": known.resource_version}, "status": status});
            api.patch_status(name, &params, &Patch::Merge(patch)).await?
        }
        How::Update => {
            let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
            // The server takes nothing but the status from it.
            let object = DynamicObject {
                types: Some(TypeMeta {
                    api_version: API_VERSION.to_owned(),
                    kind: Kind::RoutingEntry.as_str().to_owned(),
                }),
                metadata: known.clone(),
                data: json!({"status": status}),
            };
            api.replace_status(name, &params, &object).await?
        }
    })
}

/// A status as the operator writes it, another one in every round.
fn status(round: usize) -> Value {
    let condition = |which: &str, message: String| {
        json!({
            "type": which, "status": "True", "observedGeneration": 1, "reason": which,
            "lastTransitionTime": "2026-01-01T00:00:00Z", "message": message,
        })
    };
    json!({
        "observedGeneration": 1,
        "conditions": [
            condition("Accepted", "all rows are accepted".to_owned()),
            condition("ResolvedRefs", "every contract has settings".to_owned()),
            condition("Programmed", format!("{} of {} dataplanes route by it", round + 1, round + 1)),
            condition("Ready", format!("in force on {} dataplanes", round + 1)),
        ],
        "rows": {"total": 119, "programmed": 100 + round, "rejected": 0},
    })
}

/// Tries out on the first object what a way promises.
async fn guarantees(subjects: &Subjects) -> Result<Guarantees> {
    let (how, api) = (subjects.how, &subjects.api);
    let first = subjects.known.first().context("there are objects")?;
    let name = first.name.as_deref().context("an object has a name")?;
    let condition = json!({
        "type": AUDITED, "status": "True", "reason": "Seen", "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    });
    let audited = json!({
        "apiVersion": API_VERSION, "kind": Kind::RoutingEntry.as_str(), "metadata": {"name": name},
        "status": {"conditions": [condition]},
    });
    let audited = api.patch_status(name, &PatchParams::apply(AUDITOR).force(), &Patch::Apply(audited)).await?;
    let stale = write(how, api, first, &status(ROUNDS)).await;
    let fresh = ObjectMeta { resource_version: audited.resource_version(), ..first.clone() };
    let written = write(how, api, &fresh, &status(ROUNDS)).await?;
    ensure!(written.data["spec"] == audited.data["spec"], "the spec has changed");
    let conditions = written.data["status"]["conditions"].as_array().context("conditions")?;
    Ok(Guarantees {
        owns_status_only: owns_status_only(&written),
        keeps_others: conditions.iter().any(|condition| condition["type"] == AUDITED),
        refuses_stale: stale.is_err_and(|error| is_conflict(&error)),
    })
}

fn owns_status_only(object: &DynamicObject) -> bool {
    let mut is_spec_owned = false;
    for entry in object.metadata.managed_fields.iter().flatten() {
        let fields = serde_json::to_value(&entry.fields_v1).unwrap_or_default();
        let keys: Vec<&str> = fields.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect();
        match entry.manager.as_deref() {
            Some(MANAGER) if keys != ["f:status"] => return false,
            Some(MANAGER) => {}
            _ => is_spec_owned |= keys.contains(&"f:spec"),
        }
    }
    is_spec_owned
}

fn is_conflict(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(kube::Error::Api(status)) if status.code == 409)
}
