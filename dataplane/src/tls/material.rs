//! Keys, certificates and authorities as they lie in files. Files are read once per load, all before any is used, and
//! what they hold is checked here: that there is something in them, that the key belongs to the certificate, and that
//! production does not trust authorities which hand certificates to anybody for tests.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, RootCertStore};
use thiserror::Error;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::provider;
use super::verified::VerifiedChains;

/// Common names of certificate authorities that issue for tests begin so.
const TEST_AUTHORITIES: [&str; 2] = ["TEST SITHS", "ExpiTrust Test"];

/// The largest file that is read: far above the largest revocation list known, far below what would hurt.
const MAX_FILE: u64 = 256 * 1024 * 1024;

/// Why a file with keys, certificates or revocation lists cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{}: {reason}", file.display())]
pub struct MaterialError {
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it, as a sentence without its subject.
    pub reason: String,
}

impl MaterialError {
    pub(crate) fn new(file: &Path, reason: impl Into<String>) -> Self {
        Self { file: file.to_owned(), reason: reason.into() }
    }
}

/// What stands in a file. It may be a key, so it is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Content(Arc<[u8]>);

impl std::ops::Deref for Content {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl From<&[u8]> for Content {
    fn from(content: &[u8]) -> Self {
        Self(content.into())
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

/// The contents of files, read at one time.
#[derive(Debug, Default)]
pub struct Files(BTreeMap<PathBuf, Content>);

impl Files {
    /// Reads files.
    ///
    /// # Errors
    /// One of them cannot be read.
    pub fn read(paths: impl IntoIterator<Item = PathBuf>) -> Result<Self, MaterialError> {
        let mut files = BTreeMap::new();
        for path in paths {
            let cannot = |error: std::io::Error| MaterialError::new(&path, format!("cannot be read: {error}"));
            if std::fs::metadata(&path).map_err(cannot)?.len() > MAX_FILE {
                return Err(MaterialError::new(&path, format!("is larger than {} MiB", MAX_FILE >> 20)));
            }
            let content = std::fs::read(&path).map_err(cannot)?;
            files.insert(path, Content(content.into()));
        }
        Ok(Self(files))
    }

    /// Adds what was read elsewhere.
    pub(crate) fn add(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// The content of a file.
    ///
    /// # Errors
    /// The file was not among those that were read.
    pub fn get(&self, path: &Path) -> Result<&Content, MaterialError> {
        self.0.get(path).ok_or_else(|| MaterialError::new(path, "was not read"))
    }

    /// Whether nothing has changed since the other reading.
    pub(crate) fn same(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

/// Numbers that are never used twice in a process, for things that have been loaded.
pub(crate) fn next_id() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A certificate chain and its private key.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) key: Arc<CertifiedKey>,
    /// Earliest notAfter of the chain, Unix seconds.
    pub(crate) not_after: i64,
    pub(crate) file: PathBuf,
    source: (Content, Content),
}

impl Identity {
    /// Takes a chain (leaf first) and a key from their files; an unchanged one is the previous one.
    pub(crate) fn build(
        files: &Files,
        certificate: &Path,
        private_key: &Path,
        production: bool,
        previous: Option<&Arc<Self>>,
    ) -> Result<Arc<Self>, MaterialError> {
        let source = (files.get(certificate)?.clone(), files.get(private_key)?.clone());
        if let Some(previous) = previous.filter(|previous| previous.source == source && previous.file == certificate) {
            return Ok(previous.clone());
        }
        let chain = certificates(certificate, &source.0)?;
        let parsed = parse_all(certificate, &chain)?;
        if production {
            refuse_test_authority(certificate, parsed.iter().map(|certificate| certificate.issuer()))?;
        }
        let not_after = earliest_end(&parsed);
        let key = private_key_in(private_key, &source.1)?;
        let key = CertifiedKey::from_der(chain, key, &provider()).map_err(|error| match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => MaterialError::new(
                private_key,
                format!("is not the key of the first certificate in {}", certificate.display()),
            ),
            other => MaterialError::new(private_key, format!("cannot be used as a private key: {other}")),
        })?;
        Ok(Arc::new(Self { key: Arc::new(key), not_after, file: certificate.to_owned(), source }))
    }
}

/// Certificate authorities of one file.
#[derive(Debug)]
pub(crate) struct TrustBundle {
    pub(crate) roots: Arc<RootCertStore>,
    pub(crate) certificates: Vec<CertificateDer<'static>>,
    /// Earliest notAfter, Unix seconds.
    pub(crate) not_after: i64,
    pub(crate) file: PathBuf,
    source: Content,
    /// Chains that end here.
    pub(super) verified: VerifiedChains,
}

impl TrustBundle {
    /// Takes authorities from a file; an unchanged file gives the previous bundle.
    pub(crate) fn build(
        files: &Files,
        file: &Path,
        production: bool,
        previous: Option<&Arc<Self>>,
    ) -> Result<Arc<Self>, MaterialError> {
        let source = files.get(file)?;
        if let Some(previous) = previous.filter(|previous| previous.source == *source && previous.file == file) {
            return Ok(previous.clone());
        }
        let certificates = certificates(file, source)?;
        let parsed = parse_all(file, &certificates)?;
        if production {
            refuse_test_authority(file, parsed.iter().flat_map(|ca| [ca.subject(), ca.issuer()]))?;
        }
        let not_after = earliest_end(&parsed);
        let mut roots = RootCertStore::empty();
        for (nr, certificate) in certificates.iter().enumerate() {
            roots.add(certificate.clone()).map_err(|error| {
                MaterialError::new(file, format!("certificate {} cannot be used as an authority: {error}", nr + 1))
            })?;
        }
        let (roots, file, source) = (Arc::new(roots), file.to_owned(), source.clone());
        let verified = VerifiedChains::default();
        Ok(Arc::new(Self { roots, certificates, not_after, file, source, verified }))
    }
}

fn certificates(file: &Path, content: &[u8]) -> Result<Vec<CertificateDer<'static>>, MaterialError> {
    let certificates = CertificateDer::pem_slice_iter(content)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| MaterialError::new(file, format!("is not proper PEM: {error}")))?;
    if certificates.is_empty() {
        return Err(MaterialError::new(file, "holds no certificate: it must have a -----BEGIN CERTIFICATE----- block"));
    }
    Ok(certificates)
}

fn private_key_in(file: &Path, content: &[u8]) -> Result<PrivateKeyDer<'static>, MaterialError> {
    PrivateKeyDer::from_pem_slice(content).map_err(|_| {
        let encrypted = content.windows(9).any(|window| window == b"ENCRYPTED");
        MaterialError::new(
            file,
            if encrypted {
                "holds an encrypted private key: decrypt it, and protect the file instead"
            } else {
                "holds no private key: it must have a -----BEGIN PRIVATE KEY----- block"
            },
        )
    })
}

