//! `rivmesh-crl-fetcher`: keeps the revocation lists that proxies read from a directory current.

use anyhow::{Context, anyhow};
use clap::Parser;
use rivmesh_dataplane::config::parse_duration;
use rivmesh_dataplane::crl_fetch::{self, Options, Pace, Source};
use rivmesh_dataplane::telemetry::log::{self, Format, Service};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Downloads revocation lists, verifies them, and keeps the last good ones in a directory.
#[derive(Debug, Parser)]
#[command(name = "rivmesh-crl-fetcher", version)]
struct Args {
    /// A list and the file that it is kept in, as `http://crl.example/ca.crl=ca.crl`; may be given several times.
    #[arg(long = "source", value_name = "URL=FILE", required = true)]
    sources: Vec<String>,
    /// Authorities (PEM) that may have signed the lists; may be given several times.
    #[arg(long, value_name = "FILE", required = true)]
    trust: Vec<PathBuf>,
    /// Authorities (PEM) of servers with https:// URLs.
    #[arg(long, value_name = "FILE")]
    https_trust: Option<PathBuf>,
    /// The directory of the files.
    #[arg(long, value_name = "DIR")]
    directory: PathBuf,
    /// The usual time between two fetches; they come closer together as a list's nextUpdate does.
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = parse_duration)]
    interval: Duration,
    /// Address of the admin port: /livez, /readyz, /metrics.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:9902")]
    admin: SocketAddr,
    /// How messages are written to standard output: json or text.
    #[arg(long, env = "RIVMESH_LOG_FORMAT", value_name = "FORMAT", default_value = "json")]
    log_format: Format,
    /// Which messages are logged, such as `info` or `rivmesh_dataplane=debug`.
    #[arg(long, env = "RIVMESH_LOG", value_name = "FILTER", default_value = "info")]
    log: String,
}

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
