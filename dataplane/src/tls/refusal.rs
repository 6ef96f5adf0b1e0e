//! Why a certificate was refused. The peer sees a TLS alert and nothing more, so whoever runs the platform must be able
//! to read subject, issuer, dates and reason in the log (rules §1).

use std::cell::Cell;
use std::fmt;
use std::io;
use std::sync::Arc;

use jiff::Timestamp;
use rivmesh_rivta::CertificateSummary;
use rustls::pki_types::CertificateDer;
use rustls::{CertificateError, OtherError};

/// A certificate that was not accepted, or a handshake that failed before there was one.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// Why.
    pub reason: Reason,
    /// The leaf that was presented, if there was one that could be read.
    pub certificate: Option<Box<CertificateSummary>>,
}

/// Why a certificate was refused.
#[derive(Debug, Clone, PartialEq)]
pub enum Reason {
    /// The peer presented none.
    NoCertificate,
    /// It is not a well-formed certificate.
    Unreadable,
    /// No path leads from it to an authority that is trusted here.
    Untrusted,
    /// A signature in its chain is wrong.
    BadSignature,
    /// It, or an authority above it, is not valid yet.
    NotYetValid {
        /// notBefore, Unix seconds.
        not_before: i64,
    },
    /// It, or an authority above it, has expired.
    Expired {
        /// notAfter, Unix seconds.
        not_after: i64,
    },
    /// Its extended key usage does not allow TLS clients.
    WrongPurpose,
    /// It is on a revocation list.
    Revoked,
    /// An authority above it is on a revocation list.
    IssuerRevoked,
    /// There is no revocation list of its issuer here, and one is required.
    NoRevocationList,
    /// The revocation list of its issuer is too old.
    StaleRevocationList {
        /// The newest nextUpdate among the issuer's lists, Unix seconds.
        next_update: i64,
    },
    /// The path is refused for another reason, as webpki tells it.
    Other(webpki::Error),
    /// The handshake failed, and not because of the certificate.
    Handshake(String),
}

impl Reason {
    /// A short name for metrics and logs; there are few.
    pub fn label(&self) -> &'static str {
        match self {
            Self::NoCertificate => "no-certificate",
            Self::Unreadable => "unreadable",
            Self::Untrusted => "untrusted",
            Self::BadSignature => "bad-signature",
            Self::NotYetValid { .. } => "not-yet-valid",
            Self::Expired { .. } => "expired",
            Self::WrongPurpose => "wrong-purpose",
            Self::Revoked => "revoked",
            Self::IssuerRevoked => "issuer-revoked",
            Self::NoRevocationList => "no-revocation-list",
            Self::StaleRevocationList { .. } => "stale-revocation-list",
            Self::Other(_) => "other",
            Self::Handshake(_) => "handshake",
        }
    }

    /// What rustls tells the peer: it chooses the alert that the TLS specifications name for this.
    pub(crate) fn to_rustls(&self) -> rustls::Error {
        let error = match self {
            Self::NoCertificate => return rustls::Error::NoCertificatesPresented,
            Self::Handshake(text) => return rustls::Error::General(text.clone()),
            Self::Unreadable => CertificateError::BadEncoding,
            Self::Untrusted => CertificateError::UnknownIssuer,
            Self::BadSignature => CertificateError::BadSignature,
            Self::NotYetValid { .. } => CertificateError::NotValidYet,
            Self::Expired { .. } => CertificateError::Expired,
            Self::WrongPurpose => CertificateError::InvalidPurpose,
            Self::Revoked | Self::IssuerRevoked => CertificateError::Revoked,
            Self::NoRevocationList => CertificateError::UnknownRevocationStatus,
            Self::StaleRevocationList { .. } => CertificateError::ExpiredRevocationList,
            Self::Other(error) => CertificateError::Other(OtherError(Arc::new(error.clone()))),
        };
        error.into()
    }
}

impl From<webpki::Error> for Reason {
    fn from(error: webpki::Error) -> Self {
        use webpki::Error as E;
        let seconds = |time: rustls::pki_types::UnixTime| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        match error {
            E::BadDer | E::BadDerTime | E::TrailingData(_) => Self::Unreadable,
            E::UnknownIssuer => Self::Untrusted,
            E::InvalidSignatureForPublicKey => Self::BadSignature,
            E::CertNotValidYet { not_before, .. } => Self::NotYetValid { not_before: seconds(not_before) },
            E::CertExpired { not_after, .. } => Self::Expired { not_after: seconds(not_after) },
            E::RequiredEkuNotFoundContext(_) => Self::WrongPurpose,
            other => Self::Other(other),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCertificate => f.write_str("no client certificate was presented"),
            Self::Unreadable => f.write_str("the certificate cannot be read"),
            Self::Untrusted => {
                f.write_str("no trusted authority issued it, or an intermediate certificate was not sent")
            }
            Self::BadSignature => f.write_str("a signature in its chain is wrong"),
            Self::NotYetValid { not_before } => write!(f, "it is not valid before {}", instant(*not_before)),
            Self::Expired { not_after } => write!(f, "it, or an authority above it, expired {}", instant(*not_after)),
            Self::WrongPurpose => f.write_str("its extended key usage does not allow client authentication"),
            Self::Revoked => f.write_str("it has been revoked"),
            Self::IssuerRevoked => f.write_str("an authority above it has been revoked"),
            Self::NoRevocationList => f.write_str("there is no revocation list of its issuer, and one is required"),
            Self::StaleRevocationList { next_update } => {
                write!(f, "the revocation list of its issuer is too old: an update was due {}", instant(*next_update))
            }
            Self::Other(error) => write!(f, "its path is refused: {error:?}"),
            Self::Handshake(text) => f.write_str(text),
        }
    }
}

fn instant(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX)
}

impl Refusal {
    pub(crate) fn new(reason: Reason, leaf: &CertificateDer<'_>) -> Self {
        Self { reason, certificate: rivmesh_rivta::describe(leaf).map(Box::new) }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(certificate) = &self.certificate else { return self.reason.fmt(f) };
        let until = instant(certificate.not_after);
        write!(
            f,
            "certificate of {} issued by {}, valid until {until}: {}",
            certificate.subject, certificate.issuer, self.reason
        )
    }
}

impl std::error::Error for Refusal {}

thread_local! {
    static LAST: Cell<Option<Refusal>> = const { Cell::new(None) };
}

/// Leaves a refusal for the task that polls the handshake.
pub(crate) fn leave_refusal(refusal: Refusal) {
    LAST.set(Some(refusal));
}

/// Takes what the verifier has left on this thread.
///
/// rustls has no way to hand anything but an alert from a verifier to the connection. It runs the verifier inside the
/// poll that then returns the error, so a task that asks right after its `await` has failed is still in the same poll,
/// on the same thread, and no other handshake has come between.
pub fn take_refusal() -> Option<Refusal> {
    LAST.take()
}

/// Why a handshake failed. To be called in the same poll as the failure, see [`take_refusal`].
pub fn explain_handshake(error: &io::Error) -> Refusal {
    let left = take_refusal();
    let reason = match (error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()), left) {
        (Some(rustls::Error::InvalidCertificate(_)), Some(refusal)) => return refusal,
        (Some(rustls::Error::NoCertificatesPresented), _) => Reason::NoCertificate,
        (Some(other), _) => Reason::Handshake(other.to_string()),
        (None, _) => Reason::Handshake(error.to_string()),
    };
    Refusal { reason, certificate: None }
}
