//! Every size, count and time that bounds what a peer can make us spend. Each has one home, here, and each that a caller
//! can hit has a clear error (invariant 7).

use std::time::Duration;

use serde::Deserialize;

use super::values::{bytes, count, duration};

/// Sizes and counts. Sizes are bytes, written as a number or with `KiB`, `MiB` or `GiB`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct Limits {
    /// The head of a message (start line and header fields), of requests and of answers. Over it: 431 to a consumer,
    /// VP009 from a producer. Default: 32 KiB.
    #[serde(deserialize_with = "bytes")]
    pub head_bytes: usize,
    /// Header fields in a head. Over it: 431 or VP009. Default: 100.
    #[serde(deserialize_with = "count")]
    pub header_count: usize,
    /// How far into a message the envelope is read for address and contract, and into a producer's error for a SOAP
    /// fault. Over it: VP015. Default: 64 KiB.
    #[serde(deserialize_with = "bytes")]
    pub peek_bytes: usize,
    /// A whole message, where the contract sets no limit. Over it: 413 with a VP015 fault. Default: 50 MiB.
    #[serde(deserialize_with = "bytes")]
    pub message_bytes: usize,
    /// Open connections of consumers, of all listeners together. Over it, a new one is closed at once. Default: 10,000.
    #[serde(deserialize_with = "count")]
    pub connections: usize,
    /// TLS handshakes worked on at a time; one that waits for its peer does not count after a second. Over it, new
    /// connections wait. Default: 256.
    #[serde(deserialize_with = "count")]
    pub handshakes_in_flight: usize,
    /// Calls under way in this process. Over it: 503 with a VP012 fault. Default: 4,000.
    #[serde(deserialize_with = "count")]
    pub requests_in_flight: usize,
    /// Idle connections that a worker thread keeps towards one endpoint. Default: 500, as many calls as may be in flight.
    #[serde(deserialize_with = "count")]
    pub idle_per_endpoint: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_bytes: 32 * 1024,
            header_count: 100,
            peek_bytes: 64 * 1024,
            message_bytes: 50 * 1024 * 1024,
            connections: 10_000,
            handshakes_in_flight: 256,
            requests_in_flight: 4_000,
            idle_per_endpoint: 500,
        }
    }
}

/// Times, written with their unit: `500ms`, `29s`, `10m`, `48h`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct Timeouts {
    /// From accept to the end of the TLS handshake. Default: 10 s.
    #[serde(deserialize_with = "duration")]
    pub handshake: Duration,
    /// From the first byte of a request to the end of its head. Over it: 408. Default: 10 s.
    #[serde(deserialize_with = "duration")]
    pub head: Duration,
    /// Without progress while a body is read from or written to a consumer. Over it: 408, or the connection is cut once
    /// an answer has begun. Default: 30 s.
    #[serde(deserialize_with = "duration")]
    pub body_idle: Duration,
    /// A whole request from a consumer, however steadily it trickles. Over it: 408. Default: 5 min.
    #[serde(deserialize_with = "duration")]
    pub message: Duration,
    /// How long a consumer's connection may wait for its next request. Default: 60 s.
    #[serde(deserialize_with = "duration")]
    pub keep_alive: Duration,
    /// To connect to a producer, TLS included. Over it: the next endpoint, or VP009. Default: 2 s (rules §7).
    #[serde(deserialize_with = "duration")]
    pub connect: Duration,
    /// The producer's whole answer, where the contract does not say. Over it: VP009. Default: 29 s (rules §7).
    #[serde(deserialize_with = "duration")]
    pub call: Duration,
    /// How long an idle connection to a producer is kept. Below the 5 s after which common web servers close, so that
    /// a call seldom meets a connection that is just being closed. Default: 4 s.
    #[serde(deserialize_with = "duration")]
    pub upstream_idle: Duration,
    /// How long an endpoint that refused a connect is skipped. Default: 10 s (rules §7).
    #[serde(deserialize_with = "duration")]
    pub skip_refused: Duration,
    /// The life of a consumer's connection, give or take 20 %, so that a pod added later gets its share. Default: 10 min.
    #[serde(deserialize_with = "duration")]
    pub connection_age: Duration,
    /// At SIGTERM: how long new connections are still accepted while the load balancer learns. Default: 5 s.
    #[serde(deserialize_with = "duration")]
    pub drain_delay: Duration,
    /// After that: how long calls under way may take before they are cut. Default: 30 s.
    #[serde(deserialize_with = "duration")]
    pub drain: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            handshake: seconds(10),
            head: seconds(10),
            body_idle: seconds(30),
            message: seconds(300),
            keep_alive: seconds(60),
            connect: seconds(2),
            call: seconds(29),
            upstream_idle: seconds(4),
            skip_refused: seconds(10),
            connection_age: seconds(600),
            drain_delay: seconds(5),
            drain: seconds(30),
        }
    }
}
