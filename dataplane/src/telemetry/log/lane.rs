//! The lines of one worker's calls. They are written where the call ended, while all that they tell is in this core's cache
//! and nothing of it has to be given to another thread; the writer takes them away by the batch.

use super::event::{Alert, Event, Intrusion};
use super::{Message, Sender};
use crate::telemetry::record::{CallRecord, Outcome};
use rivmesh_rivta::VpCode;
use std::num::NonZeroUsize;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Bytes that may wait in all lanes to be written.
const MOST: usize = 16 * 1024 * 1024;
/// What a lane keeps of a batch's room for the next.
const KEPT: usize = 256 * 1024;

/// Lines on their way to the writer, with their number.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) text: String,
    pub(super) lines: u64,
    /// Whether the writer knows that there is something.
    told: bool,
}

/// A batch that a worker fills and the writer empties.
#[derive(Debug, Clone, Default)]
pub(super) struct Shelf(Arc<Mutex<Batch>>);

impl Shelf {
    fn batch(&self) -> MutexGuard<'_, Batch> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Exchanges what is there for an empty batch, whose room is used next.
    pub(super) fn swap(&self, mut with: Batch) -> Batch {
        with.text.clear();
        with.text.shrink_to(KEPT);
        std::mem::replace(&mut *self.batch(), Batch { text: with.text, ..Batch::default() })
    }
}

/// The way of one worker's calls into the log; no method ever waits for the disk.
#[derive(Debug)]
pub struct Lane {
    sender: Sender,
    shelf: Shelf,
    /// Bytes that may wait here.
    most: usize,
}

impl Lane {
    /// One of so many.
    pub(super) fn new(sender: Sender, lanes: NonZeroUsize) -> Self {
        Self { sender, shelf: Shelf::default(), most: MOST / lanes }
    }

    /// Logs a finished call.
    pub fn call(&self, record: &CallRecord<'_>) {
        let shared = &self.sender.shared;
        let mut batch = self.shelf.batch();
        if batch.text.len() > self.most {
            shared.dropped.fetch_add(1, Ordering::Relaxed);
        } else {
            shared.renderer.call(&mut batch.text, record);
            batch.lines += 1;
        }
        self.tell(&mut batch);
        drop(batch);
        if let Some(intrusion) = self.intrusion(record) {
            self.sender.send(Message::Event(Box::new(Event::Intrusion(intrusion)), record.started + record.duration));
        }
    }

    /// Tells the writer that there is something, unless it knows. Where its queue is full, the next call tells it.
    fn tell(&self, batch: &mut Batch) {
        if !batch.told {
            batch.told = self.sender.queue.try_send(Message::Calls(self.shelf.clone())).is_ok();
        }
    }

    /// Whether a call is something that security should look at.
    fn intrusion(&self, record: &CallRecord<'_>) -> Option<Intrusion> {
        let code = match &record.outcome {
            Outcome::Fault { code, .. } => Some(*code),
            _ => None,
        };
        let (alert, detail) = if record.untrusted_original_consumer {
            let detail = "the caller named an original consumer and is not one of trustedPlatforms";
            (Alert::UntrustedOriginalConsumer, detail.to_owned())
        } else if code == Some(VpCode::Vp011) {
            (Alert::PeerNotAllowed, "a peer that may not use this listener called".to_owned())
        } else {
            let code = code?;
            let contract = record.contract.as_deref().unwrap_or_default();
            let address = record.address.as_deref().unwrap_or_default();
            let mut watch = self.sender.shared.watch();
            let different = watch.note(code, &record.consumer, contract, address, Instant::now())?;
            let detail = format!("the caller tried {different} different addresses and contracts that it may not call");
            (Alert::Probing, detail)
        };
        Some(Intrusion {
            alert,
            listener: record.origin.listener.clone(),
            peer: record.origin.peer.ip(),
            consumer: record.consumer.clone(),
            detail,
        })
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        let mut batch = self.shelf.batch();
        if batch.lines > 0 {
            self.tell(&mut batch);
        }
        if !batch.told {
            self.sender.shared.dropped.fetch_add(batch.lines, Ordering::Relaxed);
        }
    }
}
