//! What an operator or a dataplane says of itself on its admin port.

use std::net::SocketAddr;

use anyhow::{Result, ensure};
use rivmesh_e2e::platform::admin_get;
use serde_json::Value;

/// The sum of the samples of a metric that have these labels.
pub(crate) fn metric(admin: SocketAddr, name: &str, labels: &str) -> Result<f64> {
    let samples = samples(admin, name)?;
    Ok(samples.iter().filter(|(of, _)| of.contains(labels)).map(|(_, value)| value).sum())
}

/// All samples of a metric, with their labels as `{name="value",...}`.
pub(crate) fn samples(admin: SocketAddr, name: &str) -> Result<Vec<(String, f64)>> {
    let text = get(admin, "/metrics")?;
    let sample = |line: &str| {
        let (labels, value) = line.strip_prefix(name)?.rsplit_once(' ')?;
        let is_it = labels.is_empty() || labels.starts_with('{');
        Some((is_it.then(|| labels.to_owned())?, value.parse().ok()?))
    };
    Ok(text.lines().filter_map(sample).collect())
}

/// `/status`.
pub(crate) fn status(admin: SocketAddr) -> Result<Value> {
    Ok(serde_json::from_str(&get(admin, "/status")?)?)
}

/// What readiness waits for, line by line; empty when it is ready.
pub(crate) fn waiting_for(admin: SocketAddr) -> Result<String> {
    let response = admin_get(admin, "/readyz")?;
    let text = String::from_utf8_lossy(&response.message.body).into_owned();
    Ok(if response.status == 200 { String::new() } else { text })
}

fn get(admin: SocketAddr, path: &str) -> Result<String> {
    let response = admin_get(admin, path)?;
    ensure!(response.status == 200, "{path} answers {}", response.status);
    Ok(String::from_utf8_lossy(&response.message.body).into_owned())
}
