//! Whether a client certificate is good: its path to an authority, the dates on it, its purpose and its revocation.
//!
//! A full verification checks signatures and happens once for each chain. A verdict is a [`Standing`], which says until
//! when it holds; afterwards, and whenever files have changed, it is renewed without signatures, unless the authorities
//! themselves have changed. So a resumed session, on which rustls asks no verifier, and a connection that has been open
//! for minutes are judged by the same rules as a new one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustls::pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage, VerifiedPath};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::crl::{self, Crl};
use super::material::{Content, Files, MaterialError, TrustBundle, next_id};
use super::provider;
use super::refusal::{Reason, Refusal};
use crate::config::{ClientTrustFiles, RevocationMode};

/// The authorities and revocation lists that client certificates are judged by.
#[derive(Debug)]
pub struct ClientTrust {
    id: u64,
    pub(crate) bundle: Arc<TrustBundle>,
    pub(crate) crls: Vec<Arc<Crl>>,
    config: ClientTrustFiles,
    sources: Vec<Content>,
    unknown: Arc<AtomicU64>,
}

/// A favourable verdict about a client's chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// It holds before this instant, Unix seconds: then a certificate expires or a revocation list becomes too old.
    pub until: i64,
    judge: u64,
}

impl ClientTrust {
    /// Takes authorities and lists from files; what is unchanged is taken from the previous one, and the previous one
    /// itself is returned if nothing has changed. With `production`, authorities for tests are refused.
    ///
    /// # Errors
    /// A file is malformed, or a list is not signed by the authority whose name it bears.
    pub fn build(
        config: &ClientTrustFiles,
        files: &Files,
        production: bool,
        previous: Option<&Arc<Self>>,
    ) -> Result<Arc<Self>, MaterialError> {
        let bundle = TrustBundle::build(files, &config.trust, production, previous.map(|previous| &previous.bundle))?;
        let sources = match config.revocation {
            RevocationMode::Off => Vec::new(),
            _ => config.crls.iter().map(|file| files.get(file).cloned()).collect::<Result<Vec<_>, _>>()?,
        };
        let unknown = previous.map(|previous| previous.unknown.clone()).unwrap_or_default();
        let previous = previous.filter(|previous| Arc::ptr_eq(&previous.bundle, &bundle));
        if let Some(previous) = previous.filter(|previous| previous.config == *config && previous.sources == sources) {
            return Ok(previous.clone());
        }
        let mut crls = Vec::new();
        for (file, source) in config.crls.iter().zip(&sources) {
            let same = previous.and_then(|previous| {
                let nr = previous.sources.iter().position(|other| other == source)?;
                (previous.config.crls[nr] == *file).then_some(previous)
            });
            match same {
                Some(previous) => crls.extend(previous.crls.iter().filter(|crl| crl.file == *file).cloned()),
                None => {
                    for crl in crl::parse_file(file, source)? {
                        verify_at_load(&crl, &bundle)?;
                        crls.push(Arc::new(crl));
                    }
                }
            }
        }
        Ok(Arc::new(Self { id: next_id(), bundle, crls, config: config.clone(), sources, unknown }))
    }

