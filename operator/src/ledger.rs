//! The account of a running control plane: every object's status, what is wrong with the source, what is published
//! and held, and which dataplanes are connected. The compile thread and the streams write to it, and everybody may
//! read. A change costs what changed: an object that is programmed is not looked at again until it changes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use rivmesh_crds::{Condition, ConditionStatus, ConditionType, Status};
use rivmesh_sync::grpc::{Observer, StreamId};
use rivmesh_sync::{Event, Published};
use rivmesh_table::{Counts, Digest, ObjectId, Verdict};
use tokio::sync::{broadcast, watch};

use crate::guard::Held;
use crate::notice::Notice;
use crate::source::Problem;
use crate::status::{self, Dataplane, ObjectStatus, Progress, Refused};

/// Notices that a slow listener may fall behind.
const NOTICES: usize = 1024;

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

/// The account.
#[derive(Debug)]
pub struct Ledger {
    books: Mutex<Books>,
    snapshot: watch::Sender<Arc<Snapshot>>,
    notices: broadcast::Sender<Notice>,
}

#[derive(Debug, Default)]
struct Books {
    revision: u64,
    objects: BTreeMap<ObjectId, Entry>,
    /// Objects whose present generation is not programmed yet.
    unsettled: BTreeSet<ObjectId>,
    not_ready: usize,
    problems: Arc<[Problem]>,
    published: Option<Publication>,
    held: Option<Arc<Held>>,
    dataplanes: BTreeMap<StreamId, Dataplane>,
}

#[derive(Debug)]
struct Entry {
    verdict: Verdict,
    stage: Stage,
    status: Status,
}

/// Where the present generation of an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Compiled,
    Published(u64),
    Programmed,
}

impl Ledger {
    /// An empty account.
    pub fn new() -> Self {
        let (snapshot, _) = watch::channel(Arc::default());
        let (notices, _) = broadcast::channel(NOTICES);
        Self { books: Mutex::default(), snapshot, notices }
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
            if let Some(entry) = books.objects.remove(id) {
                books.not_ready -= usize::from(!is_ready(&entry.status));
                books.unsettled.remove(id);
                self.tell(Notice::Gone(id.clone()));
            }
        }
        for verdict in verdicts {
            books.judge(verdict);
        }
        self.refresh(books, now);
    }

    /// A table was published that holds everything compiled so far.
    pub(crate) fn published(&self, published: &Published, now: Timestamp) {
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
        books.advance(epoch);
        self.refresh(books, now);
    }

    /// What was compiled is the table that is published already.
    pub(crate) fn unchanged(&self, now: Timestamp) {
        let mut books = self.lock();
        if let Some(held) = books.held.take() {
            self.tell(Notice::Released(held));
        }
        if let Some(publication) = books.published {
            books.advance(publication.epoch);
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

    fn refresh(&self, mut books: MutexGuard<'_, Books>, now: Timestamp) {
        let Books { objects, unsettled, not_ready, held, dataplanes, published, .. } = &mut *books;
        // That all is well at the start is one line, not thousands.
        let is_start = published.is_none_or(|published| published.epoch == 1);
        let dataplanes: Vec<Dataplane> = dataplanes.values().cloned().collect();
        unsettled.retain(|id| {
            let Some(entry) = objects.get_mut(id) else { return false };
            let progress = match (entry.stage, &held) {
                (Stage::Compiled, Some(held)) => Progress::Held(held),
                (Stage::Compiled, None) => Progress::Waiting,
                (Stage::Published(epoch), _) => Progress::Published(epoch),
                (Stage::Programmed, _) => Progress::Programmed,
            };
            let programmed = status::programmed(progress, &dataplanes);
            let is_programmed = programmed.status == ConditionStatus::True;
            if is_programmed {
                entry.stage = Stage::Programmed;
            }
            let before = ready_words(&entry.status);
            let was_ready = entry.status.conditions.is_empty() || is_ready(&entry.status);
            if status::update(&mut entry.status, &entry.verdict, programmed, now) {
                let ready = is_ready(&entry.status);
                *not_ready = *not_ready + usize::from(!ready) - usize::from(!was_ready);
                if before != ready_words(&entry.status) && !(is_start && ready) {
                    self.tell_ready(id, &entry.status);
                }
            }
            !is_programmed
        });
        self.show(books);
    }

    fn tell_ready(&self, id: &ObjectId, status: &Status) {
        // Waiting for the next moment is not worth a line.
        let Some(ready) = ready(status).filter(|ready| ready.status != ConditionStatus::Unknown) else { return };
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
            dataplanes: books.dataplanes.values().cloned().collect(),
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
        if let Some(dataplane) = books.dataplanes.get_mut(&stream) {
            change(dataplane);
        }
        self.refresh(books, Timestamp::now());
    }
}

impl Default for Ledger {
    fn default() -> Self {
        Self::new()
    }
}

impl Books {
    fn judge(&mut self, verdict: Verdict) {
        let id = verdict.id.clone();
        self.unsettled.insert(id.clone());
        match self.objects.get_mut(&id) {
            None => {
                self.objects.insert(id, Entry { verdict, stage: Stage::Compiled, status: Status::default() });
            }
            Some(entry) => {
                // A verdict may change while the object stays as it is: a rival came or went.
                if entry.verdict.generation != verdict.generation || entry.verdict.rows != verdict.rows {
                    entry.stage = Stage::Compiled;
                }
                entry.verdict = verdict;
            }
        }
    }

    /// Everything compiled is in the tables from this epoch on.
    fn advance(&mut self, epoch: u64) {
        for id in &self.unsettled {
            if let Some(entry) = self.objects.get_mut(id).filter(|entry| entry.stage == Stage::Compiled) {
                entry.stage = Stage::Published(epoch);
            }
        }
    }
}

fn ready(status: &Status) -> Option<&Condition> {
    status.conditions.iter().find(|condition| condition.is(ConditionType::Ready))
}

fn is_ready(status: &Status) -> bool {
    ready(status).is_some_and(|ready| ready.status == ConditionStatus::True)
}

/// What a person is told about: a change of these is worth a line.
fn ready_words(status: &Status) -> Option<(ConditionStatus, String, Option<i64>)> {
    ready(status).map(|ready| (ready.status, ready.reason.clone(), ready.observed_generation))
}

impl Observer for Ledger {
    fn event(&self, stream: StreamId, event: Event) {
        match event {
            Event::Hello { pod, applied } => {
                self.tell(Notice::Connected(pod.clone()));
                let dataplane = Dataplane { stream, pod, applied, epoch: 0, refused: None, silent: false };
                self.lock().dataplanes.insert(stream, dataplane);
                self.dataplane(stream, |_| {});
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
        let gone = self.lock().dataplanes.remove(&stream);
        if let Some(dataplane) = gone {
            self.tell(Notice::Disconnected { pod: dataplane.pod, reason });
        }
        self.dataplane(stream, |_| {});
    }
}
