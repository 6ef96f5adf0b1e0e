//! `cargo xtask`: everything a developer or the CI does with this repository beyond plain cargo.
//!
//! One command per intention (test, conformance, charts, bench, image, cluster, gen, lint); each prints what it does
//! and why something was skipped. It depends on little on purpose, so that it compiles in seconds.

mod bench;
mod charts;
mod cluster;
mod docs;
mod earlier;
mod generate;
mod image;
mod in_kubernetes;
mod instructions;
mod kubernetes;
mod links;
mod lint;
mod process;
mod program;
mod stage;
mod tally;
mod test;
mod tools;
mod unit;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Build, test and generate", arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run every test there is and end with one summary: unit tests, conformance, demo, real
    /// clients, charts, images, an API server, a cluster, docs.
    Test(test::Options),
    /// Run the conformance suite over real TLS against the real binary and write its report.
    Conformance {
        /// Only cases whose name contains this text.
        filter: Option<String>,
    },
    /// Measure the proxy beside nginx, HAProxy and Envoy, interleaved in one run; or how long a change takes to be routed;
    /// or count instructions.
    Bench(bench::Options),
    /// Render the charts with every set of values in charts/testdata and judge what comes out.
    Charts {
        /// Write the golden files anew instead of comparing with them.
        #[arg(long)]
        update: bool,
    },
    /// Build an OCI image of each program into target/images, without a container engine.
    Image(image::Options),
    /// Start and end a real Kubernetes on this machine, to play with.
    Cluster {
        #[command(subcommand)]
        command: cluster::Command,
    },
    /// Write the generated files anew: resource definitions, wire code, reference pages.
    Gen {
        /// Write nothing; fail when a committed file is not what would be generated.
        #[arg(long)]
        check: bool,
    },
    /// Formatting, clippy with warnings as errors, dependency rules.
    Lint,
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    match command {
        Command::Test(options) => test::run(&options),
        Command::Conformance { filter } => test::conformance(filter.as_deref()),
        Command::Bench(options) => bench::run(&options),
        Command::Charts { update } => test::charts(update),
        Command::Image(options) => image::run(&options),
        Command::Cluster { command } => cluster::run(command),
        Command::Gen { check } => generate::run(check),
        Command::Lint => lint::run(),
    }
}
