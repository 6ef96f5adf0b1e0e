//! The certificate by which dataplanes know their operator. The operator is its own small authority: the leader makes
//! key and certificate, keeps them in a Secret that all replicas read, renews them long before they run out, and
//! publishes the authority in a ConfigMap that dataplanes mount. Nobody has to think of it.
//!
//! A new authority is published for a while before anything is signed with it, and the one before stays published for as
//! long as it is valid, so that no dataplane ever meets a certificate that it cannot check.

use std::time::Duration;

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use time::OffsetDateTime;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::pem::Pem;
use x509_parser::prelude::FromDer;
use x509_parser::time::ASN1Time;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
/// What metrics call the operator's certificate.
pub(crate) const OPERATOR: &str = "operator";
/// How long an authority is valid.
const AUTHORITY_LIFE: Duration = DAY.saturating_mul(730);
/// How long a certificate is valid.
const CERTIFICATE_LIFE: Duration = DAY.saturating_mul(60);
/// How long an authority is published before it signs: longer than a kubelet takes to renew a mounted ConfigMap.
const PUBLISHED_BEFORE_USE: Duration = HOUR.saturating_mul(2);
/// Validity begins a little earlier, for clocks that are behind.
const SKEW: Duration = Duration::from_secs(300);

/// What the Secret holds, as PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Material {
    /// The authorities that dataplanes should trust, the newest first.
    pub(crate) authorities: String,
    /// The newest authority's key.
    pub(crate) authority_key: String,
    /// The operator's certificate.
    pub(crate) certificate: String,
    /// Its key.
    pub(crate) key: String,
}

/// Why material cannot be used; then it is made anew.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unusable(String);

/// The material as it should be at `now`, for a certificate with these names: the present one if it is still good, or
/// one in which what is due is renewed. None if nothing is to be done.
///
/// # Errors
/// When key or certificate cannot be made, which is a defect.
pub(crate) fn renewed(
    present: Option<&Material>,
    names: &[String],
    now: Timestamp,
) -> Result<Option<Material>, Unusable> {
    let Some(present) = present else { return fresh(names, now).map(Some) };
    let Ok(Facts { authorities, certificate }) = Facts::of(present) else { return fresh(names, now).map(Some) };
    let Some(newest) = authorities.first().filter(|newest| newest.ends > now) else {
        return fresh(names, now).map(Some);
    };
    let mut next = present.clone();
    let is_due =
        certificate.is_two_thirds_over(now) || certificate.names != names || certificate.issuer != newest.subject;
    if is_due && newest.begins + PUBLISHED_BEFORE_USE <= now {
        (next.certificate, next.key) = certified(&next, names, now)?;
    }
    next.authorities = authorities.iter().filter(|other| other.ends > now).map(|other| &*other.pem).collect();
    if newest.is_half_over(now) {
        let (authority, key) = authority(now)?;
        next.authorities.insert_str(0, &authority);
        next.authority_key = key;
    }
    Ok((next != *present).then_some(next))
}

/// When the material's certificate and its newest authority end.
///
/// # Errors
/// When they cannot be read.
pub(crate) fn ends(material: &Material) -> Result<[(&'static str, Timestamp); 2], Unusable> {
    let facts = Facts::of(material)?;
    let authority = facts.authorities.first().ok_or_else(|| Unusable("there is no authority".to_owned()))?;
    Ok([(OPERATOR, facts.certificate.ends), ("authority", authority.ends)])
}

/// When a certificate in DER ends.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn end(der: &[u8]) -> Result<Timestamp, Unusable> {
    let (_, certificate) = X509Certificate::from_der(der).map_err(unusable)?;
    timestamp(&certificate.validity().not_after)
}

/// What certificates say of themselves.
struct Facts {
    authorities: Vec<Certificate>,
    certificate: Certificate,
}

struct Certificate {
    pem: String,
    subject: Vec<u8>,
    issuer: Vec<u8>,
    names: Vec<String>,
    begins: Timestamp,
    ends: Timestamp,
}

