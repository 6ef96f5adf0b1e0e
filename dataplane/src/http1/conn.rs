//! A connection with its two buffers. Reads go into `input`, writes come from `output`, and both are polled by hand, so
//! that one task can move bytes both ways without splitting the stream or locking it.

use bytes::{Buf, BytesMut};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;
use tokio_util::io::poll_read_buf;

/// Bytes that a connection's buffer grows by at first; most messages fit.
const FIRST_READ: usize = 8 * 1024;
/// Bytes that it grows by while a large body passes.
const LARGE_READ: usize = 32 * 1024;
/// Above this many unsent bytes no more content is taken in: the reader is slower than the writer.
pub const HIGH_WATER: usize = 32 * 1024;

/// A byte stream to a peer, plain or TLS.
#[derive(Debug)]
pub enum Transport {
    /// Plain TCP, on internal listeners and to internal producers only.
    Plain(TcpStream),
    /// TLS, either side.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Transport {
    /// The TLS session, where we are the server of one.
    pub fn session(&self) -> Option<&rustls::ServerConnection> {
        match self {
            Self::Tls(tls) => match tls.as_ref() {
                TlsStream::Server(stream) => Some(stream.get_ref().1),
                TlsStream::Client(_) => None,
            },
            Self::Plain(_) => None,
        }
    }
}

/// A transport with what was read and not yet used, and what was produced and not yet written.
#[derive(Debug)]
pub struct Conn {
    transport: Transport,
    /// Bytes read from the peer and not yet used.
    pub input: BytesMut,
    /// Bytes for the peer that are not yet written.
    pub output: BytesMut,
    needs_flush: bool,
    large: bool,
    cut_off: bool,
}

impl Conn {
    /// A connection with empty buffers, which take no memory until they are used.
    pub fn new(transport: Transport) -> Self {
        let (input, output) = (BytesMut::new(), BytesMut::new());
        Self { transport, input, output, needs_flush: false, large: false, cut_off: false }
    }

    /// The stream below.
    pub fn transport(&self) -> &Transport {
        &self.transport
    }

    /// Reads once into `input`; `Ready(Ok(0))` is the end of the peer's side.
    pub fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let want = if self.large { LARGE_READ } else { FIRST_READ };
        if self.input.capacity() - self.input.len() < want / 2 {
            self.input.reserve(want);
        }
        let result = match &mut self.transport {
            Transport::Plain(tcp) => poll_read_buf(Pin::new(tcp), cx, &mut self.input),
            Transport::Tls(tls) => poll_read_buf(Pin::new(tls), cx, &mut self.input),
        };
        match result {
            Poll::Ready(Ok(filled)) => {
                self.large |= filled >= want / 2;
                Poll::Ready(Ok(filled))
            }
            // A peer that closes TCP without close_notify ends its side all the same; framing tells whether too early.
            Poll::Ready(Err(e)) if e.kind() == io::ErrorKind::UnexpectedEof => {
                self.cut_off = true;
                Poll::Ready(Ok(0))
            }
            other => other,
        }
    }

    /// Whether the end of the peer's side may be taken for the end of a message: under TLS only the peer itself can say
    /// close_notify, while anybody on the way can close TCP (RFC 9112 §9.8).
    pub fn ended_in_order(&self) -> bool {
        !self.cut_off
    }

    /// Writes all of `output` and flushes the transport.
    pub fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.output.is_empty() {
            let written = ready!(match &mut self.transport {
                Transport::Plain(tcp) => Pin::new(tcp).poll_write(cx, &self.output),
                Transport::Tls(tls) => Pin::new(tls).poll_write(cx, &self.output),
            })?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.output.advance(written);
            self.needs_flush = true;
        }
        if self.needs_flush {
            ready!(match &mut self.transport {
                Transport::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
                Transport::Tls(tls) => Pin::new(tls).poll_flush(cx),
            })?;
            self.needs_flush = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Says goodbye to the peer as far as it can be done: TLS close_notify, then the end of our side.
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.transport {
            Transport::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Transport::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }

    /// Has the connection break when it is dropped, so that nobody takes what was sent for whole: TCP ends with a reset. TLS
    /// lacks its close_notify then, which says the same.
    pub fn break_off(&self) {
        if let Transport::Plain(tcp) = &self.transport {
            // Where it cannot be set, the framing is all that tells.
            let _ = tcp.set_zero_linger();
        }
    }

    /// Whether everything produced has left.
    pub fn is_drained(&self) -> bool {
        self.output.is_empty() && !self.needs_flush
    }

    /// Gives back the memory of empty buffers; for connections that go idle.
    pub fn release_buffers(&mut self) {
        self.large = false;
        if self.input.is_empty() {
            self.input = BytesMut::new();
        }
        if self.output.is_empty() {
            self.output = BytesMut::new();
        }
    }
}
