//! How long to wait before the next attempt at something, as to reach an operator. The wait is drawn at random below a
//! bound that doubles, so that the dataplanes of a restarted operator do not all come back in the same instant.

use std::time::Duration;

/// The waits between attempts; a new one starts short.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    last: Duration,
    failures: u32,
}

impl Default for Backoff {
    /// The waits of a dataplane for an operator.
    fn default() -> Self {
        Self::between(Self::FIRST, Self::LAST)
    }
}

impl Backoff {
    /// The bound of the first wait for an operator.
    pub const FIRST: Duration = Duration::from_millis(200);
    /// The bound that the waits for an operator grow to.
    pub const LAST: Duration = Duration::from_secs(15);

    /// Waits whose bound grows from `first` to `last`.
    pub const fn between(first: Duration, last: Duration) -> Self {
        Self { first, last, failures: 0 }
    }

    /// The wait after one more failed attempt. `chance` is uniform in `0.0..1.0`.
    ///
    /// Half of the wait is fixed, so that an attempt never follows another at once.
    pub fn next(&mut self, chance: f64) -> Duration {
        let bound = self.first.saturating_mul(1 << self.failures.min(16)).min(self.last);
        self.failures = self.failures.saturating_add(1);
        bound.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0)
    }

    /// An attempt succeeded: the next wait is short again.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound_and_start_over_after_a_success() {
        let mut backoff = Backoff::default();
        let longest: Vec<Duration> = (0..9).map(|_| backoff.next(1.0)).collect();
        assert_eq!(longest[..3], [200, 400, 800].map(Duration::from_millis));
        assert_eq!(longest[8], Backoff::LAST);
        backoff.reset();
        assert_eq!(backoff.next(1.0), Backoff::FIRST);
    }

    #[test]
    fn chance_spreads_a_wait_over_its_upper_half() {
        assert_eq!(Backoff::default().next(0.0), Backoff::FIRST / 2);
        assert!(Backoff::default().next(0.5) < Backoff::FIRST);
    }

    #[test]
    fn thousands_of_failures_do_not_overflow() {
        let mut backoff = Backoff { failures: u32::MAX - 1, ..Backoff::default() };
        backoff.next(0.5);
        backoff.next(0.5);
        assert_eq!(backoff.next(1.0), Backoff::LAST);
    }
}
