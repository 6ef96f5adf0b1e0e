//! A consumer that sends exactly the bytes it is told to, over TLS or plain, and reads the answer without mercy.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};

use crate::http::{Framing, Head, Message, Reader, framing};
use crate::wire::{Broken, Wire};

/// The TLS version that a consumer offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TlsVersion {
    /// TLS 1.2 only.
    V12,
    /// TLS 1.3 only.
    V13,
}

/// What is asked of a connection's TLS: version, certificate, and whether an earlier session may be resumed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClientTls {
    /// The version.
    pub version: TlsVersion,
    /// The name of the certificate in the PKI's directory; none is sent without it.
    pub certificate: Option<String>,
    /// Whether the session of an earlier connection with the same settings may be resumed.
    pub resume: bool,
}

/// Client configurations over one PKI, kept so that their sessions can be resumed.
pub struct Consumers {
    pki: PathBuf,
    kept: Mutex<HashMap<ClientTls, Arc<ClientConfig>>>,
}

impl Consumers {
    /// Consumers whose certificates lie in `pki`.
    pub fn new(pki: &Path) -> Self {
        Self { pki: pki.to_owned(), kept: Mutex::default() }
    }

    fn config(&self, tls: &ClientTls) -> Result<Arc<ClientConfig>> {
        if !tls.resume {
            return Ok(Arc::new(client_config(&self.pki, tls)?));
        }
        let mut kept = self.kept.lock().expect("no thread panics while it holds the lock");
        if let Some(config) = kept.get(tls) {
            return Ok(config.clone());
        }
        let config = Arc::new(client_config(&self.pki, tls)?);
        kept.insert(tls.clone(), config.clone());
        Ok(config)
    }

    /// Connects, under TLS when `tls` is given; a refused handshake may show only at the first read (TLS 1.3).
    pub fn connect(&self, to: SocketAddr, tls: Option<&ClientTls>) -> Result<Result<Connection, Broken>> {
        let config = tls.map(|tls| self.config(tls)).transpose()?;
        Ok(Connection::open(to, config))
    }
}

fn client_config(pki: &Path, tls: &ClientTls) -> Result<ClientConfig> {
    let versions: &[&SupportedProtocolVersion] = match tls.version {
        TlsVersion::V12 => &[&rustls::version::TLS12],
        TlsVersion::V13 => &[&rustls::version::TLS13],
    };
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(pki.join("root.pem")).context("the PKI has no root.pem")?)?;
    let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_protocol_versions(versions)?
        .with_root_certificates(roots);
    let Some(name) = &tls.certificate else { return Ok(builder.with_no_client_auth()) };
    let (chain, key) = identity(pki, name)?;
    Ok(builder.with_client_auth_cert(chain, key)?)
}

/// The chain and key of the leaf `name`.
pub fn identity(pki: &Path, name: &str) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
    let read = || -> Result<_> {
        let chain = CertificateDer::pem_file_iter(pki.join(format!("{name}.crt")))?.collect::<Result<_, _>>()?;
        Ok((chain, PrivateKeyDer::from_pem_file(pki.join(format!("{name}.key")))?))
    };
    read().with_context(|| format!("the PKI has no certificate named {name}"))
}

/// An answer, and the interim answers before it.
#[derive(Debug, Clone, Default)]
pub struct Response {
    /// The final answer.
    pub message: Message,
    /// Its status code.
    pub status: u16,
    /// The status codes of the 1xx answers that came first.
    pub interim: Vec<u16>,
}

/// A connection to the platform, or to any server.
pub struct Connection {
    reader: Reader,
}

impl Connection {
    fn open(to: SocketAddr, config: Option<Arc<ClientConfig>>) -> Result<Self, Broken> {
        let mut socket = TcpStream::connect_timeout(&to, Duration::from_secs(5))?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(Duration::from_secs(10)))?;
        socket.set_write_timeout(Some(Duration::from_secs(10)))?;
        let Some(config) = config else { return Ok(Self { reader: Reader::new(Wire::Plain(socket)) }) };
        let name = ServerName::try_from("localhost").map_err(|error| Broken::Malformed(error.to_string()))?;
        let mut tls = ClientConnection::new(config, name).map_err(|error| Broken::Malformed(error.to_string()))?;
        while tls.is_handshaking() {
            tls.complete_io(&mut socket)?;
        }
        Ok(Self { reader: Reader::new(Wire::Client(Box::new(StreamOwned::new(tls, socket)))) })
    }

    /// The wire, to send on.
    pub fn wire(&mut self) -> &mut Wire {
        &mut self.reader.wire
    }

    /// Whether the TLS session was resumed; `None` without TLS.
    pub fn resumed(&self) -> Option<bool> {
        match &self.reader.wire {
            Wire::Client(stream) => Some(stream.conn.handshake_kind() == Some(rustls::HandshakeKind::Resumed)),
            _ => None,
        }
    }

    /// Reads one answer into `response`, which keeps what came before a break. `to_head` says that the request was a HEAD,
    /// whose answer has no body.
    pub fn read_response(&mut self, response: &mut Response, to_head: bool, patience: Duration) -> Result<(), Broken> {
        self.reader.wire.patience(patience)?;
        loop {
            let head = self.reader.head()?;
            let status = status(&head)?;
            if (100..200).contains(&status) {
                response.interim.push(status);
                continue;
            }
            let framing = match (to_head, status) {
                (true, _) | (_, 204 | 304) => Framing::Nothing,
                _ => framing(&head, false)?,
            };
            response.status = status;
            response.message.head = head;
            response.message.framing = framing;
            response.message.trailers = self.reader.body_into(framing, &mut response.message.body)?;
            return Ok(());
        }
    }

    /// Reads one head and gives its status; a final answer is kept to be read.
    pub fn read_interim(&mut self, patience: Duration) -> Result<u16, Broken> {
        self.reader.wire.patience(patience)?;
        let head = self.reader.head()?;
        let status = status(&head)?;
        if status >= 200 {
            self.reader.put_back(&head);
        }
        Ok(status)
    }

    /// Whether the platform closes this connection within `patience`, and in which way. `Silent` means it stays open.
    pub fn ending(&mut self, patience: Duration) -> Broken {
        if self.reader.left_over() > 0 {
            return Broken::Malformed(format!("{} bytes after the answer", self.reader.left_over()));
        }
        if let Err(broken) = self.reader.wire.patience(patience) {
            return broken;
        }
        let mut rest = Vec::new();
        match self.reader.wire.receive(&mut rest) {
            Ok(()) => Broken::Malformed(format!("{} bytes after the answer", rest.len())),
            Err(broken) => broken,
        }
    }

    /// Closes in an orderly way.
    pub fn close(self) {
        self.reader.wire.close();
    }

    /// Closes with a TCP reset.
    pub fn reset(self) {
        self.reader.wire.reset();
    }
}

fn status(head: &Head) -> Result<u16, Broken> {
    let malformed = || Broken::Malformed(format!("status line {:?}", head.start_line));
    let rest = head.start_line.strip_prefix("HTTP/1.1 ").ok_or_else(malformed)?;
    let (code, _reason) = rest.split_once(' ').ok_or_else(malformed)?;
    code.parse().ok().filter(|code| (100..600).contains(code)).ok_or_else(malformed)
}
