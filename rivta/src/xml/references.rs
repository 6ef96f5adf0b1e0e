//! Character references and the five predefined entities; no others exist without a DTD.

use super::chars::is_character;
use super::{XmlError, XmlProblem};
use memchr::{memchr, memchr_iter, memchr3};

/// Where text stands, which decides how its white space reads (XML 1.0 §2.11, §3.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Between tags: line ends read as line feeds.
    Content,
    /// In a CDATA section: as content, but `&` is itself.
    CData,
    /// In an attribute's value: white space reads as spaces.
    AttributeValue,
}

/// Checks every reference in `bytes`, which stand at `at` in the document.
pub(super) fn check_references(bytes: &[u8], at: usize) -> Result<(), XmlError> {
    for ampersand in memchr_iter(b'&', bytes) {
        if reference(&bytes[ampersand + 1..]).is_none() {
            return Err(XmlProblem::Reference.at(at + ampersand));
        }
    }
    Ok(())
}

/// The character that a reference stands for and the bytes it takes, given what follows its `&`.
fn reference(after: &[u8]) -> Option<(char, usize)> {
    // The longest useful reference, &#x10FFFF;, has a name of 8 bytes; leading zeros may stretch it.
    let end = memchr(b';', &after[..after.len().min(32)])?;
    let character = match &after[..end] {
        b"lt" => '<',
        b"gt" => '>',
        b"amp" => '&',
        b"apos" => '\'',
        b"quot" => '"',
        [b'#', b'x', digits @ ..] => code_point(digits, 16)?,
        [b'#', digits @ ..] => code_point(digits, 10)?,
        _ => return None,
    };
    Some((character, end + 1))
}

fn code_point(digits: &[u8], radix: u32) -> Option<char> {
    if digits.is_empty() {
        return None;
    }
    let value = digits
        .iter()
        .try_fold(0u32, |value, &digit| value.checked_mul(radix)?.checked_add(char::from(digit).to_digit(radix)?))?;
    char::from_u32(value).filter(|&c| is_character(c))
}

/// Appends the text that `raw` stands for. `raw` must have been accepted by the tokenizer.
pub(crate) fn decode_into(out: &mut String, raw: &[u8], place: Place) {
    let mut rest = raw;
    while let Some(special) = next_special(rest, place) {
        push_utf8(out, &rest[..special]);
        let after = &rest[special + 1..];
        let (character, consumed) = match rest[special] {
            b'&' => reference(after).unwrap_or((char::REPLACEMENT_CHARACTER, 0)),
            b'\r' => (if place == Place::AttributeValue { ' ' } else { '\n' }, usize::from(after.starts_with(b"\n"))),
            _ => (' ', 0),
        };
        out.push(character);
        rest = &after[consumed..];
    }
    push_utf8(out, rest);
}

/// Position of the next byte that does not stand for itself.
fn next_special(bytes: &[u8], place: Place) -> Option<usize> {
    match place {
        Place::Content => memchr::memchr2(b'&', b'\r', bytes),
        Place::CData => memchr(b'\r', bytes),
        Place::AttributeValue => [memchr3(b'\t', b'\n', b'\r', bytes), memchr(b'&', bytes)].into_iter().flatten().min(),
    }
}

fn push_utf8(out: &mut String, bytes: &[u8]) {
    // The tokenizer has checked the bytes; should a caller ever mix up prefixes, a wrong address must not come of it.
    out.push_str(std::str::from_utf8(bytes).unwrap_or("\u{fffd}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(raw: &str, place: Place) -> String {
        let mut out = String::new();
        decode_into(&mut out, raw.as_bytes(), place);
        out
    }

    #[test]
    fn text_reads_as_xml_says() {
        for (raw, content, cdata, attribute) in [
            ("a", "a", "a", "a"),
            ("&#65;&#x42;&amp;&lt;", "AB&<", "&#65;&#x42;&amp;&lt;", "AB&<"),
            ("a\r\nb\rc\nd\te", "a\nb\nc\nd\te", "a\nb\nc\nd\te", "a b c d e"),
            ("&#13;&#10;", "\r\n", "&#13;&#10;", "\r\n"),
            ("å&#229;", "åå", "å&#229;", "åå"),
            ("&amp;lt;", "&lt;", "&amp;lt;", "&lt;"),
        ] {
            assert_eq!(decoded(raw, Place::Content), content);
            assert_eq!(decoded(raw, Place::CData), cdata);
            assert_eq!(decoded(raw, Place::AttributeValue), attribute);
        }
    }

    #[test]
    fn only_the_predefined_entities_and_real_characters() {
        for good in ["&lt;&gt;&amp;&apos;&quot;", "&#x10FFFF;", "&#0000000065;", "&#9;"] {
            assert_eq!(check_references(good.as_bytes(), 0), Ok(()), "{good}");
        }
        for bad in [
            "&",
            "&;",
            "&nbsp;",
            "&LT;",
            "&#;",
            "&#x;",
            "&#0;",
            "&#x1;",
            "&#xD800;",
            "&#x110000;",
            "&#99999999999;",
            "&#+65;",
            "&#xfffe;",
            "& amp;",
            "&amp",
        ] {
            assert_eq!(check_references(bad.as_bytes(), 7), Err(XmlProblem::Reference.at(7)), "{bad}");
        }
    }
}
