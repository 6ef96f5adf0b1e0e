//! A throw-away public key infrastructure: a root, an issuing authority under it, a stranger's authority that nobody
//! trusts, leaves for the platform, the producers and every kind of consumer that the rules speak of, and revocation
//! lists fresh, stale, and growing. Everything is written as PEM files, because files are what the platform reads.

mod der;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber,
    date_time_ymd,
};

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// What a certificate may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Client,
    Server,
    Both,
}

/// Who signs a leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Signer {
    Ours,
    Stranger,
}

/// A leaf to be made. Times are seconds from now.
#[derive(Debug, Clone)]
struct Leaf {
    name: &'static str,
    common_name: &'static str,
    serial_numbers: &'static [&'static str],
    host: &'static str,
    purpose: Purpose,
    signer: Signer,
    from: i64,
    until: i64,
}

impl Leaf {
    const fn consumer(name: &'static str, serial_numbers: &'static [&'static str]) -> Self {
        let (purpose, signer) = (Purpose::Client, Signer::Ours);
        Self { name, common_name: name, serial_numbers, host: "", purpose, signer, from: -HOUR, until: 30 * DAY }
    }

    const fn server(name: &'static str, host: &'static str) -> Self {
        let (purpose, signer) = (Purpose::Server, Signer::Ours);
        Self { name, common_name: host, serial_numbers: &[], host, purpose, signer, from: -HOUR, until: 30 * DAY }
    }
}

/// The consumer that the examples' authorisations name.
pub const ALLOWED: &str = "SE5565594230-B9P";

/// The leaves of every PKI, by what they are for. Serial numbers are made up in the form of real HSA-ids.
fn leaves() -> Vec<Leaf> {
    let consumer = Leaf::consumer;
    let stranger = Signer::Stranger;
    vec![
        Leaf { purpose: Purpose::Both, ..Leaf::server("platform", "localhost") },
        Leaf { common_name: "platform as client", ..consumer("platform-client", &["SE2321000016-A1B2"]) },
        Leaf::server("producer", "localhost"),
        Leaf::server("producer-other-name", "other.example"),
        Leaf { from: -30 * DAY, until: -DAY, ..Leaf::server("producer-expired", "localhost") },
        Leaf { signer: stranger, ..Leaf::server("producer-untrusted", "localhost") },
        consumer("allowed", &[ALLOWED]),
        consumer("allowed-in-lower-case", &["se5565594230-b9p"]),
        consumer("unauthorised", &["SE5565594230-B00"]),
        consumer("leaf-only", &["SE5565594230-LEAF"]),
        consumer("parent-only", &["SE5565594230-PARENT"]),
        consumer("expired-grant", &["SE5565594230-EXPIRED"]),
        consumer("suspended-grant", &["SE5565594230-SUSPENDED"]),
        consumer("trusted-platform", &["SE5565594230-NTJP"]),
        consumer("blocked", &["SE5565594230-BLOCKED"]),
        consumer("not-an-hsa-id", &["HSASERVICES-106J"]),
        consumer("switch", &["SE5565594230-SWITCH"]),
        consumer("revoked", &["SE5565594230-REVOKED"]),
        consumer("ingress", &["SE2321000016-INGRESS"]),
        consumer("other-ingress", &["SE2321000016-OTHER"]),
        consumer("no-serial", &[]),
        consumer("two-serials", &[ALLOWED, "SE5565594230-B00"]),
        consumer("non-ascii", &["SE556559423Ö-B9P"]),
        consumer("bad-characters", &["SE5565594230 B9P"]),
        Leaf {
            common_name: "x, SERIALNUMBER=SE5565594230-B9P, y",
            ..consumer("embedded-serial", &["SE5565594230-EVIL"])
        },
        Leaf { common_name: "x, SERIALNUMBER=SE5565594230-B9P, y", ..consumer("embedded-serial-only", &[]) },
        Leaf { from: -30 * DAY, until: -DAY, ..consumer("expired", &[ALLOWED]) },
        Leaf { from: DAY, ..consumer("not-yet-valid", &[ALLOWED]) },
        Leaf { signer: stranger, ..consumer("untrusted", &[ALLOWED]) },
        Leaf { purpose: Purpose::Server, ..consumer("server-only", &[ALLOWED]) },
    ]
}

/// The revocation lists, as (file, revoked leaves, this update, next update) in seconds from now. All of them are the
/// issuing authority's, except `stranger`.
const REVOCATION_LISTS: [(&str, &[&str], i64, i64); 5] = [
    ("current", &["revoked"], -HOUR, 7 * DAY),
    ("with-switch", &["revoked", "switch"], -HOUR, 7 * DAY),
    ("stale-a-day", &["revoked"], -8 * DAY, -DAY),
    ("stale-three-days", &["revoked"], -8 * DAY, -3 * DAY),
    ("stranger", &[], -HOUR, 7 * DAY),
];

/// The subject attribute that holds an HSA-id.
const SERIAL_NUMBER: [u64; 4] = [2, 5, 4, 5];

type Authority = CertifiedIssuer<'static, KeyPair>;

/// The PKI in its directory; new certificates can be issued from it while it lives.
pub struct Pki {
    directory: PathBuf,
    issuing: Authority,
    stranger: Authority,
    now: i64,
}

impl Pki {
    /// Makes the authorities, all leaves and all revocation lists, and writes them into `directory`:
    /// `root.pem`, `authorities.pem` (root and issuing), `stranger.pem`, `<leaf>.crt` (with its chain), `<leaf>.key` and `<list>.crl`.
    pub fn create(directory: &Path) -> Result<Self> {
        std::fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock stands before 1970")?.as_secs();
        let now = i64::try_from(now).context("the clock stands too far ahead")?;
        let root = Authority::self_signed(authority("Test Root", now), KeyPair::generate()?)?;
        let issuing = Authority::signed_by(authority("Test Issuing", now), KeyPair::generate()?, &root)?;
        let stranger = Authority::self_signed(authority("Stranger Root", now), KeyPair::generate()?)?;
        let pki = Self { directory: directory.to_owned(), issuing, stranger, now };
        pki.write("root.pem", &root.pem())?;
        pki.write("authorities.pem", &format!("{}{}", root.pem(), pki.issuing.pem()))?;
        pki.write("stranger.pem", &pki.stranger.pem())?;
        for leaf in leaves() {
            pki.issue(&leaf, leaf.name)?;
        }
        for (name, revoked, this_update, next_update) in REVOCATION_LISTS {
            pki.revoke(name, revoked, this_update, next_update)?;
        }
        Ok(pki)
    }

