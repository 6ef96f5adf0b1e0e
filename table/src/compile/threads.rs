//! The same work on many things at a time, on as many threads as the machine has for us. What comes of it is in the order of
//! the things, so that nothing tells afterwards how many threads there were.

use std::num::NonZero;
use std::panic::resume_unwind;
use std::thread;

/// What a thread takes at least: starting one costs more than doing less.
const AT_LEAST: usize = 4;

/// As many states as threads are worth having.
pub(super) fn states<S: Default>() -> Vec<S> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    (0..threads).map(|_| S::default()).collect()
}

/// Does `work` on all things. Each thread works with a state of its own; there must be one.
pub(super) fn side_by_side<T: Send, S: Send, R: Send>(
    things: Vec<T>,
    states: &mut [S],
    work: impl Fn(T, &mut S) -> R + Sync,
) -> Vec<R> {
    let share = things.len().div_ceil(states.len()).max(AT_LEAST);
    let mut things = things.into_iter();
    let mut parts = states.iter_mut().map(|state| (things.by_ref().take(share).collect::<Vec<_>>(), state));
    let Some(own) = parts.next() else { return Vec::new() };
    let work = |(part, state): (Vec<T>, &mut S)| part.into_iter().map(|thing| work(thing, state)).collect::<Vec<_>>();
    thread::scope(|scope| {
        let others = parts.filter(|(part, _)| !part.is_empty()).map(|part| scope.spawn(|| work(part)));
        let others: Vec<_> = others.collect();
        let mut results = work(own);
        for other in others {
            results.extend(other.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        results
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_in_order_however_many_threads_there_are() {
        for threads in [1, 2, 3, 16] {
            for number in [0, 1, AT_LEAST, AT_LEAST + 1, 100] {
                let mut states = vec![0; threads];
                let results = side_by_side((0..number).collect(), &mut states, |thing: usize, done: &mut usize| {
                    *done += 1;
                    thing * 2
                });
                assert_eq!(results, (0..number).map(|thing| thing * 2).collect::<Vec<_>>());
                assert_eq!(states.iter().sum::<usize>(), number);
                let share = number.div_ceil(threads).max(AT_LEAST);
                assert!(states.iter().all(|done| *done <= share), "{states:?} of {number}");
            }
        }
    }
}
