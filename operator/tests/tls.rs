//! The operator as a process of its own, and dataplanes that reach it over TLS.

mod support;

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rivmesh_sync::feed::Source;
use rivmesh_sync::grpc::{Connector, TlsTarget};
use support::{Dataplane, route, write};
use tempfile::TempDir;

/// An authority with a certificate for the operator and one for a dataplane, as files.
struct Pki {
    directory: PathBuf,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Pki {
    fn new(directory: &Path, name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let key = KeyPair::generate().expect("generated");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("signed");
        let directory = directory.join(name);
        std::fs::create_dir(&directory).expect("created");
        write(&directory, "ca.pem", &issuer.pem());
        let pki = Self { directory, issuer };
        pki.issue("operator", "operator.example");
        pki.issue("dataplane", "dataplane.example");
        pki
    }

    fn issue(&self, file: &str, name: &str) {
        let key = KeyPair::generate().expect("generated");
        let params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        write(&self.directory, &format!("{file}.crt"), &certificate.pem());
        write(&self.directory, &format!("{file}.key"), &key.serialize_pem());
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

/// The operator's process; ends with the test, however that ends.
struct Operator {
    process: Child,
    address: SocketAddr,
}

impl Operator {
    fn start(manifests: &Path, pki: &Pki, address: &str) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_rivmesh-operator"))
            .args(["--listen", address])
            .arg("--manifests")
            .arg(manifests)
            .arg("--tls-cert")
            .arg(pki.file("operator.crt"))
            .arg("--tls-key")
            .arg(pki.file("operator.key"))
            .arg("--client-ca")
            .arg(pki.file("ca.pem"))
            .env_remove("RUST_LOG")
            .stderr(Stdio::piped())
            .spawn()
            .expect("started");
        let log = process.stderr.take().expect("piped");
        let mut lines = BufReader::new(log).lines().map_while(Result::ok);
        let address = lines.find_map(|line| address_in(&line)).expect("the operator says where it listens");
        // It must be able to go on logging.
        std::thread::spawn(move || lines.for_each(drop));
        Self { process, address }
    }

    fn kill(&mut self) {
        self.process.kill().expect("killed");
        self.process.wait().expect("ended");
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn address_in(line: &str) -> Option<SocketAddr> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    line["fields"]["address"].as_str()?.parse().ok()
}

struct World {
    manifests: TempDir,
    files: TempDir,
    pki: Pki,
}

impl World {
    fn new() -> Self {
        let manifests = tempfile::tempdir().expect("a directory");
        let files = tempfile::tempdir().expect("a directory");
        let pki = Pki::new(files.path(), "pki");
        write(manifests.path(), "a.yaml", &route("a", 1, "https://one.example/x"));
        Self { manifests, files, pki }
    }

    fn target(&self, operator: &Operator) -> TlsTarget {
        TlsTarget {
            address: operator.address.to_string(),
            authorities: self.pki.file("ca.pem"),
            server_name: Some("operator.example".to_owned()),
            identity: Some((self.pki.file("dataplane.crt"), self.pki.file("dataplane.key"))),
            token: None,
        }
    }

    fn dataplane(&self, target: TlsTarget) -> Dataplane {
        Dataplane::start(Connector::Tls(target), Some(self.files.path().join("store")))
    }
}

#[tokio::test]
async fn tables_reach_a_dataplane_in_another_process_and_outlive_the_operator() {
    let world = World::new();
    let mut operator = Operator::start(world.manifests.path(), &world.pki, "127.0.0.1:0");
    let dataplane = world.dataplane(world.target(&operator));
    dataplane.until_url("https://one.example/x").await;
    write(world.manifests.path(), "a.yaml", &route("a", 1, "https://two.example/x"));
    dataplane.until_url("https://two.example/x").await;

    operator.kill();
    dataplane.until("the loss", |status| !status.connected && status.last_error.is_some()).await;
    assert_eq!(dataplane.url().as_deref(), Some("https://two.example/x"));

    write(world.manifests.path(), "a.yaml", &route("a", 1, "https://three.example/x"));
    let mut operator = Operator::start(world.manifests.path(), &world.pki, &operator.address.to_string());
    dataplane.until_url("https://three.example/x").await;
    dataplane.until("no error", |status| status.connected && status.last_error.is_none()).await;
    dataplane.stop().await;

    let target = world.target(&operator);
    operator.kill();
    let dataplane = world.dataplane(target);
    let status = dataplane.until("an error", |status| status.last_error.is_some()).await;
    assert_eq!((status.source, status.operator_answered), (Source::Disk, false));
    assert_eq!(dataplane.url().as_deref(), Some("https://three.example/x"));
    dataplane.stop().await;
}

#[tokio::test]
async fn neither_side_talks_to_a_stranger() {
    let world = World::new();
    let operator = Operator::start(world.manifests.path(), &world.pki, "127.0.0.1:0");
    let strangers = Pki::new(world.files.path(), "strangers");
    let good = world.target(&operator);
    let stranger = (strangers.file("dataplane.crt"), strangers.file("dataplane.key"));
    let cases = [
        ("no certificate", TlsTarget { identity: None, ..good.clone() }),
        ("a certificate of another authority", TlsTarget { identity: Some(stranger), ..good.clone() }),
        ("another authority expected", TlsTarget { authorities: strangers.file("ca.pem"), ..good.clone() }),
        ("another name expected", TlsTarget { server_name: Some("other.example".to_owned()), ..good.clone() }),
        ("a token that is not there", TlsTarget { token: Some("/does/not/exist".into()), ..good.clone() }),
        ("a file that is not there", TlsTarget { authorities: "/does/not/exist".into(), ..good.clone() }),
    ];
    for (name, target) in cases {
        let dataplane = Dataplane::start(Connector::Tls(target), None);
        let status = dataplane.until(name, |status| status.last_error.is_some()).await;
        assert!(!status.operator_answered && dataplane.table().is_empty(), "{name}");
        dataplane.stop().await;
    }
    let dataplane = world.dataplane(good);
    dataplane.until_url("https://one.example/x").await;
    dataplane.stop().await;
}

#[tokio::test]
async fn rotated_certificates_are_taken_up() {
    let world = World::new();
    let operator = Operator::start(world.manifests.path(), &world.pki, "127.0.0.1:0");
    let target = world.target(&operator);
    let renamed = TlsTarget { server_name: Some("renamed.example".to_owned()), ..target.clone() };
    let before = world.dataplane(target);
    before.until_url("https://one.example/x").await;
    world.pki.issue("operator", "renamed.example");
    let after = Dataplane::start(Connector::Tls(renamed), None);
    after.until_url("https://one.example/x").await;
    assert!(before.status.borrow().connected, "its stream was not touched");
    before.stop().await;
    after.stop().await;
}

#[test]
fn whoever_wants_no_client_certificates_must_say_so() {
    let world = World::new();
    let output = Command::new(env!("CARGO_BIN_EXE_rivmesh-operator"))
        .arg("--manifests")
        .arg(world.manifests.path())
        .arg("--tls-cert")
        .arg(world.pki.file("operator.crt"))
        .arg("--tls-key")
        .arg(world.pki.file("operator.key"))
        .output()
        .expect("ran");
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && words.contains("--client-ca"), "{words}");
}
