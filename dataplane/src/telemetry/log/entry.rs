//! The words of events: action, level, sentence and fields of each line that is not a call.

use super::event::{Event, Intrusion, RefusedHandshake};
use super::limit::Suppressed;
use crate::telemetry::fields::{self, Field};
use crate::telemetry::table::{Hex, TableInfo};
use jiff::Timestamp;
use std::net::IpAddr;

/// Every action with the occasion of its line, for the reference page.
pub const ACTIONS: &[(&str, &str)] = &[
    (CALL, "a call is over"),
    (PLATFORM_START, "the platform serves its listeners"),
    (PLATFORM_READY, "readiness changed"),
    (PLATFORM_DRAIN, "it was told to stop: calls in flight are finished"),
    (PLATFORM_STOP, "it stops"),
    (SETTINGS_LOAD, "settings, certificates, trust or CRLs were read anew, or could not be"),
    (TABLE_INSTALL, "a routing table took effect"),
    (TABLE_REJECT, "a routing table was refused; the one before stays"),
    (TABLE_HELD, "a routing table is held back by the shrink guard"),
    (HANDSHAKE_REFUSED, "a TLS handshake was refused; limited per peer and in all"),
    (HANDSHAKES_SUPPRESSED, "so many refused handshakes were not logged in the last minute"),
    (INTRUSION, "an alert: something that an attacker would do"),
    (LINES_DROPPED, "lines of log were lost"),
    (PROCESS_MESSAGE, "a message of the process or of one of its libraries"),
];

pub(super) const CALL: &str = "resp-out";
const PLATFORM_START: &str = "platform-start";
const PLATFORM_READY: &str = "platform-ready";
const PLATFORM_DRAIN: &str = "platform-drain";
const PLATFORM_STOP: &str = "platform-stop";
const SETTINGS_LOAD: &str = "settings-load";
const TABLE_INSTALL: &str = "table-install";
const TABLE_REJECT: &str = "table-reject";
const TABLE_HELD: &str = "table-held";
const HANDSHAKE_REFUSED: &str = "tls-handshake-refused";
const HANDSHAKES_SUPPRESSED: &str = "tls-handshakes-suppressed";
const INTRUSION: &str = "possible-intrusion";
const LINES_DROPPED: &str = "log-lines-dropped";
const PROCESS_MESSAGE: &str = "process-message";

/// A line before it is written: what all events have, and their own fields.
pub(super) struct Entry<'a> {
    pub(super) level: &'a str,
    pub(super) logger: &'a str,
    pub(super) action: &'static str,
    pub(super) kind: &'static str,
    pub(super) category: &'static [&'static str],
    pub(super) types: &'static [&'static str],
    pub(super) outcome: &'static str,
    pub(super) module: &'static str,
    pub(super) message: String,
    pub(super) fields: Vec<(Field, String)>,
}

pub(super) const CALL_LOGGER: &str = "rivmesh.call";
const SECURITY: &str = "rivmesh.security";
const PLATFORM: &str = "rivmesh.platform";

impl Entry<'_> {
    fn platform(action: &'static str, message: String) -> Self {
        Self {
            level: "INFO",
            logger: PLATFORM,
            action,
            kind: "event",
            category: &["process"],
            types: &["info"],
            outcome: "success",
            module: "rivmesh",
            message,
            fields: Vec::new(),
        }
    }

    fn configuration(action: &'static str, message: String) -> Self {
        Self { category: &["configuration"], types: &["change"], ..Self::platform(action, message) }
    }

    fn failed(mut self, level: &'static str, reason: &str) -> Self {
        self.level = level;
        self.outcome = "failure";
        self.with(fields::REASON, reason)
    }

    fn with(mut self, field: Field, value: impl Into<String>) -> Self {
        self.fields.push((field, value.into()));
        self
    }

    fn from(self, peer: IpAddr) -> Self {
        let peer = peer.to_canonical().to_string();
        self.with(fields::SOURCE_ADDRESS, &*peer).with(fields::SOURCE_IP, peer)
    }
}

