//! The attributes of one tag, as they stand.

use super::chars::skip_space;
use super::names::Name;
use super::references::check_references;
use super::{Span, XmlError, XmlProblem};
use memchr::memchr;

/// One attribute: where its name and its value (between the quotes) stand in the document.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attribute {
    pub(crate) name: Name,
    pub(crate) value: Span,
}

/// Reads attributes one after the other. Their characters must have been checked.
pub(crate) struct Attributes<'a> {
    document: &'a [u8],
    /// Where to go on.
    at: usize,
    /// Where the inside of the tag ends.
    end: usize,
    /// No value needs a closer look.
    plain: bool,
}

impl<'a> Attributes<'a> {
    /// Reads what stands in `inside` (a tag without its name and brackets).
    pub(crate) const fn new(document: &'a [u8], inside: Span) -> Self {
        Self { document, at: inside.start, end: inside.end, plain: false }
    }

    /// The same, given that there is no `&` and no `<` in it.
    pub(super) const fn plain(document: &'a [u8], inside: Span) -> Self {
        Self { plain: true, ..Self::new(document, inside) }
    }

    fn read(&mut self, name_start: usize) -> Result<Attribute, XmlError> {
        let tag = &self.document[..self.end];
        let malformed = |at| XmlProblem::Markup.at(at);
        let name = Name::read(tag, name_start, self.end)?;
        let equals = skip_space(tag, name.local.end);
        if tag.get(equals) != Some(&b'=') {
            return Err(malformed(equals));
        }
        let open = skip_space(tag, equals + 1);
        let quote = *tag.get(open).filter(|&&b| b == b'"' || b == b'\'').ok_or_else(|| malformed(equals))?;
        let start = open + 1;
        let end = start + memchr(quote, &tag[start..]).ok_or_else(|| malformed(open))?;
        if !self.plain {
            let value = &tag[start..end];
            if let Some(offset) = memchr(b'<', value) {
                return Err(malformed(start + offset));
            }
            check_references(value, start)?;
        }
        self.at = end + 1;
        Ok(Attribute { name, value: Span::new(start, end) })
    }
}

impl Iterator for Attributes<'_> {
    type Item = Result<Attribute, XmlError>;

    fn next(&mut self) -> Option<Self::Item> {
        let start = skip_space(&self.document[..self.end], self.at);
        if start == self.end {
            return None;
        }
        let attribute = if start == self.at { Err(XmlProblem::Markup.at(start)) } else { self.read(start) };
        if attribute.is_err() {
            self.at = self.end;
        }
        Some(attribute)
    }
}
