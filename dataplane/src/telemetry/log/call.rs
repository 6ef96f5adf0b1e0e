//! The line of a call, in ECS fields.

use super::entry::{CALL, CALL_LOGGER};
use super::render::{Common, timestamp};
use super::scrub::{safe_cause, safe_faultcode, without_query, without_secrets};
use crate::telemetry::fields;
use crate::telemetry::json::Line;
use crate::telemetry::record::{CallRecord, ObjectRef, Outcome};
use crate::telemetry::table::Hex;

/// Appends the line of `record`.
pub(super) fn write(out: &mut String, record: &CallRecord, common: &Common) {
    let mut line = Line::begin(out);
    line.plain(fields::TIMESTAMP.name, timestamp(record.started + record.duration));
    line.word(fields::LEVEL.name, level(&record.outcome));
    line.word(fields::LOGGER.name, CALL_LOGGER);
    line.text(fields::MESSAGE.name, &message(record));
    line.raw(common.members());
    event(&mut line, record);
    trace(&mut line, record);
    parties(&mut line, record);
    decision(&mut line, record);
    http(&mut line, record);
    endpoint(&mut line, record);
    failure(&mut line, record);
    line.end();
}

/// `INFO` for what went well, `WARN` for what the consumer did below SOAP, `ERROR` for faults and broken answers.
pub(super) fn level(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Completed => "INFO",
        Outcome::ConsumerAborted | Outcome::HttpRefused => "WARN",
        Outcome::Fault { .. } | Outcome::ProducerFault { .. } | Outcome::ProducerBrokeOff { .. } => "ERROR",
    }
}

fn message(record: &CallRecord) -> String {
    [CALL, " ", &record.consumer, " -> ", record.address.as_deref().unwrap_or_default()].concat()
}

fn event(line: &mut Line<'_>, record: &CallRecord) {
    line.word(fields::EVENT_ACTION.name, CALL);
    line.word(fields::EVENT_KIND.name, "event");
    line.list(fields::EVENT_CATEGORY.name, &["web"]);
    line.list(fields::EVENT_TYPE.name, &["access", "end"]);
    let outcome = match record.outcome {
        Outcome::Completed => "success",
        Outcome::ConsumerAborted => "unknown",
        _ => "failure",
    };
    line.word(fields::EVENT_OUTCOME.name, outcome);
    line.word(fields::EVENT_MODULE.name, "skltp-messages");
    line.plain(fields::EVENT_START.name, timestamp(record.started));
    line.number(fields::EVENT_DURATION.name, record.duration.as_nanos());
    if let Some(producer) = record.producer_duration {
        line.number(fields::PRODUCER_DURATION.name, producer.as_nanos());
    }
}

fn trace(line: &mut Line<'_>, record: &CallRecord) {
    if !record.correlation_id.is_empty() {
        line.text(fields::TRACE_ID.name, &record.correlation_id);
        line.text(fields::CORRELATION.name, &["[", &record.correlation_id, "]"].concat());
    }
    if let (Some(trace), Some(span)) = (record.trace_id, record.span_id) {
        let (trace, span) = (trace.hex(), span.hex());
        line.clean(fields::EVENT_ID.name, &[&trace, "-", &span].concat());
        line.clean(fields::W3C_TRACE_ID.name, &trace);
        line.clean(fields::TRANSACTION_ID.name, &span);
        line.clean(fields::SPAN_ID.name, &span);
    }
    if let Some(parent) = record.parent_span {
        line.plain(fields::PARENT_ID.name, parent);
    }
}

fn parties(line: &mut Line<'_>, record: &CallRecord) {
    line.text(fields::LISTENER.name, &record.listener);
    line.word(fields::ROUTE.name, if record.tls.is_some() { "vp-https-route" } else { "vp-http-route" });
    let peer = record.peer.ip().to_canonical().to_string();
    line.clean(fields::SOURCE_ADDRESS.name, &peer);
    line.clean(fields::SOURCE_IP.name, &peer);
    line.number(fields::SOURCE_PORT.name, record.peer.port());
    if let Some(version) = record.tls {
        line.word(fields::TLS_PROTOCOL.name, "tls");
        line.word(fields::TLS_VERSION.name, version.as_str());
    }
    line.some(fields::SENDER.name, &record.consumer);
    optional(line, fields::RECEIVER.name, record.address.as_deref());
    optional(line, fields::ORIGINAL_CONSUMER.name, record.original_consumer_out.as_deref());
    optional(line, fields::ORIGINAL_CONSUMER_IN.name, record.original_consumer_in.as_deref());
    optional(line, fields::ON_BEHALF_OF.name, record.acting_on_behalf_of.as_deref());
}

