//! Waiting for a machine's next tick.

use tokio::time::Instant;

/// Returns at this instant, or never.
pub(crate) async fn reached(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
