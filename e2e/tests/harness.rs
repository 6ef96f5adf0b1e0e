//! The harness against itself: a raw consumer calls a scripted producer without a platform between them. What the suite
//! relies on must hold here, above all that it notices what is wrong.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rivmesh_e2e::call::call;
use rivmesh_e2e::case::{Ending, Expect, ProducerExpect, Request};
use rivmesh_e2e::check::{self, Differences, Observed};
use rivmesh_e2e::consumer::Consumers;
use rivmesh_e2e::content::{ANSWER, Content};
use rivmesh_e2e::fixture::Scene;
use rivmesh_e2e::pki::Pki;
use rivmesh_e2e::producer::{Listening, Producer};
use rivmesh_e2e::script::{Answer, Frame, Script, Then};
use rivmesh_e2e::variables::Variables;

/// A scene whose port `consumers` is a producer itself.
fn scene(directory: &Path, listening: &Listening) -> Arc<Scene> {
    let pki = Pki::create(directory).expect("a PKI");
    let producer = Producer::start(directory, listening).expect("a producer");
    let mut variables = Variables::default();
    variables.set("consumers", producer.address().port().to_string());
    let producers = [("p1".to_owned(), producer)].into();
    Arc::new(Scene { producers, consumers: Consumers::new(directory), pki, variables })
}

fn with_tls() -> Listening {
    Listening { certificate: Some("producer".to_owned()), ..Listening::default() }
}

fn ask(scene: &Scene, request: &Request, expect: &Expect) -> Observed {
    call(scene, request, expect, None).expect("the harness works").0
}

fn differences(expect: &Expect, observed: &Observed) -> Vec<String> {
    let mut differences = Differences::default();
    check::outcome(expect, observed, "name", &mut differences);
    differences.into_sentences()
}

fn script(scene: &Scene, answer: Answer) {
    scene.producers["p1"].set_script(Script::Always(Box::new(answer)));
}

#[test]
fn an_ordinary_call_passes_over_both_tls_versions_and_a_wrong_expectation_fails() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let scene = scene(directory.path(), &with_tls());
    for tls in ["1.2", "1.3"] {
        let request = Request { tls: tls.to_owned(), ..Request::default() };
        let right = Expect { status: Some(200), body: Some(Content::Text(ANSWER.to_owned())), ..Expect::default() };
        let observed = ask(&scene, &request, &right);
        assert_eq!(differences(&right, &observed), Vec::<String>::new());
        let wrong = Expect { status: Some(500), body_contains: vec!["another thing".to_owned()], ..Expect::default() };
        assert_eq!(differences(&wrong, &observed).len(), 2);
        let fault = Expect { code: Some("VP004".to_owned()), ..Expect::default() };
        assert!(differences(&fault, &observed).len() >= 3, "an ordinary answer is no fault");
    }
}

#[test]
fn a_producer_records_exactly_what_came() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let scene = scene(directory.path(), &with_tls());
    let request = Request {
        chunked: Some(100),
        headers: vec!["X-One: 1".to_owned(), "x-one: 2".to_owned()],
        ..Request::default()
    };
    let observed = ask(&scene, &request, &Expect::default());
    let received = scene.producers["p1"].received();
    let compare = |expect: &str| {
        let expect: ProducerExpect = serde_json::from_str(expect).expect("valid");
        let mut differences = Differences::default();
        check::received("p1", &expect, &received, &observed.sent_body, &mut differences);
        differences.into_sentences()
    };
    let right = r#"{"count": 1, "body-same": true, "framing": "chunked", "complete": true, "with-certificate": true,
        "headers": {"X-One": ["1", "2"], "Content-Length": null}, "target": "/vp/test"}"#;
    assert_eq!(compare(right), Vec::<String>::new());
    let wrong = r#"{"count": 2, "body": "x", "framing": "length", "headers": {"X-One": "1", "X-Two": "2"}}"#;
    assert_eq!(compare(wrong).len(), 5);
}

#[test]
fn the_ways_to_break_off_are_told_apart() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let scene = scene(directory.path(), &with_tls());
    let aborted = Expect { connection: Some(Ending::Aborted), ..Expect::default() };
    let no_answer = Expect { connection: Some(Ending::NoAnswer), ..Expect::default() };
    let open = Expect { status: Some(200), connection: Some(Ending::Open), ..Expect::default() };
    let closed = Expect { status: Some(200), connection: Some(Ending::Closed), ..Expect::default() };
    let silent = |then| Answer { silent: true, then, ..Answer::default() };
    let all = [&aborted, &no_answer, &open, &closed];
    for (answer, right) in [
        (silent(Then::Close), &no_answer),
        (silent(Then::Reset), &aborted),
        (Answer { cut: Some(10), then: Then::Close, ..Answer::default() }, &aborted),
        (Answer { frame: Frame::Lie(5), then: Then::Close, ..Answer::default() }, &aborted),
        (Answer { frame: Frame::Chunked, cut: Some(10), then: Then::Close, ..Answer::default() }, &aborted),
        (Answer { then: Then::Close, ..Answer::default() }, &closed),
        (Answer::default(), &open),
    ] {
        for expect in all {
            script(&scene, answer.clone());
            let observed = ask(&scene, &Request::default(), expect);
            let fits = differences(expect, &observed).is_empty();
            assert_eq!(fits, std::ptr::eq(expect, right), "{answer:?} against {:?}: {observed:?}", expect.connection);
        }
    }
}

#[test]
fn a_refused_certificate_is_an_alert_by_name() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let scene = scene(directory.path(), &with_tls());
    for (certificate, alert) in
        [("nobody", "CertificateRequired"), ("expired", "CertificateExpired"), ("untrusted", "UnknownCA")]
    {
        let request = Request { r#as: certificate.to_owned(), ..Request::default() };
        let right = Expect { refused: Some(alert.to_owned()), ..Expect::default() };
        let observed = ask(&scene, &request, &right);
        assert_eq!(differences(&right, &observed), Vec::<String>::new());
        let wrong = Expect { refused: Some("BadRecordMac".to_owned()), ..Expect::default() };
        assert_eq!(differences(&wrong, &observed).len(), 1);
    }
}

#[test]
fn a_stalled_producer_notices_that_its_caller_hung_up() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let scene = scene(directory.path(), &Listening::default());
    script(&scene, Answer { silent: true, then: Then::Stall, ..Answer::default() });
    let request: Request =
        serde_json::from_str(r#"{"tls": "plain", "hang-up": "close", "after-producer": "p1"}"#).expect("valid");
    ask(&scene, &request, &Expect::default());
    let received =
        scene.producers["p1"].wait_received(Duration::from_secs(5), |all| all.iter().any(|one| one.abandoned));
    assert!(received[0].abandoned && received[0].complete);
}
