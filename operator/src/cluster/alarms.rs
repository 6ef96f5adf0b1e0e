//! Events for what no object of the catalogue can tell in its own status: a dataplane that does not answer, and a table
//! that is held back. They stand where an on-call engineer looks first, in `kubectl describe` and `kubectl events`.

use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType, Recorder};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::timeout;
use tracing::debug;

use super::lease::Leadership;
use super::{Replica, describe, guard_record, note};
use crate::notice::Notice;

/// How long writing an event may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Writes events for as long as it is polled.
pub(crate) async fn tell(recorder: Recorder, replica: Replica, leadership: Leadership, mut notices: Receiver<Notice>) {
    loop {
        let notice = match notices.recv().await {
            Ok(notice) => notice,
            Err(RecvError::Lagged(_)) => continue,
            Err(RecvError::Closed) => return,
        };
        let Some((about, event)) = event(&notice, &replica, leadership.holds()) else { continue };
        match timeout(PATIENCE, recorder.publish(&event, &about)).await {
            Ok(Ok(())) => {}
            // The log and the metrics say it too.
            Ok(Err(error)) => debug!("an event could not be written: {}", describe(&error)),
            Err(_) => debug!("an event could not be written: no answer"),
        }
    }
}

/// The event that a notice is worth. What every replica sees is told by the leader, and what one sees by that one.
fn event(notice: &Notice, replica: &Replica, leads: bool) -> Option<(ObjectReference, Event)> {
    let (kind, name, reason) = match notice {
        Notice::Silent { pod, .. } => ("Pod", pod.clone(), "DataplaneSilent"),
        Notice::Missing { pod } if leads => ("Pod", pod.clone(), "DataplaneMissing"),
        Notice::Refused { pod, .. } => ("Pod", pod.clone(), "TableRejected"),
        Notice::Held(_) if leads => ("ConfigMap", guard_record::config_map_name(&replica.name), "TableHeld"),
        _ => return None,
    };
    let about = ObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some(kind.to_owned()),
        namespace: Some(replica.namespace.clone()),
        name: Some(name),
        ..ObjectReference::default()
    };
    let event = Event {
        type_: EventType::Warning,
        reason: reason.to_owned(),
        note: Some(note(&notice.to_string())),
        action: "Publishing".to_owned(),
        secondary: None,
    };
    Some((about, event))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rivmesh_table::{Counts, Digest};

    use super::*;
    use crate::guard::Held;
    use crate::rollout::Refused;

    fn replica() -> Replica {
        Replica {
            name: "rivmesh".to_owned(),
            namespace: "tak".to_owned(),
            pod: "operator-a".to_owned(),
            uid: String::new(),
        }
    }

    #[test]
    fn every_event_has_its_section_in_the_reference() {
        let page = include_str!("../../../docs/src/reference/events.md");
        let sections: Vec<&str> = page.split("\n### ").skip(1).collect();
        let (pod, release, reason) = ("dataplane-a".to_owned(), String::new(), String::new());
        let (digest, counts) = (Digest::default(), Counts::default());
        let held = Held { digest, losses: Vec::new(), counts, gone: Vec::new(), gone_in_all: 0, release };
        let notices = [
            Notice::Silent { pod: pod.clone(), epoch: 1 },
            Notice::Missing { pod: pod.clone() },
            Notice::Refused { pod, refused: Refused { digest, epoch: 1, slot: None, row: None, reason } },
            Notice::Held(Arc::new(held)),
        ];
        let told = notices.iter().map(|notice| event(notice, &replica(), true).expect("it is told"));
        let reasons: Vec<String> = told.map(|(_, event)| event.reason).collect();
        let headings: Vec<&str> = sections.iter().filter_map(|section| section.lines().next()).collect();
        assert_eq!(headings, reasons);
        for section in sections {
            assert!(["**About.**", "**Cause.**", "**Cure.**"].iter().all(|part| section.contains(part)), "{section}");
        }
    }

    #[test]
    fn what_all_see_is_told_once() {
        let replica = replica();
        let missing = Notice::Missing { pod: "dataplane-a".to_owned() };
        assert!(event(&missing, &replica, false).is_none());
        let (about, told) = event(&missing, &replica, true).expect("the leader tells");
        assert_eq!((about.kind.as_deref(), about.name.as_deref()), (Some("Pod"), Some("dataplane-a")));
        assert_eq!(told.reason, "DataplaneMissing");
        let silent = Notice::Silent { pod: "dataplane-b".to_owned(), epoch: 7 };
        assert!(event(&silent, &replica, false).is_some(), "only this replica knows");
        assert!(event(&Notice::Connected("dataplane-b".to_owned()), &replica, true).is_none());
    }
}
