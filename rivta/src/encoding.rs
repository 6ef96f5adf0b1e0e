//! Which character encoding a message comes in.
//!
//! A byte order mark decides, then the `charset` parameter, then the XML declaration (as XML 1.0 appendix F, with the
//! parameter as the external information). A name that contradicts the bytes, as UTF-16 for a message that begins with
//! plain ASCII, or that is not known, is passed over: such senders exist, and their messages are UTF-8.

use crate::limits::MAX_DECLARATION;
use crate::media_type::MediaType;
use memchr::memmem;

/// A character encoding that messages may come in: UTF-8, UTF-16 and those with one byte per character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encoding(pub(crate) Kind);

/// What the transcoder needs to know of an encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Utf8,
    Utf16 {
        big_endian: bool,
        /// Messages begin with a byte order mark, as those called just "UTF-16" must.
        marked: bool,
    },
    /// The real ISO-8859-1, not the windows-1252 that browsers make of it.
    Latin1,
    SingleByte(&'static encoding_rs::Encoding),
}

impl Encoding {
    /// UTF-8, the encoding of RIV-TA.
    pub const UTF_8: Self = Self(Kind::Utf8);
    /// ISO-8859-1.
    pub const ISO_8859_1: Self = Self(Kind::Latin1);

    /// True for UTF-8: nothing needs to be transcoded.
    pub fn is_utf8(self) -> bool {
        self.0 == Kind::Utf8
    }

    /// The name for a `charset` parameter or an XML declaration.
    pub fn label(self) -> &'static str {
        match self.0 {
            Kind::Utf8 => "UTF-8",
            Kind::Utf16 { marked: true, .. } => "UTF-16",
            Kind::Utf16 { big_endian: true, .. } => "UTF-16BE",
            Kind::Utf16 { .. } => "UTF-16LE",
            Kind::Latin1 => "ISO-8859-1",
            Kind::SingleByte(encoding) => encoding.name(),
        }
    }

    /// The encoding of this name, if it is one that messages may come in.
    pub fn from_label(label: &str) -> Option<Self> {
        let label = label.trim();
        // What nearly all say.
        if label.eq_ignore_ascii_case("utf-8") {
            return Some(Self::UTF_8);
        }
        let encoding = encoding_rs::Encoding::for_label(label.as_bytes())?;
        let is = |name: &str| label.eq_ignore_ascii_case(name);
        let kind = if encoding == encoding_rs::UTF_8 || is("ascii") || is("us-ascii") {
            Kind::Utf8
        } else if encoding == encoding_rs::UTF_16LE {
            Kind::Utf16 { big_endian: false, marked: !is("utf-16le") }
        } else if encoding == encoding_rs::UTF_16BE {
            Kind::Utf16 { big_endian: true, marked: false }
        } else if encoding == encoding_rs::WINDOWS_1252 && !label.to_ascii_lowercase().contains("1252") {
            Kind::Latin1
        } else if encoding.is_single_byte() && encoding.is_ascii_compatible() {
            Kind::SingleByte(encoding)
        } else {
            return None;
        };
        Some(Self(kind))
    }
}

/// The encoding of a message whose bytes so far are `prefix`; `None` if more are needed to tell, never with `end`.
///
/// A multipart message counts as UTF-8: its root part is read as such and the rest is not text.
pub fn detect(content_type: Option<&[u8]>, prefix: &[u8], end: bool) -> Option<Encoding> {
    let utf16 = |big_endian, marked| Some(Encoding(Kind::Utf16 { big_endian, marked }));
    let content_type = content_type.map(MediaType::parse);
    if content_type.as_ref().is_some_and(MediaType::is_multipart) {
        return Some(Encoding::UTF_8);
    }
    let charset = content_type.and_then(|value| Encoding::from_label(&value.parameter("charset")?));
    match prefix {
        [0xff, 0xfe, ..] => return utf16(false, true),
        [0xfe, 0xff, ..] => return utf16(true, true),
        [0xef, 0xbb, 0xbf, ..] => return Some(Encoding::UTF_8),
        [0, b'<', ..] => return utf16(true, is_marked(charset)),
        [b'<', 0, ..] => return utf16(false, is_marked(charset)),
        [] | [_] | [0xef, 0xbb] if !end => return None,
        _ => {}
    }
    match charset {
        Some(Encoding(Kind::Utf16 { .. })) | None => declared(prefix, end),
        known => known,
    }
}

/// The answer to a request called "UTF-16" is called that too, and so must have a byte order mark.
fn is_marked(charset: Option<Encoding>) -> bool {
    matches!(charset, Some(Encoding(Kind::Utf16 { marked: true, .. })))
}

