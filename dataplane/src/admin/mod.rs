//! The admin port: probes, metrics, status and explanations, for whoever runs the platform. It has a thread and a runtime
//! of its own, so that a scrape never costs a call. It only reads, knows no secrets, and is meant for the cluster's inside.

mod explain;
mod port;
mod status;
#[cfg(test)]
mod tests;

pub use explain::{Explained, Question};
pub use port::Admin;
pub(crate) use port::{OPEN_METRICS, TEXT, open, response};
pub use status::{ControlPlaneStatus, ListenerInfo, ObjectStatus, PlatformInfo};

use crate::ready::Readiness;
use crate::telemetry::metrics::Metrics;
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Response, StatusCode, Uri};
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::SystemTime;

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

/// Serves `listener` on a thread of its own.
///
/// # Errors
/// When the socket cannot be used or the thread cannot be started.
pub fn serve(listener: TcpListener, sources: Sources) -> io::Result<Admin> {
    open(listener, move |uri| answer(uri, &sources))
}

fn answer(uri: &Uri, sources: &Sources) -> Response<Full<Bytes>> {
    match uri.path() {
        "/livez" => response(StatusCode::OK, TEXT, "ok\n".into()),
        "/readyz" => ready(sources),
        "/metrics" => {
            sources.metrics.set_ready(sources.readiness.is_ready());
            response(StatusCode::OK, OPEN_METRICS, sources.metrics.encode())
        }
        "/status" => response(StatusCode::OK, JSON, status::page(sources, SystemTime::now())),
        "/explain" => explain::answer(uri.query().unwrap_or_default(), sources),
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

impl std::fmt::Debug for Sources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sources").field("readiness", &self.readiness).finish_non_exhaustive()
    }
}
