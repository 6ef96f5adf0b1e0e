//! The line of a call, in ECS fields.

use super::entry::{CALL, CALL_LOGGER};
use super::render::{Common, timestamp};
use super::scrub::{safe_cause, safe_faultcode, without_query, without_secrets};
use crate::telemetry::fields::{self, Field};
use crate::telemetry::hex::HexText;
use crate::telemetry::json::{Line, Safe};
use crate::telemetry::record::{CallRecord, ObjectRef, Origin, Outcome};

/// The beginning of a call's message.
const ACTION: Safe<'static> = Safe::word("resp-out ");
const ARROW: Safe<'static> = Safe::word(" -> ");
const NOTHING: Safe<'static> = Safe::word("");

/// Appends the line of `record`. `common` are the members that all lines have, and those that all calls have.
pub(super) fn write(out: &mut String, record: &CallRecord<'_>, common: &str) {
    let consumer = Safe::of(&record.consumer);
    let address = record.address.as_deref().map(Safe::of);
    let mut line = Line::begin(out);
    line.time(&fields::TIMESTAMP, timestamp(record.started + record.duration));
    line.word(&fields::LEVEL, level(&record.outcome));
    line.word(&fields::LOGGER, CALL_LOGGER);
    line.joined(&fields::MESSAGE, &[&ACTION, &consumer, &ARROW, address.as_ref().unwrap_or(&NOTHING)]);
    line.raw(common);
    event(&mut line, record);
    trace(&mut line, record);
    line.raw(record.origin.written.get_or_init(|| origin(record.origin)));
    parties(&mut line, record, &consumer, address.as_ref());
    decision(&mut line, record);
    http(&mut line, record);
    if let Some(name) = &record.endpoint {
        line.raw(name.written.get_or_init(|| endpoint(&name.url)));
    }
    failure(&mut line, record);
    line.end();
}

/// The members that the lines of all calls have, as [`write`] takes them.
pub(super) fn common(common: &Common) -> String {
    members(|line| {
        line.raw(common.members());
        line.word(&fields::EVENT_ACTION, CALL);
        line.word(&fields::EVENT_KIND, "event");
        line.list(&fields::EVENT_CATEGORY, &["web"]);
        line.list(&fields::EVENT_TYPE, &["access", "end"]);
    })
}

fn members(write: impl FnOnce(&mut Line<'_>)) -> String {
    let mut members = String::new();
    write(&mut Line::members(&mut members));
    members
}

/// `INFO` for what went well, `WARN` for what the consumer did below SOAP, `ERROR` for faults and broken answers.
pub(super) fn level(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Completed => "INFO",
        Outcome::ConsumerAborted | Outcome::HttpRefused => "WARN",
        Outcome::Fault { .. } | Outcome::ProducerFault { .. } | Outcome::ProducerBrokeOff { .. } => "ERROR",
    }
}

fn event(line: &mut Line<'_>, record: &CallRecord<'_>) {
    let outcome = match record.outcome {
        Outcome::Completed => "success",
        Outcome::ConsumerAborted => "unknown",
        _ => "failure",
    };
    line.word(&fields::EVENT_OUTCOME, outcome);
    line.word(&fields::EVENT_MODULE, "skltp-messages");
    line.time(&fields::EVENT_START, timestamp(record.started));
    line.number(&fields::EVENT_DURATION, record.duration.as_nanos());
    if let Some(producer) = record.producer_duration {
        line.number(&fields::PRODUCER_DURATION, producer.as_nanos());
    }
}

fn trace(line: &mut Line<'_>, record: &CallRecord<'_>) {
    if !record.correlation_id.is_empty() {
        let id = Safe::of(record.correlation_id);
        line.safe(&fields::TRACE_ID, &id);
        line.joined(&fields::CORRELATION, &[&Safe::word("["), &id, &Safe::word("]")]);
    }
    if let (Some(trace), Some(span)) = (record.trace_id, record.span_id) {
        let (trace, span) = (trace.hex(), span.hex());
        line.joined(&fields::EVENT_ID, &[&Safe::id(&trace), &Safe::word("-"), &Safe::id(&span)]);
        line.clean(&fields::W3C_TRACE_ID, trace.as_str());
        line.clean(&fields::TRANSACTION_ID, span.as_str());
        line.clean(&fields::SPAN_ID, span.as_str());
    }
    if let Some(parent) = record.parent_span {
        line.clean(&fields::PARENT_ID, parent.hex().as_str());
    }
}

/// What is the same for all calls of a connection.
fn origin(origin: &Origin) -> String {
    members(|line| {
        line.text(&fields::LISTENER, &origin.listener);
        line.word(&fields::ROUTE, if origin.tls.is_some() { "vp-https-route" } else { "vp-http-route" });
        let peer = origin.peer.ip().to_canonical().to_string();
        line.clean(&fields::SOURCE_ADDRESS, &peer);
        line.clean(&fields::SOURCE_IP, &peer);
        line.number(&fields::SOURCE_PORT, origin.peer.port());
        if let Some(version) = origin.tls {
            line.word(&fields::TLS_PROTOCOL, "tls");
            line.word(&fields::TLS_VERSION, version.as_str());
        }
    })
}

fn parties(line: &mut Line<'_>, record: &CallRecord<'_>, consumer: &Safe<'_>, address: Option<&Safe<'_>>) {
    if !record.consumer.is_empty() {
        line.safe(&fields::SENDER, consumer);
    }
    if let Some(address) = address {
        line.safe(&fields::RECEIVER, address);
    }
    optional(line, &fields::ORIGINAL_CONSUMER, record.original_consumer_out.as_deref());
    optional(line, &fields::ORIGINAL_CONSUMER_IN, record.original_consumer_in.as_deref());
    optional(line, &fields::ON_BEHALF_OF, record.acting_on_behalf_of.as_deref());
}

