//! One socket, plain or under TLS, for either side. It tells apart the ways in which a peer can stop: a clean close, a
//! broken one, a reset, an alert, silence. Those differences are what many rules are about.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use rustls::{ClientConnection, ServerConnection, StreamOwned};

/// Why nothing more can be read or written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Broken {
    /// The peer closed in an orderly way.
    Closed,
    /// The peer's bytes ended where they should not: inside a message, or without TLS's close_notify.
    Truncated(String),
    /// The peer reset the connection.
    Reset,
    /// The peer sent this TLS alert.
    Alert(String),
    /// Nothing came in time.
    Silent,
    /// What came is not what the protocol allows.
    Malformed(String),
}

impl std::fmt::Display for Broken {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Closed => write!(out, "the peer closed the connection"),
            Self::Truncated(where_) => write!(out, "the connection broke off {where_}"),
            Self::Reset => write!(out, "the peer reset the connection"),
            Self::Alert(name) => write!(out, "the peer sent the TLS alert {name}"),
            Self::Silent => write!(out, "nothing came in time"),
            Self::Malformed(why) => write!(out, "malformed: {why}"),
        }
    }
}

impl std::error::Error for Broken {}

impl From<std::io::Error> for Broken {
    fn from(error: std::io::Error) -> Self {
        let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match (tls, error.kind()) {
            (Some(rustls::Error::AlertReceived(alert)), _) => Self::Alert(format!("{alert:?}")),
            (Some(other), _) => Self::Malformed(other.to_string()),
            (None, ErrorKind::WouldBlock | ErrorKind::TimedOut) => Self::Silent,
            (None, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted) => Self::Reset,
            (None, ErrorKind::UnexpectedEof) => Self::Truncated("without a TLS close_notify".to_owned()),
            (None, _) => Self::Malformed(error.to_string()),
        }
    }
}

/// A connected socket.
pub enum Wire {
    /// Without TLS.
    Plain(TcpStream),
    /// We are the TLS client.
    Client(Box<StreamOwned<ClientConnection, TcpStream>>),
    /// We are the TLS server.
    Server(Box<StreamOwned<ServerConnection, TcpStream>>),
}

impl Wire {
    /// The TCP socket underneath.
    pub fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(socket) => socket,
            Self::Client(stream) => &stream.sock,
            Self::Server(stream) => &stream.sock,
        }
    }

    /// Waits at most this long in every later read.
    pub fn patience(&self, limit: Duration) -> Result<(), Broken> {
        Ok(self.socket().set_read_timeout(Some(limit))?)
    }

    /// Writes all of `bytes`.
    pub fn send(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        let writer: &mut dyn Write = match self {
            Self::Plain(socket) => socket,
            Self::Client(stream) => stream.as_mut(),
            Self::Server(stream) => stream.as_mut(),
        };
        writer.write_all(bytes)?;
        Ok(writer.flush()?)
    }

    /// Reads what there is, at least one byte; `Closed` at an orderly end.
    pub fn receive(&mut self, buffer: &mut Vec<u8>) -> Result<(), Broken> {
        let reader: &mut dyn Read = match self {
            Self::Plain(socket) => socket,
            Self::Client(stream) => stream.as_mut(),
            Self::Server(stream) => stream.as_mut(),
        };
        let mut chunk = [0; 16 * 1024];
        loop {
            match reader.read(&mut chunk) {
                Ok(0) => return Err(Broken::Closed),
                Ok(count) => {
                    buffer.extend_from_slice(&chunk[..count]);
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Sends close_notify (under TLS) and ends our direction; the peer can still send.
    pub fn finish_sending(&mut self) {
        self.close_notify();
        // The peer may be gone already, which is as finished as it gets.
        let _ = self.socket().shutdown(Shutdown::Write);
    }

    /// Closes both directions in an orderly way.
    pub fn close(mut self) {
        self.close_notify();
        let _ = self.socket().shutdown(Shutdown::Both);
    }

    /// Closes with a TCP reset, and without a word of TLS.
    pub fn reset(self) {
        // Closing a socket that lingers for zero seconds is what makes the kernel send RST.
        let _ = socket2::SockRef::from(self.socket()).set_linger(Some(Duration::ZERO));
    }

    fn close_notify(&mut self) {
        // As above: a peer that is gone needs no farewell.
        let _ = match self {
            Self::Plain(_) => Ok(()),
            Self::Client(stream) => {
                stream.conn.send_close_notify();
                stream.flush()
            }
            Self::Server(stream) => {
                stream.conn.send_close_notify();
                stream.flush()
            }
        };
    }
}
