//! `cargo xtask test`: every kind of test in one run, one summary, one plain closing line.
//!
//! Unit tests run in cargo's dev profile; everything that starts a process runs the release build, which is what
//! users run. Each is built once.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::kubernetes::Version;
use crate::process::{self, cargo, command, target};
use crate::program::{program, single};
use crate::stage::{self, Outcome};
use crate::{charts, docs, image, in_kubernetes, instructions, tools, unit};

#[derive(Args)]
pub(crate) struct Options {
    /// Run only this stage; may be given several times.
    #[arg(long, value_enum)]
    only: Vec<Stage>,
    /// Which Kubernetes the API server is of; the cluster is of the newest.
    #[arg(long, value_enum, default_value = "newest")]
    kubernetes: Version,
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
    /// Instruction counts of calls and tables, against those on record.
    Instructions,
    /// What must hold of every OCI image.
    Images,
    /// The operator against a real API server.
    ApiServer,
    /// The whole platform in a real cluster; needs root.
    Cluster,
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
            Self::Instructions => "instructions",
            Self::Images => "images",
            Self::ApiServer => "api server",
            Self::Cluster => "cluster",
            Self::Docs => "docs",
        }
    }

    fn run(self, options: &Options) -> Result<Outcome> {
        match self {
            Self::Unit => unit::run(),
            Self::Conformance => conformance_suite(None),
            Self::Demo => single(command(binary("rivmesh")).args(["demo", "--once"]), "demo --once"),
            Self::Clients => program(&mut command(binary("rivmesh-clients"))),
            Self::Examples => analyze_examples(),
            Self::Charts => charts::check(false),
            Self::Instructions => instructions::check(false),
            Self::Images => image::check(&release()),
            Self::ApiServer => in_kubernetes::api_server(options.kubernetes),
            Self::Cluster => in_kubernetes::cluster(),
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
        // First, since both builds leave their programs in one place.
        if stages.contains(&&Stage::Cluster) {
            reports.push(stage::run("earlier release", || in_kubernetes::build_earlier(&packages())));
        }
        reports.push(stage::run("build", build));
    }
    // Without the binaries nothing below means anything.
    if stage::total(&reports).failed == 0 {
        reports.extend(stages.iter().map(|stage| stage::run(stage.name(), || stage.run(options))));
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

/// `cargo xtask bench --instructions`. Builds what the tests build: another set of crates may give dependencies other
/// features, and them other instructions.
pub(crate) fn instructions(renew: bool) -> Result<()> {
    let build = stage::run("build", build);
    if stage::total(std::slice::from_ref(&build)).failed > 0 {
        return finish(&[build]);
    }
    finish(&[build, stage::run(Stage::Instructions.name(), || instructions::check(renew))])
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
    let packages: Vec<_> = packages().into_iter().chain(instructions::PACKAGES).collect();
    let packages = packages.iter().flat_map(|package| ["-p", package]);
    process::run(cargo().args(["build", "--release", "--bins"]).args(packages))?;
    Ok(Outcome::default())
}

/// The crates whose programs are tested, or test.
fn packages() -> Vec<&'static str> {
    image::packages().chain(["rivmesh-e2e", "rivmesh-kubernetes-tests"]).collect()
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
