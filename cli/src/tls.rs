//! TLS of the peers that a platform stands between: a consumer that calls it, a producer that it calls.

use anyhow::{Context, anyhow};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The files that a peer shows and trusts, all PEM.
#[derive(Debug, Clone)]
pub(crate) struct Files {
    /// Its certificate with its chain, leaf first.
    pub certificate: PathBuf,
    /// The key of the certificate.
    pub key: PathBuf,
    /// The authorities that the other side's certificate must come from.
    pub authorities: PathBuf,
}

/// A consumer's TLS, and the server's certificate as it was shown, good or not.
#[derive(Debug)]
pub(crate) struct Client {
    pub config: Arc<ClientConfig>,
    pub shown: Shown,
}

/// The last certificate that a server has shown. It is there to explain a refusal, too.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shown(Arc<Mutex<Option<CertificateDer<'static>>>>);

impl Shown {
    pub(crate) fn get(&self) -> Option<CertificateDer<'static>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A producer's side: demands a certificate of its authorities.
///
/// # Errors
/// A file that cannot be used, and why.
pub(crate) fn server(files: &Files) -> anyhow::Result<Arc<ServerConfig>> {
    let verifier = WebPkiClientVerifier::builder_with_provider(roots(&files.authorities)?, provider()).build()?;
    let (chain, key) = (certificates(&files.certificate)?, private_key(&files.key)?);
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)?;
    Ok(Arc::new(config))
}

/// A consumer's side.
///
/// # Errors
/// A file that cannot be used, and why.
pub(crate) fn client(files: &Files) -> anyhow::Result<Client> {
    let shown = Shown::default();
    let inner = WebPkiServerVerifier::builder_with_provider(roots(&files.authorities)?, provider()).build()?;
    let verifier = Arc::new(Remembering { inner, shown: shown.clone() });
    let (chain, key) = (certificates(&files.certificate)?, private_key(&files.key)?);
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_auth_cert(chain, key);
    let fits = || {
        format!("{} is not the key of the first certificate in {}", files.key.display(), files.certificate.display())
    };
    Ok(Client { config: Arc::new(config.with_context(fits)?), shown })
}

/// Verifies as webpki does, and remembers what it was shown: rustls keeps a refused certificate to itself.
#[derive(Debug)]
struct Remembering {
    inner: Arc<WebPkiServerVerifier>,
    shown: Shown,
}

impl ServerCertVerifier for Remembering {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        *self.shown.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(end_entity.clone().into_owned());
        self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn roots(path: &Path) -> anyhow::Result<Arc<RootCertStore>> {
    let mut roots = RootCertStore::empty();
    for authority in certificates(path)? {
        roots.add(authority).with_context(|| format!("{} holds what is no authority", path.display()))?;
    }
    Ok(Arc::new(roots))
}

/// The certificates in a PEM file, at least one.
///
/// # Errors
/// The file cannot be read, or has none.
pub(crate) fn certificates(path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let read: Vec<_> = read.with_context(|| format!("{} cannot be read", path.display()))?;
    if read.is_empty() {
        return Err(anyhow!(
            "{} holds no certificate: it must have a -----BEGIN CERTIFICATE----- block",
            path.display()
        ));
    }
    Ok(read)
}

fn private_key(path: &Path) -> anyhow::Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_file(path).with_context(|| {
        format!("{} cannot be read as a private key: it must be PEM and not encrypted", path.display())
    })
}
