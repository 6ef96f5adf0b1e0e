//! `rivmesh-crl-fetcher` as a process: its command line, its log, and how it ends.
#![allow(clippy::unwrap_used, reason = "a helper of a test fails as a test does")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType, IsCa, KeyIdMethod,
    KeyPair, KeyUsagePurpose, SerialNumber, date_time_ymd,
};

/// Writes `ca.pem`, and returns a list of that authority.
fn authority(folder: &Path) -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name.push(DnType::CommonName, "Function CA v1");
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    std::fs::write(folder.join("ca.pem"), ca.pem()).unwrap();
    let list = CertificateRevocationListParams {
        this_update: date_time_ymd(2026, 1, 1),
        next_update: date_time_ymd(2100, 1, 1),
        crl_number: SerialNumber::from(1u64),
        issuing_distribution_point: None,
        revoked_certs: Vec::new(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    list.signed_by(&ca).unwrap().der().to_vec()
}

/// A server that sends `body` to everybody; it ends with the process.
fn serve(body: Vec<u8>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            stream.write_all(&[head.as_bytes(), &body].concat()).unwrap();
        }
    });
    port
}

fn fetcher(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rivmesh-crl-fetcher"));
    let proxies = ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
    for name in proxies {
        command.env_remove(name);
    }
    command.current_dir(folder).args(["--admin", "127.0.0.1:0", "--directory", "."]).args(arguments);
    command
}

#[test]
fn it_fetches_says_so_and_ends_when_told() {
    let folder = tempfile::tempdir().unwrap();
    let list = authority(folder.path());
    let source = format!("http://127.0.0.1:{}/ca.crl?token=s3cret=site.crl", serve(list.clone()));
    let broken = format!("http://127.0.0.1:{}/?token=s3cret=broken.crl", serve(b"no list".to_vec()));
    let mut process = fetcher(folder.path(), &["--trust", "ca.pem", "--source", &source, "--source", &broken])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let mut heard = Vec::new();
    let mut hear = |wanted: &str| loop {
        let line = lines.next().unwrap_or_else(|| panic!("it ended without saying {wanted:?}")).unwrap();
        heard.push(line.clone());
        if line.contains(wanted) {
            return line;
        }
    };
    let admin = hear("the admin port is ");
    let (_, address) = admin.split_once("the admin port is ").unwrap();
    let address = address.split('"').next().unwrap().to_owned();
    // The two are fetched at once, so they come in either order.
    let (mut is_fetched, mut is_refused) = (false, false);
    while !(is_fetched && is_refused) {
        let line = hear(".crl ");
        is_fetched |=
            line.contains("site.crl has been replaced, of CN=Function CA v1, next update due 2100-01-01T00:00:00Z");
        is_refused |= line.contains("broken.crl could not be updated from http://127.0.0.1:");
    }
    assert_eq!(std::fs::read(folder.path().join("site.crl")).unwrap(), list);
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: admin\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 503 ") && answer.contains("\r\n\r\nbroken.crl: the content holds no "),
        "{answer}"
    );

    let killed = Command::new("sh").args(["-c", "kill -TERM \"$0\"", &process.id().to_string()]).status().unwrap();
    assert!(killed.success());
    hear("stopping; the lists on disk stay");
    assert!(process.wait().unwrap().success());
    assert!(heard.iter().all(|line| !line.contains("s3cret")), "{heard:?}");
    assert!(heard.iter().all(|line| line.starts_with('{') && line.ends_with('}')), "{heard:?}");
}

#[test]
fn what_cannot_be_fetched_is_told_at_start_and_without_secrets() {
    let folder = tempfile::tempdir().unwrap();
    authority(folder.path());
    let one = "http://us3r:s3cret@crl.example/=ca.crl";
    for (arguments, part) in [
        (&["--trust", "ca.pem", "--source", one][..], "--source 1: (ca.crl) has a user or a password in its URL"),
        (&["--trust", "ca.pem", "--source", "https://a.example/=a.crl"], "give --https-trust"),
        (&["--trust", "gone.pem", "--source", "http://a.example/=a.crl"], "gone.pem: cannot be read"),
        (&["--source", "http://a.example/=a.crl"], "--trust <FILE>"),
        (&["--trust", "ca.pem", "--source", "http://a.example/=a.crl", "--interval", "1"], "is not a duration"),
    ] {
        let output = fetcher(folder.path(), arguments).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains(part), "{said}");
        assert!(!said.contains("s3cret"), "{said}");
    }
}
