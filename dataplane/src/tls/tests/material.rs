//! What is told about files that are wrong, and about files that end.

use super::*;

fn error_of(bench: &Bench, production: bool) -> String {
    ServerTls::build(&bench.config, &bench.files(), production, &bench.clock.clock(), None)
        .map(|_| ())
        .expect_err("the files are wrong")
        .to_string()
}

#[test]
fn a_key_must_be_the_certificates() {
    let mut bench = Bench::new();
    bench.config.private_key = bench.pki.path("client.key");
    let text = error_of(&bench, false);
    assert!(
        text.contains("client.key: is not the key of the first certificate in") && text.contains("server.crt"),
        "{text}"
    );
}

#[test]
fn files_that_hold_something_else_are_told() {
    let bench = Bench::new();
    let wrong = |name: &str, content: &[u8]| {
        let before = std::fs::read(bench.pki.path(name)).unwrap();
        bench.pki.write(name, content);
        let text = error_of(&bench, false);
        bench.pki.write(name, before);
        assert!(text.contains(name), "{text}");
        text
    };
    assert!(wrong("server.crt", b"").contains("holds no certificate"));
    assert!(wrong("ca.pem", b"hello").contains("holds no certificate"));
    let cut = &bench.ca.pem()[..100];
    assert!(wrong("ca.pem", cut.as_bytes()).contains("is not proper PEM"));
    let nonsense = "-----BEGIN CERTIFICATE-----\nMAMBAgM=\n-----END CERTIFICATE-----\n";
    assert!(wrong("ca.pem", nonsense.as_bytes()).contains("certificate 1 cannot be read"));
    assert!(wrong("server.key", b"").contains("holds no private key"));
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAMBAgM=\n-----END ENCRYPTED PRIVATE KEY-----\n";
    assert!(wrong("server.key", encrypted.as_bytes()).contains("encrypted private key: decrypt it"));
    assert!(wrong("ca.crl", b"").contains("holds no revocation list"));
    assert!(wrong("ca.crl", &[0x30, 0x01, 0x00]).contains("is not a revocation list that can be used"));
    let missing = Files::read([PathBuf::from("/nowhere/tls.crt")]).unwrap_err().to_string();
    assert!(missing.starts_with("/nowhere/tls.crt: cannot be read"), "{missing}");
}

#[test]
fn production_trusts_no_authority_for_tests() {
    let bench = Bench::new();
    let tests = root("TEST SITHS e-id Root CA v2");
    bench.pki.write("ca.pem", format!("{}{}", bench.ca.pem(), tests.pem()));
    let text = error_of(&bench, true);
    assert!(
        text.contains("ca.pem: has certificates of TEST SITHS e-id Root CA v2") && text.contains("production"),
        "{text}"
    );
    bench.server();

    let bench = Bench::new();
    bench.pki.leaf("server", &tests, &Leaf::server(1, "vp.example"), &[]);
    assert!(error_of(&bench, true).contains("server.crt: has certificates of TEST SITHS"));
}

#[test]
fn what_ends_is_told_with_its_date() {
    let bench = Bench::new();
    let ends = bench.server().expiries("consumers");
    let at = |kind| ends.iter().find(|expiry| expiry.kind == kind).map(|expiry| expiry.at).unwrap();
    assert_eq!(at(ExpiryKind::Certificate), 1_893_456_000);
    assert_eq!(at(ExpiryKind::Trust), 2_208_988_800);
    assert_eq!(at(ExpiryKind::Crl), i64::try_from(NOW + 9 * DAY).unwrap());
    assert!(ends.iter().all(|expiry| expiry.name == "consumers") && ends.len() == 3);
}

#[test]
fn a_listener_loads_from_its_files_alone() {
    let bench = Bench::new();
    let loaded = ServerTls::load(&bench.config).unwrap();
    assert!(loaded.recheck(&bench.chain("client"), bench.clock.now()).is_ok());
}
