//! `cargo xtask bench`: the proxy's cost per call beside nginx and HAProxy, interleaved in one run.
//!
//! Here is only what prepares a run: builds, certificates, which peers are installed. The measuring and the report
//! are `e2e/bench/run.py`. With `--scale` the control plane is measured instead.

mod scale;

use std::path::Path;

use anyhow::Result;
use clap::Args;

use crate::process::{self, cargo, command, root, target};
use crate::tools::{HAPROXY, NGINX, OPENSSL, PYTHON};

#[derive(Args)]
pub(crate) struct Options {
    /// Measure the way of a change instead, from `kubectl apply` to the first call routed so, with a small catalogue and
    /// with one of a million rows, on a real API server. Takes some half an hour; with --quick, a few minutes.
    #[arg(long, conflicts_with = "workloads")]
    scale: bool,
    /// A few minutes: fewer kinds of work and shorter runs. Enough to see a regression, not to publish.
    #[arg(long)]
    quick: bool,
    /// Keep the report as docs/performance/<today>-NAME.md.
    #[arg(long, value_name = "NAME")]
    record: Option<String>,
    /// Measure only these kinds of work (comma list; e2e/bench/README.md names them).
    #[arg(long)]
    workloads: Option<String>,
}

/// Builds, makes certificates, measures, prints and writes the report.
pub(crate) fn run(options: &Options) -> Result<()> {
    if options.scale {
        return scale::run(options.quick, options.record.as_deref());
    }
    let (python, _) = (PYTHON.require()?, OPENSSL.require()?);
    let mut peers = vec!["direct", "rivmesh"];
    let mut skipped = 0;
    for (name, tool) in [("nginx", NGINX), ("haproxy", HAPROXY)] {
        if tool.find().is_some() {
            peers.push(name);
        } else {
            println!("SKIP {name}: {}", tool.missing());
            skipped += 1;
        }
    }
    let bench = root().join("e2e/bench");
    let work = target().join("bench");
    process::run(cargo().args(["build", "--profile", "dist", "-p", "rivmesh", "-p", "rivmesh-loadgen", "--bins"]))?;
    certificates(&bench, &work.join("certs"))?;

    let results = work.join("results.jsonl");
    // Results are appended by the driver; a run of its own must not be mixed with an older one.
    let _ = std::fs::remove_file(&results);
    let mut measure = command(&python);
    measure.arg(bench.join("run.py")).arg("measure").args(["--peers", &peers.join(",")]);
    measure.arg("--bin").arg(target().join("dist")).arg("--rivmesh").arg(target().join("dist/rivmesh"));
    measure.arg("--certs").arg(work.join("certs")).arg("--work").arg(work.join("run")).arg("--out").arg(&results);
    if options.quick {
        measure.arg("--quick");
    }
    if let Some(workloads) = &options.workloads {
        measure.args(["--workloads", workloads]);
    }
    process::run(&mut measure)?;

    let mut report = command(&python);
    report.arg(bench.join("run.py")).arg("report").arg(&results).arg("--to").arg(work.join("report.md"));
    if let Some(name) = &options.record {
        report.args(["--record", name]).arg("--record-in").arg(root().join("docs/performance"));
    }
    process::run(&mut report)?;
    println!("{} peers measured, {skipped} skipped", peers.len());
    Ok(())
}

/// A throw-away PKI, made once: RSA-4096 authorities take a while.
fn certificates(bench: &Path, directory: &Path) -> Result<()> {
    if directory.join("done").exists() {
        return Ok(());
    }
    process::run(command(bench.join("gen-certs.sh")).arg(directory).arg("rsa"))
}
