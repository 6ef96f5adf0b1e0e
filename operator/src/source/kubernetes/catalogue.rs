//! What the API server holds, as far as it has been told, and what of that is news. Only names and versions are kept
//! here: contents go on to the compiler, which keeps them in its own, smaller form.
//!
//! A first list is passed on as it comes and counts once it is complete. A later list (the watch was away for too
//! long) is compared with what is known, and its differences are passed on in one go at its end: half a list is
//! never mistaken for the catalogue.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use rivmesh_crds::Kind;
use rivmesh_table::{HsaTree, ObjectId};

use super::Heard;
use super::slim::Seen;
use crate::ledger::Observed;
use crate::source::{Batch, Change, Problem, Reach};

/// The catalogue of all streams.
#[derive(Debug)]
pub(super) struct Catalogue {
    streams: BTreeMap<Arc<str>, Stream>,
    /// Whether the HSA units have been read, if there are any.
    has_hsa_tree: bool,
    hsa_problems: Vec<Problem>,
    reach: Reach,
}

/// One kind, in one namespace or all.
#[derive(Debug)]
struct Stream {
    kind: Kind,
    known: HashMap<ObjectId, Known>,
    /// Whether a list has ever been complete.
    complete: bool,
    /// Counts lists, so that what is missing from the latest one shows.
    lists: u32,
    /// What lists that are not the first have brought, until one is complete. In order: a later change of the same
    /// object counts.
    held_back: Vec<Change>,
    /// Why it does not work, while it does not.
    problem: Option<String>,
}

/// What is remembered of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    uid: String,
    version: u64,
    generation: i64,
    /// The list that it was last in, or heard of after.
    list: u32,
}

/// What is to be passed on.
#[derive(Debug, Default)]
pub(super) struct News {
    /// For the compiler; none if there is nothing for it.
    pub(super) batch: Option<Batch>,
    /// For the account.
    pub(super) sighting: Option<Sighting>,
}

/// What the account is told: objects as the API server has them, their statuses too.
#[derive(Debug)]
pub(super) enum Sighting {
    /// An object is so.
    Observed(Observed),
    /// These are gone.
    Ended(Vec<(ObjectId, String)>),
}

impl Catalogue {
    /// A catalogue of these streams, of which nothing is known yet.
    pub(super) fn new(streams: impl IntoIterator<Item = (Arc<str>, Kind)>, has_hsa_units: bool) -> Self {
        let stream = |kind| Stream {
            kind,
            known: HashMap::new(),
            complete: false,
            lists: 0,
            held_back: Vec::new(),
            problem: None,
        };
        Self {
            streams: streams.into_iter().map(|(name, kind)| (name, stream(kind))).collect(),
            has_hsa_tree: !has_hsa_units,
            hsa_problems: Vec::new(),
            reach: Reach::default(),
        }
    }

    /// A stream says something.
    pub(super) fn hear(&mut self, name: &Arc<str>, heard: Heard) -> News {
        let stream = self.streams.get_mut(name).expect("only these streams were started");
        let mut sighting = None;
        let mut urgent = false;
        let mut news = true;
        let changes = match heard {
            Heard::Listing => {
                stream.lists += 1;
                return News::default();
            }
            Heard::Listed(seen) => {
                sighting = Some(Sighting::Observed(Observed::from(&*seen)));
                self.reach.changed.raise(name, seen.version);
                let change = stream.take_in(*seen);
                if stream.complete {
                    stream.held_back.extend(change);
                    return News { batch: None, sighting };
                }
                change.into_iter().collect()
            }
            Heard::Complete { version } => {
                self.reach.read.raise(name, version);
                stream.problem = None;
                stream.complete = true;
                let mut changes = std::mem::take(&mut stream.held_back);
                let gone = stream.sweep();
                if !gone.is_empty() {
                    // When they went is not known, but it was before this.
                    self.reach.changed.raise(name, version);
                }
                urgent = stream.kind == Kind::CallAuthorization && !(changes.is_empty() && gone.is_empty());
                changes.extend(gone.iter().map(|(id, _)| Change::Remove(id.clone())));
                sighting = (!gone.is_empty()).then_some(Sighting::Ended(gone));
                changes
            }
            Heard::Changed(seen) => {
                sighting = Some(Sighting::Observed(Observed::from(&*seen)));
                self.reach.read.raise(name, seen.version);
                let (version, is_edit) = (seen.version, stream.known.contains_key(&seen.id));
                let change = stream.take_in(*seen);
                if change.is_some() {
                    self.reach.changed.raise(name, version);
                    // Whether an edit takes a right away is not looked into: it might.
                    urgent = stream.kind == Kind::CallAuthorization && is_edit;
                }
                stream.problem = None;
                change.into_iter().collect()
            }
            Heard::Gone { id, uid, version } => {
                self.reach.read.raise(name, version);
                if stream.known.get(&id).is_none_or(|known| known.uid != uid) {
                    return News::default();
                }
                stream.known.remove(&id);
                self.reach.changed.raise(name, version);
                urgent = stream.kind == Kind::CallAuthorization;
                sighting = Some(Sighting::Ended(vec![(id.clone(), uid)]));
                vec![Change::Remove(id)]
            }
            Heard::Read { version } => {
                self.reach.read.raise(name, version);
                news = stream.problem.take().is_some();
                Vec::new()
            }
            Heard::Failed(problem) => {
                news = stream.problem.as_ref() != Some(&problem);
                stream.problem = Some(problem);
                Vec::new()
            }
        };
        // How far the source was read matters to others even when nothing changed.
        let is_worth_telling = news || self.is_whole();
        News { batch: is_worth_telling.then(|| self.batch(changes, urgent)), sighting }
    }

