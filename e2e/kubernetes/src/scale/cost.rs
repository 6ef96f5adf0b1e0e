//! What something cost: processor time and memory of every process, requests to the API server, bytes pushed, and how
//! much of the machine others took meanwhile.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Context, Result};
use rivmesh_loadgen::processes::{self, Machine};

use super::installation::Installation;

/// Everything that is counted, at one instant.
pub(super) struct Totals {
    at: Instant,
    /// Processor seconds by process.
    processors: BTreeMap<String, f64>,
    /// Requests of both replicas.
    requests: BTreeMap<String, f64>,
    pushed: u64,
    machine: Machine,
}

/// What happened between two instants.
#[derive(Debug, Clone, Default)]
pub(super) struct Cost {
    pub(super) seconds: f64,
    /// Processor seconds by process.
    pub(super) processors: BTreeMap<String, f64>,
    /// Requests of both replicas of the operator to the API server, by verb and resource.
    pub(super) requests: BTreeMap<String, f64>,
    /// Bytes that the operators sent to dataplanes.
    pub(super) pushed: u64,
    /// The share of the machine that programs took which are no part of the measurement.
    pub(super) foreign: f64,
}

/// Memory of a process, in kB.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Memory {
    /// Resident now.
    pub(super) resident: u64,
    /// The most that was ever resident.
    pub(super) peak: u64,
}

/// The name under which the measurement itself is counted, kubectl, callers and producers with it.
const ITSELF: &str = "kubectl, callers, producers";

impl Totals {
    pub(super) async fn now(installation: &Installation<'_>) -> Result<Self> {
        let mut processors = BTreeMap::new();
        for (name, id) in installation.processes().await {
            processors.insert(name, seconds(id)?);
        }
        processors.insert(ITSELF.to_owned(), processes::own_cpu_s() + processes::ended_children_cpu_s());
        let mut requests = BTreeMap::new();
        for pair in installation.pairs() {
            for (labels, count) in pair.operator.metrics("rivmesh_operator_api_requests_total")? {
                *requests.entry(request(&labels)).or_default() += count;
            }
        }
        let (pushed, machine) = (installation.pushed(), processes::machine());
        Ok(Self { at: Instant::now(), processors, requests, pushed, machine })
    }

    /// What has happened since `before`.
    pub(super) fn since(&self, before: &Self) -> Cost {
        let processors = difference(&self.processors, &before.processors);
        let (known, machine): (f64, Machine) = (processors.values().sum(), self.machine - before.machine);
        let all = machine.busy_s + machine.idle_s + machine.steal_s;
        let foreign = if all > 0.0 { ((machine.busy_s + machine.steal_s - known) / all).max(0.0) } else { 0.0 };
        Cost {
            seconds: (self.at - before.at).as_secs_f64(),
            processors,
            requests: difference(&self.requests, &before.requests),
            pushed: self.pushed - before.pushed,
            foreign,
        }
    }
}

/// Memory of every process.
pub(super) async fn memory(installation: &Installation<'_>) -> Result<BTreeMap<String, Memory>> {
    let mut found = BTreeMap::new();
    for (name, id) in installation.processes().await {
        found.insert(name, memory_of(id)?);
    }
    Ok(found)
}

/// Memory of one process.
pub(super) fn memory_of(id: u32) -> Result<Memory> {
    let usage = processes::usage(id).with_context(|| format!("process {id} has ended"))?;
    Ok(Memory { resident: usage.rss_kb, peak: usage.hwm_kb })
}

/// Processor seconds of one process.
pub(super) fn seconds(id: u32) -> Result<f64> {
    let usage = processes::usage(id).with_context(|| format!("process {id} has ended"))?;
    Ok(usage.user_s + usage.sys_s)
}

fn difference(now: &BTreeMap<String, f64>, before: &BTreeMap<String, f64>) -> BTreeMap<String, f64> {
    let difference = |(name, value): (&String, &f64)| (name.clone(), value - before.get(name).copied().unwrap_or(0.0));
    now.iter().map(difference).filter(|(_, value)| *value > 0.0).collect()
}

/// A request by its labels, in words: `patch routingentries/status`, and the status of the answer if it was no success.
fn request(labels: &str) -> String {
    let label = |name: &str| {
        let (_, rest) = labels.split_once(&format!("{name}=\""))?;
        rest.split('"').next()
    };
    let (verb, resource) = (label("verb").unwrap_or("?"), label("resource").unwrap_or("?"));
    match label("code") {
        Some(code) if !code.starts_with('2') => format!("{verb} {resource}: {code}"),
        _ => format!("{verb} {resource}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_named_and_failures_kept_apart() {
        let labels = "{verb=\"patch\",resource=\"routingentries/status\",code=\"200\"}";
        assert_eq!(request(labels), "patch routingentries/status");
        assert_eq!(request(&labels.replace("200", "409")), "patch routingentries/status: 409");
        assert_eq!(request(&labels.replace("200", "none")), "patch routingentries/status: none");
    }

    #[test]
    fn a_cost_is_what_was_added() {
        let totals = |seconds: f64, requests: f64, busy_s: f64| Totals {
            at: Instant::now(),
            processors: BTreeMap::from([("etcd".to_owned(), seconds), ("idle".to_owned(), 1.0)]),
            requests: BTreeMap::from([("get leases".to_owned(), requests)]),
            pushed: 5,
            machine: Machine { busy_s, idle_s: 10.0 - busy_s, steal_s: 0.0 },
        };
        let (before, mut after) = (totals(1.0, 2.0, 0.0), totals(3.0, 7.0, 4.0));
        after.machine.idle_s += 10.0;
        let cost = after.since(&before);
        assert_eq!(cost.processors, BTreeMap::from([("etcd".to_owned(), 2.0)]));
        assert_eq!(cost.requests["get leases"], 5.0);
        // Of ten seconds four were busy, and two of those were etcd's.
        assert!((cost.foreign - 0.2).abs() < 1e-9, "{}", cost.foreign);
    }
}
