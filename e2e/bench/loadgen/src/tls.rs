//! TLS configurations that pin version, cipher and key exchange, so that peers compare alike.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{CipherSuite, ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion};

/// Files and version of one side of a connection. Both sides always authenticate themselves.
#[derive(Args, Clone, Debug)]
pub struct TlsOptions {
    /// PEM file of the authorities to trust.
    #[arg(long)]
    pub ca: PathBuf,
    /// PEM file of the own certificate and its chain.
    #[arg(long)]
    pub cert: PathBuf,
    /// PEM file of the own private key.
    #[arg(long)]
    pub key: PathBuf,
    /// TLS version.
    #[arg(long, value_enum, default_value = "any")]
    pub tls: Version,
}

/// Which TLS version is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Version {
    /// TLS 1.2 only.
    #[value(name = "1.2")]
    Tls12,
    /// TLS 1.3 only.
    #[value(name = "1.3")]
    Tls13,
    /// Both.
    Any,
}

impl Version {
    fn protocols(self) -> Vec<&'static SupportedProtocolVersion> {
        match self {
            Self::Tls12 => vec![&TLS12],
            Self::Tls13 => vec![&TLS13],
            Self::Any => vec![&TLS13, &TLS12],
        }
    }
}

/// AES-256-GCM with X25519 or P-256: what every peer can do and what SITHS-era clients negotiate.
fn provider() -> Arc<CryptoProvider> {
    const SUITES: [CipherSuite; 3] = [
        CipherSuite::TLS13_AES_256_GCM_SHA384,
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    ];
    let mut provider = aws_lc_rs::default_provider();
    provider.cipher_suites.retain(|suite| SUITES.contains(&suite.suite()));
    provider.kx_groups = vec![aws_lc_rs::kx_group::X25519, aws_lc_rs::kx_group::SECP256R1];
    Arc::new(provider)
}

impl TlsOptions {
    /// The connecting side, without session resumption.
    pub fn client(&self) -> Result<ClientConfig> {
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&self.tls.protocols())?
            .with_root_certificates(self.roots()?)
            .with_client_auth_cert(self.chain()?, self.private_key()?)
            .context("the client's certificate and key")?;
        config.resumption = Resumption::disabled();
        Ok(config)
    }

    /// The listening side; a client certificate is demanded.
    pub fn server(&self) -> Result<ServerConfig> {
        let provider = provider();
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(self.roots()?), Arc::clone(&provider)).build()?;
        ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&self.tls.protocols())?
            .with_client_cert_verifier(verifier)
            .with_single_cert(self.chain()?, self.private_key()?)
            .context("the server's certificate and key")
    }

    fn chain(&self) -> Result<Vec<CertificateDer<'static>>> {
        read_certificates(&self.cert)
    }

    fn private_key(&self) -> Result<PrivateKeyDer<'static>> {
        PrivateKeyDer::from_pem_file(&self.key).with_context(|| self.key.display().to_string())
    }

    fn roots(&self) -> Result<RootCertStore> {
        let mut store = RootCertStore::empty();
        for certificate in read_certificates(&self.ca)? {
            store.add(certificate).with_context(|| self.ca.display().to_string())?;
        }
        Ok(store)
    }
}

fn read_certificates(path: &PathBuf) -> Result<Vec<CertificateDer<'static>>> {
    CertificateDer::pem_file_iter(path).and_then(Iterator::collect).with_context(|| path.display().to_string())
}
