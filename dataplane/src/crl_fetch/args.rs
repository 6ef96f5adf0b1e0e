//! The command line of the fetcher.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use crate::config::parse_duration;
use crate::telemetry::log::Format;

/// Downloads revocation lists, verifies them, and keeps the last good ones in a directory.
#[derive(Debug, Parser)]
#[command(name = "rivmesh-crl-fetcher", version)]
pub struct Args {
    /// A list and the file that it is kept in, as `http://crl.example/ca.crl=ca.crl`; may be given several times.
    #[arg(long = "source", value_name = "URL=FILE", required = true)]
    pub sources: Vec<String>,
    /// Authorities (PEM) that may have signed the lists; may be given several times.
    #[arg(long, value_name = "FILE", required = true)]
    pub trust: Vec<PathBuf>,
    /// Authorities (PEM) of servers with https:// URLs.
    #[arg(long, value_name = "FILE")]
    pub https_trust: Option<PathBuf>,
    /// The directory of the files.
    #[arg(long, value_name = "DIR")]
    pub directory: PathBuf,
    /// The usual time between two fetches; they come closer together as a list's nextUpdate does.
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = parse_duration)]
    pub interval: Duration,
    /// Address of the admin port: /livez, /readyz, /metrics.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:9902")]
    pub admin: SocketAddr,
    /// How messages are written to standard output.
    #[arg(long, env = "RIVMESH_LOG_FORMAT", value_name = "FORMAT", default_value = "json")]
    pub log_format: Format,
    /// Which messages are logged, such as `info` or `rivmesh_dataplane=debug`.
    #[arg(long, env = "RIVMESH_LOG", value_name = "FILTER", default_value = "info")]
    pub log: String,
}
