//! What an object's status says in every situation. The function is pure, so its situations are written down.

use std::time::{Duration, Instant};

use rivmesh_crds::{ConditionStatus, ConditionType, Finding, Reason, RowCounts, Status};
use rivmesh_operator::guard::{Held, Loss};
use rivmesh_operator::rollout::{
    Dataplane, Exception, Fleet, Mark, Ready, Refused, RefusedElsewhere, Report, Standing,
};
use rivmesh_operator::status::{Progress, adopt_times, condition, is_programmed, latched, programmed, update};
use rivmesh_operator::versions::Versions;
use rivmesh_sync::grpc::StreamId;
use rivmesh_table::{Counts, Digest, Kind, ObjectId, SlotId, Verdict};

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

fn at(version: u64) -> Versions {
    Versions::from([("routingentries", version)])
}

fn report(floor: u64, pods: &[&str], exceptions: Vec<Exception>) -> Report {
    Report { floor: at(floor), pods: pods.iter().map(|pod| (*pod).to_owned()).collect(), exceptions }
}

fn exception(pod: &str, has: u64, refused: Option<u64>) -> Exception {
    let refused = refused.map(|read| RefusedElsewhere { read: at(read), sentence: format!("{pod} refused it") });
    Exception { pod: pod.to_owned(), also: Vec::new(), has: at(has), refused }
}

/// What is said of a change that is in the tables from epoch 3, version 30 on.
fn said(fleet: &Fleet, now: Instant) -> Finding {
    programmed(Progress::Published(&fleet.standing(&Mark { epoch: 3, changed: at(30) }, now)))
}

/// Name, dataplanes here, what other replicas say; then the status, the reason, and words of the message.
type Case<'a> = (&'a str, Vec<Dataplane>, Vec<Report>, ConditionStatus, Reason, &'a str);

#[test]
fn programmed_follows_what_the_dataplanes_applied() {
    let none = Vec::new;
    let cases: Vec<Case<'_>> = vec![
        ("nobody there", vec![], none(), Unknown, Reason::NoDataplane, "no dataplane is connected"),
        ("one behind", vec![dataplane(1, 2)], none(), Unknown, Reason::Pending, "0 of 1"),
        ("one of two", vec![dataplane(1, 3), dataplane(2, 2)], none(), Unknown, Reason::Pending, "1 of 2"),
        ("all", vec![dataplane(1, 3), dataplane(2, 7)], none(), True, Reason::Programmed, "every ready dataplane"),
        ("refused", vec![dataplane(1, 3), refusing(2, 2, 3)], none(), False, Reason::Rejected, "pod-2 refused"),
        ("a later one refused", vec![refusing(2, 2, 5)], none(), False, Reason::Rejected, "slot 4, row 2: no"),
        ("an earlier one refused", vec![refusing(2, 1, 2)], none(), Unknown, Reason::Pending, "0 of 1"),
        ("another one refused", vec![refusing(2, 3, 4)], none(), True, Reason::Programmed, "every ready"),
        (
            "one silent",
            vec![dataplane(1, 3), silent(2, 2)],
            none(),
            True,
            Reason::Programmed,
            "1 of 2 dataplanes route by it; without an answer from pod-2",
        ),
        ("all silent", vec![silent(2, 2)], none(), Unknown, Reason::NoDataplane, "no dataplane answers: pod-2"),
        ("a silent one that has it", vec![silent(2, 3)], none(), True, Reason::Programmed, "every ready"),
        (
            "elsewhere too",
            vec![dataplane(1, 3)],
            vec![report(30, &["a", "b"], vec![]), report(31, &["c"], vec![])],
            True,
            Reason::Programmed,
            "every ready",
        ),
        (
            "elsewhere not yet",
            vec![dataplane(1, 3)],
            vec![report(29, &["a", "b"], vec![])],
            Unknown,
            Reason::Pending,
            "1 of 3",
        ),
        (
            "another replica has nobody",
            vec![dataplane(1, 3)],
            vec![report(1, &[], vec![])],
            True,
            Reason::Programmed,
            "",
        ),
        (
            "moved here, and the replica before is gone",
            vec![dataplane(1, 3)],
            vec![report(20, &["pod-1"], vec![]), report(10, &[], vec![exception("pod-1", 10, None)])],
            True,
            Reason::Programmed,
            "every ready",
        ),
        (
            "moved elsewhere",
            vec![],
            vec![report(30, &["a"], vec![]), report(20, &["a"], vec![])],
            True,
            Reason::Programmed,
            "every ready",
        ),
        (
            "silent elsewhere",
            vec![dataplane(1, 3)],
            vec![report(30, &["a"], vec![exception("b", 20, None)])],
            True,
            Reason::Programmed,
            "2 of 3 dataplanes route by it; without an answer from b",
        ),
        (
            "refused elsewhere",
            vec![dataplane(1, 3)],
            vec![report(30, &["a"], vec![exception("b", 20, Some(30))])],
            False,
            Reason::Rejected,
            "b refused it",
        ),
        (
            "an earlier one refused elsewhere",
            vec![dataplane(1, 3)],
            vec![report(30, &[], vec![exception("b", 20, Some(25))])],
            Unknown,
            Reason::Pending,
            "1 of 2",
        ),
        (
            "a later one refused elsewhere",
            vec![],
            vec![report(30, &[], vec![exception("b", 30, Some(35))])],
            True,
            Reason::Programmed,
            "every ready",
        ),
    ];
    for (name, own, peers, status, reason, words) in cases {
        let finding = said(&Fleet { own, peers, ..Fleet::default() }, Instant::now());
        assert_eq!((finding.status, finding.reason), (status, reason), "{name}: {}", finding.message);
        assert!(finding.message.contains(words), "{name}: {}", finding.message);
    }
}

