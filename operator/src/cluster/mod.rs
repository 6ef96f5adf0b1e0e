//! Everything that an operator asks of its cluster beside the catalogue itself: who leads, which pods take calls, what the
//! other replicas say, whether a token is good, and where the few things are kept that must outlive a process.

pub mod admission;
mod again;
mod alarms;
mod baseline;
mod certificate;
mod client;
pub mod guard_record;
pub mod identity;
mod lease;
pub mod operator;
mod pace;
mod pods;
mod reports;
mod status_writer;

use kube::Error;

pub(crate) use admission::{Refusals, refusals};
#[cfg(test)]
pub(crate) use client::Labels as RequestLabels;
pub(crate) use client::Requests;
pub(crate) use status_writer::WriteCounts;

/// The field manager under which the operator writes.
const MANAGER: &str = "rivmesh-operator";
/// The longest note of an event, in bytes; Kubernetes' own.
const MAX_NOTE: usize = 1000;

/// One replica of an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    /// The operator's name, the same for all replicas: the prefix of the objects that it uses.
    pub name: String,
    /// The namespace that it runs in.
    pub namespace: String,
    /// Its pod's name.
    pub pod: String,
    /// Its pod's uid; empty outside a pod.
    pub uid: String,
}

impl Replica {
    /// The field manager under which it writes: the same for all replicas, so that none leaves fields behind.
    fn manager(&self) -> String {
        MANAGER.to_owned()
    }
}

/// What a request to the API server came to, in a sentence.
pub fn describe(error: &Error) -> String {
    match error {
        Error::Api(status) => format!("the API server answered {}: {}", status.code, status.message),
        other => {
            let mut innermost: &dyn std::error::Error = other;
            while let Some(source) = innermost.source() {
                innermost = source;
            }
            format!("the API server cannot be reached: {innermost}")
        }
    }
}

/// A text as the note of an event.
fn note(text: &str) -> String {
    let end = (0..=text.len().min(MAX_NOTE)).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
    text[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_is_cut_between_characters() {
        assert_eq!(note("short"), "short");
        let cut = note(&"å".repeat(800));
        assert_eq!((cut.len(), cut.chars().count()), (1000, 500));
        assert!(note(&format!("a{}", "å".repeat(800))).len() <= MAX_NOTE);
    }
}
