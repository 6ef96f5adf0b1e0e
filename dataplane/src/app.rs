//! The dataplane put together: settings, table feed, workers, listeners and admin port, and the order in which they
//! start and stop. The workers carry nothing but calls; everything else runs on the runtime of whoever starts this.

#[cfg(test)]
mod tests;

use crate::admin::{self, Admin, AskControlPlane, Explained, ListenerInfo, PlatformInfo, Question, Sources};
use crate::control::{Phase, Shared, Signal};
use crate::ready::{self, Readiness};
use crate::settings::{self, Live, Settings};
use crate::telemetry::log::{self, Event, Format, Log, Service};
use crate::telemetry::metrics::Metrics;
use crate::worker::{self, Handle};
use crate::{listen, open_files, upkeep};
use anyhow::Context;
use arc_swap::ArcSwap;
use rivmesh_sync::Identity;
use rivmesh_sync::feed::{self, Feed, FeedStatus};
use rivmesh_sync::grpc::Connector;
use rivmesh_table::{Query, Table};
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// How to start a dataplane.
pub struct Options {
    /// `platform.yaml`.
    pub config: PathBuf,
    /// The operator to follow; without one, the table on disk is served for ever.
    pub operator: Option<Connector>,
    /// This instance's name for people: the pod's name.
    pub pod: String,
    /// The uid of that pod; empty outside a cluster.
    pub pod_uid: String,
    /// How calls and events are written.
    pub log_format: Format,
    /// Where they are written to.
    pub log_to: Box<dyn Write + Send>,
    /// What an operator in the same process adds to `/status`.
    pub control_plane: Option<AskControlPlane>,
}

/// A dataplane that is running.
pub struct Running {
    /// Bound addresses of the listeners, by name.
    pub listeners: Vec<(Arc<str>, SocketAddr)>,
    /// Whether it takes calls, and what it waits for.
    pub readiness: Readiness,
    /// The table in force.
    pub table: Arc<ArcSwap<Table>>,
    /// How the feed of tables is doing.
    pub feed: watch::Receiver<FeedStatus>,
    shared: Arc<Shared>,
    signal: watch::Sender<Signal>,
    workers: Vec<JoinHandle<()>>,
    tasks: JoinSet<()>,
    admin: Admin,
    // Last, so that it is still there to write what the others log when they end.
    log: Log,
}

/// Starts a dataplane and returns once its listeners are bound. It is ready when [`Running::readiness`] says so.
///
/// # Errors
/// Settings or files that cannot be used, and addresses that cannot be bound, each with what to do about it.
pub async fn start(options: Options) -> anyhow::Result<Running> {
    open_files::raise_limit();
    let settings = settings::load(&options.config)?;
    let live: Live = Arc::new(ArcSwap::from_pointee(settings));
    let settings = live.load_full();
    let metrics = Arc::new(Metrics::new());
    let log = log::start(options.log_format, &service(&settings, &options.pod), options.log_to, metrics.log_dropped())?;
    let readiness = Readiness::new();
    let binding = readiness.block(ready::LISTENERS);
    let waiting = readiness.block(ready::TABLE);
    let table = Arc::new(ArcSwap::from_pointee(Table::empty()));
    let (signal, signals) = watch::channel(Signal::default());
    let shared = Arc::new(Shared::new(live, table.clone(), metrics, log.sender(), signals));

    let mut tasks = JoinSet::new();
    let (workers, handles) = start_workers(&settings, &shared)?;
    let mut listeners = Vec::new();
    for listener in &settings.platform.listeners {
        let socket = listen::bind(listener.address)
            .with_context(|| format!("listener {} cannot use address {}", listener.name, listener.address))?;
        let name: Arc<str> = Arc::from(listener.name.as_str());
        listeners.push((name.clone(), socket.local_addr()?));
        tasks.spawn(listen::accept(socket, name, handles.clone(), shared.clone()));
    }
    drop(handles);
    drop(binding);

    let (status, feed) = watch::channel(FeedStatus::default());
    let max_stale = settings.platform.table.max_stale;
    let has_operator = options.operator.is_some();
    let (ready, events) = (readiness.clone(), log.sender());
    tasks.spawn(upkeep::table_readiness(ready, waiting, events, feed.clone(), has_operator, max_stale));
    tasks.spawn(upkeep::table_news(shared.clone(), feed.clone(), readiness.clone()));
    tasks.spawn(upkeep::follow_files(shared.clone(), options.config, signal.clone()));
    let environment = settings.platform.environment.clone();
    let identity = Identity { pod: options.pod, pod_uid: options.pod_uid, environment: Some(environment) };
    tasks.spawn(follow(options.operator, identity, settings.platform.table.directory.clone(), table.clone(), status));

    let admin = serve_admin(&settings, &shared, &readiness, options.control_plane, &listeners)?;
    let urls: Vec<String> = listeners.iter().map(|(name, address)| format!("{name} on {address}")).collect();
    log.sender().event(Event::Started { listeners: urls.join(", ") });
    Ok(Running { listeners, readiness, table, feed, shared, signal, workers, tasks, admin, log })
}