#[test]
fn before_it_is_published_it_waits_or_is_held() {
    let losses = vec![Loss { what: "routes", before: 500, after: 0 }];
    let release = "say so".to_owned();
    let (digest, counts) = (Digest::of(b"held"), Counts::default());
    let held = Held { digest, losses, counts, gone: vec![], gone_in_all: 0, release };
    let waiting = programmed(Progress::Waiting);
    assert_eq!((waiting.status, waiting.reason), (Unknown, Reason::Pending));
    let held = programmed(Progress::Held(&held));
    assert_eq!((held.status, held.reason), (False, Reason::Held));
    assert!(held.message.contains("0 routes instead of 500") && held.message.ends_with("release it: say so"));
}

/// A fleet in a cluster where these pods take calls.
fn in_cluster(own: Vec<Dataplane>, peers: Vec<Report>, ready: &[&str], now: Instant) -> Fleet {
    let mut fleet = Fleet { own, peers, hears: true, ready: Ready::Unknown };
    let pods = ready.iter().map(|pod| (*pod).to_owned());
    fleet.ready.replace(pods);
    fleet.note_missing(now);
    fleet
}

#[test]
fn a_pod_that_takes_calls_is_waited_for_even_if_it_is_connected_to_nobody() {
    let start = Instant::now();
    let mut fleet = in_cluster(vec![dataplane(1, 3)], vec![report(30, &["a"], vec![])], &["pod-1", "a", "lost"], start);
    let finding = said(&fleet, start);
    assert_eq!((finding.status, &*finding.message), (Unknown, "2 of 3 dataplanes route by it"));
    let later = start + Duration::from_secs(59);
    fleet.note_missing(later);
    assert_eq!(said(&fleet, later).status, Unknown, "it counts from when it was first missed");
    let late = start + Duration::from_secs(60);
    let finding = said(&fleet, late);
    assert_eq!(finding.status, True);
    assert_eq!(finding.message, "2 of 3 dataplanes route by it; without an answer from lost");
    assert_eq!(fleet.ready.pods().expect("a cluster").overdue(late).collect::<Vec<_>>(), ["lost"]);

    // It comes back, and is behind: it is waited for again, by name and number.
    fleet.own.push(Dataplane { pod: "lost".to_owned(), ..dataplane(9, 0) });
    fleet.note_missing(late);
    assert_eq!((said(&fleet, late).status, &*said(&fleet, late).message), (Unknown, "2 of 3 dataplanes route by it"));
}

