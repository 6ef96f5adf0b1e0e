//! What an object's status says, as a pure function of the compiler's verdict and of what the dataplanes have applied.
//! Whoever keeps the account asks it whenever one of these changes.

use rivmesh_crds::conditions::{self, merge};
use rivmesh_crds::{Condition, ConditionStatus, ConditionType, Finding, Reason, RowCounts, Status};
use rivmesh_table::{ObjectId, Verdict};

use crate::guard::Held;
use crate::rollout::Standing;

/// What is said of an object that is in force everywhere.
const PROGRAMMED: &str = "every ready dataplane routes by it";

/// The same of an object of which nothing is routed, as when it is refused as a whole or suspended.
const LEFT_OUT: &str = "every ready dataplane routes without it";

/// How far an object's present generation has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress<'a> {
    /// Compiled; the shrink guard holds the table back.
    Held(&'a Held),
    /// Compiled, not published yet.
    Waiting,
    /// Published, and come this far.
    Published(&'a Standing),
}

/// An object and its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectStatus {
    /// Which object.
    pub id: ObjectId,
    /// Its generation.
    pub generation: i64,
    /// The status, as it would be written to a custom resource.
    pub status: Status,
}

/// The condition `Programmed` of an object.
pub fn programmed(progress: Progress<'_>) -> Finding {
    let finding = |status, reason, message: String| Finding::new(ConditionType::Programmed, status, reason, message);
    let standing = match progress {
        Progress::Held(held) => return finding(ConditionStatus::False, Reason::Held, held.to_string()),
        Progress::Waiting => {
            return finding(ConditionStatus::Unknown, Reason::Pending, "the table is being compiled".to_owned());
        }
        Progress::Published(standing) => standing,
    };
    if let Some(refusal) = &standing.refusal {
        return finding(ConditionStatus::False, Reason::Rejected, refusal.clone());
    }
    if standing.unknown {
        let unknown = "it is not known yet which dataplanes take calls";
        return finding(ConditionStatus::Unknown, Reason::Pending, unknown.to_owned());
    }
    let silent = standing.silent.join(", ");
    // A silent one is named and does not hold the others' answer up.
    let (done, awaited, total) = (standing.done, standing.awaited(), standing.total);
    if awaited == 0 {
        let nobody = if silent.is_empty() {
            "no dataplane is connected".to_owned()
        } else {
            format!("no dataplane answers: {silent}")
        };
        return finding(ConditionStatus::Unknown, Reason::NoDataplane, nobody);
    }
    let left_out = if silent.is_empty() { String::new() } else { format!("; without an answer from {silent}") };
    if done < awaited {
        return finding(
            ConditionStatus::Unknown,
            Reason::Pending,
            format!("{done} of {total} dataplanes route by it{left_out}"),
        );
    }
    if silent.is_empty() {
        return finding(ConditionStatus::True, Reason::Programmed, PROGRAMMED.to_owned());
    }
    finding(ConditionStatus::True, Reason::Programmed, format!("{done} of {total} dataplanes route by it{left_out}"))
}

/// The condition `Programmed` of an object that every dataplane had once in this generation: that is not taken back
/// when dataplanes come and go, and neither is what was said then.
pub fn latched(status: &Status) -> Finding {
    let said = condition(status, ConditionType::Programmed).filter(|said| said.status == ConditionStatus::True);
    let message = said.map_or(PROGRAMMED, |said| said.message.as_str());
    Finding::new(ConditionType::Programmed, ConditionStatus::True, Reason::Programmed, message)
}

/// Whether a stored status says that the present generation is programmed, with as many rows as the verdict counts.
pub fn is_programmed(status: &Status, verdict: &Verdict) -> bool {
    let is_it =
        |said: &Condition| said.status == ConditionStatus::True && said.observed_generation == Some(verdict.generation);
    let rows = |rows: &RowCounts| (rows.total, rows.rejected);
    condition(status, ConditionType::Programmed).is_some_and(is_it) && rows(&status.rows) == rows(&verdict.rows)
}

/// A condition of a status.
pub fn condition(status: &Status, which: ConditionType) -> Option<&Condition> {
    status.conditions.iter().find(|condition| condition.is(which))
}

/// Takes over from `stored` the times of those conditions that say the same: whoever wrote them knew when.
pub fn adopt_times(status: &mut Status, stored: &Status) {
    for condition in &mut status.conditions {
        let same = stored.conditions.iter().find(|other| other.type_ == condition.type_);
        if let Some(other) = same.filter(|other| other.status == condition.status) {
            condition.last_transition_time.clone_from(&other.last_transition_time);
        }
    }
}

/// What we write of a status: our own conditions, in their order, and the rest. Others' conditions are theirs.
pub fn ours(status: &Status) -> Status {
    let own = ConditionType::ALL.iter().filter_map(|which| condition(status, *which).cloned());
    Status { conditions: own.collect(), ..status.clone() }
}

/// Brings a stored status up to date; true if anything changed.
pub fn update(stored: &mut Status, verdict: &Verdict, mut programmed: Finding, now: jiff::Timestamp) -> bool {
    let before = stored.clone();
    stored.observed_generation = Some(verdict.generation);
    stored.rows = verdict.rows;
    if programmed.status != ConditionStatus::True {
        stored.rows.programmed = 0;
    }
    if verdict.rows.programmed == 0 && programmed.message == PROGRAMMED {
        LEFT_OUT.clone_into(&mut programmed.message);
    }
    stored.row_errors.clone_from(&verdict.errors);
    let ready = conditions::ready(&verdict.accepted, &programmed);
    let findings = [verdict.accepted.clone(), verdict.resolved_refs.clone(), programmed, ready];
    merge(&mut stored.conditions, &findings, verdict.generation, now);
    *stored != before
}
