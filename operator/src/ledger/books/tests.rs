//! Objects on their way: judged, programmed, written and seen again, with the clock in hand.

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
    assert_eq!(world.is("a", ConditionType::Programmed), ConditionStatus::True, "latched, though nobody is connected");
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
    let words = |world: &World| condition(world.status("a"), ConditionType::Programmed).expect("there").message.clone();
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