    /// Where the files lie.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Issues `<file>.crt` for the allowed consumer, valid for the next `seconds` only.
    pub fn issue_short_lived(&self, file: &str, seconds: u64) -> Result<()> {
        let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock stands before 1970")?.as_secs();
        let until = i64::try_from(elapsed + seconds).context("too long")? - self.now;
        self.issue(&Leaf { until, ..Leaf::consumer("short-lived", &[ALLOWED]) }, file)
    }

    /// Issues `<file>.crt` for a server that is reached by these addresses too.
    pub fn issue_server(&self, file: &str, addresses: &[IpAddr]) -> Result<()> {
        let mut parameters = leaf_parameters(&Leaf::server("server", "localhost"), self.now)?;
        parameters.subject_alt_names.extend(addresses.iter().copied().map(SanType::IpAddress));
        self.issue_anew(parameters, file)
    }

    /// Issues `<file>.crt` for a client with this HSA-id.
    pub fn issue_client(&self, file: &str, hsa_id: &str) -> Result<()> {
        let mut parameters = leaf_parameters(&Leaf::consumer("client", &[]), self.now)?;
        parameters.distinguished_name.push(DnType::CustomDnType(SERIAL_NUMBER.to_vec()), hsa_id);
        self.issue_anew(parameters, file)
    }

