//! A histogram of durations without a lock: the request path adds to it while a scrape reads, and neither waits for the
//! other.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the buckets for whole calls, in seconds; from a fast registry to the longest timeout.
pub(super) const CALL_BOUNDS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];
/// For what the platform adds.
pub(super) const ADDED_BOUNDS: &[f64] =
    &[0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 1.0, 10.0];

/// Sums are kept in units of 100 ns: fine enough for what the platform adds, and 58,000 years before they overflow.
const UNITS_PER_SECOND: f64 = 1e7;

/// Counts of durations by size.
#[derive(Debug)]
pub(super) struct Histogram {
    bounds: &'static [f64],
    /// One more than bounds: the last is for everything above.
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
}

/// The values of one or more histograms with the same bounds.
#[derive(Debug, Clone, Default)]
pub(super) struct Values {
    /// Upper bound and count of each bucket; the last bound is infinite.
    pub(super) buckets: Vec<(f64, u64)>,
    /// Sum of all durations in seconds.
    pub(super) sum: f64,
}

impl Histogram {
    pub(super) fn new(bounds: &'static [f64]) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds, counts, sum: AtomicU64::new(0) }
    }

    pub(super) fn observe(&self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        let bucket = self.bounds.partition_point(|bound| *bound < seconds);
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add((seconds * UNITS_PER_SECOND) as u64, Ordering::Relaxed);
    }

    /// Adds what has been counted here to `values`.
    pub(super) fn add_to(&self, values: &mut Values) {
        if values.buckets.is_empty() {
            values.buckets = self.bounds.iter().chain(&[f64::INFINITY]).map(|bound| (*bound, 0)).collect();
        }
        for (value, count) in values.buckets.iter_mut().zip(&self.counts) {
            value.1 += count.load(Ordering::Relaxed);
        }
        values.sum += self.sum.load(Ordering::Relaxed) as f64 / UNITS_PER_SECOND;
    }
}

impl Values {
    /// How many durations there are.
    pub(super) fn count(&self) -> u64 {
        self.buckets.iter().map(|(_, count)| count).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_fall_into_the_bucket_that_bounds_them_from_above() {
        let histogram = Histogram::new(&[0.1, 1.0]);
        for millis in [1, 100, 101, 1000, 1001, 90_000] {
            histogram.observe(Duration::from_millis(millis));
        }
        let mut values = Values::default();
        histogram.add_to(&mut values);
        assert_eq!(values.buckets, [(0.1, 2), (1.0, 2), (f64::INFINITY, 2)]);
        assert_eq!(values.count(), 6);
        assert!((values.sum - 92.203).abs() < 1e-5, "{}", values.sum);
    }

    #[test]
    fn several_add_up() {
        let (one, other) = (Histogram::new(&[1.0]), Histogram::new(&[1.0]));
        one.observe(Duration::from_millis(500));
        other.observe(Duration::from_secs(5));
        let mut values = Values::default();
        one.add_to(&mut values);
        other.add_to(&mut values);
        assert_eq!(values.buckets, [(1.0, 1), (f64::INFINITY, 1)]);
    }
}
