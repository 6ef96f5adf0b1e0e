//! A throw-away PKI on disk and a clock that stands where a test puts it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber,
    date_time_ymd,
};
use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;
use tempfile::TempDir;

use super::Clock;

/// 2026-06-01T00:00:00Z. Everything in the PKI is valid from 2026-01-01 to 2027-01-01 unless a test says otherwise.
pub(crate) const NOW: u64 = 1_780_272_000;
/// A day in seconds.
pub(crate) const DAY: u64 = 86_400;

/// A clock for tests.
#[derive(Debug, Clone)]
pub(crate) struct TestClock(Arc<AtomicU64>);

impl TestClock {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicU64::new(NOW)))
    }

    pub(crate) fn set(&self, seconds: u64) {
        self.0.store(seconds, Ordering::SeqCst);
    }

    pub(crate) fn now(&self) -> UnixTime {
        UnixTime::since_unix_epoch(std::time::Duration::from_secs(self.0.load(Ordering::SeqCst)))
    }

    pub(crate) fn clock(&self) -> Clock {
        Arc::new(self.clone())
    }
}

impl TimeProvider for TestClock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(self.now())
    }
}

/// A certificate authority.
pub(crate) type Authority = CertifiedIssuer<'static, KeyPair>;

/// What a leaf is to be like.
pub(crate) struct Leaf {
    pub(crate) serial: u64,
    pub(crate) hsa_id: &'static str,
    pub(crate) names: Vec<String>,
    pub(crate) purpose: ExtendedKeyUsagePurpose,
    /// First and last year, each on 1 January.
    pub(crate) years: (i32, i32),
}

impl Leaf {
    pub(crate) fn client(serial: u64, hsa_id: &'static str) -> Self {
        let purpose = ExtendedKeyUsagePurpose::ClientAuth;
        Self { serial, hsa_id, names: Vec::new(), purpose, years: (2026, 2027) }
    }

    pub(crate) fn server(serial: u64, name: &str) -> Self {
        let purpose = ExtendedKeyUsagePurpose::ServerAuth;
        Self { serial, hsa_id: "SE1-SERVER", names: vec![name.to_owned()], purpose, years: (2026, 2027) }
    }
}

/// A folder with keys, certificates, authorities and lists.
pub(crate) struct Pki {
    folder: TempDir,
}

impl Pki {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file as tools do that replace files whole: beside it, then renamed.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let new = self.path(&format!("{name}.new"));
        std::fs::write(&new, content).unwrap();
        std::fs::rename(new, self.path(name)).unwrap();
        self.path(name)
    }

    /// Makes a leaf and writes `name.crt` (with `chain` after it) and `name.key`.
    pub(crate) fn leaf(&self, name: &str, issuer: &Authority, leaf: &Leaf, chain: &[&Authority]) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(leaf.names.clone()).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.distinguished_name.push(DnType::CustomDnType(vec![2, 5, 4, 5]), leaf.hsa_id);
        params.serial_number = Some(SerialNumber::from(leaf.serial));
        params.extended_key_usages = vec![leaf.purpose.clone()];
        params.not_before = date_time_ymd(leaf.years.0, 1, 1);
        params.not_after = date_time_ymd(leaf.years.1, 1, 1);
        let mut pem = params.signed_by(&key, issuer).unwrap().pem();
        chain.iter().for_each(|authority| pem.push_str(&authority.pem()));
        self.write(&format!("{name}.crt"), pem);
        self.write(&format!("{name}.key"), key.serialize_pem());
    }

    /// Writes a list of an authority that revokes serial numbers; its nextUpdate is a day of June 2026.
    pub(crate) fn crl(&self, name: &str, issuer: &Authority, number: u64, next_update_day: u8, revoked: &[u64]) {
        self.write(name, crl(issuer, number, next_update_day, revoked).pem().unwrap());
    }
}

/// A root, valid 2020 to 2040.
pub(crate) fn root(name: &str) -> Authority {
    CertifiedIssuer::self_signed(authority_params(name), KeyPair::generate().unwrap()).unwrap()
}

/// An authority below another, with serial number 7.
pub(crate) fn intermediate(name: &str, above: &Authority) -> Authority {
    let mut params = authority_params(name);
    params.serial_number = Some(SerialNumber::from(7));
    CertifiedIssuer::signed_by(params, KeyPair::generate().unwrap(), above).unwrap()
}

/// What an authority is like, to be changed by a test.
pub(crate) fn authority_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2040, 1, 1);
    params
}

/// A revocation list; a higher number means a later edition.
pub(crate) fn crl(
    issuer: &Authority,
    number: u64,
    next_update_day: u8,
    revoked: &[u64],
) -> rcgen::CertificateRevocationList {
    let entry = |serial: &u64| RevokedCertParams {
        serial_number: SerialNumber::from(*serial),
        revocation_time: date_time_ymd(2026, 5, 1),
        reason_code: None,
        invalidity_date: None,
    };
    CertificateRevocationListParams {
        this_update: date_time_ymd(2026, 5, u8::try_from(number).unwrap()),
        next_update: date_time_ymd(2026, 6, next_update_day),
        crl_number: SerialNumber::from(number),
        issuing_distribution_point: None,
        revoked_certs: revoked.iter().map(entry).collect(),
        key_identifier_method: KeyIdMethod::Sha256,
    }
    .signed_by(issuer)
    .unwrap()
}
