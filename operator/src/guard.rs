//! The shrink guard: a table that has lost a large part of what the one before held is not published until a person
//! says that it is right. A wrong `rm`, an empty volume or a broken checkout must not take a region's traffic down;
//! the price is that revocations wait too, and the alert says so.
//!
//! What counts as the table before is kept in a file, `baseline.json` in the state directory, so that a restart does
//! not forget it. A held table is released by its digest: by [`Guard::release`], or by a file named `release` in that
//! directory that holds the digest.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rivmesh_table::{Counts, Digest, Manifest, ObjectId};
use serde::{Deserialize, Serialize};

/// A kind that loses no more than this many rows is never held.
const ROWS: u64 = 100;
/// A kind that loses no more than this share, in percent, is never held.
const PERCENT: u64 = 30;

const BASELINE: &str = "baseline.json";
const RELEASE: &str = "release";

/// The table that shrinking is measured against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Baseline {
    digest: Digest,
    counts: Counts,
}

/// Compares each new table with the last one that was published.
#[derive(Debug, Default)]
pub struct Guard {
    baseline: Option<Baseline>,
    directory: Option<PathBuf>,
    released: Option<Digest>,
}

/// A table that is held back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Its digest: what a release must name.
    pub digest: Digest,
    /// What shrank too much, at least one kind.
    pub losses: Vec<Loss>,
    /// Objects that are gone, the first few, where this process has seen them go.
    pub gone: Vec<ObjectId>,
    /// How many objects are gone in all, of those that this process has seen.
    pub gone_in_all: usize,
    /// The file that releases it, if there is a state directory.
    pub release_file: Option<PathBuf>,
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
        f.write_str(". The table before stays in use; every change since, revocations too, waits. ")?;
        match &self.release_file {
            Some(path) => write!(f, "If it is right, release it: write its digest to {}", path.display()),
            None => f.write_str("If it is right, release it by its digest"),
        }
    }
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

    /// A guard whose baseline is kept in `directory`, which is created if it is not there.
    ///
    /// # Errors
    /// When the directory cannot be used, or the file in it cannot be read: to start without it could publish an
    /// emptied table.
    pub fn open(directory: impl Into<PathBuf>) -> io::Result<Self> {
        let directory = directory.into();
        let path = directory.join(BASELINE);
        let unusable = |error: &dyn fmt::Display| {
            let hint = "delete it only if the manifests are known to be whole";
            io::Error::other(format!("{}: {error}; {hint}", path.display()))
        };
        fs::create_dir_all(&directory)?;
        let baseline = match fs::read(&path) {
            Ok(content) => Some(serde_json::from_slice(&content).map_err(|error| unusable(&error))?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(unusable(&error)),
        };
        Ok(Self { baseline, directory: Some(directory), released: None })
    }

    /// Whether this table may be published; if not, what shrank too much.
    pub fn judge(&self, manifest: &Manifest) -> Result<(), Vec<Loss>> {
        let Some(baseline) = &self.baseline else { return Ok(()) };
        let losses = losses(&baseline.counts, &manifest.counts);
        if losses.is_empty() || self.released == Some(manifest.digest()) { Ok(()) } else { Err(losses) }
    }

    /// This table was published: it is what the next one is measured against.
    ///
    /// # Errors
    /// When it could not be written down; the guard works on, but a restart would go by the one before.
    pub fn published(&mut self, manifest: &Manifest) -> io::Result<()> {
        let baseline = Baseline { digest: manifest.digest(), counts: manifest.counts };
        let before = self.baseline.replace(baseline);
        self.released = None;
        let Some(directory) = &self.directory else { return Ok(()) };
        // A release that was written for this table, or for one that was never published, has had its effect.
        match fs::remove_file(directory.join(RELEASE)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // Only the counts decide, so a table with the same ones need not be written.
        if before.is_some_and(|before| before.counts == baseline.counts) {
            return Ok(());
        }
        write_atomically(directory, BASELINE, &serde_json::to_vec_pretty(&baseline)?)
    }

    /// Lets the table with this digest pass, when it is judged next.
    pub fn release(&mut self, digest: Digest) {
        self.released = Some(digest);
    }

    /// Takes up what the release file says, if there is one that can be read as a digest.
    pub fn look_for_release(&mut self) {
        let content = self.release_file().and_then(|path| fs::read_to_string(path).ok());
        if let Some(digest) = content.and_then(|content| content.trim().parse().ok()) {
            self.release(digest);
        }
    }

    /// The file that releases a held table.
    pub fn release_file(&self) -> Option<PathBuf> {
        self.directory.as_ref().map(|directory| directory.join(RELEASE))
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
    fn the_release_file_releases_and_is_used_up() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut guard = Guard::open(directory.path()).expect("opened");
        guard.published(&manifest(1000, 0)).expect("written");
        let path = guard.release_file().expect("there is a directory");
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
