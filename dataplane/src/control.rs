//! What all worker threads share, and the only ways in which the outside reaches them: a new table, new settings, and
//! the signal that the process is about to end. All of them are read without a lock.

use crate::settings::Live;
use crate::telemetry::log::Sender;
use crate::telemetry::metrics::Metrics;
use crate::upstream::Registry;
use arc_swap::ArcSwap;
use rivmesh_table::Table;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{Semaphore, watch};

/// How far the process is on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Phase {
    /// Serving.
    #[default]
    Running,
    /// Not ready any more; still accepting, but every answer closes its connection.
    Draining,
    /// Accepting nothing, closing idle connections, finishing calls in flight.
    Closing,
}

/// What open connections listen to while they wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Signal {
    /// See [`Phase`].
    pub phase: Phase,
    /// Grows with every change of settings, so that open connections check their certificates again.
    pub settings: u64,
}

/// Shared by all workers of the process.
pub struct Shared {
    /// Everything read from configuration files.
    pub settings: Live,
    /// The routing table in force.
    pub table: Arc<ArcSwap<Table>>,
    /// Metrics of the process.
    pub metrics: Arc<Metrics>,
    /// The call log.
    pub log: Sender,
    /// See [`Signal`].
    pub signal: watch::Receiver<Signal>,
    pub(crate) registry: Registry,
    pub(crate) handshakes: Semaphore,
    pub(crate) connections: Gauge,
    pub(crate) calls: Gauge,
}

impl Shared {
    /// Puts together what the workers share.
    pub fn new(
        settings: Live,
        table: Arc<ArcSwap<Table>>,
        metrics: Arc<Metrics>,
        log: Sender,
        signal: watch::Receiver<Signal>,
    ) -> Self {
        let handshakes = Semaphore::new(settings.load().platform.limits.handshakes_in_flight);
        Self {
            settings,
            table,
            metrics,
            log,
            signal,
            registry: Registry::default(),
            handshakes,
            connections: Gauge::default(),
            calls: Gauge::default(),
        }
    }
}

/// A count with a ceiling.
#[derive(Debug, Default)]
pub(crate) struct Gauge(AtomicUsize);

/// One unit of a [`Gauge`]; given back on drop.
pub(crate) struct Unit<'a>(&'a Gauge);

impl Gauge {
    /// Takes a unit unless `limit` are taken.
    pub(crate) fn enter(&self, limit: usize) -> Option<Unit<'_>> {
        let before = self.0.fetch_add(1, Ordering::Relaxed);
        let unit = Unit(self);
        (before < limit).then_some(unit)
    }

    /// Units taken.
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Unit<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}
