//! The stream against an API server that answers by a script, on a clock that moves when nothing else does.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use futures::stream;
use kube::Client;
use kube::client::Body as RequestBody;
use rivmesh_crds::ServiceContract;
use serde_json::{Value, json};
use tokio::time::Instant;
use tonic::codegen::http::{Request, Response};

use super::*;

/// More than anything here may take.
const LONG: Duration = Duration::from_secs(3600);

/// What the server does about one request.
enum Answer {
    /// Fails with this code.
    Refuses(u16),
    /// Gives a page: its objects' names, and whether there are more.
    Page(&'static [&'static str], bool),
    /// Says this and ends.
    Ends(Vec<Value>),
    /// Says this, and nothing more.
    StaysOpen(Vec<Value>),
    /// Never answers.
    Silent,
}

use Answer::{Ends, Page, Refuses, Silent, StaysOpen};

/// A stream whose server answers by a script, and is silent after it.
struct World {
    heard: mpsc::Receiver<(Arc<str>, Heard)>,
    /// When what was asked.
    asked: Arc<Mutex<Vec<(Duration, String)>>>,
}

impl World {
    fn new(script: impl IntoIterator<Item = Answer>) -> Self {
        let script = Arc::new(Mutex::new(script.into_iter().collect::<VecDeque<Answer>>()));
        let asked: Arc<Mutex<Vec<(Duration, String)>>> = Arc::default();
        let (log, start) = (asked.clone(), Instant::now());
        let service = tower::service_fn(move |request: Request<RequestBody>| {
            log.lock().unwrap().push((start.elapsed(), request.uri().query().unwrap_or_default().to_owned()));
            let answer = script.lock().unwrap().pop_front().unwrap_or(Silent);
            async move { Ok::<_, Infallible>(answer.give().await) }
        });
        let (out, heard) = mpsc::channel(64);
        let api: Api<Slim<ServiceContract>> = Api::namespaced(Client::new(service, "tak"), "tak");
        tokio::spawn(follow("contracts".into(), api, out));
        Self { heard, asked }
    }

    /// The next thing that the stream says, in a word or two.
    async fn hear(&mut self) -> String {
        let said = timeout(LONG, self.heard.recv()).await.expect("it hangs").expect("it goes on for ever");
        match said.1 {
            Heard::Listing => "listing".to_owned(),
            Heard::Listed(seen) => format!("listed {}", seen.id.name),
            Heard::Complete { version } => format!("complete {version}"),
            Heard::Changed(seen) => format!("changed {}", seen.id.name),
            Heard::Gone { id, .. } => format!("gone {}", id.name),
            Heard::Read { version } => format!("read {version}"),
            Heard::Failed(problem) => format!("failed: {problem}"),
        }
    }

    /// The failures until this is said.
    async fn failures_until(&mut self, words: &str) -> Vec<String> {
        let mut failures = Vec::new();
        for _ in 0..100 {
            let said = self.hear().await;
            if said == words {
                return failures;
            }
            failures.extend(said.strip_prefix("failed: ").map(str::to_owned));
        }
        panic!("it never says \"{words}\", but {failures:?}");
    }

    fn asked(&self) -> Vec<(Duration, String)> {
        self.asked.lock().unwrap().clone()
    }

    /// The times between the requests that have this in their query.
    fn pauses(&self, asked_for: &str) -> Vec<Duration> {
        let asked = self.asked();
        let times: Vec<Duration> =
            asked.iter().filter(|(_, query)| query.contains(asked_for)).map(|(at, _)| *at).collect();
        times.windows(2).map(|pair| pair[1] - pair[0]).collect()
    }
}

