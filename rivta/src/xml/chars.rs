//! Which bytes are XML characters, white space and names (XML 1.0 §2.2, §2.3).

use super::{XmlError, XmlProblem};

/// Bits of [`CLASSES`]: not ASCII.
pub(super) const HIGH: u8 = 1;
/// A control character that XML does not allow.
const CONTROL: u8 = 1 << 1;
/// `&`
pub(super) const AMPERSAND: u8 = 1 << 2;
/// `<`
pub(super) const LESS_THAN: u8 = 1 << 3;
/// `>`
pub(super) const GREATER_THAN: u8 = 1 << 4;
/// May begin a name; of bytes that are not ASCII, more must be known.
pub(super) const NAME_START: u8 = 1 << 5;
/// May stand in a name, but for the colon; likewise.
pub(super) const NAME: u8 = 1 << 6;

/// What a byte may mean to the tokenizer.
pub(super) const CLASSES: [u8; 256] = {
    let mut classes = [HIGH | NAME_START | NAME; 256];
    let mut byte = 0;
    while byte < 0x80 {
        let c = byte as u8 as char;
        classes[byte] = match c {
            '&' => AMPERSAND,
            '<' => LESS_THAN,
            '>' => GREATER_THAN,
            c if is_name_start(c) => NAME_START | NAME,
            c if is_name_character(c) => NAME,
            c if is_character(c) => 0,
            _ => CONTROL,
        };
        byte += 1;
    }
    classes
};

/// The classes of one byte.
pub(super) const fn class(byte: u8) -> u8 {
    CLASSES[byte as usize]
}

/// White space of the XML grammar.
pub(super) const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Position of the first byte at or after `from` that is not white space, or the length.
pub(super) fn skip_space(bytes: &[u8], from: usize) -> usize {
    bytes[from..].iter().position(|&b| !is_space(b)).map_or(bytes.len(), |offset| from + offset)
}

/// The classes of markup and of what is not allowed that `bytes` have together. Compared and not looked up, since that is
/// done for many bytes at a time.
fn markup(bytes: &[u8]) -> u8 {
    let is = |byte: u8, other: u8, class: u8| if byte == other { class } else { 0 };
    bytes.iter().fold(0, |classes, &byte| {
        let is_control = (byte < b' ') & (byte != b'\t') & (byte != b'\n') & (byte != b'\r');
        let high_or_control = if byte >= 0x80 { HIGH } else { 0 } | if is_control { CONTROL } else { 0 };
        classes | high_or_control | is(byte, b'&', AMPERSAND) | is(byte, b'<', LESS_THAN) | is(byte, b'>', GREATER_THAN)
    })
}

/// Checks that `bytes` are UTF-8 and XML characters, and returns which of [`AMPERSAND`], [`LESS_THAN`], [`GREATER_THAN`]
/// and [`HIGH`] are among them. `at` is where they stand.
pub(super) fn check_characters(bytes: &[u8], at: usize) -> Result<u8, XmlError> {
    let classes = markup(bytes);
    if classes & (HIGH | CONTROL) == 0 {
        return Ok(classes);
    }
    if let Some(offset) = bytes.iter().position(|&b| class(b) & CONTROL != 0) {
        return Err(XmlProblem::Character.at(at + offset));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| XmlProblem::Encoding.at(at + error.valid_up_to()))?;
    match text.char_indices().find(|&(_, c)| !is_character(c)) {
        Some((offset, _)) => Err(XmlProblem::Character.at(at + offset)),
        None => Ok(classes),
    }
}

/// XML 1.0 `Char`.
pub(super) const fn is_character(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// True for a name without a colon. The bytes must have passed [`check_characters`].
pub(super) fn is_ncname(name: &[u8]) -> bool {
    let mut chars = std::str::from_utf8(name).unwrap_or_default().chars();
    chars.next().is_some_and(is_name_start) && chars.all(is_name_character)
}

/// `NameStartChar` without the colon.
const fn is_name_start(c: char) -> bool {
    matches!(c,
        'A'..='Z' | '_' | 'a'..='z' | '\u{c0}'..='\u{d6}' | '\u{d8}'..='\u{f6}' | '\u{f8}'..='\u{2ff}'
        | '\u{370}'..='\u{37d}' | '\u{37f}'..='\u{1fff}' | '\u{200c}'..='\u{200d}' | '\u{2070}'..='\u{218f}'
        | '\u{2c00}'..='\u{2fef}' | '\u{3001}'..='\u{d7ff}' | '\u{f900}'..='\u{fdcf}' | '\u{fdf0}'..='\u{fffd}'
        | '\u{10000}'..='\u{effff}')
}

/// `NameChar` without the colon.
const fn is_name_character(c: char) -> bool {
    is_name_start(c) || matches!(c, '-' | '.' | '0'..='9' | '\u{b7}' | '\u{300}'..='\u{36f}' | '\u{203f}'..='\u{2040}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters() {
        assert_eq!(check_characters("blåbär\t\r\n\u{10ffff}".as_bytes(), 0), Ok(HIGH));
        assert_eq!(check_characters(b" &", 0), Ok(AMPERSAND));
        assert_eq!(check_characters(b"<>", 0), Ok(LESS_THAN | GREATER_THAN));
        assert_eq!(check_characters(b"'1-", 0), Ok(0));
        for byte in 0..=u8::MAX {
            let seen = HIGH | CONTROL | AMPERSAND | LESS_THAN | GREATER_THAN;
            assert_eq!(markup(&[b' ', byte]), class(byte) & seen, "{byte}");
        }
        for (bytes, at, problem) in [
            (&b"ab\x00"[..], 12, XmlProblem::Character),
            (b"\x1b", 10, XmlProblem::Character),
            ("å\u{ffff}".as_bytes(), 12, XmlProblem::Character),
            (b"abc\xe5", 13, XmlProblem::Encoding),
            (b"\xed\xa0\x80", 10, XmlProblem::Encoding),
            (b"\xc0\x80", 10, XmlProblem::Encoding),
        ] {
            assert_eq!(check_characters(bytes, 10), Err(problem.at(at)), "{bytes:?}");
        }
    }

    #[test]
    fn names() {
        for name in ["a", "_", "A-1.x", "hälso", "å"] {
            assert!(is_ncname(name.as_bytes()), "{name}");
        }
        for other in ["", "1a", "-a", ".", "a:b", "a b", "a&", "\u{b7}a", "a\u{d7}"] {
            assert!(!is_ncname(other.as_bytes()), "{other}");
        }
    }
}
