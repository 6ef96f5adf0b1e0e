//! The log as its readers see it: exact lines, nothing forged, nothing lost without a word.

use super::render::{Format, Renderer, Service};
use super::{Alert, Event, Intrusion, Log, RefusedHandshake, start};
use crate::telemetry::fields;
use crate::telemetry::record::{CallRecord, EndpointName, ObjectRef, Origin, Outcome, TlsVersion};
use crate::telemetry::table::{RowCounts, TableInfo, TableSource};
use crate::telemetry::trace::TraceContext;
use rivmesh_rivta::{CertificateSummary, VpCode};
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender as Channel, channel};
use std::sync::{Arc, Condvar, LazyLock, Mutex};
use std::time::{Duration, SystemTime};

const PATIENCE: Duration = Duration::from_secs(20);

fn service() -> Service {
    Service {
        name: "region-nord".into(),
        environment: "test".into(),
        hsa_id: "SE2321000016-A1B2".into(),
        host: "pod-1".into(),
    }
}

fn object(name: &str, generation: i64) -> Option<ObjectRef> {
    Some(ObjectRef { name: format!("tak/{name}"), generation })
}

static OVER_TLS: LazyLock<Origin> = LazyLock::new(|| {
    Origin::new("consumers".into(), "[::ffff:192.0.2.7]:50000".parse().expect("address"), Some(TlsVersion::V1_3))
});
static PLAIN: LazyLock<Origin> =
    LazyLock::new(|| Origin::new("consumers".into(), "192.0.2.8:1".parse().expect("address"), None));

fn endpoint(url: &str) -> Option<Arc<EndpointName>> {
    Some(Arc::new(EndpointName::new(url)))
}

/// A call that went well.
fn success() -> CallRecord<'static> {
    let parent = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let trace = TraceContext::continue_or_start(&[parent], &[], [0xab; 24]);
    CallRecord {
        method: "POST",
        path: "/vp/x?secret=1",
        original_consumer_in: Some("SE1-ORIG".into()),
        original_consumer_out: Some("SE1-ORIG".into()),
        acting_on_behalf_of: Some("SE1-BEHALF".into()),
        contract: Some("urn:riv:clinicalprocess:healthcond:description:GetCareDocumentationResponder:2".into()),
        address: Some("SE2321000131-E000000000001".into()),
        profile_in: Some("rivtabp21"),
        profile_out: Some("rivtabp20"),
        endpoint: endpoint("https://user:pass@p1.vgr.se:8443/journal?token=x"),
        correlation_id: "c0ffee",
        trace_id: Some(trace.trace_id),
        span_id: Some(trace.span_id),
        parent_span: trace.parent,
        route: object("journal", 3),
        authorization: object("vardgivare", 7),
        routing_trail: "SE2321000131-E000000000001".into(),
        authorization_trail: "SE2321000131-E000000000001,(default),*".into(),
        table_digest: Some([0x5a; 16]),
        bytes_in: 2048,
        bytes_out: 4096,
        status: 200,
        duration: Duration::from_micros(12_500),
        producer_duration: Some(Duration::from_micros(12_000)),
        consumer: "SE5565594230-B9P".into(),
        ..CallRecord::new(&OVER_TLS, SystemTime::UNIX_EPOCH + Duration::from_millis(1_767_225_600_250))
    }
}

fn vp_fault() -> CallRecord<'static> {
    let cause = "https://user:pass@p1.vgr.se:8443/journal?token=x: connection refused".to_owned();
    CallRecord {
        status: 500,
        bytes_out: 600,
        retried: true,
        outcome: Outcome::Fault { code: VpCode::Vp009, kind: "connect", cause },
        ..success()
    }
}

/// A VP fault of a call of which hardly anything is known.
fn early_fault() -> CallRecord<'static> {
    CallRecord {
        method: "POST",
        path: "/",
        correlation_id: "id",
        status: 500,
        outcome: Outcome::Fault { code: VpCode::Vp002, kind: "identity", cause: String::new() },
        ..CallRecord::new(&PLAIN, SystemTime::UNIX_EPOCH)
    }
}

