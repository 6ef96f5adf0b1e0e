//! The way from a dataplane to an operator in the same process: memory, no port, no TLS. Standalone uses it, so that
//! one process speaks the protocol that many pods speak.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tokio_stream::Stream;

/// Bytes under way in each direction before the writer waits.
const BUFFER: usize = 256 << 10;

/// The dataplane's end: opens connections.
#[derive(Debug, Clone)]
pub struct Pipe {
    to_listener: mpsc::Sender<DuplexStream>,
}

/// The operator's end: a stream of accepted connections, for [`super::serve`].
#[derive(Debug)]
pub struct PipeListener {
    accepted: mpsc::Receiver<DuplexStream>,
}

/// A new pipe.
pub fn pipe() -> (Pipe, PipeListener) {
    let (to_listener, accepted) = mpsc::channel(4);
    (Pipe { to_listener }, PipeListener { accepted })
}

impl Pipe {
    /// A connection to the listener.
    ///
    /// # Errors
    /// When the listener is gone.
    pub(crate) async fn open(&self) -> io::Result<DuplexStream> {
        let (ours, theirs) = tokio::io::duplex(BUFFER);
        let sent = self.to_listener.send(theirs).await;
        sent.map_err(|_| {
            io::Error::new(io::ErrorKind::ConnectionRefused, "the control plane of this process has stopped")
        })?;
        Ok(ours)
    }
}

impl Stream for PipeListener {
    type Item = io::Result<DuplexStream>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.accepted.poll_recv(context).map(|accepted| accepted.map(Ok))
    }
}
