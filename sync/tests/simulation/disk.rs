//! A disk that does only what disks promise. What a file holds is safe when its write has returned, and which names
//! there are is safe when a sync has returned; of everything else a crash keeps any part.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex};

use rand::Rng;
use rand::rngs::StdRng;
use rivmesh_sync::disk::Files;

/// The disk. It outlives the process that uses it.
#[derive(Clone, Default)]
pub(crate) struct Disk(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    contents: Vec<Vec<u8>>,
    /// Names as programs see them, and where their contents are.
    names: BTreeMap<String, usize>,
    /// Names as they were at the last sync.
    synced: BTreeMap<String, usize>,
    /// How many more operations succeed; none fails without a number.
    fuse: Option<u32>,
    /// How many more writes there is room for; for any without a number.
    room: Option<u32>,
    /// How much of a write arrives that fails, in percent.
    torn_at: usize,
}

impl Disk {
    /// After this many operations all fail, the first of them in the middle.
    pub(crate) fn fail_after(&self, operations: u32, rng: &mut StdRng) {
        let mut state = self.lock();
        state.fuse = Some(operations);
        state.torn_at = rng.random_range(0..=100);
    }

    /// After this many writes there is no room for another. All else goes on.
    pub(crate) fn full_after(&self, writes: u32, rng: &mut StdRng) {
        let mut state = self.lock();
        state.room = Some(writes);
        state.torn_at = rng.random_range(0..100);
    }

    /// Operations succeed again.
    pub(crate) fn mend(&self) {
        let mut state = self.lock();
        (state.fuse, state.room) = (None, None);
    }

    /// The names of all files.
    pub(crate) fn names(&self) -> BTreeSet<String> {
        self.lock().names.keys().cloned().collect()
    }

    /// The machine stops. Each name that was not synced is as before or as after.
    pub(crate) fn crash(&self, rng: &mut StdRng) {
        let mut state = self.lock();
        let State { names, synced, .. } = &mut *state;
        let all: Vec<String> = names.keys().chain(synced.keys()).cloned().collect();
        for name in all {
            let kept = if rng.random_bool(0.5) { names.get(&name) } else { synced.get(&name) };
            match kept.copied() {
                Some(content) => drop(names.insert(name, content)),
                None => drop(names.remove(&name)),
            }
        }
        *synced = names.clone();
        (state.fuse, state.room) = (None, None);
    }

    /// One bit of one file turns.
    pub(crate) fn rot(&self, rng: &mut StdRng) {
        let mut state = self.lock();
        let Some(nth) = state.names.len().checked_sub(1).map(|last| rng.random_range(0..=last)) else { return };
        let content = *state.names.values().nth(nth).expect("within the names");
        let bytes = &mut state.contents[content];
        if !bytes.is_empty() {
            let position = rng.random_range(0..bytes.len());
            bytes[position] ^= 1 << rng.random_range(0..8);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().expect("one thread")
    }
}

impl State {
    fn burn(&mut self) -> io::Result<()> {
        take_one(&mut self.fuse)
    }

    fn find(&self, name: &str) -> io::Result<usize> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

fn take_one(left: &mut Option<u32>) -> io::Result<()> {
    match left {
        Some(0) => Err(io::ErrorKind::StorageFull.into()),
        Some(left) => {
            *left -= 1;
            Ok(())
        }
        None => Ok(()),
    }
}

impl Files for Disk {
    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let state = self.lock();
        state.find(name).map(|content| state.contents[content].clone())
    }

    fn write(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let mut state = self.lock();
        let burnt = state.burn().and_then(|()| take_one(&mut state.room));
        let arrived = if burnt.is_ok() { content.len() } else { content.len() * state.torn_at / 100 };
        let place = match state.find(name) {
            Ok(place) => place,
            Err(_) => {
                state.contents.push(Vec::new());
                let place = state.contents.len() - 1;
                state.names.insert(name.to_owned(), place);
                place
            }
        };
        state.contents[place] = content[..arrived].to_vec();
        burnt
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.lock();
        state.burn()?;
        let place = state.find(from)?;
        state.names.remove(from);
        state.names.insert(to.to_owned(), place);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.lock();
        state.burn()?;
        state.find(name)?;
        state.names.remove(name);
        Ok(())
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.lock().names.keys().cloned().collect())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.lock();
        state.burn()?;
        state.synced = state.names.clone();
        Ok(())
    }
}