    /// The HSA units were read, or found faulty.
    pub(super) fn hsa_units(&mut self, tree: Option<HsaTree>, problems: &[Problem]) -> Batch {
        self.has_hsa_tree |= tree.is_some();
        self.hsa_problems = problems.to_vec();
        self.batch(tree.map(Change::HsaTree).into_iter().collect(), false)
    }

    /// Whether everything has been read completely at least once.
    fn is_whole(&self) -> bool {
        self.has_hsa_tree && self.streams.values().all(|stream| stream.complete)
    }

    fn batch(&self, changes: Vec<Change>, urgent: bool) -> Batch {
        let problem = |(name, stream): (&Arc<str>, &Stream)| {
            let reason = stream.problem.clone()?;
            Some(Problem { file: format!("API server, {name}"), line: None, object: None, reason })
        };
        let problems = self.streams.iter().filter_map(problem).chain(self.hsa_problems.iter().cloned());
        Batch { changes, urgent, problems: problems.collect(), whole: self.is_whole(), reach: self.reach.clone() }
    }
}

impl Stream {
    /// Takes note of an object. The change for the compiler, if its spec is another one.
    fn take_in(&mut self, seen: Seen) -> Option<Change> {
        let known =
            Known { uid: seen.uid.clone(), version: seen.version, generation: seen.generation, list: self.lists };
        let before = self.known.insert(seen.id.clone(), known);
        if before.is_some_and(|before| before.uid == seen.uid && before.generation == seen.generation) {
            return None;
        }
        let (id, uid, generation) = (seen.id.clone(), seen.uid.clone(), seen.generation);
        Some(match seen.into_object() {
            Ok(object) => Change::Upsert(Box::new(object)),
            Err(reason) => Change::Undecodable { id, uid, generation, reason },
        })
    }

    /// Forgets what the list that just ended did not have.
    fn sweep(&mut self) -> Vec<(ObjectId, String)> {
        let list = self.lists;
        self.known.extract_if(|_, known| known.list != list).map(|(id, known)| (id, known.uid)).collect()
    }
}

impl From<&Seen> for Observed {
    fn from(seen: &Seen) -> Self {
        Self { id: seen.id.clone(), uid: seen.uid.clone(), version: seen.version, status: seen.status.clone() }
    }
}

#[cfg(test)]
mod tests {
    use rivmesh_crds::Status;
    use rivmesh_table::Spec;

    use super::*;

    struct World {
        catalogue: Catalogue,
        routes: Arc<str>,
        grants: Arc<str>,
        /// What the compiler was told, as words, since last asked.
        told: Vec<String>,
        observed: usize,
        last: Option<Batch>,
    }

