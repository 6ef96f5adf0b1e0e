//! TLS towards producers: which certificate we show, which authorities we trust and which name we expect, per producer.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::SingleCertAndKey;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, SignatureScheme};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::material::{Files, Identity, MaterialError, TrustBundle, next_id};
use super::{ALPN, Clock, Expiry, ExpiryKind, provider, versions};
use crate::config::{HostMatch, MinVersion, Override, Upstream, UpstreamFiles, VerifyHostname};

/// Sessions kept for resumption with producers.
const STORED_SESSIONS: usize = 1024;
/// Hosts whose wrong name is logged; later ones are only counted.
const REPORTED_HOSTS: usize = 1000;

/// TLS towards some producers.
#[derive(Debug)]
pub struct ClientTls {
    /// For [`tokio_rustls::TlsConnector`].
    pub config: Arc<ClientConfig>,
    /// The name to ask for and to verify instead of the host.
    pub server_name: Option<ServerName<'static>>,
    /// Names what the connection is made with: certificate, authorities and rules. Never the same for two that differ,
    /// so a pooled connection is used again only for the same.
    pub identity: u64,
    verifier: Arc<ProducerVerifier>,
    own: Arc<Identity>,
    rules: Rules,
}

/// What tells one [`ClientTls`] from another, besides the contents of its files.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rules {
    certificate: PathBuf,
    private_key: PathBuf,
    trust: PathBuf,
    server_name: Option<String>,
    min_version: MinVersion,
    verify_hostname: VerifyHostname,
}

/// TLS towards all producers.
#[derive(Debug)]
pub struct UpstreamTls {
    default: Arc<ClientTls>,
    overrides: Vec<(Override, Arc<ClientTls>)>,
}

impl UpstreamTls {
    /// Takes certificates and authorities from files that have been read. Whatever has not changed is the previous one,
    /// with its identity, so that its pooled connections and sessions stay.
    ///
    /// # Errors
    /// A file is malformed, or a key is not the certificate's.
    pub(crate) fn build(
        config: &Upstream,
        files: &Files,
        production: bool,
        clock: &Clock,
        previous: Option<&Self>,
    ) -> Result<Self, MaterialError> {
        let build = |rules: Rules| ClientTls::build(rules, files, production, clock, previous);
        let default = build(Rules::of(&config.tls, None))?;
        let overrides = config
            .overrides
            .iter()
            .map(|entry| Ok((entry.clone(), build(Rules::of(&config.tls, Some(entry)))?)))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self { default, overrides })
    }

    /// TLS towards a producer, by host (as in its URL) and port: that of the first override that matches, else the
    /// default.
    pub fn select(&self, host: &str, port: u16) -> &ClientTls {
        let host = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        self.overrides.iter().find(|(entry, _)| entry.matches(host, port)).map_or(&self.default, |(_, tls)| tls)
    }

    /// Whether connections made with this identity may still be used.
    pub fn knows(&self, identity: u64) -> bool {
        self.all().any(|(_, tls)| tls.identity == identity)
    }

    /// How many handshakes went on although the producer's certificate had another name, where `verifyHostname: report`
    /// allows it.
    pub fn name_mismatches(&self) -> u64 {
        self.all().map(|(_, tls)| tls.verifier.mismatches.load(Ordering::Relaxed)).sum()
    }

    /// When our certificates and the producers' authorities end.
    pub fn expiries(&self) -> Vec<Expiry> {
        let expiry = |name: &str, kind, file: &PathBuf, at| Expiry {
            name: name.to_owned(),
            kind,
            file: file.display().to_string(),
            at,
        };
        let mut all = Vec::new();
        for (name, tls) in self.all() {
            all.push(expiry(&name, ExpiryKind::Certificate, &tls.own.file, tls.own.not_after));
            let bundle = &tls.verifier.bundle;
            all.push(expiry(&name, ExpiryKind::Trust, &bundle.file, bundle.not_after));
        }
        let mut seen = HashSet::new();
        all.retain(|expiry| seen.insert((expiry.kind, expiry.file.clone())));
        all
    }

    fn all(&self) -> impl Iterator<Item = (String, &ClientTls)> {
        let name = |entry: &Override| match &entry.hosts {
            HostMatch::Host(host) => format!("upstream {host}"),
            HostMatch::Suffix(suffix) => format!("upstream *{suffix}"),
        };
        let overrides = self.overrides.iter().map(move |(entry, tls)| (name(entry), tls.as_ref()));
        std::iter::once(("upstream".to_owned(), self.default.as_ref())).chain(overrides)
    }
}

