//! Which client certificates are let in, what the peer is told and what the log is told.

use rcgen::ExtendedKeyUsagePurpose;

use super::*;

#[tokio::test]
async fn a_good_client_is_let_in() {
    let bench = Bench::new();
    let server = bench.server();
    for version in BOTH {
        let connected = connect(&server, &bench.client(Some("client"), version)).await.expect("let in");
        assert_eq!((connected.kind, &connected.chain), (HandshakeKind::Full, &bench.chain("client")));
    }
    let standing = server.clients.verify(&bench.chain("client"), bench.clock.now()).unwrap();
    // The list of 10 June counts two days longer; the certificate would last until January.
    assert_eq!(standing.until, i64::try_from(NOW + 11 * DAY).unwrap());
}

#[tokio::test]
async fn every_refusal_tells_the_peer_by_alert_and_us_by_reason() {
    let bench = Bench::new();
    let stranger = root("Stranger CA");
    bench.pki.leaf("untrusted", &stranger, &Leaf::client(3, "SE1-X"), &[]);
    bench.pki.leaf("expired", &bench.ca, &Leaf { years: (2024, 2025), ..Leaf::client(4, "SE1-X") }, &[]);
    bench.pki.leaf("future", &bench.ca, &Leaf { years: (2027, 2028), ..Leaf::client(5, "SE1-X") }, &[]);
    let purpose = ExtendedKeyUsagePurpose::ServerAuth;
    bench.pki.leaf("purpose", &bench.ca, &Leaf { purpose, ..Leaf::client(6, "SE1-X") }, &[]);
    bench.pki.leaf("revoked", &bench.ca, &Leaf::client(8, "SE1-X"), &[]);
    bench.pki.crl("ca.crl", &bench.ca, 2, 10, &[8]);
    let impostor = root("Function CA v1");
    bench.pki.leaf("forged", &impostor, &Leaf::client(9, "SE1-X"), &[]);

    let server = bench.server();
    let cases = [
        ("untrusted", "untrusted", AlertDescription::UnknownCA),
        ("expired", "expired", AlertDescription::CertificateExpired),
        ("future", "not-yet-valid", AlertDescription::CertificateExpired),
        ("purpose", "wrong-purpose", AlertDescription::UnsupportedCertificate),
        ("revoked", "revoked", AlertDescription::CertificateRevoked),
        ("forged", "bad-signature", AlertDescription::DecryptError),
    ];
    for (name, label, expected) in cases {
        for version in BOTH {
            let client = bench.client(Some(name), version);
            let (refusal, alert) = connect(&server, &client).await.expect_err(name);
            assert_eq!((refusal.reason.label(), alert), (label, Some(expected)), "{name}: {refusal}");
            let certificate = refusal.certificate.expect("the leaf that was presented");
            assert!(certificate.subject.contains(name), "{certificate:?}");
        }
    }
    for version in BOTH {
        let (refusal, alert) = connect(&server, &bench.client(None, version)).await.expect_err("refused");
        assert_eq!((refusal.reason.clone(), refusal.certificate.is_none()), (Reason::NoCertificate, true));
        assert!(alert.is_some(), "{refusal}");
    }
}

#[tokio::test]
async fn a_refusal_reads_as_a_sentence() {
    let bench = Bench::new();
    bench.pki.leaf("expired", &bench.ca, &Leaf { years: (2024, 2025), ..Leaf::client(4, "SE1-X") }, &[]);
    let text = bench.refusal(&bench.server(), Some("expired")).await.to_string();
    assert!(text.contains("expired 2025-01-01T00:00:00Z") && text.contains("Function CA v1"), "{text}");
}

#[tokio::test]
async fn a_refusal_is_not_blamed_on_the_next_handshake() {
    let bench = Bench::new();
    let server = bench.server();
    bench.pki.leaf("expired", &bench.ca, &Leaf { years: (2024, 2025), ..Leaf::client(4, "SE1-X") }, &[]);
    super::super::refusal::leave_refusal(
        server.clients.verify(&bench.chain("expired"), bench.clock.now()).unwrap_err(),
    );
    assert_eq!(bench.refusal(&server, None).await.reason, Reason::NoCertificate);
    assert!(take_refusal().is_none());
}

#[tokio::test]
async fn the_lowest_version_is_kept() {
    let mut bench = Bench::new();
    bench.config.min_version = MinVersion::Tls13;
    let server = bench.server();
    let (refusal, _) = connect(&server, &bench.client(Some("client"), &version::TLS12)).await.expect_err("refused");
    assert_eq!(refusal.reason.label(), "handshake");
    assert!(bench.is_let_in(&server, "client").await);
}

#[test]
fn a_carried_chain_is_judged_like_a_presented_one() {
    let bench = Bench::new();
    let above = intermediate("Issuing CA", &bench.ca);
    bench.pki.leaf("below", &above, &Leaf::client(20, "SE1-B"), &[&above]);
    let mut files = bench.config.clients.clone();
    bench.pki.crl("below.crl", &above, 1, 10, &[]);
    files.crls.push(bench.pki.path("below.crl"));
    let read = Files::read(files.crls.iter().cloned().chain([files.trust.clone()])).unwrap();
    let trust = ClientTrust::build(&files, &read, false, None).unwrap();
    let mut chain = bench.chain("below");
    assert!(trust.verify(&chain, bench.clock.now()).is_ok());
    chain.insert(1, bench.chain("client").remove(0));
    assert!(trust.verify(&chain, bench.clock.now()).is_ok(), "the order of the others does not matter");
    assert_eq!(trust.verify(&chain[..1], bench.clock.now()).unwrap_err().reason, Reason::Untrusted);
    assert_eq!(trust.verify(&[], bench.clock.now()).unwrap_err().reason, Reason::NoCertificate);
    let garbage = CertificateDer::from(vec![0x30, 0x03, 1, 2, 3]);
    assert_eq!(trust.verify(&[garbage], bench.clock.now()).unwrap_err().reason, Reason::Unreadable);
}

#[test]
fn a_peer_is_told_by_its_names() {
    use crate::config::PeerName::{CommonName, DnsName, SerialNumber};
    let bench = Bench::new();
    bench.pki.leaf(
        "ingress",
        &bench.ca,
        &Leaf { names: vec!["Ingress.example".to_owned()], ..Leaf::client(30, "SE1-I") },
        &[],
    );
    let leaf = &bench.chain("ingress")[0];
    for yes in [SerialNumber("se1-i".into()), CommonName("ingress".into()), DnsName("ingress.EXAMPLE".into())] {
        assert!(is_named(&[CommonName("other".into()), yes.clone()], leaf), "{yes:?}");
    }
    for no in [SerialNumber("ingress".into()), CommonName("Ingress".into()), DnsName("ingress".into())] {
        assert!(!is_named(std::slice::from_ref(&no), leaf), "{no:?}");
    }
    assert!(!is_named(&[], leaf) && !is_named(&[CommonName(String::new())], &CertificateDer::from(vec![1])));
}
