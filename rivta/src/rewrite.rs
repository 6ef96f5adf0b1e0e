//! The rewrite between the profiles, for a route whose producer speaks the other one (20 <-> 21).
//!
//! Only the address element changes, with its own namespace declaration; every other byte goes on as it came, so that
//! signatures, CDATA and other headers survive.

use crate::envelope::{AddressElement, Envelope};
use crate::profile::Profile;
use crate::xml::{Attribute, Attributes, Name, Span};
use thiserror::Error;

/// Why a request cannot be rewritten: VP012.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RewriteError {
    /// There is no address element.
    #[error("there is no address element to rewrite")]
    NoAddress,
    /// Both profiles' elements are there; a second element of the producer's kind would make the message ambiguous.
    #[error("the SOAP header holds both To and LogicalAddress: send only the one of the profile that is used")]
    BothAddresses,
    /// The prefix is not the one in which the envelope was found: a mistake of the caller of this function.
    #[error("the address element is not in this prefix")]
    OtherPrefix,
}

/// The prefix with its address element changed to that of the profile `to`.
///
/// `prefix` must begin with the bytes in which `envelope` was found; what follows them is copied. The element keeps its
/// prefix, unless attributes of the element use that prefix too: then the element takes the default namespace, so that
/// they keep their meaning.
///
/// # Errors
/// [`RewriteError`] as its variants say.
pub fn rewrite(prefix: &[u8], envelope: &Envelope, to: Profile) -> Result<Vec<u8>, RewriteError> {
    let AddressElement { start_tag, end_tag, beside_other } = envelope.element.ok_or(RewriteError::NoAddress)?;
    if envelope.profile == Some(to) {
        return Ok(prefix.to_vec());
    }
    if beside_other {
        return Err(RewriteError::BothAddresses);
    }
    let last = end_tag.unwrap_or(start_tag);
    if !is_tag(prefix, start_tag) || !is_tag(prefix, last) {
        return Err(RewriteError::OtherPrefix);
    }

    let tag = Tag::read(prefix, start_tag)?;
    let mut out = Vec::with_capacity(prefix.len() + 128);
    out.extend_from_slice(&prefix[..start_tag.start]);
    tag.write_start(&mut out, prefix, to);
    if let Some(end_tag) = end_tag {
        out.extend_from_slice(&prefix[start_tag.end..end_tag.start]);
        out.extend_from_slice(b"</");
        tag.write_name(&mut out, to);
        out.push(b'>');
    }
    out.extend_from_slice(&prefix[last.end..]);
    Ok(out)
}

fn is_tag(prefix: &[u8], span: Span) -> bool {
    prefix.get(span.start..span.end).is_some_and(|tag| tag.starts_with(b"<") && tag.ends_with(b">"))
}

/// What must be known of the address element's start tag to write it anew.
struct Tag<'a> {
    /// The namespace prefix of the new element, empty if it is to have none.
    namespace_prefix: &'a [u8],
    /// What stands between the name and the end of the tag.
    rest: Span,
    end: usize,
    /// The value of the element's own declaration of that prefix.
    declared: Option<Span>,
}

impl<'a> Tag<'a> {
    fn read(prefix: &'a [u8], tag: Span) -> Result<Self, RewriteError> {
        let empty = prefix[..tag.end].ends_with(b"/>");
        let inside = Span::new(tag.start + 1, tag.end - if empty { 2 } else { 1 });
        let name = Name::read(prefix, inside.start, inside.end).map_err(|_| RewriteError::OtherPrefix)?;
        let rest = Span::new(name.local.end, inside.end);
        let written = name.prefix.of(prefix);

        let attributes: Vec<Attribute> =
            Attributes::new(prefix, rest).collect::<Result<_, _>>().map_err(|_| RewriteError::OtherPrefix)?;
        let is_used = |attribute: &Attribute| {
            is_prefixed(attribute.name.span().of(prefix), written) || is_prefixed(attribute.value.of(prefix), written)
        };
        let namespace_prefix = if attributes.iter().any(is_used) { &written[..0] } else { written };
        let declares = |attribute: &&Attribute| match attribute.name.span().of(prefix).strip_prefix(b"xmlns") {
            Some([]) => namespace_prefix.is_empty(),
            Some([b':', declared @ ..]) => !namespace_prefix.is_empty() && declared == namespace_prefix,
            _ => false,
        };
        let declared = attributes.iter().find(declares).map(|attribute| attribute.value);
        Ok(Self { namespace_prefix, rest, end: tag.end, declared })
    }

    fn write_name(&self, out: &mut Vec<u8>, to: Profile) {
        if !self.namespace_prefix.is_empty() {
            out.extend_from_slice(self.namespace_prefix);
            out.push(b':');
        }
        out.extend_from_slice(to.address_element().as_bytes());
    }

    fn write_start(&self, out: &mut Vec<u8>, prefix: &[u8], to: Profile) {
        let namespace = to.address_namespace().as_bytes();
        out.push(b'<');
        self.write_name(out, to);
        if let Some(value) = self.declared {
            out.extend_from_slice(&prefix[self.rest.start..value.start]);
            out.extend_from_slice(namespace);
            out.extend_from_slice(&prefix[value.end..self.end]);
            return;
        }
        out.extend_from_slice(b" xmlns");
        if !self.namespace_prefix.is_empty() {
            out.push(b':');
            out.extend_from_slice(self.namespace_prefix);
        }
        out.extend_from_slice(b"=\"");
        out.extend_from_slice(namespace);
        out.push(b'"');
        out.extend_from_slice(&prefix[self.rest.start..self.end]);
    }
}

/// True for `prefix:anything`, an attribute's name or a qualified name in its value (as of `xsi:type`).
fn is_prefixed(text: &[u8], prefix: &[u8]) -> bool {
    !prefix.is_empty() && text.strip_prefix(prefix).is_some_and(|rest| rest.starts_with(b":"))
}