    fn issue_anew(&self, mut parameters: CertificateParams, file: &str) -> Result<()> {
        // A random one: the names of leaves give those that revocation lists speak of.
        parameters.serial_number = None;
        let key = KeyPair::generate()?;
        let certificate = parameters.signed_by(&key, &self.issuing)?;
        self.write(&format!("{file}.crt"), &format!("{}{}", certificate.pem(), self.issuing.pem()))?;
        self.write(&format!("{file}.key"), &key.serialize_pem())
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        let path = self.directory.join(name);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    fn issue(&self, leaf: &Leaf, file: &str) -> Result<()> {
        let authority = if leaf.signer == Signer::Ours { &self.issuing } else { &self.stranger };
        let key = KeyPair::generate()?;
        let certificate = leaf_parameters(leaf, self.now)?.signed_by(&key, authority)?;
        let mut chain = match leaf.serial_numbers {
            [_, _, ..] => der::with_title_as_serial_number(certificate.der(), authority.key())?,
            _ => certificate.pem(),
        };
        if leaf.signer == Signer::Ours {
            chain.push_str(&authority.pem());
        }
        self.write(&format!("{file}.crt"), &chain)?;
        self.write(&format!("{file}.key"), &key.serialize_pem())
    }

    fn revoke(&self, name: &str, revoked: &[&str], this_update: i64, next_update: i64) -> Result<()> {
        let at = |offset: i64| date_time_ymd(1970, 1, 1) + Duration::from_secs((self.now + offset).unsigned_abs());
        let revoked_certs = revoked.iter().map(|leaf| RevokedCertParams {
            serial_number: serial(leaf),
            revocation_time: at(this_update),
            reason_code: None,
            invalidity_date: None,
        });
        let list = CertificateRevocationListParams {
            this_update: at(this_update),
            next_update: at(next_update),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: revoked_certs.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let authority = if name == "stranger" { &self.stranger } else { &self.issuing };
        self.write(&format!("{name}.crl"), &list.signed_by(authority)?.pem()?)
    }
}

fn authority(name: &str, now: i64) -> CertificateParams {
    let at = |offset: i64| date_time_ymd(1970, 1, 1) + Duration::from_secs((now + offset).unsigned_abs());
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    parameters.not_before = at(-60 * DAY);
    parameters.not_after = at(60 * DAY);
    parameters
}

fn leaf_parameters(leaf: &Leaf, now: i64) -> Result<CertificateParams> {
    let at = |offset: i64| date_time_ymd(1970, 1, 1) + Duration::from_secs((now + offset).unsigned_abs());
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, leaf.common_name);
    let attributes = [DnType::CustomDnType(SERIAL_NUMBER.to_vec()), DnType::CustomDnType(der::TITLE.to_vec())];
    for (attribute, value) in attributes.into_iter().zip(leaf.serial_numbers) {
        subject.push(attribute, *value);
    }
    subject.push(DnType::OrganizationName, "Region Test");
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = subject;
    parameters.serial_number = Some(serial(leaf.name));
    parameters.not_before = at(leaf.from);
    parameters.not_after = at(leaf.until);
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.use_authority_key_identifier_extension = true;
    parameters.extended_key_usages = match leaf.purpose {
        Purpose::Client => vec![ExtendedKeyUsagePurpose::ClientAuth],
        Purpose::Server => vec![ExtendedKeyUsagePurpose::ServerAuth],
        Purpose::Both => vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth],
    };
    if !leaf.host.is_empty() {
        parameters.subject_alt_names.push(SanType::DnsName(leaf.host.try_into()?));
        parameters.subject_alt_names.push(SanType::IpAddress([127, 0, 0, 1].into()));
    }
    Ok(parameters)
}

/// The certificate serial of a leaf: its name's first bytes, so that a revocation list can name it.
fn serial(leaf: &str) -> SerialNumber {
    let mut bytes = vec![0x01];
    bytes.extend(leaf.bytes().take(18));
    SerialNumber::from(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;

    #[test]
    fn every_leaf_is_written_with_its_chain_and_two_serial_numbers_are_two() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        Pki::create(directory.path()).expect("a PKI");
        for leaf in leaves() {
            let path = directory.path().join(format!("{}.crt", leaf.name));
            let chain: Vec<_> =
                CertificateDer::pem_file_iter(path).expect("readable").collect::<Result<_, _>>().expect("PEM");
            assert_eq!(chain.len(), if leaf.signer == Signer::Ours { 2 } else { 1 }, "{}", leaf.name);
            let serial_number_oid = [0x06, 0x03, 0x55, 0x04, 0x05];
            let count = chain[0].windows(5).filter(|window| *window == serial_number_oid).count();
            assert_eq!(count, leaf.serial_numbers.len(), "{}", leaf.name);
        }
    }

    #[test]
    fn serials_of_the_leaves_differ() {
        let mut serials: Vec<_> = leaves().iter().map(|leaf| serial(leaf.name).to_bytes()).collect();
        let before = serials.len();
        serials.sort();
        serials.dedup();
        assert_eq!(serials.len(), before);
    }
}
