//! From batches of changes to published tables. One thread owns the compiler: it waits for a burst of changes to end,
//! compiles what they touched, asks the shrink guard, and publishes. Streams only ever see finished tables.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use jiff::Timestamp;
use rivmesh_crds::{ConditionStatus, ConditionType, Finding, Reason, RowCounts};
use rivmesh_sync::Published;
use rivmesh_table::{CompileOptions, Compiler, Digest, Manifest, ObjectId, Verdict};
use tokio::sync::watch;

use crate::debounce::Debounce;
use crate::guard::{self, Baseline, Guard, Held};
use crate::ledger::Ledger;
use crate::source::{Batch, Change, Reach};

/// Objects that a held table names as gone.
const NAMED_GONE: usize = 5;
/// How often a release file is looked for while a table is held.
const RELEASE_LOOK: Duration = Duration::from_millis(500);

/// What goes to the publisher.
#[derive(Debug)]
pub enum Input {
    /// The source tells something.
    Batch(Batch),
    /// A person says that the table with this digest may be published, however small it is.
    Release(Digest),
    /// Another replica has published this table, so that it may be published here too.
    Peer(Baseline),
}

/// A running publisher. It ends when every sender of inputs is gone.
#[derive(Debug)]
pub struct Publisher {
    /// What it last published.
    pub published: watch::Receiver<Option<Arc<Published>>>,
    /// Where inputs go.
    pub inputs: Sender<Input>,
    /// Its thread.
    pub thread: JoinHandle<()>,
}

/// How a compilation is timed.
pub type Timer = Box<dyn Fn(Duration) + Send>;

/// Starts a publisher that writes to this account.
///
/// # Errors
/// When no thread can be started.
pub fn start(options: CompileOptions, guard: Guard, ledger: Arc<Ledger>, timer: Timer) -> std::io::Result<Publisher> {
    let (sender, published) = watch::channel(None);
    let (inputs, receiver) = channel();
    let desk = Desk::new(options, guard, ledger, timer, sender);
    let thread = std::thread::Builder::new().name("compile".to_owned()).spawn(move || desk.work(&receiver))?;
    Ok(Publisher { published, inputs, thread })
}

struct Desk {
    compiler: Compiler,
    guard: Guard,
    ledger: Arc<Ledger>,
    timer: Timer,
    published: watch::Sender<Option<Arc<Published>>>,
    /// How far the source has been read.
    reach: Reach,
    /// How far it had been read for what was compiled last; a release publishes no more than that.
    compiled: Reach,
    /// Whether what was read is everything.
    whole: bool,
    /// Objects that cannot be read, since the last compilation.
    undecodable: BTreeMap<ObjectId, Verdict>,
    /// Objects that went since the last compilation.
    removed: Vec<ObjectId>,
    /// Shards that were compiled since the last publication.
    unpublished: BTreeMap<Digest, Bytes>,
    /// Objects that went since the last publication.
    gone: BTreeSet<ObjectId>,
    /// What the guard holds.
    held: Option<Manifest>,
}

impl Desk {
    fn new(
        options: CompileOptions,
        guard: Guard,
        ledger: Arc<Ledger>,
        timer: Timer,
        published: watch::Sender<Option<Arc<Published>>>,
    ) -> Self {
        Self {
            compiler: Compiler::new(options),
            guard,
            ledger,
            timer,
            published,
            reach: Reach::default(),
            compiled: Reach::default(),
            whole: false,
            undecodable: BTreeMap::new(),
            unpublished: BTreeMap::new(),
            removed: Vec::new(),
            gone: BTreeSet::new(),
            held: None,
        }
    }