fn producer_fault() -> CallRecord<'static> {
    CallRecord { status: 500, outcome: Outcome::ProducerFault { faultcode: "soap:Server".into() }, ..success() }
}

fn abort() -> CallRecord<'static> {
    CallRecord { status: 0, bytes_out: 10, outcome: Outcome::ConsumerAborted, ..success() }
}

fn json(record: &CallRecord<'_>) -> String {
    let mut out = String::new();
    Renderer::new(Format::Json, &service()).call(&mut out, record);
    out
}

/// What the lines of all calls have in common, as golden text.
fn golden(level: &str, body: &str) -> String {
    let body: String = body.lines().map(str::trim).collect();
    format!(
        "{{\"@timestamp\":\"2026-01-01T00:00:00.262Z\",\"log.level\":\"{level}\",\"log.logger\":\"rivmesh.call\",\
         \"message\":\"resp-out SE5565594230-B9P -> SE2321000131-E000000000001\",\"ecs.version\":\"8.11.0\",\
         \"service.name\":\"region-nord\",\"service.environment\":\"test\",\"service.id\":\"SE2321000016-A1B2\",\
         \"service.version\":\"{}\",\"host.hostname\":\"pod-1\",\"host.architecture\":\"{}\",\"host.os.platform\":\"{}\",{body}}}\n",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::ARCH,
        std::env::consts::OS,
    )
}

/// The middle of the line, which does not depend on how the call ended.
const TRACE_TO_DECISION: &str = r#"
    "trace.id":"c0ffee","corr.id":"[c0ffee]",
    "event.id":"4bf92f3577b34da6a3ce929d0e0e4736-abababababababab",
    "labels.w3cTraceId":"4bf92f3577b34da6a3ce929d0e0e4736",
    "transaction.id":"abababababababab","span.id":"abababababababab","labels.parent.id":"00f067aa0ba902b7",
    "labels.listener":"consumers","labels.route":"vp-https-route",
    "source.address":"192.0.2.7","source.ip":"192.0.2.7","source.port":"50000",
    "tls.version_protocol":"tls","tls.version":"1.3",
    "labels.senderid":"SE5565594230-B9P","labels.receiverid":"SE2321000131-E000000000001",
    "labels.originalServiceconsumerHsaid":"SE1-ORIG","labels.originalServiceconsumerHsaid_in":"SE1-ORIG",
    "labels.actingOnBehalfOfHsaid":"SE1-BEHALF",
    "labels.servicecontract_namespace":"urn:riv:clinicalprocess:healthcond:description:GetCareDocumentationResponder:2",
    "labels.wsdl_namespace":"urn:riv:clinicalprocess:healthcond:description:GetCareDocumentation:2:rivtabp20",
    "labels.rivversion":"rivtabp20","labels.rivversion_in":"rivtabp21",
    "labels.routerVagvalTrace":"SE2321000131-E000000000001",
    "labels.routerBehorighetTrace":"SE2321000131-E000000000001,(default),*",
    "labels.routeObject":"tak/journal","labels.routeGeneration":"3",
    "labels.authorizationObject":"tak/vardgivare","labels.authorizationGeneration":"7",
    "labels.tableDigest":"5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a","#;

const EVENT: &str =
    r#""event.action":"resp-out","event.kind":"event","event.category":["web"],"event.type":["access","end"],"#;
const TIMES: &str = r#""event.module":"skltp-messages","event.start":"2026-01-01T00:00:00.250Z","event.duration":"12500000","labels.producerDuration":"12000000","#;
const REQUEST: &str = r#""http.request.method":"POST","url.path":"/vp/x","http.request.body.bytes":"2048","#;
const ENDPOINT: &str = r#""url.original":"https://p1.vgr.se:8443/journal","destination.address":"p1.vgr.se","destination.domain":"p1.vgr.se","destination.port":"8443""#;

