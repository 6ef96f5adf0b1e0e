//! The lists on disk: how they are read, and how one is replaced. Several fetchers may work in one directory (the pods
//! of a deployment on a shared volume), so a list is judged and renamed into place under a lock, from a file that nobody
//! else writes to. A reader sees the old list or the new one, whole.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tempfile::NamedTempFile;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::failure::Failure;
use super::judge::judge;
use crate::tls::{Content, Crl, Edition, Files, MaterialError, TrustBundle, parse_crls};

/// Name endings of a list that is being written; the names begin with a dot.
const UNFINISHED: &str = ".unfinished";
/// The age at which such a file is taken for the remains of a process that was killed: far more than writing takes.
const ABANDONED: Duration = Duration::from_secs(3600);

/// The authorities that may have signed lists.
pub(super) struct Authorities(Vec<std::sync::Arc<TrustBundle>>);

impl Authorities {
    /// Reads them from PEM files.
    pub(super) fn read(paths: &[PathBuf]) -> Result<Self, MaterialError> {
        let files = Files::read(paths.iter().cloned())?;
        let bundles = paths.iter().map(|path| TrustBundle::build(&files, path, false, None));
        Ok(Self(bundles.collect::<Result<_, _>>()?))
    }

    /// Verifies a list; what is wrong with its signature, if something is.
    fn verify(&self, list: &Crl) -> Result<(), &'static str> {
        let mut named = false;
        for der in self.0.iter().flat_map(|bundle| &bundle.certificates) {
            // It was read when the bundle was built.
            let Ok((_, authority)) = X509Certificate::from_der(der) else { continue };
            if list.verify_with(&authority) {
                return Ok(());
            }
            named |= authority.subject().as_raw() == list.issuer;
        }
        Err(if named { "which no key of that authority in --trust has signed" } else { "which is not in --trust" })
    }
}

/// A file's lists, all of which have been verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Held {
    /// At least one.
    pub(super) editions: Vec<Edition>,
    /// Size of the file.
    pub(super) bytes: usize,
}

impl Held {
    fn of(content: &Content, file: &Path, authorities: &Authorities) -> Result<Self, Failure> {
        let lists = parse_crls(file, content).map_err(|error| Failure::Unreadable(error.reason))?;
        for list in &lists {
            let signer = |problem| Failure::Signer { issuer: list.edition().issuer_name(), problem };
            authorities.verify(list).map_err(signer)?;
        }
        Ok(Self { editions: lists.iter().map(Crl::edition).collect(), bytes: content.len() })
    }

    /// The earliest nextUpdate of the lists, Unix seconds.
    pub(super) fn next_update(&self) -> Option<i64> {
        self.editions.iter().map(|edition| edition.next_update).min()
    }
}

/// Reads the lists in a file. `Ok(None)`: there is no file.
pub(super) fn read(file: &Path, authorities: &Authorities) -> Result<Option<Held>, Failure> {
    let Some(content) = content(file)? else { return Ok(None) };
    Held::of(&content, file, authorities).map(Some)
}

fn content(file: &Path) -> Result<Option<Content>, Failure> {
    if matches!(fs::metadata(file), Err(error) if error.kind() == io::ErrorKind::NotFound) {
        return Ok(None);
    }
    let read = Files::read([file.to_owned()]).and_then(|files| files.get(file).cloned());
    read.map(Some).map_err(|error| Failure::Unreadable(error.reason))
}

/// Puts `offered` in the place of a file if it holds verified lists that may follow those on disk. Returns what the file
/// then holds, and whether that is new.
pub(super) fn replace(file: &Path, offered: &Content, authorities: &Authorities) -> Result<(Held, bool), Failure> {
    let new = Held::of(offered, file, authorities)?;
    let directory = file.parent().unwrap_or_else(|| Path::new("."));
    // A file system without locks still renames atomically; then two fetchers may overtake each other once.
    let _lock = File::open(directory).and_then(|directory| directory.lock().map(|()| directory));
    // What cannot be read or verified is no good list, and is replaced.
    if let Ok(Some(on_disk)) = content(file)
        && let Ok(held) = Held::of(&on_disk, file, authorities)
    {
        judge(&held.editions, &new.editions).map_err(Failure::Refused)?;
        if on_disk == *offered {
            return Ok((held, false));
        }
    }
    write(directory, file, offered).map_err(|error| Failure::Write { file: file.to_owned(), error })?;
    Ok((new, true))
}

fn write(directory: &Path, file: &Path, content: &[u8]) -> io::Result<()> {
    let mut unfinished: NamedTempFile =
        tempfile::Builder::new().prefix(".crl-").suffix(UNFINISHED).tempfile_in(directory)?;
    unfinished.write_all(content)?;
    // The proxy runs as another user, and lists are public.
    unfinished.as_file().set_permissions(Permissions::from_mode(0o644))?;
    unfinished.as_file().sync_all()?;
    unfinished.persist(file).map_err(|error| error.error)?;
    File::open(directory)?.sync_all()
}

/// Removes what fetchers that were killed have left in a directory.
pub(super) fn sweep(directory: &Path, now: SystemTime) -> io::Result<()> {
    for entry in fs::read_dir(directory)?.flatten() {
        let name = entry.file_name();
        let is_ours = name.to_str().is_some_and(|name| name.starts_with(".crl-") && name.ends_with(UNFINISHED));
        let modified = entry.metadata().and_then(|about| about.modified());
        let is_old = modified.is_ok_and(|at| now.duration_since(at).is_ok_and(|age| age > ABANDONED));
        if is_ours && is_old {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
