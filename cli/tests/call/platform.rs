//! A platform on this machine for a test: certificates, one route to a producer that echoes, and `rivmesh standalone`.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DistinguishedName, DnType,
    IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};
use serde_json::Value;
use tempfile::TempDir;
use time::{Duration, OffsetDateTime};

pub(crate) const CONTRACT: &str = "urn:riv:rivmesh:test:GetGreetingResponder:1";
pub(crate) const ADDRESS: &str = "SE2329990001-E100";

type Authority = CertifiedIssuer<'static, KeyPair>;

/// A running platform. It ends with the process of the tests, at the latest.
pub(crate) struct Platform {
    folder: TempDir,
    port: u16,
    /// The producer, which speaks plain HTTP.
    pub(crate) producer: SocketAddr,
    _process: Child,
}

impl Platform {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        write_certificates(folder.path());
        let producer = echo();
        write_settings(folder.path(), producer);
        // A static is never dropped: the shell ends the platform when this process, which holds its standard input, is
        // gone, and removes the folder.
        let script = "\"$0\" standalone --manifests manifests --config platform.yaml & read -r _; kill $!; wait; rm -rf \"$PWD\"";
        let mut process = Command::new("sh")
            .args(["-c", script, env!("CARGO_BIN_EXE_rivmesh")])
            .current_dir(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        // The two come in either order.
        let (mut port, mut is_ready, mut heard) = (None, false, String::new());
        while port.is_none() || !is_ready {
            let line = lines.next().unwrap_or_else(|| panic!("the platform ended:\n{heard}")).unwrap();
            let message = message(&line);
            is_ready |= message == "Ready for calls.";
            if let Some(address) = message.strip_prefix("Serving consumers on ") {
                port = address.trim_end_matches('.').rsplit(':').next().unwrap().parse().ok();
            }
            heard.push_str(&line);
            heard.push('\n');
        }
        let port = port.unwrap();
        // Somebody must read on, or the platform's log comes to a halt.
        std::thread::spawn(move || lines.for_each(drop));
        Self { folder, port, producer, _process: process }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn url(&self) -> String {
        format!("https://localhost:{}/vp", self.port)
    }
}

fn message(line: &str) -> String {
    let line: Value = serde_json::from_str(line).unwrap_or_default();
    line["message"].as_str().unwrap_or_default().to_owned()
}

/// A producer that answers each request with its own body, and its `x-rivta-*` headers in a comment behind it.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            std::thread::spawn(move || while answer(stream.as_ref().unwrap()).is_some() {});
        }
    });
    address
}

/// `None` when the connection is over.
fn answer(mut stream: &TcpStream) -> Option<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        head.extend(byte);
        if head.starts_with(&[0x16]) && head.len() > 5 {
            // TLS: whoever sends it is told in plain words.
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            return None;
        }
    }
    let head = String::from_utf8(head).ok()?;
    let length =
        head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok())?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    let headers: String =
        head.lines().filter(|line| line.starts_with("x-rivta-")).map(|line| format!("<!-- {line} -->")).collect();
    body.extend_from_slice(headers.as_bytes());
    let head =
        format!("HTTP/1.1 200 OK\r\nContent-Type: text/xml; charset=UTF-8\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(&[head.as_bytes(), &body].concat()).ok()
}

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Authority::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn write_certificates(folder: &Path) {
    let (ca, other) = (authority("Test CA"), authority("Other CA"));
    fs::write(folder.join("ca.pem"), ca.pem()).unwrap();
    let peers = [
        ("platform", "SE2329990001-RTP1", 2, &ca),
        ("journal", "SE2329990001-JRN1", 3, &ca),
        ("newcomer", "SE5599990003-NEW1", 4, &ca),
        ("revoked", "SE5599990003-REV1", 5, &ca),
        ("expired", "SE5599990003-EXP1", 6, &ca),
        ("stranger", "SE5599990003-STR1", 7, &other),
    ];
    for (name, hsa_id, serial, issuer) in peers {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.distinguished_name.push(DnType::CustomDnType(vec![2, 5, 4, 5]), hsa_id);
        params.serial_number = Some(SerialNumber::from(serial));
        if name == "expired" {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2021, 1, 1);
        }
        let certificate = params.signed_by(&key, issuer).unwrap();
        fs::write(folder.join(format!("{name}.crt")), certificate.pem()).unwrap();
        fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
    let now = OffsetDateTime::now_utc();
    let revoked = RevokedCertParams {
        serial_number: SerialNumber::from(5u64),
        revocation_time: now - Duration::hours(1),
        reason_code: None,
        invalidity_date: None,
    };
    let list = CertificateRevocationListParams {
        this_update: now - Duration::hours(1),
        next_update: now + Duration::days(1),
        crl_number: SerialNumber::from(1u64),
        issuing_distribution_point: None,
        revoked_certs: vec![revoked],
        key_identifier_method: KeyIdMethod::Sha256,
    };
    fs::write(folder.join("ca.crl"), list.signed_by(&ca).unwrap().pem().unwrap()).unwrap();
}

fn write_settings(folder: &Path, producer: SocketAddr) {
    let settings = "\
platform: {hsaId: SE2329990001-RTP1, name: call-test}
listeners:
- name: consumers
  address: 127.0.0.1:0
  tls: {certificate: platform.crt, privateKey: platform.key, clientTrust: ca.pem, crls: [ca.crl]}
admin: {address: 127.0.0.1:0}
upstream:
  tls: {certificate: platform.crt, privateKey: platform.key, trust: ca.pem}
  internal: {cidrs: [127.0.0.1/32]}
timeouts: {drainDelay: 1ms, drain: 1s}
";
    fs::write(folder.join("platform.yaml"), settings).unwrap();
    let manifests = folder.join("manifests");
    fs::create_dir(&manifests).unwrap();
    let route = format!(
        "\
apiVersion: rivmesh.io/v1alpha1
kind: RoutingEntry
metadata: {{name: echo}}
spec:
  serviceContracts: [{CONTRACT}]
  logicalAddresses: [{ADDRESS}]
  producer: {{profile: rivtabp21, endpoints: [{{url: \"http://{producer}/echo\"}}]}}
---
apiVersion: rivmesh.io/v1alpha1
kind: CallAuthorization
metadata: {{name: journal}}
spec:
  consumers: [SE2329990001-JRN1]
  serviceContracts: [{CONTRACT}]
  logicalAddresses: [{ADDRESS}]
"
    );
    fs::write(manifests.join("all.yaml"), route).unwrap();
}
