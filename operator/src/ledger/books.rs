//! The books behind the ledger: every object with its verdict, its status and how far it has come. Plain state and plain
//! functions, with the time as an argument; who may look and who is told is the ledger's business.
//!
//! Objects that are on their way to the dataplanes stand in groups that have come equally far, so that an answer of a
//! dataplane costs a look at the groups and not at every object.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rivmesh_crds::{ConditionStatus, ConditionType, Finding, Status};
use rivmesh_sync::grpc::StreamId;
use rivmesh_table::{ObjectId, Verdict};

use super::dispute::Dispute;
use super::outbox::Outbox;
use super::{Observed, Publication, Write};
use crate::guard::Held;
use crate::rollout::{Dataplane, Fleet, Mark};
use crate::source::{Problem, Reach};
use crate::status::{self, Progress, condition};
use crate::versions::Versions;

/// Words of a finding that only counts on ("3 of 4") are brought into the objects this often at most.
const RECOUNT: Duration = Duration::from_secs(1);
/// Epochs whose versions are remembered; a dataplane that is further behind is behind.
const REMEMBERED_EPOCHS: usize = 256;
/// That statuses do not stay as written is told this often at most: with old definitions it is so for every object.
const RETELL: Duration = Duration::from_secs(300);

#[derive(Debug, Default)]
pub(super) struct Books {
    pub(super) revision: u64,
    pub(super) objects: BTreeMap<ObjectId, Entry>,
    groups: BTreeMap<Stage, Group>,
    pub(super) not_ready: usize,
    pub(super) problems: Arc<[Problem]>,
    pub(super) published: Option<Publication>,
    pub(super) held: Option<Arc<Held>>,
    pub(super) fleet: Fleet,
    /// Pods that were told to be missing.
    told_missing: BTreeSet<String>,
    /// From what each epoch was compiled.
    reads: BTreeMap<u64, Versions>,
    /// What must have been read for all changes that are published.
    pub(super) changed: Versions,
    /// What the API server has, where there is one.
    stored: BTreeMap<ObjectId, Stored>,
    pub(super) outbox: Outbox,
    /// When it was told that a status does not stay as written.
    told_dispute: Option<Instant>,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) verdict: Verdict,
    /// Where it waits; none once every dataplane has had its present generation.
    stage: Option<Stage>,
    pub(super) status: Status,
    dispute: Dispute,
}

/// What an API server has of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stored {
    uid: String,
    version: u64,
    /// Our part of its status.
    ours: Status,
    /// The generation that its status speaks of, whoever wrote it.
    observed_generation: i64,
}

/// How far an object's present generation has come, short of everywhere.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Compiled,
    Published(Mark),
}

/// Objects that have come equally far.
#[derive(Debug, Default)]
struct Group {
    objects: BTreeSet<ObjectId>,
    /// Those that have not been told of the finding.
    fresh: BTreeSet<ObjectId>,
    finding: Option<Finding>,
    told_at: Option<Instant>,
}

/// An object that has become ready, or is not.
pub(super) type News = (ObjectId, Status);

impl Books {
    /// Takes in a new verdict.
    pub(super) fn judge(&mut self, verdict: Verdict, now: Timestamp, clock: Instant) {
        let id = verdict.id.clone();
        let is_another = self.objects.get(&id).is_some_and(|entry| entry.verdict.uid != verdict.uid);
        if is_another {
            // It was deleted and created anew: what the one before had come to is not its own.
            self.forget(&id);
        }
        match self.objects.remove(&id) {
            None => {
                let stored = self.stored.get(&id).filter(|stored| Some(&stored.uid) == verdict.uid.as_ref());
                let status = stored.map(|stored| stored.ours.clone()).unwrap_or_default();
                self.not_ready += usize::from(!is_ready(&status));
                let stage = if status::is_programmed(&status, &verdict) { None } else { Some(Stage::Compiled) };
                self.objects
                    .insert(id.clone(), Entry { verdict, stage: stage.clone(), status, dispute: Dispute::default() });
                self.enter(&id, stage, now, clock);
            }
            Some(mut entry) => {
                // A verdict may change while the object stays as it is: a rival came or went.
                let is_same = entry.verdict.generation == verdict.generation && entry.verdict.rows == verdict.rows;
                entry.verdict = verdict;
                let before = entry.stage.take();
                let stage = if is_same { before.clone() } else { Some(Stage::Compiled) };
                entry.stage.clone_from(&stage);
                self.objects.insert(id.clone(), entry);
                self.leave(&id, before.as_ref());
                self.enter(&id, stage, now, clock);
            }
        }
    }

