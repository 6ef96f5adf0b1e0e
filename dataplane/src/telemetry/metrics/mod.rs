//! Metrics in the OpenMetrics format. The request path adds to atomics that it holds a handle to; names, labels and sums
//! are the scrape's work, on the admin thread.

mod calls;
mod contracts;
mod definitions;
mod exposition;
mod histogram;
mod platform;
mod process;
mod producers;
#[cfg(test)]
mod tests;
mod unrouted;

pub use calls::{CallInFlight, ListenerMetrics, OpenConnection};
pub use definitions::{ALL, Definition, page};
pub use platform::{Expiry, ExpiryKind, RefusedRows};
pub use producers::{Connected, Idle, InFlight, ProducerFailure, ProducerMetrics};

use super::table::TableInfo;
use contracts::Contracts;
use platform::Platform;
use producers::Producers;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use unrouted::Unrouted;

/// Media type of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All metrics of the process.
#[derive(Debug)]
pub struct Metrics {
    contracts: Arc<Contracts>,
    listeners: Mutex<Vec<Arc<ListenerMetrics>>>,
    producers: Producers,
    unrouted: Unrouted,
    platform: Platform,
    log_dropped: Arc<AtomicU64>,
    started: SystemTime,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Metrics of a process that starts now.
    pub fn new() -> Self {
        Self {
            contracts: Arc::new(Contracts::new()),
            listeners: Mutex::default(),
            producers: Producers::default(),
            unrouted: Unrouted::default(),
            platform: Platform::default(),
            log_dropped: Arc::default(),
            started: SystemTime::now(),
        }
    }

    /// The counters of `listener` on the current thread; the same ones each time. To be kept for a connection, and taken
    /// on threads that live as long as the process: what a thread counted is never forgotten.
    pub fn listener(&self, listener: &str) -> Arc<ListenerMetrics> {
        let worker = std::thread::current().id();
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = listeners.iter().find(|known| known.worker == worker && *known.name == *listener) {
            return known.clone();
        }
        let new = Arc::new(ListenerMetrics::new(listener.into(), worker, self.contracts.clone()));
        listeners.push(new.clone());
        new
    }

    /// Counts a call of `consumer` that no route was found for (VP004).
    pub fn unrouted(&self, consumer: &Arc<str>) {
        self.unrouted.count(consumer);
    }

    /// The counters of the producer at `host` and `port`. To be kept by whoever calls it.
    pub fn producer(&self, host: &str, port: u16) -> Arc<ProducerMetrics> {
        self.producers.get(host, port)
    }

    /// Gives contracts series of their own: those that have a ServiceContract in the table.
    pub fn learn_contracts<'a>(&self, contracts: impl IntoIterator<Item = &'a str>) {
        self.contracts.learn(contracts);
    }

    /// Counts lines of log that are lost; for [`super::log::start`].
    pub fn log_dropped(&self) -> Arc<AtomicU64> {
        self.log_dropped.clone()
    }

    /// A table took effect.
    pub fn table_installed(&self, table: TableInfo) {
        self.platform.tables_installed.fetch_add(1, Ordering::Relaxed);
        let mut state = self.platform.state();
        // A table from disk may be older than it looks until a control plane has answered.
        if table.source != super::table::TableSource::Disk {
            state.confirmed = Some(table.installed);
        }
        state.table = Some(table);
    }

    /// The table in use is known to be the newest at `at`.
    pub fn table_confirmed(&self, at: SystemTime) {
        self.platform.state().confirmed = Some(at);
    }

    /// A table was refused.
    pub fn table_rejected(&self) {
        self.platform.tables_rejected.fetch_add(1, Ordering::Relaxed);
    }

    /// Why the table in use is not the one on disk; nothing while it is, or where no table is saved.
    pub fn set_table_unsaved(&self, why: Option<String>) {
        self.platform.state().table_unsaved = why;
    }

    /// Whether the shrink guard holds a table back.
    pub fn set_table_held(&self, held: bool) {
        self.platform.table_held.store(held, Ordering::Relaxed);
    }

    /// Whether a control plane is connected.
    pub fn set_feed_connected(&self, connected: bool) {
        self.platform.feed_connected.store(connected, Ordering::Relaxed);
    }

    /// Rows that the compile step of this process refused.
    pub fn set_refused_rows(&self, rows: RefusedRows) {
        self.platform.state().refused_rows = Some(rows);
    }

    /// Whether the process is ready for calls.
    pub fn set_ready(&self, ready: bool) {
        self.platform.ready.store(ready, Ordering::Relaxed);
    }

    /// Replaces what expires among the things that `owner` (a listener, the upstream) uses.
    pub fn set_expiries(&self, owner: &str, expiries: Vec<Expiry>) {
        self.platform.state().expiries.insert(owner.to_owned(), expiries);
    }

    /// Counts a file that was read anew, or could not be.
    pub fn settings_reloaded(&self, ok: bool) {
        let counter = if ok { &self.platform.reloads_ok } else { &self.platform.reloads_failed };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// The table in use.
    pub fn table(&self) -> Option<TableInfo> {
        self.platform.state().table.clone()
    }

    /// How long ago the table was last known to be the newest, at `now`; `None` if it never was.
    pub fn table_age(&self, now: SystemTime) -> Option<Duration> {
        self.platform.state().confirmed.map(|confirmed| now.duration_since(confirmed).unwrap_or_default())
    }

    /// Why the table in use is not the one on disk.
    pub fn table_unsaved(&self) -> Option<String> {
        self.platform.state().table_unsaved.clone()
    }

    /// Whether a control plane is connected.
    pub fn feed_connected(&self) -> bool {
        self.platform.feed_connected.load(Ordering::Relaxed)
    }

    /// Everything that expires, soonest first.
    pub fn expiries(&self) -> Vec<Expiry> {
        let mut all: Vec<_> = self.platform.state().expiries.values().flatten().cloned().collect();
        all.sort_by(|a, b| (a.at, &a.name).cmp(&(b.at, &b.name)));
        all
    }

    /// Connections and calls in flight, by listener, for `/status`.
    pub fn open_by_listener(&self) -> Vec<(Arc<str>, i64, i64)> {
        exposition::gather(&self.listeners())
            .into_iter()
            .map(|(name, sums)| (name, sums.open, sums.in_flight))
            .collect()
    }

    /// When the process started.
    pub fn started(&self) -> SystemTime {
        self.started
    }

    /// The exposition, as [`CONTENT_TYPE`].
    pub fn encode(&self) -> String {
        self.encode_at(SystemTime::now())
    }

    fn listeners(&self) -> Vec<Arc<ListenerMetrics>> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
