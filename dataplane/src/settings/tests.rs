//! Loading and following the files of a whole platform, with connections that stay open meanwhile.

use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

use super::*;
use crate::tls::Reason;
use crate::tls::testing::*;

const YAML: &str = "
platform: {hsaId: SE1-VP, name: region}
listeners:
- name: consumers
  address: 127.0.0.1:8443
  tls: {certificate: server.crt, privateKey: server.key, clientTrust: ca.pem, crls: [ca.crl]}
- name: ingress
  kind: certificateHeader
  address: 127.0.0.1:8444
  tls: {certificate: server.crt, privateKey: server.key, clientTrust: ca.pem, revocation: off}
  certificateHeader: {headers: [x-cert], ingresses: [{commonName: ingress}], clientTrust: ca.pem, crls: [ca.crl]}
- {name: internal, kind: internal, address: 127.0.0.1:8080, internal: {cidrs: [127.0.0.0/8]}}
upstream:
  tls: {certificate: client.crt, privateKey: client.key, trust: ca.pem}
faults: {language: en, texts: faults.properties}
";

struct House {
    pki: Pki,
    ca: Authority,
    clock: TestClock,
}

impl House {
    fn new() -> Self {
        let (pki, ca) = (Pki::new(), root("Function CA v1"));
        pki.write("ca.pem", ca.pem());
        pki.leaf("server", &ca, &Leaf::server(1, "vp.example"), &[]);
        pki.leaf("client", &ca, &Leaf::client(2, "SE1-CLIENT"), &[]);
        pki.crl("ca.crl", &ca, 1, 10, &[]);
        pki.write("faults.properties", "VP004=Nobody lives there\n");
        pki.write("platform.yaml", YAML);
        Self { pki, ca, clock: TestClock::new() }
    }

    fn path(&self) -> PathBuf {
        self.pki.path("platform.yaml")
    }

    fn load(&self) -> Settings {
        load_with(&self.path(), self.clock.clock()).unwrap()
    }

    fn yaml(&self, find: &str, replace: &str) {
        assert!(YAML.contains(find));
        self.pki.write("platform.yaml", YAML.replace(find, replace));
    }

    async fn connect(&self, settings: &Settings) -> (server::TlsStream<DuplexStream>, client::TlsStream<DuplexStream>) {
        let mut roots = RootCertStore::empty();
        roots.add(self.ca.der().clone()).unwrap();
        let chain = CertificateDer::pem_file_iter(self.pki.path("client.crt")).unwrap().map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_file(self.pki.path("client.key")).unwrap();
        let config = ClientConfig::builder_with_details(crate::tls::provider(), self.clock.clock())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)
            .unwrap();
        let (near, far) = duplex(64 * 1024);
        let tls = settings.listeners[0].tls.clone().unwrap();
        let name = ServerName::try_from("vp.example").unwrap();
        let accept = TlsAcceptor::from(tls.config.clone()).accept(far);
        let connect = TlsConnector::from(Arc::new(config)).connect(name, near);
        let (server, client) = tokio::join!(accept, connect);
        (server.unwrap(), client.unwrap())
    }
}

/// The settings followed by a task, and what it tells.
struct Watched {
    live: Live,
    events: mpsc::UnboundedReceiver<Event>,
    task: tokio::task::JoinHandle<()>,
}

impl Watched {
    fn start(house: &House) -> Self {
        let live = Arc::new(ArcSwap::from_pointee(house.load()));
        let (sender, events) = mpsc::unbounded_channel();
        let tell = move |event| sender.send(event).unwrap_or_default();
        let task = tokio::spawn(watch(live.clone(), house.path(), tell));
        Self { live, events, task }
    }

    async fn event(&mut self) -> Event {
        tokio::time::timeout(Duration::from_secs(20), self.events.recv()).await.expect("no event came").unwrap()
    }

    /// Waits until settings are in force of which `condition` holds.
    async fn until(&mut self, condition: impl Fn(&Settings) -> bool) {
        while !condition(&self.live.load()) {
            self.event().await;
        }
    }

