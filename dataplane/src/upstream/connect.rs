//! Making a connection to an endpoint: name, TCP, TLS, each with a limit, and an error that says which of them failed.

use super::{Endpoint, Resolver};
use crate::http1::{Conn, Transport};
use crate::tls::ClientTls;
use rustls::HandshakeKind;
use rustls_pki_types::{ServerName, UnixTime};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// Why no connection could be made. No byte of a request has left when one of these comes.
#[derive(Debug, Error)]
pub(crate) enum ConnectError {
    #[error("the connection was not made within {0:?}")]
    TimedOut(Duration),
    #[error("no address of its host: {0}")]
    Lookup(Arc<io::Error>),
    #[error("no connection: {0}")]
    Tcp(io::Error),
    #[error("the TLS handshake failed: {0}")]
    Tls(io::Error),
    #[error("the certificate of the producer has expired")]
    Expired,
    #[error("the host name cannot be used for TLS")]
    Name,
}

/// Connects to `endpoint`, with `tls` unless it is plain; both together may take `limit`.
pub(crate) async fn connect(
    endpoint: &Endpoint,
    tls: Option<&ClientTls>,
    resolver: &Resolver,
    limit: Duration,
) -> Result<Conn, ConnectError> {
    timeout(limit, attempt(endpoint, tls, resolver)).await.unwrap_or(Err(ConnectError::TimedOut(limit)))
}

async fn attempt(endpoint: &Endpoint, tls: Option<&ClientTls>, resolver: &Resolver) -> Result<Conn, ConnectError> {
    let addresses = resolver.addresses(&endpoint.host, endpoint.port).await.map_err(ConnectError::Lookup)?;
    let tcp = TcpStream::connect(&*addresses).await.map_err(ConnectError::Tcp)?;
    tcp.set_nodelay(true).map_err(ConnectError::Tcp)?;
    let Some(tls) = tls else { return Ok(Conn::new(Transport::Plain(tcp))) };
    let name = match &tls.server_name {
        Some(name) => name.clone(),
        None => ServerName::try_from(endpoint.host.to_string()).map_err(|_| ConnectError::Name)?,
    };
    let stream = TlsConnector::from(tls.config.clone()).connect(name, tcp).await.map_err(ConnectError::Tls)?;
    let session = stream.get_ref().1;
    let resumed = session.handshake_kind() == Some(HandshakeKind::Resumed);
    // rustls verifies nothing on a resumed session, and the certificate may have expired since.
    if resumed && !tls.is_in_time(session.peer_certificates().unwrap_or_default(), UnixTime::now()) {
        return Err(ConnectError::Expired);
    }
    Ok(Conn::new(Transport::Tls(Box::new(stream.into()))))
}
