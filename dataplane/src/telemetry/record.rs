//! One finished call as plain data: what the request path knows when the call is over, and all that log and metrics need.
//! Filling it takes moves and a few small copies. What many calls share, their connection and their producer, they refer to,
//! and the log keeps there what it has written of it.
//!
//! Text that came from outside (address, header values, path) is kept as it came; the log escapes and cuts it.

use super::trace::{SpanId, TraceId};
use rivmesh_rivta::VpCode;
use std::borrow::Cow;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

/// The TLS version of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2.
    V1_2,
    /// TLS 1.3.
    V1_3,
}

impl TlsVersion {
    /// Both, in the order of their [`Self::index`].
    pub const ALL: [Self; 2] = [Self::V1_2, Self::V1_3];

    /// `1.2` or `1.3`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V1_2 => "1.2",
            Self::V1_3 => "1.3",
        }
    }

    /// The place in [`Self::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }
}

/// Where the calls of a connection come in.
#[derive(Debug)]
pub struct Origin {
    /// Name of the listener.
    pub listener: Arc<str>,
    /// The consumer's end of the connection.
    pub peer: SocketAddr,
    /// Its TLS version; `None` is plain HTTP.
    pub tls: Option<TlsVersion>,
    /// What a line of log says of it.
    pub(super) written: OnceLock<String>,
}

impl Origin {
    /// The origin of all calls of one connection.
    pub fn new(listener: Arc<str>, peer: SocketAddr, tls: Option<TlsVersion>) -> Self {
        Self { listener, peer, tls, written: OnceLock::new() }
    }
}

/// A producer's endpoint, as it is spoken of.
#[derive(Debug)]
pub struct EndpointName {
    /// Its URL as the route writes it. The log cuts user info and query off.
    pub url: String,
    /// What a line of log says of it.
    pub(super) written: OnceLock<String>,
}

impl EndpointName {
    /// The endpoint of this URL.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), written: OnceLock::new() }
    }
}

/// The Kubernetes object (or manifest) that decided something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectRef {
    /// Its namespace and name, with `/` between them.
    pub name: String,
    /// Which edition of it (`metadata.generation`).
    pub generation: i64,
}

/// What became of a call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Outcome {
    /// The producer's answer was relayed whole.
    #[default]
    Completed,
    /// The platform answered with a SOAP fault of its own.
    Fault {
        /// Its VP code.
        code: VpCode,
        /// Which of the code's causes it was: one word of a small fixed set, such as `connect`, `timeout`, `tls`.
        kind: &'static str,
        /// The cause in a sentence of our own; never a producer's or a consumer's text. May be empty.
        cause: String,
    },
    /// The producer's own SOAP fault was relayed. Its text may hold personal data and is not kept.
    ProducerFault {
        /// Its `faultcode`.
        faultcode: String,
    },
    /// The consumer went away before it had its answer.
    ConsumerAborted,
    /// The producer broke off after its answer had begun; the consumer's connection was cut.
    ProducerBrokeOff {
        /// The cause in a sentence of our own.
        cause: String,
    },
    /// Refused below SOAP, with a line of plain text and [`CallRecord::status`].
    HttpRefused,
}

/// One finished call.
#[derive(Debug, Clone)]
pub struct CallRecord<'a> {
    /// Where it came in.
    pub origin: &'a Origin,
    /// HTTP method.
    pub method: &'a str,
    /// Path of the request target. A query string is not part of it, and is cut off where it is.
    pub path: &'a str,
    /// Id of the connecting party; empty where it is not known.
    pub consumer: Arc<str>,
    /// `x-rivta-original-serviceconsumer-hsaid` as it came.
    pub original_consumer_in: Option<Cow<'a, str>>,
    /// The same as it was sent on.
    pub original_consumer_out: Option<String>,
    /// Whether the caller named an original consumer without being trusted to; rejected or only reported, it is a security event.
    pub untrusted_original_consumer: bool,
    /// `x-rivta-acting-on-behalf-of-hsaid`.
    pub acting_on_behalf_of: Option<Cow<'a, str>>,
    /// Payload namespace.
    pub contract: Option<String>,
    /// Logical address, exactly as written.
    pub address: Option<String>,
    /// Whether the address had white space around it.
    pub address_whitespace: bool,
    /// Profile of the request, such as `rivtabp21`.
    pub profile_in: Option<&'static str>,
    /// Profile that the producer was called with.
    pub profile_out: Option<&'static str>,
    /// The endpoint that was called last.
    pub endpoint: Option<Arc<EndpointName>>,
    /// Correlation id of the call.
    pub correlation_id: &'a str,
    /// The trace that the call belongs to.
    pub trace_id: Option<TraceId>,
    /// The platform's span.
    pub span_id: Option<SpanId>,
    /// The caller's span.
    pub parent_span: Option<SpanId>,
    /// What routed it.
    pub route: Option<ObjectRef>,
    /// What authorised it.
    pub authorization: Option<ObjectRef>,
    /// The addresses that routing tried, up to the hit.
    pub routing_trail: String,
    /// The addresses that authorisation tried, up to the hit.
    pub authorization_trail: String,
    /// Version of the table that decided.
    pub table_digest: Option<[u8; 16]>,
    /// Bytes of request content received.
    pub bytes_in: u64,
    /// Bytes of response content sent.
    pub bytes_out: u64,
    /// HTTP status that the consumer got; 0 if it got none.
    pub status: u16,
    /// When the request's first byte came.
    pub started: SystemTime,
    /// From then until the answer's last byte was sent or the call was given up.
    pub duration: Duration,
    /// The part of it that was spent on the producer; `None` if none was called.
    pub producer_duration: Option<Duration>,
    /// Whether it was tried more than once.
    pub retried: bool,
    /// What became of it.
    pub outcome: Outcome,
}

impl<'a> CallRecord<'a> {
    /// A call of which nothing is known yet but where it came in, and when. To be completed field by field.
    pub fn new(origin: &'a Origin, started: SystemTime) -> Self {
        Self {
            origin,
            method: "",
            path: "",
            consumer: Arc::default(),
            original_consumer_in: None,
            original_consumer_out: None,
            untrusted_original_consumer: false,
            acting_on_behalf_of: None,
            contract: None,
            address: None,
            address_whitespace: false,
            profile_in: None,
            profile_out: None,
            endpoint: None,
            correlation_id: "",
            trace_id: None,
            span_id: None,
            parent_span: None,
            route: None,
            authorization: None,
            routing_trail: String::new(),
            authorization_trail: String::new(),
            table_digest: None,
            bytes_in: 0,
            bytes_out: 0,
            status: 0,
            started,
            duration: Duration::ZERO,
            producer_duration: None,
            retried: false,
            outcome: Outcome::Completed,
        }
    }

    /// What the platform itself added: the time that was not spent on the producer.
    pub fn added(&self) -> Duration {
        self.duration.saturating_sub(self.producer_duration.unwrap_or_default())
    }
}