impl Rules {
    fn of(default: &UpstreamFiles, entry: Option<&Override>) -> Self {
        let identity = entry.and_then(|entry| entry.identity.as_ref());
        let (certificate, private_key) =
            identity.map_or((&default.certificate, &default.private_key), |(certificate, key)| (certificate, key));
        Self {
            certificate: certificate.clone(),
            private_key: private_key.clone(),
            trust: entry.and_then(|entry| entry.trust.as_ref()).unwrap_or(&default.trust).clone(),
            server_name: entry.and_then(|entry| entry.server_name.clone()),
            min_version: entry.and_then(|entry| entry.min_version).unwrap_or(default.min_version),
            verify_hostname: entry.and_then(|entry| entry.verify_hostname).unwrap_or(default.verify_hostname),
        }
    }
}

impl ClientTls {
    fn build(
        rules: Rules,
        files: &Files,
        production: bool,
        clock: &Clock,
        previous: Option<&UpstreamTls>,
    ) -> Result<Arc<Self>, MaterialError> {
        let before = previous.and_then(|previous| {
            let mut all = std::iter::once(&previous.default).chain(previous.overrides.iter().map(|(_, tls)| tls));
            all.find(|tls| tls.rules == rules)
        });
        let own = Identity::build(
            files,
            &rules.certificate,
            &rules.private_key,
            production,
            before.map(|before| &before.own),
        )?;
        let bundle = TrustBundle::build(files, &rules.trust, production, before.map(|before| &before.verifier.bundle))?;
        if let Some(before) = before
            && Arc::ptr_eq(&before.own, &own)
            && Arc::ptr_eq(&before.verifier.bundle, &bundle)
        {
            return Ok(before.clone());
        }
        let unusable = |error: String| MaterialError::new(&rules.certificate, error);
        let server_name = match &rules.server_name {
            Some(name) => Some(ServerName::try_from(name.clone()).map_err(|error| unusable(error.to_string()))?),
            None => None,
        };
        let verifier = Arc::new(ProducerVerifier {
            bundle,
            rule: rules.verify_hostname,
            mismatches: AtomicU64::new(0),
            reported: Mutex::default(),
        });
        let mut config = ClientConfig::builder_with_details(provider(), clock.clone())
            .with_protocol_versions(versions(rules.min_version))
            .map_err(|error| unusable(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(verifier.clone())
            .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(own.key.clone())));
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.resumption = Resumption::in_memory_sessions(STORED_SESSIONS);
        Ok(Arc::new(Self { config: Arc::new(config), server_name, identity: next_id(), verifier, own, rules }))
    }

    /// Whether a producer's chain is still within its dates. For a resumed session, on which rustls verifies nothing.
    pub fn is_in_time(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> bool {
        let Some(leaf) = chain.first() else { return false };
        let Ok((_, leaf)) = X509Certificate::from_der(leaf) else { return false };
        i64::try_from(now.as_secs()).is_ok_and(|now| now <= leaf.validity().not_after.timestamp())
    }
}

/// Verifies a producer's chain always, and its name as the rule says.
#[derive(Debug)]
struct ProducerVerifier {
    bundle: Arc<TrustBundle>,
    rule: VerifyHostname,
    mismatches: AtomicU64,
    reported: Mutex<HashSet<String>>,
}

impl ProducerVerifier {
    fn report(&self, name: &ServerName<'_>, error: &rustls::Error) {
        self.mismatches.fetch_add(1, Ordering::Relaxed);
        let host = name.to_str().into_owned();
        let mut reported = self.reported.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if reported.len() < REPORTED_HOSTS && reported.insert(host.clone()) {
            tracing::warn!(
                producer = %host,
                error = %error,
                "the producer's certificate does not name the host that is called; the call goes on because of \
                 verifyHostname: report (told once per host)"
            );
        }
    }
}

impl ServerCertVerifier for ProducerVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let certificate = ParsedCertificate::try_from(end_entity)?;
        let algorithms = provider().signature_verification_algorithms;
        let roots = &self.bundle.roots;
        verify_server_cert_signed_by_trust_anchor(&certificate, roots, intermediates, now, algorithms.all)?;
        match (verify_server_name(&certificate, server_name), self.rule) {
            (Ok(()), _) => {}
            (Err(error), VerifyHostname::Report) if is_name_mismatch(&error) => self.report(server_name, &error),
            (Err(error), _) => return Err(error),
        }
        Ok(ServerCertVerified::assertion())
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

fn is_name_mismatch(error: &rustls::Error) -> bool {
    matches!(
        error,
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }
        )
    )
}
