//! Certificate revocation lists (RFC 5280 §5). A list is downloaded over plain HTTP by whoever runs the platform, so its
//! signature is all that makes it true: it counts only once it has been verified with the key of an authority that is
//! trusted. That happens once per list, not per connection, because lists of a national authority are megabytes.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rustls::pki_types::CertificateRevocationListDer;
use rustls::pki_types::pem::PemObject;
use webpki::{BorrowedCertRevocationList, CertRevocationList};
use x509_parser::asn1_rs::Any;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{DistributionPointName, GeneralName, ParsedExtension};
use x509_parser::num_bigint::BigUint;
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;
use x509_parser::x509::X509Name;

use super::material::{Content, MaterialError};
use super::provider;

/// One revocation list.
#[derive(Debug)]
pub(crate) struct Crl {
    pub(crate) file: PathBuf,
    /// The issuer's name, DER.
    pub(crate) issuer: Vec<u8>,
    /// Unix seconds.
    this_update: i64,
    /// Unix seconds.
    pub(crate) next_update: i64,
    /// RFC 5280 §5.2.3.
    number: Option<BigUint>,
    scope: Scope,
    /// The serial numbers on it.
    revoked: CertRevocationList<'static>,
    der: Content,
    /// The key that its signature has been verified with, as DER of a SubjectPublicKeyInfo.
    signer: OnceLock<Box<[u8]>>,
}

/// Which of the issuer's certificates the list is about (issuingDistributionPoint, RFC 5280 §5.2.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scope {
    pub(crate) end_entities: bool,
    pub(crate) authorities: bool,
    /// Only certificates that name one of these distribution points.
    pub(crate) points: Option<Vec<String>>,
}

/// Which list it is, and how new: all that is needed to tell an update from a relapse or from another list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Edition {
    /// The issuer's name, DER.
    pub(crate) issuer: Vec<u8>,
    pub(crate) scope: Scope,
    /// Unix seconds.
    pub(crate) this_update: i64,
    /// Unix seconds.
    pub(crate) next_update: i64,
    pub(crate) number: Option<BigUint>,
}

impl Edition {
    /// Whether the other is an edition of the same list, whichever key it was signed with: authorities renew their keys.
    pub(crate) fn is_of_same_list(&self, other: &Self) -> bool {
        self.issuer == other.issuer && self.scope == other.scope
    }

    /// What grows from one edition to the next.
    pub(crate) fn order(&self) -> (i64, &Option<BigUint>) {
        (self.this_update, &self.number)
    }

    /// The issuer's name, for people.
    pub(crate) fn issuer_name(&self) -> String {
        X509Name::from_der(&self.issuer).map_or_else(|_| "(unreadable)".to_owned(), |(_, name)| name.to_string())
    }
}

/// The lists in a file: one in DER, or any number in PEM.
pub(crate) fn parse_file(file: &Path, content: &Content) -> Result<Vec<Crl>, MaterialError> {
    let wrong = |reason: String| MaterialError::new(file, reason);
    if content.first() == Some(&0x30) {
        return Ok(vec![Crl::parse(file, content.clone()).map_err(wrong)?]);
    }
    let lists = CertificateRevocationListDer::pem_slice_iter(content)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| wrong(format!("is neither DER nor proper PEM: {error}")))?;
    if lists.is_empty() {
        return Err(wrong(
            "holds no revocation list: it must be DER, or have a -----BEGIN X509 CRL----- block".to_owned(),
        ));
    }
    lists.iter().map(|der| Crl::parse(file, der.as_ref().into()).map_err(wrong)).collect()
}

impl Crl {
    fn parse(file: &Path, der: Content) -> Result<Self, String> {
        // webpki is the judge of what a proper list is; it refuses delta lists, indirect lists and unknown critical
        // extensions. x509-parser then tells what webpki keeps to itself. Both make much of each entry, so one is gone
        // before the other comes: a large list costs memory enough.
        let unusable = |error| format!("is not a revocation list that can be used: {error:?}");
        let judged = BorrowedCertRevocationList::from_der(&der).map_err(unusable)?;
        let (_, parsed) = CertificateRevocationList::from_der(&der)
            .map_err(|error| format!("is not a revocation list that can be read: {error}"))?;
        let next_update = parsed.next_update().ok_or("has no nextUpdate")?.timestamp();
        let (issuer, this_update) = (parsed.issuer().as_raw().to_vec(), parsed.last_update().timestamp());
        let number = parsed.crl_number().cloned();
        let scope = Scope::of(&parsed);
        drop(parsed);
        let revoked = judged.to_owned().map_err(unusable)?;
        Ok(Self {
            file: file.to_owned(),
            issuer,
            this_update,
            next_update,
            number,
            scope,
            revoked: revoked.into(),
            der,
            signer: OnceLock::new(),
        })
    }

    /// Which list this is, and how new.
    pub(crate) fn edition(&self) -> Edition {
        let Self { issuer, scope, this_update, next_update, number, .. } = self;
        let (issuer, scope, number) = (issuer.clone(), scope.clone(), number.clone());
        Edition { issuer, scope, this_update: *this_update, next_update: *next_update, number }
    }

