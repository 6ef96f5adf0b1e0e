//! A listener's TLS: our certificate, and consumers that must show theirs.
//!
//! Sessions may be resumed, which saves both sides most of a handshake. rustls does not ask the verifier about a resumed
//! session, so whoever accepts connections asks [`ServerTls::recheck`] after each handshake. A change of authorities
//! makes new ticket keys, so that nobody resumes past it; a new revocation list or a new certificate of ours keeps them.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ProducesTickets, ServerSessionMemoryCache, StoresServerSessions};
use rustls::sign::SingleCertAndKey;
use rustls::{DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme};

use super::material::{Files, Identity, MaterialError};
use super::refusal::leave_refusal;
use super::trust::{ClientTrust, Standing};
use super::{ALPN, Clock, Expiry, ExpiryKind, Refusal, provider, system_clock, versions};
use crate::config::{ListenerTls, MinVersion};

/// Sessions kept for clients that speak TLS 1.2 without tickets.
const STORED_SESSIONS: usize = 1024;

/// The TLS of one listener, as loaded from its files.
#[derive(Debug)]
pub struct ServerTls {
    /// For [`tokio_rustls::TlsAcceptor`]; demands a client certificate.
    pub config: Arc<ServerConfig>,
    /// What client certificates are judged by.
    pub clients: Arc<ClientTrust>,
    identity: Arc<Identity>,
    sessions: Sessions,
    min_version: MinVersion,
}

/// What lets a client resume: both end when the authorities change.
#[derive(Debug, Clone)]
struct Sessions {
    ticketer: Arc<dyn ProducesTickets>,
    store: Arc<dyn StoresServerSessions>,
}

impl ServerTls {
    /// Loads a listener's TLS from its files.
    ///
    /// # Errors
    /// A file cannot be read or is malformed, or the key is not the certificate's.
    pub fn load(config: &ListenerTls) -> Result<Self, MaterialError> {
        let files = [&config.certificate, &config.private_key, &config.clients.trust];
        let files = Files::read(files.into_iter().chain(&config.clients.crls).cloned())?;
        let loaded = Self::build(config, &files, false, &system_clock(), None)?;
        Ok(Arc::into_inner(loaded).expect("nobody else has it yet"))
    }

    /// Takes a listener's TLS from files that have been read; the previous one itself is returned if nothing has
    /// changed. With `production`, authorities for tests are refused.
    pub(crate) fn build(
        config: &ListenerTls,
        files: &Files,
        production: bool,
        clock: &Clock,
        previous: Option<&Arc<Self>>,
    ) -> Result<Arc<Self>, MaterialError> {
        let identity = Identity::build(
            files,
            &config.certificate,
            &config.private_key,
            production,
            previous.map(|previous| &previous.identity),
        )?;
        let clients =
            ClientTrust::build(&config.clients, files, production, previous.map(|previous| &previous.clients))?;
        if let Some(previous) = previous
            && Arc::ptr_eq(&previous.identity, &identity)
            && Arc::ptr_eq(&previous.clients, &clients)
            && previous.min_version == config.min_version
        {
            return Ok(previous.clone());
        }
        let sessions = match previous {
            Some(previous) if Arc::ptr_eq(&previous.clients.bundle, &clients.bundle) => previous.sessions.clone(),
            _ => Sessions::new().map_err(|error| {
                MaterialError::new(&config.certificate, format!("no ticket keys could be made: {error}"))
            })?,
        };
        let verifier = ConsumerVerifier { hints: clients.bundle.roots.subjects(), clients: clients.clone() };
        let mut rustls_config = ServerConfig::builder_with_details(provider(), clock.clone())
            .with_protocol_versions(versions(config.min_version))
            .map_err(|error| MaterialError::new(&config.certificate, error.to_string()))?
            .with_client_cert_verifier(Arc::new(verifier))
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(identity.key.clone())));
        rustls_config.alpn_protocols = vec![ALPN.to_vec()];
        rustls_config.ticketer = sessions.ticketer.clone();
        rustls_config.session_storage = sessions.store.clone();
        // With one ticket for each connection a client can resume as many as it has closed. A second would cost every
        // connection a tenth of a resumed handshake, for clients that open more than they close.
        rustls_config.send_tls13_tickets = 1;
        let (config, min_version) = (Arc::new(rustls_config), config.min_version);
        Ok(Arc::new(Self { config, clients, identity, sessions, min_version }))
    }

    /// Judges the chain of a session that may have been resumed; mostly without checking signatures.
    ///
    /// # Errors
    /// The reason why the connection must be closed.
    pub fn recheck(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> Result<Standing, Refusal> {
        self.clients.verify(chain, now)
    }

    /// When what is loaded here ends; `name` is the listener's.
    pub fn expiries(&self, name: &str) -> Vec<Expiry> {
        let own = Expiry {
            name: name.to_owned(),
            kind: ExpiryKind::Certificate,
            file: self.identity.file.display().to_string(),
            at: self.identity.not_after,
        };
        std::iter::once(own).chain(self.clients.expiries(name)).collect()
    }
}

impl ClientTrust {
    /// When the authorities and lists end; `name` is the listener's.
    pub fn expiries(&self, name: &str) -> Vec<Expiry> {
        let expiry = |kind, file: &std::path::Path, at| Expiry {
            name: name.to_owned(),
            kind,
            file: file.display().to_string(),
            at,
        };
        let lists = self.crls.iter().map(|crl| expiry(ExpiryKind::Crl, &crl.file, crl.next_update));
        std::iter::once(expiry(ExpiryKind::Trust, &self.bundle.file, self.bundle.not_after)).chain(lists).collect()
    }
}

impl Sessions {
    fn new() -> Result<Self, rustls::Error> {
        Ok(Self {
            ticketer: rustls::crypto::aws_lc_rs::Ticketer::new()?,
            store: ServerSessionMemoryCache::new(STORED_SESSIONS),
        })
    }
}

/// Asks [`ClientTrust`], tells the peer by the alert that rustls has for the reason, and leaves the reason itself for
/// the connection's task.
#[derive(Debug)]
struct ConsumerVerifier {
    clients: Arc<ClientTrust>,
    hints: Vec<DistinguishedName>,
}

impl ClientCertVerifier for ConsumerVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        match self.clients.verify_leaf(end_entity, intermediates, now) {
            Ok(_) => Ok(ClientCertVerified::assertion()),
            Err(refusal) => {
                let error = refusal.reason.to_rustls();
                leave_refusal(refusal);
                Err(error)
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &provider().signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &provider().signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
