//! Where built programs are kept: a directory for each recipe, in the user's cache directory.
//!
//! A step of a recipe is built aside, moved in, and only then marked as done, so that a killed build counts as none.
//! One lock for all: two builds at once would only take the processor from each other.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, Result};

use crate::kubernetes::recipe::{Recipe, Step};

/// How many recipes of one kind are kept: this checkout's, and another branch's.
const KEPT: usize = 2;

/// Its modification time tells when a recipe's programs were last asked for.
const USED: &str = ".used";

/// `${XDG_CACHE_HOME:-~/.cache}/rivmesh/kubernetes`
pub(crate) fn home() -> Result<PathBuf> {
    let base = match std::env::var_os("XDG_CACHE_HOME").filter(|path| !path.is_empty()) {
        Some(cache) => PathBuf::from(cache),
        None => {
            let home = std::env::var_os("HOME").context("neither XDG_CACHE_HOME nor HOME is set: set one")?;
            Path::new(&home).join(".cache")
        }
    };
    Ok(base.join("rivmesh/kubernetes"))
}

/// The directory with what these steps of the recipe build; `build` is called, with an empty directory, for each that
/// nobody has built yet.
pub(crate) fn provide(
    home: &Path,
    recipe: &Recipe,
    steps: &[Step],
    build: impl Fn(Step, &Path) -> Result<()>,
) -> Result<PathBuf> {
    let directory = home.join(recipe.key());
    fs::create_dir_all(&directory).with_context(|| format!("creating {}", directory.display()))?;
    let done = |step: Step| directory.join(format!(".{}.done", step.name()));
    if steps.iter().any(|&step| !done(step).exists()) {
        let _lock = lock(home)?;
        for &step in steps {
            // Whoever had the lock before us may have built it.
            if done(step).exists() {
                continue;
            }
            build_aside(&directory, |staging| build(step, staging))?;
            File::create(done(step)).context("marking what is built as done")?;
        }
        touch(&directory)?;
        prune(home, recipe)?;
    }
    touch(&directory)?;
    Ok(directory)
}

/// Held until dropped; the kernel lets go of it when its process ends, however that ends.
fn lock(home: &Path) -> Result<File> {
    let path = home.join("lock");
    let context = || format!("locking {}", path.display());
    let file = File::create(&path).with_context(context)?;
    match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(TryLockError::WouldBlock) => println!("another process builds programs of Kubernetes; waiting for it"),
        Err(TryLockError::Error(error)) => return Err(error).with_context(context),
    }
    file.lock().with_context(context)?;
    Ok(file)
}

fn build_aside(directory: &Path, build: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    for entry in fs::read_dir(directory)?.flatten() {
        if entry.file_name().to_string_lossy().starts_with("staging-") {
            fs::remove_dir_all(entry.path()).context("removing what a killed build left")?;
        }
    }
    // A name of its own: the compiler of a killed build may still be writing to the other.
    let staging = directory.join(format!("staging-{}", std::process::id()));
    fs::create_dir(&staging).with_context(|| format!("creating {}", staging.display()))?;
    let built = build(&staging).and_then(|()| move_into(&staging, directory));
    let removed = fs::remove_dir_all(&staging).context("removing the build's directory");
    built.and(removed)
}

/// File by file, each at once, whether or not there is one of that name.
fn move_into(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from).with_context(|| format!("reading {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            fs::create_dir_all(&target)?;
            move_into(&entry.path(), &target)?;
        } else {
            fs::rename(entry.path(), &target).with_context(|| format!("moving {} in", target.display()))?;
        }
    }
    Ok(())
}

fn touch(directory: &Path) -> Result<()> {
    let path = directory.join(USED);
    let file = File::create(&path).with_context(|| format!("writing {}", path.display()))?;
    file.set_modified(SystemTime::now()).with_context(|| format!("writing {}", path.display()))
}

