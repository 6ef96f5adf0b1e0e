//! `rivmesh standalone`: the platform as one process without a cluster. The manifests are those that `kubectl apply`
//! takes, read from a directory that is watched; everything else is as in a cluster.

use crate::together::{Setup, Together};
use rivmesh_dataplane::telemetry::log::Format;
use std::path::PathBuf;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

/// Runs control plane and dataplane in one process, on a directory of manifests.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The directory of manifests; changes in it take effect within a second.
    #[arg(long, env = "RIVMESH_MANIFESTS", value_name = "DIR")]
    manifests: PathBuf,
    /// The platform's settings; the file and all files that it names are followed too.
    #[arg(long, env = "RIVMESH_CONFIG", value_name = "FILE")]
    config: PathBuf,
    /// How calls and events are written to standard output.
    #[arg(long, env = "RIVMESH_LOG_FORMAT", value_name = "FORMAT", default_value = "json")]
    log_format: Format,
    /// Which messages of the process are logged beside calls, such as `info` or `rivmesh_dataplane=debug`.
    #[arg(long, env = "RIVMESH_LOG", value_name = "FILTER", default_value = "info")]
    log: String,
}

/// Runs until SIGTERM or Ctrl-C. Exits with 1 if calls had to be cut.
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let mut terminate = signal(SignalKind::terminate())?;
    let together = Together::start(Setup {
        manifests: args.manifests,
        config: args.config,
        log_format: args.log_format,
        log_to: Box::new(std::io::stdout()),
        log_filter: args.log,
    })
    .await?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    let cut = together.drain().await;
    Ok(if cut == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