impl Event {
    /// The line of this event.
    pub(super) fn entry(&self) -> Entry<'_> {
        match self {
            Self::Started { listeners } => {
                Entry { types: &["start"], ..Entry::platform(PLATFORM_START, format!("Serving {listeners}.")) }
            }
            Self::Readiness { waiting_for } if waiting_for.is_empty() => {
                Entry::platform(PLATFORM_READY, "Ready for calls.".into())
            }
            Self::Readiness { waiting_for } => {
                let reason = waiting_for.join(", ");
                Entry::platform(PLATFORM_READY, format!("Not ready, waiting for: {reason}.")).failed("WARN", &reason)
            }
            Self::Draining => Entry {
                types: &["end"],
                ..Entry::platform(PLATFORM_DRAIN, "Stopping: calls in flight are finished first.".into())
            },
            Self::Stopped { unfinished: 0 } => {
                Entry { types: &["end"], ..Entry::platform(PLATFORM_STOP, "Stopped; every call was finished.".into()) }
            }
            Self::Stopped { unfinished } => Entry {
                types: &["end"],
                ..Entry::platform(PLATFORM_STOP, format!("Stopped; {unfinished} calls were cut off."))
            }
            .failed("WARN", "the calls were not finished in the time that draining has"),
            Self::SettingsLoaded { file } => {
                Entry::configuration(SETTINGS_LOAD, format!("{file} was read and is in use.")).with(fields::FILE, file)
            }
            Self::SettingsRejected { file, reason } => {
                Entry::configuration(SETTINGS_LOAD, format!("{file} cannot be used, what was in use stays: {reason}"))
                    .failed("ERROR", reason)
                    .with(fields::FILE, file)
            }
            Self::TableInstalled(table) => table_installed(table),
            Self::TableRejected { digest, reason } => {
                let entry = Entry::configuration(
                    TABLE_REJECT,
                    format!("A routing table was refused, the one before stays: {reason}"),
                )
                .failed("ERROR", reason);
                match digest {
                    Some(digest) => entry.with(fields::TABLE_DIGEST, Hex(*digest).to_string()),
                    None => entry,
                }
            }
            Self::TableHeld { digest, reason } => {
                Entry::configuration(TABLE_HELD, format!("A routing table is held back: {reason}"))
                    .failed("ERROR", reason)
                    .with(fields::TABLE_DIGEST, Hex(*digest).to_string())
            }
            Self::Intrusion(intrusion) => intrusion.entry(),
            Self::LinesDropped { count } => Entry::platform(
                LINES_DROPPED,
                format!("{count} lines of log were lost, because they could not be written as fast as they came."),
            )
            .failed("WARN", "standard output was not read fast enough")
            .with(fields::DROPPED, count.to_string()),
            Self::Process { level, target, message } => {
                Entry { level, logger: target, outcome: "unknown", ..Entry::platform(PROCESS_MESSAGE, message.clone()) }
            }
        }
    }
}

fn table_installed(table: &TableInfo) -> Entry<'static> {
    let rows = table.rows;
    let message = format!(
        "Routing table {} is in use, from {}: {} routes, {} authorisations.",
        Hex(table.digest),
        table.source.as_str(),
        rows.routes,
        rows.authorizations
    );
    Entry::configuration(TABLE_INSTALL, message)
        .with(fields::TABLE_DIGEST, Hex(table.digest).to_string())
        .with(fields::TABLE_SOURCE, table.source.as_str())
        .with(fields::TABLE_EPOCH, table.epoch.to_string())
        .with(fields::TABLE_ROUTES, rows.routes.to_string())
        .with(fields::TABLE_AUTHORIZATIONS, rows.authorizations.to_string())
}

impl RefusedHandshake {
    /// The line of this refusal.
    pub(super) fn entry(&self) -> Entry<'static> {
        let message = format!("TLS handshake from {} on {} refused: {}", self.peer, self.listener, self.cause);
        let entry = Entry {
            logger: SECURITY,
            category: &["authentication", "network"],
            types: &["denied"],
            module: "skltp-tls",
            ..Entry::platform(HANDSHAKE_REFUSED, message)
        };
        let entry = entry
            .failed("WARN", &self.cause)
            .with(fields::REFUSAL, self.reason)
            .with(fields::LISTENER, &*self.listener)
            .from(self.peer);
        match &self.certificate {
            Some(certificate) => entry
                .with(fields::CERTIFICATE_SUBJECT, &*certificate.subject)
                .with(fields::CERTIFICATE_ISSUER, &*certificate.issuer)
                .with(fields::CERTIFICATE_SERIAL, &*certificate.serial)
                .with(fields::CERTIFICATE_NOT_AFTER, instant(certificate.not_after)),
            None => entry,
        }
    }
}

/// Unix seconds as RFC 3339.
fn instant(seconds: i64) -> String {
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX).to_string()
}

impl Suppressed {
    /// The line that stands for the refusals that were not logged.
    pub(super) fn entry(&self) -> Entry<'static> {
        let message = format!(
            "{} more refused TLS handshakes of {} peers were not logged, {} of them from {}.",
            self.count, self.peers, self.busiest_count, self.busiest
        );
        Entry {
            logger: SECURITY,
            category: &["network"],
            types: &["denied"],
            module: "skltp-tls",
            ..Entry::platform(HANDSHAKES_SUPPRESSED, message)
        }
        .failed("WARN", "lines about refused handshakes are limited per peer and in all")
        .with(fields::SUPPRESSED, self.count.to_string())
        .with(fields::SOURCE_ADDRESS, &*self.busiest)
    }
}

impl Intrusion {
    fn entry(&self) -> Entry<'static> {
        let message = format!("Possible intrusion: {}", self.detail);
        let entry = Entry {
            logger: SECURITY,
            kind: "alert",
            category: &["intrusion_detection"],
            types: &["denied"],
            ..Entry::platform(INTRUSION, message)
        };
        entry
            .failed("WARN", &self.detail)
            .with(fields::ALERT, self.alert.as_str())
            .with(fields::LISTENER, &*self.listener)
            .with(fields::SENDER, &*self.consumer)
            .from(self.peer)
    }
}
