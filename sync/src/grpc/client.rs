//! The dataplane's way to an operator. Files are read anew for every connection, so that rotated certificates and
//! tokens are taken up without a restart.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::codegen::http;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Request, Status, Streaming};
use tonic_prost::ProstCodec;
use tower::service_fn;

use super::Pipe;
use crate::{limits, wire};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const WINDOW: u32 = 1 << 20;

/// How a dataplane reaches its operator.
#[derive(Debug, Clone)]
pub enum Connector {
    /// Over the network.
    Tls(TlsTarget),
    /// In the same process.
    Pipe(Pipe),
}

/// An operator on the network.
#[derive(Clone)]
pub struct TlsTarget {
    /// `host:port`.
    pub address: String,
    /// PEM file with the authorities that may vouch for the operator.
    pub authorities: PathBuf,
    /// The name that its certificate must have; the host of the address if none is given.
    pub server_name: Option<String>,
    /// PEM files with the certificate and private key that this dataplane shows, if it shows any.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// File with the token that this dataplane shows, if it shows any; read for every stream, since tokens are renewed.
    pub token: Option<PathBuf>,
}

impl fmt::Debug for TlsTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsTarget").field("address", &self.address).field("server_name", &self.server_name).finish()
    }
}

/// No stream could be opened. Says what to look at.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// A file that the connection needs.
    #[error("{path} cannot be read: {source}; the connection to the operator needs it")]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The token is nothing that can be sent.
    #[error("{path} holds no token; the connection to the operator needs one")]
    Token {
        /// The file.
        path: PathBuf,
    },
    /// No connection.
    #[error("{address} cannot be reached: {reason}")]
    Transport {
        /// The operator's address.
        address: String,
        /// Why not.
        reason: String,
    },
    /// A connection, but no stream.
    #[error("{address} refused the stream: {status}; the operator's log says more")]
    Refused {
        /// The operator's address.
        address: String,
        /// What it answered.
        status: String,
    },
}

/// An open stream.
#[derive(Debug)]
pub struct ClientStream {
    /// To the operator.
    outbound: mpsc::Sender<wire::ClientMessage>,
    /// From the operator.
    inbound: Streaming<wire::ServerMessage>,
}

impl ClientStream {
    /// The operator's next message; `None` when it has ended the stream.
    ///
    /// # Errors
    /// When the connection broke, or the operator ended the stream for a reason.
    pub async fn receive(&mut self) -> Result<Option<wire::ServerMessage>, String> {
        self.inbound.message().await.map_err(|status| describe(&status))
    }

    /// Sends a message.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn send(&self, message: wire::ClientMessage) -> Result<(), String> {
        self.outbound.send(message).await.map_err(|_| "the connection to the operator is gone".to_owned())
    }
}

impl Connector {
    /// Opens a stream, within ten seconds.
    ///
    /// # Errors
    /// When a file cannot be read, the operator cannot be reached or trusted, or refuses.
    pub async fn open(&self) -> Result<ClientStream, ConnectError> {
        let address = self.to_string();
        let opened = tokio::time::timeout(CONNECT_TIMEOUT, self.open_unbounded()).await;
        let late = |_| ConnectError::Transport {
            address,
            reason: format!("no answer within {} s", CONNECT_TIMEOUT.as_secs()),
        };
        opened.map_err(late)?
    }

    async fn open_unbounded(&self) -> Result<ClientStream, ConnectError> {
        let channel = self.channel().await?;
        let (outbound, messages) = mpsc::channel(4);
        let mut request = Request::new(ReceiverStream::new(messages));
        if let Self::Tls(TlsTarget { token: Some(path), .. }) = self {
            request.metadata_mut().insert("authorization", bearer(path).await?);
        }
        let mut grpc = tonic::client::Grpc::new(channel)
            .max_decoding_message_size(limits::MAX_SERVER_MESSAGE_BYTES)
            .max_encoding_message_size(limits::MAX_CLIENT_MESSAGE_BYTES);
        grpc.ready().await.map_err(|error| self.unreachable(&error))?;
        let method = http::uri::PathAndQuery::from_static(super::METHOD);
        let response = grpc.streaming(request, method, ProstCodec::default()).await;
        let refused = |status: Status| ConnectError::Refused { address: self.to_string(), status: describe(&status) };
        Ok(ClientStream { outbound, inbound: response.map_err(refused)?.into_inner() })
    }

    async fn channel(&self) -> Result<Channel, ConnectError> {
        let connected = match self {
            Self::Pipe(pipe) => {
                let pipe = pipe.clone();
                let connect = service_fn(move |_| {
                    let pipe = pipe.clone();
                    async move { pipe.open().await.map(TokioIo::new) }
                });
                Endpoint::from_static("http://in-process").connect_with_connector(connect).await
            }
            Self::Tls(target) => {
                let tls = target.tls_config().await?;
                let endpoint = Endpoint::from_shared(format!("https://{}", target.address))
                    .and_then(|endpoint| endpoint.tls_config(tls))
                    .map_err(|error| self.unreachable(&error))?;
                endpoint
                    .initial_stream_window_size(WINDOW)
                    .initial_connection_window_size(WINDOW)
                    .http2_keep_alive_interval(super::KEEP_ALIVE)
                    .keep_alive_timeout(super::KEEP_ALIVE_TIMEOUT)
                    .keep_alive_while_idle(true)
                    .connect()
                    .await
            }
        };
        connected.map_err(|error| self.unreachable(&error))
    }

    fn unreachable(&self, error: &dyn std::error::Error) -> ConnectError {
        ConnectError::Transport { address: self.to_string(), reason: innermost(error) }
    }
}

impl fmt::Display for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tls(target) => write!(f, "the operator at {}", target.address),
            Self::Pipe(_) => f.write_str("the operator in this process"),
        }
    }
}

impl TlsTarget {
    async fn tls_config(&self) -> Result<ClientTlsConfig, ConnectError> {
        let authorities = Certificate::from_pem(read(&self.authorities).await?);
        let mut config = ClientTlsConfig::new().ca_certificate(authorities);
        if let Some(name) = &self.server_name {
            config = config.domain_name(name);
        }
        if let Some((certificate, key)) = &self.identity {
            config = config.identity(Identity::from_pem(read(certificate).await?, read(key).await?));
        }
        Ok(config)
    }
}

/// The token in a file, as a header that no debug output shows.
async fn bearer(path: &Path) -> Result<MetadataValue<Ascii>, ConnectError> {
    let token = String::from_utf8(read(path).await?).ok();
    let value = token
        .and_then(|token| Some(token.trim()).filter(|token| !token.is_empty()).map(|token| format!("Bearer {token}")));
    let value = value.and_then(|value| MetadataValue::try_from(value).ok());
    let mut value = value.ok_or_else(|| ConnectError::Token { path: path.to_owned() })?;
    value.set_sensitive(true);
    Ok(value)
}

/// Off the runtime's threads, like every file access.
async fn read(path: &Path) -> Result<Vec<u8>, ConnectError> {
    let failed = |source| ConnectError::File { path: path.to_owned(), source };
    let owned = path.to_owned();
    let read = tokio::task::spawn_blocking(move || std::fs::read(owned)).await;
    read.unwrap_or_else(|error| Err(std::io::Error::other(error))).map_err(failed)
}

/// The error at the bottom says what happened; those around it only say that something did.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

fn describe(status: &Status) -> String {
    let message = crate::convert::printable(status.message(), limits::MAX_REASON);
    if message.is_empty() { status.code().description().to_owned() } else { message }
}