    /// The object is gone. True if it was known.
    pub(super) fn forget(&mut self, id: &ObjectId) -> bool {
        self.outbox.remove(id);
        let Some(entry) = self.objects.remove(id) else { return false };
        self.not_ready -= usize::from(!is_ready(&entry.status));
        self.leave(id, entry.stage.as_ref());
        true
    }

    /// The API server has this of an object. True if somebody is to be told that its status does not stay as written.
    pub(super) fn observe(&mut self, observed: Observed, clock: Instant) -> bool {
        let id = observed.id.clone();
        // The versions of one kind are in order, whichever object of a name they are of.
        if self.stored.get(&id).is_some_and(|stored| stored.version > observed.version) {
            return false;
        }
        let stored = Stored::from(observed);
        let is_change = |before: Stored| before.uid == stored.uid && before.ours != stored.ours;
        let is_changed = self.stored.insert(id.clone(), stored.clone()).is_some_and(is_change);
        // While a write is under way this may be its own doing, of which its answer tells.
        let is_overwritten = is_changed && !self.outbox.is_in_flight(&id) && self.differs(&id);
        let is_worth_telling = is_overwritten && self.lose(&id, clock);
        self.compare(&id, clock);
        is_worth_telling
    }

    /// A write of this status was answered, and the object was this then. True if somebody is to be told that the status
    /// does not stay as written.
    pub(super) fn answered(&mut self, written: &Status, observed: Observed, clock: Instant) -> bool {
        let (id, uid) = (observed.id.clone(), observed.uid.clone());
        if !self.stored.contains_key(&id) {
            // It is gone since then, and a late answer does not bring it back.
            return false;
        }
        self.observe(observed, clock);
        let Some(entry) = self.objects.get_mut(&id) else { return false };
        entry.dispute.wrote(clock);
        // The source may have told of another writer already.
        let is_other = |stored: &Stored| stored.uid == uid && stored.ours != *written;
        let is_lost = self.stored.get(&id).is_some_and(is_other);
        let is_worth_telling = is_lost && self.lose(&id, clock);
        self.compare(&id, clock);
        is_worth_telling
    }

    /// The API server no longer has an object.
    pub(super) fn observe_end(&mut self, id: &ObjectId, uid: &str) {
        if self.stored.get(id).is_some_and(|stored| stored.uid == uid) {
            self.stored.remove(id);
            self.outbox.remove(id);
        }
    }

    /// Everything compiled is in the tables from this epoch on, for which the source was read that far.
    pub(super) fn advance(&mut self, epoch: u64, reach: &Reach) {
        self.reads.entry(epoch).or_default().raise_all(&reach.read);
        self.changed.raise_all(&reach.changed);
        while self.reads.len() > REMEMBERED_EPOCHS {
            self.reads.pop_first();
        }
        let Some(compiled) = self.groups.remove(&Stage::Compiled) else { return };
        let stage = Stage::Published(Mark { epoch, changed: reach.changed.clone() });
        for id in &compiled.objects {
            if let Some(entry) = self.objects.get_mut(id) {
                entry.stage = Some(stage.clone());
            }
        }
        let group = self.groups.entry(stage).or_default();
        group.fresh.extend(compiled.objects.iter().cloned());
        group.objects.extend(compiled.objects);
    }

