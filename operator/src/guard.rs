//! The shrink guard: a table that has lost a large part of what the one before held is not published until a person
//! says that it is right. A wrong `rm`, an empty volume or a broken checkout must not take a region's traffic down;
//! the price is that revocations wait too, and the alert says so.
//!
//! Whoever deletes object by object takes a little from each of many tables. So a kind is measured against the most that it
//! had within the last ten minutes, and while a table is held that does not move.
//!
//! What that was is kept outside the process, by a [`Keeper`], so that a restart does not forget it: in a directory of
//! files, or where an operator keeps it in its cluster. A held table is released by its digest: by a person, or by
//! another replica that has published it. While two versions of the operator are at work, baseline and release are of
//! both, so a table is named by what both call it.

use std::collections::VecDeque;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rivmesh_table::{Counts, Digest, FORMATS, Manifest, OLDEST_FORMAT, ObjectId};
use serde::{Deserialize, Serialize};

/// A kind that loses no more than this many rows is never held.
const ROWS: u64 = 100;
/// A kind that loses no more than this share, in percent, is never held.
const PERCENT: u64 = 30;

/// How long a kind is measured against what it had.
const WINDOW: Duration = Duration::from_secs(600);
/// Tables that were published within this time of each other are remembered as one.
const GRAIN: Duration = Duration::from_secs(30);

/// Releases that are remembered: a person's, and that of another process that published the same table.
const REMEMBERED_RELEASES: usize = 4;

const BASELINE: &str = "baseline.json";
const RELEASE: &str = "release";

/// What shrinking is measured against, as it is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Baseline {
    /// The [`name`] of the table in force.
    pub digest: Digest,
    /// What it holds.
    pub counts: Counts,
    /// The most that it and the tables of the ten minutes before it held, kind by kind. The version before does not
    /// write it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most: Option<Counts>,
}

impl Baseline {
    /// Whether a table is measured alike against both: only the counts decide.
    pub(crate) fn measures_like(&self, other: &Self) -> bool {
        (self.counts, self.most) == (other.counts, other.most)
    }
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

/// Compares each new table with those that were published before it.
#[derive(Debug, Default)]
pub struct Guard {
    /// None before the first table.
    window: Option<Window>,
    /// The table that was judged last is held back.
    holds: bool,
    keeper: Option<Box<dyn Keeper>>,
    /// Those of tables that were not published since.
    released: VecDeque<Release>,
}

/// The table in force, and those before it that still count.
#[derive(Debug)]
struct Window {
    in_force: Counts,
    /// The most that tables before it had, and until when one of them was in force; the oldest first.
    recent: VecDeque<(Instant, Counts)>,
}

/// A table may be published, however small it is.
#[derive(Debug, Clone, Copy)]
struct Release {
    digest: Digest,
    /// What later ones are measured against beside it: nothing, if a person has decided.
    most: Option<Counts>,
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

/// The larger of two, kind by kind.
fn larger(one: &Counts, other: &Counts) -> Counts {
    Counts {
        routes: one.routes.max(other.routes),
        authorizations: one.authorizations.max(other.authorizations),
        contracts: one.contracts.max(other.contracts),
        hsa_units: one.hsa_units.max(other.hsa_units),
    }
}

impl Window {
    /// What the next table is measured against.
    fn most(&self) -> Counts {
        self.recent.iter().fold(self.in_force, |most, (_, counts)| larger(&most, counts))
    }

    fn forget_what_is_past(&mut self, now: Instant) {
        self.recent.retain(|(until, _)| now.duration_since(*until) < WINDOW);
    }

    /// Another table is in force from now on.
    fn go_on(&mut self, counts: Counts, now: Instant) {
        let before = std::mem::replace(&mut self.in_force, counts);
        match self.recent.back_mut() {
            Some((until, most)) if now.duration_since(*until) < GRAIN => *most = larger(most, &before),
            _ => self.recent.push_back((now, before)),
        }
    }
}

impl Guard {
    /// A guard without memory of earlier processes.
    pub fn new() -> Self {
        Self::default()
    }