fn decision(line: &mut Line<'_>, record: &CallRecord) {
    let profile = record.profile_out.or(record.profile_in);
    if let Some(contract) = record.contract.as_deref() {
        line.text(fields::CONTRACT.name, contract);
        if let Some(profile) = profile {
            line.text(fields::WSDL_NAMESPACE.name, &wsdl_namespace(contract, profile));
        }
    }
    optional(line, fields::PROFILE.name, profile);
    optional(line, fields::PROFILE_IN.name, record.profile_in);
    line.some(fields::ROUTING_TRAIL.name, &record.routing_trail);
    line.some(fields::AUTHORIZATION_TRAIL.name, &record.authorization_trail);
    object(line, record.route.as_ref(), fields::ROUTE_OBJECT.name, fields::ROUTE_GENERATION.name);
    let (name, generation) = (fields::AUTHORIZATION_OBJECT.name, fields::AUTHORIZATION_GENERATION.name);
    object(line, record.authorization.as_ref(), name, generation);
    if let Some(digest) = record.table_digest {
        line.plain(fields::TABLE_DIGEST.name, Hex(digest));
    }
    if record.address_whitespace {
        line.word(fields::WHITESPACE.name, "true");
    }
    if record.retried {
        line.word(fields::RETRIED.name, "true");
    }
}

fn http(line: &mut Line<'_>, record: &CallRecord) {
    line.some(fields::METHOD.name, &record.method);
    line.some(fields::URL_PATH.name, without_query(&record.path));
    line.number(fields::BYTES_IN.name, record.bytes_in);
    line.number(fields::BYTES_OUT.name, record.bytes_out);
    if record.status != 0 {
        line.number(fields::STATUS.name, record.status);
    }
    line.word(fields::OUTCOME.name, outcome_word(&record.outcome));
}

fn endpoint(line: &mut Line<'_>, record: &CallRecord) {
    let Some(url) = record.endpoint.as_deref() else { return };
    line.text(fields::URL_ORIGINAL.name, &without_secrets(url));
    let Ok(uri) = url.parse::<hyper::Uri>() else { return };
    let Some(host) = uri.host() else { return };
    line.text(fields::DESTINATION_ADDRESS.name, host);
    line.text(fields::DESTINATION_DOMAIN.name, host);
    let usual = if uri.scheme_str().is_some_and(|scheme| scheme.eq_ignore_ascii_case("http")) { 80 } else { 443 };
    line.number(fields::DESTINATION_PORT.name, uri.port_u16().unwrap_or(usual));
}

fn failure(line: &mut Line<'_>, record: &CallRecord) {
    match &record.outcome {
        Outcome::Completed => {}
        Outcome::ConsumerAborted | Outcome::HttpRefused => {
            line.word(fields::ERROR_TYPE.name, outcome_word(&record.outcome));
        }
        Outcome::ProducerBrokeOff { cause } => {
            line.word(fields::ERROR_TYPE.name, outcome_word(&record.outcome));
            line.some(fields::ERROR_MESSAGE.name, &safe_cause(cause, record.endpoint.as_deref()));
        }
        Outcome::ProducerFault { faultcode } => {
            line.word(fields::ERROR_TYPE.name, outcome_word(&record.outcome));
            line.some(fields::FAULT_CODE.name, safe_faultcode(faultcode));
        }
        Outcome::Fault { code, kind, cause } => {
            let cause = safe_cause(cause, record.endpoint.as_deref());
            line.word(fields::ERROR_TYPE.name, code.as_str());
            line.some(fields::ERROR_MESSAGE.name, &cause);
            line.some(fields::ERROR_KIND.name, kind);
            line.word(fields::SESSION_STATUS.name, "true");
            line.word(fields::ERROR_CODE.name, code.as_str());
            line.some(fields::STATUS_LINE.name, &status_line(record.status));
            line.some(fields::TECHNICAL_DESCRIPTION.name, &cause);
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

fn optional(line: &mut Line<'_>, key: &str, value: Option<&str>) {
    if let Some(value) = value {
        line.text(key, value);
    }
}

fn object(line: &mut Line<'_>, object: Option<&ObjectRef>, name: &str, generation: &str) {
    let Some(object) = object else { return };
    line.text(name, &[&object.namespace, "/", &object.name].concat());
    line.number(generation, object.generation);
}

/// A contract's payload namespace and a profile as the target namespace of the WSDL that has both.
fn wsdl_namespace(contract: &str, profile: &str) -> String {
    match contract.split_once("Responder:") {
        Some((before, after)) => [before, ":", after, ":", profile].concat(),
        None => [contract, ":", profile].concat(),
    }
}

fn status_line(status: u16) -> String {
    match hyper::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()) {
        Some(reason) => format!("{status} {reason}"),
        None => String::new(),
    }
}
