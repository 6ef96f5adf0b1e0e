//! Who routes by what: the dataplanes that are connected here, those that other replicas of the operator write about in
//! their reports, and the pods that take calls whether or not they are connected to anybody. From these follows, as
//! pure functions, how far a change has come.
//!
//! There is no account of every object on every pod: a replica says up to which versions *all* its dataplanes are, and
//! names only the exceptions.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use rivmesh_sync::grpc::StreamId;
use rivmesh_sync::limits::SILENT_AFTER;
use rivmesh_table::{Digest, SlotId};
use serde::{Deserialize, Serialize};

use crate::versions::Versions;

/// So many groups of silent dataplanes are told apart in a report, and as many of refusing ones.
const MAX_GROUPS: usize = 4;
/// The longest sentence of a report, in bytes.
const MAX_SENTENCE: usize = 512;

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

/// Where a change begins to be routed: the tables of this process from an epoch on, and those of another replica that
/// were compiled from at least these versions.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Mark {
    /// The first epoch of this process with the change.
    pub epoch: u64,
    /// What a replica must have read to have the change.
    pub changed: Versions,
}

/// What one replica says about its dataplanes, for the one that writes statuses.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Report {
    /// Versions that all the pods in `pods` route by; meaningless without pods.
    #[serde(default)]
    pub floor: Versions,
    /// Pods that answer.
    #[serde(default)]
    pub pods: Vec<String>,
    /// Pods that do not, or that refused a table, those together that are equally far.
    #[serde(default)]
    pub exceptions: Vec<Exception>,
}

/// Dataplanes that do not keep up. What is said is true of each of them, so that a reader that knows nothing of
/// `also`, as before it was there, comes to the same verdict by the first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exception {
    /// The name of one.
    pub pod: String,
    /// The names of the others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<String>,
    /// What they route by, at the least.
    pub has: Versions,
    /// The table that they refused, if they are not just silent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<RefusedElsewhere>,
}

/// A table that dataplanes of another replica refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedElsewhere {
    /// What the table was compiled from.
    pub read: Versions,
    /// The whole sentence, as of one of them.
    pub sentence: String,
}

impl Exception {
    /// The names of all.
    pub fn pods(&self) -> impl Iterator<Item = &String> {
        std::iter::once(&self.pod).chain(&self.also)
    }
}

/// The pods that take calls, as the cluster sees them.
#[derive(Debug, Clone, Default)]
pub struct ReadyPods {
    /// Since when a pod has been connected to nobody; none if it is connected.
    missing: BTreeMap<String, Option<Instant>>,
}

/// Whether it is known which pods take calls.
#[derive(Debug, Clone, Default)]
pub enum Ready {
    /// There is no cluster to ask: whoever is connected counts.
    #[default]
    NoCluster,
    /// The cluster has not said it yet.
    Unknown,
    /// These do.
    Known(ReadyPods),
}

/// Everybody who routes calls, as far as this replica knows.
#[derive(Debug, Clone, Default)]
pub struct Fleet {
    /// Dataplanes that are connected here.
    pub own: Vec<Dataplane>,
    /// What the other replicas last wrote about theirs, the latest first. A pod that several claim has moved: the one
    /// that it is connected to now counts, and of the others the latest.
    pub peers: Vec<Report>,
    /// Whether the other replicas can be heard. While they cannot, a pod that nobody seems to be connected to may well be
    /// connected to one of them.
    pub hears: bool,
    /// The pods that take calls.
    pub ready: Ready,
}

/// How far a change has come.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Standing {
    /// Dataplanes that matter.
    pub total: usize,
    /// Those that route by it.
    pub done: usize,
    /// Those that do not answer, and are not waited for.
    pub silent: Vec<String>,
    /// Why one refused it, if one did.
    pub refusal: Option<String>,
    /// Whether there may be others that matter: it is not known yet which pods take calls.
    pub unknown: bool,
}

impl Standing {
    /// Those that are waited for.
    pub fn awaited(&self) -> usize {
        self.total - self.silent.len()
    }
}

