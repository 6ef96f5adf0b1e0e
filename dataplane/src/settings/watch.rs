//! Following the files. Folders are watched rather than files, because what replaces a file replaces its entry in the
//! folder: editors and tools rename a new file over it, and the kubelet swaps a symbolic link for a whole mount. Some
//! file systems tell nothing, so everything is also read again once a minute.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout_at};

use super::{Live, Settings, SettingsError};
use crate::config;

/// Everything is read again this often, whatever the file system tells.
const POLL: Duration = Duration::from_secs(60);
/// Changes that belong together come this close after each other.
const QUIET: Duration = Duration::from_millis(300);
/// Changes that never stop are acted on after this long all the same.
const PATIENCE: Duration = Duration::from_secs(3);

/// What has come of a change in the files.
#[derive(Debug)]
pub enum Event {
    /// New settings are in force. Their `warnings` and `pending_restart` are worth a line in the log.
    Applied(Arc<Settings>),
    /// A file is wrong; the settings from before stay in force. Told once until the error changes.
    Kept(SettingsError),
    /// A folder cannot be watched, so that a change in it is seen only after up to a minute.
    Unwatched {
        /// The folder.
        folder: PathBuf,
        /// What the system says.
        reason: String,
    },
}

/// Keeps `live` up to date with `platform.yaml` at `path` and every file that it names, and tells `on_event` what has
/// come of each change. Runs until it is dropped.
pub async fn watch(live: Live, path: PathBuf, mut on_event: impl FnMut(Event)) {
    let (sender, mut changes) = mpsc::channel(1);
    let mut folders = Folders::new(sender, &mut on_event);
    let mut told = None;
    loop {
        // What happened in a folder before it was watched is unknown, so a new one is no reason to wait.
        if !folders.follow(&path, &live.load(), &mut on_event) {
            tokio::select! {
                Some(()) = changes.recv() => settle(&mut changes).await,
                () = sleep(POLL) => {}
            }
        }
        let (before, file) = (live.load_full(), path.clone());
        let reloaded = tokio::task::spawn_blocking(move || before.reload(&file)).await;
        match news(&mut told, reloaded.expect("loading files does not panic, and blocking tasks are not cancelled")) {
            None => {}
            Some(Ok(settings)) => {
                let settings = Arc::new(settings);
                live.store(settings.clone());
                on_event(Event::Applied(settings));
            }
            Some(Err(error)) => on_event(Event::Kept(error)),
        }
    }
}

/// What is new about a reload: settings that have changed, or an error other than the one that was told last.
pub(super) fn news(
    told: &mut Option<SettingsError>,
    reloaded: Result<Option<Settings>, SettingsError>,
) -> Option<Result<Settings, SettingsError>> {
    match reloaded {
        Ok(settings) => {
            *told = None;
            settings.map(Ok)
        }
        Err(error) if told.as_ref() == Some(&error) => None,
        Err(error) => {
            *told = Some(error.clone());
            Some(Err(error))
        }
    }
}

async fn settle(changes: &mut mpsc::Receiver<()>) {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        let Ok(Some(())) = timeout_at((Instant::now() + QUIET).min(end), changes.recv()).await else { return };
    }
}

/// The folders that are watched.
struct Folders {
    watcher: Option<RecommendedWatcher>,
    watched: BTreeSet<PathBuf>,
    refused: BTreeSet<PathBuf>,
}

impl Folders {
    fn new(sender: mpsc::Sender<()>, on_event: &mut impl FnMut(Event)) -> Self {
        let tell = move |event: notify::Result<notify::Event>| {
            if event.map_or(true, |event| is_change(event.kind)) {
                // A full channel already holds the news.
                let _ = sender.try_send(());
            }
        };
        let watcher = notify::recommended_watcher(tell).map_err(|error| {
            on_event(Event::Unwatched { folder: PathBuf::from("/"), reason: error.to_string() });
        });
        Self { watcher: watcher.ok(), watched: BTreeSet::new(), refused: BTreeSet::new() }
    }

    /// Watches the folders of all files that matter now, and no others. True if one of them is new.
    fn follow(&mut self, path: &Path, settings: &Settings, on_event: &mut impl FnMut(Event)) -> bool {
        let Some(watcher) = &mut self.watcher else { return false };
        let wanted = folders_of(path, settings);
        for folder in self.watched.difference(&wanted) {
            // Fails only if the folder is gone, and then it is not watched any more either.
            let _ = watcher.unwatch(folder);
        }
        self.watched.retain(|folder| wanted.contains(folder));
        let mut is_new = false;
        for folder in wanted {
            if self.watched.contains(&folder) {
                continue;
            }
            match watcher.watch(&folder, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    self.refused.remove(&folder);
                    is_new |= self.watched.insert(folder);
                }
                Err(error) => {
                    if self.refused.insert(folder.clone()) {
                        on_event(Event::Unwatched { folder, reason: error.to_string() });
                    }
                }
            }
        }
        is_new
    }
}

/// Where the files stand, by the names in the settings and by where links lead. While `platform.yaml` names files that
/// cannot be used yet, those are waited for too.
fn folders_of(path: &Path, settings: &Settings) -> BTreeSet<PathBuf> {
    let mut files = settings.platform.files();
    files.extend(settings.listeners.iter().flat_map(|listener| listener.config.files()));
    files.extend(config::load(path).map(|wanted| wanted.files()).unwrap_or_default());
    files.push(path.to_owned());
    let targets = files.iter().filter_map(|file| file.canonicalize().ok()).collect::<Vec<_>>();
    let folder = |file: &PathBuf| match file.parent() {
        Some(folder) if folder.as_os_str().is_empty() => PathBuf::from("."),
        Some(folder) => folder.to_owned(),
        None => PathBuf::from("/"),
    };
    files.iter().chain(&targets).map(folder).collect()
}

/// Reading a file is an event too, and we read them all.
fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) => false,
        _ => true,
    }
}
