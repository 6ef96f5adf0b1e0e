//! From calls and events to lines: JSON for machines, plain text for a terminal.

use super::call;
use super::entry::Entry;
use super::event::Event;
use super::scrub::safe_cause;
use crate::telemetry::fields;
use crate::telemetry::json::{self, Line};
use crate::telemetry::personal::mask;
use crate::telemetry::record::{CallRecord, Outcome};
use jiff::Timestamp;
use std::fmt::Write;
use std::time::SystemTime;

/// How lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// One ECS JSON object per line.
    #[default]
    Json,
    /// Lines for people.
    Text,
}

/// Who writes the log: the same on every line.
#[derive(Debug, Clone, Default)]
pub struct Service {
    /// `platform.name`.
    pub name: String,
    /// `platform.environment`; empty if there is none.
    pub environment: String,
    /// `platform.hsaId`.
    pub hsa_id: String,
    /// Host or pod name.
    pub host: String,
}

/// The members that all lines share, written once.
pub(super) struct Common(String);

impl Common {
    pub(super) fn new(service: &Service) -> Self {
        let mut members = String::new();
        let mut line = Line::members(&mut members);
        line.text(&fields::ECS_VERSION, "8.11.0");
        line.some(&fields::SERVICE_NAME, &service.name);
        line.some(&fields::SERVICE_ENVIRONMENT, &service.environment);
        line.some(&fields::SERVICE_ID, &service.hsa_id);
        line.text(&fields::SERVICE_VERSION, env!("CARGO_PKG_VERSION"));
        line.some(&fields::HOST_NAME, &service.host);
        line.text(&fields::HOST_ARCHITECTURE, std::env::consts::ARCH);
        line.text(&fields::HOST_OS, std::env::consts::OS);
        Self(members)
    }

    pub(super) fn members(&self) -> &str {
        &self.0
    }
}

/// Writes lines of one format.
pub(super) struct Renderer {
    format: Format,
    common: Common,
    /// The same with what all calls have.
    of_calls: String,
}

impl Renderer {
    pub(super) fn new(format: Format, service: &Service) -> Self {
        let common = Common::new(service);
        Self { format, of_calls: call::common(&common), common }
    }

    /// Appends the line of a call.
    pub(super) fn call(&self, out: &mut String, record: &CallRecord<'_>) {
        match self.format {
            Format::Json => call::write(out, record, &self.of_calls),
            Format::Text => call_text(out, record),
        }
    }

    /// Appends the line of an event.
    pub(super) fn event(&self, out: &mut String, event: &Event, at: SystemTime) {
        self.entry(out, &event.entry(), at);
    }

    /// Appends a line.
    pub(super) fn entry(&self, out: &mut String, entry: &Entry<'_>, at: SystemTime) {
        match self.format {
            Format::Json => self.entry_json(out, entry, at),
            Format::Text => text(out, at, entry.level, &entry.message),
        }
    }

    fn entry_json(&self, out: &mut String, entry: &Entry<'_>, at: SystemTime) {
        let mut line = Line::begin(out);
        line.time(&fields::TIMESTAMP, timestamp(at));
        line.text(&fields::LEVEL, entry.level);
        line.text(&fields::LOGGER, entry.logger);
        line.text(&fields::MESSAGE, &entry.message);
        line.raw(self.common.members());
        line.word(&fields::EVENT_ACTION, entry.action);
        line.word(&fields::EVENT_KIND, entry.kind);
        line.list(&fields::EVENT_CATEGORY, entry.category);
        line.list(&fields::EVENT_TYPE, entry.types);
        line.word(&fields::EVENT_OUTCOME, entry.outcome);
        line.word(&fields::EVENT_MODULE, entry.module);
        for (field, value) in &entry.fields {
            line.some(field, value);
        }
        line.end();
    }
}

/// A time beyond the year 9999 is a broken clock; the epoch shows that well enough.
pub(super) fn timestamp(at: SystemTime) -> Timestamp {
    Timestamp::try_from(at).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn call_text(out: &mut String, record: &CallRecord<'_>) {
    let mut message =
        format!("{} -> {}", or_dash(&record.consumer), or_dash(record.address.as_deref().unwrap_or_default()));
    let contract = record.contract.as_deref().unwrap_or_default();
    let _ = write!(message, " {}", or_dash(short_contract(contract)));
    match &record.outcome {
        Outcome::Completed => message.push_str(" ok"),
        Outcome::Fault { code, cause, .. } if cause.is_empty() => message.push_str(&format!(" {}", code.as_str())),
        Outcome::Fault { code, cause, .. } => {
            let cause = safe_cause(cause, call::url_of(record));
            message.push_str(&format!(" {} ({cause})", code.as_str()));
        }
        other => message.push_str(&format!(" {}", call::outcome_word(other))),
    }
    let _ = write!(message, " {:.1} ms", record.duration.as_secs_f64() * 1e3);
    if let Some(producer) = record.producer_duration {
        let _ = write!(message, " (producer {:.1} ms)", producer.as_secs_f64() * 1e3);
    }
    for (what, object) in [("route", &record.route), ("authorised by", &record.authorization)] {
        if let Some(object) = object {
            let _ = write!(message, ", {what} {}", object.name);
        }
    }
    text(out, record.started + record.duration, call::level(&record.outcome), &message);
}

/// `GetCareDocumentationResponder:2` of `urn:riv:...:GetCareDocumentationResponder:2`.
fn short_contract(contract: &str) -> &str {
    let name_at = contract.rmatch_indices(':').nth(1).map_or(0, |(at, _)| at + 1);
    &contract[name_at..]
}

fn or_dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

/// A line of text: control characters are escaped as in JSON, so that nothing can steer the terminal.
fn text(out: &mut String, at: SystemTime, level: &str, message: &str) {
    let _ = write!(out, "{:.3} {level:<5} ", timestamp(at));
    for char in mask(message).chars() {
        match char {
            '"' | '\\' => out.push(char),
            _ if json::is_safe(char) => out.push(char),
            _ => out.extend(char.escape_unicode()),
        }
    }
    out.push('\n');
}
