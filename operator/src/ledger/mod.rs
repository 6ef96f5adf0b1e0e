//! The account of a running control plane: every object's status, what is wrong with the source, what is published
//! and held, and which dataplanes are connected. The compile thread and the streams write to it, and everybody may
//! read. A change costs what changed: an object that is programmed is not looked at again until it changes.

mod books;
mod dispute;
mod outbox;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rivmesh_crds::{ConditionStatus, ConditionType, Kind, Reason, Status};
use rivmesh_sync::grpc::{Observer, StreamId};
use rivmesh_sync::{Event, Published};
use rivmesh_table::{Counts, Digest, ObjectId, Verdict};
use tokio::sync::{broadcast, watch};

use self::books::{Books, Entry};
use crate::guard::Held;
use crate::notice::Notice;
use crate::rollout::{Dataplane, Ready, ReadyPods, Refused, Report};
use crate::source::{Problem, Reach};
use crate::status::{ObjectStatus, condition};
use crate::versions::Versions;

/// Notices that a slow listener may fall behind.
const NOTICES: usize = 1024;
/// How long a status waits after somebody else changed its object.
const AFTER_CONFLICT: Duration = Duration::from_secs(2);

/// What a control plane is doing, at one instant.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// Grows with every change.
    pub revision: u64,
    /// The table that is published, if one is.
    pub published: Option<Publication>,
    /// The table that the shrink guard holds back, if one is.
    pub held: Option<Arc<Held>>,
    /// How many objects there are.
    pub objects: usize,
    /// How many of them are not ready.
    pub not_ready: usize,
    /// Everything that is wrong with the source.
    pub problems: Arc<[Problem]>,
    /// The connected dataplanes.
    pub dataplanes: Vec<Dataplane>,
}

/// A published table in short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Publication {
    /// Counts the tables of this process.
    pub epoch: u64,
    /// The table's version.
    pub digest: Digest,
    /// What it holds.
    pub counts: Counts,
    /// When it was published.
    pub at: Timestamp,
}

/// Objects and their rows, in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ObjectCounts {
    /// By kind, in the order of [`Kind::ALL`].
    pub kinds: [KindCounts; 3],
    /// Rows that were refused, conflicts among them.
    pub rejected_rows: u64,
    /// Rows that lost against another object's. An object names eight rows at most, so this may be too low, but never
    /// wrongly zero.
    pub conflicting_rows: u64,
}

/// Objects of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KindCounts {
    /// All of them.
    pub objects: usize,
    /// Those that are not ready.
    pub not_ready: usize,
    /// Those that cannot be read as their kind.
    pub undecodable: usize,
}

/// The account.
#[derive(Debug)]
pub struct Ledger {
    books: Mutex<Books>,
    snapshot: watch::Sender<Arc<Snapshot>>,
    notices: broadcast::Sender<Notice>,
}

/// What an API server says about an object's metadata and status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// Which object.
    pub id: ObjectId,
    /// Tells it from an earlier one of the same name.
    pub uid: String,
    /// Its resource version.
    pub version: u64,
    /// Its status, if it has one that can be read.
    pub status: Option<Status>,
}

/// A status that is to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// Of which object.
    pub id: ObjectId,
    /// Its uid.
    pub uid: String,
    /// The resource version that it must still have, or somebody knows more than this process.
    pub version: u64,
    /// The status.
    pub status: Status,
    /// Why the object was not ready by the status that is stored, if it was not.
    pub failed_before: Option<String>,
}

/// What came of a [`Write`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// It is stored, and the object is now this.
    Stored(Observed),
    /// The object has changed or is gone; the source will tell.
    Overtaken,
    /// It failed; try again after so long.
    Failed(Duration),
}

/// How the dataplanes are doing, in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FleetCounts {
    /// Dataplanes that are connected to this process.
    pub connected: usize,
    /// Pods that take calls, as the cluster sees them.
    pub ready: usize,
    /// Connected ones that do not answer.
    pub silent: usize,
    /// Connected ones that refused the latest table they were offered.
    pub refusing: usize,
    /// Pods that take calls and are connected to nobody.
    pub missing: usize,
}

