//! Rewrite (API first).
use crate::{envelope::Envelope, profile::Profile};
use thiserror::Error;
/// VP012.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("no")]
pub struct RewriteError;
/// The new prefix.
pub fn rewrite(_prefix: &[u8], _envelope: &Envelope, _to: Profile) -> Result<Vec<u8>, RewriteError> {
    unimplemented!()
}
