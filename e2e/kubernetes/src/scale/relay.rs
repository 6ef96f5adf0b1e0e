//! Stands between a dataplane and its operator, and counts the bytes that the operator sends: what a change costs the
//! network, TLS and all.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// A running relay. It ends, with all its connections, when dropped.
pub(super) struct Relay {
    address: SocketAddr,
    to: SocketAddr,
    sent: Arc<AtomicU64>,
    /// Ends what it owns.
    _tasks: JoinSet<()>,
}

impl Relay {
    /// Passes on everything to this address.
    pub(super) async fn start(to: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let (address, sent) = (listener.local_addr()?, Arc::default());
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, to, Arc::clone(&sent)));
        Ok(Self { address, to, sent, _tasks: tasks })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it passes things on to.
    pub(super) fn to(&self) -> SocketAddr {
        self.to
    }

    /// The bytes that came back so far.
    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

async fn accept(listener: TcpListener, to: SocketAddr, sent: Arc<AtomicU64>) {
    let mut connections = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        let sent = sent.clone();
        connections.spawn(async move {
            // An operator that is not there shows as a connection that closes.
            if let Ok(operator) = TcpStream::connect(to).await {
                pass(socket, operator, &sent).await;
            }
        });
    }
}

/// Ends when either side does.
async fn pass(dataplane: TcpStream, operator: TcpStream, sent: &AtomicU64) {
    // A relay that held small messages back would be what is measured.
    let _ = (dataplane.set_nodelay(true), operator.set_nodelay(true));
    let (mut questions, mut to_dataplane) = dataplane.into_split();
    let (mut answers, mut to_operator) = operator.into_split();
    let counted = async {
        let mut chunk = vec![0; 64 * 1024];
        while let Ok(length @ 1..) = answers.read(&mut chunk).await {
            sent.fetch_add(length as u64, Ordering::Relaxed);
            if to_dataplane.write_all(&chunk[..length]).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = counted => {}
        _ = copy(&mut questions, &mut to_operator) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_comes_back_is_counted_and_unchanged() {
        let echo = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let relay = Relay::start(echo.local_addr().unwrap()).await.unwrap();
        let mut client = TcpStream::connect(relay.address()).await.unwrap();
        client.write_all(b"hello").await.unwrap();
        let (mut server, _) = echo.accept().await.unwrap();
        let mut heard = [0; 5];
        server.read_exact(&mut heard).await.unwrap();
        assert_eq!((&heard, relay.sent()), (b"hello", 0));
        server.write_all(b"hello back").await.unwrap();
        drop(server);
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert_eq!((answer.as_str(), relay.sent()), ("hello back", 10));
    }
}
