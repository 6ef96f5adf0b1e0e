//! The operator's process: a control plane, its ports, and a log of what happens.

use anyhow::Context;
use clap::Parser;
use rivmesh_operator::args::{Args, Mode};
use rivmesh_operator::{ControlPlane, cluster, notice, serve};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing::info;
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let filter = EnvFilter::try_new(&args.log).with_context(|| format!("--log {} is no filter", args.log))?;
    tracing_subscriber::fmt().json().with_env_filter(filter).with_writer(std::io::stderr).init();
    match args.mode()? {
        Mode::Cluster(options) => cluster::operator::run(*options, stop_signal()?).await,
        Mode::Directory { options, listen, identity } => {
            let listener = TcpListener::bind(listen).await;
            let listener = listener.with_context(|| format!("cannot listen on {listen}"))?;
            let (control_plane, notices) = ControlPlane::start(*options)?;
            tokio::spawn(notice::log(notices));
            serve::serve(control_plane.service(), listener, identity, stop_signal()?).await?;
            info!("stopping; dataplanes go on with the tables that they have");
            Ok(())
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
