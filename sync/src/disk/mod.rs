//! The last good table on disk, so that a dataplane that restarts while no operator can be reached serves what it
//! served before. Shards are files named by their digest, and one file names the shards that make a table; it is
//! renamed into place after all of them are on stable storage, so a crash leaves either the table before or the one
//! after. Nothing read from disk is believed: every digest is verified, and a store that is not whole is not used.

mod files;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use rivmesh_table::{Digest, Environment, Manifest, Table, TableError};
use thiserror::Error;

pub use files::{Directory, Files};

use crate::background::give_way;
use crate::limits;

const MANIFEST: &str = "manifest";
const SHARD_PREFIX: &str = "shard-";
const UNFINISHED: &str = "unfinished";
const MAGIC: &[u8; 8] = b"RVMSTO1\n";
/// Magic, digest of the rest, time.
const HEADER: usize = 8 + 16 + 8;

/// The store could not be written. The table in service is not touched, and a table that was on disk is still whole.
#[derive(Debug, Error)]
#[error("the table store could not {action} {name}: {source}; calls are served from memory meanwhile")]
pub struct SaveError {
    action: &'static str,
    name: String,
    source: io::Error,
}

/// The store holds something that is not a whole table, or not one for this dataplane. It is not used, and the next save
/// replaces it.
#[derive(Debug, Error)]
#[error("the table store is not usable: {0}; it is ignored until an operator has sent a table")]
pub struct LoadError(String);

/// A table read from disk.
#[derive(Debug)]
pub struct Stored {
    /// The table.
    pub table: Table,
    /// When it was saved.
    pub saved: SystemTime,
}

/// The store. It has one user at a time.
#[derive(Debug)]
pub struct Store<F> {
    files: F,
    /// Shards that are known to be on stable storage with the right content.
    held: BTreeSet<Digest>,
}

impl<F: Files> Store<F> {
    /// A store in these files. Nothing is read yet.
    pub fn new(files: F) -> Self {
        Self { files, held: BTreeSet::new() }
    }

    /// The table on disk, for a dataplane of this environment; `None` when none was ever saved.
    ///
    /// # Errors
    /// When there is a table that is damaged, incomplete, unreadable, of a format that this version does not read, or of
    /// another environment.
    pub fn load(&mut self, environment: Option<&Environment>) -> Result<Option<Stored>, LoadError> {
        self.held.clear();
        let content = match self.files.read(MANIFEST) {
            Ok(content) => content,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(LoadError(format!("{MANIFEST} cannot be read: {error}"))),
        };
        let (manifest, saved) = read_manifest(&content)?;
        if let Some((ours, theirs)) = Environment::clash(environment, manifest.environment.as_ref()) {
            return Err(LoadError(format!(
                "it holds a table of environment {theirs} and this dataplane belongs to {ours}: environments never mix"
            )));
        }
        let mut shards = BTreeMap::new();
        for shard in manifest.slots.values() {
            shards.insert(shard.digest, self.read_shard(shard.digest, shard.len as usize)?);
        }
        let table = Table::assemble(&manifest, None, &mut |digest| shards.get(&digest).cloned());
        let table = table.map_err(|error| match error {
            TableError::Digest { expected, .. } => {
                LoadError(format!("{} is not what was saved: its digest differs", shard_name(expected)))
            }
            other => LoadError(other.to_string()),
        })?;
        self.held = shards.into_keys().collect();
        Ok(Some(Stored { table, saved }))
    }

    /// Puts `table` on disk in place of the one there, and removes what that one alone needed.
    ///
    /// `now` is kept beside it. Takes as long as the disk takes.
    ///
    /// # Errors
    /// When the disk is full or fails. The store then still has the table before, and nothing else: a smaller table may
    /// find the room that this one did not. Saving again tries again.
    pub fn save(&mut self, table: &Table, now: SystemTime) -> Result<(), SaveError> {
        let saved = self.replace(table, now);
        if saved.is_err() {
            self.make_room();
        }
        saved
    }

    fn replace(&mut self, table: &Table, now: SystemTime) -> Result<(), SaveError> {
        let manifest = table.manifest();
        // Somebody may have cleaned up; then what is missing is written again.
        let present: BTreeSet<String> = self.list()?.into_iter().collect();
        self.held.retain(|digest| present.contains(&shard_name(*digest)));
        for (&slot, shard) in &manifest.slots {
            if self.held.contains(&shard.digest) {
                continue;
            }
            let bytes = table.shard(slot).expect("a table holds the shards of its manifest");
            self.place(&shard_name(shard.digest), bytes)?;
            self.held.insert(shard.digest);
        }
        self.files.sync().map_err(failed("sync", "the directory"))?;
        self.place(MANIFEST, &encode_manifest(manifest, now))?;
        self.files.sync().map_err(failed("sync", "the directory"))?;
        self.collect_garbage(&shards_of(manifest))
    }

