//! The operator's process: a control plane, its port, and a log of what happens.

mod args;

use anyhow::Context;
use clap::Parser;
use rivmesh_operator::notice::Notice;
use rivmesh_operator::{ControlPlane, serve};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tracing::{info, warn};
use tracing_subscriber::EnvFilter;

use crate::args::Args;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().json().with_env_filter(filter).with_writer(std::io::stderr).init();

    let listener = TcpListener::bind(args.listen).await;
    let listener = listener.with_context(|| format!("cannot listen on {}", args.listen))?;
    let (control_plane, notices) = ControlPlane::start(args.options()?)?;
    tokio::spawn(log(notices));
    serve::serve(control_plane.service(), listener, args.identity(), stop_signal()?).await?;
    info!("stopping; dataplanes go on with the tables that they have");
    Ok(())
}

async fn log(mut notices: Receiver<Notice>) {
    loop {
        match notices.recv().await {
            Ok(notice) => notice.log(),
            Err(RecvError::Lagged(missed)) => warn!(missed, "some notices were too many to log"),
            Err(RecvError::Closed) => return,
        }
    }
}

/// SIGTERM or SIGINT.
fn stop_signal() -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
