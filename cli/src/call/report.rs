//! What is told of a call: lines for people, or the same as JSON. Text that came over the network is made safe for a
//! terminal, and a body is told only to whoever asks for it.

use std::fmt;
use std::time::Duration;

use hyper::header::{CONTENT_TYPE, HeaderMap};
use jiff::Timestamp;
use rivmesh_rivta::describe;
use rustls::ProtocolVersion;
use serde::{Serialize, Serializer};

use super::expect::{Expected, came};
use crate::consumer::{Answer, Times};
use crate::plain::plain;
use crate::soap::Fault;

/// The call that was made.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Sent {
    pub(super) url: String,
    /// The caller's HSA-id, if its certificate has one.
    pub(super) consumer: Option<String>,
    /// The subject of its certificate.
    pub(super) certificate: String,
    pub(super) contract: String,
    pub(super) logical_address: String,
    pub(super) profile: String,
    pub(super) bytes: usize,
}

impl fmt::Display for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url, certificate, contract, logical_address, profile, bytes, .. } = self;
        match &self.consumer {
            Some(id) => f.write_str(id)?,
            None => write!(f, "{} (no HSA-id)", plain(certificate))?,
        }
        write!(f, " calls {} at {} in {profile}: ", plain(contract), plain(logical_address))?;
        write!(f, "POST {}, {bytes} bytes", plain(url))
    }
}

/// What came of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report<'a> {
    sent: &'a Sent,
    status: u16,
    content_type: Option<String>,
    bytes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<FaultReport>,
    correlation_id: Option<String>,
    tls: Option<&'static str>,
    server: Option<Server>,
    milliseconds: Milliseconds,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    #[serde(serialize_with = "as_text")]
    expected: &'a Expected,
    came: String,
    pub(super) as_expected: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct FaultReport {
    vp_code: Option<String>,
    code: String,
    text: String,
    detail: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Server {
    subject: String,
    issuer: String,
    valid_until: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Milliseconds {
    connect: f64,
    tls: f64,
    first_byte: f64,
    total: f64,
}

impl<'a> Report<'a> {
    pub(super) fn of(sent: &'a Sent, expected: &'a Expected, answer: &Answer, with_body: bool) -> Self {
        let fault = Fault::find(&answer.body);
        let came = came(answer.status, fault.as_ref());
        let as_expected = expected.is_met(answer.status, fault.as_ref());
        let about = |fault: Fault| FaultReport {
            vp_code: fault.vp_code().map(str::to_owned),
            code: fault.code,
            text: fault.text,
            detail: fault.detail,
        };
        Self {
            sent,
            status: answer.status.as_u16(),
            content_type: text(&answer.headers, CONTENT_TYPE.as_str()),
            bytes: answer.body.len(),
            fault: fault.map(about),
            correlation_id: text(&answer.headers, "x-skltp-correlation-id"),
            tls: answer.version.map(version),
            server: answer.certificate.as_deref().and_then(server),
            milliseconds: Milliseconds::of(&answer.times),
            body: with_body.then(|| String::from_utf8_lossy(&answer.body).into_owned()),
            expected,
            came,
            as_expected,
        }
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or_none = |text: Option<&String>| text.map_or_else(|| "none".to_owned(), |text| plain(text).into_owned());
        writeln!(
            f,
            "answer          HTTP {}, {}, {} bytes",
            self.status,
            or_none(self.content_type.as_ref()),
            self.bytes
        )?;
        if let Some(fault) = &self.fault {
            writeln!(f, "fault           {}", plain(&fault.text))?;
            if !fault.detail.trim().is_empty() {
                writeln!(f, "detail          {}", plain(fault.detail.trim()))?;
            }
        }
        writeln!(f, "correlation id  {}", or_none(self.correlation_id.as_ref()))?;
        if let Some(Server { subject, issuer, valid_until }) = &self.server {
            let version = self.tls.unwrap_or("TLS");
            writeln!(f, "server          {version}, {subject}, issued by {issuer}, valid until {valid_until}")?;
        }
        let Milliseconds { connect, tls, first_byte, total } = self.milliseconds;
        writeln!(
            f,
            "times           connect {connect:.1} ms, TLS {tls:.1} ms, first byte {first_byte:.1} ms, total {total:.1} ms"
        )?;
        if let Some(body) = &self.body {
            writeln!(f, "\n{body}\n")?;
        }
        match (self.as_expected, self.expected) {
            (true, _) => writeln!(f, "as expected     {}", self.came),
            (false, expected) => writeln!(f, "not as expected {} instead of {expected}", self.came),
        }
    }
}

impl Milliseconds {
    fn of(times: &Times) -> Self {
        // Whole microseconds: the rest is noise.
        let milliseconds = |time: Duration| time.as_micros() as f64 / 1e3;
        Self {
            connect: milliseconds(times.connect),
            tls: milliseconds(times.tls),
            first_byte: milliseconds(times.first_byte),
            total: milliseconds(times.total),
        }
    }
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    Some(String::from_utf8_lossy(headers.get(name)?.as_bytes()).into_owned())
}

fn version(version: ProtocolVersion) -> &'static str {
    match version {
        ProtocolVersion::TLSv1_3 => "TLS 1.3",
        ProtocolVersion::TLSv1_2 => "TLS 1.2",
        _ => "TLS",
    }
}

fn server(leaf: &[u8]) -> Option<Server> {
    let leaf = describe(leaf)?;
    let valid_until = Timestamp::from_second(leaf.not_after).unwrap_or(Timestamp::MAX).to_string();
    Some(Server { subject: leaf.subject, issuer: leaf.issuer, valid_until })
}

fn as_text<S: Serializer>(expected: &&Expected, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(expected)
}