#[test]
fn a_call_that_went_well() {
    let body = format!(
        r#"{EVENT}"event.outcome":"success",{TIMES}{TRACE_TO_DECISION}{REQUEST}
        "http.response.body.bytes":"4096","http.response.status_code":"200","labels.outcome":"completed",{ENDPOINT}"#
    );
    assert_eq!(json(&success()), golden("INFO", &body));
}

#[test]
fn a_fault_of_ours() {
    let body = format!(
        r#"{EVENT}"event.outcome":"failure",{TIMES}{TRACE_TO_DECISION}"labels.retried":"true",{REQUEST}
        "http.response.body.bytes":"600","http.response.status_code":"500","labels.outcome":"fault",{ENDPOINT},
        "error.type":"VP009","error.message":"https://p1.vgr.se:8443/journal: connection refused",
        "labels.errorKind":"connect","labels.sessionStatus":"true","labels.errorCode":"VP009",
        "labels.statusCode":"500 Internal Server Error",
        "labels.sessionErrorTechnicalDescription":"https://p1.vgr.se:8443/journal: connection refused""#
    );
    assert_eq!(json(&vp_fault()), golden("ERROR", &body));
}

#[test]
fn a_relayed_fault_of_the_producer() {
    let body = format!(
        r#"{EVENT}"event.outcome":"failure",{TIMES}{TRACE_TO_DECISION}{REQUEST}
        "http.response.body.bytes":"4096","http.response.status_code":"500","labels.outcome":"producer-fault",{ENDPOINT},
        "error.type":"producer-fault","labels.faultCode":"soap:Server""#
    );
    assert_eq!(json(&producer_fault()), golden("ERROR", &body));
}

#[test]
fn a_consumer_that_went_away() {
    let body = format!(
        r#"{EVENT}"event.outcome":"unknown",{TIMES}{TRACE_TO_DECISION}{REQUEST}
        "http.response.body.bytes":"10","labels.outcome":"consumer-aborted",{ENDPOINT},"error.type":"consumer-aborted""#
    );
    assert_eq!(json(&abort()), golden("WARN", &body));
}

#[test]
fn a_call_of_which_little_is_known_has_no_empty_fields() {
    let line: serde_json::Map<String, Value> = serde_json::from_str(&json(&early_fault())).expect("JSON");
    assert!(line.values().all(|value| value != ""), "{line:?}");
    assert_eq!(line["labels.route"], "vp-http-route");
    assert_eq!(line["labels.errorCode"], "VP002");
    for absent in ["labels.senderid", "labels.receiverid", "url.original", "tls.version", "error.message", "event.id"] {
        assert!(!line.contains_key(absent), "{absent}");
    }
}

#[test]
fn every_field_that_is_written_is_documented() {
    let known: BTreeSet<_> = fields::ALL.iter().map(|field| field.name).collect();
    let mut lines: Vec<_> =
        [success(), vp_fault(), early_fault(), producer_fault(), abort()].iter().map(json).collect();
    lines.extend(events().iter().map(event_json));
    let mut seen = BTreeSet::new();
    for line in &lines {
        let line: serde_json::Map<String, Value> = serde_json::from_str(line).expect("JSON");
        for (name, value) in line {
            assert!(value.is_string() || value.is_array(), "{name} is {value}");
            assert!(known.contains(name.as_str()), "{name} is not documented");
            seen.insert(name);
        }
    }
    let unused: Vec<_> = known.iter().filter(|name| !seen.contains(**name)).collect();
    // These lines are made elsewhere: a white-space error, refused handshakes and what was left out of them.
    let elsewhere = ["labels.addressWhitespace", "labels.refusal", "labels.suppressed", "tls.client."];
    assert!(unused.iter().all(|name| elsewhere.iter().any(|start| name.starts_with(start))), "{unused:?}");
}

