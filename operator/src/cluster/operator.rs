//! The operator in a cluster, put together: the catalogue of the API server is compiled, published and served to dataplane
//! pods, and what becomes of it is written back. Every replica does all of it but the writing, which the leader does.
//!
//! Nothing here is in the path of a call. What fails is tried again for ever; what ends although it should not ends the
//! process, so that Kubernetes starts it anew instead of leaving half an operator.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use anyhow::{Context, anyhow};
use arc_swap::ArcSwapOption;
use kube::Client;
use kube::runtime::events::{Recorder, Reporter};
use rivmesh_sync::grpc::{self, ServerIdentity, TableSync, tls_incoming};
use rivmesh_table::{CompileOptions, ObjectId};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tracing::info;

use super::admission::{Policy, TokenGate};
use super::baseline::Store;
use super::identity::{Identity, InService};
use super::lease::{Candidate, Leadership};
use super::{Replica, alarms, client, pods, reports, status_writer};
use crate::admin;
use crate::ledger::{Ledger, Observed};
use crate::metrics::{Metrics, Moment};
use crate::publish::{self, Input};
use crate::source::Batch;
use crate::source::kubernetes::{self, Heartbeats, Listener, Scope};
use crate::{notice, serve};

/// How often time is told to the ledger.
const TICK: Duration = Duration::from_secs(1);
/// How long the parts may take to end.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// How to run.
#[derive(Debug, Clone)]
pub struct Options {
    /// This replica.
    pub replica: Replica,
    /// The namespaces that are watched.
    pub scope: Scope,
    /// Where dataplanes connect to.
    pub listen: SocketAddr,
    /// The port of `/readyz` and `/metrics`.
    pub admin: SocketAddr,
    /// The names by which dataplanes reach the operator: those of its certificate.
    pub names: Vec<String>,
    /// The Service whose ready endpoints are the dataplanes that take calls.
    pub dataplane_service: String,
    /// Which tokens count.
    pub policy: Policy,
    /// A certificate that somebody else keeps; with none the operator keeps its own.
    pub certificate: Option<ServerIdentity>,
    /// HSA unit files.
    pub hsa_units: Vec<PathBuf>,
    /// What the compiler must know about the platform.
    pub compile: CompileOptions,
    /// Statuses written in a second, in the long run.
    pub status_rate: u16,
}

/// Runs until `stop`.
///
/// # Errors
/// When there is no way to an API server, an address cannot be used, or a part has ended that never should.
pub async fn run(options: Options, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    let compile_seconds = Metrics::compile_seconds();
    let metrics = Arc::new(Metrics::new(compile_seconds.clone()));
    let client = client::connect(metrics.requests.clone()).await?;
    let listener = listen(options.listen).await?;
    let admin_listener = listen(options.admin).await?;
    let ledger = Arc::new(Ledger::in_cluster());
    let replica = &options.replica;
    let (stopping, stopped) = watch::channel(false);
    let mut parts = Parts::new(stopped);

    let lease = format!("{}-operator", replica.name);
    let (candidate, leadership) = Candidate::new(&client, &replica.namespace, &lease, &replica.pod);
    parts.start("the lease", {
        let stop = parts.stop();
        candidate.run(stop)
    });
    let certificate = serve_certificate(&options, &client, &leadership, &mut parts)?;
    let recorder = Recorder::new(
        client.clone(),
        Reporter { controller: "rivmesh-operator".to_owned(), instance: Some(replica.pod.clone()) },
    );
    parts.start("the log", notice::log(ledger.notices()));
    parts.start("events", alarms::tell(recorder.clone(), replica.clone(), leadership.clone(), ledger.notices()));
    parts.start("time", tick(ledger.clone()));
    parts.start(
        "the dataplanes' endpoints",
        pods::follow(client.clone(), replica.namespace.clone(), options.dataplane_service.clone(), ledger.clone()),
    );
    parts.start("the reports of replicas", {
        let stop = parts.stop();
        reports::exchange(client.clone(), replica.clone(), ledger.clone(), stop)
    });
    parts.start(
        "statuses",
        status_writer::write(
            client.clone(),
            replica.clone(),
            ledger.clone(),
            recorder,
            leadership.clone(),
            f64::from(options.status_rate),
            metrics.writes.clone(),
        ),
    );
    let (heartbeats, beats) = oneshot::channel();
    parts.start("the catalogue", {
        let (options, client, ledger) = (options.clone(), client.clone(), ledger.clone());
        let (leadership, metrics) = (leadership.clone(), metrics.clone());
        let (current, timer) = (certificate.clone(), move |took: Duration| compile_seconds.observe(took.as_secs_f64()));
        async move {
            let parts = Catalogue { options, client, ledger, leadership, metrics };
            parts.serve(listener, current, Box::new(timer), heartbeats).await;
        }
    });
    parts.start("the admin port", {
        let sources = sources(&options, ledger, metrics, leadership, certificate, beats);
        async move {
            if let Err(error) = admin::serve(admin_listener, sources).await {
                tracing::error!(%error, "the admin port failed");
            }
        }
    });

    let ended = tokio::select! {
        name = parts.next_end() => Err(anyhow!("{name} ended, which is a defect; starting anew")),
        () = stop => Ok(()),
    };
    info!("stopping; dataplanes go on with the tables that they have");
    // Nobody may be left to hear it.
    let _ = stopping.send(true);
    parts.finish().await;
    ended
}

