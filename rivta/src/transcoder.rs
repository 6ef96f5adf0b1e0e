//! Converts a message between character encodings while it passes.
//!
//! The XML declaration is made to tell the truth: its encoding is replaced, or added where the new one needs it. Nothing
//! else of the text changes; a character that the target does not have becomes a character reference.

use crate::encoding::{Encoding, Kind, declared_name};
use crate::limits::MAX_DECLARATION;
use encoding_rs::{Decoder, DecoderResult};
use memchr::memmem;
use std::fmt::Write;
use thiserror::Error;

/// Bytes that are not valid in the encoding that they come in: VP015 in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("bytes that are not valid {0}: check the charset parameter and the XML declaration")]
pub struct TranscodeError(pub &'static str);

/// Converts one message. An error is final.
pub struct Transcoder {
    from: Encoding,
    to: Encoding,
    /// `None` for ISO-8859-1, whose bytes are code points.
    decoder: Option<Decoder>,
    /// The beginning, until it is known whether it is an XML declaration.
    head: Option<String>,
    started: bool,
}

impl std::fmt::Debug for Transcoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transcoder").field("from", &self.from).field("to", &self.to).finish_non_exhaustive()
    }
}

impl Transcoder {
    /// A message that comes in `from` and goes on in `to`.
    pub fn new(from: Encoding, to: Encoding) -> Self {
        let decoder = match from.0 {
            Kind::Utf8 => Some(encoding_rs::UTF_8),
            Kind::Utf16 { big_endian: true, .. } => Some(encoding_rs::UTF_16BE),
            Kind::Utf16 { .. } => Some(encoding_rs::UTF_16LE),
            Kind::Latin1 => None,
            Kind::SingleByte(encoding) => Some(encoding),
        };
        let decoder = decoder.map(encoding_rs::Encoding::new_decoder_with_bom_removal);
        Self { from, to, decoder, head: Some(String::new()), started: false }
    }

    /// Appends the converted `input` to `out`. `end`: the message ends with it. A little may be held back until then.
    ///
    /// # Errors
    /// [`TranscodeError`] if the bytes are not valid in the encoding that they should be in.
    pub fn push(&mut self, input: &[u8], end: bool, out: &mut Vec<u8>) -> Result<(), TranscodeError> {
        let text = self.decode(input, end)?;
        let Some(mut head) = self.head.take() else {
            self.encode(&text, out);
            return Ok(());
        };
        head.push_str(&text);
        if is_undecided(&head) && !end {
            self.head = Some(head);
            return Ok(());
        }
        let (declaration, rest) = self.declaration(&head);
        self.encode(&declaration, out);
        self.encode(rest, out);
        Ok(())
    }

    fn decode(&mut self, input: &[u8], end: bool) -> Result<String, TranscodeError> {
        let Some(decoder) = &mut self.decoder else { return Ok(encoding_rs::mem::decode_latin1(input).into_owned()) };
        let invalid = TranscodeError(self.from.label());
        let mut text =
            String::with_capacity(decoder.max_utf8_buffer_length_without_replacement(input.len()).ok_or(invalid)?);
        match decoder.decode_to_string_without_replacement(input, &mut text, end).0 {
            DecoderResult::InputEmpty => Ok(text),
            // The output has room for the worst case, so it cannot be full.
            DecoderResult::Malformed(..) | DecoderResult::OutputFull => Err(invalid),
        }
    }

    /// The XML declaration as it must read in the new encoding, and what follows it.
    fn declaration<'a>(&self, head: &'a str) -> (String, &'a str) {
        let Some(end) = declaration_end(head).filter(|_| is_declaration(head)) else { return (String::new(), head) };
        let (declaration, rest) = head.split_at(end);
        let label = self.to.label();
        let new = match declared_name(declaration.as_bytes()) {
            Some(value) => format!("{}{label}{}", &declaration[..value.start], &declaration[value.end..]),
            None if self.to.is_utf8() => declaration.to_owned(),
            None => with_encoding(declaration, label),
        };
        (new, rest)
    }

    fn encode(&mut self, text: &str, out: &mut Vec<u8>) {
        if text.is_empty() {
            return;
        }
        match self.to.0 {
            Kind::Utf8 => out.extend_from_slice(text.as_bytes()),
            Kind::Utf16 { big_endian, marked } => {
                let mark = if marked && !self.started { Some(0xfeff) } else { None };
                let bytes = |unit: u16| if big_endian { unit.to_be_bytes() } else { unit.to_le_bytes() };
                out.extend(mark.into_iter().chain(text.encode_utf16()).flat_map(bytes));
            }
            Kind::Latin1 => {
                for c in text.chars() {
                    match u8::try_from(c) {
                        Ok(byte) => out.push(byte),
                        Err(_) => out.extend_from_slice(character_reference(c).as_bytes()),
                    }
                }
            }
            // Characters that the encoding lacks become references here too.
            Kind::SingleByte(encoding) => out.extend_from_slice(&encoding.encode(text).0),
        }
        self.started = true;
    }
}

