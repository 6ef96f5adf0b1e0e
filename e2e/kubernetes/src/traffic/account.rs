//! What came of the calls.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

/// How many failures are kept in full; all are counted.
const KEPT: usize = 1000;

/// How far a call got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// No connection could be made.
    Connect,
    /// It was made, and no TLS session on it.
    Handshake,
    /// The request was sent, at least in part, and no whole answer came.
    Exchange,
    /// Another answer came than the expected one.
    Answer,
    /// It was given up before anything came.
    Late,
}

/// A call without the expected answer.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) stage: Stage,
    /// When the call began.
    pub(crate) began: Instant,
    pub(crate) what: String,
}

/// A call with the expected answer.
#[derive(Debug, Clone)]
pub(crate) struct Answered {
    /// Who answered.
    pub(crate) by: &'static str,
    /// The whole answer.
    pub(crate) text: String,
    pub(crate) took: Duration,
    /// How many kept connections were found closed before a byte was written on them.
    pub(crate) found_closed: u32,
}

/// Calls that were lost without another answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Losses {
    /// Nobody took their connection.
    pub(crate) refused: usize,
    /// Their connection ended under them.
    pub(crate) broken: usize,
}

/// What came of the calls of a time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Account {
    /// Calls by the producer that answered.
    pub(crate) answered: BTreeMap<&'static str, u64>,
    /// How many calls failed.
    pub(crate) failed: u64,
    /// The first of them.
    pub(crate) failures: Vec<Failure>,
    found_closed: u32,
    slowest: Duration,
}

impl Account {
    /// How many calls were answered as expected.
    pub(crate) fn total(&self) -> u64 {
        self.answered.values().sum()
    }

    /// How calls were lost, where they may be. Fails if one got another answer or was left without any, or if there are more than
    /// are known in full.
    pub(crate) fn losses(&self) -> Result<Losses> {
        ensure!(self.failed == self.failures.len() as u64, "{} calls were lost", self.failed);
        for failure in &self.failures {
            match failure.stage {
                Stage::Answer => bail!("another answer came: {}", failure.what),
                Stage::Late => bail!("{}", failure.what),
                Stage::Connect | Stage::Handshake | Stage::Exchange => {}
            }
        }
        let refused = self.failures.iter().filter(|failure| failure.stage == Stage::Connect).count();
        Ok(Losses { refused, broken: self.failures.len() - refused })
    }

    /// Fails unless every call was answered as expected, and there were some.
    pub(crate) fn expect_none_lost(&self) -> Result<()> {
        if self.failed > 0 {
            let mut text = format!("{} of {} calls were lost:", self.failed, self.failed + self.total());
            let first = self.failures.iter().map(|failure| failure.began).min();
            for failure in self.failures.iter().take(10) {
                let after = first.map_or(0.0, |first| failure.began.saturating_duration_since(first).as_secs_f64());
                text += &format!("\n  +{after:.3} s, {:?}: {}", failure.stage, failure.what);
            }
            bail!(text);
        }
        if self.total() == 0 {
            bail!("there were no calls at all");
        }
        Ok(())
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} calls answered, {} lost, slowest {} ms, {} idle connections found closed",
            self.total(),
            self.failed,
            self.slowest.as_millis(),
            self.found_closed
        )
    }
}

/// Calls under way and the open account.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    last: u64,
    under_way: BTreeSet<u64>,
    account: Account,
}

impl Ledger {
    /// A call begins; its number.
    pub(super) fn begin(&mut self) -> u64 {
        self.last += 1;
        self.under_way.insert(self.last);
        self.last
    }

    /// A call has ended.
    pub(super) fn end(&mut self, number: u64, outcome: Result<Answered, Failure>) {
        self.under_way.remove(&number);
        match outcome {
            Ok(Answered { by, took, found_closed, .. }) => {
                *self.account.answered.entry(by).or_default() += 1;
                self.account.slowest = self.account.slowest.max(took);
                self.account.found_closed += found_closed;
            }
            Err(failure) => {
                self.account.failed += 1;
                if self.account.failures.len() < KEPT {
                    self.account.failures.push(failure);
                }
            }
        }
    }

    /// The number of the last call that began.
    pub(super) fn last_begun(&self) -> u64 {
        self.last
    }

    /// The number of the oldest call that has not ended.
    pub(super) fn oldest_under_way(&self) -> Option<u64> {
        self.under_way.first().copied()
    }

    /// The open account.
    pub(super) fn account(&self) -> &Account {
        &self.account
    }

    /// Opens a new account and gives the one before.
    pub(super) fn open(&mut self) -> Account {
        std::mem::take(&mut self.account)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_call_fails_an_account_and_so_does_silence() {
        let mut ledger = Ledger::default();
        assert!(ledger.open().expect_none_lost().is_err());
        let (first, second) = (ledger.begin(), ledger.begin());
        let took = Duration::from_millis(3);
        ledger.end(second, Ok(Answered { by: "one", text: String::new(), took, found_closed: 1 }));
        assert_eq!(ledger.oldest_under_way(), Some(first));
        assert!(ledger.account.expect_none_lost().is_ok());
        let what = "reset".to_owned();
        ledger.end(first, Err(Failure { stage: Stage::Exchange, began: Instant::now(), what }));
        let account = ledger.open();
        let error = account.expect_none_lost().expect_err("a call was lost").to_string();
        assert_eq!(error, "1 of 2 calls were lost:\n  +0.000 s, Exchange: reset");
        assert_eq!((account.total(), ledger.oldest_under_way()), (1, None));
        assert_eq!(account.losses().expect("all are known"), Losses { refused: 0, broken: 1 });

        let what = "VP009".to_owned();
        let failure = Failure { stage: Stage::Answer, began: Instant::now(), what };
        ledger.end(3, Err(failure.clone()));
        assert!(ledger.account.losses().is_err_and(|error| error.to_string() == "another answer came: VP009"));
        ledger.open();
        ledger.end(4, Err(Failure { stage: Stage::Late, began: failure.began, what: "no answer".to_owned() }));
        assert!(ledger.account.losses().is_err_and(|error| error.to_string() == "no answer"));
        ledger.open();
        (0..=KEPT)
            .for_each(|number| ledger.end(number as u64, Err(Failure { stage: Stage::Connect, ..failure.clone() })));
        assert!(ledger.account.losses().is_err_and(|error| error.to_string() == "1001 calls were lost"));
    }
}
