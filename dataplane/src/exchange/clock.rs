//! The two clocks of a call. The producer's time runs only while the producer is waited for, so that a slow consumer
//! cannot make a good producer look late; the consumer's clock starts anew with every byte that moves.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep};

/// A budget of time that can be paused.
pub(crate) struct ProducerClock {
    left: Duration,
    running_since: Option<Instant>,
    sleep: Pin<Box<Sleep>>,
}

impl ProducerClock {
    pub(crate) fn new() -> Self {
        Self { left: Duration::ZERO, running_since: None, sleep: Box::pin(sleep(Duration::ZERO)) }
    }

    /// Sets the whole budget of a new call; the clock stands still until it is polled.
    pub(crate) fn wind(&mut self, budget: Duration) {
        self.left = budget;
        self.running_since = None;
    }

    /// Stops the clock and keeps what is left.
    pub(crate) fn pause(&mut self) {
        if let Some(since) = self.running_since.take() {
            self.left = self.left.saturating_sub(since.elapsed());
        }
    }

    /// Lets the clock run; ready when the budget is used up.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.running_since.is_none() {
            let now = Instant::now();
            self.running_since = Some(now);
            self.sleep.as_mut().reset(now + self.left);
        }
        self.sleep.as_mut().poll(cx)
    }
}

/// A limit on doing nothing, and on the sum of the waits of one call.
pub(crate) struct IdleClock {
    idle: Duration,
    total: ProducerClock,
    moved: Option<u64>,
    sleep: Pin<Box<Sleep>>,
}

impl IdleClock {
    pub(crate) fn new() -> Self {
        Self { idle: Duration::ZERO, total: ProducerClock::new(), moved: None, sleep: Box::pin(sleep(Duration::ZERO)) }
    }

    /// Sets the longest single wait and the longest sum of waits of a new call.
    pub(crate) fn wind(&mut self, idle: Duration, total: Duration) {
        self.idle = idle;
        self.total.wind(total);
        self.moved = None;
    }

    /// Nobody waits for the consumer now.
    pub(crate) fn stop(&mut self) {
        self.moved = None;
        self.total.pause();
    }

    /// Waits on; `moved` is how many bytes have moved so far. Ready when none did for too long.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, moved: u64) -> Poll<()> {
        if self.moved != Some(moved) {
            self.moved = Some(moved);
            self.sleep.as_mut().reset(Instant::now() + self.idle);
        }
        if self.total.poll(cx).is_ready() {
            return Poll::Ready(());
        }
        self.sleep.as_mut().poll(cx)
    }
}