    /// Whether an authority's key has signed it.
    pub(crate) fn is_verified(&self) -> bool {
        self.signer.get().is_some()
    }

    /// Verifies the list with an authority that the caller trusts, and remembers it. False if the authority did not
    /// sign it.
    pub(crate) fn verify_with(&self, authority: &X509Certificate<'_>) -> bool {
        if authority.subject().as_raw() != self.issuer || !may_sign_lists(authority) {
            return false;
        }
        let key = authority.public_key().raw;
        if let Some(signer) = self.signer.get() {
            return **signer == *key;
        }
        let signed = is_signed_by(&self.der, key).unwrap_or(false);
        if signed {
            // Another thread may have come first; it can only have verified the same list.
            let _ = self.signer.set(key.into());
        }
        signed
    }

    /// Whether a newer edition of the same list is there too.
    pub(crate) fn is_superseded_by(&self, other: &Self) -> bool {
        self.issuer == other.issuer
            && self.signer.get() == other.signer.get()
            && self.scope == other.scope
            && self.this_update < other.this_update
    }

    /// Whether the list speaks about this certificate of its issuer.
    pub(crate) fn covers(&self, certificate: &X509Certificate<'_>) -> bool {
        let kind = if certificate.is_ca() { self.scope.authorities } else { self.scope.end_entities };
        kind && self.scope.points.as_ref().is_none_or(|points| {
            let own = distribution_points(certificate);
            own.is_empty() || own.iter().any(|point| points.contains(point))
        })
    }

    /// Whether the serial number, as it stands in the certificate, is on the list.
    pub(crate) fn lists(&self, serial: &[u8]) -> bool {
        // An unreadable entry cannot be skipped safely; webpki has read all of them when the list was parsed.
        !matches!(self.revoked.find_serial(serial), Ok(None))
    }
}

impl Scope {
    /// All certificates of the issuer.
    pub(crate) const EVERYTHING: Self = Self { end_entities: true, authorities: true, points: None };

    fn of(list: &CertificateRevocationList<'_>) -> Self {
        let point = list.extensions().iter().find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::IssuingDistributionPoint(point) => Some(point),
            _ => None,
        });
        let Some(point) = point else { return Self::EVERYTHING };
        let all =
            !point.only_contains_user_certs && !point.only_contains_ca_certs && !point.only_contains_attribute_certs;
        Self {
            end_entities: all || point.only_contains_user_certs,
            authorities: all || point.only_contains_ca_certs,
            points: point.distribution_point.as_ref().map(uris),
        }
    }
}

fn distribution_points(certificate: &X509Certificate<'_>) -> Vec<String> {
    let points = certificate.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::CRLDistributionPoints(points) => Some(points),
        _ => None,
    });
    let names =
        points.into_iter().flat_map(|points| points.iter()).filter_map(|point| point.distribution_point.as_ref());
    names.flat_map(uris).collect()
}

fn uris(name: &DistributionPointName<'_>) -> Vec<String> {
    let DistributionPointName::FullName(names) = name else { return Vec::new() };
    let uri = |name: &GeneralName<'_>| match name {
        GeneralName::URI(uri) => Some((*uri).to_owned()),
        _ => None,
    };
    names.iter().filter_map(uri).collect()
}

/// RFC 5280 §6.3.3 (f): if the authority's certificate says what its key is for, it must say cRLSign.
fn may_sign_lists(authority: &X509Certificate<'_>) -> bool {
    match authority.key_usage() {
        Ok(Some(usage)) => usage.value.crl_sign(),
        Ok(None) => true,
        Err(_) => false,
    }
}

/// Checks the signature of `SEQUENCE { tbs, algorithm, signature }` with a SubjectPublicKeyInfo. `None` if either is
/// malformed.
fn is_signed_by(signed: &[u8], key: &[u8]) -> Option<bool> {
    let (tbs, rest) = element(contents(signed)?)?;
    let (algorithm, rest) = element(rest)?;
    let (signature, _) = element(rest)?;
    let (key_algorithm, rest) = element(contents(key)?)?;
    let (key_bits, _) = element(rest)?;
    let (algorithm, key_algorithm) = (contents(algorithm)?, contents(key_algorithm)?);
    // A bit string begins with the number of unused bits, which is none in signatures and keys.
    let (signature, key_bits) = (contents(signature)?.strip_prefix(&[0])?, contents(key_bits)?.strip_prefix(&[0])?);
    Some(provider().signature_verification_algorithms.all.iter().any(|candidate| {
        candidate.signature_alg_id().as_ref() == algorithm
            && candidate.public_key_alg_id().as_ref() == key_algorithm
            && candidate.verify_signature(key_bits, tbs, signature).is_ok()
    }))
}

/// The first DER element, whole, and what follows it.
fn element(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (rest, _) = Any::from_der(der).ok()?;
    der.split_at_checked(der.len() - rest.len())
}

/// What stands inside the first DER element.
fn contents(der: &[u8]) -> Option<&[u8]> {
    Any::from_der(der).ok().map(|(_, any)| any.data)
}
