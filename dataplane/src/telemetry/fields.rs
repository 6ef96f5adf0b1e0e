//! Every field that a log line can have, once: its name, where it stands and what it means. The log writes with these
//! constants and the reference page is rendered from them, so that neither can say something else.
//!
//! Names follow the Elastic Common Schema and, for a platform that replaces another, the labels that regions' dashboards
//! already use.

/// A field of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Its name, dots and all: the lines are flat.
    pub name: &'static str,
    /// How a member with this name begins, up to its value's opening quote.
    pub(super) opening: &'static str,
    /// Which lines have it.
    pub lines: Lines,
    /// What it means, for the reference page.
    pub meaning: &'static str,
}

/// Which lines have a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lines {
    /// Lines of every sort, where it applies.
    Common,
    /// The line of a call.
    Calls,
    /// The line of a call that did not end with a relayed answer.
    Failures,
    /// Lines about security, handshakes, tables, settings and the process.
    Events,
}

macro_rules! fields {
    ($($constant:ident $name:literal $lines:ident $meaning:literal)*) => {
        $(#[doc = $meaning] pub(crate) const $constant: Field = Field { name: $name, opening: concat!(",\"", $name, "\":\""), lines: Lines::$lines, meaning: $meaning };)*
        /// All fields, in the order of the reference page.
        pub const ALL: &[Field] = &[$($constant),*];
    };
}

fields! {
    TIMESTAMP "@timestamp" Common "When it happened, UTC, with milliseconds. For a call: when it was over."
    LEVEL "log.level" Common "`INFO`, `WARN` or `ERROR`; of the process's own messages also `DEBUG` and `TRACE`."
    LOGGER "log.logger" Common "`rivmesh.call`, `rivmesh.security`, `rivmesh.platform`, or the module that a message of the process comes from."
    MESSAGE "message" Common "A sentence for people. For a call: the action, who called and which address."
    ECS_VERSION "ecs.version" Common "Version of the Elastic Common Schema."
    SERVICE_NAME "service.name" Common "`platform.name` of the settings."
    SERVICE_ENVIRONMENT "service.environment" Common "`platform.environment` of the settings."
    SERVICE_ID "service.id" Common "`platform.hsaId` of the settings."
    SERVICE_VERSION "service.version" Common "Version of rivmesh."
    HOST_NAME "host.hostname" Common "Name of the host or pod."
    HOST_ARCHITECTURE "host.architecture" Common "Processor architecture."
    HOST_OS "host.os.platform" Common "Operating system."
    EVENT_ACTION "event.action" Common "What happened: `resp-out` for a call; the other actions are listed below."
    EVENT_KIND "event.kind" Common "`event`; `alert` for what security should look at."
    EVENT_CATEGORY "event.category" Common "List of ECS categories."
    EVENT_TYPE "event.type" Common "List of ECS types."
    EVENT_OUTCOME "event.outcome" Common "`success`, `failure`, or `unknown` where the consumer did not wait for its answer."
    EVENT_MODULE "event.module" Common "`skltp-messages` for calls and `skltp-tls` for handshakes, as dashboards expect; `rivmesh` for the rest."
    EVENT_ID "event.id" Calls "Identifies the line: trace and span."
    EVENT_START "event.start" Calls "When the request's first byte came."
    EVENT_DURATION "event.duration" Calls "Nanoseconds from then to the answer's last byte."
    TRACE_ID "trace.id" Calls "The correlation id (`x-skltp-correlation-id`): the same in every system that the call passes."
    CORRELATION "corr.id" Calls "`trace.id` in brackets."
    TRANSACTION_ID "transaction.id" Calls "The platform's span; also found in the producer's `traceparent`."
    SPAN_ID "span.id" Calls "As `transaction.id`."
    W3C_TRACE_ID "labels.w3cTraceId" Calls "Trace id of the W3C trace context."
    PARENT_ID "labels.parent.id" Calls "The caller's span, if it sent a `traceparent`."
    LISTENER "labels.listener" Common "Name of the listener."
    ROUTE "labels.route" Calls "`vp-https-route` where the consumer came over TLS, else `vp-http-route`."
    SENDER "labels.senderid" Common "HSA-id of the connecting party."
    RECEIVER "labels.receiverid" Calls "Logical address, as written in the message."
    ORIGINAL_CONSUMER "labels.originalServiceconsumerHsaid" Calls "Original consumer, as sent to the producer."
    ORIGINAL_CONSUMER_IN "labels.originalServiceconsumerHsaid_in" Calls "Original consumer, as the caller gave it."
    ON_BEHALF_OF "labels.actingOnBehalfOfHsaid" Calls "`x-rivta-acting-on-behalf-of-hsaid`."
    CONTRACT "labels.servicecontract_namespace" Calls "Service contract: the namespace of the payload."
    PROFILE "labels.rivversion" Calls "Profile that the producer was called with; the request's where none was called."
    PROFILE_IN "labels.rivversion_in" Calls "Profile of the request."
    WSDL_NAMESPACE "labels.wsdl_namespace" Calls "Contract and profile in the form of a WSDL's target namespace."
    ROUTING_TRAIL "labels.routerVagvalTrace" Calls "Addresses tried for the route, up to the one that had it; `(leaf)`, `(parent)`, `(default)` mark the steps."
    AUTHORIZATION_TRAIL "labels.routerBehorighetTrace" Calls "The same for the authorisation."
    ROUTE_OBJECT "labels.routeObject" Calls "RoutingEntry that decided: namespace/name."
    ROUTE_GENERATION "labels.routeGeneration" Calls "Its generation."
    AUTHORIZATION_OBJECT "labels.authorizationObject" Calls "CallAuthorization that decided: namespace/name."
    AUTHORIZATION_GENERATION "labels.authorizationGeneration" Calls "Its generation."
    TABLE_DIGEST "labels.tableDigest" Common "Version of the routing table: the one that decided a call, or the one that a line is about."
    PRODUCER_DURATION "labels.producerDuration" Calls "Nanoseconds of `event.duration` that the producer took."
    RETRIED "labels.retried" Calls "`true` if more than one attempt was made."
    WHITESPACE "labels.addressWhitespace" Calls "`true` if the address had white space around it, which no route matches."
    URL_PATH "url.path" Calls "Path of the request, without its query."
    URL_ORIGINAL "url.original" Calls "Endpoint that was called, without user info and query."
    DESTINATION_ADDRESS "destination.address" Calls "Host of the endpoint."
    DESTINATION_DOMAIN "destination.domain" Calls "As `destination.address`."
    DESTINATION_PORT "destination.port" Calls "Port of the endpoint."
    SOURCE_ADDRESS "source.address" Common "Address of the other end of the connection."
    SOURCE_IP "source.ip" Common "As `source.address`."
    SOURCE_PORT "source.port" Calls "Port of `source.address`."
    TLS_PROTOCOL "tls.version_protocol" Calls "`tls`, where the consumer came over TLS."
    TLS_VERSION "tls.version" Calls "`1.2` or `1.3`."
    METHOD "http.request.method" Calls "HTTP method."
    BYTES_IN "http.request.body.bytes" Calls "Bytes of request content received."
    BYTES_OUT "http.response.body.bytes" Calls "Bytes of response content sent."
    STATUS "http.response.status_code" Calls "HTTP status that the consumer got; absent if it got none."
    OUTCOME "labels.outcome" Calls "`completed`, `fault`, `producer-fault`, `consumer-aborted`, `producer-broke-off` or `http-refused`."
    ERROR_TYPE "error.type" Failures "VP code, or the outcome where there is none."
    ERROR_MESSAGE "error.message" Failures "The cause, in words of the platform's own."
    ERROR_KIND "labels.errorKind" Failures "Which of the code's causes it was, in one word."
    ERROR_CODE "labels.errorCode" Failures "VP code."
    SESSION_STATUS "labels.sessionStatus" Failures "`true` beside a VP code."
    STATUS_LINE "labels.statusCode" Failures "Status and its phrase, beside a VP code."
    TECHNICAL_DESCRIPTION "labels.sessionErrorTechnicalDescription" Failures "As `error.message`, beside a VP code."
    FAULT_CODE "labels.faultCode" Failures "`faultcode` of a producer's SOAP fault. Its text is never logged."
    ALERT "labels.alert" Events "What the alert is about, in one word."
    CERTIFICATE_SUBJECT "tls.client.subject" Events "Subject of the certificate that a refused peer showed."
    CERTIFICATE_ISSUER "tls.client.issuer" Events "Its issuer."
    CERTIFICATE_SERIAL "tls.client.x509.serial_number" Events "Its serial number."
    CERTIFICATE_NOT_AFTER "tls.client.not_after" Events "When it expires."
    REASON "event.reason" Events "Why something was refused or held, in a sentence."
    REFUSAL "labels.refusal" Events "Why a handshake was refused, in one word; the same as the metric's label."
    SUPPRESSED "labels.suppressed" Events "How many refused handshakes were not logged in the last minute."
    DROPPED "labels.dropped" Events "How many lines could not be written."
    FILE "file.path" Events "File that was read."
    TABLE_SOURCE "labels.tableSource" Events "Where the table came from: `operator`, `disk` or `local`."
    TABLE_EPOCH "labels.tableEpoch" Events "The control plane's number of the table."
    TABLE_ROUTES "labels.tableRoutes" Events "Routing rows in it."
    TABLE_AUTHORIZATIONS "labels.tableAuthorizations" Events "Authorisation rows in it."
}

/// The reference page of the log: `docs/src/reference/log-fields.md`.
pub fn page() -> String {
    let mut page = String::from(INTRODUCTION);
    for (lines, title) in SECTIONS {
        page.push_str(&format!("\n## {title}\n\n| field | meaning |\n|---|---|\n"));
        for field in ALL.iter().filter(|field| field.lines == lines) {
            page.push_str(&format!("| `{}` | {} |\n", field.name, field.meaning));
        }
    }
    page.push_str("\n## Actions\n\n| `event.action` | when |\n|---|---|\n");
    for (action, when) in super::log::ACTIONS {
        page.push_str(&format!("| `{action}` | {when} |\n"));
    }
    page
}

const SECTIONS: [(Lines, &str); 4] = [
    (Lines::Common, "On every line, where it applies"),
    (Lines::Calls, "On calls"),
    (Lines::Failures, "On calls that failed"),
    (Lines::Events, "On other events"),
];

const INTRODUCTION: &str = "# Log fields

<!-- Rendered from dataplane/src/telemetry/fields.rs. `cargo xtask gen` writes it anew. -->

The log is one JSON object per line on standard output, flat, in names of the [Elastic Common
Schema](https://www.elastic.co/guide/en/ecs/current/index.html). All values are strings, except the two lists
`event.category` and `event.type`. A field that has nothing to say is absent.

A call leaves exactly one line, when it is over. No line ever holds a body, a query string, a key, a token, a header
other than those named here, or the text of a producer's fault: it may contain a personal identity number.

Values from outside are escaped, so that none can forge a line, and cut after 2048 bytes. Whatever looks like a personal
identity number (a date, the right check digit, no letter beside it) is masked in every field. If lines cannot be written as
fast as they come, calls do not wait for them: lines are dropped, counted (`rivmesh_log_lines_dropped_total`), and a
warning tells how many once writing is possible again.
";

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_name_is_given_once() {
        let names: BTreeSet<_> = ALL.iter().map(|field| field.name).collect();
        assert_eq!(names.len(), ALL.len());
    }
}
