//! Takes the messages of the process and its libraries (`tracing`) into the same log, so that standard output is one kind
//! of lines.

use super::{Event, Sender};
use std::fmt::{self, Write};
use tracing::field::{Field, Visit};
use tracing::{Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{EnvFilter, filter};

/// The most bytes of one message.
const MAX_MESSAGE: usize = 2048;

/// A layer that sends each event to the log.
#[derive(Debug)]
pub struct ProcessLayer(Sender);

impl ProcessLayer {
    /// A layer in front of `sender`.
    pub fn new(sender: Sender) -> Self {
        Self(sender)
    }
}

/// Makes this log the one of the process. `filter` is a directive list such as `info,rivmesh_dataplane=debug`.
///
/// # Errors
/// When `filter` cannot be read, or the process has a log already.
pub fn install(sender: Sender, filter: &str) -> Result<(), InstallError> {
    let filter: EnvFilter = filter.parse()?;
    tracing_subscriber::registry().with(filter).with(ProcessLayer::new(sender)).try_init()?;
    Ok(())
}

/// Why the log could not be installed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The filter is no directive list.
    #[error("the log filter cannot be read, write something like `info` or `info,rivmesh_dataplane=debug`: {0}")]
    Filter(#[from] filter::ParseError),
    /// There is a log already.
    #[error("the process has a log already: {0}")]
    Installed(#[from] TryInitError),
}

impl<S: Subscriber> Layer<S> for ProcessLayer {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        let mut text = Text::default();
        event.record(&mut text);
        let level = match *event.metadata().level() {
            Level::ERROR => "ERROR",
            Level::WARN => "WARN",
            Level::INFO => "INFO",
            Level::DEBUG => "DEBUG",
            Level::TRACE => "TRACE",
        };
        let target = event.metadata().target().to_owned();
        self.0.event(Event::Process { level, target, message: text.finish() });
    }
}

/// The message of an event with its fields behind it in parentheses.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Text {
    fn finish(mut self) -> String {
        if !self.fields.is_empty() {
            let separator = if self.message.is_empty() { "" } else { " " };
            let _ = write!(self.message, "{separator}({})", self.fields);
        }
        self.message.truncate(self.message.floor_char_boundary(MAX_MESSAGE));
        self.message
    }

    fn add(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        // What the `log` crate's messages carry about their origin is in the metadata already.
        if field.name().starts_with("log.") {
            return;
        }
        let _ = match field.name() {
            "message" => write!(self.message, "{value}"),
            name => {
                let separator = if self.fields.is_empty() { "" } else { ", " };
                write!(self.fields, "{separator}{name}={value}")
            }
        };
    }
}

impl Visit for Text {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, format_args!("{value:?}"));
    }
}
