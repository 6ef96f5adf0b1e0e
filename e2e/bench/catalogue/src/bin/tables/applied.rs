//! Who has acknowledged which table, and what that took.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use rivmesh_operator::ledger::Ledger;
use rivmesh_sync::Event;
use rivmesh_sync::grpc::{Observer, StreamId};
use tokio::sync::watch;

/// Keeps the operator's own account, and beside it the epoch that each stream serves.
pub(crate) struct Applied {
    ledger: Arc<Ledger>,
    epochs: watch::Sender<HashMap<StreamId, u64>>,
}

impl Applied {
    pub(crate) fn new(ledger: Arc<Ledger>) -> Arc<Self> {
        Arc::new(Self { ledger, epochs: watch::Sender::default() })
    }

    pub(crate) fn ledger(&self) -> Arc<Ledger> {
        self.ledger.clone()
    }

    /// Waits until so many streams serve this table or a later one.
    pub(crate) async fn by(&self, streams: usize, epoch: u64) {
        let there = |epochs: &HashMap<_, u64>| epochs.values().filter(|applied| **applied >= epoch).count() >= streams;
        // The sender is ours, so that it cannot have gone.
        let _ = self.epochs.subscribe().wait_for(there).await;
    }
}

impl Observer for Applied {
    fn event(&self, stream: StreamId, event: Event) {
        if let Event::Applied { epoch, .. } = &event {
            self.epochs.send_modify(|epochs| {
                epochs.insert(stream, *epoch);
            });
        }
        self.ledger.event(stream, event);
    }

    fn closed(&self, stream: StreamId, reason: Option<String>) {
        self.epochs.send_modify(|epochs| {
            epochs.remove(&stream);
        });
        self.ledger.closed(stream, reason);
    }
}

/// Median and maximum.
pub(crate) fn typical_and_longest(durations: &mut [Duration]) -> [Duration; 2] {
    durations.sort();
    [durations.get(durations.len() / 2), durations.last()].map(|duration| duration.copied().unwrap_or_default())
}

/// Processor time of this process, user and system.
pub(crate) struct Cpu(f64);

impl Cpu {
    pub(crate) fn now() -> Self {
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
        // The name may hold spaces and stands in brackets; behind it utime and stime are the 12th and 13th, in ticks of 10 ms.
        let behind = stat.rsplit_once(')').map_or("", |(_, behind)| behind);
        let ticks = behind.split_ascii_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok());
        Self(ticks.sum::<f64>() / 100.0)
    }

    pub(crate) fn seconds(&self) -> f64 {
        Self::now().0 - self.0
    }
}