    fn work(mut self, inputs: &Receiver<Input>) {
        let started = Instant::now();
        let mut debounce = Debounce::default();
        loop {
            let due = debounce.due().filter(|_| self.whole).map(|due| due.saturating_sub(started.elapsed()));
            let look = self.held.as_ref().map(|_| RELEASE_LOOK);
            let input = match due.into_iter().chain(look).min() {
                None => inputs.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(wait) => inputs.recv_timeout(wait),
            };
            match input {
                // While a table was being compiled more may have come: it belongs to the next one.
                Ok(input) => std::iter::once(input)
                    .chain(inputs.try_iter())
                    .for_each(|input| self.take_in(input, &mut debounce, started.elapsed())),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if self.whole && debounce.due().is_some_and(|due| due <= started.elapsed()) {
                debounce.done();
                self.compile();
            } else if self.held.is_some() {
                self.guard.look_for_release();
                self.reconsider();
            }
        }
    }

    fn take_in(&mut self, input: Input, debounce: &mut Debounce, now: Duration) {
        match input {
            Input::Batch(batch) => {
                self.ledger.source_read(&batch.problems);
                debounce.change(now, batch.urgent);
                self.apply(batch);
            }
            Input::Release(digest) => {
                self.guard.release(digest);
                self.reconsider();
            }
            Input::Peer(baseline) => {
                self.guard.follow(&baseline);
                self.reconsider();
            }
        }
    }

    fn apply(&mut self, batch: Batch) {
        for change in batch.changes {
            match change {
                Change::Upsert(object) => {
                    self.gone.remove(&object.id);
                    self.removed.retain(|id| *id != object.id);
                    self.undecodable.remove(&object.id);
                    self.compiler.upsert(*object);
                }
                Change::Remove(id) => {
                    self.compiler.remove(&id);
                    self.undecodable.remove(&id);
                    self.gone.insert(id.clone());
                    self.removed.push(id);
                }
                Change::Undecodable { id, uid, generation, reason } => {
                    self.compiler.remove(&id);
                    self.gone.remove(&id);
                    self.removed.retain(|removed| *removed != id);
                    self.undecodable.insert(id.clone(), unreadable(id, uid, generation, &reason));
                }
                Change::HsaTree(tree) => self.compiler.set_hsa_tree(tree),
            }
        }
        self.whole = batch.whole;
        self.reach = batch.reach;
    }

    fn compile(&mut self) {
        let started = Instant::now();
        self.compiled.clone_from(&self.reach);
        let compilation = self.compiler.compile();
        (self.timer)(started.elapsed());
        let compiled = compilation.changed.iter().filter_map(|id| self.compiler.verdict(id));
        let verdicts = compiled.chain(std::mem::take(&mut self.undecodable).into_values()).collect();
        self.ledger.compiled(verdicts, &std::mem::take(&mut self.removed), Timestamp::now());
        self.unpublished.extend(compilation.shards);
        self.consider(compilation.manifest);
    }

    /// Judges again what is held, now that something may have released it.
    fn reconsider(&mut self) {
        if let Some(manifest) = self.held.take() {
            self.consider(manifest);
        }
    }

    /// Publishes a table, or holds it.
    fn consider(&mut self, manifest: Manifest) {
        self.held = None;
        let before = self.published.borrow().clone();
        if before.as_ref().is_some_and(|before| *before.manifest() == manifest) {
            self.settle();
            self.guard.unchanged();
            self.ledger.unchanged(&self.compiled, Timestamp::now());
            return;
        }
        if let Err(losses) = self.guard.judge(&manifest, Instant::now()) {
            let digest = guard::name(&manifest);
            let held = Held {
                digest,
                losses,
                counts: manifest.counts,
                gone: self.gone.iter().take(NAMED_GONE).cloned().collect(),
                gone_in_all: self.gone.len(),
                release: self.guard.how_to_release(digest),
            };
            self.ledger.held(held, Timestamp::now());
            let named: BTreeSet<Digest> = manifest.slots.values().map(|shard| shard.digest).collect();
            self.unpublished.retain(|digest, _| named.contains(digest));
            self.held = Some(manifest);
            return;
        }
        match Published::new(manifest, &self.unpublished, before.as_deref()) {
            Ok(published) => {
                let published = Arc::new(published);
                if let Err(error) = self.guard.published(published.manifest(), Instant::now()) {
                    let what = format!("the baseline of the shrink guard could not be written: {error}");
                    self.ledger.trouble(what);
                }
                self.ledger.published(&published, &self.compiled, Timestamp::now());
                self.published.send_replace(Some(published));
                self.settle();
            }
            Err(error) => self.ledger.trouble(format!("the table cannot be published: {error}; the one before stays")),
        }
    }

    /// What was compiled is what is published.
    fn settle(&mut self) {
        self.unpublished.clear();
        self.gone.clear();
    }
}

/// The judgement on an object that cannot be read: nothing of it counts.
fn unreadable(id: ObjectId, uid: String, generation: i64, reason: &str) -> Verdict {
    let message = format!("the object cannot be read as its kind and counts for nothing: {reason}");
    let finding = |which, status| Finding::new(which, status, Reason::Undecodable, message.clone());
    Verdict {
        id,
        uid: Some(uid),
        generation,
        rows: RowCounts::default(),
        errors: Vec::new(),
        accepted: finding(ConditionType::Accepted, ConditionStatus::False),
        resolved_refs: finding(ConditionType::ResolvedRefs, ConditionStatus::Unknown),
    }
}

#[cfg(test)]
mod tests {
    use rivmesh_table::{Kind, Object, Spec};
    use serde_json::json;

