//! How conditions meet what is stored, and how they are summed up.

use jiff::Timestamp;
use rivmesh_crds::conditions::{merge, ready};
use rivmesh_crds::limits::MESSAGE_LENGTH;
use rivmesh_crds::{Condition, ConditionStatus, ConditionType, Finding, Reason, Status};
use serde_json::json;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_767_225_600 + second).unwrap()
}

fn accepted(status: ConditionStatus, reason: Reason, message: &str) -> Finding {
    Finding::new(ConditionType::Accepted, status, reason, message)
}

fn programmed(status: ConditionStatus, reason: Reason) -> Finding {
    Finding::new(ConditionType::Programmed, status, reason, "3 of 3 dataplanes")
}

fn good() -> Finding {
    accepted(ConditionStatus::True, Reason::Accepted, "4 rows")
}

fn bad() -> Finding {
    accepted(ConditionStatus::False, Reason::Conflict, "another object wins")
}

#[test]
fn a_first_condition_is_added() {
    let mut stored = Vec::new();
    assert!(merge(&mut stored, &[good()], 1, at(0)));
    assert_eq!(
        serde_json::to_value(&stored).unwrap(),
        json!([{
            "type": "Accepted",
            "status": "True",
            "observedGeneration": 1,
            "lastTransitionTime": "2026-01-01T00:00:00Z",
            "reason": "Accepted",
            "message": "4 rows",
        }])
    );
}

#[test]
fn the_same_finding_changes_nothing() {
    let mut stored = Vec::new();
    merge(&mut stored, &[good()], 1, at(0));
    let before = stored.clone();
    assert!(!merge(&mut stored, &[good()], 1, at(60)));
    assert_eq!(stored, before);
}

#[test]
fn the_transition_time_moves_only_with_the_status() {
    let mut stored = Vec::new();
    merge(&mut stored, &[good()], 1, at(0));
    assert!(merge(
        &mut stored,
        &[accepted(ConditionStatus::True, Reason::PartiallyAccepted, "3 of 4 rows")],
        2,
        at(60)
    ));
    assert_eq!(stored[0].last_transition_time, "2026-01-01T00:00:00Z", "still True");
    assert_eq!((stored[0].reason.as_str(), stored[0].observed_generation), ("PartiallyAccepted", Some(2)));
    assert!(merge(&mut stored, &[bad()], 2, at(120)));
    assert_eq!(stored[0].last_transition_time, "2026-01-01T00:02:00Z", "now False");
}

#[test]
fn a_newer_observed_generation_is_never_overwritten() {
    let mut stored = Vec::new();
    merge(&mut stored, &[good()], 5, at(0));
    let before = stored.clone();
    assert!(!merge(&mut stored, &[bad()], 4, at(60)));
    assert_eq!(stored, before);
    assert!(merge(&mut stored, &[bad()], 5, at(60)), "the same generation may be judged again");
}

#[test]
fn each_type_is_merged_by_itself_and_others_are_left_alone() {
    let foreign = Condition {
        type_: "example.org/Reviewed".to_owned(),
        status: ConditionStatus::Unknown,
        observed_generation: None,
        last_transition_time: "2020-01-01T00:00:00Z".to_owned(),
        reason: "NotOurs".to_owned(),
        message: String::new(),
    };
    let mut stored = vec![foreign.clone()];
    merge(&mut stored, &[good(), programmed(ConditionStatus::Unknown, Reason::NoDataplane)], 1, at(0));
    merge(&mut stored, &[programmed(ConditionStatus::True, Reason::Programmed)], 1, at(60));
    assert_eq!(stored.len(), 3);
    assert_eq!(stored[0], foreign);
    assert!(stored[1].is(ConditionType::Accepted) && stored[1].last_transition_time == "2026-01-01T00:00:00Z");
    assert!(stored[2].is(ConditionType::Programmed) && stored[2].last_transition_time == "2026-01-01T00:01:00Z");
}

#[test]
fn a_condition_that_was_never_observed_is_overwritten() {
    let mut stored = Vec::new();
    merge(&mut stored, &[good()], 1, at(0));
    stored[0].observed_generation = None;
    assert!(merge(&mut stored, &[bad()], 1, at(1)));
}

#[test]
fn a_long_message_is_cut() {
    let mut stored = Vec::new();
    let exact = "å".repeat(MESSAGE_LENGTH as usize);
    merge(&mut stored, &[accepted(ConditionStatus::True, Reason::Accepted, &exact)], 1, at(0));
    assert_eq!(stored[0].message, exact);
    merge(&mut stored, &[accepted(ConditionStatus::True, Reason::Accepted, &format!("{exact}å"))], 1, at(0));
    assert_eq!(stored[0].message.chars().count(), MESSAGE_LENGTH as usize);
    assert!(stored[0].message.ends_with("å..."));
}

#[test]
fn ready_is_accepted_whole_and_programmed() {
    let live = programmed(ConditionStatus::True, Reason::Programmed);
    let partly = accepted(ConditionStatus::True, Reason::PartiallyAccepted, "3 of 4 rows");
    let suspended = accepted(ConditionStatus::True, Reason::Suspended, "suspended");
    let undecided = accepted(ConditionStatus::Unknown, Reason::Pending, "not yet judged");
    let pending = programmed(ConditionStatus::Unknown, Reason::Pending);
    let rejected = programmed(ConditionStatus::False, Reason::Rejected);
    for (accepted, programmed, status, reason) in [
        (&good(), &live, ConditionStatus::True, Reason::Ready),
        (&bad(), &live, ConditionStatus::False, Reason::Conflict),
        (&partly, &live, ConditionStatus::False, Reason::PartiallyAccepted),
        (&suspended, &live, ConditionStatus::False, Reason::Suspended),
        (&undecided, &live, ConditionStatus::Unknown, Reason::Pending),
        (&good(), &pending, ConditionStatus::Unknown, Reason::Pending),
        (&good(), &rejected, ConditionStatus::False, Reason::Rejected),
        (&bad(), &rejected, ConditionStatus::False, Reason::Conflict),
    ] {
        let summary = ready(accepted, programmed);
        assert_eq!(summary.condition, ConditionType::Ready);
        assert_eq!((summary.status, summary.reason), (status, reason), "{accepted:?} {programmed:?}");
    }
    assert_eq!(ready(&bad(), &live).message, "another object wins");
}

#[test]
fn a_status_from_a_newer_version_stays_readable() {
    let status: Status = serde_json::from_value(json!({
        "observedGeneration": 3,
        "conditions": [{
            "type": "Resting", "status": "True", "reason": "NewWord", "lastTransitionTime": "2026-01-01T00:00:00Z", "message": "",
        }],
        "rowErrors": [
            { "reason": "NewWord", "message": "?" },
            { "reason": "Conflict", "message": "lost", "logicalAddress": "SE1" },
        ],
        "newField": true,
    }))
    .unwrap();
    assert_eq!(status.conditions[0].reason, "NewWord");
    assert_eq!(status.row_errors.len(), 1);
    assert_eq!(status.row_errors[0].reason, Reason::Conflict);
}