    /// Removes what a failed save has left. What fails here is left to the next save.
    fn make_room(&mut self) {
        let Some(needed) = self.needed_on_disk() else { return };
        // The manifest may be that of a save whose last sync failed. A crash could still bring back the one before, whose
        // shards may not go until the one that was read is on stable storage.
        if self.files.sync().is_ok() {
            let _ = self.collect_garbage(&needed);
        }
    }

    /// The shards of the table on disk. `None` when nobody knows: a manifest that cannot be read now may be read at the
    /// next start.
    fn needed_on_disk(&self) -> Option<BTreeSet<Digest>> {
        match self.files.read(MANIFEST) {
            // A manifest that is damaged is never loaded, so that nothing needs the shards beside it.
            Ok(content) => Some(read_manifest(&content).map(|(manifest, _)| shards_of(&manifest)).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Some(BTreeSet::new()),
            Err(_) => None,
        }
    }

    /// Writes a file under another name and renames it, so that a file with its own name is always complete.
    fn place(&self, name: &str, content: &[u8]) -> Result<(), SaveError> {
        give_way();
        let written = self.files.write(UNFINISHED, content).map_err(failed("write", name));
        let placed = written.and_then(|()| self.files.rename(UNFINISHED, name).map_err(failed("rename", name)));
        if placed.is_err() {
            // On a full disk the half-written file is in the way of the next attempt. It may not exist at all.
            let _ = self.files.remove(UNFINISHED);
        }
        placed
    }

    /// Removes all shards but those that are needed. One that cannot be removed is not in the way of the others.
    fn collect_garbage(&mut self, needed: &BTreeSet<Digest>) -> Result<(), SaveError> {
        self.held.retain(|digest| needed.contains(digest));
        let mut collected = Ok(());
        for name in self.list()? {
            let shard = name.strip_prefix(SHARD_PREFIX).map(|digest| digest.parse::<Digest>());
            let unneeded = match shard {
                Some(Ok(digest)) => !needed.contains(&digest),
                Some(Err(_)) => false,
                None => name == UNFINISHED,
            };
            if unneeded {
                give_way();
                let removed = self.files.remove(&name).map_err(failed("remove", &name));
                collected = collected.and(removed);
            }
        }
        collected
    }

    fn list(&self) -> Result<Vec<String>, SaveError> {
        self.files.list().map_err(failed("list", "the directory"))
    }

    fn read_shard(&self, digest: Digest, length: usize) -> Result<Bytes, LoadError> {
        let name = shard_name(digest);
        let bytes = self.files.read(&name).map_err(|error| LoadError(format!("{name} cannot be read: {error}")))?;
        if bytes.len() != length {
            return Err(LoadError(format!("{name} has {} bytes where {length} were saved", bytes.len())));
        }
        Ok(bytes.into())
    }
}

fn shards_of(manifest: &Manifest) -> BTreeSet<Digest> {
    manifest.slots.values().map(|shard| shard.digest).collect()
}

fn shard_name(digest: Digest) -> String {
    format!("{SHARD_PREFIX}{digest}")
}

fn failed(action: &'static str, name: &str) -> impl FnOnce(io::Error) -> SaveError {
    let name = name.to_owned();
    move |source| SaveError { action, name, source }
}

fn encode_manifest(manifest: &Manifest, now: SystemTime) -> Vec<u8> {
    let seconds = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let checked = [&seconds.to_le_bytes()[..], &manifest.encode()].concat();
    [MAGIC, &Digest::of(&checked).as_bytes()[..], &checked].concat()
}

fn read_manifest(content: &[u8]) -> Result<(Manifest, SystemTime), LoadError> {
    let damaged = |what: &str| LoadError(format!("{MANIFEST} {what}"));
    if content.len() < HEADER || content.len() > HEADER + limits::MAX_MANIFEST_BYTES {
        return Err(damaged("has a length that no manifest has"));
    }
    let (magic, rest) = content.split_at(MAGIC.len());
    let (digest, checked) = rest.split_at(16);
    if magic != MAGIC {
        return Err(damaged("was not written by this version of rivmesh"));
    }
    if Digest::of(checked).as_bytes() != digest {
        return Err(damaged("is not what was saved: its digest differs"));
    }
    let (seconds, encoded) = checked.split_at(8);
    let seconds = u64::from_le_bytes(seconds.try_into().expect("split at 8 bytes"));
    let manifest = Manifest::decode(encoded).map_err(|error| damaged(&format!("cannot be decoded: {error}")))?;
    let saved = UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap_or(UNIX_EPOCH);
    Ok((manifest, saved))
}