#[test]
fn nothing_that_is_secret_or_personal_is_written() {
    let mut record = vp_fault();
    record.path = "/patient/19121212-1212/x?personnummer=191212121212#f";
    record.address = Some("191212121212".into());
    record.contract = Some("urn:x:191212121212Responder:1".into());
    let line = json(&record).replace("urn:x:191212121212Responder:1", "");
    for secret in ["secret", "token", "pass", "1212", "?", "#"] {
        assert!(!line.contains(secret), "{secret} in {line}");
    }
    for faultcode in ["<b>Anna Andersson</b>", &"x".repeat(65), "Fel: åäö"] {
        let line = json(&CallRecord { outcome: Outcome::ProducerFault { faultcode: faultcode.into() }, ..success() });
        assert!(line.contains("\"labels.faultCode\":\"(not a name)\""), "{line}");
    }
}

#[test]
fn values_from_outside_cannot_forge_a_line() {
    let evil = "x\"}\n{\"event.kind\":\"alert\"\r\u{1b}[31m\u{2028}\u{202e}";
    let record = CallRecord {
        path: evil,
        method: evil,
        contract: Some(evil.into()),
        address: Some(evil.into()),
        original_consumer_in: Some(evil.into()),
        acting_on_behalf_of: Some(evil.into()),
        correlation_id: evil,
        endpoint: endpoint(evil),
        routing_trail: evil.into(),
        outcome: Outcome::Fault { code: VpCode::Vp004, kind: "route", cause: evil.into() },
        ..success()
    };
    let line = json(&record);
    assert_eq!(line.matches('\n').count(), 1);
    let read: serde_json::Map<String, Value> = serde_json::from_str(&line).expect("JSON");
    assert_eq!(read["labels.receiverid"], evil);
    assert_eq!(read["event.kind"], "event");
    let mut text = String::new();
    Renderer::new(Format::Text, &service()).call(&mut text, &record);
    assert_eq!(text.matches('\n').count(), 1);
    assert!(!text.contains(['\r', '\u{1b}', '\u{2028}', '\u{202e}']), "{text:?}");
}

#[test]
fn lines_for_people() {
    let text = |record: &CallRecord<'_>| {
        let mut out = String::new();
        Renderer::new(Format::Text, &service()).call(&mut out, record);
        out
    };
    let parties = "SE5565594230-B9P -> SE2321000131-E000000000001 GetCareDocumentationResponder:2";
    let rest = "12.5 ms (producer 12.0 ms), route tak/journal, authorised by tak/vardgivare\n";
    assert_eq!(text(&success()), format!("2026-01-01T00:00:00.262Z INFO  {parties} ok {rest}"));
    let cause = "(https://p1.vgr.se:8443/journal: connection refused)";
    assert_eq!(text(&vp_fault()), format!("2026-01-01T00:00:00.262Z ERROR {parties} VP009 {cause} {rest}"));
    assert_eq!(text(&early_fault()), "1970-01-01T00:00:00.000Z ERROR - -> - - VP002 0.0 ms\n");
}

fn events() -> Vec<Event> {
    let rows = RowCounts { routes: 10, authorizations: 20, contracts: 1, hsa_units: 0 };
    let table =
        TableInfo { digest: [1; 16], epoch: 4, source: TableSource::Disk, rows, installed: SystemTime::UNIX_EPOCH };
    vec![
        Event::Started { listeners: "consumers on https://0.0.0.0:8443".into() },
        Event::Readiness { waiting_for: vec!["table".into()] },
        Event::Readiness { waiting_for: vec![] },
        Event::Draining,
        Event::Stopped { unfinished: 0 },
        Event::Stopped { unfinished: 2 },
        Event::SettingsLoaded { file: "platform.yaml".into() },
        Event::SettingsRejected { file: "tls.crt".into(), reason: "it has expired".into() },
        Event::TableInstalled(table),
        Event::TableRejected { digest: Some([2; 16]), reason: "shard 7, row 3: the target is missing".into() },
        Event::TableRejected { digest: None, reason: "the manifest cannot be read".into() },
        Event::TableHeld { digest: [3; 16], reason: "it would remove 90 % of the routes".into() },
        Event::Intrusion(Intrusion {
            alert: Alert::Probing,
            listener: "consumers".into(),
            peer: "192.0.2.1".parse().expect("address"),
            consumer: "SE1".into(),
            detail: "x".into(),
        }),
        Event::LinesDropped { count: 5 },
        Event::Process { level: "DEBUG", target: "h2::x".into(), message: "hello".into() },
    ]
}