/// What the XML declaration says.
fn declared(prefix: &[u8], end: bool) -> Option<Encoding> {
    const OPEN: &[u8] = b"<?xml";
    let head = &prefix[..prefix.len().min(MAX_DECLARATION)];
    if !head.starts_with(OPEN) {
        let undecided = OPEN.starts_with(head) && !end;
        return if undecided { None } else { Some(Encoding::UTF_8) };
    }
    let Some(close) = memmem::find(head, b"?>") else {
        let undecided = head.len() < MAX_DECLARATION && !end;
        return if undecided { None } else { Some(Encoding::UTF_8) };
    };
    let named = declared_name(&head[..close]).and_then(|value| std::str::from_utf8(&head[value]).ok());
    match named.and_then(Encoding::from_label) {
        // The declaration could be read byte by byte, so it is not UTF-16.
        Some(Encoding(Kind::Utf16 { .. })) | None => Some(Encoding::UTF_8),
        named => named,
    }
}

/// Where the value of `encoding` stands in an XML declaration.
pub(crate) fn declared_name(declaration: &[u8]) -> Option<std::ops::Range<usize>> {
    let name = b"encoding";
    let found = memmem::find(declaration, name)? + name.len();
    let skip = |from: usize| declaration[from..].iter().position(|b| !b.is_ascii_whitespace()).map(|n| from + n);
    let equals = skip(found).filter(|&at| declaration[at] == b'=')?;
    let quote = skip(equals + 1)?;
    let start = quote + 1;
    let length = memchr::memchr(*declaration.get(quote).filter(|&&b| b == b'"' || b == b'\'')?, &declaration[start..])?;
    Some(start..start + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(content_type: &str, bytes: &[u8]) -> &'static str {
        detect(Some(content_type.as_bytes()), bytes, true).unwrap().label()
    }

    #[test]
    fn who_decides() {
        let latin_declared = b"<?xml version='1.0' encoding='ISO-8859-1'?><a/>";
        let utf16_declared = b"<?xml version='1.0' encoding=\"UTF-16\"?><a/>";
        for (content_type, bytes, expected) in [
            ("text/xml", &b"<a/>"[..], "UTF-8"),
            ("", b"", "UTF-8"),
            ("text/xml", b"\xef\xbb\xbf<a/>", "UTF-8"),
            ("text/xml; charset=ISO-8859-1", b"\xef\xbb\xbf<a/>", "UTF-8"),
            ("text/xml", b"\xff\xfe<\0", "UTF-16"),
            ("text/xml; charset=utf-8", b"\xfe\xff\0<", "UTF-16"),
            ("text/xml; charset=utf-16", b"<\0a\0", "UTF-16"),
            ("text/xml; charset=utf-16le", b"<\0a\0", "UTF-16LE"),
            ("text/xml", b"\0<\0a", "UTF-16BE"),
            ("text/xml", latin_declared, "ISO-8859-1"),
            ("text/xml; charset=UTF-8", latin_declared, "UTF-8"),
            ("text/xml; charset=latin1", b"<a/>", "ISO-8859-1"),
            ("text/xml; charset=windows-1252", b"<a/>", "windows-1252"),
            ("text/xml; charset=ISO-8859-15", b"<a/>", "ISO-8859-15"),
            ("text/xml", utf16_declared, "UTF-8"),
            ("text/xml; charset=UTF-8", utf16_declared, "UTF-8"),
            ("text/xml; charset=UTF-16", latin_declared, "ISO-8859-1"),
            ("text/xml; charset=klingon", latin_declared, "ISO-8859-1"),
            ("text/xml; charset=gbk", b"<a/>", "UTF-8"),
            ("text/xml; charset=us-ascii", b"<a/>", "UTF-8"),
            ("multipart/related; charset=latin1", b"--x", "UTF-8"),
        ] {
            assert_eq!(label(content_type, bytes), expected, "{content_type} {bytes:?}");
        }
    }

    #[test]
    fn it_waits_only_as_long_as_the_answer_may_change() {
        let document = b"<?xml version='1.0' encoding='ISO-8859-1'?><a/>";
        let decided = document.len() - 4;
        for cut in 0..document.len() {
            let expected = (cut >= decided).then_some(Encoding::ISO_8859_1);
            assert_eq!(detect(None, &document[..cut], false), expected, "{cut}");
        }
        assert_eq!(detect(None, b"<a", false), Some(Encoding::UTF_8));
        assert_eq!(detect(None, b"\xef\xbb", false), None);
        let endless = [b"<?xml ".to_vec(), vec![b' '; MAX_DECLARATION]].concat();
        assert_eq!(detect(None, &endless, false), Some(Encoding::UTF_8));
    }
}
