//! The thread that writes the log.

use super::event::Event;
use super::lane::{Batch, Shelf};
use super::{Message, Shared};
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
    shared: Arc<Shared>,
    /// What the calls of a worker came in last; its room goes to the next.
    spare: Batch,
    batch: String,
    /// Lines in `batch`.
    lines: u64,
    /// How many of the lost lines have been told.
    told: u64,
}

impl<W: Write> Writer<W> {
    pub(super) fn new(out: W, shared: Arc<Shared>) -> Self {
        Self { out, shared, spare: Batch::default(), batch: String::with_capacity(BATCH), lines: 0, told: 0 }
    }

    /// Writes until every sender is gone.
    pub(super) fn run(mut self, queue: &Receiver<Message>) {
        loop {
            match queue.recv_timeout(TICK) {
                Ok(message) => {
                    if !matches!(message, Message::Flush(_)) {
                        std::thread::sleep(GATHER);
                    }
                    self.take(message);
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
            Message::Calls(shelf) => self.calls(&shelf),
            Message::Event(event, at) => self.event(&event, at),
            Message::Refused(refused, at) => {
                self.shared.renderer.entry(&mut self.batch, &refused.entry(), at);
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

    fn calls(&mut self, shelf: &Shelf) {
        // What came before goes out before.
        self.write();
        let calls = shelf.swap(std::mem::take(&mut self.spare));
        self.put(&calls.text, calls.lines);
        self.spare = calls;
    }

    fn event(&mut self, event: &Event, at: SystemTime) {
        self.shared.renderer.event(&mut self.batch, event, at);
        self.lines += 1;
    }

    /// Writes what has gathered, and what there is to tell about lines that were left out or lost.
    fn finish(&mut self, closing: bool) {
        let suppressed = self.shared.limiter().turn(Instant::now(), closing);
        if let Some(suppressed) = suppressed {
            self.shared.renderer.entry(&mut self.batch, &suppressed.entry(), SystemTime::now());
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
        let mut batch = std::mem::take(&mut self.batch);
        let lines = std::mem::take(&mut self.lines);
        self.put(&batch, lines);
        batch.clear();
        self.batch = batch;
    }

    fn put(&mut self, text: &str, lines: u64) {
        if text.is_empty() {
            return;
        }
        let written = self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush());
        if written.is_err() {
            // Nobody reads; counting is all that can be done, and telling it here would only fail again.
            self.shared.dropped.fetch_add(lines, Ordering::Relaxed);
            self.told += lines;
        }
    }
}
