//! What would have matched if the question were slightly different: the same contract at another address, another
//! version at the same address, a search that is switched off. For the CLI and the log; a consumer is told none of it.

use std::fmt;

use serde::Serialize;

use crate::explain::name_of;
use crate::lookup::ROOT;
use crate::{DEFAULT_ADDRESS, Query, Table, fold};

/// How many near misses of each kind are told.
const EACH: usize = 3;

/// A row that nearly matched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NearMiss {
    /// In what it differs from the question.
    pub kind: NearMissKind,
    /// The object that it comes from, `namespace/name`.
    pub object: String,
    /// Its contract.
    pub contract: String,
    /// Its logical address.
    pub address: String,
    /// Its consumer, for an authorisation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consumer: Option<String>,
}

/// In what a near miss differs from the question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum NearMissKind {
    /// The address in the message has white space around it.
    WhiteSpace,
    /// It lies at an ancestor, and this call does not search the hierarchy.
    HierarchyOff,
    /// It lies at `*`, and this call does not search the default.
    DefaultOff,
    /// It is for another address.
    OtherAddress,
    /// It is for another contract.
    OtherContract,
    /// It is for another consumer.
    OtherConsumer,
}

impl fmt::Display for NearMiss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { object, contract, address, .. } = self;
        match (self.kind, &self.consumer) {
            (NearMissKind::WhiteSpace, _) => {
                write!(f, "{object} matches {address} once the white space around the message's address is removed")
            }
            (NearMissKind::HierarchyOff, _) => {
                write!(f, "{object} matches at the ancestor {address}, but this call does not search the hierarchy")
            }
            (NearMissKind::DefaultOff, _) => {
                write!(f, "{object} matches at {address}, but this call does not search the default")
            }
            (NearMissKind::OtherAddress, None) => write!(f, "{object} routes this contract at {address}"),
            (NearMissKind::OtherAddress, Some(_)) => write!(f, "{object} allows this consumer at {address}"),
            (NearMissKind::OtherContract, None) => write!(f, "{object} routes {contract} at {address}"),
            (NearMissKind::OtherContract, Some(_)) => write!(f, "{object} allows {contract} at {address}"),
            (NearMissKind::OtherConsumer, consumer) => {
                write!(f, "{object} allows {} at {address}", consumer.as_deref().unwrap_or("another consumer"))
            }
        }
    }
}

/// Routes that nearly matched. `tried` are the addresses that were searched.
pub(crate) fn routes(table: &Table, query: &Query<'_>, contract: &str, tried: &[String]) -> Vec<NearMiss> {
    let question = Question::new(table, query, tried);
    let mut found = Vec::new();
    for row in table.routes() {
        let is_contract = fold::eq(row.contract, contract);
        let Some(kind) = question.compare(row.address, is_contract, true) else { continue };
        let likeness = match kind {
            NearMissKind::OtherContract => likeness(row.contract, contract),
            _ => likeness(row.address, query.address),
        };
        found.push(Candidate { kind, likeness, row: (row.address, row.contract, None), object: row.owner });
        thin_out(&mut found, EACH * 100);
    }
    told(found)
}

/// Authorisations that nearly matched. `tried` are the addresses that were searched.
pub(crate) fn authorizations(table: &Table, query: &Query<'_>, contract: &str, tried: &[String]) -> Vec<NearMiss> {
    let question = Question::new(table, query, tried);
    let mut found = Vec::new();
    for row in table.authorizations() {
        let is_contract = fold::eq(row.contract, contract);
        let is_consumer = fold::eq(row.consumer, query.consumer);
        let Some(kind) = question.compare(row.address, is_contract, is_consumer) else { continue };
        let likeness = match kind {
            NearMissKind::OtherContract => likeness(row.contract, contract),
            NearMissKind::OtherConsumer => likeness(row.consumer, query.consumer),
            _ => likeness(row.address, query.address),
        };
        let columns = (row.address, row.contract, Some(row.consumer));
        found.push(Candidate { kind, likeness, row: columns, object: row.owner });
        thin_out(&mut found, EACH * 100);
    }
    told(found)
}

