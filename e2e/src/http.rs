//! HTTP/1.1 messages as they stand on the wire, read strictly: what a lenient reader would forgive is exactly what the
//! suite must notice. Nothing is normalised; header names keep their spelling and headers their order.

use crate::wire::{Broken, Wire};

const MAX_HEAD: usize = 1024 * 1024;
const MAX_BODY: usize = 128 * 1024 * 1024;

/// A start line and the headers under it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Head {
    /// The request line or status line, without its line end.
    pub start_line: String,
    /// Names and values as sent; bytes beyond ASCII as ISO-8859-1 characters.
    pub headers: Vec<(String, String)>,
}

impl Head {
    /// The values of the header `name`, in order; names compare without regard to case.
    pub fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The first value of the header `name`.
    pub fn value<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.values(name).next()
    }

    fn lists(&self, name: &str, token: &str) -> bool {
        self.values(name).flat_map(|value| value.split(',')).any(|part| part.trim().eq_ignore_ascii_case(token))
    }

    /// Whether the message says that its connection closes after it.
    pub fn says_close(&self) -> bool {
        self.lists("connection", "close")
    }
}

/// Where the body ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Framing {
    /// There is none.
    #[default]
    Nothing,
    /// After this many bytes.
    Length(usize),
    /// After the last chunk.
    Chunked,
    /// Where the connection ends.
    UntilClose,
}

/// A whole message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// Start line and headers.
    pub head: Head,
    /// The body, without chunk framing.
    pub body: Vec<u8>,
    /// How the body was framed.
    pub framing: Framing,
    /// Headers after the last chunk.
    pub trailers: Vec<(String, String)>,
}

/// A wire with the bytes that were read too far.
pub struct Reader {
    /// The socket.
    pub wire: Wire,
    buffer: Vec<u8>,
}

impl Reader {
    /// Reads messages from `wire`.
    pub fn new(wire: Wire) -> Self {
        Self { wire, buffer: Vec::new() }
    }

    /// How many bytes have been read and not yet been part of a message.
    pub fn left_over(&self) -> usize {
        self.buffer.len()
    }

