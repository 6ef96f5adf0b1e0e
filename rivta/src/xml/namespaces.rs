//! Namespace scopes: which URI a prefix stands for at this point of the document.

use super::references::{Place, decode_into};
use super::{Span, XmlError, XmlProblem};
use crate::limits::MAX_NAMESPACES;

/// The namespaces that mean something to the platform; told apart once, when they are declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    /// No namespace.
    None,
    /// The SOAP 1.1 envelope.
    Soap11,
    /// The SOAP 1.2 envelope.
    Soap12,
    /// The registry namespace of Basic Profile 2.1.
    Registry1,
    /// The registry namespace of older registry contracts.
    Registry2,
    /// WS-Addressing 1.0.
    Addressing,
    /// What the prefix `xml` stands for.
    Xml,
    /// What the prefix `xmlns` stands for.
    Xmlns,
    /// Any other.
    Other,
}

impl Known {
    fn of(uri: &[u8]) -> Self {
        match uri {
            b"" => Self::None,
            b"http://schemas.xmlsoap.org/soap/envelope/" => Self::Soap11,
            b"http://www.w3.org/2003/05/soap-envelope" => Self::Soap12,
            b"urn:riv:itintegration:registry:1" => Self::Registry1,
            b"urn:riv:infrastructure:itintegration:registry:2" => Self::Registry2,
            b"http://www.w3.org/2005/08/addressing" => Self::Addressing,
            b"http://www.w3.org/XML/1998/namespace" => Self::Xml,
            b"http://www.w3.org/2000/xmlns/" => Self::Xmlns,
            _ => Self::Other,
        }
    }
}

/// The namespace of an element or attribute.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Namespace {
    pub(crate) known: Known,
    /// Its URI as it stands in the declaration, undecoded.
    uri: Span,
}

impl Namespace {
    pub(super) const NONE: Self = Self { known: Known::None, uri: Span::new(0, 0) };
    const XML: Self = Self { known: Known::Xml, uri: Span::new(0, 0) };

    /// The URI as the document means it, with references decoded; empty for no namespace.
    pub(crate) fn uri(self, document: &[u8]) -> String {
        decoded(self.uri.of(document))
    }

    /// True if both have the same URI.
    pub(super) fn is(self, other: Self, document: &[u8]) -> bool {
        self.known == other.known
            && (self.known != Known::Other
                || self.uri.of(document) == other.uri.of(document)
                || self.uri(document) == other.uri(document))
    }
}

fn decoded(raw: &[u8]) -> String {
    let mut uri = String::with_capacity(raw.len());
    decode_into(&mut uri, raw, Place::AttributeValue);
    uri
}

/// One declaration in scope.
#[derive(Debug)]
struct Binding {
    /// Its prefix; empty for the default namespace.
    prefix: Span,
    namespace: Namespace,
}

/// The declarations in scope, innermost last.
#[derive(Debug)]
pub(super) struct Scopes(Vec<Binding>);

impl Scopes {
    pub(super) fn with_capacity(declarations: usize) -> Self {
        Self(Vec::with_capacity(declarations))
    }

    /// How many declarations are in scope; [`Scopes::leave`] goes back to this.
    pub(super) const fn mark(&self) -> usize {
        self.0.len()
    }

    /// Leaves the scope of an element that was entered at `mark`.
    pub(super) fn leave(&mut self, mark: usize) {
        self.0.truncate(mark);
    }

    /// Adds a declaration of the element that was entered at `mark`.
    pub(super) fn declare(&mut self, document: &[u8], mark: usize, prefix: Span, uri: Span) -> Result<(), XmlError> {
        let raw = uri.of(document);
        let plain = memchr::memchr2(b'&', b'\n', raw).is_none() && memchr::memchr2(b'\t', b'\r', raw).is_none();
        let known = if plain { Known::of(raw) } else { Known::of(decoded(raw).as_bytes()) };
        let name = prefix.of(document);
        let allowed = match known {
            Known::Xmlns => false,
            Known::Xml => name == b"xml",
            Known::None => name.is_empty(),
            _ => name != b"xml" && name != b"xmlns",
        };
        if !allowed {
            return Err(XmlProblem::NamespaceDeclaration.at(uri.start));
        }
        if self.0[mark..].iter().any(|binding| binding.prefix.of(document) == name) {
            return Err(XmlProblem::DuplicateAttribute.at(uri.start));
        }
        if self.0.len() == MAX_NAMESPACES {
            return Err(XmlProblem::Namespaces.at(uri.start));
        }
        self.0.push(Binding { prefix, namespace: Namespace { known, uri } });
        Ok(())
    }

    /// What an element's prefix stands for; the empty one has a meaning too.
    pub(super) fn of_element(&self, document: &[u8], prefix: Span) -> Result<Namespace, XmlError> {
        let name = prefix.of(document);
        match self.0.iter().rev().find(|binding| binding.prefix.of(document) == name) {
            Some(binding) => Ok(binding.namespace),
            None if name.is_empty() => Ok(Namespace::NONE),
            None if name == b"xml" => Ok(Namespace::XML),
            None => Err(XmlProblem::UndeclaredPrefix.at(prefix.start)),
        }
    }
}
