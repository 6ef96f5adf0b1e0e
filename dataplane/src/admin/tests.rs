//! The admin port over a real socket.

use super::{Admin, ControlPlaneStatus, Explained, ListenerInfo, ObjectStatus, PlatformInfo, Question, Sources, serve};
use crate::ready::{self, Readiness};
use crate::telemetry::metrics::{Expiry, ExpiryKind, Metrics};
use crate::telemetry::table::{RowCounts, TableInfo, TableSource};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

struct Answer {
    status: u16,
    head: String,
    body: String,
}

struct Fixture {
    admin: Admin,
    readiness: Readiness,
    metrics: Arc<Metrics>,
}

fn fixture() -> Fixture {
    let (readiness, metrics) = (Readiness::new(), Arc::new(Metrics::new()));
    let sources = Sources {
        platform: Box::new(|| PlatformInfo {
            name: "region-nord".into(),
            hsa_id: "SE2321000016-A1B2".into(),
            environment: "test".into(),
            listeners: vec![ListenerInfo { name: "consumers".into(), url: "https://0.0.0.0:8443".into() }],
        }),
        readiness: readiness.clone(),
        metrics: metrics.clone(),
        explain: Box::new(explain),
        control_plane: Some(Box::new(control_plane)),
    };
    let socket = TcpListener::bind("127.0.0.1:0").expect("bind");
    Fixture { admin: serve(socket, sources).expect("serve"), readiness, metrics }
}

fn explain(question: &Question) -> Result<Explained, String> {
    match question.consumer.as_str() {
        "nobody" => Err("No table has been loaded yet.".into()),
        consumer => {
            Ok(Explained { json: json!({ "consumer": consumer, "at": question.at }), text: "because\n".into() })
        }
    }
}

fn control_plane() -> ControlPlaneStatus {
    let problems = vec!["routes.yaml:7: endpoints is missing".to_owned()];
    ControlPlaneStatus { objects: objects(), problems, held: None }
}

fn objects() -> Vec<ObjectStatus> {
    let object = |n: usize, ready| ObjectStatus {
        kind: "RoutingEntry".into(),
        namespace: "tak".into(),
        name: format!("route-{n:05}"),
        ready,
        status: json!({ "rows": { "total": n } }),
    };
    (0..1500).map(|n| object(n, true)).chain([object(9999, false)]).collect()
}

impl Fixture {
    fn send(&self, request: &str) -> Answer {
        let mut stream = TcpStream::connect(self.admin.address()).expect("connect");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("timeout");
        stream.write_all(request.as_bytes()).expect("write");
        let mut text = String::new();
        stream.read_to_string(&mut text).expect("read");
        let (head, body) = text.split_once("\r\n\r\n").expect("head");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("status");
        Answer { status, head: head.to_ascii_lowercase(), body: body.into() }
    }

    fn get(&self, target: &str) -> Answer {
        self.send(&format!("GET {target} HTTP/1.1\r\nHost: admin\r\n\r\n"))
    }

    fn status(&self) -> Value {
        serde_json::from_str(&self.get("/status").body).expect("JSON")
    }
}

#[test]
fn it_lives_whatever_it_waits_for() {
    let fixture = fixture();
    let _table = fixture.readiness.block(ready::TABLE);
    let answer = fixture.get("/livez");
    assert_eq!((answer.status, answer.body.as_str()), (200, "ok\n"));
}

#[test]
fn readiness_names_what_it_waits_for() {
    let fixture = fixture();
    let listeners = fixture.readiness.block(ready::LISTENERS);
    let table = fixture.readiness.block(ready::TABLE);
    table.because("no control plane has answered yet");
    let answer = fixture.get("/readyz");
    assert_eq!((answer.status, answer.body.as_str()), (503, "listeners\ntable: no control plane has answered yet\n"));
    drop((listeners, table));
    let answer = fixture.get("/readyz");
    assert_eq!((answer.status, answer.body.as_str()), (200, "ok\n"));
    fixture.readiness.drain();
    let answer = fixture.get("/readyz");
    assert_eq!((answer.status, answer.body.as_str()), (503, "draining: the process is stopping\n"));
}