async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))
}

/// The tasks of an operator.
struct Parts {
    tasks: JoinSet<&'static str>,
    stopped: watch::Receiver<bool>,
}

impl Parts {
    fn new(stopped: watch::Receiver<bool>) -> Self {
        Self { tasks: JoinSet::new(), stopped }
    }

    fn start(&mut self, name: &'static str, part: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(async move {
            part.await;
            name
        });
    }

    /// Ends when the operator stops.
    fn stop(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut stopped = self.stopped.clone();
        async move {
            // An operator that is gone has stopped too.
            let _ = stopped.wait_for(|stopped| *stopped).await;
        }
    }

    async fn next_end(&mut self) -> String {
        match self.tasks.join_next().await {
            Some(Ok(name)) => name.to_owned(),
            Some(Err(error)) => format!("a part of the operator ({error})"),
            None => std::future::pending().await,
        }
    }

    /// Lets those end that have something to give back, and drops the others.
    async fn finish(mut self) {
        let ends = async {
            let mut waiting = 2;
            while waiting > 0 {
                match self.tasks.join_next().await {
                    Some(Ok("the lease" | "the reports of replicas")) => waiting -= 1,
                    Some(_) => {}
                    None => return,
                }
            }
        };
        let _ = tokio::time::timeout(LAST_WORDS, ends).await;
        self.tasks.shutdown().await;
    }
}

/// What dataplanes are shown, once there is something.
type Certificate = Arc<ArcSwapOption<InService>>;

/// Has the certificate kept: by the operator itself, or from files.
fn serve_certificate(
    options: &Options,
    client: &Client,
    leadership: &Leadership,
    parts: &mut Parts,
) -> anyhow::Result<Certificate> {
    let current = Certificate::default();
    let store = current.clone();
    if let Some(files) = options.certificate.clone() {
        let show = move |loaded| store.store(Some(Arc::new(InService::from(loaded))));
        show(files.load()?);
        parts.start("the certificate", serve::follow_files(files, show));
        return Ok(current);
    }
    let (identity, mut in_service) = Identity::new(client, &options.replica, options.names.clone());
    parts.start("the certificate", identity.follow(leadership.clone()));
    parts.start("the certificate in service", async move {
        while in_service.changed().await.is_ok() {
            store.store(in_service.borrow_and_update().clone().map(Arc::new));
        }
    });
    Ok(current)
}

/// What it takes to turn the catalogue into tables and to serve them.
struct Catalogue {
    options: Options,
    client: Client,
    ledger: Arc<Ledger>,
    leadership: Leadership,
    metrics: Arc<Metrics>,
}

