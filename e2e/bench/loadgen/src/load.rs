//! The load itself: workers that each send one request at a time, in a closed or an open loop.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, HandshakeKind};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::exchange::{Connection, Reply};
use crate::histogram::Histogram;

/// What is sent, where, and what counts as success.
#[derive(Clone, Debug)]
pub struct Job {
    /// Where to connect.
    pub address: SocketAddr,
    /// The name in the server's certificate.
    pub name: ServerName<'static>,
    /// TLS without resumption; `resume` adds a session cache for each worker.
    pub tls: ClientConfig,
    /// The whole request, head and body.
    pub request: Vec<u8>,
    /// A new connection for each request.
    pub fresh: bool,
    /// Resume TLS sessions.
    pub resume: bool,
    /// One request on each connection, which then idles until the end.
    pub hold: bool,
    /// The wanted status.
    pub expect: u16,
    /// The wanted length of the body.
    pub expect_length: Option<u64>,
    /// For one request, connect included.
    pub timeout: Duration,
    /// Requests a second in all (open loop); `None` is a closed loop.
    pub rate: Option<f64>,
    /// Stop after so many requests.
    pub limit: Option<u64>,
}

impl Job {
    /// Requests fall due at a rate, for some time.
    #[must_use]
    pub fn is_open_loop(&self) -> bool {
        self.rate.is_some() && self.limit.is_none()
    }
}

/// What the workers saw while it was measured.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// Successful requests; in an open loop from the intended start on.
    pub latency: Histogram,
    /// Connects with their handshakes.
    pub handshake: Histogram,
    /// Failures by kind.
    pub errors: BTreeMap<String, u64>,
    /// Bytes of response bodies.
    pub bytes_in: u64,
    /// Version, cipher and kind of the last handshake.
    pub negotiated: String,
    /// Handshakes that resumed a session.
    pub resumed: u64,
}

impl Measured {
    fn merge(&mut self, other: Self) {
        self.latency.merge(&other.latency);
        self.handshake.merge(&other.handshake);
        self.bytes_in += other.bytes_in;
        self.resumed += other.resumed;
        if !other.negotiated.is_empty() {
            self.negotiated = other.negotiated;
        }
        for (kind, count) in other.errors {
            *self.errors.entry(kind).or_default() += count;
        }
    }
}

const WARMING: u8 = 0;
const MEASURING: u8 = 1;
const STOPPED: u8 = 2;
/// Connections that are opened at a time before anything is measured.
const OPENING: usize = 32;

struct Shared {
    job: Job,
    phase: AtomicU8,
    tickets: AtomicU64,
    /// When the first request of an open loop is due.
    begin: OnceLock<Instant>,
    connections: u64,
    /// Who may open a connection now: thousands at once would only wait for each other, and some for too long.
    opening: Semaphore,
    /// Connections that have made a request before anything is measured.
    open: AtomicU64,
}

/// Running workers.
pub struct Load {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<Result<Measured>>>,
}

impl Load {
    /// Starts `connections` workers on `threads` threads; nothing counts before [`Load::measure`].
    #[must_use]
    pub fn start(job: Job, connections: usize, threads: usize) -> Self {
        let shared = Arc::new(Shared {
            job,
            phase: AtomicU8::new(WARMING),
            tickets: AtomicU64::new(0),
            begin: OnceLock::new(),
            connections: connections as u64,
            opening: Semaphore::new(OPENING),
            open: AtomicU64::new(0),
        });
        if shared.job.limit.is_some() {
            shared.phase.store(MEASURING, Relaxed);
        }
        let threads = threads.clamp(1, connections.max(1));
        let threads = (0..threads)
            .map(|index| {
                let shared = Arc::clone(&shared);
                let share = connections / threads + usize::from(index < connections % threads);
                thread::spawn(move || run_workers(&shared, share))
            })
            .collect();
        Self { shared, threads }
    }

    /// From here on requests count.
    pub fn measure(&self) {
        self.shared.phase.store(MEASURING, Relaxed);
    }

    /// How many connections of a hold or an open loop have made their first request.
    #[must_use]
    pub fn open(&self) -> u64 {
        self.shared.open.load(Relaxed)
    }

    /// From here on nothing counts and workers end.
    pub fn stop(&self) {
        self.shared.phase.store(STOPPED, Relaxed);
    }

    /// Waits for all workers and sums what they saw.
    pub fn join(self) -> Result<Measured> {
        let mut sum = Measured::default();
        for thread in self.threads {
            sum.merge(thread.join().map_err(|_| anyhow::anyhow!("a loader thread panicked"))??);
        }
        Ok(sum)
    }
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting the runtime")
}

fn run_workers(shared: &Arc<Shared>, connections: usize) -> Result<Measured> {
    let seen = Rc::new(RefCell::new(Measured::default()));
    let tasks = tokio::task::LocalSet::new();
    for _ in 0..connections {
        tasks.spawn_local(worker(Arc::clone(shared), Rc::clone(&seen)));
    }
    runtime()?.block_on(tasks);
    Ok(seen.take())
}

