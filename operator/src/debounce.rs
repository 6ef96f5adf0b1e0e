//! When to compile: after changes have paused for a moment, but not later than a bound after the first of them, and
//! at once when somebody lost a right.

use std::time::Duration;

/// Changes that have not been compiled. Times are since any fixed instant.
#[derive(Debug, Default)]
pub struct Debounce {
    first: Option<Duration>,
    last: Duration,
    urgent: bool,
}

impl Debounce {
    /// The pause that ends a burst of changes.
    pub const QUIET: Duration = Duration::from_millis(100);
    /// The longest time from a change to its compilation.
    pub const AT_MOST: Duration = Duration::from_secs(1);

    /// Something changed at `now`; urgently, if it must not wait.
    pub fn change(&mut self, now: Duration, urgent: bool) {
        self.first.get_or_insert(now);
        self.last = now;
        self.urgent |= urgent;
    }

    /// When to compile; `None` when nothing has changed.
    pub fn due(&self) -> Option<Duration> {
        let first = self.first?;
        Some(if self.urgent { first } else { (self.last + Self::QUIET).min(first + Self::AT_MOST) })
    }

    /// It was compiled.
    pub fn done(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(value: u64) -> Duration {
        Duration::from_millis(value)
    }

    #[test]
    fn a_burst_waits_for_its_end() {
        let mut debounce = Debounce::default();
        assert_eq!(debounce.due(), None);
        for at in [10, 50, 90] {
            debounce.change(ms(at), false);
        }
        assert_eq!(debounce.due(), Some(ms(190)));
        debounce.done();
        assert_eq!(debounce.due(), None);
    }

    #[test]
    fn a_burst_without_end_waits_a_second() {
        let mut debounce = Debounce::default();
        for at in (0..3000).step_by(50) {
            debounce.change(ms(at), false);
        }
        assert_eq!(debounce.due(), Some(Debounce::AT_MOST));
    }

    #[test]
    fn a_lost_right_does_not_wait_and_is_not_held_up_by_what_follows() {
        let mut debounce = Debounce::default();
        debounce.change(ms(10), false);
        debounce.change(ms(20), true);
        debounce.change(ms(30), false);
        assert!(debounce.due().is_some_and(|due| due <= ms(30)));
    }
}
