//! What an object's status says, as a pure function of the compiler's verdict and of what the dataplanes have applied.
//! Whoever keeps the account asks it whenever one of these changes.

use rivmesh_crds::conditions::{self, merge};
use rivmesh_crds::{ConditionStatus, ConditionType, Finding, Reason, Status};
use rivmesh_sync::grpc::StreamId;
use rivmesh_table::{Digest, ObjectId, SlotId, Verdict};

use crate::guard::Held;

/// A connected dataplane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dataplane {
    /// Which stream.
    pub stream: StreamId,
    /// Its name.
    pub pod: String,
    /// The table that it serves.
    pub applied: Option<Digest>,
    /// The epoch of the latest table that it applied on this stream; 0 before the first.
    pub epoch: u64,
    /// What it refused since then.
    pub refused: Option<Refused>,
    /// Whether it has left a table unanswered for too long.
    pub silent: bool,
}

/// A table that a dataplane refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The table.
    pub digest: Digest,
    /// Its epoch.
    pub epoch: u64,
    /// The slot at fault.
    pub slot: Option<SlotId>,
    /// The row at fault in that slot.
    pub row: Option<u32>,
    /// Why.
    pub reason: String,
}

/// How far an object's present generation has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress<'a> {
    /// Compiled; the shrink guard holds the table back.
    Held(&'a Held),
    /// Compiled, not published yet.
    Waiting,
    /// In every table from this epoch on.
    Published(u64),
    /// Every dataplane had it once; that is not taken back when dataplanes come and go.
    Programmed,
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
pub fn programmed(progress: Progress<'_>, dataplanes: &[Dataplane]) -> Finding {
    let finding = |status, reason, message: String| Finding::new(ConditionType::Programmed, status, reason, message);
    let epoch = match progress {
        Progress::Held(held) => return finding(ConditionStatus::False, Reason::Held, held.to_string()),
        Progress::Waiting => {
            return finding(ConditionStatus::Unknown, Reason::Pending, "the table is being compiled".to_owned());
        }
        Progress::Programmed => {
            let message = "every dataplane routes by it".to_owned();
            return finding(ConditionStatus::True, Reason::Programmed, message);
        }
        Progress::Published(epoch) => epoch,
    };
    let behind = |dataplane: &&Dataplane| dataplane.epoch < epoch;
    let refusing = |dataplane: &Dataplane| dataplane.refused.clone().filter(|refused| refused.epoch >= epoch);
    let refusal = dataplanes.iter().filter(behind).find_map(|dataplane| Some((dataplane, refusing(dataplane)?)));
    if let Some((dataplane, refused)) = refusal {
        return finding(ConditionStatus::False, Reason::Rejected, describe(dataplane, &refused));
    }
    // A silent one is named and does not hold the others' answer up.
    let silent: Vec<&str> = dataplanes
        .iter()
        .filter(|dataplane| dataplane.silent)
        .filter(behind)
        .map(|dataplane| &*dataplane.pod)
        .collect();
    let asked = dataplanes.len() - silent.len();
    let done = dataplanes.iter().filter(|dataplane| dataplane.epoch >= epoch).count();
    if asked == 0 {
        let message = if silent.is_empty() {
            "no dataplane is connected".to_owned()
        } else {
            format!("no dataplane answers: {}", silent.join(", "))
        };
        return finding(ConditionStatus::Unknown, Reason::NoDataplane, message);
    }
    let left_out =
        if silent.is_empty() { String::new() } else { format!("; without an answer from {}", silent.join(", ")) };
    let count = format!("{done} of {} dataplanes route by it{left_out}", dataplanes.len());
    if done == asked {
        finding(ConditionStatus::True, Reason::Programmed, count)
    } else {
        finding(ConditionStatus::Unknown, Reason::Pending, count)
    }
}

fn describe(dataplane: &Dataplane, refused: &Refused) -> String {
    let place = match (refused.slot, refused.row) {
        (Some(slot), Some(row)) => format!(" at slot {slot}, row {row}"),
        (Some(slot), None) => format!(" at slot {slot}"),
        _ => String::new(),
    };
    let serves = dataplane.applied.map_or_else(|| "no table".to_owned(), |digest| format!("table {digest}"));
    format!("{} refused table {}{place}: {}; it still serves {serves}", dataplane.pod, refused.digest, refused.reason)
}

/// Brings a stored status up to date; true if anything changed.
pub fn update(stored: &mut Status, verdict: &Verdict, programmed: Finding, now: jiff::Timestamp) -> bool {
    let before = stored.clone();
    stored.observed_generation = Some(verdict.generation);
    stored.rows = verdict.rows;
    if programmed.status != ConditionStatus::True {
        stored.rows.programmed = 0;
    }
    stored.row_errors.clone_from(&verdict.errors);
    let ready = conditions::ready(&verdict.accepted, &programmed);
    let findings = [verdict.accepted.clone(), verdict.resolved_refs.clone(), programmed, ready];
    merge(&mut stored.conditions, &findings, verdict.generation, now);
    *stored != before
}
