//! What the platform logs beside calls: the closed list of its events, as plain data.

use crate::telemetry::table::TableInfo;
use crate::tls::Refusal;
use rivmesh_rivta::CertificateSummary;
use std::net::{IpAddr, SocketAddr};
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
    /// Why, as one of the words of [`REFUSALS`].
    pub reason: &'static str,
    /// Why, as a sentence.
    pub cause: String,
    /// The certificate shown, if one that can be read came.
    pub certificate: Option<Box<CertificateSummary>>,
}

/// Why handshakes are refused: the words for it in log and metrics. Whatever is none of them is counted as the last.
pub const REFUSALS: &[&str] = &[
    "no-certificate",
    "unreadable",
    "untrusted",
    "bad-signature",
    "not-yet-valid",
    "expired",
    "wrong-purpose",
    "revoked",
    "issuer-revoked",
    "no-revocation-list",
    "stale-revocation-list",
    "timeout",
    "overload",
    "handshake",
    "other",
];

impl RefusedHandshake {
    /// A handshake refused for its certificate, as `refusal` says, or for the `error` where there is no refusal.
    pub fn new(listener: Arc<str>, peer: SocketAddr, refusal: Option<&Refusal>, error: &str) -> Self {
        let (reason, cause) = match refusal {
            Some(refusal) => (refusal.reason.label(), refusal.reason.to_string()),
            None => ("handshake", error.to_owned()),
        };
        let certificate = refusal.and_then(|refusal| refusal.certificate.clone());
        Self { listener, peer: peer.ip(), reason, cause, certificate }
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
