//! The demo's consumers: each makes its call on a connection of its own, with its own certificate.

use super::scenario::Call;
use super::tls_files;
use crate::consumer::{self, Phase, Target};
use crate::soap::Fault;
use crate::tls;
use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper::header::{CONTENT_TYPE, HOST};
use rustls::pki_types::ServerName;
use std::cell::Cell;
use std::net::SocketAddr;
use std::path::Path;

/// What a consumer got.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub status: u16,
    pub body: String,
    pub fault: Option<Fault>,
}

impl Answer {
    /// The VP code of a fault.
    pub(super) fn code(&self) -> Option<&str> {
        self.fault.as_ref()?.vp_code()
    }

    /// The text of the first element with this local name.
    pub(super) fn element(&self, name: &str) -> Option<&str> {
        let (_, rest) = self.body.split_once(&format!("{name}>"))?;
        rest.split_once("</").map(|(text, _)| text)
    }
}

/// Makes `call` at the platform.
pub(super) async fn make(call: &Call, platform: SocketAddr, pki: &Path) -> anyhow::Result<Answer> {
    let tls = tls::client(&tls_files(pki, call.consumer.name))?;
    let server_name = ServerName::try_from("localhost")?;
    let target = Target { host: &platform.ip().to_string(), port: platform.port(), server_name, tls: &tls };
    let mut request = Request::post("/vp")
        .header(HOST, "localhost")
        .header(CONTENT_TYPE, "text/xml; charset=UTF-8")
        .header("SOAPAction", "\"\"");
    if let Some((name, value)) = call.header {
        request = request.header(name, value);
    }
    let request = request.body(Full::new(Bytes::from(call.message())))?;
    let answer = consumer::call(&target, request, &Cell::new(Phase::Connecting)).await?;
    let body = String::from_utf8_lossy(&answer.body).into_owned();
    Ok(Answer { status: answer.status.as_u16(), fault: Fault::find(&answer.body), body })
}
