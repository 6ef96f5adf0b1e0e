//! The heads that travel on: what of the consumer's head reaches the producer and what the platform adds, and the same
//! for the way back (rules §2).

use crate::http1::{Encoder, Framing, RequestHead, ResponseHead, tokens};
use crate::upstream::Endpoint;
use bytes::BytesMut;
use rivmesh_rivta::{forward_to_consumer, forward_to_producer};

/// The content type of SOAP 1.1 in the only encoding that producers are sent (rules §2).
const SOAP_CONTENT_TYPE: &str = "text/xml; charset=UTF-8";

/// Room for what the platform adds to a head.
const ADDED_ROOM: usize = 640;

/// Names of the headers that the platform reads or writes (rules §2).
pub(super) mod names {
    pub(in crate::call) const ORIGINAL_CONSUMER: &str = "x-rivta-original-serviceconsumer-hsaid";
    pub(in crate::call) const ACTING_ON_BEHALF_OF: &str = "x-rivta-acting-on-behalf-of-hsaid";
    pub(in crate::call) const ROUTING_HISTORY: &str = "x-rivta-routing-history";
    pub(in crate::call) const CORRELATION_ID: &str = "x-skltp-correlation-id";
    pub(in crate::call) const PRODUCER_TIME: &str = "x-skltp-prt";
    pub(crate) const SENDER_ID: &str = "x-vp-sender-id";
    pub(crate) const INSTANCE_ID: &str = "x-vp-instance-id";
}

/// What the platform itself says to the producer.
pub(super) struct Added<'a> {
    pub original_consumer: &'a str,
    pub routing_history: &'a str,
    /// Sent to internal producers always, to external ones by setting.
    pub correlation_id: Option<&'a str>,
    /// `x-vp-sender-id` and `x-vp-instance-id`, for internal producers only.
    pub internal: Option<(&'a str, &'a str)>,
    pub traceparent: &'a [u8],
    pub tracestate: Option<&'a str>,
    pub user_agent: &'a str,
    /// The consumer's own Content-Type, kept for MIME packages.
    pub content_type: Option<&'a [u8]>,
}

/// Writes the request head for `endpoint`, with room behind it for `first` bytes of the body. `length` is the body's length;
/// without one it goes chunked.
pub(super) fn write_request_head(
    out: &mut BytesMut,
    first: usize,
    endpoint: &Endpoint,
    head: &RequestHead,
    length: Option<u64>,
    added: &Added<'_>,
) -> Encoder {
    out.reserve(head.fields.size() + ADDED_ROOM + first);
    put(out, &[b"POST ", endpoint.path_and_query.as_bytes(), b" HTTP/1.1\r\n"]);
    field(out, "Host", endpoint.authority.as_bytes());
    for (name, value) in head.fields.iter() {
        if forward_to_producer(name) && !is_connection_option(head, name) {
            field(out, name, value);
        }
    }
    field(out, "Content-Type", added.content_type.unwrap_or(SOAP_CONTENT_TYPE.as_bytes()));
    field(out, "User-Agent", added.user_agent.as_bytes());
    field(out, names::ORIGINAL_CONSUMER, added.original_consumer.as_bytes());
    field(out, names::ROUTING_HISTORY, added.routing_history.as_bytes());
    field(out, "traceparent", added.traceparent);
    if let Some(state) = added.tracestate {
        field(out, "tracestate", state.as_bytes());
    }
    if let Some(id) = added.correlation_id {
        field(out, names::CORRELATION_ID, id.as_bytes());
    }
    if let Some((sender, instance)) = added.internal {
        field(out, names::SENDER_ID, sender.as_bytes());
        field(out, names::INSTANCE_ID, instance.as_bytes());
    }
    let encoder = match length {
        Some(length) => {
            number(out, "Content-Length", length);
            Encoder::Plain
        }
        None => {
            field(out, "Transfer-Encoding", b"chunked");
            Encoder::Chunked
        }
    };
    out.extend_from_slice(b"\r\n");
    encoder
}

