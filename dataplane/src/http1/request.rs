//! Request heads from consumers.

use super::body::Framing;
use super::head::{Announced, Head, HeadError, MAX_FIELDS, announced, field_slots, find_end, leading_empty_line};
use bytes::{Buf, BytesMut};

/// A request head that passed every check of RFC 9112 that this platform makes.
#[derive(Debug)]
pub struct RequestHead {
    /// The method as sent; methods are case-sensitive.
    pub method: String,
    /// The path of the target, without query.
    pub path: String,
    /// The query of the target, without the question mark.
    pub query: Option<String>,
    /// HTTP/1.0 instead of 1.1.
    pub http10: bool,
    /// How the body is delimited.
    pub framing: Framing,
    /// Whether the consumer wants the connection closed after the answer.
    pub close: bool,
    /// Whether the consumer waits for `100 Continue` before it sends the body (RFC 9110 §10.1.1).
    pub expects_continue: bool,
    /// The header fields.
    pub fields: Head,
}

/// Takes a request head from the front of `input` once it is complete.
///
/// # Errors
/// See [`HeadError`]; the connection cannot be used any further after one.
pub fn parse_request(input: &mut BytesMut, limit: usize, max_fields: usize) -> Result<Option<RequestHead>, HeadError> {
    input.advance(leading_empty_line(input));
    if input.is_empty() {
        return Ok(None);
    }
    let Some(end) = find_end(input, limit)? else { return refuse_early(input, max_fields) };
    let buffer = input.split_to(end).freeze();
    let mut slots = field_slots();
    let mut parsed = httparse::Request::new(&mut []);
    match parsed.parse_with_uninit_headers(&buffer, &mut slots[..max_fields.min(MAX_FIELDS)]) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return Err(HeadError::Malformed("the head ends early")),
        Err(error) => return Err(judge(error, &buffer)),
    }
    let http10 = parsed.version == Some(0);
    let method = parsed.method.unwrap_or_default().to_owned();
    let (path, query) = target(parsed.path.unwrap_or_default())?;
    let fields = Head::new(buffer.clone(), parsed.headers);

    if fields.all("host").count() != 1 && !(http10 && fields.first("host").is_none()) {
        return Err(HeadError::Malformed("the request needs exactly one Host header"));
    }
    let framing = match announced(&fields, http10)? {
        Announced::Nothing => Framing::Length(0),
        Announced::Length(length) => Framing::Length(length),
        Announced::Chunked => Framing::Chunked,
    };
    let expects_continue = match fields.first("expect") {
        None => false,
        Some(value) if value.eq_ignore_ascii_case(b"100-continue") => !http10,
        Some(_) => return Err(HeadError::Expectation),
    };
    let keep_alive = fields.has_token("connection", "keep-alive");
    let close = fields.has_token("connection", "close") || (http10 && !keep_alive);
    Ok(Some(RequestHead { method, path, query, http10, framing, close, expects_continue, fields }))
}

/// Refuses a head that is wrong already, so that its sender does not wait for the rest to be asked for.
fn refuse_early(input: &[u8], max_fields: usize) -> Result<Option<RequestHead>, HeadError> {
    let mut slots = field_slots();
    let slots = &mut slots[..max_fields.min(MAX_FIELDS)];
    httparse::Request::new(&mut [])
        .parse_with_uninit_headers(input, slots)
        .map(|_| None)
        .map_err(|error| judge(error, input))
}

/// Tells another version of HTTP from a line that is not HTTP at all.
fn judge(error: httparse::Error, head: &[u8]) -> HeadError {
    let line = head.split(|b| *b == b'\r').next().unwrap_or_default();
    let mut words = line.split(|b| *b == b' ');
    let is_http = words.nth(2).is_some_and(|version| version.starts_with(b"HTTP/")) && words.next().is_none();
    match HeadError::from(error) {
        HeadError::Version if !is_http => HeadError::Malformed("the start line is malformed"),
        other => other,
    }
}

/// Path and query of a request target in origin or absolute form (RFC 9112 §3.2).
fn target(target: &str) -> Result<(String, Option<String>), HeadError> {
    if target.contains(['#', '<', '>', '`']) {
        return Err(HeadError::Malformed("the request target has a character that a URL cannot have"));
    }
    let (before, query) = match target.split_once('?') {
        Some((before, query)) => (before, Some(query.to_owned())),
        None => (target, None),
    };
    let path = if before.starts_with('/') || target == "*" {
        before
    } else {
        let rest = before.strip_prefix("https://").or_else(|| before.strip_prefix("http://"));
        let rest = rest.ok_or(HeadError::Malformed("the request target is neither a path nor a URL"))?;
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        if host.is_empty() || !host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.:[]_".contains(&b)) {
            return Err(HeadError::Malformed("the request target names no host"));
        }
        if path.is_empty() { "/" } else { path }
    };
    Ok((path.to_owned(), query))
}
