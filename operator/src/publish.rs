//! From batches of changes to published tables. One thread owns the compiler: it waits for a burst of changes to end,
//! compiles what they touched, asks the shrink guard, and publishes. Streams only ever see finished tables.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use jiff::Timestamp;
use rivmesh_sync::Published;
use rivmesh_table::{CompileOptions, Compiler, Digest, Manifest, ObjectId};
use tokio::sync::watch;

use crate::debounce::Debounce;
use crate::guard::{Guard, Held};
use crate::ledger::Ledger;
use crate::source::{Batch, Change};

/// Objects that a held table names as gone.
const NAMED_GONE: usize = 5;
/// How often a release file is looked for while a table is held.
const RELEASE_LOOK: Duration = Duration::from_millis(500);

/// What goes to the publisher.
#[derive(Debug)]
pub enum Input {
    /// The source tells something.
    Batch(Batch),
    /// A held table may be published.
    Release(Digest),
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

/// Starts a publisher that writes to this account.
///
/// # Errors
/// When no thread can be started.
pub fn start(options: CompileOptions, guard: Guard, ledger: Arc<Ledger>) -> std::io::Result<Publisher> {
    let (sender, published) = watch::channel(None);
    let (inputs, receiver) = channel();
    let desk = Desk {
        compiler: Compiler::new(options),
        guard,
        ledger,
        published: sender,
        unpublished: BTreeMap::new(),
        gone: BTreeSet::new(),
        held: None,
    };
    let thread = std::thread::Builder::new().name("compile".to_owned()).spawn(move || desk.work(&receiver))?;
    Ok(Publisher { published, inputs, thread })
}

struct Desk {
    compiler: Compiler,
    guard: Guard,
    ledger: Arc<Ledger>,
    published: watch::Sender<Option<Arc<Published>>>,
    /// Shards that were compiled since the last publication.
    unpublished: BTreeMap<Digest, Bytes>,
    /// Objects that went since the last publication.
    gone: BTreeSet<ObjectId>,
    /// What the guard holds.
    held: Option<Manifest>,
}

impl Desk {
    fn work(mut self, inputs: &Receiver<Input>) {
        let started = Instant::now();
        let mut debounce = Debounce::default();
        let mut removed = Vec::new();
        loop {
            let due = debounce.due().map(|due| due.saturating_sub(started.elapsed()));
            let look = self.held.as_ref().map(|_| RELEASE_LOOK);
            let input = match due.into_iter().chain(look).min() {
                None => inputs.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(wait) => inputs.recv_timeout(wait),
            };
            match input {
                Ok(Input::Batch(batch)) => {
                    self.ledger.source_read(&batch.problems);
                    debounce.change(started.elapsed(), batch.urgent);
                    self.apply(batch, &mut removed);
                }
                Ok(Input::Release(digest)) => {
                    self.guard.release(digest);
                    self.reconsider();
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if debounce.due().is_some_and(|due| due <= started.elapsed()) {
                debounce.done();
                self.compile(&std::mem::take(&mut removed));
            } else if self.held.is_some() {
                self.guard.look_for_release();
                self.reconsider();
            }
        }
    }

    fn apply(&mut self, batch: Batch, removed: &mut Vec<ObjectId>) {
        for change in batch.changes {
            match change {
                Change::Upsert(object) => {
                    self.gone.remove(&object.id);
                    removed.retain(|id| *id != object.id);
                    self.compiler.upsert(*object);
                }
                Change::Remove(id) => {
                    self.compiler.remove(&id);
                    self.gone.insert(id.clone());
                    removed.push(id);
                }
                Change::HsaTree(tree) => self.compiler.set_hsa_tree(tree),
            }
        }
    }

    fn compile(&mut self, removed: &[ObjectId]) {
        let compilation = self.compiler.compile();
        let verdicts = compilation.changed.iter().filter_map(|id| self.compiler.verdict(id)).collect();
        self.ledger.compiled(verdicts, removed, Timestamp::now());
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
            self.ledger.unchanged(Timestamp::now());
            return;
        }
        if let Err(losses) = self.guard.judge(&manifest) {
            let held = Held {
                digest: manifest.digest(),
                losses,
                gone: self.gone.iter().take(NAMED_GONE).cloned().collect(),
                gone_in_all: self.gone.len(),
                release_file: self.guard.release_file(),
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
                if let Err(error) = self.guard.published(published.manifest()) {
                    let what = format!("the baseline of the shrink guard could not be written: {error}");
                    self.ledger.trouble(what);
                }
                self.ledger.published(&published, Timestamp::now());
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
