//! What request and response heads have in common: finding the end of the head in a buffer, refusing line ends and
//! folds that parsers disagree about, and keeping header fields as ranges of one buffer instead of many strings.

use bytes::Bytes;
use std::mem::MaybeUninit;
use std::ops::Range;
use thiserror::Error;

/// The most header fields that a head may have, whatever the configuration says.
pub(super) const MAX_FIELDS: usize = 256;

/// Why a head was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum HeadError {
    /// The head is longer than the limit, or has more fields (RFC 6585 §5).
    #[error("the request head is larger than this platform accepts")]
    TooLarge,
    /// The head breaks the grammar of RFC 9112; the text says where.
    #[error("{0}")]
    Malformed(&'static str),
    /// Neither HTTP/1.0 nor HTTP/1.1.
    #[error("only HTTP/1.0 and HTTP/1.1 are spoken here")]
    Version,
    /// An expectation other than `100-continue` (RFC 9110 §10.1.1).
    #[error("the only expectation met here is 100-continue")]
    Expectation,
}

impl HeadError {
    /// The status that tells a consumer (RFC 9110 §15.5, RFC 6585 §5).
    pub fn status(self) -> u16 {
        match self {
            Self::TooLarge => 431,
            Self::Malformed(_) => 400,
            Self::Version => 505,
            Self::Expectation => 417,
        }
    }
}

/// Room for the fields of any head; left uninitialised, since filling it in would cost more than parsing does.
pub(super) const fn field_slots<'a>() -> [MaybeUninit<httparse::Header<'a>>; MAX_FIELDS] {
    [const { MaybeUninit::uninit() }; MAX_FIELDS]
}

/// Header fields in the order in which they came, names and values as bytes.
#[derive(Debug, Clone, Default)]
pub struct Head {
    buffer: Bytes,
    fields: Vec<(Range<u32>, Range<u32>)>,
}

impl Head {
    /// Takes over parsed fields, which must be slices of `buffer`.
    pub(super) fn new(buffer: Bytes, fields: &[httparse::Header<'_>]) -> Self {
        let base = buffer.as_ptr() as usize;
        let range = |part: &[u8]| {
            let start = (part.as_ptr() as usize).wrapping_sub(base) as u32;
            start..start + part.len() as u32
        };
        let fields = fields.iter().map(|f| (range(f.name.as_bytes()), range(f.value))).collect();
        Self { buffer, fields }
    }

    /// All fields as (name as written, value) pairs. Names are tokens of ASCII (RFC 9110 §5.1).
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let part = |range: &Range<u32>| &self.buffer[range.start as usize..range.end as usize];
        self.fields.iter().map(move |(name, value)| (part(name), part(value)))
    }

    /// Bytes of the whole head.
    pub fn size(&self) -> usize {
        self.buffer.len()
    }

    /// Every value of the field `name` (compared without regard to case).
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.iter().filter(move |(n, _)| n.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value)| value)
    }

    /// The first value of the field `name`.
    pub fn first(&self, name: &str) -> Option<&[u8]> {
        self.iter().find(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value)| value)
    }

    /// Whether the comma-separated lists in the fields `name` hold `token` (RFC 9110 §5.6.1).
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.all(name).any(|value| tokens(value).any(|t| t.eq_ignore_ascii_case(token.as_bytes())))
    }
}

/// The trimmed elements of a comma-separated field value.
pub(crate) fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|b| *b == b',').map(<[u8]>::trim_ascii).filter(|t| !t.is_empty())
}

/// The length of the head at the start of `input`, through its empty line; `None` if it has not all come yet.
///
/// # Errors
/// [`HeadError::TooLarge`] over `limit` bytes; [`HeadError::Malformed`] for a bare LF, a bare CR or a folded line.
pub(super) fn find_end(input: &[u8], limit: usize) -> Result<Option<usize>, HeadError> {
    for end in memchr::memchr_iter(b'\n', input) {
        if end == 0 || input[end - 1] != b'\r' {
            return Err(HeadError::Malformed("a line of the head ends without CR LF"));
        }
        if end + 1 > limit {
            return Err(HeadError::TooLarge);
        }
        if end >= 3 && input[end - 3..end - 1] == *b"\r\n" {
            let head = &input[..end + 1];
            let bare_cr = memchr::memchr_iter(b'\r', head).any(|i| head.get(i + 1) != Some(&b'\n'));
            return if bare_cr {
                Err(HeadError::Malformed("a carriage return stands alone in the head"))
            } else {
                Ok(Some(end + 1))
            };
        }
        if matches!(input.get(end + 1), Some(b' ' | b'\t')) {
            return Err(HeadError::Malformed("a header field is folded over several lines"));
        }
    }
    if input.len() > limit { Err(HeadError::TooLarge) } else { Ok(None) }
}

/// How many bytes of empty lines stand before a request line; RFC 9112 §2.2 asks servers to skip one.
pub(super) fn leading_empty_line(input: &[u8]) -> usize {
    if input.starts_with(b"\r\n") { 2 } else { 0 }
}

impl From<httparse::Error> for HeadError {
    fn from(error: httparse::Error) -> Self {
        match error {
            httparse::Error::TooManyHeaders => Self::TooLarge,
            httparse::Error::Version => Self::Version,
            httparse::Error::HeaderName => Self::Malformed("a header field name is not a token"),
            httparse::Error::HeaderValue => Self::Malformed("a header field value has a control character"),
            httparse::Error::Status => Self::Malformed("the status line is malformed"),
            httparse::Error::Token | httparse::Error::NewLine => Self::Malformed("the start line is malformed"),
        }
    }
}

/// The length that the `Content-Length` and `Transfer-Encoding` fields announce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Announced {
    Nothing,
    Length(u64),
    Chunked,
}

/// Reads the framing fields as strictly as RFC 9112 §6.3 allows: one plain number or exactly `chunked`, never both.
pub(super) fn announced(head: &Head, http10: bool) -> Result<Announced, HeadError> {
    let mut found = Announced::Nothing;
    for (name, value) in head.iter() {
        let this = if name.eq_ignore_ascii_case(b"content-length") {
            Announced::Length(decimal(value)?)
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if http10 || !value.trim_ascii().eq_ignore_ascii_case(b"chunked") {
                return Err(HeadError::Malformed("the only transfer coding accepted is one chunked, in HTTP/1.1"));
            }
            Announced::Chunked
        } else {
            continue;
        };
        if found != Announced::Nothing {
            return Err(HeadError::Malformed("the length of the message is given more than once"));
        }
        found = this;
    }
    Ok(found)
}

fn decimal(value: &[u8]) -> Result<u64, HeadError> {
    let digits = !value.is_empty() && value.len() <= 19 && value.iter().all(u8::is_ascii_digit);
    let number = digits.then(|| value.iter().fold(0u64, |n, d| n * 10 + u64::from(d - b'0')));
    number.ok_or(HeadError::Malformed("Content-Length is not a plain decimal number"))
}
