//! How far a source has been read. Replicas of an operator never talk to each other; by these numbers one can tell from
//! what another writes down whether it knows a change too.
//!
//! A Kubernetes source is several streams (a kind, or a kind in a namespace), and the resource versions of one stream
//! can be compared as numbers (KEP-5504); those of two streams are not compared here.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// For each stream of a source, the version up to which everything in it is known. Empty where there is one process
/// only, whose own count of tables says the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Versions(BTreeMap<String, u64>);

impl Versions {
    /// The stream is known up to this version; versions never go back.
    pub fn raise(&mut self, stream: &str, version: u64) {
        match self.0.get_mut(stream) {
            Some(known) => *known = version.max(*known),
            None => drop(self.0.insert(stream.to_owned(), version)),
        }
    }

    /// Everything that `other` knows is known.
    pub fn raise_all(&mut self, other: &Self) {
        for (stream, version) in &other.0 {
            self.raise(stream, *version);
        }
    }

    /// Whether somebody who has read this far knows all of `needed`.
    pub fn covers(&self, needed: &Self) -> bool {
        needed.0.iter().all(|(stream, version)| self.0.get(stream).is_some_and(|known| known >= version))
    }

    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<const N: usize> From<[(&str, u64); N]> for Versions {
    fn from(versions: [(&str, u64); N]) -> Self {
        Self(versions.into_iter().map(|(stream, version)| (stream.to_owned(), version)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_streams_must_be_read_far_enough() {
        let known = Versions::from([("a", 5), ("b", 7)]);
        for (needed, is_covered) in [
            (Versions::default(), true),
            (Versions::from([("a", 5)]), true),
            (Versions::from([("a", 5), ("b", 7)]), true),
            (Versions::from([("a", 6)]), false),
            (Versions::from([("a", 1), ("b", 8)]), false),
            (Versions::from([("c", 0)]), false),
        ] {
            assert_eq!(known.covers(&needed), is_covered, "{needed:?}");
        }
    }

    #[test]
    fn versions_never_go_back() {
        let mut known = Versions::from([("a", 5)]);
        known.raise("a", 3);
        known.raise_all(&Versions::from([("a", 4), ("b", 1)]));
        assert_eq!(known, Versions::from([("a", 5), ("b", 1)]));
    }
}
