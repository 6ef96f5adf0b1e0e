//! The admin port: probes, metrics, status and explanations, for whoever runs the platform. It has a thread and a runtime
//! of its own, so that a scrape never costs a call. It only reads, knows no secrets, and is meant for the cluster's inside.

mod explain;
mod status;
#[cfg(test)]
mod tests;

pub use explain::{Explained, Question};
pub use status::{ControlPlaneStatus, ListenerInfo, ObjectStatus, PlatformInfo};

use crate::ready::Readiness;
use crate::telemetry::metrics::{CONTENT_TYPE as OPEN_METRICS, Metrics};
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

/// Connections served at a time; the others wait in the kernel.
const MAX_CONNECTIONS: usize = 64;
/// For how long a connection may last: it carries one request.
const CONNECTION: Duration = Duration::from_secs(30);
/// For how long the head of a request may take.
const HEAD: Duration = Duration::from_secs(5);
/// The longest head of a request.
const MAX_HEAD: usize = 16 * 1024;
/// Pause after an accept that failed, which is a lack of file descriptors and goes away by waiting.
const PAUSE: Duration = Duration::from_millis(100);

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

/// Answers a question about a decision, or says in a sentence why it cannot be answered.
pub type Explain = Box<dyn Fn(&Question) -> Result<Explained, String> + Send + Sync>;
/// Tells how the control plane in this process is doing.
pub type AskControlPlane = Box<dyn Fn() -> ControlPlaneStatus + Send + Sync>;

/// What the admin port shows.
pub struct Sources {
    /// Who this is; asked at each request, since settings can be reloaded.
    pub platform: Box<dyn Fn() -> PlatformInfo + Send + Sync>,
    /// Whether it is ready.
    pub readiness: Readiness,
    /// What it has counted.
    pub metrics: Arc<Metrics>,
    /// How it decides.
    pub explain: Explain,
    /// What its tables come from, where the control plane is in the same process.
    pub control_plane: Option<AskControlPlane>,
}

/// The running admin port; it closes when this is dropped.
#[derive(Debug)]
pub struct Admin {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Serves `listener` on a thread of its own.
///
/// # Errors
/// When the socket cannot be used or the thread cannot be started.
pub fn serve(listener: TcpListener, sources: Sources) -> io::Result<Admin> {
    let address = listener.local_addr()?;
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (stop, stopped) = oneshot::channel();
    let thread = std::thread::Builder::new().name("admin".into()).spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                () = accept(listener, Arc::new(sources)) => {}
                _ = stopped => {}
            }
        });
    })?;
    Ok(Admin { address, stop: Some(stop), thread: Some(thread) })
}

impl Admin {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been reported already.
            let _ = thread.join();
        }
    }
}

async fn accept(listener: TcpListener, sources: Arc<Sources>) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!("the admin port cannot be served: {error}");
            return;
        }
    };
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let sources = sources.clone();
                tokio::spawn(async move {
                    // Slow or broken clients are cut off; there is nobody to tell.
                    let _ = timeout(CONNECTION, connection(stream, sources)).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!("the admin port cannot accept a connection: {error}");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, sources: Arc<Sources>) -> hyper::Result<()> {
    let service = service_fn(move |request: Request<_>| {
        let response = answer(&request, &sources);
        async { Ok::<_, Infallible>(response) }
    });
    hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(MAX_HEAD)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

fn answer<B>(request: &Request<B>, sources: &Sources) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refused =
            response(StatusCode::METHOD_NOT_ALLOWED, TEXT, "This port can only be read: use GET.\n".into());
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    match request.uri().path() {
        "/livez" => response(StatusCode::OK, TEXT, "ok\n".into()),
        "/readyz" => ready(sources),
        "/metrics" => {
            sources.metrics.set_ready(sources.readiness.is_ready());
            response(StatusCode::OK, OPEN_METRICS, sources.metrics.encode())
        }
        "/status" => response(StatusCode::OK, JSON, status::page(sources, SystemTime::now())),
        "/explain" => explain::answer(request.uri().query().unwrap_or_default(), sources),
        _ => {
            response(StatusCode::NOT_FOUND, TEXT, "There is /livez, /readyz, /metrics, /status and /explain.\n".into())
        }
    }
}

fn ready(sources: &Sources) -> Response<Full<Bytes>> {
    let report = sources.readiness.report();
    if report.is_ready() {
        return response(StatusCode::OK, TEXT, "ok\n".into());
    }
    let lines = report.lines().join("\n") + "\n";
    response(StatusCode::SERVICE_UNAVAILABLE, TEXT, lines)
}

fn response(status: StatusCode, media_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    response
}

impl std::fmt::Debug for Sources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sources").field("readiness", &self.readiness).finish_non_exhaustive()
    }
}
