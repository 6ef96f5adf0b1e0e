//! What an object's status says in every situation. The function is pure, so its situations are written down.

use rivmesh_crds::{ConditionStatus, ConditionType, Finding, Reason, RowCounts, Status};
use rivmesh_operator::guard::{Held, Loss};
use rivmesh_operator::status::{Dataplane, Progress, Refused, programmed, update};
use rivmesh_sync::grpc::StreamId;
use rivmesh_table::{Digest, Kind, ObjectId, SlotId, Verdict};

use ConditionStatus::{False, True, Unknown};

fn dataplane(number: u64, epoch: u64) -> Dataplane {
    let applied = Some(Digest::of(&epoch.to_le_bytes()));
    Dataplane { stream: StreamId(number), pod: format!("pod-{number}"), applied, epoch, refused: None, silent: false }
}

fn refusing(number: u64, epoch: u64, refused: u64) -> Dataplane {
    let digest = Digest::of(&refused.to_le_bytes());
    let refused = Refused { digest, epoch: refused, slot: SlotId::new(4), row: Some(2), reason: "no".to_owned() };
    Dataplane { refused: Some(refused), ..dataplane(number, epoch) }
}

fn silent(number: u64, epoch: u64) -> Dataplane {
    Dataplane { silent: true, ..dataplane(number, epoch) }
}

fn held() -> Held {
    let losses = vec![Loss { what: "routes", before: 500, after: 0 }];
    Held { digest: Digest::of(b"held"), losses, gone: vec![], gone_in_all: 0, release_file: None }
}

/// Name, progress, dataplanes; then the status, the reason, and words of the message.
type Case<'a> = (&'a str, Progress<'a>, Vec<Dataplane>, ConditionStatus, Reason, &'a str);

#[test]
fn programmed_follows_what_the_dataplanes_applied() {
    let held = held();
    let cases: Vec<Case<'_>> = vec![
        ("not published", Progress::Waiting, vec![dataplane(1, 9)], Unknown, Reason::Pending, "being compiled"),
        ("held", Progress::Held(&held), vec![dataplane(1, 9)], False, Reason::Held, "0 routes instead of 500"),
        ("nobody there", Progress::Published(3), vec![], Unknown, Reason::NoDataplane, "no dataplane is connected"),
        ("one behind", Progress::Published(3), vec![dataplane(1, 2)], Unknown, Reason::Pending, "0 of 1"),
        (
            "one of two",
            Progress::Published(3),
            vec![dataplane(1, 3), dataplane(2, 2)],
            Unknown,
            Reason::Pending,
            "1 of 2",
        ),
        ("all", Progress::Published(3), vec![dataplane(1, 3), dataplane(2, 7)], True, Reason::Programmed, "2 of 2"),
        (
            "refused",
            Progress::Published(3),
            vec![dataplane(1, 3), refusing(2, 2, 3)],
            False,
            Reason::Rejected,
            "pod-2 refused",
        ),
        (
            "a later one refused",
            Progress::Published(3),
            vec![refusing(2, 2, 5)],
            False,
            Reason::Rejected,
            "slot 4, row 2: no",
        ),
        ("an earlier one refused", Progress::Published(3), vec![refusing(2, 1, 2)], Unknown, Reason::Pending, "0 of 1"),
        ("another one refused", Progress::Published(3), vec![refusing(2, 3, 4)], True, Reason::Programmed, "1 of 1"),
        (
            "one silent",
            Progress::Published(3),
            vec![dataplane(1, 3), silent(2, 2)],
            True,
            Reason::Programmed,
            "1 of 2 dataplanes route by it; without an answer from pod-2",
        ),
        (
            "all silent",
            Progress::Published(3),
            vec![silent(2, 2)],
            Unknown,
            Reason::NoDataplane,
            "no dataplane answers: pod-2",
        ),
        ("a silent one that has it", Progress::Published(3), vec![silent(2, 3)], True, Reason::Programmed, "1 of 1"),
        ("once everywhere", Progress::Programmed, vec![], True, Reason::Programmed, "every dataplane"),
    ];
    for (name, progress, dataplanes, status, reason, words) in cases {
        let finding = programmed(progress, &dataplanes);
        assert_eq!((finding.status, finding.reason), (status, reason), "{name}: {}", finding.message);
        assert!(finding.message.contains(words), "{name}: {}", finding.message);
    }
}

fn verdict(generation: i64, accepted: (ConditionStatus, Reason)) -> Verdict {
    let (status, reason) = accepted;
    Verdict {
        id: ObjectId { kind: Kind::RoutingEntry, namespace: "default".to_owned(), name: "a".to_owned() },
        generation,
        rows: RowCounts { total: 10, programmed: 8, rejected: 2 },
        errors: vec![],
        accepted: Finding::new(ConditionType::Accepted, status, reason, "accepted?"),
        resolved_refs: Finding::new(ConditionType::ResolvedRefs, False, Reason::UnknownContract, "no contract"),
    }
}

fn ready(status: &Status) -> (ConditionStatus, &str) {
    let ready = status.conditions.iter().find(|found| found.is(ConditionType::Ready)).expect("always there");
    (ready.status, &ready.reason)
}

fn now(seconds: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_second(seconds).expect("in range")
}

#[test]
fn a_status_has_all_four_conditions_and_says_when_it_is_ready() {
    let mut status = Status::default();
    let whole = verdict(1, (True, Reason::Accepted));
    assert!(update(&mut status, &whole, programmed(Progress::Waiting, &[]), now(1)));
    assert_eq!(ready(&status), (Unknown, "Pending"));
    assert_eq!(status.rows, RowCounts { total: 10, programmed: 0, rejected: 2 });
    let types: Vec<&str> = status.conditions.iter().map(|found| found.type_.as_str()).collect();
    assert_eq!(types, ["Accepted", "ResolvedRefs", "Programmed", "Ready"]);

    assert!(update(&mut status, &whole, programmed(Progress::Programmed, &[]), now(2)));
    assert_eq!(ready(&status), (True, "Ready"));
    assert_eq!(status.rows.programmed, 8);
    assert!(!update(&mut status, &whole, programmed(Progress::Programmed, &[]), now(3)), "nothing is new");

    let part = verdict(2, (True, Reason::PartiallyAccepted));
    assert!(update(&mut status, &part, programmed(Progress::Programmed, &[]), now(4)));
    assert_eq!(ready(&status), (False, "PartiallyAccepted"));
    assert_eq!(status.observed_generation, Some(2));
}

#[test]
fn a_condition_that_holds_on_keeps_its_time() {
    let mut status = Status::default();
    update(&mut status, &verdict(1, (True, Reason::Accepted)), programmed(Progress::Waiting, &[]), now(1));
    update(&mut status, &verdict(2, (True, Reason::Accepted)), programmed(Progress::Programmed, &[]), now(60));
    let time = |which: ConditionType| {
        let found = status.conditions.iter().find(|found| found.is(which)).expect("always there");
        found.last_transition_time.clone()
    };
    assert_eq!(time(ConditionType::Accepted), "1970-01-01T00:00:01Z");
    assert_eq!(time(ConditionType::Programmed), "1970-01-01T00:01:00Z");
}
