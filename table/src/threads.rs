//! The same work on many things at a time, on a few threads. What comes of it is in the order of the things, so that nothing
//! tells afterwards how many threads there were.

use std::num::NonZero;
use std::panic::resume_unwind;
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Each thread needs memory of its own, and calls may want the other processors.
const MOST: usize = 4;

/// A state for each thread that may work.
pub(crate) fn states<S: Default>() -> Vec<S> {
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    (0..processors.min(MOST)).map(|_| S::default()).collect()
}

/// Does `work` on all things, on as many threads as there are states at most. There must be one. So many things are `worth` a
/// thread: starting one costs more than doing less.
pub(crate) fn side_by_side<T: Send, S: Send, R: Send>(
    things: Vec<T>,
    worth: usize,
    states: &mut [S],
    work: impl Fn(T, &mut S) -> R + Sync,
) -> Vec<R> {
    let helpers = things.len() / worth;
    let queue = Mutex::new(things.into_iter().enumerate());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work_off = |state: &mut S| -> Vec<(usize, R)> {
        std::iter::from_fn(next).map(|(number, thing)| (number, work(thing, state))).collect()
    };
    let (own, others) = states.split_first_mut().expect("there is a state");
    let mut done = thread::scope(|scope| {
        let start = |state| thread::Builder::new().name("tables".to_owned()).spawn_scoped(scope, || work_off(state));
        // Where the system has no thread for a helper, the others do its share.
        let helpers: Vec<_> = others.iter_mut().take(helpers).filter_map(|state| start(state).ok()).collect();
        let mut done = work_off(own);
        for helper in helpers {
            done.extend(helper.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
        done
    });
    done.sort_unstable_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn a_helpers_panic_is_the_callers() {
        let (own, both) = (thread::current().id(), Barrier::new(2));
        let work = |(), (): &mut ()| {
            both.wait();
            assert!(thread::current().id() == own, "of a helper");
        };
        let caught = catch_unwind(AssertUnwindSafe(|| side_by_side(vec![(), ()], 1, &mut [(), ()], work)));
        let panic = caught.expect_err("the helper has one of two things");
        assert_eq!(panic.downcast_ref(), Some(&"of a helper"));
    }

    #[test]
    fn results_are_in_order_however_many_threads_there_are() {
        for threads in [1, 2, 3, 16] {
            for number in [0, 1, 4, 5, 100] {
                let mut states = vec![0; threads];
                let results = side_by_side((0..number).collect(), 4, &mut states, |thing: usize, done: &mut usize| {
                    *done += 1;
                    thing * 2
                });
                assert_eq!(results, (0..number).map(|thing| thing * 2).collect::<Vec<_>>());
                assert_eq!(states.iter().sum::<usize>(), number);
            }
        }
    }
}
