//! What the compiler says about each object: the errors, reasons and sentences that its status would have.

use rivmesh_crds::{ConditionStatus, Reason, RowError, limits};
use rivmesh_table::{Compiler, Verdict};

use super::check::{Check, Remark};

/// Rows that are refused, contracts without settings, and objects that are suspended.
pub(super) fn check(compiler: &Compiler) -> impl Iterator<Item = Remark> + '_ {
    compiler.verdicts().flat_map(remarks)
}

fn remarks(verdict: Verdict) -> Vec<Remark> {
    let Verdict { id, rows, errors, accepted, resolved_refs, .. } = verdict;
    let mut said: Vec<(Reason, String)> = errors.iter().map(|error| (error.reason, told(error))).collect();
    if errors.len() == limits::ROW_ERRORS as usize && rows.rejected > limits::ROW_ERRORS {
        let message = format!("{} of {} rows are refused; the first reasons are listed", rows.rejected, rows.total);
        said.push((accepted.reason, message));
    }
    if accepted.reason == Reason::Suspended {
        said.push((Reason::Suspended, accepted.message));
    }
    if resolved_refs.status == ConditionStatus::False {
        said.push((resolved_refs.reason, resolved_refs.message));
    }
    let remark = |(reason, message)| Remark { check: Check::Status(reason), object: id.clone(), message };
    said.into_iter().map(remark).collect()
}

/// An error with the row that it is about.
fn told(error: &RowError) -> String {
    let about = [&error.service_contract, &error.logical_address, &error.consumer];
    let about: Vec<&str> = about.into_iter().flatten().map(String::as_str).collect();
    if about.is_empty() { error.message.clone() } else { format!("{}: {}", about.join(", "), error.message) }
}
