//! What was measured.

use std::collections::BTreeMap;
use std::time::Duration;

use super::change::Changes;
use super::cost::{Cost, Memory};
use super::load::Load;
use super::starts::AllStarts;
use super::status_writes::Way;

/// Everything of a run.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// One for each size of the catalogue.
    pub(super) sizes: Vec<Figures>,
    pub(super) status_writes: Vec<Way>,
}

/// At one size of the catalogue.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) objects: f64,
    pub(super) routes: f64,
    pub(super) authorizations: f64,
    pub(super) load: Load,
    /// The cost of the load, statuses included.
    pub(super) loading: Cost,
    /// The cost of doing nothing.
    pub(super) rest: Cost,
    pub(super) changes: Changes,
    pub(super) changing: Cost,
    /// From the start of `kubectl apply` to the return of `kubectl wait`.
    pub(super) waits: Vec<Duration>,
    /// After the changes, by process.
    pub(super) memory: BTreeMap<String, Memory>,
    pub(super) starts: AllStarts,
}

/// The value that the share `q` (0 to 1) of the values does not exceed; nothing of nothing.
pub(super) fn quantile<T: Copy + Ord>(values: &[T], q: f64) -> Option<T> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let rank = ((sorted.len() as f64 * q).ceil() as usize).max(1);
    sorted.get(rank - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_were_seen() {
        let hundred: Vec<u64> = (1..=100).rev().collect();
        let of = |q: f64| quantile(&hundred, q);
        assert_eq!((of(0.0), of(0.5), of(0.99), of(1.0)), (Some(1), Some(50), Some(99), Some(100)));
        assert_eq!(quantile(&[7], 0.99), Some(7));
        assert_eq!(quantile::<u64>(&[], 0.5), None);
    }
}
