//! Statuses that wait to be written: each object once, failures first, and what is only on its way to something better
//! not before it has had the time to get there. Pure; the writer owns the connection and the pace.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rivmesh_crds::{ConditionStatus, ConditionType, Status};
use rivmesh_table::ObjectId;

use crate::status::condition;

/// A status that says "not yet" is written only if it still says so after this long: most are overtaken by a better one,
/// and two writes for every change would be one too many.
const PATIENCE: Duration = Duration::from_secs(3);

/// How urgent a status is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Urgency {
    /// Somebody must act.
    Failure,
    /// Good news, that somebody may be waiting for.
    Ready,
    /// On its way.
    Pending,
}

/// The outbox.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    waiting: BTreeMap<ObjectId, Place>,
    queue: BTreeSet<(Place, ObjectId)>,
    in_flight: BTreeSet<ObjectId>,
}

/// A place in the queue: by urgency, then by when it may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    urgency: Urgency,
    due: Instant,
    since: Instant,
}

impl Outbox {
    /// The status of this object is not what is stored; it is to be written, but not before `earliest`. Keeps its age if
    /// it waits already.
    pub(super) fn add(&mut self, id: &ObjectId, status: &Status, now: Instant, earliest: Option<Instant>) {
        let urgency = urgency(status);
        let since = self.waiting.get(id).map_or(now, |place| place.since);
        let due = if urgency == Urgency::Pending { since + PATIENCE } else { since };
        let due = earliest.map_or(due, |earliest| due.max(earliest));
        self.place(id, Place { urgency, due, since });
    }

    /// The status of this object is stored, or the object is gone.
    pub(super) fn remove(&mut self, id: &ObjectId) {
        if let Some(place) = self.waiting.remove(id) {
            self.queue.remove(&(place, id.clone()));
        }
    }

    /// The object to be written next, if one may be now. It is not given again before [`Outbox::done`].
    pub(super) fn take(&mut self, now: Instant) -> Option<ObjectId> {
        let is_free = |(place, id): &&(Place, ObjectId)| place.due <= now && !self.in_flight.contains(id);
        let (_, id) = self.queue.iter().find(is_free)?;
        let id = id.clone();
        self.in_flight.insert(id.clone());
        Some(id)
    }

    /// An attempt to write has ended; if it failed, the next one comes not before `again`.
    pub(super) fn done(&mut self, id: &ObjectId, again: Option<Instant>) {
        self.in_flight.remove(id);
        if let (Some(again), Some(place)) = (again, self.waiting.get(id).copied()) {
            self.place(id, Place { due: again, ..place });
        }
    }

    /// Whether an attempt to write this object's status is under way.
    pub(super) fn is_in_flight(&self, id: &ObjectId) -> bool {
        self.in_flight.contains(id)
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// How long the one that has waited longest has been due.
    pub(super) fn oldest(&self, now: Instant) -> Duration {
        let due = self
            .waiting
            .values()
            .map(|place| place.since.max(if place.urgency == Urgency::Pending { place.due } else { place.since }));
        due.min().map_or(Duration::ZERO, |due| now.saturating_duration_since(due))
    }

    fn place(&mut self, id: &ObjectId, place: Place) {
        self.remove(id);
        self.waiting.insert(id.clone(), place);
        self.queue.insert((place, id.clone()));
    }
}

fn urgency(status: &Status) -> Urgency {
    match condition(status, ConditionType::Ready).map(|ready| ready.status) {
        Some(ConditionStatus::False) => Urgency::Failure,
        Some(ConditionStatus::True) => Urgency::Ready,
        Some(ConditionStatus::Unknown) | None => Urgency::Pending,
    }
}

#[cfg(test)]
mod tests {
    use rivmesh_crds::{Condition, Kind};

    use super::*;

    fn id(name: &str) -> ObjectId {
        ObjectId { kind: Kind::RoutingEntry, namespace: "tak".to_owned(), name: name.to_owned() }
    }

    fn status(ready: ConditionStatus) -> Status {
        let condition = Condition {
            type_: "Ready".to_owned(),
            status: ready,
            observed_generation: None,
            last_transition_time: String::new(),
            reason: String::new(),
            message: String::new(),
        };
        Status { conditions: vec![condition], ..Status::default() }
    }

    fn taken(outbox: &mut Outbox, now: Instant) -> Vec<String> {
        std::iter::from_fn(|| outbox.take(now)).map(|id| id.name).collect()
    }

    #[test]
    fn failures_go_first_and_what_is_pending_waits() {
        let (start, mut outbox) = (Instant::now(), Outbox::default());
        for (name, ready) in [
            ("pending", ConditionStatus::Unknown),
            ("ready", ConditionStatus::True),
            ("failed", ConditionStatus::False),
            ("failed-too", ConditionStatus::False),
        ] {
            outbox.add(&id(name), &status(ready), start, None);
        }
        assert_eq!(taken(&mut outbox, start), ["failed", "failed-too", "ready"]);
        assert_eq!(taken(&mut outbox, start), Vec::<String>::new(), "each is given once");
        assert_eq!(taken(&mut outbox, start + PATIENCE), ["pending"]);
    }

    #[test]
    fn a_better_status_takes_the_place_of_the_one_that_waits() {
        let (start, mut outbox) = (Instant::now(), Outbox::default());
        outbox.add(&id("a"), &status(ConditionStatus::Unknown), start, None);
        outbox.add(&id("a"), &status(ConditionStatus::True), start + Duration::from_secs(1), None);
        assert_eq!(outbox.len(), 1);
        assert_eq!(taken(&mut outbox, start + Duration::from_secs(1)), ["a"]);
    }

    #[test]
    fn a_failed_attempt_is_made_again_and_a_stored_status_is_forgotten() {
        let (start, mut outbox) = (Instant::now(), Outbox::default());
        outbox.add(&id("a"), &status(ConditionStatus::True), start, None);
        assert_eq!(taken(&mut outbox, start), ["a"]);
        let later = start + Duration::from_secs(5);
        outbox.done(&id("a"), Some(later));
        assert_eq!(taken(&mut outbox, start), Vec::<String>::new());
        assert_eq!(outbox.oldest(later), Duration::from_secs(5), "it has waited since it was first due");
        assert_eq!(taken(&mut outbox, later), ["a"]);
        outbox.remove(&id("a"));
        outbox.done(&id("a"), None);
        assert_eq!((outbox.len(), outbox.oldest(later)), (0, Duration::ZERO));
    }
}
