//! A consumer of a platform: one call on a connection of its own, over mutual TLS, with a note of how long each part
//! took. Used by whatever makes calls: the demo and `rivmesh call`.

use std::cell::Cell;
use std::io;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::HeaderMap;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::ProtocolVersion;
use rustls::pki_types::{CertificateDer, ServerName};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_util::task::AbortOnDropHandle;

use crate::tls;

/// Most bytes of an answer that are read: what a platform lets through, unless it was told otherwise.
const MAX_ANSWER: usize = 50 << 20;

/// Where a call goes.
#[derive(Debug)]
pub(crate) struct Target<'a> {
    /// Host name or IP address.
    pub host: &'a str,
    pub port: u16,
    /// The name to ask for, and to find in the server's certificate.
    pub server_name: ServerName<'static>,
    pub tls: &'a tls::Client,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub times: Times,
    pub version: Option<ProtocolVersion>,
    /// The server's certificate.
    pub certificate: Option<CertificateDer<'static>>,
}

/// How long the parts of a call took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    /// Name look-up and TCP.
    pub connect: Duration,
    /// The TLS handshake.
    pub tls: Duration,
    /// From the request's first byte to the answer's.
    pub first_byte: Duration,
    /// All of it, to the answer's last byte.
    pub total: Duration,
}

/// How far a call has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Connecting,
    Handshake,
    Waiting,
    Reading,
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    #[error("no connection: {0}")]
    Connect(io::Error),
    #[error("no TLS: {0}")]
    Handshake(io::Error),
    #[error("no answer: {0}")]
    Exchange(hyper::Error),
    #[error("the answer could not be read whole: {0}")]
    Body(Box<dyn std::error::Error + Send + Sync>),
}

/// Sends a request and reads the whole answer. `phase` always says how far it has come, for whoever gives up.
pub(crate) async fn call(
    target: &Target<'_>,
    request: Request<Full<Bytes>>,
    phase: &Cell<Phase>,
) -> Result<Answer, Failure> {
    let start = Instant::now();
    phase.set(Phase::Connecting);
    let tcp = TcpStream::connect((target.host, target.port)).await.map_err(Failure::Connect)?;
    let _ = tcp.set_nodelay(true);
    let connected = Instant::now();
    phase.set(Phase::Handshake);
    let connector = TlsConnector::from(target.tls.config.clone());
    let stream = connector.connect(target.server_name.clone(), tcp).await.map_err(Failure::Handshake)?;
    let (version, certificate) = (stream.get_ref().1.protocol_version(), target.tls.shown.get());
    let secured = Instant::now();
    phase.set(Phase::Waiting);
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.map_err(Failure::Exchange)?;
    let connection = AbortOnDropHandle::new(tokio::spawn(connection));
    let response = match sender.send_request(request).await {
        Ok(response) => response,
        Err(error) => {
            drop(sender);
            // A connection that was lost before the request came to it knows why; the request only knows that it was.
            let cause = connection.await.ok().and_then(Result::err);
            return Err(Failure::Exchange(cause.unwrap_or(error)));
        }
    };
    let first_byte = Instant::now();
    phase.set(Phase::Reading);
    let (head, body) = response.into_parts();
    let body = Limited::new(body, MAX_ANSWER).collect().await.map_err(Failure::Body)?.to_bytes();
    let times = Times {
        connect: connected - start,
        tls: secured - connected,
        first_byte: first_byte - secured,
        total: start.elapsed(),
    };
    Ok(Answer { status: head.status, headers: head.headers, body, times, version, certificate })
}
