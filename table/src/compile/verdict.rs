//! What the compiler says about an object: how many rows count, which do not and why, in the words of the status.

use std::collections::BTreeSet;

use rivmesh_crds::{ConditionStatus, ConditionType, Finding, Reason, RowCounts, RowError, limits};

use super::Compiler;
use super::intake::{Body, Version};
use crate::ObjectId;

/// How many contracts without settings a message names.
const NAMED_CONTRACTS: usize = 3;

/// The compiler's judgement on one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The object.
    pub id: ObjectId,
    /// The uid of the object that was judged, where it has one.
    pub uid: Option<String>,
    /// The generation that was judged.
    pub generation: i64,
    /// How many rows the object stands for, how many are in the table, and how many were refused.
    pub rows: RowCounts,
    /// The first rows that were refused, at most `rivmesh_crds::limits::ROW_ERRORS`.
    pub errors: Vec<RowError>,
    /// The condition `Accepted`.
    pub accepted: Finding,
    /// The condition `ResolvedRefs`.
    pub resolved_refs: Finding,
}

impl Compiler {
    /// The judgement on an object as of the last compilation. One that came or changed since is judged alone.
    pub fn verdict(&self, id: &ObjectId) -> Option<Verdict> {
        let number = *self.objects.get(id)?;
        Some(self.judge(number, self.versions.get(number)?))
    }

    /// The judgements on all objects, in order.
    pub fn verdicts(&self) -> impl Iterator<Item = Verdict> + '_ {
        self.objects.values().filter_map(|number| Some(self.judge(*number, self.versions.get(*number)?)))
    }

    fn judge(&self, number: u32, version: &Version) -> Verdict {
        let mut errors = version.faults.errors.clone();
        let mut reasons = version.faults.reasons.clone();
        let mut rejected = version.faults.rows;
        if self.refused.contains(&number) {
            rejected = version.total;
            reasons.insert(Reason::TooManyRows);
            errors.insert(0, self.beyond_limits_error(version));
        }
        let lost = self.lost_rows(number);
        if !lost.is_empty() {
            rejected += lost.len() as u32;
            reasons.insert(Reason::Conflict);
            errors.extend(lost);
        }
        errors.truncate(limits::ROW_ERRORS as usize);
        let in_table = if version.suspended { 0 } else { version.total - rejected };
        let rows = RowCounts { total: version.total, programmed: in_table, rejected };
        Verdict {
            accepted: accepted(version, rows, &reasons, &errors),
            resolved_refs: self.resolved_refs(version),
            id: version.id.clone(),
            uid: version.uid.clone(),
            generation: version.generation,
            rows,
            errors,
        }
    }

    /// The errors of all rows that lost against other objects, by address and contract.
    fn lost_rows(&self, number: u32) -> Vec<RowError> {
        let mut lost = Vec::new();
        if let Some(winner) = self.contracts.winner_over(number).and_then(|winner| self.versions.get(winner))
            && let Some(Version { body: Body::Contract(contract), .. }) = self.versions.get(number)
        {
            let urn = self.interner.text(contract.urn);
            let why = self.versions.get(number).map_or("name", |loser| why_stronger(winner, loser));
            let message = format!(
                "ServiceContract {} speaks for the same contract, and wins by {why}: delete one of the two",
                winner.id
            );
            lost.push(conflict(urn, None, message));
        }
        for (_, slot) in self.losses.range((number, 0)..=(number, u16::MAX)) {
            let losses = &self.slots[usize::from(*slot)].losses;
            for loss in losses.iter().filter(|loss| loss.loser == number) {
                let Some(winner) = self.versions.get(loss.winner) else { continue };
                let text = |symbol| self.interner.text(symbol);
                let message = format!(
                    "RoutingEntry {} has a row for the same contract, address, profile and time, and wins by {}: \
                     remove one of the two rows, or raise the precedence of the right one",
                    winner.id,
                    self.versions.get(number).map_or("name", |loser| why_stronger(winner, loser)),
                );
                lost.push(conflict(text(loss.contract), Some(text(loss.address)), message));
            }
        }
        lost.sort_unstable_by(|a, b| {
            (&a.logical_address, &a.service_contract).cmp(&(&b.logical_address, &b.service_contract))
        });
        lost
    }

    fn beyond_limits_error(&self, version: &Version) -> RowError {
        let limits = self.options.max_rows;
        let message = format!(
            "the rows of this object no longer fit: a namespace may have {} rows, the platform {} in all, and older \
             objects go first; remove rows from namespace {} or raise the platform's limits",
            limits.per_namespace, limits.total, version.id.namespace
        );
        RowError { service_contract: None, logical_address: None, consumer: None, reason: Reason::TooManyRows, message }
    }

    fn resolved_refs(&self, version: &Version) -> Finding {
        let finding = |status, reason, message| Finding::new(ConditionType::ResolvedRefs, status, reason, message);
        if version.body.contracts().is_empty() {
            return finding(ConditionStatus::True, Reason::ResolvedRefs, "nothing is referred to".to_owned());
        }
        let names = self.names();
        let mut unknown: Vec<&str> = version
            .body
            .contracts()
            .iter()
            .map(|contract| names.resolve(*contract))
            .filter(|contract| !names.declared.contains(&self.interner.identity(*contract)))
            .map(|contract| self.interner.text(contract))
            .collect();
        if unknown.is_empty() {
            let message = "every contract has a ServiceContract".to_owned();
            return finding(ConditionStatus::True, Reason::ResolvedRefs, message);
        }
        unknown.sort_unstable();
        let count = unknown.len();
        unknown.truncate(NAMED_CONTRACTS);
        let more =
            if count > NAMED_CONTRACTS { format!(" and {} more", count - NAMED_CONTRACTS) } else { String::new() };
        let message = format!(
            "no ServiceContract names {}{more}: the platform's defaults apply until one does",
            unknown.join(", ")
        );
        finding(ConditionStatus::False, Reason::UnknownContract, message)
    }
}