#[test]
fn nothing_is_programmed_before_it_is_known_who_takes_calls() {
    let now = Instant::now();
    let mut fleet = Fleet { own: vec![dataplane(1, 3)], hears: true, ready: Ready::Unknown, ..Fleet::default() };
    let finding = said(&fleet, now);
    assert_eq!((finding.status, finding.reason), (Unknown, Reason::Pending));
    assert_eq!(finding.message, "it is not known yet which dataplanes take calls");
    fleet.own.push(refusing(2, 2, 3));
    assert_eq!(said(&fleet, now).reason, Reason::Rejected, "that one refused it is known");
    fleet.own.pop();
    fleet.ready.replace(["pod-1".to_owned()]);
    assert_eq!(said(&fleet, now).status, True);
    fleet.ready.replace(["pod-1".to_owned(), "pod-3".to_owned()]);
    fleet.note_missing(now);
    assert_eq!(said(&fleet, now).status, Unknown);
}

#[test]
fn who_cannot_hear_the_other_replicas_takes_no_pod_for_missing() {
    let second = Duration::from_secs(1);
    let start = Instant::now();
    let mut fleet = in_cluster(vec![dataplane(1, 3)], vec![], &["pod-1", "elsewhere"], start);
    let look = |fleet: &mut Fleet, seconds: u32| {
        let now = start + second * seconds;
        fleet.note_missing(now);
        said(fleet, now)
    };
    look(&mut fleet, 50);
    fleet.hears = false;
    for seconds in [51, 100, 1000] {
        let finding = look(&mut fleet, seconds);
        assert_eq!((finding.status, &*finding.message), (Unknown, "1 of 2 dataplanes route by it"), "{seconds} s");
    }
    fleet.hears = true;
    assert_eq!(look(&mut fleet, 1059).status, Unknown, "the time begins anew");
    assert_eq!(look(&mut fleet, 1060).status, True);
}

#[test]
fn a_pod_that_takes_no_calls_and_never_had_a_table_is_not_waited_for() {
    let now = Instant::now();
    let fleet = in_cluster(vec![dataplane(1, 3), dataplane(2, 0)], vec![], &["pod-1"], now);
    assert_eq!(said(&fleet, now).status, True);
    // One that is no longer ready still serves the calls that it has.
    let fleet = in_cluster(vec![dataplane(1, 3), dataplane(2, 2)], vec![], &["pod-1"], now);
    assert_eq!(said(&fleet, now).status, Unknown);
}

#[test]
fn a_replica_reports_its_floor_and_names_exceptions() {
    let fleet =
        Fleet { own: vec![dataplane(1, 5), dataplane(2, 4), silent(3, 2), refusing(4, 4, 5)], ..Fleet::default() };
    let report = fleet.report(|epoch| at(epoch * 10));
    assert_eq!(report.floor, at(40));
    assert_eq!(report.pods, ["pod-1", "pod-2"]);
    let pods: Vec<_> = report.exceptions.iter().map(|exception| (&*exception.pod, &exception.has)).collect();
    assert_eq!(pods, [("pod-3", &at(20)), ("pod-4", &at(40))]);
    assert_eq!(report.exceptions[1].refused.as_ref().map(|refused| &refused.read), Some(&at(50)));
    let text = serde_json::to_string(&report).expect("JSON");
    assert_eq!(serde_json::from_str::<Report>(&text).expect("read back"), report);
}

/// Versions of so many streams, as from as many watched namespaces.
fn of_many(version: u64) -> Versions {
    let mut versions = Versions::default();
    for namespace in 0..60 {
        for kind in ["routingentries", "callauthorizations", "servicecontracts"] {
            versions.raise(&format!("{kind} of a-namespace-of-some-length-{namespace:02}"), 1_000_000_000 + version);
        }
    }
    versions
}

