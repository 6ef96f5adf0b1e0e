//! `rivmesh demo`: the platform with toys around it. It makes a throw-away PKI, starts producers, starts the platform on
//! the quickstart's manifests, makes calls as different consumers, shows what came of each and why, and keeps running so
//! that a newcomer can call by hand and change a route.

mod consumer;
mod pki;
mod producers;
mod report;
mod scenario;
mod setting;

use crate::tls;
use crate::together::{Setup, Together};
use anyhow::Context;
use consumer::Answer;
use rivmesh_dataplane::telemetry::log::Format;
use scenario::{CALLS, Call, Expected};
use setting::Setting;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// How long the platform may take to become ready.
const PATIENCE: Duration = Duration::from_secs(20);

/// Shows the platform at work: throw-away certificates, producers, consumers and calls, all on this machine.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// End after the calls; exit with 0 only if each got the expected answer.
    #[arg(long)]
    once: bool,
    /// Another directory of manifests than the quickstart's.
    #[arg(long, value_name = "DIR")]
    manifests: Option<PathBuf>,
}

/// Runs the demo until Ctrl-C, or once.
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let setting = Setting::prepare(args.manifests)?;
    step("made a throw-away PKI", &setting.pki().display().to_string());
    for producer in producers::PRODUCERS {
        producers::start(producer, &setting.pki()).await?;
    }
    let ports = producers::PRODUCERS.map(|p| format!("{} :{}", p.name, p.port)).join(", ");
    step("started producers on mutual TLS", &ports);

    let log = File::create(setting.log()).context("the call log cannot be written")?;
    let together = Together::start(Setup {
        manifests: setting.manifests.clone(),
        config: setting.config(),
        log_format: Format::Json,
        log_to: Box::new(log),
        log_filter: "info".to_owned(),
    })
    .await?;
    let platform = together.dataplane.listeners.first().context("the platform has no listener")?.1;
    step("started control plane and dataplane", &format!("{} -> https://{platform}", setting.manifests.display()));
    wait_until_ready(&together).await?;

    let mut results = Vec::new();
    for call in &CALLS {
        let answer = consumer::make(call, platform, &setting.pki()).await;
        let answer =
            answer.with_context(|| format!("the call of {} to {} failed", call.consumer.name, call.address))?;
        results.push((call, answer));
    }
    let table = together.dataplane.table.load_full();
    println!("\n{}", report::table(&table, &results));
    let wrong = results.iter().filter(|(call, answer)| !is_expected(call, answer)).count();
    if wrong > 0 {
        println!("{wrong} of {} calls did not get the expected answer.", results.len());
    } else {
        println!("All {} calls got the expected answer.", results.len());
    }
    if !args.once {
        println!("\n{}", report::by_hand(&setting, platform, together.dataplane.admin()));
        tokio::signal::ctrl_c().await?;
        println!("\nStopping.");
    }
    together.drain().await;
    Ok(if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Waits until the first table is in force.
async fn wait_until_ready(together: &Together) -> anyhow::Result<()> {
    let ready = async {
        while !together.dataplane.readiness.is_ready() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    if tokio::time::timeout(PATIENCE, ready).await.is_err() {
        let problems: Vec<String> = together.control_plane.problems().iter().map(ToString::to_string).collect();
        anyhow::bail!(
            "the platform did not become ready: it waits for {}\n{}",
            together.dataplane.readiness.report().lines().join(", "),
            problems.join("\n")
        );
    }
    Ok(())
}

fn is_expected(call: &Call, answer: &Answer) -> bool {
    match call.expected {
        Expected::Answer(producer) => {
            answer.status == 200 && answer.element("greeting").is_some_and(|text| text.contains(producer))
        }
        Expected::Fault(code) => answer.status == 500 && answer.code() == Some(code),
    }
}

/// The files of a peer in the demo's PKI.
fn tls_files(pki: &Path, name: &str) -> tls::Files {
    tls::Files {
        certificate: pki.join(format!("{name}.crt")),
        key: pki.join(format!("{name}.key")),
        authorities: pki.join("ca.pem"),
    }
}

fn step(done: &str, detail: &str) {
    println!("* {done}: {detail}");
}
