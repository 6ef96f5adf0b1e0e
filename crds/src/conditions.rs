//! Conditions after the grammar of the Gateway API: what kstatus, `kubectl wait`, Flux and Argo CD read.
//!
//! We touch only our own four types and merge by type. A condition that was written for a newer generation than the one we judged is left
//! alone, since its writer knew more; the transition time moves only when the status does. Types and reasons are strings in the stored form,
//! because a status may hold what another controller or a newer version of ours wrote.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::limits::MESSAGE_LENGTH;
use crate::reason::Reason;
use crate::schema;

/// The four condition types that we write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConditionType {
    /// The object is usable as written, alone and beside the others.
    Accepted,
    /// What it refers to exists.
    ResolvedRefs,
    /// Every ready dataplane routes by it.
    Programmed,
    /// The summary: accepted whole and in force.
    Ready,
}

impl ConditionType {
    /// All types, in the order in which they are listed.
    pub const ALL: [Self; 4] = [Self::Accepted, Self::ResolvedRefs, Self::Programmed, Self::Ready];

    /// The word in `type`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::ResolvedRefs => "ResolvedRefs",
            Self::Programmed => "Programmed",
            Self::Ready => "Ready",
        }
    }
}

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not.
    False,
    /// It cannot be told yet.
    Unknown,
}

/// What we found about one condition type, before it meets what is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which condition.
    pub condition: ConditionType,
    /// Whether it holds.
    pub status: ConditionStatus,
    /// Why.
    pub reason: Reason,
    /// The same for people: what is the case and, if something is wrong, what to do.
    pub message: String,
}

impl Finding {
    /// Puts a finding together.
    pub fn new(condition: ConditionType, status: ConditionStatus, reason: Reason, message: impl Into<String>) -> Self {
        Self { condition, status, reason, message: message.into() }
    }

    fn holds(&self) -> bool {
        self.status == ConditionStatus::True
    }
}

/// A condition as it is stored; the same fields as Kubernetes' own `meta/v1` Condition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = schema::plain)]
pub struct Condition {
    /// Accepted, ResolvedRefs, Programmed or Ready.
    #[serde(rename = "type")]
    pub type_: String,
    /// True, False or Unknown.
    pub status: ConditionStatus,
    /// The generation of the object that was judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// When the status last changed, RFC 3339 in UTC.
    #[schemars(schema_with = "schema::date_time")]
    pub last_transition_time: String,
    /// One word from the closed list of reasons.
    pub reason: String,
    /// The same for people.
    #[serde(default)]
    #[schemars(schema_with = "schema::message")]
    pub message: String,
}

impl Condition {
    /// Is this condition of the given type?
    pub fn is(&self, condition: ConditionType) -> bool {
        self.type_ == condition.as_str()
    }
}

/// Merges findings about `generation` into the stored conditions, at the instant `now`; true if anything changed.
///
/// Conditions of other types, and those of ours that were written for a newer generation, stay as they are. A message longer than
/// [`MESSAGE_LENGTH`] is cut.
pub fn merge(stored: &mut Vec<Condition>, findings: &[Finding], generation: i64, now: Timestamp) -> bool {
    let mut changed = false;
    for finding in findings {
        changed |= merge_one(stored, finding, generation, now);
    }
    changed
}

fn merge_one(stored: &mut Vec<Condition>, finding: &Finding, generation: i64, now: Timestamp) -> bool {
    let mut fresh = Condition {
        type_: finding.condition.as_str().to_owned(),
        status: finding.status,
        observed_generation: Some(generation),
        last_transition_time: seconds(now),
        reason: finding.reason.as_str().to_owned(),
        message: shorten(&finding.message),
    };
    let Some(old) = stored.iter_mut().find(|condition| condition.is(finding.condition)) else {
        stored.push(fresh);
        return true;
    };
    if old.observed_generation.is_some_and(|observed| observed > generation) {
        return false;
    }
    if old.status == fresh.status {
        fresh.last_transition_time.clone_from(&old.last_transition_time);
    }
    let changed = *old != fresh;
    *old = fresh;
    changed
}

/// Sums the other conditions up: ready means accepted whole and in force.
///
/// An unresolved reference does not stand in the way, since a contract without a ServiceContract is routed with the platform's defaults.
/// Otherwise the first finding that stands in the way gives its reason and message.
pub fn ready(accepted: &Finding, programmed: &Finding) -> Finding {
    let ready = |status, reason, message: &str| Finding::new(ConditionType::Ready, status, reason, message);
    if !accepted.holds() || accepted.reason != Reason::Accepted {
        let status =
            if accepted.status == ConditionStatus::Unknown { ConditionStatus::Unknown } else { ConditionStatus::False };
        return ready(status, accepted.reason, &accepted.message);
    }
    if !programmed.holds() {
        return ready(programmed.status, programmed.reason, &programmed.message);
    }
    ready(ConditionStatus::True, Reason::Ready, &programmed.message)
}

/// The instant in RFC 3339, UTC, whole seconds: the precision that Kubernetes stores.
fn seconds(now: Timestamp) -> String {
    now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// At most [`MESSAGE_LENGTH`] characters; what is cut off shows.
pub(crate) fn shorten(message: &str) -> String {
    match message.char_indices().nth(MESSAGE_LENGTH as usize) {
        None => message.to_owned(),
        Some(_) => message.chars().take(MESSAGE_LENGTH as usize - 3).chain("...".chars()).collect(),
    }
}
