//! Calls to producers: which certificate is shown, whom we trust, and what a wrong name does.

use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;

use super::*;
use crate::config::Upstream;

/// The producers' PKI beside ours.
struct Producers {
    pki: Pki,
    ca: Authority,
    clock: TestClock,
}

impl Producers {
    fn new() -> Self {
        let (pki, ca) = (Pki::new(), root("Producer CA"));
        pki.write("ca.pem", ca.pem());
        pki.write("none.pem", root("Nobody").pem());
        pki.leaf("platform", &ca, &Leaf::client(2, "SE1-VP"), &[]);
        pki.leaf("other", &ca, &Leaf::client(3, "SE1-OTHER"), &[]);
        pki.leaf("p1.example", &ca, &Leaf::server(4, "p1.example"), &[]);
        pki.leaf("192.0.2.1", &ca, &Leaf::server(5, "192.0.2.1"), &[]);
        pki.leaf("expired.example", &ca, &Leaf { years: (2024, 2025), ..Leaf::server(6, "expired.example") }, &[]);
        Self { pki, ca, clock: TestClock::new() }
    }

    fn config(&self, overrides: &str) -> Upstream {
        let text = format!(
            "platform: {{hsaId: SE1, name: n}}\nlisteners: [{{name: i, kind: internal, address: 127.0.0.1:1, internal: \
             {{cidrs: [127.0.0.1]}}}}]\nupstream:\n  tls: {{certificate: platform.crt, privateKey: platform.key, trust: \
             ca.pem}}\n  overrides: [{overrides}]\n"
        );
        crate::config::parse(&self.pki.path("platform.yaml"), &text).unwrap().upstream
    }

    fn load(&self, overrides: &str, previous: Option<&UpstreamTls>) -> UpstreamTls {
        let names = ["platform.crt", "platform.key", "other.crt", "other.key", "ca.pem", "none.pem"];
        let files = Files::read(names.map(|name| self.pki.path(name))).unwrap();
        UpstreamTls::build(&self.config(overrides), &files, false, &self.clock.clock(), previous).unwrap()
    }

    /// Calls a producer that has the certificate `producer`, at `host`; gives the serial number that we showed it.
    async fn call(
        &self,
        tls: &ClientTls,
        host: &str,
        producer: &str,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Result<Vec<u8>, rustls::Error> {
        let mut roots = RootCertStore::empty();
        roots.add(self.ca.der().clone()).unwrap();
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider()).build().unwrap();
        let chain = CertificateDer::pem_file_iter(self.pki.path(&format!("{producer}.crt"))).unwrap();
        let key = PrivateKeyDer::from_pem_file(self.pki.path(&format!("{producer}.key"))).unwrap();
        let server = ServerConfig::builder_with_details(provider(), self.clock.clock())
            .with_protocol_versions(versions)
            .unwrap()
            .with_client_cert_verifier(clients)
            .with_single_cert(chain.map(Result::unwrap).collect(), key)
            .unwrap();
        let (near, far) = duplex(64 * 1024);
        let accept = async {
            let stream = TlsAcceptor::from(Arc::new(server)).accept(far).await.ok()?;
            stream.get_ref().1.peer_certificates().map(|chain| chain[0].clone().into_owned())
        };
        let name = tls.server_name.clone().unwrap_or_else(|| ServerName::try_from(host.to_owned()).unwrap());
        let connect = TlsConnector::from(tls.config.clone()).connect(name, near);
        let (shown, connected) = tokio::join!(accept, connect);
        match connected {
            Ok(_) => {
                let shown = shown.expect("we show a certificate");
                let (_, leaf) = x509_parser::parse_x509_certificate(&shown).unwrap();
                Ok(leaf.raw_serial().to_vec())
            }
            Err(error) => Err(error.into_inner().unwrap().downcast_ref::<rustls::Error>().unwrap().clone()),
        }
    }
}

#[tokio::test]
async fn we_show_our_certificate_and_verify_the_producers() {
    let producers = Producers::new();
    let upstream = producers.load("", None);
    let tls = upstream.select("p1.example", 443);
    for version in BOTH {
        assert_eq!(producers.call(tls, "p1.example", "p1.example", &[version]).await, Ok(vec![2]));
        assert!(producers.call(tls, "p1.example", "platform", &[version]).await.is_err(), "it is no server");
        assert!(producers.call(tls, "expired.example", "expired.example", &[version]).await.is_err());
    }
    let by_address = upstream.select("192.0.2.1", 443);
    assert_eq!(producers.call(by_address, "192.0.2.1", "192.0.2.1", &BOTH).await, Ok(vec![2]));
    assert!(producers.call(by_address, "192.0.2.2", "192.0.2.1", &BOTH).await.is_err());
}

