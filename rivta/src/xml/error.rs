//! What can be wrong with XML, and where.

use crate::limits::{MAX_ATTRIBUTES, MAX_DEPTH, MAX_NAMESPACES};
use thiserror::Error;

/// The message is not XML that the platform reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{problem} (byte {at})")]
pub struct XmlError {
    /// Offset of the trouble from the beginning of the document, in bytes of its UTF-8 form.
    pub at: usize,
    /// What is wrong.
    pub problem: XmlProblem,
}

impl XmlProblem {
    pub(crate) const fn at(self, at: usize) -> XmlError {
        XmlError { at, problem: self }
    }
}

/// What is wrong with the XML.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum XmlProblem {
    /// Nothing but white space.
    #[error("the message is empty: send a SOAP envelope")]
    Empty,
    /// Text where a document has to begin, or after its end.
    #[error("the message is not XML: a SOAP envelope begins with '<'")]
    NotXml,
    /// The message ended in the middle.
    #[error("the message ends before its envelope does")]
    Truncated,
    /// A document type declaration, which SOAP forbids and which is how entity attacks begin.
    #[error("the message has a DOCTYPE, which SOAP does not allow: remove it")]
    Doctype,
    /// Bytes that are not UTF-8.
    #[error("bytes that are not valid in the message's encoding: check its charset parameter and XML declaration")]
    Encoding,
    /// A character that XML does not allow, as it is or as a character reference.
    #[error("a character that XML does not allow")]
    Character,
    /// `&` that begins neither a character reference nor one of the five predefined entities.
    #[error(
        "a reference to an undefined entity: only &lt; &gt; &amp; &apos; &quot; and character references may be used"
    )]
    Reference,
    /// A name that is not one.
    #[error("a name that XML does not allow")]
    Name,
    /// A tag, comment or processing instruction that is not written as XML demands.
    #[error("markup that is not well-formed XML")]
    Markup,
    /// The same attribute twice.
    #[error("an attribute that stands twice in one tag")]
    DuplicateAttribute,
    /// A prefix without a declaration in scope.
    #[error("a namespace prefix that is not declared")]
    UndeclaredPrefix,
    /// A namespace declaration that the namespaces recommendation forbids.
    #[error("a namespace declaration that is not allowed")]
    NamespaceDeclaration,
    /// An end tag that does not match.
    #[error("an end tag that does not match its start tag")]
    EndTag,
    /// Nested too deeply.
    #[error("elements nested deeper than {MAX_DEPTH} levels before the body's content")]
    Depth,
    /// Too many declarations in scope.
    #[error("more than {MAX_NAMESPACES} namespace declarations in scope")]
    Namespaces,
    /// Too many attributes.
    #[error("more than {MAX_ATTRIBUTES} attributes in one tag")]
    Attributes,
}