impl Ledger {
    /// An empty account.
    pub fn new() -> Self {
        let (snapshot, _) = watch::channel(Arc::default());
        let (notices, _) = broadcast::channel(NOTICES);
        Self { books: Mutex::default(), snapshot, notices }
    }

    /// An empty account in a cluster: until it is told which pods take calls, nothing counts as programmed.
    pub fn in_cluster() -> Self {
        let ledger = Self::new();
        ledger.lock().fleet.ready = Ready::Unknown;
        ledger
    }

    /// What is going on; the receiver learns of every change.
    pub fn snapshots(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshot.subscribe()
    }

    /// What happens from now on, for a terminal or a log.
    pub fn notices(&self) -> broadcast::Receiver<Notice> {
        self.notices.subscribe()
    }

    /// The status of every object, in order.
    pub fn objects(&self) -> Vec<ObjectStatus> {
        let object = |(id, entry): (&ObjectId, &Entry)| ObjectStatus {
            id: id.clone(),
            generation: entry.verdict.generation,
            status: entry.status.clone(),
        };
        self.lock().objects.iter().map(object).collect()
    }

    /// The status of one object.
    pub fn object(&self, id: &ObjectId) -> Option<ObjectStatus> {
        let books = self.lock();
        let entry = books.objects.get(id)?;
        Some(ObjectStatus { id: id.clone(), generation: entry.verdict.generation, status: entry.status.clone() })
    }

    /// The source was read: this is what is wrong with it now.
    pub(crate) fn source_read(&self, problems: &Arc<[Problem]>) {
        let mut books = self.lock();
        let old = std::mem::replace(&mut books.problems, problems.clone());
        let before: BTreeSet<&Problem> = old.iter().collect();
        let after: BTreeSet<&Problem> = problems.iter().collect();
        for problem in after.difference(&before) {
            self.tell(Notice::Problem((*problem).clone()));
        }
        for problem in before.difference(&after) {
            self.tell(Notice::Mended((*problem).clone()));
        }
        self.show(books);
    }

    /// The objects were compiled: these have new verdicts, and those are gone.
    pub(crate) fn compiled(&self, verdicts: Vec<Verdict>, removed: &[ObjectId], now: Timestamp) {
        let mut books = self.lock();
        for id in removed {
            if books.forget(id) {
                self.tell(Notice::Gone(id.clone()));
            }
        }
        let clock = Instant::now();
        for verdict in verdicts {
            books.judge(verdict, now, clock);
        }
        self.refresh(books, now);
    }

    /// A table was published that holds everything compiled so far, from `batch`es read that far.
    pub(crate) fn published(&self, published: &Published, reach: &Reach, now: Timestamp) {
        let mut books = self.lock();
        let epoch = published.epoch();
        let publication =
            Publication { epoch, digest: published.digest(), counts: published.manifest().counts, at: now };
        if books.published.replace(publication).is_none_or(|before| before.epoch != epoch) {
            self.tell(Notice::Published(publication));
        }
        if let Some(held) = books.held.take() {
            self.tell(Notice::Released(held));
        }
        books.advance(epoch, reach);
        self.refresh(books, now);
    }

    /// What was compiled is the table that is published already.
    pub(crate) fn unchanged(&self, reach: &Reach, now: Timestamp) {
        let mut books = self.lock();
        if let Some(held) = books.held.take() {
            self.tell(Notice::Released(held));
        }
        if let Some(publication) = books.published {
            books.advance(publication.epoch, reach);
        }
        self.refresh(books, now);
    }

    /// The shrink guard holds what was compiled.
    pub(crate) fn held(&self, held: Held, now: Timestamp) {
        let mut books = self.lock();
        if books.held.as_deref() != Some(&held) {
            let held = Arc::new(held);
            self.tell(Notice::Held(held.clone()));
            books.held = Some(held);
        }
        self.refresh(books, now);
    }

    /// Something failed that a person should know of and that stops nothing.
    pub(crate) fn trouble(&self, what: String) {
        self.tell(Notice::Trouble(what));
    }

