//! Multipart (API first).
use std::ops::Range;
use thiserror::Error;
/// VP015.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("no")]
pub struct MultipartError;
/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootStep {
    /// The root part's body has not begun yet.
    NeedMore,
    /// `prefix[body]` belongs to the root part's body; `complete`: it ends there. Ask again with more bytes if not.
    Found {
        /// Range in the prefix.
        body: Range<usize>,
        /// The part ends at `body.end`.
        complete: bool,
    },
}
/// Finds the root part of a `multipart/related` message.
#[derive(Debug)]
pub struct RootFinder;
impl RootFinder {
    /// `Ok(None)` if the content type is not multipart/related.
    pub fn for_content_type(_content_type: &[u8]) -> Result<Option<Self>, MultipartError> {
        unimplemented!()
    }
    /// Give the whole prefix so far.
    pub fn advance(&mut self, _prefix: &[u8], _end: bool) -> Result<RootStep, MultipartError> {
        unimplemented!()
    }
}
