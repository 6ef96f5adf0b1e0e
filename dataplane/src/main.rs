//! `rivmesh-dataplane`: the proxy as a process of its own, following an operator over TLS.

use anyhow::Context;
use clap::Parser;
use rivmesh_dataplane::app::{self, Options};
use rivmesh_dataplane::telemetry::log::{self, Format};
use rivmesh_sync::grpc::{Connector, TlsTarget};
use std::path::PathBuf;
use tokio::signal::unix::{SignalKind, signal};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Routes RIV-TA calls between consumers and producers over mutual TLS.
#[derive(Debug, Parser)]
#[command(name = "rivmesh-dataplane", version)]
struct Args {
    /// The platform's settings.
    #[arg(long, env = "RIVMESH_CONFIG", value_name = "FILE")]
    config: PathBuf,
    /// The operator that pushes tables, as HOST:PORT. Without it the table on disk is served.
    #[arg(long, env = "RIVMESH_OPERATOR", value_name = "HOST:PORT", requires = "operator_ca")]
    operator: Option<String>,
    /// Authorities (PEM) that the operator's certificate must come from.
    #[arg(long, env = "RIVMESH_OPERATOR_CA", value_name = "FILE")]
    operator_ca: Option<PathBuf>,
    /// The token that proves to the operator which pod this is; read anew for every stream.
    #[arg(long, env = "RIVMESH_OPERATOR_TOKEN", value_name = "FILE", requires = "operator")]
    operator_token: Option<PathBuf>,
    /// The name in the operator's certificate, where it is not the host's.
    #[arg(long, env = "RIVMESH_OPERATOR_NAME", value_name = "NAME")]
    operator_name: Option<String>,
    /// This instance's name in the operator's status.
    #[arg(long, env = "RIVMESH_POD", value_name = "NAME", default_value = "dataplane")]
    pod: String,
    /// The uid of the pod that this instance runs in, which the token must name too.
    #[arg(long, env = "RIVMESH_POD_UID", value_name = "UID", default_value = "", hide_default_value = true)]
    pod_uid: String,
    /// How calls and events are written to standard output: json or text.
    #[arg(long, env = "RIVMESH_LOG_FORMAT", value_name = "FORMAT", default_value = "json")]
    log_format: Format,
    /// Which messages of the process are logged beside calls, such as `info` or `rivmesh_dataplane=debug`.
    #[arg(long, env = "RIVMESH_LOG", value_name = "FILTER", default_value = "info")]
    log: String,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    // Calls run on threads of their own; these two carry the feed, the admin port and the accept loops.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(run(args))
}

async fn run(args: Args) -> anyhow::Result<()> {
    let operator = args.operator.zip(args.operator_ca).map(|(address, authorities)| {
        Connector::Tls(TlsTarget {
            address,
            authorities,
            server_name: args.operator_name,
            identity: None,
            token: args.operator_token,
        })
    });
    let options = Options {
        config: args.config,
        operator,
        pod: args.pod,
        pod_uid: args.pod_uid,
        log_format: args.log_format,
        log_to: Box::new(std::io::stdout()),
        control_plane: None,
    };
    let running = app::start(options).await?;
    log::install(running.log(), &args.log)?;
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be listened for")?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    let cut = running.drain().await;
    anyhow::ensure!(cut == 0, "{cut} connections were cut because their calls did not end in time");
    Ok(())
}
