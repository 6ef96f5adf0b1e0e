//! Idle connections of one worker thread. Last in, first out, so that the others can age away; each is looked at for a
//! close before it is used, and none idles as long as its peer would let it.

use crate::http1::Conn;
use crate::telemetry::metrics::{self, Connected, ProducerMetrics};
use hashbrown::HashMap;
use std::cell::RefCell;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

/// Everything that makes two connections interchangeable.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct PoolKey {
    pub host: Arc<str>,
    pub port: u16,
    /// The TLS identity that the connection was made with (certificate, trust and server name); `None` is plain.
    pub identity: Option<u64>,
}

/// A connection to a producer, counted as open while it is.
pub(crate) struct ProducerConn {
    pub conn: Conn,
    pub _counted: Connected,
}

struct Idle {
    line: ProducerConn,
    until: Instant,
    _counted: metrics::Idle,
}

/// The idle connections of a worker.
#[derive(Default)]
pub(crate) struct Pool(RefCell<HashMap<PoolKey, Vec<Idle>>>);

impl Pool {
    /// A connection that can be used again and has not been closed as far as can be seen.
    pub(crate) async fn take(&self, key: &PoolKey) -> Option<ProducerConn> {
        loop {
            let idle = self.0.borrow_mut().get_mut(key)?.pop()?;
            if idle.until <= Instant::now() {
                continue;
            }
            let mut line = idle.line;
            // Anything to read on an idle connection is a close, an alert or an answer to nobody.
            let quiet = poll_fn(|cx| Poll::Ready(line.conn.poll_fill(cx).is_pending())).await;
            if quiet {
                return Some(line);
            }
        }
    }

    /// Keeps `line` for another call within `idle`, unless `limit` connections are kept already.
    pub(crate) fn put(
        &self,
        key: PoolKey,
        mut line: ProducerConn,
        idle: Duration,
        limit: usize,
        metrics: &Arc<ProducerMetrics>,
    ) {
        if !line.conn.input.is_empty() || !line.conn.is_drained() || idle.is_zero() {
            return;
        }
        line.conn.release_buffers();
        let mut pool = self.0.borrow_mut();
        let kept = pool.entry(key).or_default();
        if kept.len() < limit {
            kept.push(Idle { line, until: Instant::now() + idle, _counted: metrics.connection_idle() });
        }
    }

    /// Closes what has idled long enough, and what was made with an identity that `is_known` no longer knows.
    pub(crate) fn sweep(&self, is_known: impl Fn(&PoolKey) -> bool) {
        let now = Instant::now();
        self.0.borrow_mut().retain(|key, idle| {
            idle.retain(|i| i.until > now);
            !idle.is_empty() && is_known(key)
        });
    }
}
