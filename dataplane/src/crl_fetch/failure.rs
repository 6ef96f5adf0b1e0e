//! Why a list was not updated. Each kind has a word for metrics and a sentence that says what to look at.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use thiserror::Error;

use super::judge::Refusal;
use crate::tls::MaterialError;

/// Why an attempt to update a list failed. The file on disk stays as it was.
#[derive(Debug, Error)]
pub(super) enum Failure {
    #[error("{0}")]
    Trust(MaterialError),
    #[error("its server cannot be reached: {0}")]
    Connect(String),
    #[error("its server cannot be trusted, or does not speak TLS: {0}")]
    Tls(String),
    #[error("it was not there in {} s", .0.as_secs_f64())]
    Timeout(Duration),
    #[error("its server answers HTTP {0}: is the URL still right?")]
    Status(u16),
    #[error("its server sends us elsewhere: {0}")]
    Redirect(String),
    #[error("it is larger than {} bytes", .0)]
    TooLarge(usize),
    #[error("the answer broke off or is not proper HTTP: {0}")]
    BrokeOff(String),
    #[error("the content {0}")]
    Unreadable(String),
    #[error("the content is a list of {issuer}, {problem}: it is forged, or --trust lacks its authority")]
    Signer { issuer: String, problem: &'static str },
    #[error("{0}")]
    Refused(Refusal),
    #[error("{} cannot be written: {error}", file.display())]
    Write { file: PathBuf, error: io::Error },
    #[error("an error in this program: {0}")]
    Internal(String),
}

impl Failure {
    /// The word in metrics.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::Trust(_) => "trust",
            Self::Connect(_) => "connect",
            Self::Tls(_) => "tls",
            Self::Timeout(_) => "timeout",
            Self::Status(_) => "status",
            Self::Redirect(_) => "redirect",
            Self::TooLarge(_) => "too_large",
            Self::BrokeOff(_) => "broke_off",
            Self::Unreadable(_) => "unreadable",
            Self::Signer { .. } => "wrong_signer",
            Self::Refused(Refusal::Older { .. }) => "older",
            Self::Refused(Refusal::OtherList { .. }) => "other_list",
            Self::Write { .. } => "write",
            Self::Internal(_) => "internal",
        }
    }
}

/// Unix seconds as people read them.
pub(super) fn instant(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX)
}
