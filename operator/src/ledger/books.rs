//! The books behind the ledger: every object with its verdict, its status and how far it has come. Plain state and plain
//! functions, with the time as an argument; who may look and who is told is the ledger's business.
//!
//! Objects that are on their way to the dataplanes stand in groups that have come equally far, so that an answer of a
//! dataplane costs a look at the groups and not at every object.

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

#[cfg(test)]
mod tests {
    use rivmesh_crds::{Condition, Kind, Reason, RowCounts};
    use rivmesh_table::Digest;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn id(name: &str) -> ObjectId {
        ObjectId { kind: Kind::RoutingEntry, namespace: "tak".to_owned(), name: name.to_owned() }
    }

    fn verdict(name: &str, generation: i64) -> Verdict {
        let finding = |which, reason| Finding::new(which, ConditionStatus::True, reason, "fine");
        Verdict {
            id: id(name),
            uid: Some("1".to_owned()),
            generation,
            rows: RowCounts { total: 1, programmed: 1, rejected: 0 },
            errors: Vec::new(),
            accepted: finding(ConditionType::Accepted, Reason::Accepted),
            resolved_refs: finding(ConditionType::ResolvedRefs, Reason::ResolvedRefs),
        }
    }

    fn reach(version: u64) -> Reach {
        let versions = Versions::from([("routingentries", version)]);
        Reach { read: versions.clone(), changed: versions }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("in range")
    }

    fn observed(name: &str, uid: &str, version: u64, status: Option<Status>) -> Observed {
        Observed { id: id(name), uid: uid.to_owned(), version, status }
    }

    struct World {
        books: Books,
        clock: Instant,
        second: i64,
    }

    impl World {
        fn new() -> Self {
            Self { books: Books::default(), clock: Instant::now(), second: 1000 }
        }

        fn judge(&mut self, verdict: Verdict) {
            self.books.judge(verdict, at(self.second), self.clock);
        }

        fn refresh(&mut self) {
            self.books.refresh(at(self.second), self.clock);
        }

        fn pass(&mut self, seconds: u32) {
            self.clock += SECOND * seconds;
            self.second += i64::from(seconds);
            self.refresh();
        }

        /// One dataplane that has applied this epoch.
        fn apply(&mut self, epoch: u64) {
            let stream = StreamId(1);
            let pod = "pod-1".to_owned();
            let applied = Some(Digest::of(&epoch.to_le_bytes()));
            self.books.fleet.own = vec![Dataplane { stream, pod, applied, epoch, refused: None, silent: false }];
            self.refresh();
        }

        fn status(&self, name: &str) -> &Status {
            &self.books.objects[&id(name)].status
        }

        fn is(&self, name: &str, which: ConditionType) -> ConditionStatus {
            condition(self.status(name), which).expect("always there").status
        }

        /// The API server has this status of an object, at this version.
        fn observe(&mut self, name: &str, uid: &str, version: u64, status: Option<Status>) {
            self.books.observe(observed(name, uid, version, status), self.clock);
        }

        /// A write is taken and answered with what the API server made of it; what was written, and whether to tell.
        fn write_one(&mut self, version: u64, made: impl Fn(Status) -> Status) -> Option<(Status, bool)> {
            let id = self.books.outbox.take(self.clock)?;
            let write = self.books.write(&id).expect("it is stored");
            let answer = observed(&id.name, &write.uid, version, Some(made(write.status.clone())));
            let is_to_be_told = self.books.answered(&write.status, answer, self.clock);
            self.books.outbox.done(&id, None);
            Some((write.status, is_to_be_told))
        }

        /// Writes what waits, as an API server would take it; the names.
        fn write_all(&mut self, version: u64) -> Vec<String> {
            let mut written = Vec::new();
            while let Some(id) = self.books.outbox.take(self.clock) {
                let write = self.books.write(&id).expect("it is stored");
                let answer = observed(&id.name, &write.uid, version, Some(write.status.clone()));
                self.books.answered(&write.status, answer, self.clock);
                self.books.outbox.done(&id, None);
                written.push(id.name);
            }
            written
        }

        /// An object that is in force, with its status stored.
        fn in_force(name: &str) -> Self {
            let mut world = Self::new();
            world.observe(name, "1", 10, None);
            world.judge(verdict(name, 1));
            world.books.advance(1, &reach(10));
            world.apply(1);
            assert_eq!(world.write_all(11), [name]);
            world
        }
    }

    #[test]
    fn a_change_is_written_once_it_has_got_there() {
        let mut world = World::new();
        world.observe("a", "1", 10, None);
        world.judge(verdict("a", 1));
        world.refresh();
        world.books.advance(1, &reach(10));
        world.refresh();
        assert_eq!(world.write_all(11), Vec::<String>::new(), "that it is on its way is not worth a write yet");
        world.apply(1);
        assert_eq!(world.is("a", ConditionType::Ready), ConditionStatus::True);
        assert_eq!(world.write_all(11), ["a"]);
        assert_eq!((world.books.outbox.len(), world.books.not_ready), (0, 0));
    }

