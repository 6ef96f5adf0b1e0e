//! Tests against a real Kubernetes, in two tiers: an API server alone with operators and dataplanes as processes of this
//! machine, and a whole cluster in which everything runs as its users run it.
//!
//! The programs of Kubernetes lie in `RIVMESH_KUBERNETES_BIN`, those of rivmesh in `RIVMESH_BIN_DIR`; `cargo xtask test`
//! provides both. Results are lines `ok`, `FAIL` and `SKIP`, and a closing tally.

mod admin;
mod api;
mod api_server;
mod command;
mod node;
mod objects;
mod scale;
mod suite;
mod traffic;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow};
use clap::{Parser, Subcommand};
use tokio::signal::ctrl_c;
use tokio::signal::unix::{SignalKind, signal};

use crate::suite::Tally;

#[derive(Parser)]
struct Arguments {
    /// Where the programs of Kubernetes lie.
    #[arg(long, env = "RIVMESH_KUBERNETES_BIN", value_name = "DIR", global = true)]
    programs: Option<PathBuf>,
    #[command(subcommand)]
    tier: Tier,
}

#[derive(Subcommand)]
enum Tier {
    /// A real API server and etcd, without a node.
    Api {
        /// Run only cases whose name contains this.
        filter: Option<String>,
    },
    /// A whole cluster of one node, with the platform installed by its charts.
    Node {
        /// Run only cases whose name contains this.
        filter: Option<String>,
        /// Where our images lie, one NAME.tar each.
        #[arg(long, env = "RIVMESH_IMAGE_DIR", value_name = "DIR")]
        images: PathBuf,
        /// How to reach a cluster that somebody else keeps, instead of one that is made for the run.
        #[arg(long, value_name = "KUBECONFIG")]
        given: Option<PathBuf>,
        /// An earlier release, charts in source/charts and images in images/; without it, no upgrade from one is tested.
        #[arg(long, env = "RIVMESH_EARLIER_DIR", value_name = "DIR")]
        earlier: Option<PathBuf>,
        /// Where the files of the run go; they stay for a look.
        #[arg(long, value_name = "DIR", default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/cluster-tests"))]
        directory: PathBuf,
    },
    /// Measure, on a real API server: from `kubectl apply` to the first call routed so, at two sizes of the catalogue.
    Scale(scale::Options),
}

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = tokio::select! {
        outcome = run(Arguments::parse()) => outcome,
        // What was running is dropped, and with it every process, namespace and link.
        () = stopped() => Err(anyhow!("a signal ended them")),
    };
    match outcome {
        Ok(tally) => {
            tally.print();
            if tally.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            println!("FAIL  the tests did not come to their end: {error:#}");
            println!("0 passed, 1 failed, 0 skipped");
            ExitCode::FAILURE
        }
    }
}

async fn stopped() {
    let mut terminate = signal(SignalKind::terminate()).expect("handlers are installed once");
    tokio::select! {
        _ = ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

async fn run(arguments: Arguments) -> Result<Tally> {
    let programs = arguments.programs.context("RIVMESH_KUBERNETES_BIN is not set; `cargo xtask test` sets it")?;
    match arguments.tier {
        Tier::Api { filter } => api::run(&programs, filter.as_deref().unwrap_or_default()).await,
        Tier::Node { filter, images, given, earlier, directory } => {
            let parts = node::Parts { programs, images, given, earlier, directory };
            node::run(parts, filter.as_deref().unwrap_or_default()).await
        }
        Tier::Scale(options) => scale::run(&programs, &options).await,
    }
}