impl Catalogue {
    /// Ends only when something has failed that never should.
    async fn serve(
        self,
        listener: TcpListener,
        certificate: Certificate,
        timer: publish::Timer,
        heartbeats: oneshot::Sender<Heartbeats>,
    ) {
        let Self { options, client, ledger, leadership, metrics } = self;
        let (store, guard) = Store::open(&client, &options.replica).await;
        let publisher = match publish::start(options.compile, guard, ledger.clone(), timer) {
            Ok(publisher) => publisher,
            Err(error) => {
                tracing::error!(%error, "no thread can be started to compile");
                return;
            }
        };
        let inputs = publisher.inputs;
        let releases = inputs.clone();
        let listens = ToPublisher { inputs, ledger: ledger.clone() };
        let (mut sources, beats) = kubernetes::follow(&client, &options.scope, options.hsa_units, listens);
        // The admin port may be gone already.
        let _ = heartbeats.send(beats);
        let snapshots = ledger.snapshots();
        let gate = TokenGate::new(&client, options.policy, metrics.refusals.clone());
        let service = TableSync::new(publisher.published, ledger, Arc::new(gate));
        tokio::select! {
            () = store.follow(snapshots, leadership, |input| drop(releases.send(input))) => {}
            _ = sources.join_next() => {}
            () = serve_tables(service, listener, certificate) => {}
        }
    }
}

/// Serves tables once there is a certificate to show.
async fn serve_tables(service: TableSync, listener: TcpListener, certificate: Certificate) {
    let mut looks = interval(Duration::from_millis(100));
    let first = loop {
        looks.tick().await;
        if let Some(first) = certificate.load_full() {
            break first;
        }
    };
    let address = listener.local_addr().map(|address| address.to_string()).unwrap_or_default();
    info!(address, "serving routing tables");
    let config = move || certificate.load_full().unwrap_or_else(|| first.clone()).config.clone();
    if let Err(error) = grpc::serve(service, tls_incoming(listener, config), std::future::pending()).await {
        tracing::error!(%error, "the table port failed");
    }
}

struct ToPublisher {
    inputs: Sender<Input>,
    ledger: Arc<Ledger>,
}

impl Listener for ToPublisher {
    fn batch(&self, batch: Batch) -> bool {
        self.inputs.send(Input::Batch(batch)).is_ok()
    }

    fn observed(&self, observed: Observed) {
        self.ledger.observe(observed);
    }

    fn ended(&self, id: &ObjectId, uid: &str) {
        self.ledger.observe_end(id, uid);
    }
}

async fn tick(ledger: Arc<Ledger>) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        ledger.tick();
    }
}

fn sources(
    options: &Options,
    ledger: Arc<Ledger>,
    metrics: Arc<Metrics>,
    leadership: Leadership,
    certificate: Certificate,
    beats: oneshot::Receiver<Heartbeats>,
) -> admin::Sources {
    let heartbeats: Arc<std::sync::OnceLock<Heartbeats>> = Arc::default();
    let filled = heartbeats.clone();
    tokio::spawn(async move {
        if let Ok(beats) = beats.await {
            // Sent once.
            let _ = filled.set(beats);
        }
    });
    let shown = certificate.clone();
    let moment = move || Moment {
        leads: leadership.holds(),
        silence: heartbeats.get().map_or_else(Vec::new, |beats| {
            beats.borrow().iter().map(|(name, kind, at)| (name.to_string(), *kind, at.elapsed())).collect()
        }),
        ends: shown.load().as_ref().map_or_else(Vec::new, |in_service| in_service.ends.clone()),
    };
    let waiting = move || match certificate.load().is_some() {
        true => Vec::new(),
        false => vec!["identity: there is no certificate yet; the leader makes it".to_owned()],
    };
    let Replica { name, namespace, pod, .. } = &options.replica;
    admin::Sources {
        ledger,
        metrics,
        moment: Box::new(moment),
        waiting: Box::new(waiting),
        about: json!({"name": name, "namespace": namespace, "pod": pod, "environment": options.policy.environment.as_str()}),
    }
}
