//! One request and its answer over HTTP/1.1 on one TLS connection; bodies are counted and thrown away.

use std::io::{Error, ErrorKind, Result};
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// An open connection.
#[derive(Debug)]
pub struct Connection {
    stream: TlsStream<TcpStream>,
    buffer: Vec<u8>,
    /// How much of the buffer holds bytes not yet used.
    filled: usize,
}

/// What came back.
#[derive(Clone, Copy, Debug)]
pub struct Reply {
    /// HTTP status code.
    pub status: u16,
    /// Bytes of the body without its framing.
    pub body: u64,
    /// Whether the connection ends here.
    pub close: bool,
}

enum Framing {
    Length(u64),
    Chunked,
    UntilClose,
}

impl Connection {
    /// Connects and shakes hands.
    pub async fn open(address: SocketAddr, name: ServerName<'static>, tls: &Arc<ClientConfig>) -> Result<Self> {
        let tcp = TcpStream::connect(address).await.map_err(|e| prefixed("connect", &e))?;
        tcp.set_nodelay(true)?;
        let stream = TlsConnector::from(Arc::clone(tls)).connect(name, tcp).await.map_err(|e| prefixed("tls", &e))?;
        Ok(Self { stream, buffer: vec![0; 64 * 1024], filled: 0 })
    }

    /// The session below, for what was negotiated.
    #[must_use]
    pub fn session(&self) -> &rustls::ClientConnection {
        self.stream.get_ref().1
    }

    /// Sends a whole request and reads its whole answer.
    pub async fn exchange(&mut self, request: &[u8]) -> Result<Reply> {
        let written = match self.stream.write_all(request).await {
            Ok(()) => self.stream.flush().await,
            error => error,
        };
        // A peer may answer and close before it has read everything: look for the answer anyway.
        match (written, self.reply().await) {
            (Err(error), Err(_)) => Err(error),
            (_, reply) => reply,
        }
    }

    async fn reply(&mut self) -> Result<Reply> {
        self.filled = 0;
        let (mut reply, framing) = loop {
            match parse_head(&self.buffer[..self.filled])? {
                None => self.fill().await?,
                Some((head, reply, framing)) => {
                    self.consume(head);
                    if reply.status != 100 {
                        break (reply, framing);
                    }
                }
            }
        };
        reply.body = match framing {
            Framing::Length(length) => {
                self.discard(length).await?;
                length
            }
            Framing::Chunked => self.chunks().await?,
            Framing::UntilClose => {
                reply.close = true;
                self.rest().await?
            }
        };
        Ok(reply)
    }

    /// Reads more behind what is there.
    async fn fill(&mut self) -> Result<()> {
        if self.filled == self.buffer.len() {
            return Err(invalid("the response's head is too large"));
        }
        let read = self.stream.read(&mut self.buffer[self.filled..]).await?;
        if read == 0 {
            return Err(Error::new(ErrorKind::UnexpectedEof, "closed by peer"));
        }
        self.filled += read;
        Ok(())
    }

    fn consume(&mut self, bytes: usize) {
        self.buffer.copy_within(bytes..self.filled, 0);
        self.filled -= bytes;
    }

    async fn discard(&mut self, length: u64) -> Result<()> {
        let buffered = length.min(self.filled as u64);
        self.consume(usize::try_from(buffered).expect("it is at most the buffer's length"));
        let mut left = length - buffered;
        while left > 0 {
            let most = self.buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let read = self.stream.read(&mut self.buffer[..most]).await?;
            if read == 0 {
                return Err(invalid("the response was cut short"));
            }
            left -= read as u64;
        }
        Ok(())
    }

    async fn chunks(&mut self) -> Result<u64> {
        let mut body = 0;
        loop {
            let end = loop {
                match memchr::memmem::find(&self.buffer[..self.filled], b"\r\n") {
                    Some(end) => break end,
                    None => self.fill().await?,
                }
            };
            let size = chunk_size(&self.buffer[..end]).ok_or_else(|| invalid("a bad chunk"))?;
            self.consume(end + 2);
            // The data and the line end behind it; after the last chunk, which has no trailers here, only that.
            self.discard(size + 2).await?;
            body += size;
            if size == 0 {
                return Ok(body);
            }
        }
    }

    async fn rest(&mut self) -> Result<u64> {
        let mut body = self.filled as u64;
        loop {
            match self.stream.read(&mut self.buffer).await? {
                0 => return Ok(body),
                read => body += read as u64,
            }
        }
    }
}

/// The size in a chunk's first line, without its extensions.
#[must_use]
pub fn chunk_size(line: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(line).ok()?;
    u64::from_str_radix(text.split(';').next()?.trim(), 16).ok()
}

fn parse_head(bytes: &[u8]) -> Result<Option<(usize, Reply, Framing)>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let head = match response.parse(bytes) {
        Ok(httparse::Status::Complete(head)) => head,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_) => return Err(invalid("a bad response head")),
    };
    let mut reply = Reply { status: response.code.unwrap_or(0), body: 0, close: response.version == Some(0) };
    let mut framing = Framing::UntilClose;
    for header in response.headers.iter() {
        let value = std::str::from_utf8(header.value).unwrap_or("").trim();
        if header.name.eq_ignore_ascii_case("content-length") {
            framing = Framing::Length(value.parse().map_err(|_| invalid("a bad Content-Length"))?);
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            framing = Framing::Chunked;
        } else if header.name.eq_ignore_ascii_case("connection") {
            reply.close |= value.eq_ignore_ascii_case("close");
        }
    }
    Ok(Some((head, reply, framing)))
}

fn invalid(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, what)
}

fn prefixed(what: &str, error: &Error) -> Error {
    Error::new(error.kind(), format!("{what}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_give_status_and_framing() {
        let text = b"HTTP/1.1 500 X\r\nContent-Length: 12\r\nConnection: close\r\n\r\nrest";
        let (head, reply, framing) = parse_head(text).unwrap().unwrap();
        assert_eq!((head, reply.status, reply.close), (text.len() - 4, 500, true));
        assert!(matches!(framing, Framing::Length(12)));
        let chunked = parse_head(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap().unwrap();
        assert!(matches!(chunked.2, Framing::Chunked));
        assert!(parse_head(b"HTTP/1.1 200 OK\r\nContent-Le").unwrap().is_none());
        assert!(parse_head(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n").is_err());
    }

    #[test]
    fn chunk_sizes_are_hexadecimal_with_extensions() {
        assert_eq!(chunk_size(b"1aF;name=value"), Some(0x1af));
        assert_eq!(chunk_size(b"x"), None);
    }
}