    /// A guard that goes on from this baseline, if there is one, and hands every later one to `keeper`.
    pub fn with(baseline: Option<Baseline>, keeper: Box<dyn Keeper>) -> Self {
        // What is written down has no time. It counts as in force until there is a table, however long that takes.
        let most = baseline.map(|baseline| baseline.most.unwrap_or(baseline.counts));
        let window = most.map(|in_force| Window { in_force, recent: VecDeque::new() });
        Self { window, keeper: Some(keeper), ..Self::default() }
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

    /// Whether this table may be published now; if not, what shrank too much.
    pub fn judge(&mut self, manifest: &Manifest, now: Instant) -> Result<(), Vec<Loss>> {
        let Some(window) = &mut self.window else { return Ok(()) };
        if !self.holds {
            window.forget_what_is_past(now);
        }
        let losses = losses(&window.most(), &manifest.counts);
        self.holds = !losses.is_empty() && self.release_of(manifest).is_none();
        if self.holds { Err(losses) } else { Ok(()) }
    }

    /// The table in force is what the objects say, so that nothing is held any more.
    pub fn unchanged(&mut self) {
        self.holds = false;
    }

    /// This table was published now: it, and those shortly before it, are what the next one is measured against.
    ///
    /// # Errors
    /// When it could not be written down; the guard works on, but a restart would go by the one before.
    pub fn published(&mut self, manifest: &Manifest, now: Instant) -> io::Result<()> {
        let (digest, counts) = (name(manifest), manifest.counts);
        let release = self.release_of(manifest);
        self.released.clear();
        let most = match &mut self.window {
            // A release that was not needed, as of every table that another replica publishes, changes nothing.
            Some(window) if losses(&window.most(), &counts).is_empty() => {
                window.go_on(counts, now);
                window.most()
            }
            window => {
                let most = release.and_then(|release| release.most);
                let recent = most.into_iter().map(|most| (now, most)).collect();
                window.insert(Window { in_force: counts, recent }).most()
            }
        };
        let baseline = Baseline { digest, counts, most: Some(most) };
        self.keeper.as_mut().map_or(Ok(()), |keeper| keeper.keep(&baseline))
    }

    /// Lets the table with this digest pass, when it is judged next. A person has decided: nothing of before counts then.
    pub fn release(&mut self, digest: Digest) {
        self.let_pass(Release { digest, most: None });
    }

    /// Lets the table that another replica has published pass, when it is judged next. If it had been held, later ones
    /// are measured as by that replica.
    pub fn follow(&mut self, peer: &Baseline) {
        self.let_pass(Release { digest: peer.digest, most: peer.most });
    }

    fn let_pass(&mut self, release: Release) {
        if !self.released.iter().any(|known| known.digest == release.digest) {
            self.released.push_front(release);
            self.released.truncate(REMEMBERED_RELEASES);
        }
    }

    /// Whoever released it may go by the digest of any format: that of a log or of another version.
    fn release_of(&self, manifest: &Manifest) -> Option<Release> {
        if self.released.is_empty() {
            return None;
        }
        let release_by = |name: Digest| self.released.iter().find(|release| release.digest == name);
        FORMATS.into_iter().find_map(|format| release_by(manifest.digest_in(format))).copied()
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
        if self.load().ok().flatten().is_some_and(|before| before.measures_like(baseline)) {
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
        let (directory, now) = (tempfile::tempdir().expect("a directory"), Instant::now());
        let mut guard = Guard::open(directory.path()).expect("opened");
        assert_eq!(guard.judge(&manifest(0, 0), now), Ok(()), "nothing to compare with");
        guard.published(&manifest(1000, 1000), now).expect("written");

        let mut guard = Guard::open(directory.path()).expect("opened again");
        assert!(guard.judge(&manifest(0, 0), now).is_err());
        guard.release(manifest(1, 1).digest());
        assert!(guard.judge(&manifest(0, 0), now).is_err(), "another table was released");
        guard.release(manifest(0, 0).digest());
        assert_eq!(guard.judge(&manifest(0, 0), now), Ok(()));
        guard.published(&manifest(0, 0), now).expect("written");
        assert_eq!(Guard::open(directory.path()).expect("opened").judge(&manifest(0, 0), now), Ok(()));
    }

    /// As `kubectl delete --all` does it, with a catalogue of many small objects.
    #[test]
    fn many_small_losses_are_a_large_one() {
        let (mut guard, mut now) = (Guard::new(), Instant::now());
        guard.published(&manifest(10_000, 0), now).expect("kept");
        let mut rows = 10_000;
        while guard.judge(&manifest(rows - 10, 0), now).is_ok() {
            rows -= 10;
            now += Duration::from_millis(200);
            guard.published(&manifest(rows, 0), now).expect("kept");
        }
        assert_eq!(rows, 7000);
        let remembered = guard.window.as_ref().map_or(0, |window| window.recent.len());
        assert!(remembered <= 21, "{remembered} are remembered");

        // To wait does not release it, and what is in force was never more than that.
        now += WINDOW * 2;
        let loss = Loss { what: "routes", before: 10_000, after: 6990 };
        assert_eq!(guard.judge(&manifest(6990, 0), now), Err(vec![loss]));
        // Restored, it is judged by what is in force now.
        assert_eq!(guard.judge(&manifest(7000, 0), now), Ok(()));
        assert_eq!(guard.judge(&manifest(6990, 0), now), Ok(()));
    }

    #[test]
    fn a_restart_does_not_forget_what_went_little_by_little() {
        let (directory, mut now) = (tempfile::tempdir().expect("a directory"), Instant::now());
        let mut guard = Guard::open(directory.path()).expect("opened");
        for rows in [10_000, 9000, 8000, 7000] {
            now += Duration::from_secs(1);
            guard.published(&manifest(rows, 0), now).expect("written");
        }
        let loss = Loss { what: "routes", before: 10_000, after: 6500 };
        assert_eq!(guard.judge(&manifest(6500, 0), now), Err(vec![loss]));

        for _ in 0..2 {
            let mut guard = Guard::open(directory.path()).expect("opened again");
            // It may take long until the manifests have been read.
            now += WINDOW * 2;
            assert_eq!(guard.judge(&manifest(6500, 0), now), Err(vec![loss]));
            // To wait does not release it here either.
            now += WINDOW * 2;
            assert_eq!(guard.judge(&manifest(6500, 0), now), Err(vec![loss]));
        }
        // Once the table in force is confirmed, what was before it counts ten minutes more.
        let mut guard = Guard::open(directory.path()).expect("opened again");
        guard.published(&manifest(7000, 0), now).expect("written");
        assert_eq!(guard.judge(&manifest(6500, 0), now + WINDOW - GRAIN), Err(vec![loss]));
        let mut guard = Guard::open(directory.path()).expect("opened again");
        guard.published(&manifest(7000, 0), now).expect("written");
        assert_eq!(guard.judge(&manifest(6500, 0), now + WINDOW), Ok(()));

        // After a release nothing of before counts, in this process and in the next.
        let mut guard = Guard::open(directory.path()).expect("opened again");
        guard.release(manifest(6500, 0).digest());
        assert_eq!(guard.judge(&manifest(6500, 0), now), Ok(()));
        guard.published(&manifest(6500, 0), now).expect("written");
        let mut guard = Guard::open(directory.path()).expect("opened again");
        assert_eq!(guard.judge(&manifest(4600, 0), now), Ok(()));
        assert!(guard.judge(&manifest(4500, 0), now).is_err());
    }

    #[test]
    fn the_version_before_reads_this_baseline_and_this_one_reads_that() {
        #[derive(Serialize, Deserialize)]
        struct Before {
            digest: Digest,
            counts: Counts,
        }
        let (digest, counts) = (manifest(7, 0).digest(), counts(7, 0));
        let now = Baseline { digest, counts, most: Some(counts) };
        let before: Before = serde_json::from_value(serde_json::to_value(now).expect("JSON")).expect("readable");
        assert_eq!((before.digest, before.counts), (digest, counts));
        let read: Baseline = serde_json::from_value(serde_json::to_value(before).expect("JSON")).expect("readable");
        assert_eq!(read, Baseline { digest, counts, most: None });
    }

    /// A replica may hear what the leader has published before it has compiled the same.
    #[test]
    fn what_another_replica_publishes_does_not_make_this_one_forget() {
        for most in [None, Some(counts(10_000, 0))] {
            let (mut guard, mut now) = (Guard::new(), Instant::now());
            guard.published(&manifest(10_000, 0), now).expect("kept");
            for rows in (7000..10_000).rev().step_by(10) {
                let table = manifest(rows, 0);
                guard.follow(&Baseline { digest: name(&table), counts: table.counts, most });
                assert_eq!(guard.judge(&table, now), Ok(()));
                now += Duration::from_millis(200);
                guard.published(&table, now).expect("kept");
            }
            let loss = Loss { what: "routes", before: 10_000, after: 6990 };
            assert_eq!(guard.judge(&manifest(6990, 0), now), Err(vec![loss]));
        }
    }

    #[test]
    fn a_replica_that_would_have_held_a_table_then_measures_as_the_one_that_published_it() {
        let (mut guard, now) = (Guard::new(), Instant::now());
        guard.published(&manifest(10_000, 0), now).expect("kept");
        let table = manifest(6500, 0);
        assert!(guard.judge(&table, now).is_err());
        guard.follow(&Baseline { digest: name(&table), counts: table.counts, most: Some(counts(9000, 0)) });
        assert_eq!(guard.judge(&table, now), Ok(()));
        guard.published(&table, now).expect("kept");
        assert_eq!(guard.judge(&manifest(6300, 0), now), Ok(()));
        let loss = Loss { what: "routes", before: 9000, after: 6299 };
        assert_eq!(guard.judge(&manifest(6299, 0), now), Err(vec![loss]));
    }

    #[test]
    fn time_goes_on_once_the_table_in_force_is_right_again() {
        let (mut guard, mut now) = (Guard::new(), Instant::now());
        guard.published(&manifest(10_000, 0), now).expect("kept");
        guard.published(&manifest(7000, 0), now).expect("kept");
        assert!(guard.judge(&manifest(6990, 0), now).is_err());
        guard.unchanged();
        assert!(guard.judge(&manifest(6990, 0), now + WINDOW - GRAIN).is_err());
        guard.unchanged();
        now += WINDOW;
        assert_eq!(guard.judge(&manifest(6990, 0), now), Ok(()));
    }

    #[test]
    fn a_release_is_the_last_word_on_all_that_went_before() {
        let (mut guard, now) = (Guard::new(), Instant::now());
        guard.published(&manifest(1000, 0), now).expect("kept");
        guard.published(&manifest(800, 0), now).expect("kept");
        let shrunk = manifest(600, 0);
        assert!(guard.judge(&shrunk, now).is_err());
        guard.release(shrunk.digest());
        assert_eq!(guard.judge(&shrunk, now), Ok(()));
        guard.published(&shrunk, now).expect("kept");
        assert_eq!(guard.judge(&manifest(500, 0), now), Ok(()));
    }

    #[test]
    fn a_table_goes_by_the_name_that_the_version_before_knows_and_is_released_by_any() {
        let (directory, now) = (tempfile::tempdir().expect("a directory"), Instant::now());
        let mut guard = Guard::open(directory.path()).expect("opened");
        let environment = Some("production".parse().expect("a name"));
        let full = Manifest { environment: environment.clone(), ..manifest(1000, 0) };
        guard.published(&full, now).expect("written");
        let written = fs::read_to_string(directory.path().join(BASELINE)).expect("readable");
        // As the version before would write it: an upgrade, and a step back, find the baseline as it was.
        let before = Manifest { format: OLDEST_FORMAT, environment: None, ..full };
        assert!(written.contains(&before.digest().to_string()), "{written}");

        let shrunk = Manifest { environment, ..manifest(0, 0) };
        for format in FORMATS {
            let mut guard = Guard::open(directory.path()).expect("opened");
            assert!(guard.judge(&shrunk, now).is_err());
            guard.release(shrunk.digest_in(format));
            assert_eq!(guard.judge(&shrunk, now), Ok(()), "released by its digest in format {format}");
        }
    }

    #[test]
    fn the_release_file_releases_and_is_used_up() {
        let (directory, now) = (tempfile::tempdir().expect("a directory"), Instant::now());
        let mut guard = Guard::open(directory.path()).expect("opened");
        guard.published(&manifest(1000, 0), now).expect("written");
        let path = directory.path().join(RELEASE);
        fs::write(&path, "not a digest").expect("written");
        guard.look_for_release();
        assert!(guard.judge(&manifest(0, 0), now).is_err());
        fs::write(&path, format!("{}\n", manifest(0, 0).digest())).expect("written");
        guard.look_for_release();
        assert_eq!(guard.judge(&manifest(0, 0), now), Ok(()));
        guard.published(&manifest(0, 0), now).expect("written");
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
