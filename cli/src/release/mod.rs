//! `rivmesh release`: what the shrink guard of an operator holds back, and the way to let it go.
//!
//! It asks the API server itself and runs no `kubectl`: the client is in the program anyway, with the operator, and gives
//! values where `kubectl` gives text.

mod guards;
mod report;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use rivmesh_dataplane::config::parse_duration;

use guards::{Guards, Outcome, Prefix, Scope};

/// Shows the table that an operator's shrink guard holds back, or releases it.
///
/// Without DIGEST it only shows, and exits with 0 if nothing is held and 1 if something is. With one it releases that table
/// and waits until the operator has published it: 0 if it has, 1 if not. 2 if the API server could not be asked.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The held table: its digest, or the first eight digits of it or more.
    #[arg(value_name = "DIGEST")]
    digest: Option<Prefix>,
    /// The operator's namespace; that of the context, if left out.
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    /// The operator's name, as `rivmesh` in `rivmesh-operator`; every operator of the namespace, if left out.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The kubeconfig; as kubectl does, if left out.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The context in it; the current one, if left out.
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// For how long the operator is waited for.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = parse_duration)]
    timeout: Duration,
}

/// Shows, or releases.
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let config = config(args.kubeconfig, args.context).await?;
    let namespace = args.namespace.unwrap_or_else(|| config.default_namespace.clone());
    let client = Client::try_from(config).context("the way to the API server cannot be used")?;
    let guards = Guards::new(&client, Scope { namespace, name: args.name });
    match args.digest {
        None => show(&guards).await,
        Some(digest) => release(&guards, &digest, args.timeout).await,
    }
}

async fn config(kubeconfig: Option<PathBuf>, context: Option<String>) -> anyhow::Result<Config> {
    if kubeconfig.is_none() && context.is_none() {
        return Config::infer()
            .await
            .context("there is no kubeconfig that can be used: set KUBECONFIG or --kubeconfig");
    }
    let read = kubeconfig.map_or_else(Kubeconfig::read, Kubeconfig::read_from)?;
    let options = KubeConfigOptions { context, ..KubeConfigOptions::default() };
    Ok(Config::from_custom_kubeconfig(read, &options).await?)
}

async fn show(guards: &Guards) -> anyhow::Result<ExitCode> {
    let found = guards.find().await?;
    for guard in &found {
        print!("{}", report::shown(guard, guards.scope()));
    }
    let is_held = found.iter().any(|guard| guard.record.hold.is_some());
    Ok(if is_held { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn release(guards: &Guards, digest: &Prefix, limit: Duration) -> anyhow::Result<ExitCode> {
    let found = guards.find().await?;
    let (guard, hold) = match guards::choose(&found, digest) {
        Ok(chosen) => chosen,
        Err(problem) => bail!("{problem}"),
    };
    println!("{}", report::releasing(guard, hold));
    let outcome = guards.release(guard, hold.digest, limit).await?;
    println!("{}", report::outcome(&outcome, guard, guards.scope(), limit));
    Ok(if matches!(outcome, Outcome::Published | Outcome::Over(_)) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
