//! A producer that answers with its name, the number of the call, and what it was told of the call's way.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rivmesh_loadgen::tls::{TlsOptions, Version};
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

const LARGEST_REQUEST: usize = 1024 * 1024;
/// A request for this path is never answered.
pub(crate) const HANGS: &str = "/hangs";

/// A producer that listens until it is dropped.
pub(crate) struct Producer {
    address: SocketAddr,
    tls: Arc<Mutex<Arc<ServerConfig>>>,
    acceptor: JoinHandle<()>,
}

impl Producer {
    /// Listens on a free port of `address` with the certificate `certificate` of a PKI, and calls itself `name`.
    pub(crate) async fn start(name: &'static str, address: IpAddr, pki: &Path, certificate: &str) -> Result<Self> {
        let listener = TcpListener::bind((address, 0)).await.with_context(|| format!("no port of {address}"))?;
        let address = listener.local_addr()?;
        let tls = Arc::new(Mutex::new(server_config(pki, certificate, &pki.join("root.pem"))?));
        let acceptor = tokio::spawn(accept(name, listener, tls.clone()));
        Ok(Self { address, tls, acceptor })
    }

    /// The URL of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.address)
    }

    /// From now on new connections are shown another certificate, and clients are trusted by other authorities.
    pub(crate) fn set_identity(&self, pki: &Path, certificate: &str, trust: &Path) -> Result<()> {
        *self.tls.lock().expect("no thread panics while it holds the lock") = server_config(pki, certificate, trust)?;
        Ok(())
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.acceptor.abort();
    }
}

fn server_config(pki: &Path, certificate: &str, trust: &Path) -> Result<Arc<ServerConfig>> {
    let file = |suffix: &str| pki.join(format!("{certificate}.{suffix}"));
    let options = TlsOptions { ca: trust.to_owned(), cert: file("crt"), key: file("key"), tls: Version::Any };
    Ok(Arc::new(options.server()?))
}

async fn accept(name: &'static str, listener: TcpListener, tls: Arc<Mutex<Arc<ServerConfig>>>) {
    loop {
        let Ok((tcp, _)) = listener.accept().await else { continue };
        let config = tls.lock().expect("no thread panics while it holds the lock").clone();
        tokio::spawn(async move {
            let Ok(tls) = TlsAcceptor::from(config).accept(tcp).await else { return };
            let service = service_fn(move |request| answer(name, request));
            // A client that leaves is its own business.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(tls), service).await;
        });
    }
}

async fn answer(name: &'static str, request: Request<Incoming>) -> Result<Response<Full<Bytes>>> {
    if request.uri().path() == HANGS {
        std::future::pending::<()>().await;
    }
    let told: String = request
        .headers()
        .iter()
        .filter(|(name, _)| name.as_str().starts_with("x-rivta-"))
        .map(|(name, value)| format!("<{name}>{}</{name}>", value.to_str().unwrap_or_default()))
        .collect();
    let body = Limited::new(request.into_body(), LARGEST_REQUEST).collect().await.map_err(anyhow::Error::from_boxed)?;
    let body = body.to_bytes();
    let text = String::from_utf8_lossy(&body);
    let number = text.split("<number>").nth(1).and_then(|rest| rest.split('<').next()).unwrap_or_default();
    let answer = format!(
        "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Body><thing xmlns=\"urn:x\">\
         <from>{name}</from><number>{number}</number>{told}</thing></s:Body></s:Envelope>"
    );
    Ok(Response::builder().header("content-type", "text/xml; charset=UTF-8").body(Full::from(answer))?)
}
