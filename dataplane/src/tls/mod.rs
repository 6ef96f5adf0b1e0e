//! TLS on both sides. rustls does the protocol and webpki the paths; what is ours is the policy around them: which
//! revocation lists count and how old they may be, that a resumed session or an open connection is judged again, that a
//! refusal can be explained to somebody who sees only an alert, and that every file can change without a lost call.

mod client;
mod crl;
mod material;
mod peer;
mod refusal;
mod server;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod trust;
mod verified;

use std::sync::{Arc, LazyLock};

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::time_provider::TimeProvider;
use rustls::{SupportedProtocolVersion, version};

use crate::config::MinVersion;

pub use client::{ClientTls, UpstreamTls};
#[cfg(test)]
pub(crate) use crl::Scope as CrlScope;
pub(crate) use crl::{Crl, Edition, parse_file as parse_crls};
pub(crate) use material::TrustBundle;
pub use material::{Content, Files, MaterialError};
pub use peer::is_named;
pub use refusal::{Reason, Refusal, explain_handshake, take_refusal};
pub use server::ServerTls;
pub use trust::{ClientTrust, Standing};

/// What is known about the end of a certificate or a revocation list, for metrics and warnings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expiry {
    /// Where it is used: a listener's name, or `upstream`.
    pub name: String,
    /// What it is.
    pub kind: ExpiryKind,
    /// Its file.
    pub file: String,
    /// The instant: notAfter of a certificate, nextUpdate of a list; Unix seconds.
    pub at: i64,
}

/// What an [`Expiry`] is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExpiryKind {
    /// Our own certificate; the earliest of its chain.
    Certificate,
    /// A bundle of certificate authorities; the earliest of them.
    Trust,
    /// A revocation list's next update.
    Crl,
}

impl ExpiryKind {
    /// The name in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Certificate => "certificate",
            Self::Trust => "trust",
            Self::Crl => "crl",
        }
    }
}

/// A clock that TLS asks; a test can set it.
pub(crate) type Clock = Arc<dyn TimeProvider>;

/// The machine's clock.
pub(crate) fn system_clock() -> Clock {
    Arc::new(rustls::time_provider::DefaultTimeProvider)
}

/// The cryptography, the same for the whole process whatever others have installed as a default.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| Arc::new(aws_lc_rs::default_provider()));
    PROVIDER.clone()
}

/// The only application protocol so far.
const ALPN: &[u8] = b"http/1.1";

fn versions(lowest: MinVersion) -> &'static [&'static SupportedProtocolVersion] {
    static ALL: [&SupportedProtocolVersion; 2] = [&version::TLS13, &version::TLS12];
    match lowest {
        MinVersion::Tls12 => &ALL,
        MinVersion::Tls13 => &ALL[..1],
    }
}