fn service(settings: &Settings, pod: &str) -> Service {
    let about = &settings.platform;
    Service {
        name: about.name.clone(),
        environment: about.environment.to_string(),
        hsa_id: about.hsa_id.to_string(),
        host: pod.to_owned(),
    }
}

type Workers = (Vec<JoinHandle<()>>, Arc<[Handle]>);

fn start_workers(settings: &Settings, shared: &Arc<Shared>) -> anyhow::Result<Workers> {
    let mut threads = Vec::new();
    let mut handles = Vec::new();
    for index in 0..settings.platform.workers.get() {
        let (handle, thread) = worker::start(index, shared.clone()).context("a worker thread cannot be started")?;
        threads.push(thread);
        handles.push(handle);
    }
    Ok((threads, handles.into()))
}

/// Follows the operator, or serves what is on disk where there is none.
async fn follow(
    operator: Option<Connector>,
    identity: Identity,
    store: Option<PathBuf>,
    table: Arc<ArcSwap<Table>>,
    status: watch::Sender<FeedStatus>,
) {
    let current = table.clone();
    let install = move |next| table.store(next);
    match operator {
        Some(connector) => {
            let feed = Feed { identity, connector, store };
            feed::run(feed, move || current.load_full(), install, status, std::future::pending()).await;
        }
        None => {
            upkeep::serve_stored(store, identity.environment, install, &status).await;
            // The status stays what it is for as long as the process lives.
            std::future::pending::<()>().await;
        }
    }
}

fn serve_admin(
    settings: &Settings,
    shared: &Arc<Shared>,
    readiness: &Readiness,
    control_plane: Option<AskControlPlane>,
    listeners: &[(Arc<str>, SocketAddr)],
) -> anyhow::Result<Admin> {
    let address = settings.platform.admin.address;
    let socket = std::net::TcpListener::bind(address)
        .with_context(|| format!("admin.address {address} cannot be used; give another one"))?;
    let (asked, asking) = (shared.clone(), shared.clone());
    let listeners: Vec<(Arc<str>, SocketAddr)> = listeners.to_vec();
    let sources = Sources {
        platform: Box::new(move || platform_info(&asked.settings.load(), &listeners)),
        readiness: readiness.clone(),
        metrics: shared.metrics.clone(),
        explain: Box::new(move |question| explain(&asking, question)),
        control_plane,
    };
    Ok(admin::serve(socket, sources)?)
}

fn platform_info(settings: &Settings, listeners: &[(Arc<str>, SocketAddr)]) -> PlatformInfo {
    let about = &settings.platform;
    let info = |(name, address): &(Arc<str>, SocketAddr)| {
        let is_plain = settings.listener(name).is_some_and(|l| l.tls.is_none());
        ListenerInfo { name: name.to_string(), url: format!("{}://{address}", if is_plain { "http" } else { "https" }) }
    };
    PlatformInfo {
        name: about.name.clone(),
        hsa_id: about.hsa_id.to_string(),
        environment: about.environment.to_string(),
        listeners: listeners.iter().map(info).collect(),
    }
}

fn explain(shared: &Shared, question: &Question) -> Result<Explained, String> {
    let table = shared.table.load();
    if table.is_empty() {
        return Err("No routing table has been loaded yet, so every call is answered with VP008.".to_owned());
    }
    let Question { consumer, contract, address, profile, at } = question;
    let query = Query { consumer, contract, address, profile, now: *at };
    let explanation = table.explain(&query, &shared.settings.load().platform.switches());
    let json = serde_json::to_value(&explanation).map_err(|e| e.to_string())?;
    Ok(Explained { json, text: explanation.to_string() })
}

impl Running {
    /// Bound address of the admin port.
    pub fn admin(&self) -> SocketAddr {
        self.admin.address()
    }

    /// The metrics of the process, for a control plane in it to add to.
    pub fn metrics(&self) -> Arc<Metrics> {
        self.shared.metrics.clone()
    }

    /// The log that calls and events go to.
    pub fn log(&self) -> log::Sender {
        self.log.sender()
    }

    /// Ends in order: not ready, then accepting a little longer while answers close their connections, then finishing
    /// what is in flight. Returns how many connections had to be cut.
    pub async fn drain(mut self) -> usize {
        let timeouts = self.shared.settings.load().platform.timeouts.clone();
        self.readiness.drain();
        self.log.sender().event(Event::Draining);
        self.set_phase(Phase::Draining);
        tokio::time::sleep(timeouts.drain_delay).await;
        self.set_phase(Phase::Closing);
        let workers = std::mem::take(&mut self.workers);
        let finished = tokio::task::spawn_blocking(move || workers.into_iter().for_each(|w| drop(w.join())));
        let unfinished = match tokio::time::timeout(timeouts.drain, finished).await {
            Ok(_) => 0,
            Err(_) => self.shared.connections.count(),
        };
        self.tasks.shutdown().await;
        self.log.sender().event(Event::Stopped { unfinished: unfinished as u64 });
        unfinished
    }

    fn set_phase(&self, phase: Phase) {
        self.signal.send_modify(|signal| signal.phase = phase);
    }
}
