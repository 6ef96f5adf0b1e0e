//! What must hold for any bytes whatsoever, one function for each fuzz target.
//!
//! The fuzz workspace only calls these; the corpora that it collects are replayed through them by the ordinary tests, so
//! that a finding stays found without the nightly toolchain.

use crate::encoding::{Encoding, detect};
use crate::multipart::{MultipartError, RootFinder, RootStep};
use crate::transcoder::{TranscodeError, Transcoder};
use crate::{Envelope, EnvelopeError, FaultScanner, FaultStep, Scanner, Step};
use base64::Engine;

/// A fuzz target.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name, which is also that of its corpus' directory.
    pub name: &'static str,
    /// Panics if `data` breaks a promise.
    pub check: fn(data: &[u8]),
}

/// All targets of this crate.
pub const TARGETS: [Target; 6] = [
    Target { name: "envelope_peek", check: envelope_peek },
    Target { name: "rewrite", check: rewrite },
    Target { name: "identity", check: identity },
    Target { name: "certificate_header", check: certificate_header },
    Target { name: "multipart", check: multipart },
    Target { name: "transcode", check: transcode },
];

/// A message is understood the same way however its bytes arrive; so is a producer's fault.
pub fn envelope_peek(data: &[u8]) {
    let whole = peek(data, data.len().max(1));
    for step in [1, 2, 3, 7, 64] {
        assert_eq!(peek(data, step), whole, "in pieces of {step}");
    }
    if let Ok(envelope) = whole {
        let address = envelope.address.as_ref();
        assert!(address.is_none_or(|a| !a.text.trim().is_empty() && envelope.profile.is_some()));
        assert!(address.is_none_or(|a| a.has_outer_whitespace == (a.text.trim() != a.text)));
    }
    let whole = fault(data, data.len().max(1));
    for step in [1, 2, 3, 7, 64] {
        assert_eq!(fault(data, step), whole, "in pieces of {step}");
    }
}

/// A rewritten message reads as the other profile with the same address and contract, and nothing else of it changed.
pub fn rewrite(data: &[u8]) {
    let Ok(envelope) = peek(data, data.len().max(1)) else { return };
    let (Some(profile), Some(element)) = (envelope.profile, envelope.element) else { return };
    let Ok(there) = crate::rewrite(data, &envelope, profile.other()) else { return };
    let last = element.end_tag.unwrap_or(element.start_tag);
    assert!(there.starts_with(&data[..element.start_tag.start]) && there.ends_with(&data[last.end..]));
    let reads_as = |message: &[u8], expected| match peek(message, message.len()) {
        Ok(found) => {
            assert_eq!(
                (&found.address, found.profile, &found.contract),
                (&envelope.address, Some(expected), &envelope.contract)
            );
            found
        }
        // Its own declaration may be the one that is too much.
        Err(EnvelopeError::Xml(error)) if is_limit(error) => envelope.clone(),
        Err(error) => panic!("the rewritten message cannot be read: {error}"),
    };
    let found = reads_as(&there, profile.other());
    if let Ok(back) = crate::rewrite(&there, &found, profile) {
        reads_as(&back, profile);
    }
}

/// An id is never anything but an id, and any certificate can be described on one bounded line.
pub fn identity(data: &[u8]) {
    if let Ok(id) = crate::consumer_id(data) {
        assert!(crate::hsa_id::is_acceptable_id(&id));
    }
    if let Some(summary) = crate::describe(data) {
        for name in [&summary.subject, &summary.issuer] {
            assert!(name.chars().count() <= crate::limits::MAX_NAME_IN_LOG + 1 && !name.contains(char::is_control));
        }
    }
}

/// Whatever is read from a header reads the same when it is written in the plainest form.
pub fn certificate_header(data: &[u8]) {
    let Ok(chain) = crate::parse_certificate_header(data) else { return };
    assert!((1..=crate::limits::MAX_HEADER_CERTIFICATES).contains(&chain.len()));
    let plain: Vec<_> = chain.iter().map(|der| base64::prelude::BASE64_STANDARD.encode(der)).collect();
    assert_eq!(crate::parse_certificate_header(plain.join(",").as_bytes()), Ok(chain));
}