/// The question, with what would have been searched if everything were switched on.
struct Question<'a> {
    address: &'a str,
    tried: &'a [String],
    ancestors: Vec<&'a str>,
}

impl<'a> Question<'a> {
    fn new(table: &'a Table, query: &Query<'a>, tried: &'a [String]) -> Self {
        let mut ancestors: Vec<&str> = Vec::new();
        let mut unit = query.address;
        while let Some(parent) = table.parent(unit) {
            if ancestors.iter().any(|seen| fold::eq(seen, parent)) {
                break;
            }
            ancestors.push(parent);
            unit = parent;
        }
        if !ancestors.iter().any(|seen| fold::eq(seen, ROOT)) && !fold::eq(query.address, ROOT) {
            ancestors.push(ROOT);
        }
        Self { address: query.address, tried, ancestors }
    }

    /// In what a row differs from the question, if in one thing only.
    fn compare(&self, address: &str, is_contract: bool, is_consumer: bool) -> Option<NearMissKind> {
        let was_tried = self.tried.iter().any(|tried| fold::eq(tried, address));
        match (was_tried, is_contract, is_consumer) {
            // Rows that match altogether were met, and are told about where they were.
            (true, true, true) => None,
            (true, false, true) => Some(NearMissKind::OtherContract),
            (true, true, false) => Some(NearMissKind::OtherConsumer),
            (false, true, true) => Some(self.other_address(address)),
            _ => None,
        }
    }

    fn other_address(&self, address: &str) -> NearMissKind {
        if address == DEFAULT_ADDRESS {
            NearMissKind::DefaultOff
        } else if self.address.trim() != self.address && fold::eq(self.address.trim(), address) {
            NearMissKind::WhiteSpace
        } else if self.ancestors.iter().any(|ancestor| fold::eq(ancestor, address)) {
            NearMissKind::HierarchyOff
        } else {
            NearMissKind::OtherAddress
        }
    }
}

struct Candidate<'t> {
    kind: NearMissKind,
    likeness: usize,
    /// Address, contract, consumer.
    row: (&'t str, &'t str, Option<&'t str>),
    object: crate::Owner<'t>,
}

/// How much two names are alike: the bytes that they share at the beginning and at the end.
fn likeness(a: &str, b: &str) -> usize {
    let same = |(a, b): &(u8, u8)| a.eq_ignore_ascii_case(b);
    let start = a.bytes().zip(b.bytes()).take_while(same).count();
    let longest_end = a.len().min(b.len()) - start;
    let end = a.bytes().rev().zip(b.bytes().rev()).take_while(same).count();
    start + end.min(longest_end)
}

/// Keeps the best of each kind, once there are more than `most`.
fn thin_out(found: &mut Vec<Candidate<'_>>, most: usize) {
    if found.len() <= most {
        return;
    }
    found.sort_unstable_by(|a, b| {
        (a.kind, usize::MAX - a.likeness, a.row, a.object).cmp(&(b.kind, usize::MAX - b.likeness, b.row, b.object))
    });
    found.dedup_by(|a, b| a.kind == b.kind && a.row == b.row);
    let (mut kind, mut count) = (None, 0);
    found.retain(|candidate| {
        count = if kind == Some(candidate.kind) { count + 1 } else { 1 };
        kind = Some(candidate.kind);
        count <= EACH
    });
}

fn told(mut found: Vec<Candidate<'_>>) -> Vec<NearMiss> {
    thin_out(&mut found, 0);
    let near_miss = |candidate: Candidate<'_>| {
        let (address, contract, consumer) = candidate.row;
        NearMiss {
            kind: candidate.kind,
            object: name_of(&candidate.object),
            contract: contract.to_owned(),
            address: address.to_owned(),
            consumer: consumer.map(str::to_owned),
        }
    };
    found.into_iter().map(near_miss).collect()
}
