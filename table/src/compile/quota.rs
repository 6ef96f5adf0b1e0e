//! The row limits per namespace and in all. Within them nothing happens; beyond them the oldest objects keep their
//! rows and the youngest are refused whole, so that nobody can push others out by adding more.

use std::collections::BTreeSet;

use hashbrown::hash_map::EntryRef;
use hashbrown::{HashMap, HashSet};

use super::intake::{Body, Version};
use super::rows::seniority;
use super::{Compiler, RowLimits};

impl Compiler {
    /// Decides anew which objects fit, and marks what came in or fell out.
    pub(super) fn apply_quota(&mut self, changed: &mut BTreeSet<u32>) {
        let refused = self.beyond_limits();
        let turned: Vec<u32> = self.refused.symmetric_difference(&refused).copied().collect();
        for number in turned {
            self.mark_dirty(number);
            changed.insert(number);
        }
        self.refused = refused;
    }

    fn beyond_limits(&self) -> HashSet<u32> {
        let limits = self.options.max_rows;
        if self.versions.rows.are_within(limits) {
            return HashSet::new();
        }
        let mut by_age: Vec<(u32, &Version)> = self.versions.iter().filter(|(_, version)| rows(version) > 0).collect();
        by_age.sort_unstable_by(|(_, a), (_, b)| seniority(a, b));
        let mut refused = HashSet::new();
        let mut total = 0;
        let mut by_namespace: HashMap<&str, u64> = HashMap::new();
        for (number, version) in by_age {
            let in_namespace = by_namespace.entry(version.id.namespace.as_str()).or_default();
            let rows = rows(version);
            if total + rows > limits.total || *in_namespace + rows > limits.per_namespace {
                refused.insert(number);
                continue;
            }
            total += rows;
            *in_namespace += rows;
        }
        refused
    }
}

/// How many rows all versions together would have.
#[derive(Debug, Default)]
pub(super) struct Rows {
    total: u64,
    by_namespace: HashMap<String, u64>,
}

impl Rows {
    pub(super) fn add(&mut self, version: &Version) {
        self.total += rows(version);
        *self.by_namespace.entry_ref(version.id.namespace.as_str()).or_default() += rows(version);
    }

    /// Takes out a version that was added.
    pub(super) fn subtract(&mut self, version: &Version) {
        self.total -= rows(version);
        if let EntryRef::Occupied(mut in_namespace) = self.by_namespace.entry_ref(version.id.namespace.as_str()) {
            *in_namespace.get_mut() -= rows(version);
            if *in_namespace.get() == 0 {
                in_namespace.remove();
            }
        }
    }

    fn are_within(&self, limits: RowLimits) -> bool {
        self.total <= limits.total && self.by_namespace.values().all(|rows| *rows <= limits.per_namespace)
    }
}

/// Rows that count against the limits.
fn rows(version: &Version) -> u64 {
    match version.body {
        Body::Routes(_) | Body::Grants(_) if !version.suspended => version.body.rows().into(),
        Body::Routes(_) | Body::Grants(_) | Body::Contract(_) | Body::Nothing => 0,
    }
}
