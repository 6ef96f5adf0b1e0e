//! Notices a consumer that tries out what it can reach: many different addresses or contracts without a route (VP004) or
//! without the right to call (VP007). The same mistake repeated is no probing.

use rivmesh_rivta::VpCode;
use std::collections::hash_map::DefaultHasher;
use std::collections::{HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// For how long attempts are remembered.
const WINDOW: Duration = Duration::from_secs(300);
/// So many different ones in a window are an alert; one per consumer and window.
const DIFFERENT: usize = 20;
/// Consumers that are watched per window.
const MAX_CONSUMERS: usize = 10_000;

/// What consumers tried in vain in the running window.
#[derive(Debug)]
pub(super) struct Watch {
    began: Instant,
    attempts: HashMap<Arc<str>, HashSet<u64>>,
}

impl Watch {
    pub(super) fn new(now: Instant) -> Self {
        Self { began: now, attempts: HashMap::new() }
    }

    /// Takes note of a call that ended with `code`. Returns how many different ones the consumer has tried when that has
    /// just become an alert.
    pub(super) fn note(
        &mut self,
        code: VpCode,
        consumer: &Arc<str>,
        contract: &str,
        address: &str,
        now: Instant,
    ) -> Option<usize> {
        if !matches!(code, VpCode::Vp004 | VpCode::Vp007) || consumer.is_empty() {
            return None;
        }
        if now.saturating_duration_since(self.began) >= WINDOW {
            *self = Self::new(now);
        }
        if self.attempts.len() >= MAX_CONSUMERS && !self.attempts.contains_key(consumer) {
            return None;
        }
        let tried = self.attempts.entry(consumer.clone()).or_default();
        let before = tried.len();
        if before < DIFFERENT {
            tried.insert(fingerprint(contract, address));
        }
        (before + 1 == DIFFERENT && tried.len() == DIFFERENT).then_some(DIFFERENT)
    }
}

fn fingerprint(contract: &str, address: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    contract.hash(&mut hasher);
    address.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn try_all(watch: &mut Watch, consumer: &str, code: VpCode, addresses: usize, now: Instant) -> usize {
        let consumer = Arc::from(consumer);
        (0..addresses).filter(|n| watch.note(code, &consumer, "urn:c", &format!("SE{n}"), now).is_some()).count()
    }

    #[test]
    fn many_different_ones_are_one_alert_per_window() {
        let start = Instant::now();
        let mut watch = Watch::new(start);
        assert_eq!(try_all(&mut watch, "A", VpCode::Vp004, DIFFERENT - 1, start), 0);
        assert_eq!(try_all(&mut watch, "A", VpCode::Vp007, DIFFERENT * 5, start), 1);
        assert_eq!(try_all(&mut watch, "B", VpCode::Vp004, DIFFERENT - 1, start), 0, "each consumer for itself");
        assert_eq!(try_all(&mut watch, "A", VpCode::Vp004, DIFFERENT, start + WINDOW), 1, "a new window");
    }

    #[test]
    fn a_repeated_mistake_and_other_faults_are_none() {
        let start = Instant::now();
        let mut watch = Watch::new(start);
        let consumer = Arc::from("A");
        for _ in 0..1000 {
            assert_eq!(watch.note(VpCode::Vp004, &consumer, "urn:c", "SE1", start), None);
        }
        assert_eq!(try_all(&mut watch, "B", VpCode::Vp009, 1000, start), 0);
        assert_eq!(try_all(&mut watch, "", VpCode::Vp004, 1000, start), 0, "no consumer, no probing");
    }

    #[test]
    fn memory_is_bounded() {
        let start = Instant::now();
        let mut watch = Watch::new(start);
        for n in 0..MAX_CONSUMERS + 100 {
            try_all(&mut watch, &n.to_string(), VpCode::Vp004, 2, start);
        }
        assert_eq!(watch.attempts.len(), MAX_CONSUMERS);
    }
}
