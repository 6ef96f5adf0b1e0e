//! What is measured of the platform as a whole: its table, its certificates, its settings.

use crate::telemetry::table::TableInfo;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// Something that expires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expiry {
    /// What sort it is.
    pub kind: ExpiryKind,
    /// What uses it and its file, such as `consumers tls.crt`.
    pub name: String,
    /// When, in Unix seconds: notAfter or nextUpdate.
    pub at: i64,
}

/// What sort of thing expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpiryKind {
    /// A certificate of the platform's own or a trust anchor.
    Certificate,
    /// A CRL, at its nextUpdate.
    Crl,
}

/// Rows that the compile step in this process refused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RefusedRows {
    /// Those that lost against another object's.
    pub conflicts: u64,
    /// All, conflicts among them.
    pub rejected: u64,
}

#[derive(Debug, Default)]
pub(super) struct Platform {
    state: Mutex<State>,
    pub(super) ready: AtomicBool,
    pub(super) feed_connected: AtomicBool,
    pub(super) table_held: AtomicBool,
    pub(super) tables_installed: AtomicU64,
    pub(super) tables_rejected: AtomicU64,
    pub(super) reloads_ok: AtomicU64,
    pub(super) reloads_failed: AtomicU64,
}

/// What changes now and then, and never on the request path.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) table: Option<TableInfo>,
    /// When the table was last known to be the newest.
    pub(super) confirmed: Option<SystemTime>,
    /// Why the table is not the one on disk.
    pub(super) table_unsaved: Option<String>,
    /// By whom they were set.
    pub(super) expiries: BTreeMap<String, Vec<Expiry>>,
    pub(super) refused_rows: Option<RefusedRows>,
}

impl Platform {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Signed seconds from `now` until `at`.
pub(super) fn seconds_until(at: i64, now: SystemTime) -> i64 {
    let now = match now.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => since.as_secs() as i64,
        Err(before) => -(before.duration().as_secs() as i64),
    };
    at.saturating_sub(now)
}
