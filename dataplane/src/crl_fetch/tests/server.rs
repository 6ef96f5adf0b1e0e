//! A server of lists that says what a test tells it to, and remembers what it was asked.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::task::AbortOnDropHandle;

use crate::tls::provider;
use crate::tls::testing::Pki;

#[derive(Default)]
struct Script {
    /// What is written back, by request target; then the connection is closed.
    answers: HashMap<String, Vec<u8>>,
    /// Heads of requests.
    asked: Vec<String>,
}

pub(super) struct Server {
    pub(super) address: SocketAddr,
    script: Arc<Mutex<Script>>,
    _accepting: AbortOnDropHandle<()>,
}

impl Server {
    pub(super) async fn plain() -> Self {
        Self::on("127.0.0.1:0".parse().unwrap(), None).await
    }

    pub(super) async fn at(address: SocketAddr) -> Self {
        Self::on(address, None).await
    }

    /// Shows `name.crt` of the PKI.
    pub(super) async fn tls(pki: &Pki, name: &str) -> Self {
        let chain = CertificateDer::pem_file_iter(pki.path(&format!("{name}.crt"))).unwrap();
        let chain = chain.collect::<Result<Vec<_>, _>>().unwrap();
        let key = PrivateKeyDer::from_pem_file(pki.path(&format!("{name}.key"))).unwrap();
        let config = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().unwrap();
        let config = config.with_no_client_auth().with_single_cert(chain, key).unwrap();
        Self::on("127.0.0.1:0".parse().unwrap(), Some(TlsAcceptor::from(Arc::new(config)))).await
    }

    async fn on(address: SocketAddr, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let script = Arc::new(Mutex::new(Script::default()));
        let shared = script.clone();
        let accepting = tokio::spawn(async move {
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                let (tls, script) = (tls.clone(), shared.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(tcp, &script).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(tcp).await {
                                serve(stream, &script).await;
                            }
                        }
                    }
                });
            }
        });
        Self { address, script, _accepting: AbortOnDropHandle::new(accepting) }
    }

    pub(super) fn say(&self, target: &str, answer: impl Into<Vec<u8>>) {
        self.script.lock().unwrap().answers.insert(target.to_owned(), answer.into());
    }

    /// The heads of the requests so far.
    pub(super) fn asked(&self) -> Vec<String> {
        self.script.lock().unwrap().asked.clone()
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, script: &Mutex<Script>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let is_conditional = head.to_ascii_lowercase().contains("if-none-match:");
    let answer = {
        let mut script = script.lock().unwrap();
        script.asked.push(head);
        match script.answers.get(&target) {
            Some(_) if is_conditional => b"HTTP/1.1 304 Not Modified\r\n\r\n".to_vec(),
            Some(answer) => answer.clone(),
            None => answer("404 Not Found", "", b"There is nothing."),
        }
    };
    // The fetcher may have gone already.
    let _ = stream.write_all(&answer).await;
    let _ = stream.shutdown().await;
}

/// An answer with headers, each with its line end.
pub(super) fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}\r\n", body.len()).into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

pub(super) fn ok(body: impl AsRef<[u8]>) -> Vec<u8> {
    answer("200 OK", "", body.as_ref())
}

pub(super) fn redirect(to: &str) -> Vec<u8> {
    answer("302 Found", &format!("Location: {to}\r\n"), b"")
}