fn event_json(event: &Event) -> String {
    let mut out = String::new();
    Renderer::new(Format::Json, &service()).event(&mut out, event, SystemTime::UNIX_EPOCH);
    out
}

#[test]
fn every_action_is_documented() {
    let known: BTreeSet<_> = super::ACTIONS.iter().map(|(action, _)| *action).collect();
    for event in events() {
        let line: Value = serde_json::from_str(&event_json(&event)).expect("JSON");
        let action = line["event.action"].as_str().expect("text");
        assert!(known.contains(action), "{action}");
    }
}

#[test]
fn an_alert_is_one() {
    let alerts: Vec<_> =
        events().iter().map(event_json).filter(|line| line.contains("\"event.kind\":\"alert\"")).collect();
    assert_eq!(alerts.len(), 1);
    let line: Value = serde_json::from_str(&alerts[0]).expect("JSON");
    assert_eq!(line["message"], "Possible intrusion: x");
    assert_eq!(line["labels.alert"], "probing");
    assert_eq!(line["log.logger"], "rivmesh.security");
}

/// A place to write to that hands over each line, and can be stopped up.
struct Tap {
    lines: Channel<String>,
    open: Arc<(Mutex<bool>, Condvar)>,
    /// Somebody has something to write.
    reached: Arc<AtomicBool>,
}

impl Write for Tap {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.reached.store(true, Ordering::Relaxed);
        let (open, changed) = &*self.open;
        let guard = changed.wait_while(open.lock().expect("lock"), |open| !*open).expect("lock");
        drop(guard);
        for line in std::str::from_utf8(bytes).expect("UTF-8").lines() {
            self.lines.send(line.to_owned()).map_err(|_| io::ErrorKind::BrokenPipe)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Tapped {
    log: Log,
    lines: Receiver<String>,
    open: Arc<(Mutex<bool>, Condvar)>,
    reached: Arc<AtomicBool>,
    dropped: Arc<AtomicU64>,
}

fn tapped(open: bool) -> Tapped {
    let (sender, lines) = channel();
    let open = Arc::new((Mutex::new(open), Condvar::new()));
    let dropped = Arc::new(AtomicU64::new(0));
    let reached = Arc::new(AtomicBool::new(false));
    let tap = Tap { lines: sender, open: open.clone(), reached: reached.clone() };
    let log = start(Format::Json, &service(), tap, dropped.clone()).expect("thread");
    Tapped { log, lines, open, reached, dropped }
}

impl Tapped {
    fn set_open(&self) {
        *self.open.0.lock().expect("lock") = true;
        self.open.1.notify_all();
    }

    /// All lines logged so far.
    fn lines(&self) -> Vec<Value> {
        assert!(self.log.flush(PATIENCE), "the log was not written");
        self.lines.try_iter().map(|line| serde_json::from_str(&line).expect("JSON")).collect()
    }
}

fn field<'a>(lines: &'a [Value], name: &str) -> Vec<&'a str> {
    lines.iter().filter_map(|line| line[name].as_str()).collect()
}

#[test]
fn calls_and_events_come_out_in_order() {
    let tapped = tapped(true);
    let sender = tapped.log.sender();
    sender.event(Event::Draining);
    sender.lane(NonZeroUsize::MIN).call(&success());
    sender.event(Event::Stopped { unfinished: 0 });
    assert_eq!(field(&tapped.lines(), "event.action"), ["platform-drain", "resp-out", "platform-stop"]);
}

