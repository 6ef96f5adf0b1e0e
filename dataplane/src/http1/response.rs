//! Response heads from producers.

use super::body::Framing;
use super::head::{Announced, Head, HeadError, MAX_FIELDS, announced, field_slots, find_end};
use bytes::BytesMut;

/// A producer's response head.
#[derive(Debug)]
pub struct ResponseHead {
    /// The status code, 100-599.
    pub status: u16,
    /// How the body is delimited.
    pub framing: Framing,
    /// Whether the producer will close the connection after this answer.
    pub close: bool,
    /// The header fields.
    pub fields: Head,
}

impl ResponseHead {
    /// Whether this is an interim answer, after which the real one follows (RFC 9110 §15.2).
    pub fn is_interim(&self) -> bool {
        self.status < 200
    }
}

/// Takes a response head to a POST from the front of `input` once it is complete.
///
/// # Errors
/// See [`HeadError`]; the connection cannot be used any further after one.
pub fn parse_response(
    input: &mut BytesMut,
    limit: usize,
    max_fields: usize,
) -> Result<Option<ResponseHead>, HeadError> {
    let Some(end) = find_end(input, limit)? else { return Ok(None) };
    let buffer = input.split_to(end).freeze();
    let mut slots = field_slots();
    let slots = &mut slots[..max_fields.min(MAX_FIELDS)];
    let mut parsed = httparse::Response::new(&mut []);
    let parser = httparse::ParserConfig::default();
    let httparse::Status::Complete(_) = parser.parse_response_with_uninit_headers(&mut parsed, &buffer, slots)? else {
        return Err(HeadError::Malformed("the head ends early"));
    };
    let http10 = parsed.version == Some(0);
    let status = parsed.code.unwrap_or_default();
    if !(100..600).contains(&status) || status == 101 {
        return Err(HeadError::Malformed("the status code is not one that may be answered to a POST"));
    }
    let fields = Head::new(buffer.clone(), parsed.headers);
    let announced = announced(&fields, http10)?;
    let framing = match announced {
        _ if status < 200 || status == 204 || status == 304 => Framing::Length(0),
        Announced::Nothing => Framing::UntilClose,
        Announced::Length(length) => Framing::Length(length),
        Announced::Chunked => Framing::Chunked,
    };
    let keep_alive = fields.has_token("connection", "keep-alive");
    let close = fields.has_token("connection", "close") || (http10 && !keep_alive) || framing == Framing::UntilClose;
    Ok(Some(ResponseHead { status, framing, close, fields }))
}
