//! `rivmesh producer`: a stand-in for the system that a route leads to. An ordinary HTTPS server that demands the
//! platform's certificate, as any producer behind a service platform does, and greets whoever calls. For tutorials, the demo
//! and the test of an installation: it keeps nothing, knows no contract but the demo's, and limits nobody.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use quick_xml::escape::escape;
use rivmesh_rivta::consumer_id;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio_rustls::TlsAcceptor;

use crate::plain::plain;
use crate::tls;

/// Most bytes of a request that are read.
const MAX_REQUEST: usize = 1024 * 1024;

/// Answers calls as a producer behind a platform does: a stand-in for tutorials and tests, not for production.
///
/// Each call gets a greeting and one line of output: which platform called, for whom, and the way that the call has come.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where calls come in.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8443")]
    listen: SocketAddr,
    /// The certificate to show, with its chain (PEM).
    #[arg(long, value_name = "FILE")]
    cert: PathBuf,
    /// Its private key (PEM).
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The authorities (PEM) that a platform's certificate must come from.
    #[arg(long, value_name = "FILE")]
    ca: PathBuf,
    /// What it calls itself in its answers.
    #[arg(long, value_name = "TEXT", default_value = "producer")]
    name: String,
}

/// What a producer is.
#[derive(Debug)]
pub(crate) struct Producer {
    /// What it calls itself.
    pub name: String,
    /// Whether it answers everything with HTTP 403.
    pub refuses: bool,
    /// Whether it prints a line for each call.
    pub talks: bool,
}

/// Answers until SIGTERM or Ctrl-C.
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut terminate = signal(SignalKind::terminate())?;
    let files = tls::Files { certificate: args.cert, key: args.key, authorities: args.ca };
    let config = tls::server(&files)?;
    let listener = TcpListener::bind(args.listen).await;
    let listener = listener.with_context(|| format!("--listen {} cannot be used", args.listen))?;
    println!("{} answers at {}", plain(&args.name), listener.local_addr()?);
    let producer = Producer { name: args.name, refuses: false, talks: true };
    tokio::select! {
        () = serve(producer, config, listener) => {}
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// Answers for ever.
pub(crate) async fn serve(producer: Producer, tls: Arc<ServerConfig>, listener: TcpListener) {
    let (producer, acceptor) = (Arc::new(producer), TlsAcceptor::from(tls));
    loop {
        let Ok((tcp, _)) = listener.accept().await else { continue };
        tokio::spawn(connection(producer.clone(), acceptor.clone(), tcp));
    }
}

async fn connection(producer: Arc<Producer>, acceptor: TlsAcceptor, tcp: TcpStream) {
    let port = tcp.local_addr().map(|address| address.port()).unwrap_or_default();
    let Ok(stream) = acceptor.accept(tcp).await else { return };
    let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first().cloned());
    let platform = certificate.and_then(|leaf| consumer_id(&leaf).ok()).unwrap_or_else(|| "somebody".to_owned());
    let service = service_fn(|request| {
        let (producer, platform) = (producer.clone(), platform.clone());
        async move {
            let (call, path) = (told(&platform, request.headers()), request.uri().path().to_owned());
            let response = producer.answer(port, request).await;
            if producer.talks {
                println!("{} {call} -> {}", plain(&path), response.status().as_u16());
            }
            Ok::<_, Infallible>(response)
        }
    });
    // A connection that breaks off is the consumer's business.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// Who calls, for whom, by which way. Nothing of the message: it may hold personal data.
fn told(platform: &str, headers: &HeaderMap) -> String {
    let header = |name| {
        let value = headers.get(name).map(|value| value.to_str().unwrap_or("?"));
        plain(value.unwrap_or("-")).into_owned()
    };
    let (consumer, history) = (header("x-rivta-original-serviceconsumer-hsaid"), header("x-rivta-routing-history"));
    format!("called by {platform} for {consumer}, by way of {history}")
}

impl Producer {
    async fn answer(&self, port: u16, request: Request<Incoming>) -> Response<Full<Bytes>> {
        if self.refuses {
            return respond(StatusCode::FORBIDDEN, "text/plain", "This producer does not know you.\n".to_owned());
        }
        let path = request.uri().path().to_owned();
        let body = match Limited::new(request.into_body(), MAX_REQUEST).collect().await {
            Ok(body) => body.to_bytes(),
            Err(_) => return respond(StatusCode::PAYLOAD_TOO_LARGE, "text/plain", "Too large.\n".to_owned()),
        };
        let body = String::from_utf8_lossy(&body);
        let name = body.split("name>").nth(1).and_then(|rest| rest.split("</").next()).unwrap_or("stranger");
        let from = format!("{} ({port}{path})", self.name);
        let from = escape(&from);
        let content = if body.contains("GetGreetingResponder") {
            format!(
                "<GetGreetingResponse xmlns=\"urn:riv:rivmesh:demo:GetGreetingResponder:1\">\
                 <greeting>Hello {name}, this is {from}.</greeting></GetGreetingResponse>"
            )
        } else {
            format!("<Answer xmlns=\"urn:riv:rivmesh:demo:other:1\"><from>{from}</from></Answer>")
        };
        respond(StatusCode::OK, "text/xml; charset=UTF-8", envelope(&content))
    }
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
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