    /// The API server has this of an object.
    pub(crate) fn observe(&self, observed: Observed) {
        let id = observed.id.clone();
        if self.lock().observe(observed, Instant::now()) {
            self.tell(disputed(&id));
        }
    }

    /// The API server no longer has this object.
    pub(crate) fn observe_end(&self, id: &ObjectId, uid: &str) {
        self.lock().observe_end(id, uid);
    }

    /// What the other replicas of the operator say about their dataplanes, and whether they can be heard now.
    pub(crate) fn set_peers(&self, peers: Vec<Report>, hears: bool) {
        let mut books = self.lock();
        if books.fleet.peers != peers || books.fleet.hears != hears {
            books.fleet.peers = peers;
            books.fleet.hears = hears;
            self.refresh(books, Timestamp::now());
        }
    }

    /// The pods that take calls, as the cluster sees them.
    pub(crate) fn set_ready_pods(&self, pods: impl IntoIterator<Item = String>) {
        let mut books = self.lock();
        books.fleet.ready.replace(pods);
        self.refresh(books, Timestamp::now());
    }

    /// Time has passed: whoever did not answer may now be silent. To be called every second or so where there is a
    /// cluster.
    pub(crate) fn tick(&self) {
        let mut books = self.lock();
        for pod in books.newly_missing(Instant::now()) {
            self.tell(Notice::Missing { pod });
        }
        self.refresh(books, Timestamp::now());
    }

    /// What this replica says about its dataplanes, and what there is to be read for all changes so far.
    pub(crate) fn report(&self) -> (Report, Versions) {
        let books = self.lock();
        (books.fleet.report(|epoch| books.read_of(epoch)), books.changed.clone())
    }

    /// Objects and their rows, counted anew.
    pub fn counts(&self) -> ObjectCounts {
        let mut counts = ObjectCounts::default();
        for (id, entry) in &self.lock().objects {
            let kind = &mut counts.kinds[Kind::ALL.iter().position(|kind| *kind == id.kind).unwrap_or_default()];
            kind.objects += 1;
            kind.not_ready += usize::from(!books::is_ready(&entry.status));
            kind.undecodable += usize::from(entry.verdict.accepted.reason == Reason::Undecodable);
            counts.rejected_rows += u64::from(entry.status.rows.rejected);
            let conflicts = entry.status.row_errors.iter().filter(|row| row.reason == Reason::Conflict);
            counts.conflicting_rows += conflicts.count() as u64;
        }
        counts
    }

    /// How the dataplanes are doing.
    pub fn fleet(&self) -> FleetCounts {
        let books = self.lock();
        let own = |is: fn(&Dataplane) -> bool| books.fleet.own.iter().filter(|dataplane| is(dataplane)).count();
        let ready = books.fleet.ready.pods();
        FleetCounts {
            connected: books.fleet.own.len(),
            ready: ready.map_or(0, ReadyPods::len),
            silent: own(|dataplane| dataplane.silent),
            refusing: own(|dataplane| dataplane.refused.is_some()),
            missing: ready.map_or(0, |ready| ready.missing().count()),
        }
    }

    /// The status that is to be written next, if one is due. Its outcome is to be told to [`Ledger::written`].
    pub(crate) fn take_write(&self) -> Option<Write> {
        let mut books = self.lock();
        let id = books.outbox.take(Instant::now())?;
        let write = books.write(&id);
        if write.is_none() {
            books.outbox.remove(&id);
            books.outbox.done(&id, None);
        }
        write
    }

    /// What came of a write.
    pub(crate) fn written(&self, write: &Write, written: Written) {
        let (mut books, now) = (self.lock(), Instant::now());
        let again = match written {
            Written::Stored(observed) => {
                if books.answered(&write.status, observed, now) {
                    self.tell(disputed(&write.id));
                }
                None
            }
            // Should the source not tell, it is tried again all the same.
            Written::Overtaken => Some(now + AFTER_CONFLICT),
            Written::Failed(wait) => Some(now + wait),
        };
        books.outbox.done(&write.id, again);
    }

    /// How many statuses wait to be written, and how long the one that is longest due has waited.
    pub fn unwritten(&self) -> (usize, Duration) {
        let books = self.lock();
        (books.outbox.len(), books.outbox.oldest(Instant::now()))
    }

