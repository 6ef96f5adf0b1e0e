//! Accept loops, one per listener. They only accept and hand over: everything that costs time happens on the workers.

use crate::control::{Phase, Shared};
use crate::worker::{Accepted, Handle};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket};

/// Connections that the kernel holds for us between two accepts.
const BACKLOG: u32 = 4096;
/// Pause after an error of `accept`, which is mostly a lack of file descriptors that others have to give back.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(50);

/// Binds a listener.
///
/// # Errors
/// What the system says, when the address is taken or not ours.
pub(crate) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Accepts until the process is closing, and gives each connection to the worker that has the fewest.
pub(crate) async fn accept(listener: TcpListener, name: Arc<str>, workers: Arc<[Handle]>, shared: Arc<Shared>) {
    let mut signal = shared.signal.clone();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            closing = signal.wait_for(|s| s.phase == Phase::Closing) => {
                drop(closing);
                return;
            }
        };
        let (tcp, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(e) => {
                tracing::warn!(listener = %name, error = %e, "no connection can be accepted just now");
                tokio::time::sleep(PAUSE_AFTER_ERROR).await;
                continue;
            }
        };
        let _ = tcp.set_nodelay(true);
        let Ok(tcp) = tcp.into_std() else { continue };
        if let Some(worker) = workers.iter().min_by_key(|w| w.open()) {
            worker.give(Accepted { tcp, peer, listener: name.clone() });
        }
    }
}