    impl World {
        fn new(has_hsa_units: bool) -> Self {
            let (routes, grants): (Arc<str>, Arc<str>) = ("routingentries".into(), "callauthorizations".into());
            let streams = [(routes.clone(), Kind::RoutingEntry), (grants.clone(), Kind::CallAuthorization)];
            let catalogue = Catalogue::new(streams, has_hsa_units);
            Self { catalogue, routes, grants, told: Vec::new(), observed: 0, last: None }
        }

        fn take(&mut self, batch: Option<Batch>) {
            let Some(mut batch) = batch else { return };
            self.told.extend(std::mem::take(&mut batch.changes).into_iter().map(|change| match change {
                Change::Upsert(object) => format!("+{} g{}", object.id.name, object.generation),
                Change::Remove(id) => format!("-{}", id.name),
                Change::Undecodable { id, reason, .. } => format!("?{} {reason}", id.name),
                Change::HsaTree(_) => "tree".to_owned(),
            }));
            self.last = Some(batch);
        }

        fn route(&mut self, heard: Heard) {
            let news = self.catalogue.hear(&self.routes.clone(), heard);
            self.observed += usize::from(matches!(news.sighting, Some(Sighting::Observed(_))));
            self.take(news.batch);
        }

        fn grant(&mut self, heard: Heard) {
            let news = self.catalogue.hear(&self.grants.clone(), heard);
            self.take(news.batch);
        }

        fn is_whole(&self) -> bool {
            self.last.as_ref().is_some_and(|batch| batch.whole)
        }

        fn told(&mut self) -> Vec<String> {
            std::mem::take(&mut self.told)
        }

        /// Both streams listed, with these routes.
        fn listed(routes: &[(&str, u64)]) -> Self {
            let mut world = Self::new(false);
            world.grant(Heard::Listing);
            world.grant(Heard::Complete { version: 5 });
            world.route(Heard::Listing);
            for (name, version) in routes {
                world.route(Heard::Listed(seen(Kind::RoutingEntry, name, *version, 1)));
            }
            world.route(Heard::Complete { version: 50 });
            world.told.clear();
            world
        }
    }