#[test]
fn metrics_say_whether_it_is_ready() {
    let fixture = fixture();
    let answer = fixture.get("/metrics");
    assert!(answer.head.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8"));
    assert!(answer.body.contains("\nrivmesh_ready 1.0\n"), "{}", answer.body);
    let _table = fixture.readiness.block(ready::TABLE);
    let answer = fixture.get("/metrics");
    assert!(answer.body.contains("\nrivmesh_ready 0.0\n") && answer.body.ends_with("# EOF\n"), "{}", answer.body);
}

#[test]
fn status_before_there_is_anything() {
    let fixture = fixture();
    let _table = fixture.readiness.block(ready::TABLE);
    let status = fixture.status();
    assert_eq!(status["ready"], false);
    assert_eq!(status["waitingFor"], json!(["table"]));
    assert_eq!(status["table"], Value::Null);
    assert_eq!(status["TakCacheInitialized"], "false");
    assert_eq!(status["TakCacheResetInfo"], "Not initialized");
}

#[test]
fn status_tells_all() {
    let fixture = fixture();
    let rows = RowCounts { routes: 10, authorizations: 20, contracts: 2, hsa_units: 5 };
    let installed = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600);
    let table = TableInfo { digest: [0xab; 16], epoch: 3, source: TableSource::Operator, rows, installed };
    fixture.metrics.table_installed(table);
    fixture.metrics.table_confirmed(SystemTime::now());
    fixture.metrics.set_feed_connected(true);
    let expiry = Expiry { kind: ExpiryKind::Crl, name: "site.crl".into(), at: 1_767_225_600 };
    fixture.metrics.set_expiries("consumers", vec![expiry]);
    let listener = fixture.metrics.listener("consumers");
    let _held = (listener.connection_opened(), listener.call_in_flight());

    let status = fixture.status();
    assert_eq!(status["platform"]["hsaId"], "SE2321000016-A1B2");
    assert_eq!(status["table"]["digest"], "ab".repeat(16));
    assert_eq!(status["table"]["source"], "operator");
    assert_eq!(status["table"]["installed"], "2026-01-01T00:00:00Z");
    assert_eq!(status["table"]["rows"], json!({"routes": 10, "authorizations": 20, "contracts": 2, "hsaUnits": 5}));
    assert!(status["table"]["ageSeconds"].as_u64().is_some_and(|age| age < 60));
    assert_eq!(status["table"]["unsaved"], Value::Null);
    fixture.metrics.set_table_unsaved(Some("the table store could not write shard-ab: disk full".into()));
    assert_eq!(fixture.status()["table"]["unsaved"], "the table store could not write shard-ab: disk full");
    assert_eq!(status["feed"]["connected"], true);
    let listener =
        json!({"name": "consumers", "url": "https://0.0.0.0:8443", "connectionsOpen": 1, "callsInFlight": 1});
    assert_eq!(status["listeners"], json!([listener]));
    assert_eq!(status["expiries"], json!([{"kind": "crl", "name": "site.crl", "at": "2026-01-01T00:00:00Z"}]));
    assert_eq!(status["waitingFor"], json!([]));

    assert_eq!(status["problems"], json!(["routes.yaml:7: endpoints is missing"]));
    let objects = &status["objects"];
    assert_eq!((&objects["total"], &objects["notReady"], &objects["leftOut"]), (&json!(1501), &json!(1), &json!(501)));
    assert_eq!(objects["items"].as_array().map(Vec::len), Some(1000));
    assert_eq!(objects["items"][0]["name"], "route-09999", "what is not ready comes first");
}

#[test]
fn status_can_be_read_as_that_of_the_platform_before() {
    let fixture = fixture();
    let rows = RowCounts { routes: 10, authorizations: 20, contracts: 2, hsa_units: 5 };
    let installed = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600);
    let table = TableInfo { digest: [0; 16], epoch: 0, source: TableSource::Disk, rows, installed };
    fixture.metrics.table_installed(table);
    let answer = fixture.get("/status");
    for line in [
        "\n  \"Name\": \"region-nord\",",
        "\n  \"ServiceStatus\": \"Started\",",
        "\n  \"TakCacheInitialized\": \"true\",",
        "\n  \"TakCacheResetInfo\": \"Date:2026-01-01T00:00 Status:RESTORED_FROM_LOCAL_CACHE vagval:10 behorigheter:20\",",
        "\n  \"HsaCacheInitialized\": \"true\",",
        "\n  \"Uptime\": \"0 days, 0 hours, 0 minutes, ",
    ] {
        assert!(answer.body.contains(line), "{line} is not in\n{}", answer.body);
    }
}

#[test]
fn explain_answers_in_both_forms() {
    let fixture = fixture();
    let question = "consumer=SE1-C&contract=urn:x:1&address=SE1&at=1970-01-01T00:01:00Z";
    let answer = fixture.get(&format!("/explain?{question}"));
    let body: Value = serde_json::from_str(&answer.body).expect("JSON");
    assert_eq!((answer.status, body), (200, json!({ "consumer": "SE1-C", "at": 60 })));
    assert!(answer.head.contains("content-type: application/json"));
    let answer = fixture.get(&format!("/explain?{question}&format=text"));
    assert_eq!((answer.status, answer.body.as_str()), (200, "because\n"));
    let answer = fixture.get("/explain?consumer=nobody&contract=k&address=a");
    assert_eq!((answer.status, answer.body.as_str()), (503, "No table has been loaded yet.\n"));
    let answer = fixture.get("/explain?consumer=SE1");
    assert_eq!(answer.status, 400);
    assert!(answer.body.starts_with("contract is missing"), "{}", answer.body);
}

#[test]
fn it_can_only_be_read() {
    let fixture = fixture();
    let answer = fixture.send("POST /status HTTP/1.1\r\nHost: admin\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(answer.status, 405);
    assert!(answer.head.contains("allow: get, head"), "{}", answer.head);
    let answer = fixture.send("HEAD /livez HTTP/1.1\r\nHost: admin\r\n\r\n");
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    assert_eq!(fixture.get("/").status, 404);
    assert_eq!(fixture.get("/livez/..").status, 404);
}

#[test]
fn a_huge_head_and_a_silent_peer_harm_nobody_else() {
    let fixture = fixture();
    let _silent: Vec<_> = (0..10).map(|_| TcpStream::connect(fixture.admin.address()).expect("connect")).collect();
    let huge = format!("GET /livez HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(super::port::MAX_HEAD));
    assert_eq!(fixture.send(&huge).status, 431);
    assert_eq!(fixture.get("/livez").status, 200);
}

#[test]
fn the_port_closes_with_its_owner() {
    let Fixture { admin, .. } = fixture();
    let address = admin.address();
    drop(admin);
    assert!(TcpStream::connect(address).is_err());
}