#[test]
fn a_report_stays_short_when_all_refuse_and_all_are_silent() {
    let long = |number, epoch, refused| {
        let mut dataplane = refusing(number, epoch, refused);
        dataplane.refused.as_mut().expect("just set").reason = "å".repeat(512);
        dataplane
    };
    // Each for itself, the worst case, and all alike, as when a version refuses a table.
    let own = (0..100).flat_map(|number| [long(number, number, number + 1), silent(number + 100, number)]);
    let alike = (0..200).map(|number| long(number, 4, 5));
    for fleet in [own.collect(), alike.collect()].map(|own| Fleet { own, ..Fleet::default() }) {
        let report = fleet.report(of_many);
        // Kubernetes takes 256 KiB of annotations.
        let bytes = serde_json::to_string(&report).expect("JSON").len();
        assert!(bytes < 200_000, "{bytes} bytes");
        let named: usize = report.exceptions.iter().map(|exception| exception.pods().count()).sum();
        assert_eq!(named, 200);
    }
}

#[test]
fn of_many_that_lag_too_little_is_said_and_never_too_much() {
    let own = (1..=6).map(|number| refusing(number, number, number + 1)).chain([silent(9, 3)]).collect();
    let report = Fleet { own, ..Fleet::default() }.report(|epoch| at(epoch * 10));
    let said = |exception: &Exception| {
        let pods: Vec<String> = exception.pods().cloned().collect();
        (pods.join(" "), exception.has.clone(), exception.refused.as_ref().map(|refused| refused.read.clone()))
    };
    let said: Vec<_> = report.exceptions.iter().map(said).collect();
    let refused = |pods: &str, has, read| (pods.to_owned(), at(has), Some(at(read)));
    let expected = [
        ("pod-9".to_owned(), at(30), None),
        refused("pod-1 pod-2 pod-3", 10, 20),
        refused("pod-4", 40, 50),
        refused("pod-5", 50, 60),
        refused("pod-6", 60, 70),
    ];
    assert_eq!(said, expected);
    let refusal = report.exceptions[1].refused.as_ref().expect("refused");
    assert!(refusal.sentence.starts_with("pod-1 refused table"), "{}", refusal.sentence);
}

#[test]
fn replicas_of_two_versions_come_to_the_same_verdict() {
    // As it was read before dataplanes were taken together: what is not known is passed over.
    #[derive(serde::Deserialize)]
    struct Before {
        pod: String,
        has: Versions,
        #[serde(default)]
        refused: Option<RefusedElsewhere>,
    }
    #[derive(serde::Deserialize)]
    struct ReportBefore {
        floor: Versions,
        pods: Vec<String>,
        exceptions: Vec<Before>,
    }
    let own = vec![dataplane(1, 3), refusing(2, 2, 3), refusing(3, 2, 3), silent(4, 2), silent(5, 2)];
    let new = Fleet { own, ..Fleet::default() }.report(|epoch| at(epoch * 10));
    let text = serde_json::to_string(&new).expect("JSON");
    let before: ReportBefore = serde_json::from_str(&text).expect("the version before reads it");
    let exceptions = before.exceptions.into_iter();
    let exceptions = exceptions.map(|Before { pod, has, refused }| Exception { pod, also: Vec::new(), has, refused });
    let read = Report { floor: before.floor, pods: before.pods, exceptions: exceptions.collect() };
    for peer in [new, read] {
        let finding = said(&Fleet { peers: vec![peer], ..Fleet::default() }, Instant::now());
        assert_eq!((finding.status, finding.reason), (False, Reason::Rejected), "{}", finding.message);
        assert!(finding.message.starts_with("pod-2 refused"), "{}", finding.message);
    }
    let old = r#"{"floor":{"routingentries":30},"pods":["a"],"exceptions":[{"pod":"b","has":{"routingentries":20}}]}"#;
    let old: Report = serde_json::from_str(old).expect("what the version before writes");
    assert_eq!(old, report(30, &["a"], vec![exception("b", 20, None)]));
}

fn verdict(generation: i64, accepted: (ConditionStatus, Reason)) -> Verdict {
    let (status, reason) = accepted;
    Verdict {
        id: ObjectId { kind: Kind::RoutingEntry, namespace: "default".to_owned(), name: "a".to_owned() },
        uid: None,
        generation,
        rows: RowCounts { total: 10, programmed: 8, rejected: 2 },
        errors: vec![],
        accepted: Finding::new(ConditionType::Accepted, status, reason, "accepted?"),
        resolved_refs: Finding::new(ConditionType::ResolvedRefs, False, Reason::UnknownContract, "no contract"),
    }
}