impl Answer {
    async fn give(self) -> Response<Body> {
        let (code, body) = match self {
            Refuses(code) => (code, Body::from(status(code).to_string())),
            Page(names, has_more) => {
                let metadata = json!({"resourceVersion": "20", "continue": if has_more { "more" } else { "" }});
                let items: Vec<Value> = names.iter().map(|name| contract(name, 7)).collect();
                let list = json!({"apiVersion": "rivmesh.io/v1alpha1", "kind": "ServiceContractList", "metadata": metadata, "items": items});
                (200, Body::from(list.to_string()))
            }
            Ends(events) => (200, Body::from_stream(stream::iter(lines(&events)))),
            StaysOpen(events) => (200, Body::from_stream(stream::iter(lines(&events)).chain(stream::pending()))),
            Silent => std::future::pending().await,
        };
        Response::builder().status(code).body(body).expect("a response")
    }
}

fn lines(events: &[Value]) -> Vec<Result<String, Infallible>> {
    events.iter().map(|event| Ok(format!("{event}\n"))).collect()
}

fn status(code: u16) -> Value {
    json!({"apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure", "message": "no", "reason": "No", "code": code})
}

fn contract(name: &str, version: u64) -> Value {
    json!({
        "apiVersion": "rivmesh.io/v1alpha1",
        "kind": "ServiceContract",
        "metadata": {"name": name, "namespace": "tak", "uid": name, "generation": 1, "resourceVersion": version.to_string()},
        "spec": {"urn": "urn:riv:x:XResponder:1"},
    })
}

fn added(name: &str, version: u64) -> Value {
    json!({"type": "ADDED", "object": contract(name, version)})
}

fn bookmark(version: impl std::fmt::Display, annotations: &Value) -> Value {
    let metadata = json!({"resourceVersion": version.to_string(), "annotations": annotations});
    json!({"type": "BOOKMARK", "object": {"apiVersion": "rivmesh.io/v1alpha1", "kind": "ServiceContract", "metadata": metadata}})
}

/// A complete list as a stream.
fn streamed() -> Answer {
    StaysOpen(vec![added("a", 7), bookmark(20, &json!({LIST_END: "true"}))])
}

/// A watch that says that what it begins at is no longer known.
fn expired() -> Answer {
    StaysOpen(vec![json!({"type": "ERROR", "object": status(410)})])
}