    fn seen(kind: Kind, name: &str, version: u64, generation: i64) -> Box<Seen> {
        let spec = serde_json::from_str(r#"{"urn": "urn:riv:x:XResponder:1"}"#).expect("a spec");
        Box::new(Seen {
            id: id(kind, name),
            uid: format!("uid of {name}"),
            version,
            generation,
            created: None,
            // Any content will do here: it is passed on unread.
            spec: Ok(Spec::ServiceContract(spec)),
            status: Some(Status::default()),
        })
    }

    fn id(kind: Kind, name: &str) -> ObjectId {
        ObjectId { kind, namespace: "tak".to_owned(), name: name.to_owned() }
    }

    fn gone(name: &str, version: u64) -> Heard {
        Heard::Gone { id: id(Kind::RoutingEntry, name), uid: format!("uid of {name}"), version }
    }

    #[test]
    fn nothing_is_whole_before_every_list_and_the_units_are() {
        let mut world = World::new(true);
        world.route(Heard::Listing);
        world.route(Heard::Listed(seen(Kind::RoutingEntry, "a", 7, 1)));
        assert_eq!(world.told(), ["+a g1"], "contents go on at once");
        assert!(!world.is_whole());
        world.route(Heard::Complete { version: 9 });
        world.grant(Heard::Listing);
        world.grant(Heard::Complete { version: 9 });
        assert!(!world.is_whole(), "the units are missing");
        let batch = world.catalogue.hsa_units(Some(HsaTree::default()), &[]);
        world.take(Some(batch));
        assert!(world.is_whole());
    }

    #[test]
    fn a_first_list_that_breaks_off_is_mended_by_the_next() {
        let mut world = World::new(false);
        world.grant(Heard::Listing);
        world.grant(Heard::Complete { version: 9 });
        world.route(Heard::Listing);
        world.route(Heard::Listed(seen(Kind::RoutingEntry, "deleted-meanwhile", 7, 1)));
        world.route(Heard::Failed("cut".to_owned()));
        assert!(!world.is_whole());
        assert!(world.last.as_ref().expect("told").problems[0].to_string().contains("routingentries: cut"));
        world.route(Heard::Listing);
        world.route(Heard::Listed(seen(Kind::RoutingEntry, "b", 8, 1)));
        world.route(Heard::Complete { version: 9 });
        assert_eq!(world.told(), ["+deleted-meanwhile g1", "+b g1", "-deleted-meanwhile"]);
        assert!(world.is_whole() && world.last.as_ref().expect("told").problems.is_empty());
    }

    #[test]
    fn a_later_list_counts_when_it_is_complete() {
        let mut world = World::listed(&[("a", 10), ("b", 11)]);
        world.route(Heard::Listing);
        world.route(Heard::Listed(seen(Kind::RoutingEntry, "a", 60, 2)));
        assert_eq!(world.told(), Vec::<String>::new(), "half a list says nothing");
        // It breaks off; the next one brings the same object, which is no news any more and must not be lost.
        world.route(Heard::Listing);
        world.route(Heard::Listed(seen(Kind::RoutingEntry, "a", 60, 2)));
        world.route(Heard::Listed(seen(Kind::RoutingEntry, "c", 61, 1)));
        world.route(Heard::Complete { version: 70 });
        assert_eq!(world.told(), ["+a g2", "+c g1", "-b"]);
        let reach = &world.last.as_ref().expect("told").reach;
        assert!(reach.read.covers(&reach.changed), "{reach:?}");
    }

    #[test]
    fn a_status_that_was_written_is_no_change_but_is_observed() {
        let mut world = World::listed(&[("a", 10)]);
        let before = world.observed;
        world.route(Heard::Changed(seen(Kind::RoutingEntry, "a", 60, 1)));
        assert_eq!(world.told(), Vec::<String>::new());
        assert_eq!(world.observed, before + 1);
        let reach = &world.last.as_ref().expect("how far it was read is told").reach;
        assert!(reach.read.covers(&[("routingentries", 60)].into()));
        assert!(!reach.changed.covers(&[("routingentries", 60)].into()), "nobody needs to have read a status");
    }

    #[test]
    fn an_object_created_anew_under_its_name_is_another() {
        let mut world = World::listed(&[("a", 10)]);
        let mut anew = seen(Kind::RoutingEntry, "a", 60, 1);
        anew.uid = "another".to_owned();
        world.route(Heard::Changed(anew));
        assert_eq!(world.told(), ["+a g1"]);
        world.route(gone("a", 61));
        assert_eq!(world.told(), Vec::<String>::new(), "the end of the one before is no end of this one");
    }

    #[test]
    fn whatever_may_take_a_right_away_is_urgent() {
        let urgent = |world: &World| world.last.as_ref().expect("told").urgent;
        let mut world = World::listed(&[("a", 10)]);
        world.grant(Heard::Changed(seen(Kind::CallAuthorization, "g", 60, 1)));
        assert!(!urgent(&world), "a new right may wait for a burst to end");
        world.grant(Heard::Changed(seen(Kind::CallAuthorization, "g", 61, 2)));
        assert!(urgent(&world));
        world.grant(Heard::Changed(seen(Kind::CallAuthorization, "g", 62, 2)));
        assert!(!urgent(&world), "only its status");
        world.route(gone("a", 62));
        assert!(!urgent(&world), "a route is no right");
        world.grant(Heard::Gone { id: id(Kind::CallAuthorization, "g"), uid: "uid of g".to_owned(), version: 63 });
        assert!(urgent(&world));
    }

    #[test]
    fn an_object_that_cannot_be_read_is_quarantined_and_comes_back() {
        let mut world = World::listed(&[("a", 10)]);
        let mut poison = seen(Kind::RoutingEntry, "a", 60, 2);
        poison.spec = Err("spec.x: no".to_owned());
        world.route(Heard::Changed(poison));
        world.route(Heard::Changed(seen(Kind::RoutingEntry, "a", 61, 3)));
        assert_eq!(world.told(), ["?a spec.x: no", "+a g3"]);
    }

    #[test]
    fn deletions_must_have_been_read_and_bookmarks_need_not() {
        let mut world = World::listed(&[("a", 10)]);
        world.route(Heard::Read { version: 80 });
        let changed = |world: &World| world.last.as_ref().expect("told").reach.changed.clone();
        assert!(!changed(&world).covers(&[("routingentries", 80)].into()));
        world.route(gone("a", 81));
        assert_eq!(world.told(), ["-a"]);
        assert!(changed(&world).covers(&[("routingentries", 81)].into()));
    }
}
