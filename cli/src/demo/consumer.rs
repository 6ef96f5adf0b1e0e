//! The demo's consumers: each makes its call on a connection of its own, with its own certificate.

use super::scenario::Call;
use super::tls;
use anyhow::Context;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::Request;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use std::net::SocketAddr;
use std::path::Path;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Most bytes of an answer that are read.
const MAX_ANSWER: usize = 1024 * 1024;

/// What a consumer got.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub status: u16,
    pub body: String,
}

impl Answer {
    /// The VP code of a fault.
    pub(super) fn code(&self) -> Option<&str> {
        let text = self.element("faultstring")?;
        text.split(' ').next().filter(|code| code.starts_with("VP"))
    }

    /// The text of the first element with this local name.
    pub(super) fn element(&self, name: &str) -> Option<&str> {
        let (_, rest) = self.body.split_once(&format!("{name}>"))?;
        rest.split_once("</").map(|(text, _)| text)
    }
}

/// Makes `call` at the platform.
pub(super) async fn make(call: &Call, platform: SocketAddr, pki: &Path) -> anyhow::Result<Answer> {
    let tcp = TcpStream::connect(platform).await.context("the platform cannot be reached")?;
    let connector = TlsConnector::from(tls::client(pki, call.consumer.name)?);
    let stream = connector.connect(ServerName::try_from("localhost")?, tcp).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let mut request = Request::post("/vp")
        .header(HOST, "localhost")
        .header(CONTENT_TYPE, "text/xml; charset=UTF-8")
        .header("SOAPAction", "\"\"");
    if let Some((name, value)) = call.header {
        request = request.header(name, value);
    }
    let response = sender.send_request(request.body(Full::new(Bytes::from(call.message())))?).await?;
    let status = response.status().as_u16();
    let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await.map_err(|e| anyhow::anyhow!(e))?;
    driver.abort();
    Ok(Answer { status, body: String::from_utf8_lossy(&body.to_bytes()).into_owned() })
}
