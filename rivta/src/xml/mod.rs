//! A small XML reader for message heads: bounded, resumable and strict.
//!
//! The platform reads a message only as far as it must, while it is still arriving, and forwards the bytes untouched. A
//! general parser would want to own the input, allocate per element, or resolve what must never be resolved (DTDs). This
//! one is a tokenizer over the bytes received so far with namespace scopes on a small stack; everything that it accepts
//! is well-formed XML 1.0 with namespaces, so that a producer's parser cannot read the head differently.

mod attributes;
mod chars;
mod error;
mod names;
mod namespaces;
mod references;
mod tokenizer;

pub(crate) use attributes::{Attribute, Attributes};
pub(crate) use error::{XmlError, XmlProblem};
pub(crate) use names::Name;
pub(crate) use namespaces::{Known, Namespace};
pub(crate) use references::{Place, decode_into};
pub(crate) use tokenizer::{Token, Tokenizer};

/// A range of the prefix that is small enough to copy about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    /// First byte.
    pub(crate) start: usize,
    /// One past the last byte.
    pub(crate) end: usize,
}

impl Span {
    pub(crate) const fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }

    /// The bytes. The prefix only ever grows, so a span that was made from it stays inside it.
    pub(crate) fn of(self, prefix: &[u8]) -> &[u8] {
        &prefix[self.start..self.end]
    }
}