#[test]
fn a_reader_that_does_not_keep_up_costs_lines_and_no_time() {
    let tapped = tapped(false);
    let sender = tapped.log.sender();
    let sent = 3 * super::QUEUE as u64;
    for _ in 0..sent {
        sender.event(Event::Draining);
    }
    let lost = tapped.dropped.load(Ordering::Relaxed);
    assert!(lost >= sent / 3, "{lost}");
    assert!(!tapped.log.flush(Duration::ZERO), "it cannot have been written");
    tapped.set_open();
    let lines = tapped.lines();
    let actions = field(&lines, "event.action");
    assert_eq!(actions.iter().filter(|action| **action == "platform-drain").count() as u64, sent - lost);
    assert_eq!(field(&lines, "labels.dropped"), [lost.to_string()], "one warning, when writing is possible again");
    assert!(tapped.lines().is_empty(), "told once");
}

#[test]
fn calls_are_dropped_and_counted_too_when_nothing_is_written() {
    let tapped = tapped(false);
    let lane = tapped.log.sender().lane(NonZeroUsize::new(4).expect("not 0"));
    // The writer holds a batch that it cannot get rid of; what comes after it waits, up to a limit.
    let sent = 8 * 1024;
    (0..sent).for_each(|_| lane.call(&success()));
    let lost = tapped.dropped.load(Ordering::Relaxed);
    assert!(lost > 0 && lost < sent, "{lost}");
    tapped.set_open();
    let lines = tapped.lines();
    assert_eq!(
        field(&lines, "event.action").iter().filter(|action| **action == "resp-out").count() as u64,
        sent - lost
    );
    assert_eq!(field(&lines, "labels.dropped"), [lost.to_string()]);
    lane.call(&success());
    assert_eq!(field(&tapped.lines(), "event.action"), ["resp-out"], "it goes on");
}

#[test]
fn calls_get_through_again_after_the_queue_was_full() {
    let tapped = tapped(false);
    let sender = tapped.log.sender();
    // With the writer stuck and the queue full of events, it cannot be told of the calls.
    sender.event(Event::Draining);
    while !tapped.reached.load(Ordering::Relaxed) {
        std::thread::yield_now();
    }
    (0..2 * super::QUEUE).for_each(|_| sender.event(Event::Draining));
    let lane = sender.lane(NonZeroUsize::new(16).expect("not 0"));
    (0..2048).for_each(|_| lane.call(&success()));
    tapped.set_open();
    let calls = |lines: &[Value]| field(lines, "event.action").iter().filter(|action| **action == "resp-out").count();
    assert_eq!(calls(&tapped.lines()), 0, "nobody has told of them");
    lane.call(&success());
    assert!(calls(&tapped.lines()) > 400, "its share is full, and yet it is told of");

    let last = sender.lane(NonZeroUsize::MIN);
    last.call(&success());
    drop(last);
    assert_eq!(calls(&tapped.lines()), 1);
}

#[test]
fn lines_that_cannot_be_written_are_counted() {
    let Tapped { log, lines, dropped, .. } = tapped(true);
    drop(lines);
    log.sender().event(Event::Draining);
    assert!(log.flush(PATIENCE));
    assert_eq!(dropped.load(Ordering::Relaxed), 1);
}

#[test]
fn the_last_lines_are_written_when_the_log_is_dropped() {
    let Tapped { log, lines, .. } = tapped(true);
    let sender = log.sender();
    sender.event(Event::Stopped { unfinished: 0 });
    drop(log);
    assert_eq!(lines.try_iter().count(), 1);
}

