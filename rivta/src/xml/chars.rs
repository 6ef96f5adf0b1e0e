//! Which bytes are XML characters, white space and names (XML 1.0 §2.2, §2.3).

use super::{XmlError, XmlProblem};

/// White space of the XML grammar.
pub(super) const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Position of the first byte at or after `from` that is not white space, or the length.
pub(super) fn skip_space(bytes: &[u8], from: usize) -> usize {
    bytes[from..].iter().position(|&b| !is_space(b)).map_or(bytes.len(), |offset| from + offset)
}

/// Which bytes that may need a closer look stand in a stretch of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Specials {
    pub(super) ampersand: bool,
    pub(super) less_than: bool,
    pub(super) greater_than: bool,
}

/// Checks that `bytes` are UTF-8 and XML characters, and tells what else is in them. `at` is where they stand.
pub(super) fn check_characters(bytes: &[u8], at: usize) -> Result<Specials, XmlError> {
    // One branch-free pass, which the compiler turns into vector instructions, settles the common case.
    let (mut high, mut control, mut ampersand, mut less_than, mut greater_than) = (0, false, false, false, false);
    for &byte in bytes {
        high |= byte;
        control |= (byte < b' ') & (byte != b'\t') & (byte != b'\n') & (byte != b'\r');
        ampersand |= byte == b'&';
        less_than |= byte == b'<';
        greater_than |= byte == b'>';
    }
    if high >= 0x80 || control {
        find_wrong_character(bytes, at)?;
    }
    Ok(Specials { ampersand, less_than, greater_than })
}

fn find_wrong_character(bytes: &[u8], at: usize) -> Result<(), XmlError> {
    if let Some(offset) = bytes.iter().position(|&b| b < b' ' && !is_space(b)) {
        return Err(XmlProblem::Character.at(at + offset));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| XmlProblem::Encoding.at(at + error.valid_up_to()))?;
    match text.char_indices().find(|&(_, c)| !is_character(c)) {
        Some((offset, _)) => Err(XmlProblem::Character.at(at + offset)),
        None => Ok(()),
    }
}

/// XML 1.0 `Char`.
pub(super) const fn is_character(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// Bits of [`NAME_BYTES`].
const NAME_START: u8 = 1;
const NAME_CHARACTER: u8 = 2;

/// What an ASCII byte may be in a name without a colon.
const NAME_BYTES: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 0x80 {
        let c = byte as u8 as char;
        table[byte] = if is_name_start(c) {
            NAME_START | NAME_CHARACTER
        } else if is_name_character(c) {
            NAME_CHARACTER
        } else {
            0
        };
        byte += 1;
    }
    table
};

/// True for a name without a colon. The bytes must have passed [`check_characters`].
pub(super) fn is_ncname(name: &[u8]) -> bool {
    let Some(&first) = name.first() else { return false };
    let all = name.iter().fold(NAME_CHARACTER, |all, &byte| all & NAME_BYTES[usize::from(byte)]);
    if all & NAME_BYTES[usize::from(first)] != 0 || name.is_ascii() {
        return all != 0 && NAME_BYTES[usize::from(first)] & NAME_START != 0;
    }
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
        let none = Specials { ampersand: false, less_than: false, greater_than: false };
        assert_eq!(check_characters("blåbär\t\r\n\u{10ffff}".as_bytes(), 0), Ok(none));
        assert_eq!(check_characters(b"a&b", 0), Ok(Specials { ampersand: true, ..none }));
        assert_eq!(check_characters(b"<b", 0), Ok(Specials { less_than: true, ..none }));
        assert_eq!(check_characters("å>".as_bytes(), 0), Ok(Specials { greater_than: true, ..none }));
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
