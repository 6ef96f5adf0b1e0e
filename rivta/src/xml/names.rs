//! Qualified names: a prefix, perhaps, and a local part (Namespaces in XML §4).

use super::chars::{HIGH, NAME, NAME_START, class, is_ncname};
use super::{Span, XmlError, XmlProblem};

/// Where the parts of a name stand.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Name {
    /// Without its colon; empty if there is none.
    pub(crate) prefix: Span,
    pub(crate) local: Span,
}

impl Name {
    /// Reads the name that begins at `from` and ends before `end`, at the first byte that cannot be part of it. The
    /// characters in between must have been checked.
    pub(crate) fn read(document: &[u8], from: usize, end: usize) -> Result<Self, XmlError> {
        let mut name = Self { prefix: Span::new(from, from), local: Span::new(from, end) };
        let mut classes = 0;
        for (at, &byte) in (from..end).zip(&document[from..end]) {
            classes |= class(byte);
            if class(byte) & NAME != 0 {
                continue;
            }
            if byte != b':' || name.local.start > from {
                name.local.end = at;
                break;
            }
            name.prefix.end = at;
            name.local.start = at + 1;
        }
        let has_prefix = name.local.start > from;
        let begins = |part: Span| part.of(document).first().is_some_and(|&byte| class(byte) & NAME_START != 0);
        let ascii = classes & HIGH == 0;
        let is_name = |part: Span| begins(part) && (ascii || is_ncname(part.of(document)));
        if is_name(name.local) && (!has_prefix || is_name(name.prefix)) {
            Ok(name)
        } else {
            Err(XmlProblem::Name.at(from))
        }
    }

    /// The whole name as it is written.
    pub(crate) const fn span(self) -> Span {
        Span::new(self.prefix.start, self.local.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> Option<(&str, &str)> {
        let name = Name::read(text.as_bytes(), 0, text.len()).ok()?;
        Some((&text[name.prefix.start..name.prefix.end], &text[name.local.start..name.local.end]))
    }

    #[test]
    fn names_end_where_they_must() {
        for (text, prefix, local) in [
            ("a", "", "a"),
            ("a:b", "a", "b"),
            ("_x-1.y:z2 rest", "_x-1.y", "z2"),
            ("a='b:c'", "", "a"),
            ("å:ä/", "å", "ä"),
            ("a:b:c", "a", "b"),
        ] {
            assert_eq!(parts(text), Some((prefix, local)), "{text}");
        }
        for other in ["", ":a", "a:", "1a", "a:1", "-a", " a", "a: b", "\u{b7}a", "a\u{d7}", "a:\u{b7}"] {
            assert_eq!(parts(other), None, "{other}");
        }
    }
}