    #[test]
    fn what_stays_on_its_way_is_written_after_a_while() {
        let mut world = World::new();
        world.observe("a", "1", 10, None);
        world.judge(verdict("a", 1));
        world.books.advance(1, &reach(10));
        world.refresh();
        world.pass(4);
        assert_eq!(world.write_all(11), ["a"]);
        assert_eq!(world.is("a", ConditionType::Programmed), ConditionStatus::Unknown);
    }

    #[test]
    fn a_restarted_operator_writes_only_differences() {
        let before = World::in_force("a");
        let stored = before.status("a").clone();
        let mut world = World::new();
        world.second = 5000;
        world.observe("a", "1", 11, Some(stored.clone()));
        world.judge(verdict("a", 1));
        world.books.advance(1, &reach(11));
        world.refresh();
        assert_eq!(
            world.is("a", ConditionType::Programmed),
            ConditionStatus::True,
            "latched, though nobody is connected"
        );
        assert_eq!((world.write_all(12), world.status("a")), (Vec::new(), &stored));
    }

    #[test]
    fn a_status_that_speaks_of_another_generation_or_other_rows_is_no_latch() {
        let stored = World::in_force("a").status("a").clone();
        let fewer = Verdict { rows: RowCounts { total: 1, programmed: 0, rejected: 1 }, ..verdict("a", 1) };
        for judged in [verdict("a", 2), fewer] {
            let mut world = World::new();
            world.observe("a", "1", 11, Some(stored.clone()));
            world.judge(judged);
            world.refresh();
            assert_eq!(world.is("a", ConditionType::Programmed), ConditionStatus::Unknown);
        }
    }

    #[test]
    fn new_dataplanes_take_nothing_back_and_a_new_generation_does() {
        let mut world = World::in_force("a");
        world.apply(0);
        assert_eq!(world.is("a", ConditionType::Programmed), ConditionStatus::True);
        world.judge(verdict("a", 2));
        world.books.advance(2, &reach(20));
        world.refresh();
        assert_eq!(world.is("a", ConditionType::Programmed), ConditionStatus::Unknown);
        world.apply(1);
        assert_eq!(world.is("a", ConditionType::Programmed), ConditionStatus::Unknown, "an older table");
        world.apply(2);
        assert_eq!(world.is("a", ConditionType::Programmed), ConditionStatus::True);
    }

    #[test]
    fn an_object_created_anew_begins_anew() {
        let mut world = World::in_force("a");
        world.judge(verdict("a", 7));
        world.refresh();
        world.observe("a", "2", 30, None);
        world.pass(10);
        assert_eq!(world.write_all(31), Vec::<String>::new(), "the verdict is about the one before");
        world.judge(Verdict { uid: Some("2".to_owned()), ..verdict("a", 1) });
        world.refresh();
        assert_eq!(world.is("a", ConditionType::Programmed), ConditionStatus::Unknown);
        world.books.advance(2, &reach(30));
        world.apply(2);
        assert_eq!(world.is("a", ConditionType::Programmed), ConditionStatus::True);
        assert_eq!(world.write_all(31), ["a"], "its status is empty in the API server");
        assert_eq!(world.status("a").observed_generation, Some(1));
    }

    #[test]
    fn a_late_answer_about_the_object_before_does_not_silence_the_next_one() {
        for is_observed_again in [true, false] {
            let mut world = World::in_force("a");
            world.judge(verdict("a", 2));
            world.books.advance(2, &reach(20));
            world.apply(2);
            let taken = world.books.outbox.take(world.clock).expect("something to write");
            let late = world.books.write(&taken).expect("it is stored");
            // While the answer is on its way the object is deleted, and perhaps applied again.
            world.books.observe_end(&id("a"), "1");
            if is_observed_again {
                world.observe("a", "2", 30, None);
                world.judge(Verdict { uid: Some("2".to_owned()), ..verdict("a", 1) });
                world.books.advance(3, &reach(30));
                world.apply(3);
            } else {
                world.books.forget(&id("a"));
            }
            let answer = observed("a", "1", 21, Some(late.status.clone()));
            world.books.answered(&late.status, answer, world.clock);
            world.books.outbox.done(&taken, None);
            if is_observed_again {
                assert_eq!(world.write_all(31), ["a"]);
                assert_eq!(world.books.stored[&id("a")].uid, "2");
            } else {
                assert_eq!((world.books.stored.len(), world.books.outbox.len()), (0, 0));
            }
        }
    }

