//! The thread that writes the log.

use super::event::{Alert, Event, Intrusion};
use super::probing::Watch;
use super::render::Renderer;
use super::{Message, Shared};
use crate::telemetry::record::{CallRecord, Outcome};
use rivmesh_rivta::VpCode;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime};

/// For how long lines gather after the first, so that a busy platform wakes this thread a few hundred times a second and
/// not for every call.
const GATHER: Duration = Duration::from_millis(4);
/// How often it looks for something to tell when nothing is logged.
const TICK: Duration = Duration::from_secs(10);
/// Written at least after so many bytes.
const BATCH: usize = 64 * 1024;

pub(super) struct Writer<W> {
    out: W,
    renderer: Renderer,
    shared: Arc<Shared>,
    watch: Watch,
    batch: String,
    /// Lines in `batch`.
    lines: u64,
    /// How many of the lost lines have been told.
    told: u64,
}

impl<W: Write> Writer<W> {
    pub(super) fn new(out: W, renderer: Renderer, shared: Arc<Shared>) -> Self {
        let watch = Watch::new(Instant::now());
        Self { out, renderer, shared, watch, batch: String::with_capacity(BATCH), lines: 0, told: 0 }
    }

    /// Writes until every sender is gone.
    pub(super) fn run(mut self, queue: &Receiver<Message>) {
        loop {
            match queue.recv_timeout(TICK) {
                Ok(message) => {
                    let urgent = matches!(message, Message::Flush(_));
                    self.take(message);
                    if !urgent {
                        std::thread::sleep(GATHER);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.finish(true),
            }
            while let Ok(message) = queue.try_recv() {
                self.take(message);
            }
            self.finish(false);
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Call(record) => self.call(&record),
            Message::Event(event, at) => self.event(&event, at),
            Message::Refused(refused, at) => {
                self.renderer.entry(&mut self.batch, &refused.entry(), at);
                self.lines += 1;
            }
            Message::Flush(done) => {
                self.finish(true);
                // Whoever waits may have given up.
                let _ = done.send(());
            }
        }
        if self.batch.len() >= BATCH {
            self.write();
        }
    }

    fn call(&mut self, record: &CallRecord) {
        self.renderer.call(&mut self.batch, record);
        self.lines += 1;
        if let Some(intrusion) = self.intrusion(record) {
            self.event(&Event::Intrusion(intrusion), record.started + record.duration);
        }
    }

    fn event(&mut self, event: &Event, at: SystemTime) {
        self.renderer.event(&mut self.batch, event, at);
        self.lines += 1;
    }

    /// Whether a call is something that security should look at.
    fn intrusion(&mut self, record: &CallRecord) -> Option<Intrusion> {
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
            let contract = record.contract.as_deref().unwrap_or_default();
            let address = record.address.as_deref().unwrap_or_default();
            let different = self.watch.note(code?, &record.consumer, contract, address, Instant::now())?;
            let detail = format!("the caller tried {different} different addresses and contracts that it may not call");
            (Alert::Probing, detail)
        };
        Some(Intrusion {
            alert,
            listener: record.listener.clone(),
            peer: record.peer.ip(),
            consumer: record.consumer.clone(),
            detail,
        })
    }

    /// Writes what has gathered, and what there is to tell about lines that were left out or lost.
    fn finish(&mut self, closing: bool) {
        let suppressed = self.shared.limiter().turn(Instant::now(), closing);
        if let Some(suppressed) = suppressed {
            self.renderer.entry(&mut self.batch, &suppressed.entry(), SystemTime::now());
            self.lines += 1;
        }
        self.write();
        let lost = self.shared.dropped.load(Ordering::Relaxed);
        if lost > self.told {
            let count = lost - self.told;
            self.told = lost;
            self.event(&Event::LinesDropped { count }, SystemTime::now());
            self.write();
        }
    }

    fn write(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let written = self.out.write_all(self.batch.as_bytes()).and_then(|()| self.out.flush());
        if written.is_err() {
            // Nobody reads; counting is all that can be done, and telling it here would only fail again.
            self.shared.dropped.fetch_add(self.lines, Ordering::Relaxed);
            self.told += self.lines;
        }
        self.batch.clear();
        self.lines = 0;
    }
}
