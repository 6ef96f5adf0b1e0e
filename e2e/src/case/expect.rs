//! What must come of a request: at the consumer, at the producers, in the log.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::content::Content;

/// Header expectations: a pattern, several values in order, or `null` for a header that must not be there.
pub type Headers = BTreeMap<String, Option<Values>>;

/// One or several patterns.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Values {
    /// One.
    One(String),
    /// Several, in order.
    Several(Vec<String>),
}

/// What must come of a request. What is not named is not looked at, except that a fault of ours (`code`) must have the
/// layout of rules §6 and, for the codes that are decided before it, must not have reached any producer.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Expect {
    /// Status.
    pub status: Option<u16>,
    /// Headers of the answer.
    pub headers: Headers,
    /// The VP code of a fault of ours.
    pub code: Option<String>,
    /// The text after `VPnnn [platform name] `.
    pub text: Option<String>,
    /// Texts that the detail contains.
    pub detail: Vec<String>,
    /// Texts that it does not.
    pub detail_lacks: Vec<String>,
    /// The whole detail.
    pub detail_is: Option<String>,
    /// The body, exactly.
    pub body: Option<Content>,
    /// Texts in the body.
    pub body_contains: Vec<String>,
    /// Texts that are not.
    pub body_lacks: Vec<String>,
    /// Length of the body.
    pub body_bytes: Option<usize>,
    /// The answer is `text/plain`: one sentence.
    pub sentence: bool,
    /// 1xx answers before the final one.
    pub interim: Option<Vec<u16>>,
    /// What becomes of the connection.
    pub connection: Option<Ending>,
    /// The TLS handshake was refused, with an alert whose name contains this text.
    pub refused: Option<String>,
    /// Whether the TLS session was resumed.
    pub resumed: Option<bool>,
    /// At least this long, in milliseconds.
    pub at_least_ms: Option<u64>,
    /// At most this long, in milliseconds.
    pub at_most_ms: Option<u64>,
    /// What the producer `p1` received.
    pub producer: Option<ProducerExpect>,
    /// What other producers received.
    pub producers: BTreeMap<String, ProducerExpect>,
    /// Log lines that must be there: field and pattern, `null` for a field that must not be in that line.
    pub log: Vec<BTreeMap<String, Value>>,
    /// How many log lines about this call there are.
    pub log_count: Option<usize>,
    /// Texts that no log line of this case contains.
    pub log_lacks: Vec<String>,
    /// Expectations of the next answer on the same connection (pipelining).
    pub next: Option<Box<Self>>,
}

/// What becomes of a connection after (or in) an answer.
#[derive(Debug, Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// It stays open.
    Open,
    /// It closes in an orderly way after the answer.
    Closed,
    /// It breaks off inside the answer, or instead of it.
    Aborted,
    /// Closed in an orderly way instead of an answer.
    NoAnswer,
    /// Ended instead of an answer, in whatever way.
    Unanswered,
    /// Not left open, in whatever way: after an answer or instead of one.
    Finished,
}

/// What a producer must have received.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ProducerExpect {
    /// Number of requests.
    pub count: Option<usize>,
    /// Over how many different connections.
    pub connections: Option<usize>,
    /// Method of the last request, as all below.
    pub method: Option<String>,
    /// Request target.
    pub target: Option<String>,
    /// Headers.
    pub headers: Headers,
    /// The body, exactly.
    pub body: Option<Content>,
    /// The body is byte for byte what the consumer sent.
    pub body_same: bool,
    /// Texts in the body.
    pub body_contains: Vec<String>,
    /// Texts that are not.
    pub body_lacks: Vec<String>,
    /// `length`, `chunked` or `nothing`.
    pub framing: Option<String>,
    /// Trailer lines, exactly.
    pub trailers: Option<Vec<(String, String)>>,
    /// Whether the whole request came.
    pub complete: Option<bool>,
    /// Whether the platform hung up.
    pub abandoned: Option<bool>,
    /// Whether the platform presented its client certificate.
    pub with_certificate: Option<bool>,
}
