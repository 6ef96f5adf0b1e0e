//! The shrink guard: a table that has lost a large part of what the one before held is not published until a person
//! says that it is right. A wrong `rm`, an empty volume or a broken checkout must not take a region's traffic down;
//! the price is that revocations wait too, and the alert says so.
//!
//! What counts as the table before is kept outside the process, by a [`Keeper`], so that a restart does not forget it: in
//! a directory of files, or where an operator keeps it in its cluster. A held table is released by its digest. While two
//! versions of the operator are at work, baseline and release are of both, so a table is named by what both call it.

use std::collections::VecDeque;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rivmesh_table::{Counts, Digest, FORMATS, Manifest, OLDEST_FORMAT, ObjectId};
use serde::{Deserialize, Serialize};

/// A kind that loses no more than this many rows is never held.
const ROWS: u64 = 100;
/// A kind that loses no more than this share, in percent, is never held.
const PERCENT: u64 = 30;

/// Releases that are remembered: a person's, and that of another process that published the same table.
const REMEMBERED_RELEASES: usize = 4;

const BASELINE: &str = "baseline.json";
const RELEASE: &str = "release";

/// The table that shrinking is measured against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Baseline {
    /// Its [`name`].
    pub digest: Digest,
    /// What it holds.
    pub counts: Counts,
}

/// Keeps the baseline between processes, and knows how a person releases a table.
pub trait Keeper: fmt::Debug + Send {
    /// Keeps another baseline. A release for it, or for a table that was never published, has had its effect.
    ///
    /// # Errors
    /// When it could not be written down.
    fn keep(&mut self, baseline: &Baseline) -> io::Result<()>;

    /// The table that a person has released, if this keeper is the one to ask.
    fn released(&self) -> Option<Digest>;

    /// What a person does to release this table: the end of a sentence.
    fn how_to_release(&self, digest: Digest) -> String;
}

/// Compares each new table with the last one that was published.
#[derive(Debug, Default)]
pub struct Guard {
    baseline: Option<Baseline>,
    keeper: Option<Box<dyn Keeper>>,
    /// Those of tables that were not published since.
    released: VecDeque<Digest>,
}

/// A table that is held back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Its [`name`]: what a release names.
    pub digest: Digest,
    /// What shrank too much, at least one kind.
    pub losses: Vec<Loss>,
    /// What it holds.
    pub counts: Counts,
    /// Objects that are gone, the first few, where this process has seen them go.
    pub gone: Vec<ObjectId>,
    /// How many objects are gone in all, of those that this process has seen.
    pub gone_in_all: usize,
    /// What releases it: the end of a sentence.
    pub release: String,
}

/// A kind that shrank too much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loss {
    /// What shrank, in the plural.
    pub what: &'static str,
    /// How many there were.
    pub before: u64,
    /// How many there would be.
    pub after: u64,
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "table {} is held back because it shrank too much: ", self.digest)?;
        for (index, loss) in self.losses.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{} {} instead of {}", loss.after, loss.what, loss.before)?;
        }
        if !self.gone.is_empty() {
            let names: Vec<String> = self.gone.iter().map(|id| format!("{} {id}", id.kind)).collect();
            let more = self.gone_in_all - self.gone.len();
            write!(f, "; gone: {}", names.join(", "))?;
            if more > 0 {
                write!(f, " and {more} more")?;
            }
        }
        let release = &self.release;
        write!(
            f,
            ". The table before stays in use; every change since, revocations too, waits. If it is right, release it: \
             {release}"
        )
    }
}

/// The digest that a table has in the oldest format: the one that every replica knows, also of the version before.
pub fn name(manifest: &Manifest) -> Digest {
    manifest.digest_in(OLDEST_FORMAT)
}

/// What shrank too much from one table to the next.
pub fn losses(before: &Counts, after: &Counts) -> Vec<Loss> {
    let kinds = [
        Loss { what: "routes", before: before.routes, after: after.routes },
        Loss { what: "authorizations", before: before.authorizations, after: after.authorizations },
        Loss { what: "contracts", before: before.contracts, after: after.contracts },
        Loss { what: "HSA units", before: before.hsa_units, after: after.hsa_units },
    ];
    let is_too_much = |loss: &Loss| {
        let lost = loss.before.saturating_sub(loss.after);
        lost > ROWS && lost * 100 > loss.before * PERCENT
    };
    kinds.into_iter().filter(is_too_much).collect()
}