impl Fleet {
    /// How far the change at `mark` has come at `now`.
    pub fn standing(&self, mark: &Mark, now: Instant) -> Standing {
        let mut standing = Standing { unknown: matches!(self.ready, Ready::Unknown), ..Standing::default() };
        let mut counted: BTreeSet<&str> = BTreeSet::new();
        for dataplane in self.own.iter().filter(|dataplane| self.matters(dataplane)) {
            standing.total += 1;
            counted.insert(&dataplane.pod);
            let refused = dataplane.refused.as_ref().filter(|refused| refused.epoch >= mark.epoch);
            match refused {
                _ if dataplane.epoch >= mark.epoch => standing.done += 1,
                Some(refused) => standing.refuse(|| describe(dataplane, refused)),
                None if dataplane.silent => standing.silent.push(dataplane.pod.clone()),
                None => {}
            }
        }
        for report in &self.peers {
            let has_it = report.floor.covers(&mark.changed);
            for _ in report.pods.iter().filter(|pod| counted.insert(pod)) {
                standing.total += 1;
                standing.done += usize::from(has_it);
            }
            for exception in &report.exceptions {
                let has_it = exception.has.covers(&mark.changed);
                for pod in exception.pods().filter(|pod| counted.insert(pod)) {
                    standing.total += 1;
                    match &exception.refused {
                        _ if has_it => standing.done += 1,
                        Some(refused) if refused.read.covers(&mark.changed) => {
                            standing.refuse(|| refused.sentence.clone());
                        }
                        Some(_) => {}
                        None => standing.silent.push(pod.clone()),
                    }
                }
            }
        }
        if let Some(ready) = self.ready.pods() {
            standing.total += ready.missing().count();
            standing.silent.extend(ready.overdue(now).map(str::to_owned));
        }
        standing.silent.sort();
        standing
    }

    /// A pod that takes no calls and never had a table of ours need not have it.
    fn matters(&self, dataplane: &Dataplane) -> bool {
        dataplane.epoch > 0 || self.ready.pods().is_none_or(|ready| ready.missing.contains_key(&dataplane.pod))
    }

    /// What this replica has to say about its own dataplanes; `read` tells from what an epoch was compiled. However
    /// many do not keep up, the report stays short: it says more than a name of a few groups only.
    pub fn report(&self, read: impl Fn(u64) -> Versions) -> Report {
        let mut report = Report::default();
        let mut lowest = None;
        let (mut silent, mut refusing) = (Lagging::new(), Lagging::new());
        for dataplane in self.own.iter().filter(|dataplane| self.matters(dataplane)) {
            if let Some(refused) = &dataplane.refused {
                refusing.entry((dataplane.epoch, refused.epoch)).or_default().push(dataplane);
                continue;
            }
            if dataplane.silent {
                silent.entry((dataplane.epoch, 0)).or_default().push(dataplane);
                continue;
            }
            report.pods.push(dataplane.pod.clone());
            lowest = Some(lowest.map_or(dataplane.epoch, |lowest: u64| lowest.min(dataplane.epoch)));
        }
        report.floor = lowest.map(&read).unwrap_or_default();
        report.pods.sort();
        let lagging = few(silent).into_iter().chain(few(refusing));
        report.exceptions = lagging.filter_map(|(epochs, dataplanes)| exception(epochs, dataplanes, &read)).collect();
        report
    }

    /// The names of all dataplanes that somebody is connected to.
    fn connected(&self) -> BTreeSet<&str> {
        let own = self.own.iter().map(|dataplane| dataplane.pod.as_str());
        let elsewhere = self.peers.iter().flat_map(|report| {
            let exceptions = report.exceptions.iter().flat_map(Exception::pods);
            report.pods.iter().chain(exceptions).map(String::as_str)
        });
        own.chain(elsewhere).collect()
    }

    /// Notes at `now` which of the pods that take calls are connected to nobody. To be called after every change. How
    /// long they have been is counted only while the other replicas can be heard, and anew after that.
    pub fn note_missing(&mut self, now: Instant) {
        let mut ready = std::mem::take(&mut self.ready);
        let connected = self.connected();
        for (pod, since) in ready.pods_mut().into_iter().flat_map(|pods| &mut pods.missing) {
            let before = since.filter(|_| self.hears);
            *since = if connected.contains(pod.as_str()) { None } else { before.or(Some(now)) };
        }
        self.ready = ready;
    }
}

