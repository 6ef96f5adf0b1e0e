//! How much an operator asks of its API server: so much in a second in the long run, with a burst after a pause.

use std::time::Duration;

use tokio::time::Instant;

/// A token bucket.
#[derive(Debug)]
pub(crate) struct Pace {
    per_second: f64,
    burst: f64,
    tokens: f64,
    filled: Instant,
}

impl Pace {
    /// A full bucket.
    pub(crate) fn new(per_second: f64, burst: f64) -> Self {
        Self { per_second, burst, tokens: burst, filled: Instant::now() }
    }

    /// Whether one may be taken at `now`.
    pub(crate) fn has_one(&mut self, now: Instant) -> bool {
        self.fill(now);
        self.tokens >= 1.0
    }

    /// Takes one.
    pub(crate) fn take(&mut self) {
        self.tokens -= 1.0;
    }

    /// How long until one may be taken.
    pub(crate) fn wait(&mut self, now: Instant) -> Duration {
        self.fill(now);
        Duration::from_secs_f64(((1.0 - self.tokens) / self.per_second).max(0.0))
    }

    fn fill(&mut self, now: Instant) {
        let earned = now.saturating_duration_since(self.filled).as_secs_f64() * self.per_second;
        self.tokens = (self.tokens + earned).min(self.burst);
        self.filled = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_is_bounded_and_a_pause_allows_a_burst() {
        let mut pace = Pace::new(50.0, 100.0);
        let start = pace.filled;
        let mut drain = |at: Duration| {
            let mut taken = 0;
            while pace.has_one(start + at) {
                pace.take();
                taken += 1;
            }
            taken
        };
        assert_eq!(drain(Duration::ZERO), 100);
        assert_eq!(drain(Duration::from_secs(1)), 50);
        assert_eq!(drain(Duration::from_secs(1)), 0);
        assert_eq!(drain(Duration::from_secs(3600)), 100);
        assert_eq!(pace.wait(start + Duration::from_secs(3600)), Duration::from_millis(20));
    }
}
