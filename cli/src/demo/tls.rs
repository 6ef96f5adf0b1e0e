//! TLS of the demo's own peers, the producers and consumers that the platform stands between.

use anyhow::Context;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::path::Path;
use std::sync::Arc;

/// A producer's side: shows `name`'s certificate and demands one of the demo's authority.
pub(super) fn server(pki: &Path, name: &str) -> anyhow::Result<Arc<ServerConfig>> {
    let verifier = WebPkiClientVerifier::builder_with_provider(roots(pki)?, provider()).build()?;
    let (chain, key) = identity(pki, name)?;
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)?;
    Ok(Arc::new(config))
}

/// A consumer's side: shows `name`'s certificate and trusts the demo's authority.
pub(super) fn client(pki: &Path, name: &str) -> anyhow::Result<Arc<ClientConfig>> {
    let (chain, key) = identity(pki, name)?;
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots(pki)?)
        .with_client_auth_cert(chain, key)?;
    Ok(Arc::new(config))
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn roots(pki: &Path) -> anyhow::Result<Arc<RootCertStore>> {
    let mut roots = RootCertStore::empty();
    for authority in certificates(&pki.join("ca.pem"))? {
        roots.add(authority)?;
    }
    Ok(Arc::new(roots))
}

fn identity(pki: &Path, name: &str) -> anyhow::Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
    let key = pki.join(format!("{name}.key"));
    let key = PrivateKeyDer::from_pem_file(&key).with_context(|| format!("{} cannot be read", key.display()))?;
    Ok((certificates(&pki.join(format!("{name}.crt")))?, key))
}

fn certificates(path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    read.with_context(|| format!("{} cannot be read", path.display()))
}