/// The root part is the same however the message arrives. The first line of `data` is the content type.
pub fn multipart(data: &[u8]) {
    let (content_type, message) = split_line(data);
    let whole = root(content_type, message, message.len().max(1));
    for step in [1, 2, 3, 7, 64] {
        assert_eq!(root(content_type, message, step), whole, "in pieces of {step}");
    }
}

/// A message is converted the same way however it arrives, and what became UTF-8 is. The first line of `data` is the
/// content type.
pub fn transcode(data: &[u8]) {
    let (content_type, message) = split_line(data);
    let Some(from) = detect(Some(content_type), message, true) else { panic!("undecided at the end") };
    let there = convert(from, Encoding::UTF_8, message, message.len().max(1));
    for step in [1, 2, 3, 7, 64] {
        assert_eq!(convert(from, Encoding::UTF_8, message, step), there, "in pieces of {step}");
    }
    let Ok(text) = there else { return };
    assert!(std::str::from_utf8(&text).is_ok());
    let back = convert(Encoding::UTF_8, from, &text, text.len().max(1));
    assert_eq!(convert(Encoding::UTF_8, from, &text, 5), back);
    assert!(back.is_ok(), "UTF-8 can become anything");
}

fn is_limit(error: crate::xml::XmlError) -> bool {
    use crate::xml::XmlProblem::{Attributes, Namespaces};
    matches!(error.problem, Attributes | Namespaces)
}

/// The content type in the first line, and the rest.
fn split_line(data: &[u8]) -> (&[u8], &[u8]) {
    memchr::memchr(b'\n', data).map_or((data, &[]), |end| (&data[..end], &data[end + 1..]))
}

/// Where a message that arrives `step` bytes at a time is cut; `true` for the last.
fn cuts(message: &[u8], step: usize) -> impl Iterator<Item = (&[u8], bool)> {
    let pieces = (step..message.len()).step_by(step).map(|end| (&message[..end], false));
    pieces.chain([(message, true)])
}

fn peek(message: &[u8], step: usize) -> Result<Envelope, EnvelopeError> {
    let mut scanner = Scanner::new();
    for (prefix, end) in cuts(message, step) {
        if let Step::Found(envelope) = scanner.advance(prefix, end)? {
            return Ok(envelope);
        }
    }
    panic!("no answer at the end");
}

fn fault(message: &[u8], step: usize) -> FaultStep {
    let mut scanner = FaultScanner::new();
    let mut answers = cuts(message, step).map(|(prefix, end)| scanner.advance(prefix, end));
    answers.find(|answer| *answer != FaultStep::NeedMore).unwrap_or(FaultStep::NeedMore)
}

fn root<'a>(content_type: &[u8], message: &'a [u8], step: usize) -> Result<&'a [u8], MultipartError> {
    let Some(mut finder) = RootFinder::for_content_type(content_type)? else { return Ok(&[]) };
    let mut given = 0;
    for (prefix, end) in cuts(message, step) {
        if let RootStep::Found { body, complete } = finder.advance(prefix, end)? {
            assert!(body.start <= body.end && body.end <= prefix.len() && given <= body.end);
            given = body.end;
            if complete {
                return Ok(&message[body]);
            }
        }
        assert!(!end, "no answer at the end");
    }
    Ok(&[])
}

fn convert(from: Encoding, to: Encoding, message: &[u8], step: usize) -> Result<Vec<u8>, TranscodeError> {
    let (mut transcoder, mut out) = (Transcoder::new(from, to), Vec::new());
    for piece in message.chunks(step) {
        transcoder.push(piece, false, &mut out)?;
    }
    transcoder.push(&[], true, &mut out)?;
    Ok(out)
}