    use super::*;
    use crate::versions::Versions;

    /// What a test does to a desk, one batch after the other.
    struct Day {
        desk: Desk,
        debounce: Debounce,
        version: u64,
    }

    impl Day {
        fn begin() -> Self {
            let (published, _) = watch::channel(None);
            let ledger = Arc::new(Ledger::new());
            let desk = Desk::new(CompileOptions::default(), Guard::new(), ledger, Box::new(drop), published);
            Self { desk, debounce: Debounce::default(), version: 0 }
        }

        fn take_in(&mut self, input: Input) {
            self.desk.take_in(input, &mut self.debounce, Duration::ZERO);
        }

        /// The source tells of one change, which is its next version.
        fn read(&mut self, change: Change) {
            self.version += 1;
            let versions = Versions::from([("routes", self.version)]);
            let reach = Reach { read: versions.clone(), changed: versions };
            self.take_in(Input::Batch(Batch { changes: vec![change], whole: true, reach, ..Batch::default() }));
        }

        fn held(&self) -> Manifest {
            self.desk.held.clone().expect("a table is held")
        }

        fn routes(&self) -> u64 {
            self.desk.published.borrow().as_ref().expect("a table is published").manifest().counts.routes
        }

        /// The version of the last change that counts as published.
        fn published_change(&self) -> Versions {
            self.desk.ledger.report().1
        }
    }

    fn id(name: &str) -> ObjectId {
        ObjectId { kind: Kind::RoutingEntry, namespace: "tak".to_owned(), name: name.to_owned() }
    }

    fn route(name: &str, rows: usize) -> Change {
        let addresses: Vec<String> = (0..rows).map(|number| format!("SE2321000131-{name}{number}")).collect();
        let spec = json!({
            "serviceContracts": ["urn:riv:x:XResponder:1"],
            "logicalAddresses": addresses,
            "producer": {"profile": "rivtabp21", "endpoints": [{"url": "https://one.example/x"}]},
        });
        let spec = Spec::RoutingEntry(serde_json::from_value(spec).expect("a route"));
        let object = Object { id: id(name), uid: None, generation: 1, created: None, path: None, spec };
        Change::Upsert(Box::new(object))
    }

    #[test]
    fn a_release_publishes_no_change_that_came_after_what_was_held() {
        let mut day = Day::begin();
        day.read(route("a", 200));
        day.desk.compile();
        day.read(Change::Remove(id("a")));
        day.desk.compile();
        assert_eq!(day.published_change(), Versions::from([("routes", 1)]), "the second waits");

        // Both in one go, or the release before the burst of changes has ended.
        let held = guard::name(&day.held());
        day.read(route("later", 1));
        day.take_in(Input::Release(held));
        assert_eq!((day.routes(), day.published_change()), (0, Versions::from([("routes", 2)])));
        day.desk.compile();
        assert_eq!((day.routes(), day.published_change()), (1, Versions::from([("routes", 3)])));
    }

    #[test]
    fn time_goes_on_for_the_guard_when_a_held_table_is_restored() {
        let mut day = Day::begin();
        for name in ["a", "b", "c", "d", "e"] {
            day.read(route(name, 200));
        }
        day.desk.compile();
        day.read(Change::Remove(id("c")));
        day.desk.compile();
        assert_eq!(day.routes(), 800);
        day.read(Change::Remove(id("b")));
        day.desk.compile();
        let held = day.held();
        day.read(route("b", 200));
        day.desk.compile();
        assert_eq!(day.desk.held, None);

        let later = Instant::now() + Duration::from_secs(601);
        assert_eq!(day.desk.guard.judge(&held, later), Ok(()), "the 1000 routes are of more than ten minutes ago");
    }

    #[test]
    fn what_another_replica_published_is_published_here_too() {
        let mut day = Day::begin();
        day.read(route("a", 200));
        day.desk.compile();
        day.read(Change::Remove(id("a")));
        day.desk.compile();
        let held = day.held();
        let peer = Baseline { digest: guard::name(&held), counts: held.counts, most: Some(held.counts) };
        day.take_in(Input::Peer(peer));
        assert_eq!((day.routes(), day.desk.held), (0, None));
    }
}
