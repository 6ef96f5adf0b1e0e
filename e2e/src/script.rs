//! What a scripted producer does, as a case writes it. Every way in which a real producer misbehaves is one field here.

use serde::Deserialize;

use crate::content::{ANSWER, Content};

/// How a connection ends or does not.
#[derive(Debug, Clone, Copy, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Then {
    /// The connection stays open for the next request.
    #[default]
    Keep,
    /// It is closed in an orderly way.
    Close,
    /// It is reset.
    Reset,
    /// TCP is closed without a word of TLS, as somebody on the way can do it.
    Cut,
    /// Nothing more is sent; the peer has to give up.
    Stall,
}

/// Where the body of the answer ends, and what its head says about it.
#[derive(Debug, Clone, Copy, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Frame {
    /// Content-Length, true.
    #[default]
    Length,
    /// Chunked.
    Chunked,
    /// Neither; the body ends with the connection.
    Close,
    /// Neither, and no body.
    Nothing,
    /// Content-Length, with this many bytes too many (or, negative, too few).
    Lie(i64),
}

/// When the producer begins to answer.
#[derive(Debug, Clone, Copy, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// When the whole request is there.
    #[default]
    RequestRead,
    /// When the head of the request is there. The body is read afterwards.
    HeadRead,
    /// When the head is there; the body is never read.
    HeadReadOnly,
}

/// Bytes in small portions.
#[derive(Debug, Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Trickle {
    /// Portion size.
    pub bytes: usize,
    /// Pause between portions, in milliseconds.
    pub every_ms: u64,
}

/// One answer. The default is 200 with a small SOAP answer on a connection that is kept.
#[derive(Debug, Clone, Deserialize, PartialEq, Eq)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Reason phrase.
    pub reason: String,
    /// `HTTP/1.1`, or what a strange producer says.
    pub version: String,
    /// Header lines besides the framing.
    pub headers: Vec<String>,
    /// The body.
    pub body: Content,
    /// Its framing.
    pub frame: Frame,
    /// Trailer lines after the last chunk.
    pub trailers: Vec<String>,
    /// Status codes of 1xx answers sent first.
    pub interim: Vec<u16>,
    /// When the answer begins.
    pub when: When,
    /// How long it waits then, in milliseconds.
    pub delay_ms: u64,
    /// Sent in portions.
    pub trickle: Option<Trickle>,
    /// Only this many bytes of the body are sent.
    pub cut: Option<usize>,
    /// Exact bytes instead of everything above.
    pub raw: Option<Content>,
    /// Nothing is answered; only `then` happens.
    pub silent: bool,
    /// What happens when the answer is sent.
    pub then: Then,
    /// The connection is kept, but closed as soon as the next request's first byte has arrived, unanswered: the race that
    /// every keep-alive pool runs into.
    pub close_on_next: bool,
}

impl Default for Answer {
    fn default() -> Self {
        Self {
            status: 200,
            reason: "OK".to_owned(),
            version: "HTTP/1.1".to_owned(),
            headers: vec!["Content-Type: text/xml; charset=UTF-8".to_owned()],
            body: Content::Text(ANSWER.to_owned()),
            frame: Frame::Length,
            trailers: Vec::new(),
            interim: Vec::new(),
            when: When::RequestRead,
            delay_ms: 0,
            trickle: None,
            cut: None,
            raw: None,
            silent: false,
            then: Then::Keep,
            close_on_next: false,
        }
    }
}

impl Answer {
    /// The bytes of the answer, up to where the script cuts it.
    pub fn bytes(&self) -> Vec<u8> {
        if let Some(raw) = &self.raw {
            return raw.bytes();
        }
        let mut bytes = Vec::new();
        for status in &self.interim {
            bytes.extend(format!("HTTP/1.1 {status} Interim\r\n\r\n").into_bytes());
        }
        let body = self.body.bytes();
        bytes.extend(format!("{} {} {}\r\n", self.version, self.status, self.reason).into_bytes());
        let framing = match self.frame {
            Frame::Length => Some(format!("Content-Length: {}", body.len())),
            Frame::Lie(by) => Some(format!("Content-Length: {}", body.len() as i64 + by)),
            Frame::Chunked => Some("Transfer-Encoding: chunked".to_owned()),
            Frame::Close | Frame::Nothing => None,
        };
        for line in self.headers.iter().chain(framing.as_ref()) {
            bytes.extend(line.as_bytes());
            bytes.extend(b"\r\n");
        }
        bytes.extend(b"\r\n");
        let body = &body[..self.cut.unwrap_or(body.len()).min(body.len())];
        match self.frame {
            Frame::Nothing => {}
            Frame::Chunked => bytes.extend(self.chunked(body)),
            _ => bytes.extend(body),
        }
        bytes
    }

    fn chunked(&self, body: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for chunk in body.chunks(1000) {
            bytes.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
            bytes.extend(chunk);
            bytes.extend(b"\r\n");
        }
        if self.cut.is_none() {
            bytes.extend(b"0\r\n");
            for line in &self.trailers {
                bytes.extend(line.as_bytes());
                bytes.extend(b"\r\n");
            }
            bytes.extend(b"\r\n");
        }
        bytes
    }
}

/// What a producer does from now on: one answer after the other, the last one again and again.
#[derive(Debug, Clone, Default, Deserialize, PartialEq, Eq)]
#[serde(untagged)]
pub enum Script {
    /// The default answer, always.
    #[default]
    Ordinary,
    /// Several answers in turn; the last repeats.
    InTurn(Vec<Answer>),
    /// One answer, always.
    Always(Box<Answer>),
}

impl Script {
    /// The answer to request number `index` (from 0) since the script was set.
    pub fn answer(&self, index: usize) -> Answer {
        match self {
            Self::Ordinary => Answer::default(),
            Self::Always(answer) => (**answer).clone(),
            Self::InTurn(answers) => {
                answers.get(index.min(answers.len().saturating_sub(1))).cloned().unwrap_or_default()
            }
        }
    }
}
