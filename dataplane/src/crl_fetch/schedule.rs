//! When a list is fetched next: regularly, sooner as its nextUpdate comes closer, and after a failure soon at first and
//! then ever more slowly. Pure: the caller brings time and chance.

use std::time::Duration;

/// How often lists are fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// The usual time between two fetches, and the longest.
    pub interval: Duration,
    /// The shortest time between two fetches that succeed, unless the interval is shorter.
    pub floor: Duration,
    /// The time to the first retry after a failure; it doubles with each further one.
    pub retry: Duration,
}

impl Pace {
    /// The pace with this interval, and a minute and five seconds for the others.
    pub fn of(interval: Duration) -> Self {
        Self { interval, floor: Duration::from_secs(60), retry: Duration::from_secs(5) }
    }

    /// The wait after a success.
    fn usual(&self, now: i64, next_update: Option<i64>, chance: f64) -> Duration {
        // Half of what is left: with each fetch more often. And past nextUpdate, where the server has nothing newer, half
        // of what has gone by: ever more slowly, so that a list that nobody issues any more costs no more than others.
        let half = next_update.map(|at| Duration::from_secs(now.abs_diff(at) / 2));
        let wait = self.interval.min(half.unwrap_or(Duration::MAX));
        wait.mul_f64(0.8 + 0.2 * chance).max(self.floor.min(self.interval))
    }

    /// The wait after a number of failures in a row: never longer than after a success.
    fn retry(&self, failures: u32, now: i64, next_update: Option<i64>, chance: f64) -> Duration {
        let longest = self.usual(now, next_update, 1.0);
        let doubled = self.retry.saturating_mul(1u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX));
        doubled.min(longest).mul_f64(0.5 + 0.5 * chance)
    }
}

/// The waits between the fetches of one list.
#[derive(Debug)]
pub(super) struct Rhythm {
    pace: Pace,
    /// In a row.
    failures: u32,
}

impl Rhythm {
    pub(super) fn new(pace: Pace) -> Self {
        Self { pace, failures: 0 }
    }

    /// The wait after an attempt. `next_update`: of the list on disk that expires first, and `now`, in Unix seconds.
    /// `chance` (0..1) spreads the fetches of many pods.
    pub(super) fn after(&mut self, succeeded: bool, now: i64, next_update: Option<i64>, chance: f64) -> Duration {
        if succeeded {
            self.failures = 0;
            return self.pace.usual(now, next_update, chance);
        }
        self.failures = self.failures.saturating_add(1);
        self.pace.retry(self.failures, now, next_update, chance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3600;
    const DAY: i64 = 24 * HOUR;

    fn pace() -> Pace {
        Pace::of(Duration::from_secs(3600))
    }

    #[test]
    fn a_list_is_fetched_more_often_as_its_next_update_comes_closer() {
        for (left, seconds) in [
            (7 * DAY, 3600),
            (2 * HOUR, 3600),
            (HOUR, 1800),
            (600, 300),
            (120, 60),
            (10, 60),
            (0, 60),
            (-60, 60),
            (-HOUR, 1800),
            (-DAY, 3600),
            (i64::MIN, 3600),
        ] {
            assert_eq!(pace().usual(0, Some(left), 1.0).as_secs(), seconds, "{left} s left");
        }
        assert_eq!(pace().usual(0, None, 1.0).as_secs(), 3600, "no list");
    }

    #[test]
    fn failures_slow_down_to_the_usual_pace() {
        let waits = |left| {
            let mut rhythm = Rhythm::new(pace());
            assert_eq!(rhythm.after(false, 0, left, 1.0).as_secs(), 5);
            assert!(rhythm.after(true, 0, left, 1.0).as_secs() > 5, "a success, and it begins anew");
            (1..=12).map(|_| rhythm.after(false, 0, left, 1.0).as_secs()).collect::<Vec<_>>()
        };
        assert_eq!(waits(None), [5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600]);
        assert_eq!(waits(Some(600))[4..], [80, 160, 300, 300, 300, 300, 300, 300], "time runs out");
        for failures in [32, 33, 100, u32::MAX] {
            assert_eq!(pace().retry(failures, 0, None, 1.0).as_secs(), 3600);
        }
    }

    #[test]
    fn chance_spreads_and_never_breaks_the_bounds() {
        let success = |chance| pace().usual(0, Some(7 * DAY), chance);
        assert_eq!((success(0.0).as_secs(), success(0.5).as_secs()), (2880, 3240));
        assert_eq!(pace().usual(0, Some(130), 0.0).as_secs(), 60, "not below the floor");
        assert_eq!(pace().retry(1, 0, None, 0.0), Duration::from_millis(2500));
        let short = Pace::of(Duration::from_secs(10));
        assert_eq!(short.usual(0, None, 0.0).as_secs(), 10, "an interval below the floor is the floor");
    }
}