    #[test]
    fn a_status_that_somebody_else_changed_is_mended_and_their_own_conditions_stay_theirs() {
        let mut world = World::in_force("a");
        let mut tampered = world.status("a").clone();
        tampered.rows.total = 99;
        world.pass(60);
        world.observe("a", "1", 12, Some(tampered));
        assert_eq!(world.write_all(13), ["a"]);
        let mut shared = world.status("a").clone();
        shared.conditions.push(Condition { type_: "Audited".to_owned(), ..shared.conditions[0].clone() });
        world.observe("a", "1", 14, Some(shared));
        assert_eq!(world.write_all(15), Vec::<String>::new());
    }

    #[test]
    fn a_status_that_comes_back_otherwise_is_written_ever_more_seldom() {
        let mut world = World::in_force("a");
        let pruned = |status: Status| Status { observed_generation: None, ..status };
        let (mut version, mut writes, mut told) = (20, 0, 0);
        world.judge(verdict("a", 2));
        world.books.advance(2, &reach(20));
        world.apply(2);
        for _ in 0..3600 {
            while let Some((_, is_to_be_told)) = world.write_one(version, pruned) {
                (version, writes, told) = (version + 1, writes + 1, told + usize::from(is_to_be_told));
                assert!(writes < 1000, "it is written again and again");
            }
            world.pass(1);
        }
        assert!((15..25).contains(&writes), "{writes} writes in an hour");
        assert_eq!(told, 1);

        // What is new is written at once all the same.
        world.judge(verdict("a", 3));
        world.books.advance(3, &reach(2000));
        world.apply(3);
        let (written, _) = world.write_one(version, |status| status).expect("at once");
        assert_eq!(written.observed_generation, Some(3));
        assert_eq!(world.books.outbox.len(), 0, "and as it was taken whole, nothing is left to do");
    }

    #[test]
    fn two_who_write_the_same_status_do_not_chase_each_other() {
        let mut world = World::in_force("a");
        let mut theirs = world.status("a").clone();
        theirs.rows.total = 99;
        let (mut version, mut writes) = (20, 0);
        // The other one answers every write of ours at once, and is heard before or after our own answer.
        for _ in 0..600 {
            world.observe("a", "1", version, Some(theirs.clone()));
            version += 1;
            while let Some(id) = world.books.outbox.take(world.clock) {
                assert!(writes < 1000, "it is written again and again");
                let write = world.books.write(&id).expect("it is stored");
                let answer = observed("a", "1", version, Some(write.status.clone()));
                if writes % 2 == 0 {
                    world.observe("a", "1", version + 1, Some(theirs.clone()));
                }
                world.books.answered(&write.status, answer, world.clock);
                world.books.outbox.done(&id, None);
                world.observe("a", "1", version + 1, Some(theirs.clone()));
                (version, writes) = (version + 2, writes + 1);
            }
            world.pass(1);
        }
        assert!((8..14).contains(&writes), "{writes} writes in ten minutes");
    }

    #[test]
    fn whoever_knows_a_newer_generation_is_left_alone() {
        let mut world = World::in_force("a");
        let newer = Status { observed_generation: Some(7), ..world.status("a").clone() };
        world.observe("a", "1", 12, Some(newer));
        assert_eq!(world.write_all(13), Vec::<String>::new());
    }

    #[test]
    fn an_old_answer_does_not_hide_a_newer_one() {
        let mut world = World::in_force("a");
        world.observe("a", "1", 9, None);
        assert_eq!(world.write_all(13), Vec::<String>::new(), "events may arrive after the answer to a write");
    }

    #[test]
    fn counting_on_is_told_at_most_once_a_second() {
        let mut world = World::new();
        world.observe("a", "1", 10, None);
        world.judge(verdict("a", 1));
        world.books.advance(1, &reach(10));
        world.apply(0);
        let words =
            |world: &World| condition(world.status("a"), ConditionType::Programmed).expect("there").message.clone();
        assert_eq!(words(&world), "0 of 1 dataplanes route by it");
        let second = Dataplane { stream: StreamId(2), pod: "pod-2".to_owned(), ..world.books.fleet.own[0].clone() };
        world.books.fleet.own.push(second);
        world.refresh();
        assert_eq!(words(&world), "0 of 1 dataplanes route by it");
        world.pass(1);
        assert_eq!(words(&world), "0 of 2 dataplanes route by it");
    }

    #[test]
    fn what_is_gone_is_gone_from_everywhere() {
        let mut world = World::in_force("a");
        world.judge(verdict("a", 2));
        world.refresh();
        world.books.observe_end(&id("a"), "of another");
        assert_eq!(world.books.stored.len(), 1);
        world.books.observe_end(&id("a"), "1");
        assert!(world.books.forget(&id("a")) && !world.books.forget(&id("a")));
        world.pass(10);
        assert_eq!(world.books.outbox.len(), 0);
        let books = &world.books;
        let left = (books.objects.len(), books.groups.len(), books.stored.len(), books.not_ready);
        assert_eq!(left, (0, 0, 0, 0));
    }
}