    /// Judges a chain in full: path, signatures, dates, purpose, revocation. The leaf stands first; the order of the
    /// others does not matter. What cannot change of a chain, path, signatures and purpose, is looked at once.
    ///
    /// # Errors
    /// The first reason against it.
    pub fn verify(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> Result<Standing, Refusal> {
        let Some((leaf, others)) = chain.split_first() else {
            return Err(Refusal { reason: Reason::NoCertificate, certificate: None });
        };
        self.verify_leaf(leaf, others, now)
    }

    pub(crate) fn verify_leaf(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<Standing, Refusal> {
        self.verified(leaf, others, now).map_err(|reason| Refusal::new(reason, leaf))
    }

    fn verified(
        &self,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<Standing, Reason> {
        let chain: Vec<_> = std::iter::once(leaf).chain(others).cloned().collect();
        if let Some(standing) = self.quickly(&chain, now) {
            return Ok(standing);
        }
        let end_entity = EndEntityCert::try_from(leaf)?;
        let algorithms = provider().signature_verification_algorithms;
        let path = end_entity.verify_for_usage(
            algorithms.all,
            &self.bundle.roots.roots,
            others,
            now,
            KeyUsage::client_auth(),
            None,
            None,
        )?;
        let ders = path_ders(&path);
        let path = ders.iter().map(|der| parse(der)).collect::<Result<Vec<_>, _>>()?;
        for authority in &path[1..] {
            for crl in self.crls.iter().filter(|crl| !crl.is_verified()) {
                crl.verify_with(authority);
            }
        }
        let place = |der| chain.iter().position(|sent| sent == der);
        if let Some(places) = ders.iter().map(place).collect() {
            self.bundle.verified.remember(&chain, places);
        }
        self.judge(&path, now)
    }

    /// The dates and the revocation of a chain that was verified before, by the path that was found then: of two certificates
    /// with one name only their signatures tell which one issued another. `None` when only a full verification can tell:
    /// the chain is not known or not good, or a list's own signature has not been verified yet.
    fn quickly(&self, chain: &[CertificateDer<'_>], now: UnixTime) -> Option<Standing> {
        let places = self.bundle.verified.path(chain)?;
        let path = places.iter().map(|place| parse(chain.get(*place)?).ok()).collect::<Option<Vec<_>>>()?;
        let is_unverified = |issuer: &[u8]| self.crls.iter().any(|crl| crl.issuer == issuer && !crl.is_verified());
        if path.iter().any(|certificate| is_unverified(certificate.issuer().as_raw())) {
            return None;
        }
        self.judge(&path, now).ok()
    }

    /// Renews a verdict, if it has to be: after `until`, and after files have changed.
    ///
    /// # Errors
    /// The first reason against the chain.
    pub fn renew(&self, held: &Standing, chain: &[CertificateDer<'_>], now: UnixTime) -> Result<Standing, Refusal> {
        if self.upholds(held, now) {
            return Ok(*held);
        }
        self.verify(chain, now)
    }

    /// Whether a verdict still holds as it is: two comparisons, for use before every call.
    pub fn upholds(&self, held: &Standing, now: UnixTime) -> bool {
        held.judge == self.id && seconds(now) < held.until
    }

    /// How many verdicts were given without knowing about revocation, where `revocation: available` allows it.
    pub fn unknown_revocations(&self) -> u64 {
        self.unknown.load(Ordering::Relaxed)
    }

    /// Dates and revocation of a path, leaf first, that ends below an authority of the bundle.
    fn judge(&self, path: &[X509Certificate<'_>], now: UnixTime) -> Result<Standing, Reason> {
        let now = seconds(now);
        let mut until = i64::MAX;
        for certificate in path {
            let (not_before, not_after) =
                (certificate.validity().not_before.timestamp(), certificate.validity().not_after.timestamp());
            if now < not_before {
                return Err(Reason::NotYetValid { not_before });
            }
            if now > not_after {
                return Err(Reason::Expired { not_after });
            }
            until = until.min(not_after.saturating_add(1));
        }
        for (nr, certificate) in path.iter().enumerate() {
            if self.verified_lists(certificate).any(|crl| crl.lists(certificate.raw_serial())) {
                return Err(if nr == 0 { Reason::Revoked } else { Reason::IssuerRevoked });
            }
        }
        until = until.min(self.revocation_known_until(&path[0], now)?);
        Ok(Standing { until, judge: self.id })
    }

    /// The newest editions of the lists that speak about a certificate. An issuer's name and a serial number name one
    /// certificate, whichever of its keys the issuer has signed the list with (RFC 5280 §4.1.2.2).
    fn verified_lists(&self, certificate: &X509Certificate<'_>) -> impl Iterator<Item = &Crl> {
        let verified = || self.crls.iter().map(Arc::as_ref).filter(|crl| crl.is_verified());
        verified().filter(move |crl| {
            crl.issuer == certificate.issuer().as_raw()
                && crl.covers(certificate)
                && !verified().any(|other| crl.is_superseded_by(other))
        })
    }

    fn revocation_known_until(&self, leaf: &X509Certificate<'_>, now: i64) -> Result<i64, Reason> {
        if self.config.revocation == RevocationMode::Off {
            return Ok(i64::MAX);
        }
        let grace = i64::try_from(self.config.stale_grace.as_secs()).unwrap_or(i64::MAX);
        let next_update = self.verified_lists(leaf).map(|crl| crl.next_update).max();
        let until = next_update.map(|next_update| next_update.saturating_add(grace));
        match (self.config.revocation, next_update, until) {
            (_, Some(_), Some(until)) if now < until => Ok(until),
            (RevocationMode::Require, Some(next_update), _) => Err(Reason::StaleRevocationList { next_update }),
            (RevocationMode::Require, None, _) => Err(Reason::NoRevocationList),
            _ => {
                self.unknown.fetch_add(1, Ordering::Relaxed);
                Ok(i64::MAX)
            }
        }
    }
}

fn parse<'a>(der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, Reason> {
    X509Certificate::from_der(der).map(|(_, certificate)| certificate).map_err(|_| Reason::Unreadable)
}

fn path_ders<'p>(path: &'p VerifiedPath<'p>) -> Vec<CertificateDer<'p>> {
    std::iter::once(path.end_entity().der())
        .chain(path.intermediate_certificates().map(|certificate| certificate.der()))
        .collect()
}

fn seconds(time: UnixTime) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

/// A list that bears the name of a trusted authority must be signed by it. One of an authority that clients send on
/// their own, below a trusted root, waits for the first such client.
fn verify_at_load(crl: &Crl, bundle: &TrustBundle) -> Result<(), MaterialError> {
    let mut named = false;
    for der in &bundle.certificates {
        let Ok(authority) = parse(der) else { continue };
        named |= authority.subject().as_raw() == crl.issuer;
        if crl.verify_with(&authority) {
            return Ok(());
        }
    }
    if !named {
        return Ok(());
    }
    Err(MaterialError::new(
        &crl.file,
        format!("is not signed by the authority of that name in {}: fetch it again", bundle.file.display()),
    ))
}