impl Facts {
    fn of(material: &Material) -> Result<Self, Unusable> {
        KeyPair::from_pem(&material.authority_key).map_err(unusable)?;
        KeyPair::from_pem(&material.key).map_err(unusable)?;
        let mut chain = certificates(&material.certificate)?;
        if chain.is_empty() {
            return Err(Unusable("there is no certificate".to_owned()));
        }
        Ok(Self { authorities: certificates(&material.authorities)?, certificate: chain.remove(0) })
    }
}

impl Certificate {
    fn life(&self) -> Duration {
        self.ends.duration_since(self.begins).unsigned_abs()
    }

    fn is_half_over(&self, now: Timestamp) -> bool {
        self.begins + self.life() / 2 <= now
    }

    fn is_two_thirds_over(&self, now: Timestamp) -> bool {
        self.begins + self.life() * 2 / 3 <= now
    }
}

fn certificates(pem: &str) -> Result<Vec<Certificate>, Unusable> {
    Pem::iter_from_buffer(pem.as_bytes())
        .map(|block| {
            let block = block.map_err(unusable)?;
            let parsed = block.parse_x509().map_err(unusable)?;
            Ok(Certificate {
                subject: parsed.subject().as_raw().to_vec(),
                issuer: parsed.issuer().as_raw().to_vec(),
                names: dns_names(&parsed),
                begins: timestamp(&parsed.validity().not_before)?,
                ends: timestamp(&parsed.validity().not_after)?,
                pem: pem_of(&block),
            })
        })
        .collect()
}

fn timestamp(time: &ASN1Time) -> Result<Timestamp, Unusable> {
    Timestamp::from_second(time.timestamp()).map_err(unusable)
}

fn dns_names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return Vec::new() };
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        _ => None,
    };
    names.value.general_names.iter().filter_map(name).collect()
}

fn pem_of(block: &Pem) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(&block.contents);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap_or_default()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

fn fresh(names: &[String], now: Timestamp) -> Result<Material, Unusable> {
    let (authorities, authority_key) = authority(now)?;
    let mut material = Material { authorities, authority_key, certificate: String::new(), key: String::new() };
    // Nobody trusts anything older yet, so there is nothing to wait for.
    (material.certificate, material.key) = certified(&material, names, now)?;
    Ok(material)
}

