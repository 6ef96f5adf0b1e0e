//! Counters of producers, by host and port. Held by whoever calls the producer, so that a call looks nothing up; those that
//! nobody holds any more make room for others.

use super::histogram::{CALL_BOUNDS, Histogram};
use std::array;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The most producers with series of their own at a time.
pub(super) const MAX_PRODUCERS: usize = 500;
const OTHER: &str = "other";

/// Why an attempt at a producer failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProducerFailure {
    /// No address for its host name.
    Name,
    /// It refused the connection or could not be reached.
    Connect,
    /// The connection was not made in time.
    ConnectTimeout,
    /// The TLS handshake failed.
    Tls,
    /// It did not answer in time.
    Timeout,
    /// It closed or reset the connection before its answer was whole.
    BrokeOff,
    /// It answered with something that is not HTTP, or with a status that may not be relayed.
    BadAnswer,
    /// It has as many calls in flight as it may.
    AtLimit,
}

impl ProducerFailure {
    /// All, in the order of their declaration.
    pub const ALL: [Self; 8] = [
        Self::Name,
        Self::Connect,
        Self::ConnectTimeout,
        Self::Tls,
        Self::Timeout,
        Self::BrokeOff,
        Self::BadAnswer,
        Self::AtLimit,
    ];

    /// The word for it in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Connect => "connect",
            Self::ConnectTimeout => "connect_timeout",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::BrokeOff => "broke_off",
            Self::BadAnswer => "bad_answer",
            Self::AtLimit => "at_limit",
        }
    }
}

/// Counters of one producer.
#[derive(Debug)]
pub struct ProducerMetrics {
    pub(super) seconds: Histogram,
    pub(super) in_flight: AtomicI64,
    pub(super) open: AtomicI64,
    pub(super) idle: AtomicI64,
    pub(super) opened: AtomicU64,
    pub(super) reused: AtomicU64,
    pub(super) failures: [AtomicU64; ProducerFailure::ALL.len()],
}

impl ProducerMetrics {
    fn new() -> Self {
        Self {
            seconds: Histogram::new(CALL_BOUNDS),
            in_flight: AtomicI64::new(0),
            open: AtomicI64::new(0),
            idle: AtomicI64::new(0),
            opened: AtomicU64::new(0),
            reused: AtomicU64::new(0),
            failures: array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    /// Counts a call as waiting for the producer until the guard is dropped.
    pub fn call_in_flight(self: &Arc<Self>) -> InFlight {
        InFlight(Raised::raise(self, |metrics| &metrics.in_flight))
    }

    /// Adds the time that the producer took for a call.
    pub fn call_finished(&self, duration: Duration) {
        self.seconds.observe(duration);
    }

    /// Counts a connection as made, and as open until the guard is dropped.
    pub fn connection_opened(self: &Arc<Self>) -> Connected {
        self.opened.fetch_add(1, Ordering::Relaxed);
        Connected(Raised::raise(self, |metrics| &metrics.open))
    }

    /// Counts a connection as idle until the guard is dropped.
    pub fn connection_idle(self: &Arc<Self>) -> Idle {
        Idle(Raised::raise(self, |metrics| &metrics.idle))
    }

    /// Counts a call that found an open connection.
    pub fn connection_reused(&self) {
        self.reused.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts an attempt that failed.
    pub fn failed(&self, failure: ProducerFailure) {
        self.failures[failure as usize].fetch_add(1, Ordering::Relaxed);
    }
}

/// A gauge that is one higher while this lives.
#[derive(Debug)]
struct Raised {
    metrics: Arc<ProducerMetrics>,
    gauge: fn(&ProducerMetrics) -> &AtomicI64,
}

impl Raised {
    fn raise(metrics: &Arc<ProducerMetrics>, gauge: fn(&ProducerMetrics) -> &AtomicI64) -> Self {
        gauge(metrics).fetch_add(1, Ordering::Relaxed);
        Self { metrics: metrics.clone(), gauge }
    }
}

impl Drop for Raised {
    fn drop(&mut self) {
        (self.gauge)(&self.metrics).fetch_sub(1, Ordering::Relaxed);
    }
}

/// A call that waits for a producer.
#[derive(Debug)]
pub struct InFlight(#[expect(dead_code, reason = "held for its drop")] Raised);

/// An open connection to a producer.
#[derive(Debug)]
pub struct Connected(#[expect(dead_code, reason = "held for its drop")] Raised);

/// An idle connection to a producer.
#[derive(Debug)]
pub struct Idle(#[expect(dead_code, reason = "held for its drop")] Raised);

/// All producers.
#[derive(Debug, Default)]
pub(super) struct Producers(Mutex<BTreeMap<String, Arc<ProducerMetrics>>>);

impl Producers {
    /// The counters of the producer at `host` and `port`; shared with others beyond [`MAX_PRODUCERS`].
    pub(super) fn get(&self, host: &str, port: u16) -> Arc<ProducerMetrics> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let name = format!("{}:{port}", host.to_ascii_lowercase());
        if let Some(producer) = known.get(&name) {
            return producer.clone();
        }
        if known.len() >= MAX_PRODUCERS {
            known.retain(|name, producer| name == OTHER || Arc::strong_count(producer) > 1);
        }
        let name = if known.len() >= MAX_PRODUCERS { OTHER.to_owned() } else { name };
        known.entry(name).or_insert_with(|| Arc::new(ProducerMetrics::new())).clone()
    }

    /// All that are known, by name.
    pub(super) fn all(&self) -> Vec<(String, Arc<ProducerMetrics>)> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.iter().map(|(name, producer)| (name.clone(), producer.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_producer_has_one_set_of_counters() {
        let producers = Producers::default();
        producers.get("P1.example", 443).connection_reused();
        producers.get("p1.example", 443).connection_reused();
        assert_eq!(producers.get("p1.example", 443).reused.load(Ordering::Relaxed), 2);
        assert_eq!(producers.get("p1.example", 8443).reused.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn gauges_fall_when_their_guards_go() {
        let producer = Producers::default().get("p", 443);
        let (open, idle, call) = (producer.connection_opened(), producer.connection_idle(), producer.call_in_flight());
        let gauges =
            || [&producer.open, &producer.idle, &producer.in_flight].map(|gauge| gauge.load(Ordering::Relaxed));
        assert_eq!(gauges(), [1, 1, 1]);
        drop(idle);
        assert_eq!(gauges(), [1, 0, 1]);
        drop((open, call));
        assert_eq!(gauges(), [0, 0, 0]);
        assert_eq!(producer.opened.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn producers_in_use_are_bounded_and_unused_ones_make_room() {
        let producers = Producers::default();
        let held: Vec<_> = (0..2 * MAX_PRODUCERS).map(|n| producers.get(&format!("p{n}"), 443)).collect();
        assert_eq!(producers.all().len(), MAX_PRODUCERS + 1);
        assert!(Arc::ptr_eq(&held[MAX_PRODUCERS], &held[MAX_PRODUCERS + 1]), "the rest shares one");
        drop(held);
        drop(producers.get("new", 443));
        let names: Vec<_> = producers.all().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["new:443", "other"]);
    }
}
