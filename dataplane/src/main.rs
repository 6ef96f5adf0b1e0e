//! `rivmesh-dataplane`: the proxy as a process of its own, following an operator over TLS.

use anyhow::Context;
use clap::Parser;
use rivmesh_dataplane::app::{self, Options};
use rivmesh_dataplane::args::Args;
use rivmesh_dataplane::telemetry::log;
use rivmesh_sync::grpc::{Connector, TlsTarget};
use tokio::signal::unix::{SignalKind, signal};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

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
