//! What the platform logs beside calls: the closed list of its events, as plain data.

use crate::telemetry::table::TableInfo;
use std::net::IpAddr;
use std::sync::Arc;

/// Something to log that is not a call.
#[derive(Debug, Clone)]
pub enum Event {
    /// The listeners are served.
    Started {
        /// Listeners and their addresses, as a person would list them.
        listeners: String,
    },
    /// Readiness changed.
    Readiness {
        /// What readiness waits for; empty is ready.
        waiting_for: Vec<String>,
    },
    /// The platform was told to stop.
    Draining,
    /// It stops.
    Stopped {
        /// Calls that were cut off.
        unfinished: u64,
    },
    /// A file was read anew and is in use.
    SettingsLoaded {
        /// Which file.
        file: String,
    },
    /// A file could not be used; what was in use stays.
    SettingsRejected {
        /// Which file.
        file: String,
        /// Why, and what to do.
        reason: String,
    },
    /// A table took effect.
    TableInstalled(TableInfo),
    /// A table was refused.
    TableRejected {
        /// Its version, as far as it is known.
        digest: Option<[u8; 16]>,
        /// Which shard and row, and why.
        reason: String,
    },
    /// A table is held back.
    TableHeld {
        /// Its version.
        digest: [u8; 16],
        /// What it would have removed, and how it is released.
        reason: String,
    },
    /// Something that an attacker would do.
    Intrusion(Intrusion),
    /// Lines were lost.
    LinesDropped {
        /// How many.
        count: u64,
    },
    /// A message of the process.
    Process {
        /// `ERROR` to `TRACE`.
        level: &'static str,
        /// The module that it comes from.
        target: String,
        /// The message with its fields.
        message: String,
    },
}

/// A TLS handshake that was refused, with what the operator must know and the vendor cannot see.
#[derive(Debug, Clone)]
pub struct RefusedHandshake {
    /// Name of the listener.
    pub listener: Arc<str>,
    /// Who tried.
    pub peer: IpAddr,
    /// Why, as a word.
    pub refusal: Refusal,
    /// Why, as a sentence.
    pub reason: String,
    /// The certificate shown, if any came.
    pub certificate: Option<ShownCertificate>,
}

/// The part of a refused certificate that explains the refusal.
#[derive(Debug, Clone, Default)]
pub struct ShownCertificate {
    /// Subject, as text.
    pub subject: String,
    /// Issuer, as text.
    pub issuer: String,
    /// When it expires, RFC 3339.
    pub not_after: String,
}

/// Why a handshake was refused: a small fixed set, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// No client certificate.
    NoCertificate,
    /// No chain to a trusted issuer.
    UntrustedIssuer,
    /// Past notAfter.
    Expired,
    /// Before notBefore.
    NotYetValid,
    /// On a CRL.
    Revoked,
    /// No usable CRL for it.
    RevocationUnknown,
    /// Not meant for clients.
    WrongPurpose,
    /// A certificate that cannot be read, or a wrong signature.
    BadCertificate,
    /// No common version or cipher suite.
    NoCommonProtocol,
    /// The peer sent something that is not TLS, or broke its rules.
    NotTls,
    /// The peer refused us: its alert says so.
    PeerAlert,
    /// Not done in time.
    TimedOut,
    /// The peer closed in the middle.
    Closed,
    /// The listener is full.
    Overloaded,
    /// Anything else.
    Other,
}

impl Refusal {
    /// All, in the order of their [`Self::index`].
    pub const ALL: [Self; 15] = [
        Self::NoCertificate,
        Self::UntrustedIssuer,
        Self::Expired,
        Self::NotYetValid,
        Self::Revoked,
        Self::RevocationUnknown,
        Self::WrongPurpose,
        Self::BadCertificate,
        Self::NoCommonProtocol,
        Self::NotTls,
        Self::PeerAlert,
        Self::TimedOut,
        Self::Closed,
        Self::Overloaded,
        Self::Other,
    ];

    /// The word for it in log and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoCertificate => "no_certificate",
            Self::UntrustedIssuer => "untrusted_issuer",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::Revoked => "revoked",
            Self::RevocationUnknown => "revocation_unknown",
            Self::WrongPurpose => "wrong_purpose",
            Self::BadCertificate => "bad_certificate",
            Self::NoCommonProtocol => "no_common_protocol",
            Self::NotTls => "not_tls",
            Self::PeerAlert => "peer_alert",
            Self::TimedOut => "timed_out",
            Self::Closed => "closed",
            Self::Overloaded => "overloaded",
            Self::Other => "other",
        }
    }

    /// The place in [`Self::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }
}

/// Something that an attacker would do, and sometimes a mistake.
#[derive(Debug, Clone)]
pub struct Intrusion {
    /// What it is, as a word.
    pub alert: Alert,
    /// Name of the listener.
    pub listener: Arc<str>,
    /// Where it came from.
    pub peer: IpAddr,
    /// Id of the connecting party; empty where it is not known.
    pub consumer: Arc<str>,
    /// What happened, as a sentence of our own.
    pub detail: String,
}

/// The sorts of alerts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alert {
    /// The caller named an original consumer without being trusted to (rules: VP013).
    UntrustedOriginalConsumer,
    /// A peer that may not use the listener (VP011).
    PeerNotAllowed,
    /// One consumer asked for many addresses and contracts that it has no route or right for.
    Probing,
}

impl Alert {
    /// The word for it in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UntrustedOriginalConsumer => "untrusted-original-consumer",
            Self::PeerNotAllowed => "peer-not-allowed",
            Self::Probing => "probing",
        }
    }
}