impl Guard {
    /// A guard without memory of earlier processes.
    pub fn new() -> Self {
        Self::default()
    }

    /// A guard that goes on from this baseline, if there is one, and hands every later one to `keeper`.
    pub fn with(baseline: Option<Baseline>, keeper: Box<dyn Keeper>) -> Self {
        Self { baseline, keeper: Some(keeper), released: VecDeque::new() }
    }

    /// A guard whose baseline is kept in `directory`, which is created if it is not there.
    ///
    /// # Errors
    /// When the directory cannot be used, or the file in it cannot be read: to start without it could publish an
    /// emptied table.
    pub fn open(directory: impl Into<PathBuf>) -> io::Result<Self> {
        let keeper = StateDirectory { directory: directory.into() };
        fs::create_dir_all(&keeper.directory)?;
        let baseline = keeper.load()?;
        Ok(Self::with(baseline, Box::new(keeper)))
    }

    /// Whether this table may be published; if not, what shrank too much.
    pub fn judge(&self, manifest: &Manifest) -> Result<(), Vec<Loss>> {
        let Some(baseline) = &self.baseline else { return Ok(()) };
        let losses = losses(&baseline.counts, &manifest.counts);
        if losses.is_empty() || self.is_released(manifest) { Ok(()) } else { Err(losses) }
    }

    /// Whoever released it may go by the digest of any format: that of a log or of another version.
    fn is_released(&self, manifest: &Manifest) -> bool {
        !self.released.is_empty()
            && FORMATS.into_iter().any(|format| self.released.contains(&manifest.digest_in(format)))
    }

    /// This table was published: it is what the next one is measured against.
    ///
    /// # Errors
    /// When it could not be written down; the guard works on, but a restart would go by the one before.
    pub fn published(&mut self, manifest: &Manifest) -> io::Result<()> {
        let baseline = Baseline { digest: name(manifest), counts: manifest.counts };
        self.baseline = Some(baseline);
        self.released.clear();
        self.keeper.as_mut().map_or(Ok(()), |keeper| keeper.keep(&baseline))
    }

    /// Lets the table with this digest pass, when it is judged next.
    pub fn release(&mut self, digest: Digest) {
        if !self.released.contains(&digest) {
            self.released.push_front(digest);
            self.released.truncate(REMEMBERED_RELEASES);
        }
    }

    /// Takes up what a person has released, if the keeper is told.
    pub fn look_for_release(&mut self) {
        if let Some(digest) = self.keeper.as_ref().and_then(|keeper| keeper.released()) {
            self.release(digest);
        }
    }

    /// What a person does to release the table with this digest: the end of a sentence.
    pub fn how_to_release(&self, digest: Digest) -> String {
        self.keeper.as_ref().map_or_else(|| "by its digest".to_owned(), |keeper| keeper.how_to_release(digest))
    }
}

/// Keeps the baseline in a directory of its own: `baseline.json`, and a file named `release` that a person writes the
/// digest of a held table into.
#[derive(Debug)]
struct StateDirectory {
    directory: PathBuf,
}