#[tokio::test]
async fn a_wrong_name_fails_unless_it_is_only_reported() {
    let producers = Producers::new();
    let upstream = producers.load("{suffix: .legacy.example, verifyHostname: report}, {host: none.example, verifyHostname: report, trust: none.pem}", None);
    let strict = upstream.select("p2.example", 443);
    assert!(producers.call(strict, "p2.example", "p1.example", &BOTH).await.is_err());
    assert_eq!(upstream.name_mismatches(), 0);
    let lenient = upstream.select("a.legacy.example", 443);
    assert_eq!(producers.call(lenient, "a.legacy.example", "p1.example", &[&version::TLS12]).await, Ok(vec![2]));
    assert_eq!(upstream.name_mismatches(), 1);
    assert!(producers.call(lenient, "a.legacy.example", "expired.example", &BOTH).await.is_err(), "the chain counts");
    let untrusted = upstream.select("none.example", 443);
    assert!(producers.call(untrusted, "none.example", "p1.example", &BOTH).await.is_err(), "the authority counts");
}

#[tokio::test]
async fn an_override_changes_what_it_says_and_nothing_else() {
    let producers = Producers::new();
    let overrides = "{host: a.example, port: 8443, certificate: other.crt, privateKey: other.key}, \
                     {host: b.example, serverName: p1.example}, {host: c.example, minVersion: \"1.3\"}, \
                     {host: \"192.0.2.9\", serverName: p1.example}, {host: \"2001:db8::1\", serverName: p1.example}";
    let upstream = producers.load(overrides, None);
    assert_eq!(
        producers.call(upstream.select("A.example", 8443), "p1.example", "p1.example", &BOTH).await,
        Ok(vec![3])
    );
    assert_eq!(upstream.select("a.example", 443).identity, upstream.select("x.example", 1).identity);
    for host in ["b.example", "192.0.2.9", "[2001:db8::1]"] {
        let renamed = upstream.select(host, 443);
        assert_eq!(producers.call(renamed, "unused.example", "p1.example", &BOTH).await, Ok(vec![2]), "{host}");
    }
    let modern = upstream.select("c.example", 443);
    assert!(producers.call(modern, "p1.example", "p1.example", &[&version::TLS12]).await.is_err());
    assert_eq!(producers.call(modern, "p1.example", "p1.example", &[&version::TLS13]).await, Ok(vec![2]));
}

#[test]
fn an_identity_lives_as_long_as_its_files() {
    let producers = Producers::new();
    let overrides =
        "{host: a.example, certificate: other.crt, privateKey: other.key}, {host: b.example, minVersion: \"1.3\"}";
    let first = producers.load(overrides, None);
    let id = |upstream: &UpstreamTls, host: &str| upstream.select(host, 443).identity;
    assert_ne!(id(&first, "a.example"), id(&first, "x.example"));
    assert_ne!(id(&first, "b.example"), id(&first, "x.example"));

    let same = producers.load(overrides, Some(&first));
    for host in ["a.example", "b.example", "x.example"] {
        assert_eq!(id(&same, host), id(&first, host), "{host}");
    }
    producers.pki.leaf("other", &producers.ca, &Leaf::client(9, "SE1-OTHER"), &[]);
    let renewed = producers.load(overrides, Some(&same));
    assert_ne!(id(&renewed, "a.example"), id(&same, "a.example"));
    assert_eq!(id(&renewed, "x.example"), id(&same, "x.example"));
    assert!(!renewed.knows(id(&same, "a.example")) && renewed.knows(id(&same, "x.example")));

    producers.pki.write("ca.pem", format!("{}{}", producers.ca.pem(), root("New CA").pem()));
    let trusting = producers.load(overrides, Some(&renewed));
    assert!(!trusting.knows(id(&renewed, "x.example")));
}

#[test]
fn a_resumed_producer_is_held_to_its_dates() {
    let producers = Producers::new();
    let upstream = producers.load("", None);
    let tls = upstream.select("p1.example", 443);
    let chain = |name: &str| [CertificateDer::from_pem_file(producers.pki.path(&format!("{name}.crt"))).unwrap()];
    assert!(tls.is_in_time(&chain("p1.example"), producers.clock.now()));
    assert!(!tls.is_in_time(&chain("expired.example"), producers.clock.now()));
    assert!(!tls.is_in_time(&[], producers.clock.now()));
}

#[test]
fn what_ends_is_told_once() {
    let producers = Producers::new();
    let upstream = producers.load("{host: a.example, trust: none.pem}", None);
    let ends = upstream.expiries();
    let files = |kind| ends.iter().filter(|end| end.kind == kind).count();
    assert_eq!((files(ExpiryKind::Certificate), files(ExpiryKind::Trust), ends.len()), (1, 2, 3), "{ends:?}");
}