#[tokio::test(start_paused = true)]
async fn a_server_that_streams_no_lists_is_read_in_pages() {
    for code in [400, 422] {
        let mut world =
            World::new([Refuses(code), Page(&["a", "b"], true), Page(&["c"], false), StaysOpen(vec![added("d", 21)])]);
        let mut heard = Vec::new();
        for _ in 0..7 {
            heard.push(world.hear().await);
        }
        assert_eq!(heard, ["listing", "listing", "listed a", "listed b", "listed c", "complete 20", "changed d"]);

        let asked = world.asked();
        assert!(asked.iter().all(|(at, _)| *at == Duration::ZERO), "nothing waits: {asked:?}");
        let has = |number: usize, pair: &str| asked[number].1.split('&').any(|found| found == pair);
        assert!(has(0, "sendInitialEvents=true") && has(0, "watch=true"), "{asked:?}");
        assert!(has(1, "limit=500") && !asked[1].1.contains("continue") && !asked[1].1.contains("watch"), "{asked:?}");
        assert!(has(2, "limit=500") && has(2, "continue=more"), "{asked:?}");
        assert!(has(3, "watch=true") && has(3, "resourceVersion=20"), "{asked:?}");
        assert!(!asked[3].1.contains("sendInitialEvents"), "{asked:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_streams_no_lists_is_not_asked_again_to() {
    let mut world = World::new([
        Refuses(400),
        Page(&["a"], true),
        // The rest of the list took too long.
        Refuses(410),
        Page(&["b"], false),
    ]);
    let failures = world.failures_until("complete 20").await;
    assert!(matches!(&failures[..], [only] if only.contains("remembers")), "{failures:?}");
    assert_eq!(world.pauses("sendInitialEvents").len(), 0, "it was asked once");
}

#[tokio::test(start_paused = true)]
async fn what_a_server_does_not_begin_to_answer_is_asked_again() {
    let cases: [(&str, Vec<Answer>, &str); 4] = [
        ("a list", vec![Silent, streamed()], "complete 20"),
        ("a first page", vec![Refuses(400), Silent, Page(&["a"], false)], "complete 20"),
        ("a second page", vec![Refuses(400), Page(&["a"], true), Silent, Page(&["a"], false)], "complete 20"),
        ("a watch", vec![streamed(), Silent, StaysOpen(vec![added("b", 21)])], "changed b"),
    ];
    for (what, script, end) in cases {
        let (mut world, start) = (World::new(script), Instant::now());
        let failures = world.failures_until(end).await;
        assert_eq!(failures, ["the API server was silent for 15 s"], "{what}");
        assert!(start.elapsed() < OVERDUE + Duration::from_secs(1), "{what}: {:?}", start.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_expired_each_time_is_not_answered_with_list_after_list() {
    type Expired = fn() -> Answer;
    let ways: [(&str, Expired); 2] = [("refused", || Refuses(410)), ("ended", expired)];
    for (way, expired) in ways {
        let mut script = Vec::new();
        for _ in 0..8 {
            script.extend([streamed(), expired()]);
        }
        script.extend([streamed(), StaysOpen(vec![added("b", 21)])]);
        let mut world = World::new(script);
        let failures = world.failures_until("changed b").await;
        assert!(failures.len() == 8 && failures[0].contains("no longer remembers"), "{way}: {failures:?}");
        let pauses = world.pauses("sendInitialEvents");
        assert!(pauses[0] <= Backoff::FIRST, "{way}: once may happen: {pauses:?}");
        assert!(pauses[7] >= LONGEST_WAIT / 2, "{way}: {pauses:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_ends_as_soon_as_it_begins_is_not_opened_again_and_again() {
    let mut script = vec![streamed()];
    script.extend((0..8).map(|_| Ends(Vec::new())));
    script.push(StaysOpen(vec![added("b", 21)]));
    let mut world = World::new(script);
    let failures = world.failures_until("changed b").await;
    assert!(failures.len() == 8 && failures[0].contains("as soon as it had begun"), "{failures:?}");
    let pauses = world.pauses("resourceVersion=20");
    assert!(pauses[7] >= LONGEST_WAIT / 2, "{pauses:?}");
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_was_of_use_is_opened_again_at_once() {
    let mut script = vec![streamed()];
    script.extend((21..29).map(|version| Ends(vec![bookmark(version, &json!({}))])));
    script.push(StaysOpen(vec![added("b", 30)]));
    let mut world = World::new(script);
    assert_eq!(world.failures_until("changed b").await, Vec::<String>::new());
    let asked = world.asked();
    assert!(asked.iter().all(|(at, _)| *at == Duration::ZERO), "{asked:?}");
    assert!(asked[9].1.contains("resourceVersion=28"), "it goes on from what it read last: {asked:?}");
}

#[tokio::test(start_paused = true)]
async fn after_a_watch_that_was_of_use_the_waits_are_short_again() {
    let mut script = Vec::new();
    for _ in 0..8 {
        script.extend([streamed(), expired()]);
    }
    script.extend([streamed(), Ends(vec![added("b", 21)]), expired(), streamed(), Silent]);
    let mut world = World::new(script);
    world.failures_until("changed b").await;
    world.failures_until("complete 20").await;
    let pauses = world.pauses("sendInitialEvents");
    assert!(pauses[7] >= LONGEST_WAIT / 2 && pauses[8] <= Backoff::FIRST, "{pauses:?}");
}

#[tokio::test(start_paused = true)]
async fn a_version_that_is_no_number_is_told_and_waited_after() {
    let nonsense = || StaysOpen(vec![bookmark("x", &json!({LIST_END: "true"}))]);
    let mut world = World::new([nonsense(), nonsense(), streamed()]);
    let failures = world.failures_until("complete 20").await;
    assert!(failures.len() == 2 && failures[0].contains("is not a number"), "{failures:?}");
    assert!(world.pauses("sendInitialEvents").iter().all(|pause| *pause >= Backoff::FIRST / 2));
}
