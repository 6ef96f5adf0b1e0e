//! `rivmesh analyze`: everything wrong or suspicious in a directory of manifests, before it is applied. What the API
//! server, the compiler and the status would say is said in the same words, by the same code; the checks added here
//! concern what is allowed and yet probably not meant.

mod check;
mod ids;
mod objects;
mod places;
mod reach;
mod report;
mod source;
mod unmatched;
mod validity;
mod verdicts;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use check::{Finding, Severity};
use jiff::Timestamp;
use places::Places;

use crate::catalogue::{Catalogue, Surroundings};
use crate::instant;

/// Says what is wrong or suspicious in a directory of manifests, file by file.
///
/// Exits with 0 if nothing is wrong, 1 if something is, and 2 if the directory cannot be read. Warnings and hints are
/// allowed; with `--strict` a warning is an error.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The directory of manifests.
    #[arg(value_name = "DIR")]
    manifests: PathBuf,
    #[command(flatten)]
    surroundings: Surroundings,
    /// When validity is judged, an RFC 3339 instant or a day; now, if left out.
    #[arg(long, value_name = "WHEN", value_parser = instant::parse)]
    at: Option<Timestamp>,
    /// Make every warning an error.
    #[arg(long)]
    strict: bool,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
}

/// Reads, judges, and prints what was found.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let now = args.at.unwrap_or_else(Timestamp::now).as_second();
    let catalogue = Catalogue::read(&args.manifests, &args.surroundings)?;
    let mut places = Places::new(&args.manifests);
    let mut findings = source::check(&catalogue, &mut places);
    if let Some(file) = &args.surroundings.config {
        findings.extend(source::settings(file, &catalogue.doubts));
    }
    let of_objects = verdicts::check(&catalogue.compiler)
        .chain(objects::check(&catalogue))
        .chain(validity::check(&catalogue, now))
        .chain(unmatched::check(&catalogue, now))
        .chain(ids::check(&catalogue));
    findings.extend(of_objects.map(|remark| places.place(remark, &catalogue)));
    if args.strict {
        findings.iter_mut().for_each(Finding::be_strict);
    }
    findings.sort();
    let text = if args.json {
        report::json(&args.manifests, &catalogue, &findings)
    } else {
        report::text(&args.manifests, &catalogue, &findings)
    };
    std::io::stdout().lock().write_all(text.as_bytes())?;
    let is_wrong = findings.iter().any(|finding| finding.severity == Severity::Error);
    Ok(if is_wrong { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// What in a directory cannot be used at all, one line each.
pub(crate) fn unusable(root: &Path, catalogue: &Catalogue) -> Vec<String> {
    let findings = source::check(catalogue, &mut Places::new(root)).into_iter();
    findings.filter(|finding| finding.severity == Severity::Error).map(|finding| finding.to_string()).collect()
}