async fn worker(shared: Arc<Shared>, seen: Rc<RefCell<Measured>>) {
    let job = &shared.job;
    // Every worker keeps its own session tickets, as so many separate consumers would.
    let mut tls = job.tls.clone();
    if job.resume {
        tls.resumption = rustls::client::Resumption::in_memory_sessions(16);
    }
    let tls = Arc::new(tls);
    let mut connection = None;
    if job.hold || job.is_open_loop() {
        open(&shared, &tls, &mut connection).await;
        if let Some(connection) = &connection {
            note_handshake(&mut seen.borrow_mut(), connection, None);
        }
        let all_are_open = || shared.open.load(Relaxed) >= shared.connections;
        while shared.phase.load(Relaxed) != STOPPED && (job.hold || !all_are_open()) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    while shared.phase.load(Relaxed) != STOPPED {
        let ticket = shared.tickets.fetch_add(1, Relaxed);
        if job.limit.is_some_and(|limit| ticket >= limit) {
            return;
        }
        let start = intended_start(&shared, ticket).await;
        let phase = shared.phase.load(Relaxed);
        let mut handshake = None;
        let answer = timeout(job.timeout, request(job, &tls, &mut connection, &mut handshake)).await;
        // A request that reaches over an edge of the measured time belongs to neither side.
        let counts = phase == MEASURING && shared.phase.load(Relaxed) == MEASURING;
        let failure = {
            let mut seen = seen.borrow_mut();
            if let (Some(connection), Some(took)) = (&connection, handshake) {
                note_handshake(&mut seen, connection, counts.then_some(took));
            }
            let failure = judge(job, &answer);
            match &failure {
                Some(kind) if counts => *seen.errors.entry(kind.clone()).or_default() += 1,
                None if counts => {
                    seen.latency.record(start.elapsed());
                    seen.bytes_in += answer.as_ref().map_or(0, |reply| reply.as_ref().map_or(0, |reply| reply.body));
                }
                _ => {}
            }
            failure
        };
        let reusable = matches!(answer, Ok(Ok(reply)) if !reply.close);
        if job.fresh || !reusable {
            connection = None;
        }
        if failure.is_some() {
            // Do not spin on a peer that refuses.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// Makes one request that nobody counts, as often as it takes.
async fn open(shared: &Shared, tls: &Arc<ClientConfig>, connection: &mut Option<Connection>) {
    let job = &shared.job;
    while shared.phase.load(Relaxed) != STOPPED {
        let _one_of_few = shared.opening.acquire().await;
        let answer = timeout(job.timeout, request(job, tls, connection, &mut None)).await;
        if judge(job, &answer).is_none() {
            if job.fresh || matches!(answer, Ok(Ok(reply)) if reply.close) {
                *connection = None;
            }
            shared.open.fetch_add(1, Relaxed);
            return;
        }
        *connection = None;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Now, or in an open loop the time at which this request is due, so that waiting for a slow peer counts.
async fn intended_start(shared: &Shared, ticket: u64) -> Instant {
    let now = Instant::now();
    let Some(rate) = shared.job.rate else { return now };
    let due = *shared.begin.get_or_init(|| now) + Duration::from_secs_f64(ticket as f64 / rate);
    if due > now {
        tokio::time::sleep_until(due.into()).await;
    }
    due
}

async fn request(
    job: &Job,
    tls: &Arc<ClientConfig>,
    connection: &mut Option<Connection>,
    handshake: &mut Option<Duration>,
) -> std::io::Result<Reply> {
    let open = match connection {
        Some(open) => open,
        None => {
            let start = Instant::now();
            let opened = Connection::open(job.address, job.name.clone(), tls).await?;
            *handshake = Some(start.elapsed());
            connection.insert(opened)
        }
    };
    open.exchange(&job.request).await
}

fn note_handshake(seen: &mut Measured, connection: &Connection, counted: Option<Duration>) {
    let session = connection.session();
    seen.negotiated = format!(
        "{:?} {:?} {:?}",
        session.protocol_version(),
        session.negotiated_cipher_suite().map(|suite| suite.suite()),
        session.handshake_kind()
    )
    .replace("Some(", "")
    .replace(')', "");
    if let Some(took) = counted {
        seen.handshake.record(took);
        seen.resumed += u64::from(session.handshake_kind() == Some(HandshakeKind::Resumed));
    }
}

/// The kind of failure, if it is one.
fn judge(job: &Job, answer: &Result<std::io::Result<Reply>, tokio::time::error::Elapsed>) -> Option<String> {
    match answer {
        Err(_) => Some("timeout".to_owned()),
        Ok(Err(error)) => Some(error.to_string().chars().take(80).collect()),
        Ok(Ok(reply)) if reply.status != job.expect => Some(format!("status {}", reply.status)),
        Ok(Ok(reply)) if job.expect_length.is_some_and(|length| length != reply.body) => {
            Some(format!("length {}", reply.body))
        }
        Ok(Ok(_)) => None,
    }
}

/// Tries until one request succeeds; the time that took, or `None` after `limit`.
pub fn wait_ready(job: &Job, limit: Duration) -> Result<Option<Duration>> {
    let tls = Arc::new(job.tls.clone());
    let start = Instant::now();
    runtime()?.block_on(async {
        while start.elapsed() < limit {
            let answer = timeout(Duration::from_secs(5), request(job, &tls, &mut None, &mut None)).await;
            if judge(job, &answer).is_none() {
                return Ok(Some(start.elapsed()));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(None)
    })
}
