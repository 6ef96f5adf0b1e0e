//! Transcoder (API first).
use crate::encoding::Encoding;
use thiserror::Error;
/// VP015 in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("no")]
pub struct TranscodeError;
/// Streaming; rewrites the XML declaration's encoding too.
pub struct Transcoder;
impl Transcoder {
    /// From one to another.
    pub fn new(_from: Encoding, _to: Encoding) -> Self {
        Self
    }
    /// Appends to `out`.
    pub fn push(&mut self, _input: &[u8], _end: bool, _out: &mut Vec<u8>) -> Result<(), TranscodeError> {
        unimplemented!()
    }
}