fn parse_all<'a>(
    file: &Path,
    certificates: &'a [CertificateDer<'_>],
) -> Result<Vec<X509Certificate<'a>>, MaterialError> {
    let parse = |(nr, der): (usize, &'a CertificateDer<'_>)| match X509Certificate::from_der(der) {
        Ok((_, certificate)) => Ok(certificate),
        Err(error) => Err(MaterialError::new(file, format!("certificate {} cannot be read: {error}", nr + 1))),
    };
    certificates.iter().enumerate().map(parse).collect()
}

fn earliest_end(certificates: &[X509Certificate<'_>]) -> i64 {
    certificates.iter().map(|certificate| certificate.validity().not_after.timestamp()).min().unwrap_or(i64::MAX)
}

fn refuse_test_authority<'a>(
    file: &Path,
    names: impl IntoIterator<Item = &'a x509_parser::x509::X509Name<'a>>,
) -> Result<(), MaterialError> {
    for common_name in names.into_iter().flat_map(|name| name.iter_common_name()) {
        let Ok(text) = common_name.as_str() else { continue };
        let is_test = |prefix: &&str| text.get(..prefix.len()).is_some_and(|front| front.eq_ignore_ascii_case(prefix));
        if TEST_AUTHORITIES.iter().any(is_test) {
            return Err(MaterialError::new(
                file,
                format!(
                    "has certificates of {}, an authority for tests, and platform.environment is production: \
                     take the production authority, or correct the environment",
                    text.escape_debug()
                ),
            ));
        }
    }
    Ok(())
}