/// Removes all but the recipes of this kind that were used last.
fn prune(home: &Path, recipe: &Recipe) -> Result<()> {
    let entries = fs::read_dir(home).with_context(|| format!("reading {}", home.display()))?;
    let mut kin: Vec<_> = entries
        .flatten()
        .filter(|entry| recipe.is_kin(&entry.file_name().to_string_lossy()))
        .map(|entry| {
            let used = fs::metadata(entry.path().join(USED)).and_then(|metadata| metadata.modified());
            (used.unwrap_or(SystemTime::UNIX_EPOCH), entry.path())
        })
        .collect();
    kin.sort();
    for (_, old) in kin.iter().rev().skip(KEPT) {
        println!("removing {}, which was not used for longest", old.display());
        fs::remove_dir_all(old).with_context(|| format!("removing {}", old.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::time::Duration;

    /// A build that writes one file named after the step.
    fn write(step: Step, staging: &Path) -> Result<()> {
        fs::create_dir(staging.join("images"))?;
        fs::write(staging.join("images").join(step.name()), "image")?;
        Ok(fs::write(staging.join(step.name()), "program")?)
    }

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(directory).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn each_step_is_built_once() {
        let (home, recipe) = (tempfile::tempdir().unwrap(), Recipe::newest().unwrap());
        let built = RefCell::new(Vec::new());
        let get = |steps: &[Step]| {
            let build = |step, staging: &Path| {
                built.borrow_mut().push(step);
                write(step, staging)
            };
            provide(home.path(), &recipe, steps, build).unwrap()
        };
        let directory = get(&[Step::Tools]);
        assert_eq!(directory, home.path().join(recipe.key()));
        get(&[Step::Tools, Step::Api]);
        get(&[Step::Api]);
        assert_eq!(*built.borrow(), [Step::Tools, Step::Api]);
        assert_eq!(names(&directory), [".api.done", ".tools.done", ".used", "api", "images", "tools"]);
        assert_eq!(names(&directory.join("images")), ["api", "tools"]);
    }

    #[test]
    fn a_failed_or_killed_build_counts_as_none() {
        let (home, recipe) = (tempfile::tempdir().unwrap(), Recipe::newest().unwrap());
        let directory = home.path().join(recipe.key());
        let fail = |step, staging: &Path| write(step, staging).and_then(|()| anyhow::bail!("out of disk"));
        let error = provide(home.path(), &recipe, &[Step::Api], fail).unwrap_err();
        assert_eq!(error.to_string(), "out of disk");
        assert_eq!(names(&directory), Vec::<String>::new());

        // A killed one leaves what a failed one tidies up.
        fs::create_dir(directory.join("staging-1")).unwrap();
        fs::write(directory.join("staging-1/half"), "").unwrap();
        fs::write(directory.join("api"), "half").unwrap();
        provide(home.path(), &recipe, &[Step::Api], write).unwrap();
        assert_eq!(names(&directory), [".api.done", ".used", "api", "images"]);
        assert_eq!(fs::read_to_string(directory.join("api")).unwrap(), "program");
    }

    #[test]
    fn two_at_once_build_once() {
        let (home, recipe) = (tempfile::tempdir().unwrap(), Recipe::newest().unwrap());
        let count = std::sync::atomic::AtomicUsize::new(0);
        let together = std::sync::Barrier::new(2);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    together.wait();
                    let build = |step, staging: &Path| {
                        count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                        write(step, staging)
                    };
                    provide(home.path(), &recipe, &[Step::Api], build).unwrap();
                });
            }
        });
        assert_eq!(count.into_inner(), 1);
    }

    #[test]
    fn the_two_of_a_kind_that_were_used_last_stay() {
        let (home, recipe) = (tempfile::tempdir().unwrap(), Recipe::newest().unwrap());
        let ages = [("v1.1.0-a", 10), ("v1.2.0-b", 30), ("v1.3.0-c", 20), ("oldest-v1.0.0-d", 40), ("other", 50)];
        for (key, minutes) in ages {
            fs::create_dir(home.path().join(key)).unwrap();
            let used = File::create(home.path().join(key).join(USED)).unwrap();
            used.set_modified(SystemTime::now() - Duration::from_secs(minutes * 60)).unwrap();
        }
        fs::create_dir(home.path().join("v1.0.0-killed")).unwrap();
        provide(home.path(), &recipe, &[Step::Api], write).unwrap();
        let mut expected = vec!["lock", "oldest-v1.0.0-d", "other", "v1.1.0-a"];
        let key = recipe.key();
        expected.push(&key);
        expected.sort_unstable();
        assert_eq!(names(home.path()), expected);
    }
}
