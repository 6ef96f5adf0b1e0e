//! Statuses on their way to the API server. Only the leader writes, one status for each object, failures first, at a
//! bounded pace; an object that somebody has changed meanwhile is left to the next look.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::runtime::events::{Event, EventType, Recorder};
use kube::{Api, Client};
use rivmesh_crds::{API_VERSION, ConditionStatus, ConditionType, GROUP, Kind, Status, VERSION};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tracing::{debug, warn};

use super::lease::Leadership;
use super::pace::Pace;
use super::{Replica, describe};
use crate::ledger::{Ledger, Observed, Write, Written};
use crate::status::condition;

/// After a pause, as many writes may come at once as otherwise in so many seconds.
const BURST_SECONDS: f64 = 2.0;
/// Writes under way at a time.
const AT_ONCE: usize = 8;
/// How often the outbox is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// How long a write may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// After a failure, the object waits this long.
const RETRY: Duration = Duration::from_secs(5);

/// How many writes came to what.
#[derive(Debug, Default)]
pub(crate) struct WriteCounts {
    pub(crate) stored: AtomicU64,
    pub(crate) overtaken: AtomicU64,
    pub(crate) failed: AtomicU64,
}

/// Writes statuses while this replica leads, at most `pace` a second in the long run, for as long as it is polled.
pub(crate) async fn write(
    client: Client,
    replica: Replica,
    ledger: Arc<Ledger>,
    recorder: Recorder,
    mut leadership: Leadership,
    pace: f64,
    counts: Arc<WriteCounts>,
) {
    let writer = Arc::new(Writer { client, manager: replica.manager(), recorder, counts });
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut pace = Pace::new(pace, pace * BURST_SECONDS);
    let mut ticks = interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        leadership.acquired().await;
        ticks.tick().await;
        while leadership.holds() && pace.has_one(Instant::now()) {
            let Ok(place) = places.clone().try_acquire_owned() else { break };
            let Some(write) = ledger.take_write() else { break };
            pace.take();
            let (writer, ledger) = (writer.clone(), ledger.clone());
            tokio::spawn(async move {
                writer.carry_out(&write, &ledger).await;
                drop(place);
            });
        }
    }
}

struct Writer {
    client: Client,
    manager: String,
    recorder: Recorder,
    counts: Arc<WriteCounts>,
}

impl Writer {
    /// Writes a status. The ledger has the answer before anybody is told of it: an event may take long, and by then the
    /// object may be another one.
    async fn carry_out(&self, write: &Write, ledger: &Ledger) {
        let written = self.write(write).await;
        let is_stored = matches!(written, Written::Stored(_));
        ledger.written(write, written);
        if is_stored {
            self.tell(write).await;
        }
    }

    async fn write(&self, write: &Write) -> Written {
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), &write.id.namespace, &resource(write.id.kind));
        let params = PatchParams::apply(&self.manager).force();
        let patch = Patch::Apply(body(write));
        let outcome = timeout(PATIENCE, api.patch_status(&write.id.name, &params, &patch)).await;
        let (count, written) = match outcome {
            Ok(Ok(object)) => (&self.counts.stored, stored(write, &object)),
            Ok(Err(kube::Error::Api(status))) if matches!(status.code, 404 | 409) => {
                debug!(object = %write.id, "a status was overtaken: {}", status.message);
                (&self.counts.overtaken, Written::Overtaken)
            }
            Ok(Err(error)) => {
                warn!("the status of {} {} could not be written: {}", write.id.kind, write.id, describe(&error));
                (&self.counts.failed, Written::Failed(RETRY))
            }
            Err(_) => {
                warn!("the status of {} {} could not be written: no answer", write.id.kind, write.id);
                (&self.counts.failed, Written::Failed(RETRY))
            }
        };
        count.fetch_add(1, Ordering::Relaxed);
        written
    }

    /// An event when an object stops being ready, or begins to fail for another reason. Good news needs none.
    async fn tell(&self, write: &Write) {
        let Some(ready) = condition(&write.status, ConditionType::Ready) else { return };
        let is_failure = ready.status == ConditionStatus::False;
        if !is_failure || write.failed_before.as_ref() == Some(&ready.reason) {
            return;
        }
        let event = Event {
            type_: EventType::Warning,
            reason: ready.reason.clone(),
            note: Some(super::note(&ready.message)),
            action: "Judging".to_owned(),
            secondary: None,
        };
        let published = timeout(PATIENCE, self.recorder.publish(&event, &reference(write))).await;
        // The status says it too.
        if let Ok(Err(error)) = published {
            debug!("an event about {} could not be written: {}", write.id, describe(&error));
        }
    }
}

