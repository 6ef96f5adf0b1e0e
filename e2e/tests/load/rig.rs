//! The platform in a load test: the real process, what it says about itself, and ways to connect to it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rivmesh_e2e::fixture::{Setting, World};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::LocalSet;
use tokio_rustls::TlsConnector;

use crate::message::outcome;
use crate::peer::Peer;
use crate::sealed;

/// Certificates of consumers that [`crate::message::grant`] may name, with the ids in them.
pub(crate) const CONSUMERS: [(&str, &str); 3] =
    [("allowed", "SE5565594230-B9P"), ("parent-only", "SE5565594230-PARENT"), ("switch", "SE5565594230-SWITCH")];

/// File descriptors that both the test and the platform need: two for each of a thousand calls, and some.
const FILES: u64 = 4096;

/// A running platform.
pub(crate) struct Rig {
    pub(crate) world: World,
    consumers: SocketAddr,
    admin: SocketAddr,
    configs: RefCell<HashMap<String, Arc<ClientConfig>>>,
}

/// Memory of the platform's process, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Memory {
    /// Resident now.
    pub(crate) now: u64,
    /// The most that has been resident at any time.
    pub(crate) peak: u64,
}

/// Runs `test` when no other test of this program runs.
pub(crate) fn alone(test: impl Future<Output = ()>) {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn: MutexGuard<'_, ()> = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    allow_files();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, test);
}

/// The usual limit of a shell is 1024 open files; the platform inherits ours.
fn allow_files() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < FILES) {
        limit.current = Some(limit.maximum.map_or(FILES, |maximum| maximum.min(FILES)));
        setrlimit(Resource::Nofile, limit).unwrap();
    }
}

impl Rig {
    /// Starts the platform on `manifests` with `settings` merged into ordinary ones.
    pub(crate) fn start(settings: Value, manifests: &[(String, String)]) -> Rc<Self> {
        let ordinary = json!({
            "platform": {"hsaId": "SE2321000016-A1B2", "name": "load-test", "environment": "test"},
            "workers": 2,
            "listeners": [{"name": "consumers", "address": "127.0.0.1:${consumers}", "tls": {
                "certificate": "pki/platform.crt", "privateKey": "pki/platform.key",
                "clientTrust": "pki/root.pem", "crls": ["pki/current.crl"],
            }}],
            "admin": {"address": "127.0.0.1:${admin}"},
            "upstream": {"tls": {
                "certificate": "pki/platform-client.crt", "privateKey": "pki/platform-client.key", "trust": "pki/root.pem",
            }},
        });
        let setting = Setting {
            config: Some(ordinary),
            manifests: manifests.iter().map(|(name, text)| (name.clone(), Some(text.clone()))).collect(),
            ..Setting::default()
        };
        let setting = setting.extended_by(Setting { config: Some(settings), ..Setting::default() });
        let world = World::start(&setting).unwrap();
        let (consumers, admin) = (world.scene.port("consumers").unwrap(), world.scene.port("admin").unwrap());
        Rc::new(Self { world, consumers, admin, configs: RefCell::default() })
    }

    /// A TCP connection to the consumers' port.
    pub(crate) async fn dial(&self) -> io::Result<TcpStream> {
        let socket = TcpStream::connect(self.consumers).await?;
        socket.set_nodelay(true)?;
        Ok(socket)
    }

    /// A connection as the consumer with this certificate.
    pub(crate) async fn connect(&self, certificate: &str) -> io::Result<Peer> {
        self.connect_and_look(certificate).await.map(|(peer, _)| peer)
    }

    /// As [`Rig::connect`], with the certificate that the platform presents.
    pub(crate) async fn connect_and_look(&self, certificate: &str) -> io::Result<(Peer, Vec<u8>)> {
        let pki = self.world.scene.pki.directory();
        let config = self
            .configs
            .borrow_mut()
            .entry(certificate.to_owned())
            .or_insert_with(|| sealed::consumer(pki, certificate))
            .clone();
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TlsConnector::from(config).connect(name, self.dial().await?).await?;
        let presented = stream.get_ref().1.peer_certificates().unwrap_or_default()[0].to_vec();
        Ok((Peer::new(stream), presented))
    }

    /// The sum of the samples of a metric.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let mut peer = Peer::new(TcpStream::connect(self.admin).await.unwrap());
        peer.send(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        let head = peer.head().await.unwrap().unwrap();
        let body = peer.body(&head, false).await.unwrap();
        assert_eq!(outcome(&head, &body).0, 200);
        let text = String::from_utf8(body).unwrap();
        let samples =
            text.lines().filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])));
        samples.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    }

    /// What the kernel says about the platform's memory.
    pub(crate) fn memory(&self) -> Memory {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.world.platform.id())).unwrap();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() * 1024
        };
        Memory { now: field("VmRSS:"), peak: field("VmHWM:") }
    }
}

/// Waits until `condition` holds.
pub(crate) async fn until(what: &str, limit: Duration, mut condition: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + limit;
    while !condition().await {
        assert!(Instant::now() < end, "not within {limit:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
