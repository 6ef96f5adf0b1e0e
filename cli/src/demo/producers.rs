//! The demo's producers: ordinary HTTPS servers that demand the platform's certificate, as any producer behind a service
//! platform does. One greets, one greets in the older profile, one refuses everybody.

use super::tls_files;
use crate::tls;
use anyhow::Context;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::path::Path;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// Most bytes of a request that a producer reads.
const MAX_REQUEST: usize = 1024 * 1024;

/// A producer of the demo.
#[derive(Clone, Copy)]
pub(super) struct Producer {
    /// Its name, of its certificate too.
    pub name: &'static str,
    pub hsa_id: &'static str,
    pub port: u16,
    /// Whether it answers everything with HTTP 403.
    pub refuses: bool,
}

/// The producers that the quickstart's routes lead to.
pub(super) const PRODUCERS: [Producer; 3] = [
    Producer { name: "hospital", hsa_id: "SE2329990001-S0J1", port: 19101, refuses: false },
    Producer { name: "vendor", hsa_id: "SE5599990004-S0G2", port: 19102, refuses: false },
    Producer { name: "refusing", hsa_id: "SE5599990005-S0N3", port: 19103, refuses: true },
];

/// Starts a producer; it runs until the process ends.
pub(super) async fn start(producer: Producer, pki: &Path) -> anyhow::Result<()> {
    let acceptor = TlsAcceptor::from(tls::server(&tls_files(pki, producer.name))?);
    let listener = TcpListener::bind(("127.0.0.1", producer.port))
        .await
        .with_context(|| format!("port {} is taken; the demo's producer {} needs it", producer.port, producer.name))?;
    tokio::spawn(async move {
        loop {
            let Ok((tcp, _)) = listener.accept().await else { continue };
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(stream) = acceptor.accept(tcp).await else { return };
                let service = service_fn(move |request| answer(producer, request));
                // A connection that breaks off is the consumer's business.
                let _ =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    Ok(())
}

async fn answer(producer: Producer, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    if producer.refuses {
        return Ok(respond(StatusCode::FORBIDDEN, "text/plain", "This producer does not know you.\n".to_owned()));
    }
    let path = request.uri().path().to_owned();
    let body = match Limited::new(request.into_body(), MAX_REQUEST).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => return Ok(respond(StatusCode::PAYLOAD_TOO_LARGE, "text/plain", "Too large.\n".to_owned())),
    };
    let name = String::from_utf8_lossy(&body);
    let name = name.split("name>").nth(1).and_then(|rest| rest.split("</").next()).unwrap_or("stranger");
    let from = format!("{} ({}{path})", producer.name, producer.port);
    let content = if String::from_utf8_lossy(&body).contains("GetGreetingResponder") {
        format!(
            "<GetGreetingResponse xmlns=\"urn:riv:rivmesh:demo:GetGreetingResponder:1\">\
             <greeting>Hello {name}, this is {from}.</greeting></GetGreetingResponse>"
        )
    } else {
        format!("<Answer xmlns=\"urn:riv:rivmesh:demo:other:1\"><from>{from}</from></Answer>")
    };
    Ok(respond(StatusCode::OK, "text/xml; charset=UTF-8", envelope(&content)))
}

fn envelope(content: &str) -> String {
    format!(
        "<soap:Envelope xmlns:soap=\"http://schemas.xmlsoap.org/soap/envelope/\">\
         <soap:Body>{content}</soap:Body></soap:Envelope>"
    )
}

fn respond(status: StatusCode, content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(content_type));
    response
}