    async fn error(&mut self) -> String {
        loop {
            if let Event::Kept(error) = self.event().await {
                return error.to_string();
            }
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[test]
fn a_platform_loads_whole() {
    let house = House::new();
    let settings = house.load();
    assert_eq!(settings.listeners.len(), 3);
    let kinds = settings.listeners.iter().map(|listener| (listener.tls.is_some(), listener.carried.is_some()));
    assert_eq!(kinds.collect::<Vec<_>>(), [(true, false), (true, true), (false, false)]);
    assert!(settings.listener("internal").is_some() && settings.listener("x").is_none());
    assert!(settings.warnings.iter().any(|warning| warning.contains("revocation is off")));
    assert_eq!(settings.expiries().len(), 3 + 4 + 2, "{:?}", settings.expiries());
}

#[test]
fn what_is_wrong_is_told_with_its_file() {
    let house = House::new();
    let error = |name: &str, content: &str| {
        let before = std::fs::read(house.pki.path(name)).unwrap();
        house.pki.write(name, content);
        let text = load_with(&house.path(), house.clock.clock()).map(|_| ()).unwrap_err().to_string();
        house.pki.write(name, before);
        assert!(text.contains(name), "{text}");
        text
    };
    assert!(error("platform.yaml", "platform: {}").contains("platform.yaml:1: missing field `hsaId`"));
    assert!(error("ca.crl", "x").contains("holds no revocation list"));
    assert!(error("client.key", "x").contains("holds no private key"));
    std::fs::remove_file(house.pki.path("faults.properties")).unwrap();
    let text = load_with(&house.path(), house.clock.clock()).map(|_| ()).unwrap_err().to_string();
    assert!(text.contains("faults.properties: cannot be read"), "{text}");
}

#[test]
fn an_unchanged_platform_is_not_loaded_again() {
    let house = House::new();
    let settings = house.load();
    assert!(settings.reload(&house.path()).unwrap().is_none());
    house.pki.write("platform.yaml", format!("{YAML}# a comment\n"));
    assert!(settings.reload(&house.path()).unwrap().is_none());
}

#[test]
fn a_change_leaves_the_rest_as_it_is() {
    let house = House::new();
    let settings = house.load();
    house.pki.crl("ca.crl", &house.ca, 2, 10, &[99]);
    let reloaded = settings.reload(&house.path()).unwrap().unwrap();
    let kept = |nr: usize| Arc::ptr_eq(&settings.listeners[nr], &reloaded.listeners[nr]);
    assert_eq!([kept(0), kept(1), kept(2)], [false, false, true]);
    let tls = |settings: &Settings| settings.listeners[1].tls.clone().unwrap();
    assert!(Arc::ptr_eq(&tls(&settings), &tls(&reloaded)), "only the carried certificates are judged anew");
    let identity = |settings: &Settings| settings.upstream.select("p1.example", 443).identity;
    assert_eq!(identity(&settings), identity(&reloaded));
}

#[test]
fn what_needs_a_restart_is_told_and_waits() {
    let house = House::new();
    let settings = house.load();
    house.yaml("127.0.0.1:8443", "127.0.0.1:9443\n  pathPrefixes: [/vp]");
    let moved = settings.reload(&house.path()).unwrap().unwrap();
    assert_eq!(moved.pending_restart, ["listener consumers moves from 127.0.0.1:8443 to 127.0.0.1:9443 at a restart"]);
    assert_eq!(moved.listeners[0].config.address.port(), 8443);
    assert_eq!(moved.listeners[0].config.path_prefixes, ["/vp"], "the rest of it counts at once");

    house.yaml("name: internal", "name: inside");
    let renamed = moved.reload(&house.path()).unwrap().unwrap();
    assert_eq!(renamed.pending_restart.len(), 2, "{:?}", renamed.pending_restart);
    assert!(renamed.listener("internal").is_some() && renamed.listener("inside").is_none());

    house.yaml(
        "upstream:",
        "workers: 77\nadmin: {address: 127.0.0.1:1}\ntable: {directory: t}\nlimits: {handshakesInFlight: 1}\nupstream:",
    );
    assert_eq!(renamed.reload(&house.path()).unwrap().unwrap().pending_restart.len(), 4);
    house.pki.write("platform.yaml", YAML);
    assert_eq!(renamed.reload(&house.path()).unwrap().unwrap().pending_restart, Vec::<String>::new());
}

#[test]
fn who_is_revoked_is_revoked_on_a_listener_that_is_gone_from_the_file_too() {
    let house = House::new();
    let first = "crls: [ca.crl]}\n- name: ingress";
    house.pki.crl("own.crl", &house.ca, 1, 10, &[]);
    house.yaml(first, "crls: [own.crl]}\n- name: ingress");
    let before = house.load();
    house.yaml("name: consumers", "name: renamed");
    let renamed = before.reload(&house.path()).unwrap().expect("a listener is gone");
    let chain = CertificateDer::pem_file_iter(house.pki.path("client.crt")).unwrap().map(Result::unwrap);
    let chain: Vec<_> = chain.collect();
    let judge = |settings: &Settings| {
        let listener = settings.listener("consumers").expect("it is served until a restart");
        listener.tls.as_ref().expect("it has TLS").recheck(&chain, house.clock.now()).map(drop)
    };
    judge(&renamed).expect("nobody is revoked");

    house.pki.crl("own.crl", &house.ca, 2, 20, &[2]);
    let revoked = renamed.reload(&house.path()).unwrap().expect("its list has changed");
    assert_eq!(judge(&revoked).expect_err("it is revoked").reason, Reason::Revoked);
    std::fs::remove_file(house.pki.path("own.crl")).unwrap();
    house.yaml("name: consumers", "name: another");
    let without = revoked.reload(&house.path()).unwrap().expect("another name");
    assert_eq!(judge(&without).expect_err("what was known stays known").reason, Reason::Revoked);
}

#[tokio::test]
async fn every_file_reloads_without_dropping_a_connection() {
    let house = House::new();
    let mut watched = Watched::start(&house);
    let (mut near, mut far) = house.connect(&watched.live.load()).await;
    let end = |settings: &Settings, at: i64| settings.expiries().iter().any(|expiry| expiry.at == at);

    house.pki.leaf("server", &house.ca, &Leaf { years: (2026, 2031), ..Leaf::server(1, "vp.example") }, &[]);
    watched.until(|settings| end(settings, 1_924_992_000)).await;
    house.pki.leaf("client", &house.ca, &Leaf { years: (2026, 2032), ..Leaf::client(2, "SE1-CLIENT") }, &[]);
    watched.until(|settings| end(settings, 1_956_528_000)).await;
    house.pki.crl("ca.crl", &house.ca, 2, 20, &[]);
    watched.until(|settings| end(settings, i64::try_from(NOW + 19 * DAY).unwrap())).await;
    let before = watched.live.load_full();
    house.pki.write("ca.pem", format!("{}{}", house.ca.pem(), root("New CA").pem()));
    watched.until(|settings| !settings.upstream.knows(before.upstream.select("x", 1).identity)).await;
    let before = watched.live.load_full();
    house.pki.write("faults.properties", "VP004=Moved\n");
    watched.until(|settings| !std::ptr::eq(settings, Arc::as_ptr(&before))).await;
    house.yaml("SE1-VP", "SE1-VP2");
    watched.until(|settings| settings.platform.hsa_id.is("SE1-VP2")).await;

    near.write_all(b"still here").await.unwrap();
    let mut text = [0; 10];
    far.read_exact(&mut text).await.unwrap();
    assert_eq!(&text, b"still here");
    house.connect(&watched.live.load()).await;
}

#[tokio::test]
async fn a_wrong_file_is_told_and_changes_nothing() {
    let house = House::new();
    let mut watched = Watched::start(&house);
    let before = watched.live.load_full();
    house.yaml("listeners:", "listners:");
    assert!(watched.error().await.contains("platform.yaml:3: unknown field `listners`"));
    house.pki.write("platform.yaml", YAML);
    house.pki.write("ca.crl", "x");
    assert!(watched.error().await.contains("ca.crl: holds no revocation list"));
    house.pki.leaf("other", &house.ca, &Leaf::client(3, "SE1-X"), &[]);
    house.pki.crl("ca.crl", &house.ca, 1, 10, &[]);
    house.pki.write("server.key", std::fs::read(house.pki.path("other.key")).unwrap());
    assert!(watched.error().await.contains("server.key: is not the key of the first certificate"));
    assert!(Arc::ptr_eq(&before, &watched.live.load()));
    house.connect(&before).await;
}

#[test]
fn an_error_is_told_once_until_it_changes() {
    let error = |reason: &str| Err(MaterialError::new(Path::new("ca.crl"), reason).into());
    let mut told = None;
    assert!(watch::news(&mut told, error("one")).is_some());
    assert!(watch::news(&mut told, error("one")).is_none());
    assert!(watch::news(&mut told, error("two")).is_some());
    assert!(watch::news(&mut told, Ok(None)).is_none());
    assert!(watch::news(&mut told, error("two")).is_some(), "it was right in between");
}

#[test]
fn production_trusts_no_authority_for_tests() {
    let house = House::new();
    let tests = root("TEST SITHS e-id Root CA v2");
    house.pki.write("ca.pem", format!("{}{}", house.ca.pem(), tests.pem()));
    house.load();
    house.yaml("name: region", "name: region, environment: production");
    let text = load_with(&house.path(), house.clock.clock()).map(|_| ()).unwrap_err().to_string();
    assert!(text.contains("an authority for tests"), "{text}");
}

#[test]
fn a_running_process_stays_in_its_environment() {
    let house = House::new();
    let settings = house.load();
    house.yaml("name: region", "name: region, environment: Test");
    let settings = settings.reload(&house.path()).unwrap().expect("the same environment in another spelling");
    house.yaml("name: region", "name: region, environment: production");
    let text = settings.reload(&house.path()).map(|_| ()).unwrap_err().to_string();
    for words in ["platform.yaml: platform.environment changes from Test to production", "restart it"] {
        assert!(text.contains(words), "{text}");
    }
    assert!(house.load().platform.is_production(), "after a restart");
    house.yaml("name: region", "name: region, environment: Test");
    assert!(settings.reload(&house.path()).unwrap().is_none(), "taken back");
}

#[test]
fn keys_are_not_in_debug_output() {
    let house = House::new();
    let settings = house.load();
    let key = std::fs::read(house.pki.path("server.key")).unwrap();
    let as_list = format!("{:?}", &key[..40]);
    let debug = format!("{settings:?}");
    assert!(!debug.contains(as_list.trim_matches(['[', ']'])) && !debug.contains("PRIVATE KEY"));
}

#[tokio::test]
async fn a_mount_that_the_kubelet_swaps_is_seen() {
    let house = House::new();
    let mount = house.pki.path("mount");
    let edition = |name: &str, hsa_id: &str| {
        let folder = mount.join(name);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("platform.yaml"), YAML.replace("SE1-VP", hsa_id)).unwrap();
        for file in ["server.crt", "server.key", "client.crt", "client.key", "ca.pem", "ca.crl", "faults.properties"] {
            std::fs::copy(house.pki.path(file), folder.join(file)).unwrap();
        }
    };
    edition("..1", "SE1-VP1");
    symlink("..1", mount.join("..data")).unwrap();
    for file in std::fs::read_dir(mount.join("..1")).unwrap() {
        let name = file.unwrap().file_name();
        symlink(PathBuf::from("..data").join(&name), mount.join(&name)).unwrap();
    }
    let path = mount.join("platform.yaml");
    let live = Arc::new(ArcSwap::from_pointee(load_with(&path, house.clock.clock()).unwrap()));
    let (sender, events) = mpsc::unbounded_channel();
    let task = tokio::spawn(watch(live.clone(), path, move |event| sender.send(event).unwrap_or_default()));
    let mut watched = Watched { live, events, task };
    for (old, new, hsa_id) in [("..1", "..2", "SE1-VP2"), ("..2", "..3", "SE1-VP3")] {
        edition(new, hsa_id);
        symlink(new, mount.join("..data_tmp")).unwrap();
        std::fs::rename(mount.join("..data_tmp"), mount.join("..data")).unwrap();
        std::fs::remove_dir_all(mount.join(old)).unwrap();
        watched.until(|settings| settings.platform.hsa_id.is(hsa_id)).await;
    }
}
