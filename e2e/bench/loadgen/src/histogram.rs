//! Log-linear histogram of durations: 128 steps for each power of two, so an error below 0.8 %.

use std::time::Duration;

const SUB_BITS: u32 = 7;

/// Counts of durations, mergeable.
#[derive(Clone, Debug)]
pub struct Histogram {
    counts: Vec<u64>,
    samples: u64,
    sum_ns: u128,
    max_ns: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; ((64 - SUB_BITS as usize) + 1) << SUB_BITS], samples: 0, sum_ns: 0, max_ns: 0 }
    }
}

impl Histogram {
    /// Counts one duration.
    pub fn record(&mut self, duration: Duration) {
        let ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.counts[bucket(ns)] += 1;
        self.samples += 1;
        self.sum_ns += u128::from(ns);
        self.max_ns = self.max_ns.max(ns);
    }

    /// Adds what another one counted.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.samples += other.samples;
        self.sum_ns += other.sum_ns;
        self.max_ns = self.max_ns.max(other.max_ns);
    }

    /// How many durations were counted.
    #[must_use]
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// The value below which the share `q` (0 to 1) of the samples lies, in microseconds; 0 without samples.
    #[must_use]
    pub fn quantile_us(&self, q: f64) -> f64 {
        let wanted = ((self.samples as f64 * q).ceil() as u64).max(1);
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return upper_bound(index).min(self.max_ns) as f64 / 1000.0;
            }
        }
        self.max_us()
    }

    /// The longest duration in microseconds.
    #[must_use]
    pub fn max_us(&self) -> f64 {
        self.max_ns as f64 / 1000.0
    }

    /// The mean in microseconds; 0 without samples.
    #[must_use]
    pub fn mean_us(&self) -> f64 {
        self.sum_ns as f64 / self.samples.max(1) as f64 / 1000.0
    }
}

fn bucket(ns: u64) -> usize {
    let top = 63 - (ns | 1).leading_zeros();
    if top <= SUB_BITS {
        return ns as usize;
    }
    let shift = top - SUB_BITS;
    (((shift + 1) as usize) << SUB_BITS) + ((ns >> shift) as usize & ((1 << SUB_BITS) - 1))
}

fn upper_bound(index: usize) -> u64 {
    if index < 2 << SUB_BITS {
        return index as u64;
    }
    let shift = (index >> SUB_BITS) as u32 - 1;
    let step = (index & ((1 << SUB_BITS) - 1)) as u64 | (1 << SUB_BITS);
    ((step + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_rise_and_bound_their_values_closely() {
        let mut last = 0;
        let mut ns = 1u64;
        while ns < 1 << 40 {
            let index = bucket(ns);
            assert!(index >= last, "{ns}");
            assert!(upper_bound(index) >= ns, "{ns} {}", upper_bound(index));
            assert!((upper_bound(index) - ns) as f64 <= ns as f64 / 100.0, "{ns}");
            last = index;
            ns += 1 + ns / 977;
        }
    }

    #[test]
    fn quantiles_of_a_ramp() {
        let mut histogram = Histogram::default();
        assert_eq!((histogram.quantile_us(0.5), histogram.mean_us()), (0.0, 0.0));
        (1..=1000).for_each(|us| histogram.record(Duration::from_micros(us)));
        assert!((histogram.quantile_us(0.5) - 500.0).abs() < 5.0);
        assert!((histogram.quantile_us(0.99) - 990.0).abs() < 9.0);
        assert_eq!(histogram.quantile_us(1.0), 1000.0);
    }
}