impl StateDirectory {
    fn load(&self) -> io::Result<Option<Baseline>> {
        let path = self.directory.join(BASELINE);
        let unusable = |error: &dyn fmt::Display| {
            let hint = "delete it only if the manifests are known to be whole";
            io::Error::other(format!("{}: {error}; {hint}", path.display()))
        };
        match fs::read(&path) {
            Ok(content) => serde_json::from_slice(&content).map(Some).map_err(|error| unusable(&error)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(unusable(&error)),
        }
    }
}

impl Keeper for StateDirectory {
    fn keep(&mut self, baseline: &Baseline) -> io::Result<()> {
        match fs::remove_file(self.directory.join(RELEASE)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // Only the counts decide, so a table with the same ones need not be written.
        if self.load().ok().flatten().is_some_and(|before| before.counts == baseline.counts) {
            return Ok(());
        }
        write_atomically(&self.directory, BASELINE, &serde_json::to_vec_pretty(baseline)?)
    }

    fn released(&self) -> Option<Digest> {
        fs::read_to_string(self.directory.join(RELEASE)).ok()?.trim().parse().ok()
    }

    fn how_to_release(&self, _: Digest) -> String {
        format!("write its digest to {}", self.directory.join(RELEASE).display())
    }
}

fn write_atomically(directory: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    let unfinished = directory.join(format!("{name}.unfinished"));
    let mut file = File::create(&unfinished)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(unfinished, directory.join(name))?;
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(routes: u64, authorizations: u64) -> Counts {
        Counts { routes, authorizations, contracts: 3, hsa_units: 0 }
    }

    fn manifest(routes: u64, authorizations: u64) -> Manifest {
        Manifest { counts: counts(routes, authorizations), ..Manifest::default() }
    }

    #[test]
    fn only_a_loss_that_is_both_large_and_a_large_part_is_held() {
        let cases = [
            ((1000, 1000), (1000, 1000), 0),
            ((1000, 1000), (2000, 700), 0),
            ((1000, 1000), (1000, 699), 1),
            ((100, 100), (0, 0), 0),
            ((101, 101), (0, 0), 2),
            ((1_000_000, 0), (700_000, 0), 0),
            ((1_000_000, 0), (699_999, 0), 1),
            ((0, 0), (0, 0), 0),
        ];
        for (before, after, held) in cases {
            let found = losses(&counts(before.0, before.1), &counts(after.0, after.1));
            assert_eq!(found.len(), held, "{before:?} -> {after:?}: {found:?}");
        }
    }

    #[test]
    fn a_kind_of_its_own_is_judged_by_itself() {
        let found = losses(&counts(1_000_000, 500), &counts(1_000_000, 100));
        assert_eq!(found, [Loss { what: "authorizations", before: 500, after: 100 }]);
    }

    #[test]
    fn the_baseline_survives_a_restart_and_a_release_names_one_table() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut guard = Guard::open(directory.path()).expect("opened");
        assert_eq!(guard.judge(&manifest(0, 0)), Ok(()), "nothing to compare with");
        guard.published(&manifest(1000, 1000)).expect("written");

        let mut guard = Guard::open(directory.path()).expect("opened again");
        assert!(guard.judge(&manifest(0, 0)).is_err());
        guard.release(manifest(1, 1).digest());
        assert!(guard.judge(&manifest(0, 0)).is_err(), "another table was released");
        guard.release(manifest(0, 0).digest());
        assert_eq!(guard.judge(&manifest(0, 0)), Ok(()));
        guard.published(&manifest(0, 0)).expect("written");
        assert_eq!(Guard::open(directory.path()).expect("opened").judge(&manifest(0, 0)), Ok(()));
    }

    #[test]
    fn a_table_goes_by_the_name_that_the_version_before_knows_and_is_released_by_any() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut guard = Guard::open(directory.path()).expect("opened");
        let environment = Some("production".parse().expect("a name"));
        let full = Manifest { environment: environment.clone(), ..manifest(1000, 0) };
        guard.published(&full).expect("written");
        let written = fs::read_to_string(directory.path().join(BASELINE)).expect("readable");
        // As the version before would write it: an upgrade, and a step back, find the baseline as it was.
        let before = Manifest { format: OLDEST_FORMAT, environment: None, ..full };
        assert!(written.contains(&before.digest().to_string()), "{written}");

        let shrunk = Manifest { environment, ..manifest(0, 0) };
        for format in FORMATS {
            let mut guard = Guard::open(directory.path()).expect("opened");
            assert!(guard.judge(&shrunk).is_err());
            guard.release(shrunk.digest_in(format));
            assert_eq!(guard.judge(&shrunk), Ok(()), "released by its digest in format {format}");
        }
    }

    #[test]
    fn the_release_file_releases_and_is_used_up() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut guard = Guard::open(directory.path()).expect("opened");
        guard.published(&manifest(1000, 0)).expect("written");
        let path = directory.path().join(RELEASE);
        fs::write(&path, "not a digest").expect("written");
        guard.look_for_release();
        assert!(guard.judge(&manifest(0, 0)).is_err());
        fs::write(&path, format!("{}\n", manifest(0, 0).digest())).expect("written");
        guard.look_for_release();
        assert_eq!(guard.judge(&manifest(0, 0)), Ok(()));
        guard.published(&manifest(0, 0)).expect("written");
        assert!(!path.exists());
    }

    #[test]
    fn a_damaged_baseline_stops_the_start_and_says_what_to_do() {
        let directory = tempfile::tempdir().expect("a directory");
        fs::write(directory.path().join(BASELINE), "{").expect("written");
        let error = Guard::open(directory.path()).expect_err("damaged").to_string();
        assert!(error.contains("baseline.json") && error.contains("delete it only if"), "{error}");
    }
}
