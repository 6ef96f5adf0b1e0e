//! The peek (API first; the scanner follows).
use crate::profile::Profile;
use thiserror::Error;
/// The logical address of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The text as it stands, white space and all; never blank.
    pub text: String,
    /// White space stands before or after it: VP004.
    pub has_outer_whitespace: bool,
}
/// What the head of a message tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// `None`: missing or blank, VP003.
    pub address: Option<Address>,
    /// `None`: no address element.
    pub profile: Option<Profile>,
    /// Namespace of the Body's first child; `Some("")` if it has none, `None` if there is no such child.
    pub contract: Option<String>,
}
/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// More bytes are needed.
    NeedMore,
    /// The answer.
    Found(Envelope),
}
/// Why a request cannot be read: VP015.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not readable")]
pub struct EnvelopeError;
/// Scanner.
#[derive(Debug, Default)]
pub struct Scanner;
impl Scanner {
    /// New.
    pub fn new() -> Self {
        Self
    }
    /// Give the whole prefix so far.
    pub fn advance(&mut self, _prefix: &[u8], _end: bool) -> Result<Step, EnvelopeError> {
        unimplemented!()
    }
}
