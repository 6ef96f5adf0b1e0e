//! How soon a watch that has failed is opened anew. Kube's own way waits up to a minute after an outage, and all statuses wait
//! for the slowest watch of the slowest replica; a few replicas that ask every few seconds are no load.

use std::time::Duration;

use kube::runtime::utils::Backoff as KubeBackoff;
use rivmesh_sync::Backoff;

/// The longest wait.
const LONGEST: Duration = Duration::from_secs(5);

/// The waits of a watch, which begin anew with every event.
#[derive(Debug)]
pub(super) struct Again(Backoff);

impl Default for Again {
    fn default() -> Self {
        Self(Backoff::between(Backoff::FIRST, LONGEST))
    }
}

impl Iterator for Again {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(self.0.next(rand::random()))
    }
}

impl KubeBackoff for Again {
    fn reset(&mut self) {
        self.0.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_long_outage_nobody_waits_longer_than_seconds() {
        let mut waits = Again::default();
        let longest = waits.by_ref().take(50).max().expect("there are waits");
        assert!(longest <= LONGEST && longest > LONGEST / 2, "{longest:?}");
        waits.reset();
        assert!(waits.next().expect("a wait") <= Backoff::FIRST);
    }
}
