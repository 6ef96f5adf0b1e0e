//! A directory of manifests: the objects that its files hold, and what of that changed since the last look.
//!
//! A person's slip must not take away what worked a moment ago, so as long as a document is refused its object stays
//! as it was last good, and as long as any part of a file cannot be read no object of that file is removed. Deleting
//! a file, or a good document from a readable file, removes objects. Two files that claim one object: the first by
//! path has it, and the other is told.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rivmesh_table::{HsaTree, Object, ObjectId, Spec};

use super::files::{self, Fingerprint, Settling, Unread};
use super::hsa_units::HsaUnits;
use super::manifest::{self, Document};
use super::schema::Fault;
use super::{Batch, Change, Problem};
use crate::revocation::revokes;

/// A directory of manifests, and the HSA unit files beside it. Times are since any fixed instant.
#[derive(Debug)]
pub struct Directory {
    root: PathBuf,
    files: BTreeMap<String, File>,
    /// Which files hold an object.
    claims: BTreeMap<ObjectId, BTreeSet<String>>,
    /// What was told, by object.
    told: BTreeMap<ObjectId, Told>,
    unreadable: BTreeMap<String, String>,
    hsa_units: HsaUnits,
    /// Objects that files have touched and a tree that was read, neither told yet: the first read may take several looks.
    untold: BTreeSet<ObjectId>,
    untold_tree: Option<HsaTree>,
    /// Whether the first complete read is done.
    complete: bool,
}

#[derive(Debug)]
struct File {
    /// Its fingerprint; none while it is away.
    state: Settling<Option<Fingerprint>>,
    objects: BTreeMap<ObjectId, Held>,
    faults: Vec<(Option<ObjectId>, Fault)>,
}

#[derive(Debug, Clone)]
struct Held {
    line: u32,
    spec: Arc<Spec>,
}

#[derive(Debug)]
struct Told {
    file: String,
    generation: i64,
    spec: Arc<Spec>,
}

impl Directory {
    /// The manifests in `root`, and these unit files. Nothing is read yet.
    pub fn new(root: impl Into<PathBuf>, hsa_units: Vec<PathBuf>) -> Self {
        Self {
            root: root.into(),
            files: BTreeMap::new(),
            claims: BTreeMap::new(),
            told: BTreeMap::new(),
            unreadable: BTreeMap::new(),
            hsa_units: HsaUnits::new(hsa_units),
            untold: BTreeSet::new(),
            untold_tree: None,
            complete: false,
        }
    }

    /// The directory.
    pub fn root(&self) -> &PathBuf {
        &self.root
    }

    /// The unit files.
    pub fn hsa_units(&self) -> &[PathBuf] {
        self.hsa_units.paths()
    }

    /// Looks at every file, and reads those that changed and have settled. `None` when there is nothing to tell, or
    /// the first read is not complete yet.
    pub fn look(&mut self, now: Duration) -> Option<Batch> {
        let listing = files::list(&self.root);
        let mut touched = std::mem::take(&mut self.untold);
        let mut news = self.unreadable != listing.unreadable;
        for (name, fingerprint) in &listing.files {
            let seen = Some(*fingerprint);
            let new = || File { state: Settling::new(seen, now), objects: BTreeMap::new(), faults: Vec::new() };
            self.files.entry(name.clone()).or_insert_with(new).state.see(seen, now);
        }
        for (name, file) in &mut self.files {
            if !listing.files.contains_key(name) && !listing.is_unknown(name) {
                file.state.see(None, now);
            }
        }
        self.unreadable = listing.unreadable;
        let is_due = |file: &File| file.state.due().is_some_and(|due| now >= due || !self.complete);
        let due: Vec<String> =
            self.files.iter().filter(|(_, file)| is_due(file)).map(|(name, _)| name.clone()).collect();
        for name in due {
            news |= self.take_up(&name, now, &mut touched);
        }
        let (hsa_news, tree) = self.hsa_units.look(now);
        let tree = tree.or_else(|| self.untold_tree.take());
        if !self.complete {
            // What cannot be listed or holds still only after a moment may hold anything.
            if !self.unreadable.is_empty() || self.files.values().any(|file| file.state.due().is_some()) {
                self.untold = touched;
                self.untold_tree = tree;
                return None;
            }
            self.complete = true;
            news = true;
        }
        if !news && !hsa_news {
            return None;
        }
        let mut batch = Batch { whole: true, ..Batch::default() };
        for id in touched {
            self.settle_claim(id, &mut batch);
        }
        batch.changes.extend(tree.map(Change::HsaTree));
        batch.problems = self.problems().into();
        Some(batch)
    }

