//! The port under every admin page: plain HTTP that can only be read, a bounded number of connections with one request
//! each, and a thread and a runtime of its own. What the pages are is its user's business.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

pub(crate) use crate::telemetry::metrics::CONTENT_TYPE as OPEN_METRICS;
/// Media type of pages for people.
pub(crate) const TEXT: &str = "text/plain; charset=utf-8";

/// Connections served at a time; the others wait in the kernel.
const MAX_CONNECTIONS: usize = 64;
/// For how long a connection may last: it carries one request.
const CONNECTION: Duration = Duration::from_secs(30);
/// For how long the head of a request may take.
const HEAD: Duration = Duration::from_secs(5);
/// The longest head of a request.
pub(super) const MAX_HEAD: usize = 16 * 1024;
/// Pause after an accept that failed, which is a lack of file descriptors and goes away by waiting.
const PAUSE: Duration = Duration::from_millis(100);

/// The running admin port; it closes when this is dropped.
#[derive(Debug)]
pub struct Admin {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Serves `listener` on a thread of its own: each GET gets what `pages` makes of its target.
///
/// # Errors
/// When the socket cannot be used or the thread cannot be started.
pub(crate) fn open(
    listener: TcpListener,
    pages: impl Fn(&Uri) -> Response<Full<Bytes>> + Send + Sync + 'static,
) -> io::Result<Admin> {
    let address = listener.local_addr()?;
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (stop, stopped) = oneshot::channel();
    let thread = std::thread::Builder::new().name("admin".into()).spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                () = accept(listener, Arc::new(pages)) => {}
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

async fn accept<P>(listener: TcpListener, pages: Arc<P>)
where
    P: Fn(&Uri) -> Response<Full<Bytes>> + Send + Sync + 'static,
{
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
                let pages = pages.clone();
                tokio::spawn(async move {
                    // Slow or broken clients are cut off; there is nobody to tell.
                    let _ = timeout(CONNECTION, connection(stream, pages)).await;
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

async fn connection<P>(stream: TcpStream, pages: Arc<P>) -> hyper::Result<()>
where
    P: Fn(&Uri) -> Response<Full<Bytes>> + Send + Sync + 'static,
{
    let service = service_fn(move |request: Request<_>| {
        let response = answer(&request, &*pages);
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

fn answer<B>(request: &Request<B>, pages: impl Fn(&Uri) -> Response<Full<Bytes>>) -> Response<Full<Bytes>> {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return pages(request.uri());
    }
    let mut refused = response(StatusCode::METHOD_NOT_ALLOWED, TEXT, "This port can only be read: use GET.\n".into());
    refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    refused
}

/// A page.
pub(crate) fn response(status: StatusCode, media_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    response
}