/// What the platform says to the consumer beside the producer's answer.
pub(super) struct Returned<'a> {
    pub status: u16,
    pub correlation_id: &'a str,
    /// Time that the producer took, in milliseconds.
    pub producer_ms: u64,
    /// Whether the connection is closed after this answer.
    pub close: bool,
    /// Whether the consumer speaks HTTP/1.0 and cannot be sent chunks.
    pub http10: bool,
    /// The content type when the platform changed the encoding, instead of the producer's own.
    pub content_type: Option<&'a str>,
}

/// Writes the answer's head for the consumer, with room behind it for `first` bytes of the body. A body whose length is not
/// known goes chunked, or until the close.
pub(super) fn write_answer_head(
    out: &mut BytesMut,
    first: usize,
    answer: &ResponseHead,
    framing: Framing,
    returned: &Returned<'_>,
) -> Encoder {
    out.reserve(answer.fields.size() + ADDED_ROOM + first);
    status_line(out, returned.status);
    for (name, value) in answer.fields.iter() {
        let listed = answer.fields.all("connection").any(|v| lists(v, name));
        let replaced = returned.content_type.is_some() && name.eq_ignore_ascii_case(b"content-type");
        if forward_to_consumer(name) && !listed && !replaced {
            field(out, name, value);
        }
    }
    if let Some(content_type) = returned.content_type {
        field(out, "Content-Type", content_type.as_bytes());
    }
    field(out, names::CORRELATION_ID, returned.correlation_id.as_bytes());
    number(out, names::PRODUCER_TIME, returned.producer_ms);
    let encoder = match framing {
        Framing::Length(length) => {
            number(out, "Content-Length", length);
            Encoder::Plain
        }
        _ if returned.http10 => Encoder::Plain,
        _ => {
            field(out, "Transfer-Encoding", b"chunked");
            Encoder::Chunked
        }
    };
    connection(out, returned.close, returned.http10);
    out.extend_from_slice(b"\r\n");
    encoder
}

/// An answer of the platform's own.
pub(crate) struct OwnAnswer<'a> {
    pub status: u16,
    pub content_type: &'a str,
    /// Missing where not even the head could be read.
    pub correlation_id: Option<&'a str>,
    pub close: bool,
    pub http10: bool,
    /// Whether the request was a HEAD, which is answered without content (RFC 9110 §9.3.2).
    pub is_head: bool,
}

/// Writes a whole answer of the platform's own.
pub(crate) fn write_own_answer(out: &mut BytesMut, own: &OwnAnswer<'_>, content: &[u8]) {
    let status = own.status;
    status_line(out, status);
    field(out, "Content-Type", own.content_type.as_bytes());
    number(out, "Content-Length", content.len() as u64);
    if let Some(id) = own.correlation_id {
        field(out, names::CORRELATION_ID, id.as_bytes());
    }
    if status == 405 {
        field(out, "Allow", b"POST");
    }
    connection(out, own.close, own.http10);
    out.extend_from_slice(b"\r\n");
    if !own.is_head {
        out.extend_from_slice(content);
    }
}

fn connection(out: &mut BytesMut, close: bool, http10: bool) {
    if close {
        field(out, "Connection", b"close");
    } else if http10 {
        field(out, "Connection", b"keep-alive");
    }
}

fn is_connection_option(head: &RequestHead, name: &[u8]) -> bool {
    head.fields.all("connection").any(|value| lists(value, name))
}

fn lists(value: &[u8], name: &[u8]) -> bool {
    tokens(value).any(|token| token.eq_ignore_ascii_case(name))
}

fn field(out: &mut BytesMut, name: impl AsRef<[u8]>, value: &[u8]) {
    put(out, &[name.as_ref(), b": ", value, b"\r\n"]);
}

fn number(out: &mut BytesMut, name: &str, value: u64) {
    field(out, name, itoa::Buffer::new().format(value).as_bytes());
}

fn status_line(out: &mut BytesMut, status: u16) {
    let mut code = itoa::Buffer::new();
    put(out, &[b"HTTP/1.1 ", code.format(status).as_bytes(), b" ", reason(status).as_bytes(), b"\r\n"]);
}

fn put(out: &mut BytesMut, parts: &[&[u8]]) {
    for part in parts {
        out.extend_from_slice(part);
    }
}

/// The reason phrase of the statuses that occur here; it carries no meaning (RFC 9112 §4).
fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Content Too Large",
        417 => "Expectation Failed",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}
