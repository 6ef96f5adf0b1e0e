//! Looks at a directory whenever something in it changes, from a thread of its own. The operating system's
//! notifications make it quick; a look every few seconds finds what they missed (network file systems, a directory
//! that was replaced, a limit on watches).

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tracing::warn;

use super::Batch;
use super::directory::Directory;
use super::files::Fingerprint;

/// The time between looks while notifications work, and while they do not.
const RESCAN: Duration = Duration::from_secs(5);
const RESCAN_BLIND: Duration = Duration::from_millis(500);
/// The shortest time between looks, so that a directory that changes all the time costs little.
const PAUSE: Duration = Duration::from_millis(10);
/// Reading YAML is recursive.
const STACK: usize = 8 << 20;

/// A directory that is being watched. Ends when dropped.
#[derive(Debug)]
pub struct Watch {
    wake: Sender<Wake>,
    thread: Option<JoinHandle<()>>,
}

enum Wake {
    Look,
    Stop,
}

/// Watches a directory: every batch goes to `tell`, which says whether it wants more.
///
/// # Errors
/// When no thread can be started.
pub fn watch(directory: Directory, tell: impl FnMut(Batch) -> bool + Send + 'static) -> std::io::Result<Watch> {
    let (wake, wakes) = channel();
    let watcher = Notifications::new(wake.clone(), &directory);
    let thread = std::thread::Builder::new()
        .name("manifests".to_owned())
        .stack_size(STACK)
        .spawn(move || look_for_ever(directory, watcher, &wakes, tell))?;
    Ok(Watch { wake, thread: Some(thread) })
}

impl Drop for Watch {
    fn drop(&mut self) {
        // The thread may have ended by itself; then nobody receives.
        let _ = self.wake.send(Wake::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn look_for_ever(
    mut directory: Directory,
    mut notifications: Notifications,
    wakes: &Receiver<Wake>,
    mut tell: impl FnMut(Batch) -> bool,
) {
    let started = Instant::now();
    let mut obstacle = None;
    loop {
        let sees = notifications.renew();
        if directory.look(started.elapsed()).is_some_and(|batch| !tell(batch)) {
            return;
        }
        let now_in_the_way = directory.obstacle();
        if let Some(problem) = now_in_the_way.as_ref().filter(|_| now_in_the_way != obstacle) {
            warn!("{problem}; nothing is published before all manifests could be read");
        }
        obstacle = now_in_the_way;
        let rescan = if sees { RESCAN } else { RESCAN_BLIND };
        let wait = directory.due().map_or(rescan, |due| due.saturating_sub(started.elapsed()).min(rescan));
        match wakes.recv_timeout(wait) {
            Ok(Wake::Stop) | Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => continue,
            Ok(Wake::Look) => std::thread::sleep(PAUSE),
        }
        if wakes.try_iter().any(|wake| matches!(wake, Wake::Stop)) {
            return;
        }
    }
}

/// The operating system's notifications.
struct Notifications {
    watcher: Option<RecommendedWatcher>,
    targets: Vec<Target>,
}

/// A directory that is watched; another one in its place must be watched anew.
struct Target {
    path: PathBuf,
    mode: RecursiveMode,
    watched: Option<u64>,
    /// Whether a person was told that it cannot be watched.
    complained: bool,
}

impl Notifications {
    fn new(wake: Sender<Wake>, directory: &Directory) -> Self {
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let is_reading = |kind: EventKind| matches!(kind, EventKind::Access(access) if access != AccessKind::Close(AccessMode::Write));
            if !event.is_ok_and(|event| is_reading(event.kind)) {
                // Nobody receives when the watch is being dropped.
                let _ = wake.send(Wake::Look);
            }
        });
        let target = |path: &Path, mode| Target { path: path.to_owned(), mode, watched: None, complained: false };
        let units = directory.hsa_units().iter().map(|path| match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        });
        let mut targets = vec![target(directory.root(), RecursiveMode::Recursive)];
        targets.extend(units.map(|path| target(path, RecursiveMode::NonRecursive)));
        let refused = |error| warn!("files cannot be watched ({error}): looking twice a second instead");
        Self { watcher: watcher.map_err(refused).ok(), targets }
    }

    /// Watches what is not watched yet. False if something cannot be.
    fn renew(&mut self) -> bool {
        let Some(watcher) = &mut self.watcher else { return false };
        let mut sees = true;
        for target in &mut self.targets {
            let now = Fingerprint::of(&target.path).ok().map(|fingerprint| fingerprint.inode());
            if now.is_some() && now == target.watched {
                continue;
            }
            if target.watched.take().is_some() {
                // The watch ended with the directory that it was on.
                let _ = watcher.unwatch(&target.path);
            }
            match watcher.watch(&target.path, target.mode) {
                Ok(()) => target.watched = now,
                Err(error) => {
                    sees = false;
                    if !std::mem::replace(&mut target.complained, true) {
                        warn!("{} cannot be watched ({error}): looking twice a second", target.path.display());
                    }
                }
            }
        }
        sees
    }
}