impl Ready {
    /// The pods that take calls, if that is known.
    pub fn pods(&self) -> Option<&ReadyPods> {
        match self {
            Self::Known(pods) => Some(pods),
            Self::NoCluster | Self::Unknown => None,
        }
    }

    /// These pods take calls now. What was known of them is kept.
    pub fn replace(&mut self, pods: impl IntoIterator<Item = String>) {
        let mut known = match std::mem::take(self) {
            Self::Known(known) => known,
            Self::NoCluster | Self::Unknown => ReadyPods::default(),
        };
        known.replace(pods);
        *self = Self::Known(known);
    }

    fn pods_mut(&mut self) -> Option<&mut ReadyPods> {
        match self {
            Self::Known(pods) => Some(pods),
            Self::NoCluster | Self::Unknown => None,
        }
    }
}

impl ReadyPods {
    fn replace(&mut self, pods: impl IntoIterator<Item = String>) {
        let mut before = std::mem::take(&mut self.missing);
        self.missing = pods.into_iter().map(|pod| (pod.clone(), before.remove(&pod).flatten())).collect();
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.missing.len()
    }

    /// Whether no pod takes calls.
    pub fn is_empty(&self) -> bool {
        self.missing.is_empty()
    }

    /// Those that are connected to nobody, and since when.
    pub fn missing(&self) -> impl Iterator<Item = (&str, Instant)> {
        self.missing.iter().filter_map(|(pod, since)| Some((pod.as_str(), (*since)?)))
    }

    /// Those that have been for so long that they are no longer waited for.
    pub fn overdue(&self, now: Instant) -> impl Iterator<Item = &str> {
        let is_overdue = move |since: Instant| now.saturating_duration_since(since) >= SILENT_AFTER;
        self.missing().filter(move |(_, since)| is_overdue(*since)).map(|(pod, _)| pod)
    }
}

impl Standing {
    fn refuse(&mut self, sentence: impl FnOnce() -> String) {
        if self.refusal.is_none() {
            self.refusal = Some(sentence());
        }
    }
}

/// Dataplanes that do not keep up, by the epochs that they have and have refused.
type Lagging<'a> = BTreeMap<(u64, u64), Vec<&'a Dataplane>>;

/// Of more groups than [`MAX_GROUPS`], those furthest behind are taken together, as if all were as far as the last: then
/// too little is said of some, and never too much.
fn few(mut groups: Lagging<'_>) -> Lagging<'_> {
    while groups.len() > MAX_GROUPS
        && let (Some((last, mut dataplanes)), Some((next, more))) = (groups.pop_first(), groups.pop_first())
    {
        dataplanes.extend(more);
        let epochs = (last.0.min(next.0), last.1.min(next.1));
        groups.insert(epochs, dataplanes);
    }
    groups
}

/// What is said of dataplanes that have at least the first of these epochs and refused at least the second.
fn exception(
    (has, refused): (u64, u64),
    mut dataplanes: Vec<&Dataplane>,
    read: impl Fn(u64) -> Versions,
) -> Option<Exception> {
    dataplanes.sort_by(|one, other| one.pod.cmp(&other.pod));
    let mut pods = dataplanes.iter().map(|dataplane| dataplane.pod.clone());
    let (pod, also) = (pods.next()?, pods.collect());
    let sentence = dataplanes.iter().find_map(|dataplane| {
        let its = dataplane.refused.as_ref().filter(|its| its.epoch == refused)?;
        Some(cut(describe(dataplane, its)))
    });
    let refused = sentence.map(|sentence| RefusedElsewhere { read: read(refused), sentence });
    Some(Exception { pod, also, has: read(has), refused })
}

fn cut(sentence: String) -> String {
    if sentence.len() <= MAX_SENTENCE {
        return sentence;
    }
    let end = (0..=MAX_SENTENCE).rev().find(|end| sentence.is_char_boundary(*end)).unwrap_or_default();
    format!("{}...", &sentence[..end])
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