/// The finding when every dataplane has it.
fn everywhere() -> Finding {
    programmed(Progress::Published(&Standing { total: 2, done: 2, ..Standing::default() }))
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
    assert!(update(&mut status, &whole, programmed(Progress::Waiting), now(1)));
    assert_eq!(ready(&status), (Unknown, "Pending"));
    assert_eq!(status.rows, RowCounts { total: 10, programmed: 0, rejected: 2 });
    let types: Vec<&str> = status.conditions.iter().map(|found| found.type_.as_str()).collect();
    assert_eq!(types, ["Accepted", "ResolvedRefs", "Programmed", "Ready"]);

    assert!(update(&mut status, &whole, everywhere(), now(2)));
    assert_eq!(ready(&status), (True, "Ready"));
    assert_eq!(status.rows.programmed, 8);
    assert!(!update(&mut status, &whole, everywhere(), now(3)), "nothing is new");

    let part = verdict(2, (True, Reason::PartiallyAccepted));
    assert!(update(&mut status, &part, everywhere(), now(4)));
    assert_eq!(ready(&status), (False, "PartiallyAccepted"));
    assert_eq!(status.observed_generation, Some(2));
}

#[test]
fn of_an_object_of_which_nothing_is_routed_it_is_not_said_that_it_is() {
    let mut status = Status::default();
    let none = RowCounts { total: 10, programmed: 0, rejected: 10 };
    let refused = Verdict { rows: none, ..verdict(1, (False, Reason::Conflict)) };
    update(&mut status, &refused, everywhere(), now(1));
    let said = condition(&status, ConditionType::Programmed).expect("always there").clone();
    assert_eq!((said.status, &*said.message), (True, "every ready dataplane routes without it"));
    let again = latched(&status);
    assert!(!update(&mut status, &refused, again, now(2)), "it keeps its words");
}

#[test]
fn a_condition_that_holds_on_keeps_its_time() {
    let mut status = Status::default();
    update(&mut status, &verdict(1, (True, Reason::Accepted)), programmed(Progress::Waiting), now(1));
    update(&mut status, &verdict(2, (True, Reason::Accepted)), everywhere(), now(60));
    let time = |which: ConditionType| {
        let found = status.conditions.iter().find(|found| found.is(which)).expect("always there");
        found.last_transition_time.clone()
    };
    assert_eq!(time(ConditionType::Accepted), "1970-01-01T00:00:01Z");
    assert_eq!(time(ConditionType::Programmed), "1970-01-01T00:01:00Z");
}

#[test]
fn what_was_programmed_once_stays_so_for_the_generation() {
    let mut status = Status::default();
    let whole = verdict(3, (True, Reason::Accepted));
    let without = Standing { total: 2, done: 1, silent: vec!["lost".to_owned()], ..Standing::default() };
    update(&mut status, &whole, programmed(Progress::Published(&without)), now(1));
    assert!(is_programmed(&status, &whole));
    assert!(latched(&status).message.contains("without an answer from lost"), "it keeps its words");
    assert!(!is_programmed(&status, &verdict(4, (True, Reason::Accepted))), "another generation");
    let fewer = Verdict { rows: RowCounts { total: 10, programmed: 5, rejected: 5 }, ..whole };
    assert!(!is_programmed(&status, &fewer), "other rows, because a rival came");
}

#[test]
fn whoever_wrote_a_condition_first_knows_since_when_it_holds() {
    let (mut ours, mut stored) = (Status::default(), Status::default());
    let whole = verdict(1, (True, Reason::Accepted));
    update(&mut stored, &whole, programmed(Progress::Waiting), now(10));
    update(&mut ours, &whole, everywhere(), now(99));
    adopt_times(&mut ours, &stored);
    let time = |which: ConditionType| {
        ours.conditions.iter().find(|found| found.is(which)).expect("always there").last_transition_time.clone()
    };
    assert_eq!(time(ConditionType::Accepted), "1970-01-01T00:00:10Z");
    assert_eq!(time(ConditionType::Programmed), "1970-01-01T00:01:39Z", "that one has changed since");
}
