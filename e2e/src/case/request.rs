//! What a consumer sends: the ordinary call of the allowed consumer, unless a case says otherwise.

use serde::Deserialize;

use crate::content::Content;
use crate::script::Trickle;

/// The address of the ordinary call.
const ADDRESS: &str = "SE2321000131-E000000000001";
/// The contract of the ordinary call.
const CONTRACT: &str = "urn:riv:test:GetThingResponder:1";

/// What a consumer sends.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Request {
    /// Name of the consumer's certificate; `nobody` sends none.
    pub r#as: String,
    /// `1.3`, `1.2` or `plain`.
    pub tls: String,
    /// Whether the TLS session of an earlier connection may be resumed.
    pub resume: bool,
    /// Name of the port that is called.
    pub listener: String,
    /// A connection that is kept under this name for later steps.
    pub connection: Option<String>,
    /// Method.
    pub method: String,
    /// Request target.
    pub target: String,
    /// Version.
    pub version: String,
    /// Header lines. One with the name of an ordinary header replaces it.
    pub headers: Vec<String>,
    /// Ordinary headers that are left out (`Host`, `Content-Type`, `SOAPAction`, `Content-Length`).
    pub without: Vec<String>,
    /// Logical address of the envelope.
    pub address: String,
    /// Contract of the envelope.
    pub contract: String,
    /// Profile of the envelope.
    pub profile: String,
    /// XML inside the operation element.
    pub payload: Content,
    /// The whole body instead of the envelope.
    pub body: Option<Content>,
    /// Sent in chunks of this size.
    pub chunked: Option<usize>,
    /// Exact bytes of the whole request.
    pub raw: Option<Content>,
    /// Sent in portions.
    pub trickle: Option<Trickle>,
    /// Only this many bytes are sent.
    pub cut: Option<usize>,
    /// The body is held back until the platform says 100 Continue.
    pub wait_for_continue: bool,
    /// The consumer stops sending (half-close) after the request.
    pub half_close: bool,
    /// The consumer goes away without reading the answer.
    pub hang_up: Option<HangUp>,
    /// Waits for this producer to have begun to receive a request before hanging up.
    pub after_producer: Option<String>,
}

/// How a consumer goes away.
#[derive(Debug, Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum HangUp {
    /// Orderly.
    Close,
    /// With a reset.
    Reset,
}

impl Default for Request {
    fn default() -> Self {
        let text = str::to_owned;
        Self {
            r#as: text("allowed"),
            tls: text("1.3"),
            resume: false,
            listener: text("consumers"),
            connection: None,
            method: text("POST"),
            target: text("/vp/test"),
            version: text("HTTP/1.1"),
            headers: Vec::new(),
            without: Vec::new(),
            address: text(ADDRESS),
            contract: text(CONTRACT),
            profile: text("rivtabp21"),
            payload: Content::Text(text("<c:id>1</c:id>")),
            body: None,
            chunked: None,
            raw: None,
            trickle: None,
            cut: None,
            wait_for_continue: false,
            half_close: false,
            hang_up: None,
            after_producer: None,
        }
    }
}