fn resource(kind: Kind) -> ApiResource {
    ApiResource {
        group: GROUP.to_owned(),
        version: VERSION.to_owned(),
        api_version: API_VERSION.to_owned(),
        kind: kind.as_str().to_owned(),
        plural: kind.plural().to_owned(),
    }
}

/// What is applied: our own conditions and counts, on the very version that was judged.
fn body(write: &Write) -> Value {
    json!({
        "apiVersion": API_VERSION,
        "kind": write.id.kind.as_str(),
        "metadata": {
            "name": write.id.name,
            "namespace": write.id.namespace,
            "uid": write.uid,
            "resourceVersion": write.version.to_string(),
        },
        "status": write.status,
    })
}

fn stored(write: &Write, object: &DynamicObject) -> Written {
    let version = object.metadata.resource_version.as_deref().and_then(|version| version.parse().ok());
    let status: Option<Status> =
        object.data.get("status").and_then(|status| serde_json::from_value(status.clone()).ok());
    Written::Stored(Observed {
        id: write.id.clone(),
        uid: object.metadata.uid.clone().unwrap_or_default(),
        version: version.unwrap_or(write.version),
        status,
    })
}

fn reference(write: &Write) -> ObjectReference {
    ObjectReference {
        api_version: Some(API_VERSION.to_owned()),
        kind: Some(write.id.kind.as_str().to_owned()),
        namespace: Some(write.id.namespace.clone()),
        name: Some(write.id.name.clone()),
        uid: Some(write.uid.clone()),
        ..ObjectReference::default()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::sync::Mutex;

    use jiff::Timestamp;
    use kube::client::Body;
    use kube::runtime::events::Reporter;
    use rivmesh_crds::{Finding, Reason, RowCounts};
    use rivmesh_table::{ObjectId, Verdict};
    use tonic::codegen::http::{Method, Request, Response};

    use super::*;

    /// A ledger with one status to write, that its object is refused.
    fn ledger_with_a_failure() -> Ledger {
        let ledger = Ledger::new();
        let id = ObjectId { kind: Kind::RoutingEntry, namespace: "tak".to_owned(), name: "a".to_owned() };
        ledger.observe(Observed { id: id.clone(), uid: "1".to_owned(), version: 10, status: None });
        let refused = |which| Finding::new(which, ConditionStatus::False, Reason::Undecodable, "no");
        let verdict = Verdict {
            id,
            uid: Some("1".to_owned()),
            generation: 1,
            rows: RowCounts::default(),
            errors: Vec::new(),
            accepted: refused(ConditionType::Accepted),
            resolved_refs: refused(ConditionType::ResolvedRefs),
        };
        ledger.compiled(vec![verdict], &[], Timestamp::now());
        ledger
    }

    #[tokio::test]
    async fn the_ledger_has_the_answer_before_an_event_is_written() {
        let ledger = Arc::new(ledger_with_a_failure());
        let write = ledger.take_write().expect("a failure is written at once");
        assert_eq!(ledger.unwritten().0, 1);
        let unwritten_at_event = Arc::new(Mutex::new(None));
        let (seen, account, mut stored) = (unwritten_at_event.clone(), ledger.clone(), body(&write));
        stored["metadata"]["resourceVersion"] = "11".into();
        let server = tower::service_fn(move |request: Request<Body>| {
            let answer = if request.method() == Method::PATCH { stored.to_string() } else { "{}".to_owned() };
            if request.method() == Method::POST {
                *seen.lock().expect("not poisoned") = Some(account.unwritten().0);
            }
            async { Ok::<_, Infallible>(Response::new(Body::from(answer.into_bytes()))) }
        });
        let client = Client::new(server, "tak");
        let reporter = Reporter { controller: "rivmesh-operator".to_owned(), instance: None };
        let recorder = Recorder::new(client.clone(), reporter);
        let counts = Arc::default();
        let writer = Writer { client, manager: "rivmesh-operator".to_owned(), recorder, counts };
        writer.carry_out(&write, &ledger).await;
        assert_eq!(*unwritten_at_event.lock().expect("not poisoned"), Some(0));
    }
}