#[test]
fn refused_handshakes_say_why_and_are_limited() {
    let tapped = tapped(true);
    let certificate = CertificateSummary {
        subject: "C=SE, CN=Tolvan, serialNumber=191212121212".into(),
        issuer: "C=SE, CN=A CA".into(),
        serial: "0a".into(),
        not_before: 0,
        not_after: 86_400,
    };
    let refused = RefusedHandshake {
        listener: "consumers".into(),
        peer: "192.0.2.9".parse().expect("address"),
        reason: "expired",
        cause: "it expired".into(),
        certificate: Some(Box::new(certificate)),
    };
    for _ in 0..1000 {
        tapped.log.sender().refused_handshake(refused.clone());
    }
    let lines = tapped.lines();
    let actions = field(&lines, "event.action");
    assert_eq!(actions.iter().filter(|action| **action == "tls-handshake-refused").count(), 5);
    assert_eq!(field(&lines, "labels.suppressed"), ["995"]);
    let first = &lines[0];
    assert_eq!(first["message"], "TLS handshake from 192.0.2.9 on consumers refused: it expired");
    assert_eq!(first["labels.refusal"], "expired");
    assert_eq!(first["tls.client.subject"], "C=SE, CN=Tolvan, serialNumber=[personal identity number]");
    assert_eq!(first["tls.client.issuer"], "C=SE, CN=A CA");
    assert_eq!(first["tls.client.not_after"], "1970-01-02T00:00:00Z");
    assert_eq!(first["source.ip"], "192.0.2.9");
    let known: BTreeSet<_> = fields::ALL.iter().map(|field| field.name).collect();
    for line in &lines {
        assert!(line.as_object().expect("object").keys().all(|name| known.contains(name.as_str())), "{line}");
    }
}

#[test]
fn every_reason_to_refuse_a_certificate_has_its_own_counter() {
    use crate::tls::Reason;
    let reasons = [
        Reason::NoCertificate,
        Reason::Unreadable,
        Reason::Untrusted,
        Reason::BadSignature,
        Reason::NotYetValid { not_before: 0 },
        Reason::Expired { not_after: 0 },
        Reason::WrongPurpose,
        Reason::Revoked,
        Reason::IssuerRevoked,
        Reason::NoRevocationList,
        Reason::StaleRevocationList { next_update: 0 },
        Reason::Other(webpki::Error::BadDer),
        Reason::Handshake(String::new()),
    ];
    for reason in reasons {
        assert!(super::REFUSALS.contains(&reason.label()), "{}", reason.label());
    }
}

#[test]
fn what_an_attacker_would_do_raises_an_alert_beside_the_call() {
    let tapped = tapped(true);
    let sender = tapped.log.sender();
    let lane = sender.lane(NonZeroUsize::MIN);
    lane.call(&CallRecord { untrusted_original_consumer: true, ..success() });
    lane.call(&CallRecord {
        outcome: Outcome::Fault { code: VpCode::Vp011, kind: "peer", cause: String::new() },
        ..success()
    });
    for n in 0..100 {
        lane.call(&CallRecord {
            address: Some(format!("SE{n}")),
            outcome: Outcome::Fault { code: VpCode::Vp004, kind: "route", cause: String::new() },
            ..success()
        });
    }
    let lines = tapped.lines();
    assert_eq!(lines.len(), 105);
    assert_eq!(field(&lines, "labels.alert"), ["untrusted-original-consumer", "peer-not-allowed", "probing"]);
    let alert = lines.iter().find(|line| line["event.kind"] == "alert").expect("there are three");
    assert_eq!(alert["labels.senderid"], "SE5565594230-B9P");
    assert_eq!(alert["source.ip"], "192.0.2.7");
}

#[test]
fn messages_of_the_process_join_the_log() {
    use tracing_subscriber::layer::SubscriberExt;
    let tapped = tapped(true);
    let subscriber = tracing_subscriber::registry().with(super::ProcessLayer::new(tapped.log.sender()));
    tracing::subscriber::with_default(subscriber, || {
        tracing::warn!(target: "rivmesh::x", path = "a\nb", count = 3, "something \"odd\"");
        tracing::error!("{}", "x".repeat(5000));
    });
    let lines = tapped.lines();
    assert_eq!(field(&lines, "message")[0], "something \"odd\" (path=a\nb, count=3)");
    assert_eq!((&lines[0]["log.level"], &lines[0]["log.logger"]), (&"WARN".into(), &"rivmesh::x".into()));
    assert!(field(&lines, "message")[1].len() <= 2048);
}
