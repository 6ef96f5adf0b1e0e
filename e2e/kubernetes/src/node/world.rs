//! What the cases share: a cluster, certificates, two producers on this machine, a release, and steady traffic through it.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use rivmesh_crds::{ConditionStatus, ConditionType, Kind};
use rivmesh_e2e::pki::{ALLOWED, Pki};
use serde_json::{Value, json};

use super::cluster::{Cluster, FIRST, SECOND};
use super::release::{Certificates, Release};
use crate::objects::{condition, grant, route};
use crate::suite::{PATIENCE, until};
use crate::traffic::{Call, Identity, Producer, Rate, Traffic, call_once};

/// The address that traffic calls.
const ADDRESS: &str = "SE2329990001-LOAD";
/// The route to it.
pub(crate) const ROUTE: &str = "traffic";
/// The leaf that traffic shows.
pub(crate) const CONSUMER: &str = "allowed";
/// The leaf of platforms' listeners, good at the nodes' addresses too.
pub(crate) const SERVER: &str = "node-server";
/// The leaf of producers on this machine.
pub(crate) const PRODUCER: &str = "host-producer";

/// What the tests are made of.
#[derive(Debug, Clone)]
pub(crate) struct Parts {
    /// Directory of Kubernetes' programs.
    pub(crate) programs: PathBuf,
    /// Directory of our images.
    pub(crate) images: PathBuf,
    /// A cluster that somebody else keeps.
    pub(crate) given: Option<PathBuf>,
    /// Directory of an earlier release.
    pub(crate) earlier: Option<PathBuf>,
    /// Where the files of the run go.
    pub(crate) directory: PathBuf,
}

impl Parts {
    /// A cluster that has the images.
    async fn cluster(&self) -> Result<Cluster> {
        let cluster = Cluster::up(FIRST, &self.programs, &self.directory).await?;
        cluster.load(&Self::images_of(&self.images)?)?;
        cluster.load(&Self::images_of(&self.images.join("tutorial"))?)?;
        if let Some(earlier) = &self.earlier {
            cluster.load(&Self::images_of(&earlier.join("images"))?)?;
        }
        Ok(cluster)
    }

    /// The images of a directory.
    pub(crate) fn images_of(directory: &Path) -> Result<Vec<PathBuf>> {
        let entries = directory.read_dir().with_context(|| format!("no images in {}", directory.display()))?;
        let mut found: Vec<_> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
        found.retain(|path| path.extension().is_some_and(|extension| extension == "tar"));
        found.sort();
        Ok(found)
    }
}

/// What the cases share. Fields go from the top: first the traffic, the cluster at last.
pub(crate) struct World {
    traffic: OnceCell<Traffic>,
    pub(crate) one: Producer,
    pub(crate) two: Producer,
    pub(crate) pki: Pki,
    pub(crate) parts: Parts,
    pub(crate) region: Release,
    pub(crate) cluster: Rc<Cluster>,
}

impl World {
    /// Starts a cluster and all that a release needs before it is installed.
    pub(crate) async fn start(parts: Parts) -> Result<Self> {
        let pki = Pki::create(&parts.directory.join("pki"))?;
        pki.issue_server(SERVER, &[FIRST.node(), SECOND.node()])?;
        pki.issue_server(PRODUCER, &[FIRST.host(), SECOND.host()])?;
        let mut cluster = parts.cluster().await?;
        // A Kubernetes that runs nobody's pods says nothing about ours.
        if let Err(error) = cluster.runs_pods() {
            println!("      this cluster runs no pods of a new namespace, and is started anew: {error:#}");
            drop(cluster);
            cluster = parts.cluster().await?;
            cluster.runs_pods()?;
        }
        let cluster = Rc::new(cluster);
        let one = Producer::start("one", FIRST.host(), pki.directory(), PRODUCER).await?;
        let two = Producer::start("two", FIRST.host(), pki.directory(), PRODUCER).await?;
        let certificates = Certificates { pki: pki.directory().to_owned(), server: SERVER, client: "platform-client" };
        let region = Release::prepare(&cluster, "region", &certificates, region_values()).await?;
        Ok(Self { traffic: OnceCell::new(), one, two, pki, parts, region, cluster })
    }

