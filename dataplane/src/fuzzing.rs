//! What must hold for any bytes whatsoever, one function for each fuzz target.
//!
//! The fuzz workspace only calls these; the corpora that it collects are replayed through them by the ordinary tests, so
//! that a finding stays found without the nightly toolchain.

use crate::http1::{BodyError, Decoder, Encoder, Framing, HeadError, parse_request, parse_response};
use bytes::BytesMut;

/// A fuzz target.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name, which is also that of its corpus' directory.
    pub name: &'static str,
    /// Panics if `data` breaks a promise.
    pub check: fn(data: &[u8]),
}

/// All targets of this crate.
pub const TARGETS: [Target; 3] = [
    Target { name: "http1_request", check: http1_request },
    Target { name: "http1_response", check: http1_response },
    Target { name: "chunked", check: chunked },
];

/// Small limits, so that inputs reach them.
const MAX_HEAD: usize = 512;
const MAX_FIELDS: usize = 8;
/// More than a chunk's longest line and all trailers: nothing that a decoder waits for is longer.
const MAX_WAIT: usize = 8 * 1024 + 2;

/// What was understood of a head.
#[derive(Debug, PartialEq, Eq)]
struct Understood {
    start: String,
    fields: Vec<(String, Vec<u8>)>,
    framing: Framing,
    close: bool,
    left: Vec<u8>,
}

/// A request's head is understood the same way however its bytes arrive, within its limits, and reads the same when it is
/// written in the plainest form.
pub fn http1_request(data: &[u8]) {
    // One empty line is skipped each time that somebody looks, and so it shows how often that is.
    if data.starts_with(b"\r\n\r\n") {
        return;
    }
    let parse = |input: &mut BytesMut| {
        let head = parse_request(input, MAX_HEAD, MAX_FIELDS)?;
        Ok(head.map(|head| {
            assert!(head.fields.all("host").count() == 1 || head.http10);
            let query = head.query.map_or(String::new(), |query| format!("?{query}"));
            let version = if head.http10 { "1.0" } else { "1.1" };
            let start = format!("{} {}{query} HTTP/{version}", head.method, head.path);
            let fields = head
                .fields
                .iter()
                .map(|(name, value)| (String::from_utf8_lossy(name).into_owned(), value.to_vec()))
                .collect();
            Understood { start, fields, framing: head.framing, close: head.close, left: Vec::new() }
        }))
    };
    same_however_it_comes(data, parse);
}

/// As [`http1_request`], for the head of an answer.
pub fn http1_response(data: &[u8]) {
    let parse = |input: &mut BytesMut| {
        let head = parse_response(input, MAX_HEAD, MAX_FIELDS)?;
        Ok(head.map(|head| {
            assert!((100..600).contains(&head.status) && (head.close || head.framing != Framing::UntilClose));
            let start = format!("HTTP/1.1 {} X", head.status);
            let fields = head
                .fields
                .iter()
                .map(|(name, value)| (String::from_utf8_lossy(name).into_owned(), value.to_vec()))
                .collect();
            Understood { start, fields, framing: head.framing, close: head.close, left: Vec::new() }
        }))
    };
    same_however_it_comes(data, parse);
}

/// A chunked body is understood the same way however it arrives, never makes the reader wait for more than a line, and
/// reads the same when it is chunked anew.
pub fn chunked(data: &[u8]) {
    let whole = decode(data, data.len().max(1));
    for step in [1, 2, 3, 7, 64] {
        let pieces = decode(data, step);
        match (&whole, &pieces) {
            (Ok(whole), Ok(pieces)) => assert_eq!(whole, pieces, "in pieces of {step}"),
            (Err(_), Err(_)) => {}
            // What is wrong only further on may not have been looked at.
            other => panic!("in pieces of {step}: {other:?}"),
        }
    }
    let Ok((content, true, _)) = whole else { return };
    let mut wire = BytesMut::new();
    for piece in content.chunks(5) {
        Encoder::Chunked.append(&mut wire, piece);
    }
    Encoder::Chunked.finish(&mut wire);
    assert_eq!(decode(&wire, 3), Ok((content, true, Vec::new())));
}

fn same_however_it_comes(data: &[u8], parse: impl Fn(&mut BytesMut) -> Result<Option<Understood>, HeadError>) {
    let whole = arrive(data, data.len().max(1), &parse);
    for step in [1, 2, 3, 7, 64] {
        // Both refuse, perhaps for different reasons: what comes in pieces may be refused before its worst has come.
        let pieces = arrive(data, step, &parse);
        assert_eq!(pieces.is_err(), whole.is_err(), "in pieces of {step}: {pieces:?}, at once: {whole:?}");
        if let (Ok(pieces), Ok(whole)) = (&pieces, &whole) {
            assert_eq!(pieces, whole, "in pieces of {step}");
        }
    }
    let Ok(Some(understood)) = whole else { return };
    assert!(understood.fields.len() <= MAX_FIELDS && data.len() - understood.left.len() <= MAX_HEAD + 2);
    let mut plain = understood.start.clone().into_bytes();
    for (name, value) in &understood.fields {
        assert!(!value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)));
        plain.extend_from_slice(&[b"\r\n", name.as_bytes(), b": ", value].concat());
    }
    plain.extend_from_slice(b"\r\n\r\n");
    if plain.len() <= MAX_HEAD {
        let again = parse(&mut BytesMut::from(&plain[..])).expect("valid").expect("complete");
        assert_eq!((again.fields, again.framing), (understood.fields, understood.framing));
    }
}

/// The head at the front of `data`, which arrives `step` bytes at a time.
fn arrive(
    data: &[u8],
    step: usize,
    parse: &impl Fn(&mut BytesMut) -> Result<Option<Understood>, HeadError>,
) -> Result<Option<Understood>, HeadError> {
    let mut input = BytesMut::new();
    let mut pieces = data.chunks(step);
    for piece in pieces.by_ref() {
        input.extend_from_slice(piece);
        if let Some(mut understood) = parse(&mut input)? {
            pieces.for_each(|piece| input.extend_from_slice(piece));
            understood.left = input.to_vec();
            return Ok(Some(understood));
        }
    }
    Ok(None)
}

/// The content, whether its end has come, and what stands behind it.
type Decoded = (Vec<u8>, bool, Vec<u8>);

fn decode(data: &[u8], step: usize) -> Result<Decoded, BodyError> {
    let mut decoder = Decoder::new(Framing::Chunked);
    let (mut input, mut content) = (BytesMut::new(), Vec::new());
    for piece in data.chunks(step) {
        input.extend_from_slice(piece);
        loop {
            let piece = decoder.peek(&mut input, 11)?;
            let taken = piece.len();
            content.extend_from_slice(piece);
            if taken == 0 {
                break;
            }
            decoder.consume(&mut input, taken);
        }
        assert!(decoder.is_done() || input.len() < MAX_WAIT, "{} bytes are waited for", input.len());
    }
    Ok((content, decoder.is_done(), input.to_vec()))
}
