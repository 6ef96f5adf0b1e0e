//! One end of a connection, as bytes, without a thread of its own: there are thousands of them here. It reads messages as
//! strictly as the rest of the suite, and only such as have a Content-Length, which is all that these tests send.

use std::io::{self, ErrorKind};

use rivmesh_e2e::http::{Framing, Head, framing};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Any stream.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Stream for T {}

/// A connection with what has been read and not been used.
pub(crate) struct Peer {
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
}

/// Most bytes that one read takes.
const PORTION: usize = 32 * 1024;

impl Peer {
    pub(crate) fn new(stream: impl Stream + 'static) -> Self {
        Self { stream: Box::new(stream), buffer: Vec::new() }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// The next head; `None` if the other end closed before its first byte.
    pub(crate) async fn head(&mut self) -> io::Result<Option<Head>> {
        loop {
            if let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                let head: Vec<u8> = self.buffer.drain(..end + 4).collect();
                return parse(&head[..end]).map(Some);
            }
            let begun = !self.buffer.is_empty();
            match self.more().await {
                Err(error) if error.kind() == ErrorKind::UnexpectedEof && !begun => return Ok(None),
                other => other?,
            }
        }
    }

    /// The body that `head` announces.
    pub(crate) async fn body(&mut self, head: &Head, of_request: bool) -> io::Result<Vec<u8>> {
        let length = match framing(head, of_request) {
            Ok(Framing::Length(length)) => length,
            Ok(Framing::Nothing) => 0,
            other => return Err(io::Error::new(ErrorKind::InvalidData, format!("{other:?}: {head:?}"))),
        };
        while self.buffer.len() < length {
            self.more().await?;
        }
        Ok(self.buffer.drain(..length).collect())
    }

    /// Takes `length` bytes in portions and shows each to `look`.
    pub(crate) async fn take(&mut self, length: usize, mut look: impl FnMut(&[u8])) -> io::Result<()> {
        let mut left = length;
        while left > 0 {
            if self.buffer.is_empty() {
                self.more().await?;
            }
            let here = self.buffer.len().min(left);
            look(&self.buffer[..here]);
            self.buffer.drain(..here);
            left -= here;
        }
        Ok(())
    }

    /// Reads until the other end closes, in whatever way; gives what it sent.
    pub(crate) async fn rest(mut self) -> Vec<u8> {
        while self.more().await.is_ok() {}
        self.buffer
    }

    async fn more(&mut self) -> io::Result<()> {
        let before = self.buffer.len();
        self.buffer.resize(before + PORTION, 0);
        let read = self.stream.read(&mut self.buffer[before..]).await;
        self.buffer.truncate(before + *read.as_ref().unwrap_or(&0));
        match read? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

fn parse(head: &[u8]) -> io::Result<Head> {
    let malformed = |what: &str| io::Error::new(ErrorKind::InvalidData, format!("header line {what:?}"));
    let text = String::from_utf8_lossy(head);
    let mut lines = text.split("\r\n");
    let start_line = lines.next().unwrap_or_default().to_owned();
    let field = |line: &str| {
        let (name, value) = line.split_once(':').ok_or_else(|| malformed(line))?;
        Ok((name.to_owned(), value.trim().to_owned()))
    };
    Ok(Head { start_line, headers: lines.map(field).collect::<io::Result<_>>()? })
}