fn conflict(contract: &str, address: Option<&str>, message: String) -> RowError {
    RowError {
        service_contract: Some(contract.to_owned()),
        logical_address: address.map(str::to_owned),
        consumer: None,
        reason: Reason::Conflict,
        message,
    }
}

/// The first rule that tells two rivals apart.
fn why_stronger(winner: &Version, loser: &Version) -> &'static str {
    let precedence = |version: &Version| match &version.body {
        Body::Routes(routes) => routes.precedence,
        Body::Grants(_) | Body::Contract(_) | Body::Nothing => 0,
    };
    if precedence(winner) != precedence(loser) {
        "precedence"
    } else if winner.created != loser.created {
        "age"
    } else if winner.path != loser.path {
        "path"
    } else {
        "name"
    }
}

fn accepted(version: &Version, rows: RowCounts, reasons: &BTreeSet<Reason>, errors: &[RowError]) -> Finding {
    let finding = |status, reason, message| Finding::new(ConditionType::Accepted, status, reason, message);
    let first = errors.first().map(told).unwrap_or_default();
    let RowCounts { total, rejected, .. } = rows;
    if rejected == total {
        let reason = if reasons.len() == 1 { *reasons.iter().next().expect("one") } else { Reason::Invalid };
        let message = match errors.len() {
            1 if total <= 1 => first,
            _ if total == 1 => format!("its row cannot be used: {first}"),
            _ => format!("none of the {total} rows can be used: {first}"),
        };
        return finding(ConditionStatus::False, reason, message);
    }
    if version.suspended {
        let message =
            format!("suspended: none of the {total} rows is in force; set spec.suspend to false to change that");
        return finding(ConditionStatus::True, Reason::Suspended, message);
    }
    if rejected > 0 {
        let message = format!("{rejected} of {total} rows were refused, the others count; the first: {first}");
        return finding(ConditionStatus::True, Reason::PartiallyAccepted, message);
    }
    let message = match total {
        1 => "the row is accepted".to_owned(),
        _ => format!("all {total} rows are accepted"),
    };
    finding(ConditionStatus::True, Reason::Accepted, message)
}

/// An error as part of a sentence.
fn told(error: &RowError) -> String {
    let about = [&error.service_contract, &error.logical_address, &error.consumer];
    let about: Vec<&str> = about.into_iter().flatten().map(String::as_str).collect();
    if about.is_empty() { error.message.clone() } else { format!("{}: {}", about.join(", "), error.message) }
}
