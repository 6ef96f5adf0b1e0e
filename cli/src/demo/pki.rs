//! A throw-away PKI in the shape that SITHS has: a root, an issuing authority below it, and function certificates whose
//! HSA-id stands in the subject's serialNumber. It lives as long as the demo and is good for nothing else.

use anyhow::Context;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, SerialNumber,
};
use std::fs;
use std::path::{Path, PathBuf};

/// OID of the subject attribute serialNumber.
const SERIAL_NUMBER: &[u64] = &[2, 5, 4, 5];

/// An authority that issues certificates into a folder.
pub(super) struct Authority {
    folder: PathBuf,
    issuing: Issuer<'static, KeyPair>,
    issuing_pem: String,
}

impl Authority {
    /// Makes root and issuing authority, and writes `ca.pem` and an empty revocation list, `ca.crl`.
    pub(super) fn new(folder: &Path) -> anyhow::Result<Self> {
        let root_key = KeyPair::generate()?;
        let root_params = authority("rivmesh demo root CA");
        let root = root_params.self_signed(&root_key)?;
        let root_issuer = Issuer::new(root_params, root_key);
        let issuing_key = KeyPair::generate()?;
        let issuing_params = authority("rivmesh demo function CA");
        let issuing = issuing_params.signed_by(&issuing_key, &root_issuer)?;
        let issuing_pem = issuing.pem();
        let this = Self {
            folder: folder.to_owned(),
            issuing: Issuer::new(issuing_params, issuing_key),
            issuing_pem: issuing_pem.clone(),
        };
        this.write("ca.pem", &format!("{issuing_pem}{}", root.pem()))?;
        let now = time::OffsetDateTime::now_utc();
        let list = CertificateRevocationListParams {
            this_update: now - time::Duration::hours(1),
            next_update: now + time::Duration::days(30),
            crl_number: SerialNumber::from(1u64),
            issuing_distribution_point: None,
            revoked_certs: Vec::new(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        this.write("ca.crl", &list.signed_by(&this.issuing)?.pem()?)?;
        Ok(this)
    }

    /// Issues a function certificate for `hsa_id`, good as server on localhost and as client, and writes `NAME.crt`
    /// (with its chain) and `NAME.key`.
    pub(super) fn issue(&self, name: &str, hsa_id: &str) -> anyhow::Result<()> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])?;
        params.distinguished_name.push(DnType::CountryName, "SE");
        params.distinguished_name.push(DnType::OrganizationName, "rivmesh demo");
        params.distinguished_name.push(DnType::CommonName, name);
        params.distinguished_name.push(DnType::CustomDnType(SERIAL_NUMBER.to_vec()), hsa_id);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &self.issuing)?;
        self.write(&format!("{name}.crt"), &format!("{}{}", certificate.pem(), self.issuing_pem))?;
        self.write(&format!("{name}.key"), &key.serialize_pem())
    }

    fn write(&self, name: &str, content: &str) -> anyhow::Result<()> {
        let path = self.folder.join(name);
        fs::write(&path, content).with_context(|| format!("{} cannot be written", path.display()))
    }
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name.push(DnType::CountryName, "SE");
    params.distinguished_name.push(DnType::OrganizationName, "rivmesh demo");
    params.distinguished_name.push(DnType::CommonName, name);
    params
}
