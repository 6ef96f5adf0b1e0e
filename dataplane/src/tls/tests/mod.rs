//! Real handshakes against a throw-away PKI, in TLS 1.2 and 1.3, under a clock that the tests set.

mod client;
mod material;
mod refusals;
mod resumption;
mod revocation;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{AlertDescription, ClientConfig, HandshakeKind, RootCertStore, SupportedProtocolVersion, version};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::testing::*;
use super::*;
use crate::config::{ClientTrustFiles, ListenerTls, RevocationMode};

const BOTH: [&SupportedProtocolVersion; 2] = [&version::TLS12, &version::TLS13];

/// A PKI with one authority, a listener's certificate and a client's; tests change what they are about.
struct Bench {
    pki: Pki,
    ca: Authority,
    clock: TestClock,
    config: ListenerTls,
}

impl Bench {
    fn new() -> Self {
        let (pki, ca) = (Pki::new(), root("Function CA v1"));
        pki.write("ca.pem", ca.pem());
        pki.leaf("server", &ca, &Leaf { years: (2026, 2030), ..Leaf::server(1, "vp.example") }, &[]);
        pki.leaf("client", &ca, &Leaf::client(2, "SE1-CLIENT"), &[]);
        pki.crl("ca.crl", &ca, 1, 10, &[]);
        let clients = ClientTrustFiles {
            trust: pki.path("ca.pem"),
            crls: vec![pki.path("ca.crl")],
            revocation: RevocationMode::Require,
            stale_grace: Duration::from_secs(2 * DAY),
        };
        let config = ListenerTls {
            certificate: pki.path("server.crt"),
            private_key: pki.path("server.key"),
            min_version: MinVersion::Tls12,
            clients,
        };
        Self { pki, ca, clock: TestClock::new(), config }
    }

    fn files(&self) -> Files {
        let paths = [&self.config.certificate, &self.config.private_key, &self.config.clients.trust];
        Files::read(paths.into_iter().chain(&self.config.clients.crls).cloned()).unwrap()
    }

    fn server(&self) -> Arc<ServerTls> {
        ServerTls::build(&self.config, &self.files(), false, &self.clock.clock(), None).unwrap()
    }

    fn reload(&self, previous: &Arc<ServerTls>) -> Arc<ServerTls> {
        ServerTls::build(&self.config, &self.files(), false, &self.clock.clock(), Some(previous)).unwrap()
    }

    /// A client that trusts the listener and shows `name.crt`, or nothing.
    fn client(&self, name: Option<&str>, version: &'static SupportedProtocolVersion) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.ca.der().clone()).unwrap();
        let builder = ClientConfig::builder_with_details(provider(), self.clock.clock())
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots);
        let config = match name {
            None => builder.with_no_client_auth(),
            Some(name) => {
                let key = PrivateKeyDer::from_pem_file(self.pki.path(&format!("{name}.key"))).unwrap();
                builder.with_client_auth_cert(self.chain(name), key).unwrap()
            }
        };
        Arc::new(config)
    }

    fn chain(&self, name: &str) -> Vec<CertificateDer<'static>> {
        let file = self.pki.path(&format!("{name}.crt"));
        CertificateDer::pem_file_iter(file).unwrap().map(Result::unwrap).collect()
    }

    /// Why a new connection of a client is refused.
    async fn refusal(&self, server: &Arc<ServerTls>, client: Option<&str>) -> Refusal {
        connect(server, &self.client(client, &version::TLS13)).await.expect_err("the client is let in").0
    }

    async fn is_let_in(&self, server: &Arc<ServerTls>, client: &str) -> bool {
        connect(server, &self.client(Some(client), &version::TLS13)).await.is_ok()
    }
}

/// A connection as the server sees it after its handshake.
#[derive(Debug)]
struct Connected {
    kind: HandshakeKind,
    chain: Vec<CertificateDer<'static>>,
}

/// Connects and exchanges a byte, so that the client has read the server's tickets or its alert.
async fn connect(
    server: &Arc<ServerTls>,
    client: &Arc<ClientConfig>,
) -> Result<Connected, (Refusal, Option<AlertDescription>)> {
    let (near, far) = duplex(64 * 1024);
    let accept = async {
        match TlsAcceptor::from(server.config.clone()).accept(far).await {
            Ok(mut stream) => {
                stream.write_all(b"x").await.unwrap();
                let connection = stream.get_ref().1;
                let chain =
                    connection.peer_certificates().unwrap().iter().map(|der| der.clone().into_owned()).collect();
                Ok(Connected { kind: connection.handshake_kind().unwrap(), chain })
            }
            Err(error) => Err(explain_handshake(&error)),
        }
    };
    let call = async {
        let name = ServerName::try_from("vp.example").unwrap();
        let mut stream = TlsConnector::from(client.clone()).connect(name, near).await?;
        stream.read_u8().await
    };
    let (accepted, called) = tokio::join!(accept, call);
    match (accepted, called) {
        (Ok(connected), Ok(_)) => Ok(connected),
        (Err(refusal), Err(error)) => Err((refusal, alert(&error))),
        (accepted, called) => panic!("server: {:?}, client: {called:?}", accepted.map(|connected| connected.kind)),
    }
}

fn alert(error: &std::io::Error) -> Option<AlertDescription> {
    match error.get_ref()?.downcast_ref::<rustls::Error>()? {
        rustls::Error::AlertReceived(alert) => Some(*alert),
        _ => None,
    }
}
