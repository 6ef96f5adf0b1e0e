//! The row limits per namespace and in all. Within them nothing happens; beyond them the oldest objects keep their
//! rows and the youngest are refused whole, so that nobody can push others out by adding more.

use std::collections::BTreeSet;

use hashbrown::{HashMap, HashSet};

use super::Compiler;
use super::intake::{Body, Version};
use super::rows::seniority;

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
        let mut total = 0;
        let mut by_namespace: HashMap<&str, u64> = HashMap::new();
        for (_, version) in self.versions.iter() {
            total += rows(version);
            *by_namespace.entry(version.id.namespace.as_str()).or_default() += rows(version);
        }
        if total <= limits.total && by_namespace.values().all(|rows| *rows <= limits.per_namespace) {
            return HashSet::new();
        }
        let mut by_age: Vec<(u32, &Version)> = self.versions.iter().filter(|(_, version)| rows(version) > 0).collect();
        by_age.sort_unstable_by(|(_, a), (_, b)| seniority(a, b));
        let mut refused = HashSet::new();
        total = 0;
        by_namespace.clear();
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

/// Rows that count against the limits.
fn rows(version: &Version) -> u64 {
    match version.body {
        Body::Routes(_) | Body::Grants(_) if !version.suspended => version.body.rows().into(),
        Body::Routes(_) | Body::Grants(_) | Body::Contract(_) | Body::Nothing => 0,
    }
}