fn character_reference(c: char) -> String {
    let mut reference = String::new();
    // Writing to a String cannot fail.
    let _ = write!(reference, "&#{};", u32::from(c));
    reference
}

fn is_declaration(head: &str) -> bool {
    head.strip_prefix("<?xml").is_some_and(|rest| rest.starts_with([' ', '\t', '\r', '\n']))
}

/// Where the `?>` of a declaration stands. One that reaches further than any real one is left alone.
fn declaration_end(head: &str) -> Option<usize> {
    memmem::find(&head.as_bytes()[..head.len().min(MAX_DECLARATION)], b"?>")
}

/// True while `head` may still become a document with an XML declaration whose end is not in it.
fn is_undecided(head: &str) -> bool {
    let short = "<?xml ".starts_with(head);
    short || (is_declaration(head) && head.len() < MAX_DECLARATION && declaration_end(head).is_none())
}

/// The declaration with `encoding` behind the version, where it must stand.
fn with_encoding(declaration: &str, label: &str) -> String {
    let version = declaration.find(['"', '\'']).and_then(|open| {
        let quote = char::from(declaration.as_bytes()[open]);
        declaration[open + 1..].find(quote).map(|length| open + 1 + length + 1)
    });
    match version {
        Some(end) => format!("{} encoding=\"{label}\"{}", &declaration[..end], &declaration[end..]),
        None => declaration.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn convert(from: Encoding, to: Encoding, input: &[u8], step: usize) -> Result<Vec<u8>, TranscodeError> {
        let (mut transcoder, mut out) = (Transcoder::new(from, to), Vec::new());
        for chunk in input.chunks(step) {
            transcoder.push(chunk, false, &mut out)?;
        }
        transcoder.push(&[], true, &mut out)?;
        Ok(out)
    }

    fn encoding(label: &str) -> Encoding {
        Encoding::from_label(label).unwrap()
    }

    fn utf16(text: &str) -> Vec<u8> {
        text.encode_utf16().flat_map(u16::to_le_bytes).collect()
    }

    #[test]
    fn messages_pass_in_whatever_pieces() {
        let cases: [(&str, &[u8], &str, &[u8]); 9] = [
            (
                "iso-8859-1",
                b"<?xml version='1.0' encoding='ISO-8859-1'?><a>\xe5</a>",
                "utf-8",
                "<?xml version='1.0' encoding='UTF-8'?><a>å</a>".as_bytes(),
            ),
            (
                "utf-8",
                "<?xml version='1.0' encoding='UTF-8' standalone='yes'?><a>å€</a>".as_bytes(),
                "iso-8859-1",
                b"<?xml version='1.0' encoding='ISO-8859-1' standalone='yes'?><a>\xe5&#8364;</a>",
            ),
            (
                "utf-8",
                b"<?xml version=\"1.0\"?><a/>",
                "iso-8859-1",
                b"<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><a/>",
            ),
            ("utf-8", "\u{feff}<a>€</a>".as_bytes(), "windows-1252", b"<a>\x80</a>"),
            ("utf-8", "<a>å</a>".as_bytes(), "utf-16le", &utf16("<a>å</a>")),
            (
                "utf-16",
                &utf16("\u{feff}<?xml version='1.0' encoding='utf-16'?><a>å😀</a>"),
                "utf-8",
                "<?xml version='1.0' encoding='UTF-8'?><a>å😀</a>".as_bytes(),
            ),
            ("utf-8", "<a>😀</a>".as_bytes(), "utf-16", &utf16("\u{feff}<a>😀</a>")),
            ("utf-8", b"<?xml", "iso-8859-1", b"<?xml"),
            ("utf-8", b"", "utf-16", b""),
        ];
        for (from, input, to, expected) in cases {
            for step in 1..=input.len().max(1) {
                let converted = convert(encoding(from), encoding(to), input, step).unwrap();
                assert_eq!(converted, expected, "{from} to {to} by {step}");
            }
        }
    }

    #[test]
    fn a_stylesheet_instruction_is_not_a_declaration() {
        let input = b"<?xml-stylesheet encoding='UTF-8'?><a/>";
        assert_eq!(convert(Encoding::UTF_8, Encoding::ISO_8859_1, input, 3).unwrap(), input);
    }

    #[test]
    fn invalid_bytes_are_an_error_and_not_a_question_mark() {
        for (from, input) in
            [("utf-8", &b"<a>\xe5</a>"[..]), ("utf-8", b"<a>\xc3"), ("utf-16le", b"<\0a"), ("utf-16le", b"\0\xd8<\0")]
        {
            assert_eq!(convert(encoding(from), Encoding::UTF_8, input, 1), Err(TranscodeError(encoding(from).label())));
        }
    }
}