    /// Why there was no batch yet, if a person must mend something first.
    pub fn obstacle(&self) -> Option<Problem> {
        let problem = || self.problems().into_iter().next();
        if self.complete || self.unreadable.is_empty() { None } else { problem() }
    }

    /// When to look again because something is settling. What changes later must be noticed by other means.
    pub fn due(&self) -> Option<Duration> {
        let files = self.files.values().filter_map(|file| file.state.due());
        files.chain(self.hsa_units.due()).min()
    }

    /// Takes up what has become of a file. True if that is news.
    fn take_up(&mut self, name: &str, now: Duration, touched: &mut BTreeSet<ObjectId>) -> bool {
        let Some(file) = self.files.get_mut(name) else { return false };
        let Some(fingerprint) = *file.state.seen() else {
            let gone = self.files.remove(name).map(|file| file.objects).unwrap_or_default();
            for id in gone.into_keys() {
                self.release(&id, name);
                touched.insert(id);
            }
            return true;
        };
        let content = match files::read(&self.root.join(name), fingerprint, files::MAX_FILE_BYTES) {
            Err(Unread::Moving) => {
                file.state.postpone(now);
                return false;
            }
            content => content,
        };
        file.state.done();
        let documents = match content.map(String::from_utf8) {
            Ok(Ok(text)) => manifest::read(&text),
            Ok(Err(error)) => vec![not_utf8(error.as_bytes(), error.utf8_error().valid_up_to())],
            Err(Unread::Fault(reason)) => vec![refused(1, reason)],
            Err(Unread::Moving) => Vec::new(),
        };
        let (objects, faults) = merge(documents, &file.objects);
        let before = std::mem::replace(&mut file.objects, objects);
        file.faults = faults;
        let now_held: Vec<ObjectId> = file.objects.keys().cloned().collect();
        for id in before.keys().filter(|id| !now_held.contains(id)) {
            self.release(id, name);
        }
        touched.extend(before.into_keys());
        for id in now_held {
            self.claims.entry(id.clone()).or_default().insert(name.to_owned());
            touched.insert(id);
        }
        true
    }

    fn release(&mut self, id: &ObjectId, name: &str) {
        if let Some(claims) = self.claims.get_mut(id) {
            claims.remove(name);
            if claims.is_empty() {
                self.claims.remove(id);
            }
        }
    }

    /// Adds what is to be told about an object that some file touched, if anything.
    fn settle_claim(&mut self, id: ObjectId, batch: &mut Batch) {
        let holder = self.claims.get(&id).and_then(|claims| claims.first());
        let held = holder.and_then(|name| Some((name, self.files.get(name)?.objects.get(&id)?)));
        let before = self.told.remove(&id);
        batch.urgent |= before.as_ref().is_some_and(|told| revokes(&told.spec, held.map(|(_, held)| &*held.spec)));
        let Some((file, held)) = held else {
            batch.changes.extend(before.map(|_| Change::Remove(id)));
            return;
        };
        let is_same = before.as_ref().is_some_and(|told| told.spec == held.spec);
        let has_moved = before.as_ref().is_some_and(|told| told.file != *file);
        let generation = before.map_or(1, |told| told.generation + i64::from(!is_same));
        self.told.insert(id.clone(), Told { file: file.clone(), generation, spec: held.spec.clone() });
        if !is_same || has_moved {
            let (path, spec) = (Some(file.clone()), Spec::clone(&held.spec));
            batch.changes.push(Change::Upsert(Box::new(Object {
                id,
                uid: None,
                generation,
                created: None,
                path,
                spec,
            })));
        }
    }

