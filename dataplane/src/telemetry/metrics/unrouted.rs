//! Calls without a route, by consumer: somebody who tries out addresses shows here (rules §4). The number of consumers is
//! bounded; they are known by their certificates, so nobody can fill it with invented names.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The most consumers with a series of their own; the others are counted together.
const MAX_CONSUMERS: usize = 500;
const OTHER: &str = "other";

/// Counts by consumer.
#[derive(Debug, Default)]
pub(super) struct Unrouted(Mutex<BTreeMap<Arc<str>, u64>>);

impl Unrouted {
    /// Counts a call that got VP004.
    pub(super) fn count(&self, consumer: &Arc<str>) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let has_room = counts.len() < MAX_CONSUMERS || counts.contains_key(consumer);
        let series = if has_room { consumer.clone() } else { Arc::from(OTHER) };
        *counts.entry(series).or_default() += 1;
    }

    /// All counts.
    pub(super) fn all(&self) -> Vec<(Arc<str>, u64)> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.iter().map(|(consumer, count)| (consumer.clone(), *count)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consumers_beyond_the_bound_are_counted_together() {
        let unrouted = Unrouted::default();
        for number in 0..MAX_CONSUMERS + 3 {
            unrouted.count(&format!("SE-{number:04}").into());
        }
        unrouted.count(&"SE-0000".into());
        let all = unrouted.all();
        assert_eq!(all.len(), MAX_CONSUMERS + 1);
        assert!(all.contains(&("SE-0000".into(), 2)));
        assert!(all.contains(&(OTHER.into(), 3)));
    }
}