fn authority(now: Timestamp) -> Result<(String, String), Unusable> {
    let mut params = CertificateParams::default();
    // The time makes the names of two authorities differ, which tells their certificates apart.
    params
        .distinguished_name
        .push(DnType::CommonName, format!("rivmesh operator {}", now.strftime("%Y-%m-%dT%H:%M:%SZ")));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = instant(now - SKEW);
    params.not_after = instant(now + AUTHORITY_LIFE);
    let key = KeyPair::generate().map_err(unusable)?;
    let certificate = params.self_signed(&key).map_err(unusable)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

fn certified(material: &Material, names: &[String], now: Timestamp) -> Result<(String, String), Unusable> {
    let newest = certificates(&material.authorities)?.into_iter().next();
    let newest = newest.ok_or_else(|| Unusable("there is no authority".to_owned()))?;
    let authority_key = KeyPair::from_pem(&material.authority_key).map_err(unusable)?;
    let issuer = Issuer::from_ca_cert_pem(&newest.pem, authority_key).map_err(unusable)?;
    let mut params = CertificateParams::new(names.to_vec()).map_err(unusable)?;
    params.distinguished_name.push(DnType::CommonName, "rivmesh operator");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    params.not_before = instant(now - SKEW);
    params.not_after = instant((now + CERTIFICATE_LIFE).min(newest.ends));
    let key = KeyPair::generate().map_err(unusable)?;
    let certificate = params.signed_by(&key, &issuer).map_err(unusable)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

fn instant(at: Timestamp) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(at.as_second()).expect("two years from now is a date")
}

fn unusable(error: impl std::fmt::Display) -> Unusable {
    Unusable(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Vec<String> {
        vec!["rivmesh-operator.tak.svc".to_owned()]
    }

    fn start() -> Timestamp {
        Timestamp::from_second(1_800_000_000).expect("in range")
    }

    /// Checks a certificate as a dataplane does: by the published authorities alone.
    fn is_trusted(material: &Material, authorities: &str, at: Timestamp) -> bool {
        let leaf = &certificates(&material.certificate).expect("readable")[0];
        certificates(authorities).expect("readable").iter().any(|authority| {
            authority.subject == leaf.issuer && authority.ends > at && leaf.begins <= at && leaf.ends > at
        })
    }

    #[test]
    fn the_first_material_is_complete_and_stays_until_it_is_due() {
        let first = renewed(None, &names(), start()).expect("made").expect("new");
        assert!(is_trusted(&first, &first.authorities, start()));
        assert_eq!(certificates(&first.certificate).expect("readable")[0].names, names());
        for later in [Duration::ZERO, DAY, DAY * 39] {
            assert_eq!(renewed(Some(&first), &names(), start() + later).expect("judged"), None, "{later:?}");
        }
    }

    #[test]
    fn a_certificate_is_renewed_under_the_same_authority() {
        let first = renewed(None, &names(), start()).expect("made").expect("new");
        let later = start() + DAY * 41;
        let second = renewed(Some(&first), &names(), later).expect("made").expect("due");
        assert_eq!((&second.authorities, &second.authority_key), (&first.authorities, &first.authority_key));
        assert!(second.certificate != first.certificate && is_trusted(&second, &first.authorities, later));
    }

    #[test]
    fn other_names_make_another_certificate() {
        let first = renewed(None, &names(), start()).expect("made").expect("new");
        let other = vec!["other.tak.svc".to_owned()];
        let second = renewed(Some(&first), &other, start() + HOUR * 3).expect("made").expect("due");
        assert_eq!(certificates(&second.certificate).expect("readable")[0].names, other);
    }

    #[test]
    fn a_new_authority_is_published_before_it_signs() {
        let mut material = renewed(None, &names(), start()).expect("made").expect("new");
        let mut mounted = material.authorities.clone();
        let mut authorities = 1;
        // Every hour for five years, with dataplanes that see what was published an hour ago.
        for hour in 1..24 * 365 * 5 {
            let now = start() + HOUR * hour;
            let before = material.authorities.clone();
            if let Some(next) = renewed(Some(&material), &names(), now).expect("made") {
                authorities += usize::from(next.authority_key != material.authority_key);
                material = next;
            }
            assert!(is_trusted(&material, &mounted, now), "hour {hour}: dataplanes would not trust the operator");
            mounted = before;
        }
        assert!(authorities >= 4, "{authorities} authorities in five years");
        assert!(certificates(&material.authorities).expect("readable").len() <= 3, "old ones are dropped");
    }

    #[test]
    fn an_operator_that_slept_is_trusted_when_it_wakes() {
        let first = renewed(None, &names(), start()).expect("made").expect("new");
        for days in [61, 400] {
            let later = start() + DAY * days;
            let second = renewed(Some(&first), &names(), later).expect("made").expect("due");
            assert!(is_trusted(&second, &first.authorities, later), "{days} days");
        }
        let much_later = start() + DAY * 800;
        let second = renewed(Some(&first), &names(), much_later).expect("made").expect("due");
        assert!(is_trusted(&second, &second.authorities, much_later));
    }

    #[test]
    fn what_cannot_be_read_is_made_anew() {
        let first = renewed(None, &names(), start()).expect("made").expect("new");
        for broken in [
            Material { key: "nonsense".to_owned(), ..first.clone() },
            Material { authority_key: String::new(), ..first.clone() },
            Material { authorities: String::new(), ..first.clone() },
            Material { certificate: "nonsense".to_owned(), ..first },
        ] {
            let made = renewed(Some(&broken), &names(), start()).expect("made").expect("new");
            assert!(is_trusted(&made, &made.authorities, start()));
        }
    }

    #[test]
    fn the_ends_are_told() {
        let first = renewed(None, &names(), start()).expect("made").expect("new");
        let [(_, certificate), (_, authority)] = ends(&first).expect("readable");
        assert_eq!((certificate, authority), (start() + CERTIFICATE_LIFE, start() + AUTHORITY_LIFE));
    }
}
