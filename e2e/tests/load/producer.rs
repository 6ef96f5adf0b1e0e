//! Producers that hold thousands of calls at once. What one does with a call is a function.

use std::io;
use std::path::Path;
use std::rc::Rc;

use rivmesh_e2e::http::Head;
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::spawn_local;
use tokio_rustls::TlsAcceptor;

use crate::peer::Peer;
use crate::sealed;

/// A bound port on which nobody serves yet.
pub(crate) struct Port(TcpListener);

impl Port {
    /// A free port of 127.0.0.1.
    pub(crate) fn bind() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        Self(socket.listen(4096).unwrap())
    }

    /// What routes call it, with `path` behind.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.0.local_addr().unwrap())
    }

    /// Serves every call by `handle`, until the test ends.
    pub(crate) fn serve<H, F>(self, pki: &Path, handle: H)
    where
        H: Fn(Peer, Head) -> F + 'static,
        F: Future<Output = io::Result<Peer>> + 'static,
    {
        let acceptor = TlsAcceptor::from(sealed::producer(pki));
        let handle = Rc::new(handle);
        spawn_local(async move {
            while let Ok((socket, _)) = self.0.accept().await {
                let (acceptor, handle) = (acceptor.clone(), handle.clone());
                spawn_local(async move {
                    socket.set_nodelay(true)?;
                    let mut peer = Peer::new(acceptor.accept(socket).await?);
                    while let Some(head) = peer.head().await? {
                        peer = handle(peer, head).await?;
                    }
                    io::Result::Ok(())
                });
            }
        });
    }
}