    /// From what an epoch was compiled; nothing for those long past and for 0.
    pub(super) fn read_of(&self, epoch: u64) -> Versions {
        self.reads.get(&epoch).cloned().unwrap_or_default()
    }

    /// Brings the statuses of all objects on their way up to date. Gives those that have something new to say.
    pub(super) fn refresh(&mut self, now: Timestamp, clock: Instant) -> Vec<News> {
        self.fleet.note_missing(clock);
        let mut news = Vec::new();
        let stages: Vec<Stage> = self.groups.keys().cloned().collect();
        for stage in stages {
            let finding = self.finding(&stage, clock);
            let Some(group) = self.groups.get_mut(&stage) else { continue };
            let told = group.told(&finding, clock);
            let is_everywhere = finding.status == ConditionStatus::True;
            for id in &told {
                news.extend(self.update(id, finding.clone(), now, clock));
            }
            if is_everywhere && let Some(group) = self.groups.remove(&stage) {
                for id in &group.objects {
                    if let Some(entry) = self.objects.get_mut(id) {
                        entry.stage = None;
                    }
                }
            }
        }
        news
    }

    /// What is to be written of an object, if the API server has it.
    pub(super) fn write(&self, id: &ObjectId) -> Option<Write> {
        let entry = self.objects.get(id)?;
        let stored = self.stored.get(id).filter(|stored| Some(&stored.uid) == entry.verdict.uid.as_ref())?;
        Some(Write {
            id: id.clone(),
            uid: stored.uid.clone(),
            version: stored.version,
            status: status::ours(&entry.status),
            failed_before: stored.failure().map(str::to_owned),
        })
    }

    /// Pods that have newly been missing for too long.
    pub(super) fn newly_missing(&mut self, clock: Instant) -> Vec<String> {
        let overdue = self.fleet.ready.pods().into_iter().flat_map(|ready| ready.overdue(clock)).map(str::to_owned);
        let overdue: BTreeSet<String> = overdue.collect();
        let news = overdue.difference(&self.told_missing).cloned().collect();
        self.told_missing = overdue;
        news
    }

    /// The dataplane of a stream.
    pub(super) fn dataplane(&mut self, stream: StreamId) -> Option<&mut Dataplane> {
        self.fleet.own.iter_mut().find(|dataplane| dataplane.stream == stream)
    }

    fn finding(&self, stage: &Stage, clock: Instant) -> Finding {
        match (stage, &self.held) {
            (Stage::Compiled, Some(held)) => status::programmed(Progress::Held(held)),
            (Stage::Compiled, None) => status::programmed(Progress::Waiting),
            (Stage::Published(mark), _) => status::programmed(Progress::Published(&self.fleet.standing(mark, clock))),
        }
    }

    fn leave(&mut self, id: &ObjectId, stage: Option<&Stage>) {
        let Some(stage) = stage else { return };
        if let Some(group) = self.groups.get_mut(stage) {
            group.objects.remove(id);
            group.fresh.remove(id);
            if group.objects.is_empty() {
                self.groups.remove(stage);
            }
        }
    }

    fn enter(&mut self, id: &ObjectId, stage: Option<Stage>, now: Timestamp, clock: Instant) {
        let Some(stage) = stage else {
            // Nothing is waited for, but the verdict may have other words.
            if let Some(entry) = self.objects.get(id) {
                let latched = status::latched(&entry.status);
                self.update(id, latched, now, clock);
            }
            return;
        };
        let group = self.groups.entry(stage).or_default();
        group.objects.insert(id.clone());
        group.fresh.insert(id.clone());
    }

