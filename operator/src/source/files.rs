//! Files by their fingerprints: which there are, and which have stopped changing. A file is read only once it has
//! looked the same for a moment, so that one that an editor is in the middle of writing, or has moved away to put
//! another in its place, is neither read half nor taken for deleted.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirEntry, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a file must look the same before it is read, or be away before it counts as deleted.
pub(crate) const SETTLE: Duration = Duration::from_millis(60);
/// A file that never settles is read as it is after this long.
pub(crate) const SETTLE_AT_MOST: Duration = Duration::from_millis(400);
/// The longest manifest file, in bytes. A larger one is reported and not read.
pub(crate) const MAX_FILE_BYTES: u64 = 16 << 20;
/// The deepest directory; deeper ones are likely to be a loop.
const MAX_DEPTH: usize = 32;
/// The most manifest files.
const MAX_FILES: usize = 100_000;

/// What tells that a file has changed: no write keeps all of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Fingerprint {
    /// Of the file at `path`, or of what a link there leads to.
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        fs::metadata(path).map(|metadata| Self::from(&metadata))
    }

    /// Which file it is, whatever its content.
    pub(crate) fn inode(&self) -> u64 {
        self.inode
    }
}

impl From<&Metadata> for Fingerprint {
    fn from(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// The manifests in a directory.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// The files with the ending of a manifest, by path relative to the directory.
    pub(crate) files: BTreeMap<String, Fingerprint>,
    /// Directories and manifests that could not be looked at, relative to the directory, and why. What lies there is unknown.
    pub(crate) unreadable: BTreeMap<String, String>,
}

impl Listing {
    /// Whether nothing can be said about this path.
    pub(crate) fn is_unknown(&self, path: &str) -> bool {
        let above = path.match_indices('/').map(|(end, _)| &path[..end]);
        !self.unreadable.is_empty() && above.chain(["", path]).any(|place| self.unreadable.contains_key(place))
    }
}

/// Lists `*.yaml`, `*.yml` and `*.json` in `root` and below. Hidden names (`.git`, Kubernetes' `..data`) are passed
/// over; links are followed.
pub(crate) fn list(root: &Path) -> Listing {
    let mut listing = Listing::default();
    let outcome = walk(root, "", &mut BTreeSet::new(), &mut listing);
    let too_many = listing.files.len() > MAX_FILES;
    let too_many = too_many.then(|| format!("there are more than {MAX_FILES} manifests"));
    if let Some(reason) = outcome.err().or(too_many) {
        listing.unreadable.insert(String::new(), reason);
    }
    listing
}

fn walk(path: &Path, name: &str, above: &mut BTreeSet<(u64, u64)>, listing: &mut Listing) -> Result<(), String> {
    let words = |error: io::Error| error.to_string();
    let metadata = fs::metadata(path).map_err(words)?;
    let identity = (metadata.dev(), metadata.ino());
    if above.len() == MAX_DEPTH {
        return Err(format!("it lies deeper than {MAX_DEPTH} directories"));
    }
    if !above.insert(identity) {
        // A link to a directory above: everything in it is listed already.
        return Ok(());
    }
    let entries = fs::read_dir(path).and_then(Iterator::collect::<io::Result<Vec<_>>>).map_err(words);
    for entry in entries.iter().flatten() {
        // A name that is not UTF-8 is no name of a manifest.
        let Ok(file_name) = entry.file_name().into_string() else { continue };
        if file_name.starts_with('.') || file_name == "lost+found" {
            continue;
        }
        let below = if name.is_empty() { file_name } else { format!("{name}/{file_name}") };
        let path = entry.path();
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => {
                if let Err(reason) = walk(&path, &below, above, listing) {
                    listing.unreadable.insert(below, reason);
                }
            }
            Ok(metadata) if metadata.is_file() && is_manifest(&path) => {
                listing.files.insert(below, Fingerprint::from(&metadata));
            }
            // It is there and may not be looked at: neither a lost right nor a failing disk deletes a route.
            Err(error) if error.kind() != io::ErrorKind::NotFound && may_matter(entry) => {
                listing.unreadable.insert(below, error.to_string());
            }
            // Gone since it was listed, a link that leads nowhere, or nothing of ours.
            _ => {}
        }
    }
    above.remove(&identity);
    entries.map(drop)
}

/// Whether an entry of which no more is known may be a manifest, or a directory of them.
fn may_matter(entry: &DirEntry) -> bool {
    is_manifest(&entry.path()) || entry.file_type().is_ok_and(|kind| kind.is_dir() || kind.is_symlink())
}

fn is_manifest(path: &Path) -> bool {
    let endings = ["yaml", "yml", "json"];
    path.extension().and_then(|ending| ending.to_str()).is_some_and(|ending| endings.contains(&ending))
}

/// Why a file has no content for us.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    /// It changed while it was read, or went away: look again in a moment.
    Moving,
    /// It cannot be read; says why.
    Fault(String),
}

