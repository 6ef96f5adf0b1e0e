//! TLS for both ends, with the certificates of a throw-away PKI.

use std::path::Path;
use std::sync::Arc;

use rivmesh_e2e::consumer::identity;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

fn roots(pki: &Path) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(pki.join("root.pem")).unwrap()).unwrap();
    roots
}

/// A consumer that shows the certificate `name`.
pub(crate) fn consumer(pki: &Path, name: &str) -> Arc<ClientConfig> {
    let (chain, key) = identity(pki, name).unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots(pki));
    let mut config = builder.with_client_auth_cert(chain, key).unwrap();
    // Every connection stands for another consumer.
    config.resumption = rustls::client::Resumption::disabled();
    Arc::new(config)
}

/// A producer, which demands the platform's certificate.
pub(crate) fn producer(pki: &Path) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(pki)), provider.clone());
    let (chain, key) = identity(pki, "producer").unwrap();
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(builder.with_client_cert_verifier(verifier.build().unwrap()).with_single_cert(chain, key).unwrap())
}
