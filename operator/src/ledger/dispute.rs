//! Statuses that do not stay as they are written: somebody else writes another one, as a second operator for the same
//! namespace does, or the definitions in the cluster are older than this operator and drop a field. Every attempt then
//! only makes the next one necessary, so they come ever more seldom.

use std::time::{Duration, Instant};

/// A status that was as written for longer than this was not disputed; a change after that is a new matter.
const SOON: Duration = Duration::from_secs(10);
/// How long the first attempt after a loss waits; each further one waits twice as long.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// Losses in short order that are worth a line: one may be a person's, two an accident.
const WORTH_TELLING: u32 = 3;

/// What became of the writes of one status.
#[derive(Debug, Clone, Default)]
pub(super) struct Dispute {
    wrote: Option<Instant>,
    losses: u32,
    until: Option<Instant>,
}

impl Dispute {
    /// A write was answered at `now`.
    pub(super) fn wrote(&mut self, now: Instant) {
        self.wrote = Some(now);
    }

    /// At `now` another status was found in place of the one that was written. True if it is time to tell somebody.
    pub(super) fn lost(&mut self, now: Instant) -> bool {
        if self.until.is_some_and(|until| now < until) {
            // One loss is seen several times: in the answer, and by the watch.
            return false;
        }
        if self.wrote.is_none_or(|wrote| now.saturating_duration_since(wrote) >= SOON) {
            (self.losses, self.until) = (0, None);
            return false;
        }
        self.losses = self.losses.saturating_add(1);
        let doubled = 2_u32.saturating_pow(self.losses - 1);
        self.until = Some(now + FIRST_WAIT.saturating_mul(doubled).min(LONGEST_WAIT));
        self.losses == WORTH_TELLING
    }

    /// There is something new to say, which is not to wait for what was disputed before.
    pub(super) fn renew(&mut self) {
        self.until = None;
    }

    /// Not before this is it to be written again.
    pub(super) fn until(&self) -> Option<Instant> {
        self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn attempts_come_ever_more_seldom_and_are_told_of_once() {
        let (mut dispute, mut now) = (Dispute::default(), Instant::now());
        let mut waits = Vec::new();
        let mut told = Vec::new();
        for _ in 0..11 {
            dispute.wrote(now);
            told.push(dispute.lost(now + SECOND / 10));
            assert!(!dispute.lost(now + SECOND / 2), "the same loss, seen again");
            let until = dispute.until().expect("it waits");
            waits.push((until - now).as_secs());
            now = until;
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(told.iter().position(|told| *told), Some(2));
        assert_eq!(told.iter().filter(|told| **told).count(), 1);
    }

    #[test]
    fn what_has_stood_for_a_while_is_mended_at_once() {
        let (mut dispute, start) = (Dispute::default(), Instant::now());
        assert!(!dispute.lost(start) && dispute.until().is_none(), "nothing was written yet");
        dispute.wrote(start);
        dispute.lost(start + SECOND);
        assert_eq!(dispute.until(), Some(start + SECOND * 2));
        dispute.wrote(start + SECOND * 2);
        dispute.lost(start + SECOND * 12);
        assert_eq!(dispute.until(), None);
        dispute.wrote(start + SECOND * 12);
        dispute.lost(start + SECOND * 13);
        assert_eq!(dispute.until(), Some(start + SECOND * 14), "it begins anew");
        dispute.renew();
        assert_eq!(dispute.until(), None);
    }
}
