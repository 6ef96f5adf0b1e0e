//! `cargo xtask bench`: the proxy's cost per call beside nginx, HAProxy and Envoy, interleaved in one run, and what tables of
//! a nation's size cost.
//!
//! Here is only what prepares a run: builds, certificates, which peers are installed. The measuring and the report
//! are `e2e/bench/run.py`. With `--scale` the control plane is measured instead, with `--instructions` nothing but
//! instructions are counted.

mod scale;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::instructions;
use crate::process::{self, cargo, command, root, target};
use crate::tools::{HAPROXY, NGINX, OPENSSL, PYTHON};

#[derive(Args)]
pub(crate) struct Options {
    /// Measure the way of a change instead, from `kubectl apply` to the first call routed so, with a small catalogue and
    /// with one of a million rows, on a real API server. Takes some half an hour; with --quick, a few minutes.
    #[arg(long, conflicts_with = "workloads")]
    scale: bool,
    /// Count instructions of a fixed set of calls and of work on tables instead, and compare with those on record.
    #[arg(long, conflicts_with_all = ["workloads", "scale", "quick", "record"])]
    instructions: bool,
    /// With --instructions: put what was counted on record.
    #[arg(long, requires = "instructions")]
    renew: bool,
    /// A few minutes: fewer kinds of work and shorter runs. Enough to see a regression, not to publish.
    #[arg(long)]
    quick: bool,
    /// Keep the report in docs/performance as <today>-NAME, with its figures and plots.
    #[arg(long, value_name = "NAME")]
    record: Option<String>,
    /// Measure only these kinds of work (comma list; e2e/bench/workloads.py names them).
    #[arg(long)]
    workloads: Option<String>,
}

/// Builds, makes certificates, measures, prints and writes the report.
pub(crate) fn run(options: &Options) -> Result<()> {
    if options.scale {
        return scale::run(options.quick, options.record.as_deref());
    }
    if options.instructions {
        return crate::test::instructions(options.renew);
    }
    OPENSSL.require()?;
    let bench = root().join("e2e/bench");
    let work = target().join("bench");
    let python = python(&bench, &work.join("python"))?;
    let mut peers = vec!["direct", "rivmesh", "envoy"];
    let mut skipped = 0;
    for (name, tool) in [("nginx", NGINX), ("haproxy", HAPROXY)] {
        if tool.find().is_some() {
            peers.push(name);
        } else {
            println!("SKIP {name}: {}", tool.missing());
            skipped += 1;
        }
    }
    let packages = ["rivmesh-dataplane"].into_iter().chain(instructions::PACKAGES);
    let packages = packages.flat_map(|package| ["-p", package]);
    process::run(cargo().args(["build", "--profile", "dist", "--bins"]).args(packages))?;
    certificates(&bench, &work.join("certs"))?;

    let results = work.join("results.jsonl");
    // Results are appended by the driver; a run of its own must not be mixed with an older one.
    for stale in [&results, &work.join("tables.txt")] {
        let _ = std::fs::remove_file(stale);
    }
    let _ = std::fs::remove_dir_all(work.join("report"));
    if !options.quick && options.workloads.is_none() {
        tables(&work.join("tables.txt"))?;
    }
    let mut measure = command(&python);
    measure.arg(bench.join("run.py")).arg("measure").args(["--peers", &peers.join(",")]);
    measure.arg("--bin").arg(target().join("dist")).arg("--envoy").arg(work.join("python/bin/envoy"));
    measure.arg("--certs").arg(work.join("certs")).arg("--work").arg(work.join("run")).arg("--out").arg(&results);
    if options.quick {
        measure.arg("--quick");
    }
    if let Some(workloads) = &options.workloads {
        measure.args(["--workloads", workloads]);
    }
    process::run(&mut measure)?;

    let mut report = command(&python);
    report.arg(bench.join("run.py")).arg("report").arg(&results).arg("--to").arg(work.join("report"));
    report.arg("--tables").arg(work.join("tables.txt")).arg("--reports").arg(root().join("docs/performance"));
    if let Some(name) = &options.record {
        report.args(["--record", name]);
    }
    process::run(&mut report)?;
    println!("{} peers measured, {skipped} skipped", peers.len());
    Ok(())
}

/// Measures compiler and table alone, and keeps what they print.
fn tables(to: &Path) -> Result<()> {
    let mut text = String::new();
    let mut bench = cargo();
    bench.args(["bench", "--profile", "release", "-p", "rivmesh-catalogue", "--bench", "scale"]);
    let status = process::run_lines(&mut bench, |line| {
        println!("{line}");
        text += line;
        text.push('\n');
    })?;
    ensure!(status.success(), "the benchmark of the tables failed");
    std::fs::write(to, text).with_context(|| to.display().to_string())
}

/// A Python with what the driver needs from PyPI. Done anew only when that changed.
fn python(bench: &Path, environment: &Path) -> Result<PathBuf> {
    let python = environment.join("bin/python");
    let wanted = std::fs::read(bench.join("requirements.txt"))?;
    let stamp = environment.join("installed.txt");
    if python.exists() && std::fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(python);
    }
    process::run(command(PYTHON.require()?).args(["-m", "venv", "--clear"]).arg(environment))
        .context("no virtual environment (on Debian: apt-get install python3-venv)")?;
    let pip =
        ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:", "--requirement"];
    process::run(command(&python).args(pip).arg(bench.join("requirements.txt")))
        .context("what the driver needs cannot be fetched from PyPI")?;
    std::fs::write(&stamp, &wanted).with_context(|| stamp.display().to_string())?;
    Ok(python)
}

/// A throw-away PKI, made once: RSA-4096 authorities take a while.
pub(crate) fn certificates(bench: &Path, directory: &Path) -> Result<()> {
    if directory.join("done").exists() {
        return Ok(());
    }
    process::run(command(bench.join("gen-certs.sh")).arg(directory).arg("rsa"))
}