    /// The charts of this checkout.
    pub(crate) fn charts() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../charts")
    }

    /// Installs the definitions and the platform from `charts`, opens a way through it, and begins to call.
    pub(crate) async fn install(&self, charts: &Path, values: Value) -> Result<()> {
        install_definitions(&self.cluster, charts)?;
        self.region.upgrade(charts, values)?;
        self.region.apply(&grant("traffic", ALLOWED)).await?;
        self.route_to("one").await?;
        self.region.until_true(Kind::RoutingEntry, ROUTE, ConditionType::Ready).await?;
        self.region.until_true(Kind::CallAuthorization, "traffic", ConditionType::Ready).await?;
        let (target, consumer) = (self.region.consumers().await?, self.consumer()?);
        // kube-proxy gives a Service its first endpoint in two steps, and what is sent between them is never answered.
        until("the Service takes calls", PATIENCE, async || {
            let call = self.call();
            let answer = call_once(target, &consumer, &call, 0, None);
            let answer =
                tokio::time::timeout(Duration::from_secs(1), answer).await.context("no answer within a second")?;
            answer.map(drop).map_err(|failure| anyhow!("{:?}: {}", failure.stage, failure.what))
        })
        .await?;
        let traffic = Traffic::start(target, consumer, self.call(), Rate::STEADY);
        self.traffic.set(traffic).ok().context("the platform is installed once")
    }

    /// Puts back what a case that has failed may have left, so that the next ones tell about themselves.
    pub(crate) fn restore(&self) {
        // Whatever of it fails shows in the next case.
        let _ = self.cluster.start("kube-apiserver");
        let _ = self.cluster.signal("etcd", "CONT");
        let _ = self.region.kubectl(&["scale", "deployment", "rivmesh-operator", "--replicas=2"]);
        let _ = self.region.upgrade(&Self::charts(), json!({}));
        self.traffic().expect_from(&["one", "two"]);
        self.traffic().set_rate(Rate::STEADY);
    }

    /// Who calls.
    pub(crate) fn consumer(&self) -> Result<Identity> {
        let pki = self.pki.directory();
        Identity::new(pki, CONSUMER, &pki.join("root.pem"))
    }

    /// The calls that are made all the time.
    pub(crate) fn traffic(&self) -> &Traffic {
        self.traffic.get().expect("no case runs before the platform is installed")
    }

    /// The call that traffic makes, to be answered by the first producer.
    pub(crate) fn call(&self) -> Call {
        Call { address: ADDRESS.to_owned(), expected: vec!["one"] }
    }

    /// Applies the traffic's route to this producer.
    pub(crate) async fn route_to(&self, producer: &str) -> Result<()> {
        let producer = if producer == "one" { &self.one } else { &self.two };
        self.region.apply(&route(ROUTE, &[ADDRESS], &producer.url("/thing"))).await
    }

    /// Moves the traffic's route to the second producer and back, and waits each time until that is programmed. Whatever
    /// is broken meanwhile, both must come about within `limit`.
    pub(crate) async fn changes_are_programmed(&self, limit: Duration) -> Result<()> {
        let region = &self.region;
        let programmed = ConditionType::Programmed;
        self.traffic().expect_from(&["one", "two"]);
        for producer in ["two", "one"] {
            let began = Instant::now();
            until("the API server takes a change", limit, async || self.route_to(producer).await).await?;
            until(&format!("the route to {producer} is programmed"), limit, async || {
                let kind = Kind::RoutingEntry;
                let condition = condition(region.client(), region.namespace, kind, ROUTE, programmed).await?;
                ensure!(condition.status == ConditionStatus::True, "{}", condition.message);
                Ok(())
            })
            .await?;
            println!("      routed to {producer} after {:.2} s", began.elapsed().as_secs_f64());
        }
        self.traffic().expect_from(&["one"]);
        Ok(())
    }
}

/// Installs the definitions in a cluster, or upgrades them.
pub(crate) fn install_definitions(cluster: &Cluster, charts: &Path) -> Result<()> {
    let chart = charts.join("rivmesh-crds").display().to_string();
    let arguments = ["upgrade", "--install", "rivmesh-crds", &chart, "--namespace", "kube-system", "--wait"];
    cluster.administrator.helm(&arguments).map(drop)
}

/// Small pods, so that a little traffic is much, and connections that are turned over within a case.
fn region_values() -> Value {
    json!({
        "platform": {"hsaId": "SE2321000016-A1B2", "name": "region-test", "timeouts": {"connectionAge": "10s"}},
        "dataplane": {
            "resources": {"requests": {"cpu": "20m", "memory": "64Mi"}},
            "autoscaling": {"minReplicas": 2, "maxReplicas": 2},
        },
        "operator": {"resources": {"requests": {"cpu": "20m", "memory": "64Mi"}}},
    })
}
