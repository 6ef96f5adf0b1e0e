//! `cargo xtask test`: every kind of test in one run, one summary, one plain closing line.
//!
//! Unit tests run in cargo's dev profile; everything that starts a process runs the release build, which is what
//! users run. Each is built once.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::process::{self, cargo, command, run_lines, target};
use crate::stage::{self, Outcome};
use crate::tally::Tally;
use crate::{charts, docs, image, tools, unit};

#[derive(Args)]
pub(crate) struct Options {
    /// Run only this stage; may be given several times.
    #[arg(long, value_enum)]
    only: Vec<Stage>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Stage {
    /// `cargo test` of all crates.
    Unit,
    /// Every rule, over real TLS against the real binary.
    Conformance,
    /// `rivmesh demo --once`.
    Demo,
    /// Clients made with zeep, Apache CXF and curl.
    Clients,
    /// `rivmesh analyze` of every example.
    Examples,
    /// What the charts render to.
    Charts,
    /// What must hold of every OCI image.
    Images,
    /// The book's contents and every link.
    Docs,
}

impl Stage {
    const fn name(self) -> &'static str {
        match self {
            Self::Unit => "unit tests",
            Self::Conformance => "conformance",
            Self::Demo => "demo",
            Self::Clients => "real clients",
            Self::Examples => "examples",
            Self::Charts => "charts",
            Self::Images => "images",
            Self::Docs => "docs",
        }
    }

    fn run(self) -> Result<Outcome> {
        match self {
            Self::Unit => unit::run(),
            Self::Conformance => conformance_suite(None),
            Self::Demo => single(command(binary("rivmesh")).args(["demo", "--once"]), "demo --once"),
            Self::Clients => program(&mut command(binary("rivmesh-clients"))),
            Self::Examples => analyze_examples(),
            Self::Charts => charts::check(false),
            Self::Images => image::check(&release()),
            Self::Docs => Ok(docs::check(&process::root())),
        }
    }

    /// Tests of crates may start binaries too.
    fn needs_binaries(self) -> bool {
        !matches!(self, Self::Charts | Self::Docs)
    }
}

/// `cargo xtask test`. Ends the process itself when a test failed, so that the plain line stays the last one.
pub(crate) fn run(options: &Options) -> Result<()> {
    let chosen = |stage: &&Stage| options.only.is_empty() || options.only.contains(stage);
    let stages: Vec<&Stage> = Stage::value_variants().iter().filter(chosen).collect();
    let mut reports = Vec::new();
    if stages.iter().any(|stage| stage.needs_binaries()) {
        reports.push(stage::run("build", build));
    }
    // Without the binaries nothing below means anything.
    if stage::total(&reports).failed == 0 {
        reports.extend(stages.iter().map(|stage| stage::run(stage.name(), || stage.run())));
    }
    finish(&reports)
}

/// `cargo xtask conformance`.
pub(crate) fn conformance(filter: Option<&str>) -> Result<()> {
    let build = stage::run("build", build);
    if stage::total(std::slice::from_ref(&build)).failed > 0 {
        return finish(&[build]);
    }
    finish(&[build, stage::run(Stage::Conformance.name(), || conformance_suite(filter))])
}

/// `cargo xtask charts`.
pub(crate) fn charts(update: bool) -> Result<()> {
    finish(&[stage::run(Stage::Charts.name(), || charts::check(update))])
}

fn finish(reports: &[stage::Report]) -> Result<()> {
    println!("{}", stage::summary(reports));
    if stage::total(reports).failed > 0 {
        std::process::exit(1);
    }
    Ok(())
}

/// The release build of everything that the later stages start.
fn build() -> Result<Outcome> {
    tools::MAKE.require()?;
    let packages = image::packages().chain(["rivmesh-e2e"]).flat_map(|package| ["-p", package]);
    process::run(cargo().args(["build", "--release", "--bins"]).args(packages))?;
    Ok(Outcome::default())
}

/// Where the binaries under test lie; the end-to-end tests read it from `RIVMESH_BIN_DIR`.
pub(crate) fn release() -> PathBuf {
    target().join("release")
}