fn decision(line: &mut Line<'_>, record: &CallRecord<'_>) {
    let profile = record.profile_out.or(record.profile_in);
    if let Some(contract) = record.contract.as_deref() {
        line.text(&fields::CONTRACT, contract);
        if let Some(profile) = profile {
            line.text(&fields::WSDL_NAMESPACE, &wsdl_namespace(contract, profile));
        }
    }
    if let Some(profile) = profile {
        line.word(&fields::PROFILE, profile);
    }
    if let Some(profile) = record.profile_in {
        line.word(&fields::PROFILE_IN, profile);
    }
    line.some(&fields::ROUTING_TRAIL, &record.routing_trail);
    line.some(&fields::AUTHORIZATION_TRAIL, &record.authorization_trail);
    object(line, record.route.as_ref(), &fields::ROUTE_OBJECT, &fields::ROUTE_GENERATION);
    let (name, generation) = (&fields::AUTHORIZATION_OBJECT, &fields::AUTHORIZATION_GENERATION);
    object(line, record.authorization.as_ref(), name, generation);
    if let Some(digest) = &record.table_digest {
        line.clean(&fields::TABLE_DIGEST, HexText::of(digest).as_str());
    }
    if record.address_whitespace {
        line.word(&fields::WHITESPACE, "true");
    }
    if record.retried {
        line.word(&fields::RETRIED, "true");
    }
}

fn http(line: &mut Line<'_>, record: &CallRecord<'_>) {
    line.some(&fields::METHOD, record.method);
    line.some(&fields::URL_PATH, without_query(record.path));
    line.number(&fields::BYTES_IN, record.bytes_in);
    line.number(&fields::BYTES_OUT, record.bytes_out);
    if record.status != 0 {
        line.number(&fields::STATUS, record.status);
    }
    line.word(&fields::OUTCOME, outcome_word(&record.outcome));
}

/// What is the same for all calls of an endpoint.
fn endpoint(url: &str) -> String {
    members(|line| {
        line.text(&fields::URL_ORIGINAL, &without_secrets(url));
        let Ok(uri) = url.parse::<hyper::Uri>() else { return };
        let Some(host) = uri.host() else { return };
        line.text(&fields::DESTINATION_ADDRESS, host);
        line.text(&fields::DESTINATION_DOMAIN, host);
        let usual = if uri.scheme_str().is_some_and(|scheme| scheme.eq_ignore_ascii_case("http")) { 80 } else { 443 };
        line.number(&fields::DESTINATION_PORT, uri.port_u16().unwrap_or(usual));
    })
}

fn failure(line: &mut Line<'_>, record: &CallRecord<'_>) {
    match &record.outcome {
        Outcome::Completed => {}
        Outcome::ConsumerAborted | Outcome::HttpRefused => {
            line.word(&fields::ERROR_TYPE, outcome_word(&record.outcome));
        }
        Outcome::ProducerBrokeOff { cause } => {
            line.word(&fields::ERROR_TYPE, outcome_word(&record.outcome));
            line.some(&fields::ERROR_MESSAGE, &safe_cause(cause, url_of(record)));
        }
        Outcome::ProducerFault { faultcode } => {
            line.word(&fields::ERROR_TYPE, outcome_word(&record.outcome));
            line.some(&fields::FAULT_CODE, safe_faultcode(faultcode));
        }
        Outcome::Fault { code, kind, cause } => {
            let cause = safe_cause(cause, url_of(record));
            line.word(&fields::ERROR_TYPE, code.as_str());
            line.some(&fields::ERROR_MESSAGE, &cause);
            line.some(&fields::ERROR_KIND, kind);
            line.word(&fields::SESSION_STATUS, "true");
            line.word(&fields::ERROR_CODE, code.as_str());
            line.some(&fields::STATUS_LINE, &status_line(record.status));
            line.some(&fields::TECHNICAL_DESCRIPTION, &cause);
        }
    }
}

/// The outcome as a word.
pub(super) fn outcome_word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Completed => "completed",
        Outcome::Fault { .. } => "fault",
        Outcome::ProducerFault { .. } => "producer-fault",
        Outcome::ConsumerAborted => "consumer-aborted",
        Outcome::ProducerBrokeOff { .. } => "producer-broke-off",
        Outcome::HttpRefused => "http-refused",
    }
}

fn optional(line: &mut Line<'_>, field: &Field, value: Option<&str>) {
    if let Some(value) = value {
        line.text(field, value);
    }
}

fn object(line: &mut Line<'_>, object: Option<&ObjectRef>, name: &Field, generation: &Field) {
    let Some(object) = object else { return };
    line.text(name, &object.name);
    line.number(generation, object.generation);
}

/// A contract's payload namespace and a profile as the target namespace of the WSDL that has both.
fn wsdl_namespace(contract: &str, profile: &str) -> String {
    if let Some((name, version)) = contract.rsplit_once(':')
        && let Some(name) = name.strip_suffix("Responder")
    {
        return [name, ":", version, ":", profile].concat();
    }
    [contract, ":", profile].concat()
}

/// URL of the endpoint that was called last.
pub(super) fn url_of<'a>(record: &'a CallRecord<'_>) -> Option<&'a str> {
    record.endpoint.as_ref().map(|name| name.url.as_str())
}

fn status_line(status: u16) -> String {
    match hyper::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()) {
        Some(reason) => format!("{status} {reason}"),
        None => String::new(),
    }
}
