//! The HSA unit files, read again when one of them changes. If one cannot be read, the tree from before stays: half a
//! hierarchy would route to the wrong places.

use std::path::PathBuf;
use std::time::Duration;

use rivmesh_table::HsaTree;

use super::Problem;
use super::files::{self, Fingerprint, Settling, Unread};

/// The longest unit file, in bytes.
const MAX_FILE_BYTES: u64 = 1 << 30;
/// Warnings about units that were passed over, that are kept for people.
const MAX_WARNINGS: usize = 20;

/// The unit files of a platform.
#[derive(Debug)]
pub(crate) struct HsaUnits {
    paths: Vec<PathBuf>,
    seen: Option<Settling<Vec<Option<Fingerprint>>>>,
    problems: Vec<Problem>,
}

impl HsaUnits {
    pub(crate) fn new(paths: Vec<PathBuf>) -> Self {
        Self { paths, seen: None, problems: Vec::new() }
    }

    /// Where the files are.
    pub(crate) fn paths(&self) -> &[PathBuf] {
        &self.paths
    }

    /// What is wrong with them now.
    pub(crate) fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// When to look again because something is settling.
    pub(crate) fn due(&self) -> Option<Duration> {
        self.seen.as_ref().and_then(Settling::due)
    }

    /// Looks at the files; reads them if they changed and have settled, or if this is the first time. True if they
    /// were read or found faulty; the tree, if they gave one.
    pub(crate) fn look(&mut self, now: Duration) -> (bool, Option<HsaTree>) {
        if self.paths.is_empty() {
            return (false, None);
        }
        let fingerprints: Vec<_> = self.paths.iter().map(|path| Fingerprint::of(path).ok()).collect();
        let is_first = self.seen.is_none();
        let seen = self.seen.get_or_insert_with(|| Settling::new(fingerprints.clone(), now));
        seen.see(fingerprints.clone(), now);
        if seen.due().is_none_or(|due| now < due && !is_first) {
            return (false, None);
        }
        match read(&self.paths, &fingerprints) {
            Err(Unread::Moving) => {
                seen.postpone(now);
                (false, None)
            }
            Err(Unread::Fault(problem)) => {
                seen.done();
                self.problems = vec![self.problem(&problem)];
                (true, None)
            }
            Ok(contents) => {
                seen.done();
                let contents: Vec<&[u8]> = contents.iter().map(Vec::as_slice).collect();
                (true, self.parse(&contents))
            }
        }
    }

    fn parse(&mut self, contents: &[&[u8]]) -> Option<HsaTree> {
        match HsaTree::parse(contents) {
            Ok((tree, warnings)) => {
                let shown = warnings.iter().take(MAX_WARNINGS);
                self.problems = shown.map(|warning| self.at(warning.file, warning.message.clone())).collect();
                Some(tree)
            }
            Err(error) => {
                let reason = format!("byte {}: {}; the HSA tree from before stays in use", error.offset, error.reason);
                self.problems = vec![self.at(error.file, reason)];
                None
            }
        }
    }

    fn at(&self, file: usize, reason: String) -> Problem {
        let file = self.paths.get(file).map(|path| path.display().to_string()).unwrap_or_default();
        Problem { file, line: None, object: None, reason }
    }

    fn problem(&self, reason: &str) -> Problem {
        let files: Vec<String> = self.paths.iter().map(|path| path.display().to_string()).collect();
        let reason = format!("{reason}; the HSA tree from before stays in use");
        Problem { file: files.join(", "), line: None, object: None, reason }
    }
}

fn read(paths: &[PathBuf], fingerprints: &[Option<Fingerprint>]) -> Result<Vec<Vec<u8>>, Unread> {
    let mut contents = Vec::with_capacity(paths.len());
    for (path, fingerprint) in paths.iter().zip(fingerprints) {
        let absent = || Unread::Fault(format!("{} cannot be read: is the path right?", path.display()));
        contents.push(files::read(path, fingerprint.ok_or_else(absent)?, MAX_FILE_BYTES)?);
    }
    Ok(contents)
}