fn binary(name: &str) -> PathBuf {
    release().join(name)
}

fn conformance_suite(filter: Option<&str>) -> Result<Outcome> {
    program(command(binary("rivmesh-conformance")).args(filter))
}

fn analyze_examples() -> Result<Outcome> {
    let mut outcome = Outcome::default();
    for directory in examples()? {
        let name = format!("analyze {}", directory.strip_prefix(process::root()).unwrap_or(&directory).display());
        let mut analyze = command(binary("rivmesh"));
        analyze.arg("analyze").arg(&directory);
        let units = directory.join("hsaunits.xml");
        if units.exists() {
            analyze.arg("--hsa-units").arg(units);
        }
        let analysis = single(&mut analyze, &name)?;
        outcome.tally += analysis.tally;
        outcome.failures.extend(analysis.failures);
    }
    Ok(outcome)
}

/// Every directory of example manifests.
fn examples() -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(process::root().join("examples"))? {
        let path = entry?.path();
        if has_manifests(&path) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn has_manifests(directory: &Path) -> bool {
    std::fs::read_dir(directory).is_ok_and(|entries| {
        entries.flatten().any(|entry| entry.path().extension().is_some_and(|extension| extension == "yaml"))
    })
}

/// A command that is one test: its exit status decides.
fn single(command: &mut Command, name: &str) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let status = run_lines(command.env("RIVMESH_BIN_DIR", release()), |line| println!("{line}"))?;
    if status.success() {
        outcome.pass();
    } else {
        outcome.fail(format!("{name}: {status}; its output is above"));
    }
    Ok(outcome)
}

/// A test program of ours: lines `FAIL what` and `SKIP what: why`, and a plain closing line.
fn program(command: &mut Command) -> Result<Outcome> {
    let mut reader = PlainReader::default();
    let status = run_lines(command.env("RIVMESH_BIN_DIR", release()), |line| {
        reader.line(line);
        println!("{line}");
    })?;
    Ok(reader.finish(status.success()))
}

#[derive(Default)]
struct PlainReader {
    closing: Option<Tally>,
    failures: Vec<String>,
    skips: Vec<String>,
}

impl PlainReader {
    fn line(&mut self, line: &str) {
        if let Some(tally) = Tally::from_plain(line) {
            self.closing = Some(tally);
        } else if let Some(what) = line.trim_start().strip_prefix("FAIL ") {
            self.failures.push(what.trim().to_owned());
        } else if let Some(what) = line.trim_start().strip_prefix("SKIP ") {
            self.skips.push(what.trim().to_owned());
        }
    }

    fn finish(self, success: bool) -> Outcome {
        let mut outcome =
            Outcome { tally: self.closing.unwrap_or_default(), failures: self.failures, skips: self.skips };
        if self.closing.is_none() {
            outcome.fail("it ended without saying how many passed; its output is above");
        } else if !success && outcome.tally.failed == 0 {
            outcome.fail("it reported no failure and yet exited with one");
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(output: &str, success: bool) -> Outcome {
        let mut reader = PlainReader::default();
        output.lines().for_each(|line| reader.line(line));
        reader.finish(success)
    }

    #[test]
    fn takes_counts_and_reasons_from_a_program() {
        let outcome = read("  FAIL tls12: refused\nSKIP cxf: java is missing\n3 passed, 1 failed, 1 skipped", false);
        assert_eq!(outcome.tally, Tally { passed: 3, failed: 1, skipped: 1 });
        assert_eq!(outcome.failures, ["tls12: refused"]);
        assert_eq!(outcome.skips, ["cxf: java is missing"]);
    }

    #[test]
    fn a_program_that_dies_is_a_failure() {
        assert_eq!(read("half way", false).tally, Tally::FAILED);
        assert_eq!(read("1 passed, 0 failed", false).tally, Tally { passed: 1, failed: 1, skipped: 0 });
        assert_eq!(read("1 passed, 0 failed", true).tally, Tally::PASSED);
    }
}
