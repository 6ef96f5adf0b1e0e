//! What could not be read or used at all: manifests that `kubectl apply` would refuse, HSA unit files, settings.

use std::path::Path;

use rivmesh_operator::source::Problem;
use rivmesh_operator::source::manifest::Document;

use super::check::{Check, Finding};
use super::places::Places;
use crate::catalogue::Catalogue;

/// The problems that a running platform would report, too.
pub(super) fn check(catalogue: &Catalogue, places: &mut Places) -> Vec<Finding> {
    let finding = |problem: &Problem| {
        let check = match catalogue.is_about_hsa_units(problem) {
            true if catalogue.hsa_tree.is_some() => Check::HsaUnitSkipped,
            true => Check::HsaUnits,
            false if is_foreign(problem, places) => Check::ForeignManifest,
            false => Check::Manifest,
        };
        Finding::new(check, &*problem.file, problem.line, problem.object.clone(), &*problem.reason)
    };
    catalogue.problems.iter().map(finding).collect()
}

/// Doubtful settings of the platform, from its settings file.
pub(super) fn settings<'a>(file: &'a Path, doubts: &'a [String]) -> impl Iterator<Item = Finding> + 'a {
    doubts.iter().map(|doubt| Finding::new(Check::Settings, file.display().to_string(), None, None, doubt))
}

/// Whether a document is passed over because it is certainly not meant for us.
fn is_foreign(problem: &Problem, places: &mut Places) -> bool {
    let Some(line) = problem.line.filter(|_| problem.object.is_none()) else { return false };
    let is_it = |document: &Document| match document {
        Document::Foreign(fault) => fault.line == line && fault.reason == problem.reason,
        Document::Object { .. } | Document::Refused { .. } => false,
    };
    places.documents(&problem.file).iter().any(is_it)
}