    /// Reads a start line and headers. `Closed` when the peer closes before the first byte.
    pub fn head(&mut self) -> Result<Head, Broken> {
        let end = loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                break at;
            }
            if self.buffer.len() > MAX_HEAD {
                return Err(Broken::Malformed("a head of more than 1 MiB".to_owned()));
            }
            let begun = !self.buffer.is_empty();
            self.more("in the head", begun)?;
        };
        let bytes: Vec<u8> = self.buffer.drain(..end + 4).collect();
        parse_head(&bytes[..end])
    }

    /// Makes `head` the next thing to be read, again.
    pub fn put_back(&mut self, head: &Head) {
        let mut text = format!("{}\r\n", head.start_line);
        for (name, value) in &head.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        let bytes = text.chars().map(|c| u8::try_from(c).unwrap_or(b'?'));
        self.buffer.splice(..0, bytes);
    }

    /// Reads the body that `framing` promises into `body`, which keeps what came before a break; gives the trailers.
    pub fn body_into(&mut self, framing: Framing, body: &mut Vec<u8>) -> Result<Vec<(String, String)>, Broken> {
        match framing {
            Framing::Nothing => Ok(Vec::new()),
            Framing::Length(length) => self.exactly(length, body).map(|()| Vec::new()),
            Framing::Chunked => self.chunks(body),
            Framing::UntilClose => loop {
                body.append(&mut self.buffer);
                match self.wire.receive(&mut self.buffer) {
                    Ok(()) if body.len() <= MAX_BODY => {}
                    Ok(()) => return Err(Broken::Malformed("a body of more than 128 MiB".to_owned())),
                    Err(Broken::Closed) => return Ok(Vec::new()),
                    Err(broken) => return Err(broken),
                }
            },
        }
    }

    /// Waits at most `limit` for further bytes, which are kept for the next message.
    pub fn listen(&mut self, limit: std::time::Duration) -> Result<(), Broken> {
        self.wire.patience(limit)?;
        self.wire.receive(&mut self.buffer)
    }

    fn more(&mut self, where_: &str, begun: bool) -> Result<(), Broken> {
        match self.wire.receive(&mut self.buffer) {
            Err(Broken::Closed | Broken::Truncated(_)) if begun => Err(Broken::Truncated(where_.to_owned())),
            other => other,
        }
    }

    fn exactly(&mut self, length: usize, body: &mut Vec<u8>) -> Result<(), Broken> {
        let mut missing = length;
        loop {
            let take = missing.min(self.buffer.len());
            body.extend(self.buffer.drain(..take));
            missing -= take;
            if missing == 0 {
                return Ok(());
            }
            self.more("in the body", true)?;
        }
    }

    fn line(&mut self) -> Result<String, Broken> {
        loop {
            if let Some(at) = find(&self.buffer, b"\r\n") {
                let line: Vec<u8> = self.buffer.drain(..at + 2).collect();
                return Ok(latin1(&line[..at]));
            }
            self.more("in a chunk", true)?;
        }
    }

    fn chunks(&mut self, body: &mut Vec<u8>) -> Result<Vec<(String, String)>, Broken> {
        loop {
            let line = self.line()?;
            let digits = line.split(';').next().unwrap_or_default();
            let valid = !digits.is_empty() && digits.len() <= 8 && digits.bytes().all(|b| b.is_ascii_hexdigit());
            let size = valid.then(|| usize::from_str_radix(digits, 16).ok()).flatten();
            let size = size.ok_or_else(|| Broken::Malformed(format!("chunk size {line:?}")))?;
            if size == 0 {
                return self.trailers();
            }
            self.exactly(size, body)?;
            let end = self.line()?;
            if !end.is_empty() {
                return Err(Broken::Malformed(format!("{end:?} where a chunk ends")));
            }
        }
    }

    fn trailers(&mut self) -> Result<Vec<(String, String)>, Broken> {
        let mut trailers = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(trailers);
            }
            trailers.push(header(&line)?);
        }
    }
}

fn parse_head(bytes: &[u8]) -> Result<Head, Broken> {
    let text = latin1(bytes);
    let mut lines = text.split("\r\n");
    let start_line = lines.next().unwrap_or_default().to_owned();
    let headers = lines.map(header).collect::<Result<_, _>>()?;
    Ok(Head { start_line, headers })
}

fn header(line: &str) -> Result<(String, String), Broken> {
    let malformed = || Broken::Malformed(format!("header line {line:?}"));
    let (name, value) = line.split_once(':').ok_or_else(malformed)?;
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if name.is_empty() || !name.bytes().all(token) || value.contains(['\r', '\n', '\0']) {
        return Err(malformed());
    }
    Ok((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()))
}

/// Bytes as ISO-8859-1 characters: nothing is lost and ASCII reads as itself.
pub fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

/// The first position of `needle`.
pub fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes.windows(needle.len()).position(|window| window == needle)
}

/// The framing that a head declares; `request` or answer decides what no declaration means. A head that says two things
/// is malformed (RFC 9112 §6.1-6.3).
pub fn framing(head: &Head, request: bool) -> Result<Framing, Broken> {
    let lengths: Vec<&str> = head.values("content-length").collect();
    let codings: Vec<&str> = head.values("transfer-encoding").collect();
    match (lengths.as_slice(), codings.as_slice()) {
        ([], []) if request => Ok(Framing::Nothing),
        ([], []) => Ok(Framing::UntilClose),
        ([length], []) if !length.is_empty() && length.bytes().all(|b| b.is_ascii_digit()) => {
            let length = length.parse().map_err(|_| Broken::Malformed(format!("Content-Length {length}")))?;
            Ok(Framing::Length(length))
        }
        ([], [coding]) if coding.eq_ignore_ascii_case("chunked") => Ok(Framing::Chunked),
        _ => Err(Broken::Malformed(format!("Content-Length {lengths:?} with Transfer-Encoding {codings:?}"))),
    }
}
