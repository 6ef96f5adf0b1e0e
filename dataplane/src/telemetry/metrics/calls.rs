//! Counters of one listener on one worker thread. Each worker has its own, so that counting a call touches no memory that
//! another core writes; a scrape adds them up.

use super::contracts::{Contracts, MAX_CONTRACTS};
use super::histogram::{ADDED_BOUNDS, CALL_BOUNDS, Histogram};
use crate::telemetry::log::REFUSALS;
use crate::telemetry::record::{CallRecord, Outcome, TlsVersion};
use std::array;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::ThreadId;

/// The values of the label `code`: how a call can end.
pub(super) const CODES: [&str; 28] = [
    "ok",
    "VP001",
    "VP002",
    "VP003",
    "VP004",
    "VP005",
    "VP006",
    "VP007",
    "VP008",
    "VP009",
    "VP010",
    "VP011",
    "VP012",
    "VP013",
    "VP014",
    "VP015",
    "VP016",
    "producer_fault",
    "producer_broke_off",
    "consumer_aborted",
    "http_400",
    "http_404",
    "http_405",
    "http_408",
    "http_413",
    "http_431",
    "http_503",
    "http_other",
];

/// The place of an outcome in [`CODES`].
fn code_index(record: &CallRecord<'_>) -> usize {
    match &record.outcome {
        Outcome::Completed => 0,
        // VP001 is 1 and so on: the enum is numbered as the codes are.
        Outcome::Fault { code, .. } => *code as usize,
        Outcome::ProducerFault { .. } => 17,
        Outcome::ProducerBrokeOff { .. } => 18,
        Outcome::ConsumerAborted => 19,
        Outcome::HttpRefused => match record.status {
            400 => 20,
            404 => 21,
            405 => 22,
            408 => 23,
            413 => 24,
            431 => 25,
            503 => 26,
            _ => 27,
        },
    }
}

/// Counters of one listener on one worker.
#[derive(Debug)]
pub struct ListenerMetrics {
    pub(super) name: Arc<str>,
    /// The thread that counts here.
    pub(super) worker: ThreadId,
    known: Arc<Contracts>,
    /// By number of the contract; made at the contract's first call.
    pub(super) contracts: Box<[OnceLock<Box<ContractCounters>>]>,
    pub(super) added: Histogram,
    pub(super) bytes_in: AtomicU64,
    pub(super) bytes_out: AtomicU64,
    pub(super) retries: AtomicU64,
    pub(super) in_flight: AtomicI64,
    pub(super) open: AtomicI64,
    pub(super) accepted: AtomicU64,
    /// By version and whether it was resumed.
    pub(super) handshakes: [[AtomicU64; 2]; TlsVersion::ALL.len()],
    pub(super) refused: [AtomicU64; REFUSALS.len()],
}

/// Counters of one contract.
#[derive(Debug)]
pub(super) struct ContractCounters {
    pub(super) codes: [AtomicU64; CODES.len()],
    pub(super) seconds: Histogram,
}

impl ContractCounters {
    fn new() -> Box<Self> {
        Box::new(Self { codes: array::from_fn(|_| AtomicU64::new(0)), seconds: Histogram::new(CALL_BOUNDS) })
    }
}

impl ListenerMetrics {
    pub(super) fn new(name: Arc<str>, worker: ThreadId, known: Arc<Contracts>) -> Self {
        Self {
            name,
            worker,
            known,
            contracts: (0..=MAX_CONTRACTS).map(|_| OnceLock::new()).collect(),
            added: Histogram::new(ADDED_BOUNDS),
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            in_flight: AtomicI64::new(0),
            open: AtomicI64::new(0),
            accepted: AtomicU64::new(0),
            handshakes: Default::default(),
            refused: array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    /// Counts a finished call.
    pub fn call(&self, record: &CallRecord<'_>) {
        let number = self.known.number(record.contract.as_deref().unwrap_or_default());
        let counters = self.contracts[number].get_or_init(ContractCounters::new);
        counters.codes[code_index(record)].fetch_add(1, Ordering::Relaxed);
        counters.seconds.observe(record.duration);
        self.added.observe(record.added());
        self.bytes_in.fetch_add(record.bytes_in, Ordering::Relaxed);
        self.bytes_out.fetch_add(record.bytes_out, Ordering::Relaxed);
        if record.retried {
            self.retries.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a call as in flight until the guard is dropped.
    pub fn call_in_flight(self: &Arc<Self>) -> CallInFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        CallInFlight(self.clone())
    }

    /// Counts a connection as accepted, and as open until the guard is dropped.
    pub fn connection_opened(self: &Arc<Self>) -> OpenConnection {
        self.accepted.fetch_add(1, Ordering::Relaxed);
        self.open.fetch_add(1, Ordering::Relaxed);
        OpenConnection(self.clone())
    }

    /// Counts a TLS handshake that succeeded.
    pub fn handshake(&self, version: Option<TlsVersion>, resumed: bool) {
        // A version that is not offered cannot have been agreed on.
        let Some(version) = version else { return };
        self.handshakes[version.index()][usize::from(resumed)].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a TLS handshake that was refused, by one of the words of [`REFUSALS`].
    pub fn handshake_refused(&self, reason: &str) {
        let index = REFUSALS.iter().position(|known| *known == reason).unwrap_or(REFUSALS.len() - 1);
        self.refused[index].fetch_add(1, Ordering::Relaxed);
    }
}

/// A call in flight.
#[derive(Debug)]
pub struct CallInFlight(Arc<ListenerMetrics>);

impl Drop for CallInFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An open connection of a consumer.
#[derive(Debug)]
pub struct OpenConnection(Arc<ListenerMetrics>);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::record::Origin;
    use rivmesh_rivta::VpCode;
    use std::time::SystemTime;

    #[test]
    fn every_outcome_has_its_own_code() {
        let origin = Origin::new("l".into(), "192.0.2.1:1".parse().expect("address"), None);
        let mut record = CallRecord::new(&origin, SystemTime::UNIX_EPOCH);
        let mut code = |outcome, status| {
            record.outcome = outcome;
            record.status = status;
            CODES[code_index(&record)]
        };
        for vp in VpCode::ALL {
            assert_eq!(code(Outcome::Fault { code: vp, kind: "", cause: String::new() }, 500), vp.as_str());
        }
        assert_eq!(code(Outcome::Completed, 200), "ok");
        assert_eq!(code(Outcome::ProducerFault { faultcode: String::new() }, 500), "producer_fault");
        assert_eq!(code(Outcome::ProducerBrokeOff { cause: String::new() }, 200), "producer_broke_off");
        assert_eq!(code(Outcome::ConsumerAborted, 0), "consumer_aborted");
        for status in [400, 404, 405, 408, 413, 431, 503] {
            assert_eq!(code(Outcome::HttpRefused, status), format!("http_{status}"));
        }
        assert_eq!(code(Outcome::HttpRefused, 505), "http_other");
    }
}
