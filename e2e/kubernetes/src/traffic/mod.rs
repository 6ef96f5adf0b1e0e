//! Steady traffic through a platform while something is done to it: calls begin at a fixed rate whether or not earlier ones
//! have ended, nothing is tried twice, and every answer that is not the expected one is kept, with its time.
//!
//! Half of the consumers keep their connections, the others make one for each call.

mod account;
mod caller;
mod producer;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::task::JoinHandle;

use self::account::Ledger;
pub(crate) use self::account::{Account, Losses};
use self::caller::Pool;
pub(crate) use self::caller::{Call, Identity, call_once};
pub(crate) use self::producer::{HANGS, Producer};
use crate::suite::until;

/// How many calls begin in a second.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    /// On kept connections.
    pub(crate) kept: u32,
    /// On a connection for each.
    pub(crate) alone: u32,
}

impl Rate {
    /// What runs beside most cases.
    pub(crate) const STEADY: Self = Self { kept: 100, alone: 20 };

    /// How many calls begin in this time.
    pub(crate) fn calls_in(self, time: Duration) -> usize {
        (f64::from(self.kept + self.alone) * time.as_secs_f64()).ceil() as usize
    }
}

/// Calls that are made until this is dropped.
pub(crate) struct Traffic {
    shared: Arc<Shared>,
    generators: [JoinHandle<()>; 2],
}

struct Shared {
    target: SocketAddr,
    kept: AtomicU32,
    alone: AtomicU32,
    pool: Pool,
    /// What the next call is like.
    call: Mutex<(Identity, Call)>,
    ledger: Mutex<Ledger>,
}

impl Shared {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().expect("no thread panics while it holds the lock")
    }

    fn call(&self) -> MutexGuard<'_, (Identity, Call)> {
        self.call.lock().expect("no thread panics while it holds the lock")
    }
}

impl Traffic {
    /// Begins to call.
    pub(crate) fn start(target: SocketAddr, identity: Identity, call: Call, rate: Rate) -> Self {
        let shared = Arc::new(Shared {
            target,
            kept: AtomicU32::new(rate.kept),
            alone: AtomicU32::new(rate.alone),
            pool: Pool::default(),
            call: Mutex::new((identity, call)),
            ledger: Mutex::default(),
        });
        let generators = [true, false].map(|kept| tokio::spawn(generate(shared.clone(), kept)));
        Self { shared, generators }
    }

    /// From now on calls begin at this rate.
    pub(crate) fn set_rate(&self, rate: Rate) {
        self.shared.kept.store(rate.kept, Ordering::Relaxed);
        self.shared.alone.store(rate.alone, Ordering::Relaxed);
    }

    /// From now on, calls that begin are to be answered by one of these producers.
    pub(crate) fn expect_from(&self, producers: &[&'static str]) {
        self.shared.call().1.expected = producers.to_vec();
    }

    /// From now on another consumer calls, on new connections.
    pub(crate) fn set_identity(&self, identity: Identity) {
        self.shared.call().0 = identity;
        self.shared.pool.forget();
    }

    /// Begins a new account; calls under way belong to it.
    pub(crate) fn begin_account(&self) {
        self.shared.ledger().open();
    }

    /// How many calls of the present account were answered as expected.
    pub(crate) fn answered(&self) -> u64 {
        self.shared.ledger().account().total()
    }

    /// Waits until every call that began before has ended, and closes the account.
    pub(crate) async fn close_account(&self) -> Result<Account> {
        let last = self.shared.ledger().last_begun();
        until("all calls have ended", Duration::from_secs(60), async || {
            let oldest = self.shared.ledger().oldest_under_way();
            anyhow::ensure!(oldest.is_none_or(|oldest| oldest > last), "call {oldest:?} is under way");
            Ok(())
        })
        .await?;
        Ok(self.shared.ledger().open())
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.generators.iter().for_each(JoinHandle::abort);
    }
}

async fn generate(shared: Arc<Shared>, kept: bool) {
    let rate = if kept { &shared.kept } else { &shared.alone };
    let mut next = Instant::now();
    loop {
        let pause = match rate.load(Ordering::Relaxed) {
            0 => Duration::from_millis(100),
            rate => {
                tokio::spawn(make_call(shared.clone(), kept));
                Duration::from_secs(1) / rate
            }
        };
        next += pause;
        tokio::time::sleep_until(next.into()).await;
    }
}

async fn make_call(shared: Arc<Shared>, kept: bool) {
    let (identity, call) = shared.call().clone();
    let number = shared.ledger().begin();
    let pool = kept.then_some(&shared.pool);
    let outcome = call_once(shared.target, &identity, &call, number, pool).await;
    shared.ledger().end(number, outcome);
}
