//! The log: one line per call and per event on standard output. Lines of calls are put together on the worker that carried
//! the call, everything else on the thread that writes; whoever logs goes on at once. When too much waits to be written,
//! lines are dropped and counted: a reader of the log that does not keep up must not cost a call.

mod call;
mod entry;
mod event;
mod lane;
mod layer;
mod limit;
mod probing;
mod render;
mod scrub;
#[cfg(test)]
mod tests;
mod writer;

pub use entry::ACTIONS;
pub use event::{Alert, Event, Intrusion, REFUSALS, RefusedHandshake};
pub use lane::Lane;
pub use layer::{ProcessLayer, install};
pub use render::{Format, Service};

use lane::Shelf;
use limit::Limiter;
use probing::Watch;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// Lines that may wait to be written.
const QUEUE: usize = 8192;
/// For how long a stopping process waits for its last lines to be written.
const FLUSH: Duration = Duration::from_secs(2);

/// What goes to the writer.
enum Message {
    /// A worker has lines of calls.
    Calls(Shelf),
    Event(Box<Event>, SystemTime),
    Refused(Box<RefusedHandshake>, SystemTime),
    /// Everything before this is to be written out, and the sender told.
    Flush(SyncSender<()>),
}

/// The way into the log. Cheap to clone; no method ever waits.
#[derive(Clone)]
pub struct Sender {
    queue: SyncSender<Message>,
    shared: Arc<Shared>,
}

/// What senders and the writer share.
struct Shared {
    /// Lines lost; metrics show it too.
    dropped: Arc<AtomicU64>,
    refusals: Mutex<Limiter>,
    renderer: render::Renderer,
    /// Only faults are told to it.
    watch: Mutex<Watch>,
}

/// Keeps the writer. On drop the lines that wait are written, for at most two seconds.
#[derive(Debug)]
pub struct Log(Sender);

/// Starts the writer thread, which writes to `out`. Lost lines are added to `dropped`.
///
/// # Errors
/// When the thread cannot be started.
pub fn start(
    format: Format,
    service: &Service,
    out: impl Write + Send + 'static,
    dropped: Arc<AtomicU64>,
) -> io::Result<Log> {
    let (queue, lines) = sync_channel(QUEUE);
    let (refusals, watch) = (Mutex::new(Limiter::new(Instant::now())), Mutex::new(Watch::new(Instant::now())));
    let renderer = render::Renderer::new(format, service);
    let shared = Arc::new(Shared { dropped, refusals, renderer, watch });
    let writer = writer::Writer::new(out, shared.clone());
    std::thread::Builder::new().name("log".into()).spawn(move || writer.run(&lines))?;
    Ok(Log(Sender { queue, shared }))
}

impl Log {
    /// A way into this log.
    pub fn sender(&self) -> Sender {
        self.0.clone()
    }

    /// Waits until everything logged before has been written; `false` if that took longer than `patience`.
    pub fn flush(&self, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        let (done, wait) = sync_channel(1);
        let mut message = Message::Flush(done);
        loop {
            match self.0.queue.try_send(message) {
                Ok(()) => return wait.recv_timeout(until.saturating_duration_since(Instant::now())).is_ok(),
                Err(TrySendError::Full(back)) if Instant::now() < until => message = back,
                Err(_) => return false,
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.flush(FLUSH);
    }
}

impl Sender {
    /// A way for the calls of one of so many workers.
    pub fn lane(&self, workers: NonZeroUsize) -> Lane {
        Lane::new(self.clone(), workers)
    }

    /// Logs an event.
    pub fn event(&self, event: Event) {
        self.send(Message::Event(Box::new(event), SystemTime::now()));
    }

    /// Logs a refused handshake, unless too many of that peer or in all have been logged this minute; those are counted.
    pub fn refused_handshake(&self, refused: RefusedHandshake) {
        let allowed = self.shared.limiter().allow(refused.peer);
        if allowed {
            self.send(Message::Refused(Box::new(refused), SystemTime::now()));
        }
    }

    fn send(&self, message: Message) {
        if self.queue.try_send(message).is_err() {
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Shared {
    fn watch(&self) -> std::sync::MutexGuard<'_, Watch> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn limiter(&self) -> std::sync::MutexGuard<'_, Limiter> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Sender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sender").finish_non_exhaustive()
    }
}
