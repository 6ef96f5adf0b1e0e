//! `rivmesh-crl-fetcher`: keeps the revocation lists that proxies read from a directory current.

use anyhow::{Context, anyhow};
use clap::Parser;
use rivmesh_dataplane::crl_fetch::{self, Args, Options, Pace, Source};
use rivmesh_dataplane::telemetry::log::{self, Service};
use std::net::TcpListener;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(run(args));
    // What is being written to disk is not waited for: a file that has not been renamed was never there.
    runtime.shutdown_background();
    result
}

async fn run(args: Args) -> anyhow::Result<()> {
    let service = Service { name: "rivmesh-crl-fetcher".to_owned(), ..Service::default() };
    let log = log::start(args.log_format, &service, std::io::stdout(), Arc::default())?;
    log::install(log.sender(), &args.log)?;
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be listened for")?;
    let admin = TcpListener::bind(args.admin)
        .with_context(|| format!("--admin {} cannot be used; give another address", args.admin))?;
    // Read here and not by clap, which would repeat a URL with all that is secret in it.
    let source = |(nr, text): (usize, &String)| text.parse::<Source>().map_err(|e| anyhow!("--source {}: {e}", nr + 1));
    let options = Options {
        sources: args.sources.iter().enumerate().map(source).collect::<Result<_, _>>()?,
        directory: args.directory,
        trust: args.trust,
        https_trust: args.https_trust,
        pace: Pace::of(args.interval),
    };
    let fetcher = crl_fetch::start(options, admin)?;
    tracing::info!("fetching {} lists; the admin port is {}", args.sources.len(), fetcher.admin());
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    tracing::info!("stopping; the lists on disk stay");
    Ok(())
}