    fn refresh(&self, mut books: MutexGuard<'_, Books>, now: Timestamp) {
        // That all is well at the start is one line, not thousands.
        let is_start = books.published.is_none_or(|published| published.epoch == 1);
        for (id, status) in books.refresh(now, Instant::now()) {
            if !(is_start && books::is_ready(&status)) {
                self.tell_ready(&id, &status);
            }
        }
        self.show(books);
    }

    fn tell_ready(&self, id: &ObjectId, status: &Status) {
        let ready = condition(status, ConditionType::Ready);
        // Waiting for the next moment is not worth a line.
        let Some(ready) = ready.filter(|ready| ready.status != ConditionStatus::Unknown) else { return };
        self.tell(Notice::Object {
            id: id.clone(),
            ready: ready.status == ConditionStatus::True,
            reason: ready.reason.clone(),
            message: ready.message.clone(),
            rows: status.rows,
        });
    }

    fn tell(&self, notice: Notice) {
        // Nobody may be listening.
        let _ = self.notices.send(notice);
    }

    /// Lets everybody see the books as they are now. They are closed before that: who looks at a snapshot may then
    /// open them.
    fn show(&self, mut books: MutexGuard<'_, Books>) {
        books.revision += 1;
        let snapshot = Snapshot {
            revision: books.revision,
            published: books.published,
            held: books.held.clone(),
            objects: books.objects.len(),
            not_ready: books.not_ready,
            problems: books.problems.clone(),
            dataplanes: books.fleet.own.clone(),
        };
        drop(books);
        self.snapshot.send_if_modified(|shown| {
            // Another thread may have shown a later one meanwhile.
            let is_later = shown.revision < snapshot.revision;
            if is_later {
                *shown = Arc::new(snapshot);
            }
            is_later
        });
    }

    fn lock(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn dataplane(&self, stream: StreamId, change: impl FnOnce(&mut Dataplane)) {
        let mut books = self.lock();
        if let Some(dataplane) = books.dataplane(stream) {
            change(dataplane);
        }
        self.refresh(books, Timestamp::now());
    }
}

fn disputed(id: &ObjectId) -> Notice {
    Notice::Trouble(format!(
        "the status of {} {id} does not stay as it is written: somebody else writes another one, as a second operator for \
         its namespace, or the definitions in the cluster are older than this operator; it is written ever more seldom",
        id.kind
    ))
}

impl Default for Ledger {
    fn default() -> Self {
        Self::new()
    }
}

impl Observer for Ledger {
    fn event(&self, stream: StreamId, event: Event) {
        match event {
            Event::Hello { pod, applied } => {
                self.tell(Notice::Connected(pod.clone()));
                let dataplane = Dataplane { stream, pod, applied, epoch: 0, refused: None, silent: false };
                let mut books = self.lock();
                books.fleet.own.push(dataplane);
                self.refresh(books, Timestamp::now());
            }
            Event::Applied { digest, epoch } => self.dataplane(stream, |dataplane| {
                dataplane.applied = Some(digest);
                dataplane.epoch = epoch;
                dataplane.refused = None;
                dataplane.silent = false;
            }),
            Event::Rejected { digest, epoch, slot, row, reason } => self.dataplane(stream, |dataplane| {
                let refused = Refused { digest, epoch, slot, row, reason };
                self.tell(Notice::Refused { pod: dataplane.pod.clone(), refused: refused.clone() });
                dataplane.refused = Some(refused);
                dataplane.silent = false;
            }),
            Event::Silent { epoch } => self.dataplane(stream, |dataplane| {
                self.tell(Notice::Silent { pod: dataplane.pod.clone(), epoch });
                dataplane.silent = true;
            }),
        }
    }

    fn closed(&self, stream: StreamId, reason: Option<String>) {
        let mut books = self.lock();
        let own = &mut books.fleet.own;
        if let Some(place) = own.iter().position(|dataplane| dataplane.stream == stream) {
            self.tell(Notice::Disconnected { pod: own.remove(place).pod, reason });
        }
        self.refresh(books, Timestamp::now());
    }
}
