//! Readiness by name: each part of the platform that must be there first holds a [`Blocker`], and the probe tells which
//! are left. A pod that does not become ready says what it waits for.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Blocker until the listeners are bound.
pub const LISTENERS: &str = "listeners";
/// Blocker until certificates, keys, trust and CRLs are loaded.
pub const IDENTITY: &str = "identity";
/// Blocker until a routing table may be used.
pub const TABLE: &str = "table";

/// Whether the process is ready for calls, and if not, why. Clones share the state.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// By a running number, so that two blockers may have one name.
    blockers: BTreeMap<u64, (&'static str, String)>,
    next: u64,
    draining: bool,
}

/// What readiness waits for, at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Name and reason of each blocker, in the order in which they came; the reason may be empty.
    pub blockers: Vec<(&'static str, String)>,
    /// Whether the process was told to stop.
    pub draining: bool,
}

/// Keeps the process from being ready until it is dropped.
#[derive(Debug)]
#[must_use = "readiness waits only for as long as this lives"]
pub struct Blocker {
    readiness: Readiness,
    number: u64,
}

impl Readiness {
    /// Ready, until something blocks.
    pub fn new() -> Self {
        Self::default()
    }

    /// Blocks readiness under `name` until the returned guard is dropped.
    pub fn block(&self, name: &'static str) -> Blocker {
        let mut state = self.state();
        let number = state.next;
        state.next += 1;
        state.blockers.insert(number, (name, String::new()));
        Blocker { readiness: self.clone(), number }
    }

    /// Not ready any more, for good: the process is stopping.
    pub fn drain(&self) {
        self.state().draining = true;
    }

    /// Whether the process is ready.
    pub fn is_ready(&self) -> bool {
        self.report().is_ready()
    }

    /// What is left to wait for.
    pub fn report(&self) -> Report {
        let state = self.state();
        Report { blockers: state.blockers.values().cloned().collect(), draining: state.draining }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Report {
    /// Whether there is nothing to wait for.
    pub fn is_ready(&self) -> bool {
        self.blockers.is_empty() && !self.draining
    }

    /// Each thing that is waited for as a line for people: `table: no control plane has answered yet`.
    pub fn lines(&self) -> Vec<String> {
        let line = |(name, reason): &(&str, String)| match reason.as_str() {
            "" => (*name).to_owned(),
            reason => format!("{name}: {reason}"),
        };
        let stopping = self.draining.then(|| "draining: the process is stopping".to_owned());
        self.blockers.iter().map(line).chain(stopping).collect()
    }
}

impl Blocker {
    /// Says why; shown beside the name.
    pub fn because(&self, reason: impl Into<String>) {
        if let Some(blocker) = self.readiness.state().blockers.get_mut(&self.number) {
            blocker.1 = reason.into();
        }
    }
}

impl Drop for Blocker {
    fn drop(&mut self) {
        self.readiness.state().blockers.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_when_the_last_blocker_is_gone() {
        let readiness = Readiness::new();
        let listeners = readiness.block(LISTENERS);
        let table = readiness.block(TABLE);
        table.because("no control plane has answered yet");
        assert!(!readiness.is_ready());
        assert_eq!(readiness.report().lines(), ["listeners", "table: no control plane has answered yet"]);
        drop(listeners);
        assert_eq!(readiness.report().lines(), ["table: no control plane has answered yet"]);
        drop(table);
        assert!(readiness.is_ready());
        assert!(readiness.report().lines().is_empty());
    }

    #[test]
    fn two_of_one_name_block_until_both_are_gone() {
        let readiness = Readiness::new();
        let (one, other) = (readiness.block(IDENTITY), readiness.block(IDENTITY));
        drop(one);
        assert!(!readiness.is_ready());
        drop(other);
        assert!(readiness.is_ready());
    }

    #[test]
    fn draining_is_for_good() {
        let readiness = Readiness::new();
        readiness.drain();
        drop(readiness.block(TABLE));
        assert!(!readiness.is_ready());
        assert_eq!(readiness.report().lines(), ["draining: the process is stopping"]);
    }
}
