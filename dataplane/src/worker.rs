//! A worker thread: one single-threaded runtime with its own pool of connections to producers. A connection of a
//! consumer stays on one worker for life, so that a call touches no other thread; new connections go to the worker that
//! has the fewest.

use crate::connection;
use crate::control::Shared;
use crate::telemetry::log::Lane;
use crate::telemetry::metrics::ProducerMetrics;
use crate::upstream::{Endpoint, Pool, Resolver};
use hashbrown::HashMap;
use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::LocalSet;

/// How often idle connections to producers are looked through.
const SWEEP_EVERY: Duration = Duration::from_secs(5);
/// Above this many cached endpoints the cache starts anew.
const MAX_CACHED_ENDPOINTS: usize = 10_000;

/// What the connections of one thread share.
pub(crate) struct Worker {
    pub shared: Arc<Shared>,
    /// Where its calls are logged.
    pub log: Lane,
    pub pool: Pool,
    pub resolver: Resolver,
    endpoints: RefCell<HashMap<String, Callable>>,
}

/// An endpoint with the counters of its producer.
#[derive(Clone)]
pub(crate) struct Callable {
    pub endpoint: Arc<Endpoint>,
    pub metrics: Arc<ProducerMetrics>,
}

impl Worker {
    /// The endpoint of a route's URL; `None` if it cannot be called.
    pub(crate) fn endpoint(&self, url: &str) -> Option<Callable> {
        if let Some(known) = self.endpoints.borrow().get(url) {
            return Some(known.clone());
        }
        let endpoint = self.shared.registry.get(url)?;
        let metrics = self.shared.metrics.producer(&endpoint.host, endpoint.port);
        let callable = Callable { endpoint, metrics };
        let mut cache = self.endpoints.borrow_mut();
        if cache.len() >= MAX_CACHED_ENDPOINTS {
            cache.clear();
        }
        cache.insert(url.to_owned(), callable.clone());
        Some(callable)
    }
}

/// A connection just accepted.
pub(crate) struct Accepted {
    pub tcp: std::net::TcpStream,
    pub peer: SocketAddr,
    /// Name of the listener that accepted it.
    pub listener: Arc<str>,
}

/// A running worker, as the accept loops see it.
pub(crate) struct Handle {
    sender: UnboundedSender<Accepted>,
    open: Arc<AtomicUsize>,
}

impl Handle {
    /// Connections that the worker has open.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Gives the worker a connection.
    pub(crate) fn give(&self, accepted: Accepted) {
        self.open.fetch_add(1, Ordering::Relaxed);
        // Fails only when the worker has ended, and then the connection is closed by being dropped.
        let _ = self.sender.send(accepted);
    }
}

/// Starts a worker; it ends when all [`Handle`]s are gone and its last connection is closed.
pub(crate) fn start(index: usize, shared: Arc<Shared>) -> io::Result<(Handle, JoinHandle<()>)> {
    let (sender, receiver) = unbounded_channel();
    let open = Arc::new(AtomicUsize::new(0));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let counter = open.clone();
    let thread = std::thread::Builder::new()
        .name(format!("worker-{index}"))
        .spawn(move || LocalSet::new().block_on(&runtime, run(shared, receiver, counter)))?;
    Ok((Handle { sender, open }, thread))
}

async fn run(shared: Arc<Shared>, mut accepted: UnboundedReceiver<Accepted>, open: Arc<AtomicUsize>) {
    let log = shared.log.lane(shared.settings.load().platform.workers);
    let (pool, resolver) = (Pool::default(), Resolver::default());
    let worker = Rc::new(Worker { shared, log, pool, resolver, endpoints: RefCell::default() });
    let sweeper = tokio::task::spawn_local(sweep(worker.clone()));
    let tasks = tokio_util::task::TaskTracker::new();
    while let Some(Accepted { tcp, peer, listener }) = accepted.recv().await {
        let place = OpenPlace(open.clone());
        let Ok(tcp) = TcpStream::from_std(tcp) else { continue };
        let worker = worker.clone();
        tasks.spawn_local(async move {
            connection::serve(&worker, tcp, peer, &listener).await;
            drop(place);
        });
    }
    tasks.close();
    tasks.wait().await;
    sweeper.abort();
}

async fn sweep(worker: Rc<Worker>) {
    loop {
        tokio::time::sleep(SWEEP_EVERY).await;
        let settings = worker.shared.settings.load_full();
        worker.pool.sweep(|key| key.identity.is_none_or(|identity| settings.upstream.knows(identity)));
    }
}

struct OpenPlace(Arc<AtomicUsize>);

impl Drop for OpenPlace {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
