//! `rivmesh-conformance`: runs the conformance suite against the built binaries and writes its report.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use rivmesh_e2e::report::Outcome;
use rivmesh_e2e::runner::{Options, run};

/// Runs the conformance suite against the built binaries.
#[derive(Parser)]
struct Arguments {
    /// Run only the cases whose name contains this.
    filter: Option<String>,
    /// The suite's directory.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/conformance"))]
    suite: PathBuf,
    /// Where conformance.md and conformance.json are written.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../target"))]
    out: PathBuf,
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let options = Options { directory: arguments.suite, filter: arguments.filter };
    let report = run(&options, &print)?;
    for gap in &report.gaps {
        println!("FAIL  {gap}");
    }
    // A filtered run is a look at a few cases, not a report.
    if options.filter.is_none() {
        report.write(&arguments.out)?;
        println!("report: {}", arguments.out.join("conformance.md").display());
    }
    println!("{}", report.summary());
    Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print(outcome: &Outcome) {
    let word = if outcome.passed() { "ok  " } else { "FAIL" };
    let took = outcome.took.as_millis();
    println!("{word}  {}  {took} ms", outcome.case.name);
    for difference in &outcome.differences {
        println!("      {difference}");
    }
}