    fn update(&mut self, id: &ObjectId, programmed: Finding, now: Timestamp, clock: Instant) -> Option<News> {
        let entry = self.objects.get_mut(id)?;
        let (before, was_ready) = (ready_words(&entry.status), is_ready(&entry.status));
        let changed = status::update(&mut entry.status, &entry.verdict, programmed, now);
        let ready = is_ready(&entry.status);
        self.not_ready = self.not_ready + usize::from(!ready) - usize::from(!was_ready);
        if changed {
            entry.dispute.renew();
        }
        let news = (changed && before != ready_words(&entry.status)).then(|| (id.clone(), entry.status.clone()));
        self.compare(id, clock);
        news
    }

    /// Puts the object into the outbox if the API server has another status than it should, and takes it out if not.
    fn compare(&mut self, id: &ObjectId, clock: Instant) {
        let is_different = self.differs(id);
        match self.objects.get(id) {
            Some(entry) if is_different => self.outbox.add(id, &entry.status, clock, entry.dispute.until()),
            Some(_) if self.stored.contains_key(id) => self.outbox.remove(id),
            _ => {}
        }
    }

    /// Whether the API server has another status than it should.
    fn differs(&mut self, id: &ObjectId) -> bool {
        let (Some(entry), Some(stored)) = (self.objects.get_mut(id), self.stored.get(id)) else { return false };
        // Between the end of an object and the judgement on the next one of its name, nothing is to be said.
        let is_another = Some(&stored.uid) != entry.verdict.uid.as_ref();
        // A status about a newer generation was written by somebody who knows more.
        let is_newer = stored.observed_generation > entry.verdict.generation;
        if !is_another {
            status::adopt_times(&mut entry.status, &stored.ours);
        }
        !is_another && !is_newer && stored.ours != status::ours(&entry.status)
    }

    /// What was written of this object has not stayed. True if somebody is to be told.
    fn lose(&mut self, id: &ObjectId, clock: Instant) -> bool {
        let is_recent = self.told_dispute.is_some_and(|told| clock.saturating_duration_since(told) < RETELL);
        let is_lasting = self.objects.get_mut(id).is_some_and(|entry| entry.dispute.lost(clock));
        let is_worth_telling = is_lasting && !is_recent;
        if is_worth_telling {
            self.told_dispute = Some(clock);
        }
        is_worth_telling
    }
}

impl Group {
    /// The objects that are to be told of this finding: all when it is another one, else those that have joined.
    fn told(&mut self, finding: &Finding, clock: Instant) -> Vec<ObjectId> {
        let fresh = std::mem::take(&mut self.fresh);
        let is_same = |told: &Finding| (told.status, told.reason) == (finding.status, finding.reason);
        let is_only_a_count = self.finding.as_ref().is_some_and(is_same);
        let is_recent = self.told_at.is_some_and(|at| clock.saturating_duration_since(at) < RECOUNT);
        if self.finding.as_ref() == Some(finding) || (is_only_a_count && is_recent) {
            return fresh.into_iter().collect();
        }
        self.finding = Some(finding.clone());
        self.told_at = Some(clock);
        self.objects.iter().cloned().collect()
    }
}

impl From<Observed> for Stored {
    fn from(observed: Observed) -> Self {
        let status = observed.status.unwrap_or_default();
        let observed_generation = status.observed_generation.unwrap_or_default();
        Self { uid: observed.uid, version: observed.version, ours: status::ours(&status), observed_generation }
    }
}

impl Stored {
    /// Whether the stored status says that the object is not ready, and why.
    fn failure(&self) -> Option<&str> {
        let ready = condition(&self.ours, ConditionType::Ready)?;
        (ready.status == ConditionStatus::False).then_some(ready.reason.as_str())
    }
}

pub(super) fn is_ready(status: &Status) -> bool {
    condition(status, ConditionType::Ready).is_some_and(|ready| ready.status == ConditionStatus::True)
}

/// What a person is told about: a change of these is worth a line.
fn ready_words(status: &Status) -> Option<(ConditionStatus, String, Option<i64>)> {
    let ready = condition(status, ConditionType::Ready)?;
    Some((ready.status, ready.reason.clone(), ready.observed_generation))
}