    fn problems(&self) -> Vec<Problem> {
        let unreadable = self.unreadable.iter().map(|(name, reason)| {
            let file = if name.is_empty() { self.root.display().to_string() } else { name.clone() };
            let reason = format!("cannot be read: {reason}; what it held stays in use");
            Problem { file, line: None, object: None, reason }
        });
        let faults = self.files.iter().flat_map(|(name, file)| {
            file.faults.iter().map(|(object, fault)| Problem {
                file: name.clone(),
                line: Some(fault.line),
                object: object.clone(),
                reason: fault.reason.clone(),
            })
        });
        let rivals = self.claims.iter().filter(|(_, claims)| claims.len() > 1).flat_map(|(id, claims)| {
            let mut names = claims.iter();
            let winner = names.next().cloned().unwrap_or_default();
            names.map(move |name| Problem {
                file: name.clone(),
                line: self.files.get(name).and_then(|file| file.objects.get(id)).map(|held| held.line),
                object: Some(id.clone()),
                reason: format!(
                    "{winner} already holds this object and is the one in use: rename or delete one of them"
                ),
            })
        });
        let mut problems: Vec<Problem> = unreadable.chain(faults).chain(rivals).collect();
        problems.extend_from_slice(self.hsa_units.problems());
        problems.sort();
        problems
    }
}

type Faults = Vec<(Option<ObjectId>, Fault)>;

/// The objects of a file after it was read again, and what is wrong with it.
fn merge(documents: Vec<Document>, before: &BTreeMap<ObjectId, Held>) -> (BTreeMap<ObjectId, Held>, Faults) {
    let mut objects = BTreeMap::new();
    let mut faults = Vec::new();
    let mut twice = Vec::new();
    let mut is_readable = true;
    for document in documents {
        match document {
            Document::Object { id, line, spec } => match objects.get(&id) {
                None => {
                    // The same content keeps its place in memory, and is then no change.
                    let same = before.get(&id).filter(|held| *held.spec == *spec).map(|held| held.spec.clone());
                    objects.insert(id, Held { line, spec: same.unwrap_or_else(|| Arc::from(spec)) });
                }
                Some(Held { line: first, .. }) => {
                    let reason = format!("this object stands already at line {first}, which is the one in use");
                    twice.push((Some(id), Fault { line, reason }));
                }
            },
            Document::Refused { id, faults: found } => {
                is_readable &= id.is_some();
                faults.extend(found.into_iter().map(|fault| (id.clone(), fault)));
            }
            Document::Foreign(fault) => faults.push((None, fault)),
        }
    }
    let refused: BTreeSet<ObjectId> = faults.iter().filter_map(|(id, _)| id.clone()).collect();
    for (id, held) in before {
        if !objects.contains_key(id) && (!is_readable || refused.contains(id)) {
            objects.insert(id.clone(), held.clone());
        }
    }
    for (id, fault) in &mut faults {
        if id.as_ref().is_some_and(|id| before.contains_key(id)) {
            fault.reason.push_str("; the version from before stays in use");
        }
    }
    faults.append(&mut twice);
    (objects, faults)
}

fn refused(line: u32, reason: String) -> Document {
    Document::Refused { id: None, faults: vec![Fault { line, reason }] }
}

fn not_utf8(content: &[u8], valid_up_to: usize) -> Document {
    let lines_before = content[..valid_up_to].iter().filter(|byte| **byte == b'\n').count();
    refused(lines_before as u32 + 1, "is not UTF-8: convert the file".to_owned())
}
