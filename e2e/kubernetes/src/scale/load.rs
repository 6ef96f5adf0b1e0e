//! A whole catalogue at once, as when a platform is first filled from Git: how fast it is taken in, routed and judged.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::Value;

use super::installation::Installation;
use crate::suite::until;

/// Requests at a time.
const AT_ONCE: usize = 32;
/// Ten thousand statuses at fifty a second take over three minutes.
const LIMIT: Duration = Duration::from_secs(900);
const REPORT_EVERY: usize = 1000;

/// From the first object on.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Load {
    /// Until the API server had all of them.
    pub(super) applied: Duration,
    /// Until both dataplanes routed by all of them.
    pub(super) routed: Duration,
    /// Until the status of each said so.
    pub(super) told: Duration,
}

/// Applies all objects and waits until nothing is left to do.
pub(super) async fn load(installation: &Installation<'_>, objects: &[Value]) -> Result<Load> {
    let namespace = &installation.namespace;
    let began = Instant::now();
    stream::iter(objects.iter().enumerate())
        .map(|(number, object)| async move {
            namespace.apply(object).await?;
            if (number + 1) % REPORT_EVERY == 0 {
                println!("      {} objects applied after {:.0} s", number + 1, began.elapsed().as_secs_f64());
            }
            anyhow::Ok(())
        })
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await?;
    let applied = began.elapsed();

    until("all objects are routed by", LIMIT, async || is_routed(installation, objects.len())).await?;
    let routed = began.elapsed();
    println!("      {} objects routed by after {:.0} s; their statuses follow", objects.len(), routed.as_secs_f64());

    let leader = installation.leader();
    until("all statuses are written", LIMIT, async || {
        let pending = leader.metric("rivmesh_operator_status_pending", "")?;
        let not_ready = leader.metric("rivmesh_operator_not_ready_objects", "")?;
        ensure!(pending < 0.5 && not_ready < 0.5, "{pending} pending, {not_ready} not ready");
        Ok(())
    })
    .await?;
    let told = began.elapsed();
    println!("      all statuses written after {:.0} s", told.as_secs_f64());
    Ok(Load { applied, routed, told })
}

/// Whether every replica has compiled all objects, and every dataplane has the table.
fn is_routed(installation: &Installation<'_>, objects: usize) -> Result<()> {
    for pair in installation.pairs() {
        let known = pair.operator.metric("rivmesh_operator_objects", "")?;
        ensure!((known - objects as f64).abs() < 0.5, "{} knows {known} objects", pair.operator.pod);
        let (offered, table) = (pair.operator.metrics("rivmesh_operator_table_info")?, pair.dataplane.table()?);
        ensure!(offered.iter().any(|(labels, _)| labels.contains(&table)), "{} has another table", pair.proxy);
    }
    Ok(())
}
