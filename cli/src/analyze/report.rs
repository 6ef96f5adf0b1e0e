//! What was found, for people and for programs.

use std::fmt::Write;
use std::path::Path;

use rivmesh_table::Counts;
use serde_json::{Value, json};

use super::check::{Finding, Severity};
use crate::catalogue::Catalogue;

/// One line for each finding, in the form that editors understand, file by file; then a summary.
pub(super) fn text(root: &Path, catalogue: &Catalogue, findings: &[Finding]) -> String {
    let mut text = String::new();
    for file in findings.chunk_by(|a, b| a.file == b.file) {
        // Writing to a String cannot fail.
        file.iter().for_each(|finding| _ = writeln!(text, "{finding}"));
        text.push('\n');
    }
    let [errors, warnings, hints] = count(findings);
    let Counts { routes, authorizations, contracts, hsa_units } = catalogue.table.manifest().counts;
    let held = [
        plural(catalogue.objects.len() as u64, "object"),
        plural(routes, "route"),
        plural(authorizations, "authorisation"),
        plural(contracts, "service contract"),
        plural(hsa_units, "HSA unit"),
    ];
    let found = [plural(errors, "error"), plural(warnings, "warning"), plural(hints, "hint")];
    _ = writeln!(text, "{}: {}\n{}", root.display(), held.join(", "), found.join(", "));
    text
}

/// The same as one JSON object.
pub(super) fn json(root: &Path, catalogue: &Catalogue, findings: &[Finding]) -> String {
    let [errors, warnings, hints] = count(findings);
    let Counts { routes, authorizations, contracts, hsa_units } = catalogue.table.manifest().counts;
    let report = json!({
        "directory": root.display().to_string(),
        "objects": catalogue.objects.len(),
        "table": { "routes": routes, "authorizations": authorizations, "contracts": contracts, "hsaUnits": hsa_units },
        "errors": errors,
        "warnings": warnings,
        "hints": hints,
        "findings": findings.iter().map(finding).collect::<Vec<_>>(),
    });
    format!("{report:#}\n")
}

fn finding(finding: &Finding) -> Value {
    let object = finding
        .object
        .as_ref()
        .map(|object| json!({ "kind": object.kind.as_str(), "namespace": object.namespace, "name": object.name }));
    json!({
        "severity": finding.severity.to_string(),
        "check": finding.check.as_str(),
        "file": finding.file,
        "line": finding.line,
        "object": object,
        "message": finding.message,
    })
}

fn count(findings: &[Finding]) -> [u64; 3] {
    [Severity::Error, Severity::Warning, Severity::Hint]
        .map(|severity| findings.iter().filter(|finding| finding.severity == severity).count() as u64)
}

fn plural(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
