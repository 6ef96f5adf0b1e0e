//! The operator's port for people and machines that watch it: `/livez`, `/readyz`, `/metrics` and `/status`.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::ledger::Ledger;
use crate::metrics::{Metrics, Moment};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What the port shows.
pub(crate) struct Sources {
    /// The account.
    pub(crate) ledger: Arc<Ledger>,
    /// The metrics.
    pub(crate) metrics: Arc<Metrics>,
    /// What the metrics cannot read from the ledger.
    pub(crate) moment: Box<dyn Fn() -> Moment + Send + Sync>,
    /// What readiness waits for beside the table: a line for each thing.
    pub(crate) waiting: Box<dyn Fn() -> Vec<String> + Send + Sync>,
    /// Who this replica is.
    pub(crate) about: Value,
}

/// Serves the port for as long as it is polled.
///
/// # Errors
/// When the port fails as a whole.
pub(crate) async fn serve(listener: TcpListener, sources: Sources) -> std::io::Result<()> {
    let router = Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/status", get(status))
        .fallback(async || (StatusCode::NOT_FOUND, "There is /livez, /readyz, /metrics and /status.\n"))
        .with_state(Arc::new(sources));
    axum::serve(listener, router).await
}

/// Ready is an operator that has a table to offer and can be known by its certificate. Whoever is not names why.
async fn ready(State(sources): State<Arc<Sources>>) -> Response {
    let lines = waiting_for(&sources);
    if lines.is_empty() {
        return "ok\n".into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, lines.join("\n") + "\n").into_response()
}

fn waiting_for(sources: &Sources) -> Vec<String> {
    let snapshot = sources.ledger.snapshots().borrow().clone();
    let mut lines = (sources.waiting)();
    if snapshot.published.is_none() {
        let why = match (&snapshot.held, snapshot.problems.first()) {
            (Some(held), _) => held.to_string(),
            (None, Some(problem)) => problem.to_string(),
            (None, None) => "the catalogue has not been read completely yet".to_owned(),
        };
        lines.push(format!("table: {why}"));
    }
    lines
}

async fn metrics(State(sources): State<Arc<Sources>>) -> Response {
    let page = sources.metrics.encode(&sources.ledger, &(sources.moment)());
    ([(header::CONTENT_TYPE, OPEN_METRICS)], page).into_response()
}

async fn status(State(sources): State<Arc<Sources>>) -> Response {
    let snapshot = sources.ledger.snapshots().borrow().clone();
    let table = snapshot.published.map(|published| {
        json!({
            "epoch": published.epoch,
            "digest": published.digest.to_string(),
            "published": published.at.to_string(),
            "rows": published.counts,
        })
    });
    let dataplanes: Vec<Value> = snapshot
        .dataplanes
        .iter()
        .map(|dataplane| {
            json!({
                "pod": dataplane.pod,
                "table": dataplane.applied.map(|digest| digest.to_string()),
                "epoch": dataplane.epoch,
                "silent": dataplane.silent,
                "refused": dataplane.refused.as_ref().map(|refused| &refused.reason),
            })
        })
        .collect();
    let problems: Vec<String> = snapshot.problems.iter().map(ToString::to_string).collect();
    let page = json!({
        "replica": sources.about,
        "version": env!("CARGO_PKG_VERSION"),
        "leads": (sources.moment)().leads,
        "ready": waiting_for(&sources).is_empty(),
        "waitingFor": waiting_for(&sources),
        "table": table,
        "held": snapshot.held.as_ref().map(|held| held.to_string()),
        "objects": {"total": snapshot.objects, "notReady": snapshot.not_ready},
        "problems": problems,
        "dataplanes": dataplanes,
    });
    let text = serde_json::to_string_pretty(&page).unwrap_or_default() + "\n";
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}
