//! The operator's TLS listener. Handshakes run beside each other and have a time limit, so that a peer that connects
//! and says nothing keeps nobody waiting; certificates are read again when their files change.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{self, RootCertStore, ServerConfig};
use tokio_rustls::server::TlsStream;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;

const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
const HANDSHAKES: usize = 64;
/// How long a refused `accept` (too many open files, mostly) pauses before the next.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The PEM files that an operator shows and believes.
#[derive(Debug, Clone)]
pub struct ServerIdentity {
    /// The operator's certificate chain, its own certificate first.
    pub certificate: PathBuf,
    /// The private key.
    pub private_key: PathBuf,
    /// The authorities of dataplanes. With none, every peer may read the tables.
    pub client_authorities: Option<PathBuf>,
}

/// What the files of a [`ServerIdentity`] held.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// How to shake hands with dataplanes.
    pub config: Arc<ServerConfig>,
    /// The operator's own certificate, in DER.
    pub certificate: CertificateDer<'static>,
}

/// The files do not make a TLS configuration.
#[derive(Debug, Error)]
#[error("{}: {reason}", path.display())]
pub struct TlsError {
    /// The file at fault.
    pub path: PathBuf,
    /// One sentence.
    pub reason: String,
}

impl ServerIdentity {
    /// Reads the files.
    ///
    /// # Errors
    /// When a file cannot be read, holds nothing usable, or the key does not belong to the certificate.
    pub fn load(&self) -> Result<Loaded, TlsError> {
        let chain = certificates(&self.certificate)?;
        let certificate = chain[0].clone();
        let key = PrivateKeyDer::from_pem_file(&self.private_key).map_err(wrong(&self.private_key))?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(wrong(&self.certificate))?;
        let builder = match &self.client_authorities {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates(path)? {
                    roots.add(certificate).map_err(wrong(path))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().map_err(wrong(path))?)
            }
        };
        let mut config = builder.with_single_cert(chain, key).map_err(wrong(&self.certificate))?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Loaded { config: Arc::new(config), certificate })
    }
}

/// A configuration that shows this certificate chain (PEM) and asks for none, for streams that are admitted by a
/// [`super::Gate`].
///
/// # Errors
/// The sentence that says what is wrong with the certificate or the key.
pub fn server_config(certificate: &[u8], private_key: &[u8]) -> Result<Arc<ServerConfig>, String> {
    let chain = CertificateDer::pem_slice_iter(certificate).collect::<Result<Vec<_>, _>>();
    let chain = chain.map_err(|error| format!("the certificate is not PEM: {error}"))?;
    let key = PrivateKeyDer::from_pem_slice(private_key).map_err(|error| format!("the key is not PEM: {error}"))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(|error| error.to_string())?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

/// The certificates in a PEM file: one at least.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = CertificateDer::pem_file_iter(path).map_err(wrong(path))?;
    let certificates = read.collect::<Result<Vec<_>, _>>().map_err(wrong(path))?;
    if certificates.is_empty() {
        return Err(TlsError { path: path.to_owned(), reason: "holds no certificate in PEM".to_owned() });
    }
    Ok(certificates)
}

fn wrong<E: std::fmt::Display>(path: &Path) -> impl Fn(E) -> TlsError {
    let path = path.to_owned();
    move |error| TlsError { path: path.clone(), reason: error.to_string() }
}

/// Connections of `listener` after their handshake, for [`super::serve`].
///
/// `config` is asked for every connection, so that its owner can replace it. A handshake that fails is logged with
/// the peer's address and the reason. Ends when the stream is dropped.
pub fn tls_incoming(
    listener: TcpListener,
    config: impl Fn() -> Arc<ServerConfig> + Send + 'static,
) -> impl Stream<Item = io::Result<TlsStream<TcpStream>>> {
    let (sender, accepted) = mpsc::channel(16);
    tokio::spawn(async move {
        let places = Arc::new(Semaphore::new(HANDSHAKES));
        loop {
            let place = places.clone().acquire_owned().await.expect("the semaphore is never closed");
            let (socket, peer) = tokio::select! {
                () = sender.closed() => return,
                accepted = listener.accept() => match accepted {
                    Ok(accepted) => accepted,
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a connection to the table port");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                        continue;
                    }
                },
            };
            let handshake = TlsAcceptor::from(config()).accept(socket);
            let sender = sender.clone();
            tokio::spawn(async move {
                let outcome = tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await;
                drop(place);
                match outcome {
                    // The receiver is gone when the service has stopped.
                    Ok(Ok(stream)) => drop(sender.send(Ok(stream)).await),
                    Ok(Err(error)) => tracing::warn!(%peer, %error, "TLS handshake on the table port failed"),
                    Err(_) => tracing::warn!(%peer, "TLS handshake on the table port took too long"),
                }
            });
        }
    });
    ReceiverStream::new(accepted)
}
