//! `rivmesh`: the platform on one machine, questions about its tables, a call to any platform, and the release of a table
//! that an operator holds back.

mod analyze;
mod call;
mod catalogue;
mod consumer;
mod demo;
mod explain;
mod instant;
#[cfg(test)]
mod options_page;
mod plain;
mod producer;
mod release;
mod soap;
mod standalone;
mod tls;
mod together;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// A RIV-TA service platform: routes and authorises calls between health care systems over mutual TLS.
#[derive(Debug, Parser)]
#[command(name = "rivmesh", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Args),
    Standalone(standalone::Args),
    Explain(explain::Args),
    Analyze(analyze::Args),
    Call(call::Args),
    Release(release::Args),
    Producer(producer::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    // Calls run on threads of their own; these two carry everything else.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let result = runtime.map_err(anyhow::Error::from).and_then(|runtime| {
        runtime.block_on(async {
            match cli.command {
                Command::Demo(args) => demo::run(args).await,
                Command::Standalone(args) => standalone::run(args).await,
                Command::Explain(args) => explain::run(args).await,
                Command::Analyze(args) => analyze::run(&args),
                Command::Call(args) => call::run(args).await,
                Command::Release(args) => release::run(args).await,
                Command::Producer(args) => producer::run(args).await,
            }
        })
    });
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::from(2)
    })
}
