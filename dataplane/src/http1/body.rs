//! Bodies as streams: a decoder takes the content out of a connection's input as it comes, an encoder puts content into
//! a connection's output. Neither ever holds a whole message.

use bytes::{Buf, BytesMut};
use thiserror::Error;

/// How a body is delimited (RFC 9112 §6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// So many bytes.
    Length(u64),
    /// Chunked transfer coding.
    Chunked,
    /// Everything until the peer closes; responses only.
    UntilClose,
}

/// Why a body could not be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BodyError {
    /// The chunked coding is broken (RFC 9112 §7.1).
    #[error("the chunked coding of the body is malformed")]
    Chunked,
    /// The peer closed before the announced end.
    #[error("the connection ended before the body did")]
    Truncated,
}

/// Longest chunk-size line, extensions included, in bytes.
const MAX_CHUNK_LINE: usize = 256;
/// Most bytes of trailer fields; they are read and dropped (RFC 9110 §6.5.1 lets an intermediary do so).
const MAX_TRAILERS: usize = 8 * 1024;

/// Takes content out of framed bytes.
#[derive(Debug)]
pub struct Decoder {
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Length(u64),
    ChunkSize,
    ChunkData(u64),
    ChunkEnd,
    /// With so many bytes of them still allowed.
    Trailers(usize),
    UntilClose,
    Done,
}

impl Decoder {
    /// A decoder at the start of a body.
    pub fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::Length(0) => State::Done,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::ChunkSize,
            Framing::UntilClose => State::UntilClose,
        };
        Self { state }
    }

    /// Whether the whole body has been taken.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// How many bytes are known to be left; `None` for the other framings.
    pub fn remaining(&self) -> Option<u64> {
        match self.state {
            State::Length(left) => Some(left),
            State::Done => Some(0),
            _ => None,
        }
    }

    /// The next piece of content at the front of `input`, at most `max` bytes; empty when more input is needed or the
    /// body is done. The caller takes it with [`Decoder::consume`].
    ///
    /// # Errors
    /// [`BodyError::Chunked`] for a broken coding.
    pub fn peek<'a>(&mut self, input: &'a mut BytesMut, max: usize) -> Result<&'a [u8], BodyError> {
        loop {
            match self.state {
                State::Done => return Ok(&[]),
                State::UntilClose => return Ok(&input[..input.len().min(max)]),
                State::Length(left) | State::ChunkData(left) => {
                    let here = input.len().min(max).min(usize::try_from(left).unwrap_or(usize::MAX));
                    return Ok(&input[..here]);
                }
                State::ChunkSize => match line(input, MAX_CHUNK_LINE)? {
                    None => return Ok(&[]),
                    Some(end) => {
                        let size = chunk_size(&input[..end])?;
                        input.advance(end + 2);
                        self.state = if size == 0 { State::Trailers(MAX_TRAILERS) } else { State::ChunkData(size) };
                    }
                },
                State::ChunkEnd => {
                    if input.len() < 2 {
                        return if input.is_empty() || input[0] == b'\r' { Ok(&[]) } else { Err(BodyError::Chunked) };
                    }
                    if !input.starts_with(b"\r\n") {
                        return Err(BodyError::Chunked);
                    }
                    input.advance(2);
                    self.state = State::ChunkSize;
                }
                State::Trailers(left) => match line(input, left)? {
                    None => return Ok(&[]),
                    Some(0) => {
                        input.advance(2);
                        self.state = State::Done;
                    }
                    Some(end) => {
                        let left = left.checked_sub(end + 2).filter(|_| is_field(&input[..end]));
                        self.state = State::Trailers(left.ok_or(BodyError::Chunked)?);
                        input.advance(end + 2);
                    }
                },
            }
        }
    }

    /// Takes `taken` bytes of what [`Decoder::peek`] showed.
    pub fn consume(&mut self, input: &mut BytesMut, taken: usize) {
        input.advance(taken);
        self.count(taken);
    }

    /// Takes all that [`Decoder::peek`] showed where that is the whole of `input`, with the buffer that it is in; the empty
    /// `other` is left for the next input.
    pub fn take_whole(&mut self, input: &mut BytesMut, other: &mut BytesMut) {
        std::mem::swap(input, other);
        self.count(other.len());
    }

    fn count(&mut self, taken: usize) {
        let taken = taken as u64;
        self.state = match self.state {
            State::Length(left) if left == taken => State::Done,
            State::Length(left) => State::Length(left - taken),
            State::ChunkData(left) if left == taken => State::ChunkEnd,
            State::ChunkData(left) => State::ChunkData(left - taken),
            other => other,
        };
    }

    /// Tells the decoder that the peer closed its side, and whether it did so in order.
    ///
    /// # Errors
    /// [`BodyError::Truncated`] unless that is how this body ends.
    pub fn end_of_input(&mut self, in_order: bool) -> Result<(), BodyError> {
        match self.state {
            State::Done => Ok(()),
            State::UntilClose if in_order => {
                self.state = State::Done;
                Ok(())
            }
            _ => Err(BodyError::Truncated),
        }
    }
}

/// The length of the line at the front of `input`, without its CR LF.
fn line(input: &[u8], limit: usize) -> Result<Option<usize>, BodyError> {
    match memchr::memchr(b'\n', &input[..input.len().min(limit + 2)]) {
        Some(end) if end > 0 && input[end - 1] == b'\r' => Ok(Some(end - 1)),
        Some(_) => Err(BodyError::Chunked),
        None if input.len() >= limit + 2 => Err(BodyError::Chunked),
        None => Ok(None),
    }
}

fn chunk_size(line: &[u8]) -> Result<u64, BodyError> {
    let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
    let after = line[digits..].iter().find(|b| !matches!(b, b' ' | b'\t'));
    let extension_ok = after.is_none_or(|b| *b == b';');
    if digits == 0 || digits > 15 || !extension_ok || memchr::memchr(b'\r', line).is_some() {
        return Err(BodyError::Chunked);
    }
    let text = std::str::from_utf8(&line[..digits]).map_err(|_| BodyError::Chunked)?;
    u64::from_str_radix(text, 16).map_err(|_| BodyError::Chunked)
}

/// Whether a line of the trailers is a field (RFC 9112 §5); it is dropped, and a line that is none means that the sender
/// and we do not agree about where we are.
fn is_field(line: &[u8]) -> bool {
    let mut slot = [httparse::EMPTY_HEADER];
    let field = [line, b"\r\n\r\n"].concat();
    matches!(httparse::parse_headers(&field, &mut slot), Ok(httparse::Status::Complete((_, [_]))))
}

/// Puts content into framed bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoder {
    /// The head carries the length, or the end of the connection is the end of the body.
    Plain,
    /// Chunked transfer coding.
    Chunked,
}

impl Encoder {
    /// Appends one piece of content to `output`.
    pub fn append(self, output: &mut BytesMut, content: &[u8]) {
        if content.is_empty() {
            return;
        }
        match self {
            Self::Plain => output.extend_from_slice(content),
            Self::Chunked => {
                output.extend_from_slice(format!("{:x}\r\n", content.len()).as_bytes());
                output.extend_from_slice(content);
                output.extend_from_slice(b"\r\n");
            }
        }
    }

    /// Appends what ends a body.
    pub fn finish(self, output: &mut BytesMut) {
        if self == Self::Chunked {
            output.extend_from_slice(b"0\r\n\r\n");
        }
    }
}