/// The content of a file that has this fingerprint.
pub(crate) fn read(path: &PathBuf, expected: Fingerprint, longest: u64) -> Result<Vec<u8>, Unread> {
    let fault = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Unread::Moving,
        _ => Unread::Fault(format!("cannot be read: {error}")),
    };
    let file = File::open(path).map_err(fault)?;
    let mut content = Vec::new();
    file.take(longest + 1).read_to_end(&mut content).map_err(fault)?;
    if Fingerprint::of(path).map_err(fault)? != expected {
        return Err(Unread::Moving);
    }
    if content.len() as u64 > longest {
        return Err(Unread::Fault(format!("is longer than {longest} bytes: split it")));
    }
    Ok(content)
}

/// Tells when something that is looked at again and again has stopped changing.
#[derive(Debug, Clone)]
pub(crate) struct Settling<T> {
    seen: T,
    same_since: Duration,
    unread_since: Option<Duration>,
}

impl<T: PartialEq> Settling<T> {
    /// First seen at `now`, and not yet acted upon.
    pub(crate) fn new(seen: T, now: Duration) -> Self {
        Self { seen, same_since: now, unread_since: Some(now) }
    }

    /// Looked at again.
    pub(crate) fn see(&mut self, seen: T, now: Duration) {
        if self.seen != seen {
            self.seen = seen;
            self.same_since = now;
            self.unread_since.get_or_insert(now);
        }
    }

    /// When it may be acted upon, if it has changed since that was last done.
    pub(crate) fn due(&self) -> Option<Duration> {
        self.unread_since.map(|since| (self.same_since + SETTLE).min(since + SETTLE_AT_MOST))
    }

    /// It was acted upon.
    pub(crate) fn done(&mut self) {
        self.unread_since = None;
    }

    /// Acting upon it failed in a way that may pass: try again after another moment.
    pub(crate) fn postpone(&mut self, now: Duration) {
        self.same_since = now;
        self.unread_since = Some(now);
    }

    /// What was seen last.
    pub(crate) fn seen(&self) -> &T {
        &self.seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests_are_listed_and_other_files_are_not() {
        let directory = tempfile::tempdir().expect("a directory");
        let root = directory.path();
        for file in ["b.yaml", "a.yml", "sub/deep/c.json", "hsaunits.xml", "README.md", ".git/x.yaml", "x.yaml~"] {
            let path = root.join(file);
            fs::create_dir_all(path.parent().expect("has one")).expect("created");
            fs::write(path, "").expect("written");
        }
        let listing = list(root);
        assert_eq!(listing.files.keys().collect::<Vec<_>>(), ["a.yml", "b.yaml", "sub/deep/c.json"]);
        assert!(listing.unreadable.is_empty());
    }

    #[test]
    fn links_are_followed_and_loops_are_not() {
        let directory = tempfile::tempdir().expect("a directory");
        let root = directory.path();
        fs::create_dir(root.join("..v1")).expect("created");
        fs::write(root.join("..v1/a.yaml"), "").expect("written");
        std::os::unix::fs::symlink("..v1", root.join("..data")).expect("linked");
        std::os::unix::fs::symlink("..data/a.yaml", root.join("a.yaml")).expect("linked");
        std::os::unix::fs::symlink(".", root.join("loop")).expect("linked");
        std::os::unix::fs::symlink("nowhere", root.join("b.yaml")).expect("linked");
        let listing = list(root);
        assert_eq!(listing.files.keys().collect::<Vec<_>>(), ["a.yaml"]);
        assert!(listing.unreadable.is_empty(), "{listing:?}");
    }

    #[test]
    fn of_a_directory_that_cannot_be_read_everything_is_unknown() {
        let mut listing = list(Path::new("/does/not/exist"));
        assert!(listing.is_unknown("a.yaml"));
        listing.unreadable = BTreeMap::from([("sub".to_owned(), String::new())]);
        assert!(["sub/a.yaml", "sub/deep/a.yaml", "sub"].iter().all(|path| listing.is_unknown(path)));
        assert!(["sub.yaml", "a.yaml", "a/sub"].iter().all(|path| !listing.is_unknown(path)));
    }

    #[test]
    fn a_change_settles_after_a_moment_or_is_taken_as_it_is() {
        let ms = Duration::from_millis;
        let mut file = Settling::new(1, ms(0));
        assert_eq!(file.due(), Some(SETTLE));
        file.done();
        assert_eq!(file.due(), None);
        file.see(1, ms(500));
        assert_eq!(file.due(), None, "nothing changed");
        for step in 0..20 {
            file.see(2 + step, ms(1000 + 50 * step));
        }
        assert_eq!(file.due(), Some(ms(1000) + SETTLE_AT_MOST));
    }

    #[test]
    fn a_file_that_changes_while_it_is_read_is_not_believed() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("a.yaml");
        fs::write(&path, "one").expect("written");
        let before = Fingerprint::of(&path).expect("is there");
        fs::write(&path, "more than one").expect("written");
        assert_eq!(read(&path, before, 100), Err(Unread::Moving));
        let now = Fingerprint::of(&path).expect("is there");
        assert_eq!(read(&path, now, 100).as_deref(), Ok(&b"more than one"[..]));
        assert!(matches!(read(&path, now, 5), Err(Unread::Fault(_))));
        fs::remove_file(&path).expect("removed");
        assert_eq!(read(&path, now, 100), Err(Unread::Moving));
    }
}
