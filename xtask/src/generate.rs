//! `cargo xtask gen`: files in the repository that a program wrote, and whether they are current.
//!
//! A generated file is committed, so that nobody needs a generator to build, read or install rivmesh.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::charts::values;
use crate::process::{self, cargo, root};

/// Something that writes files of the repository.
struct Generator {
    what: &'static str,
    by: By,
    /// Directories or files, relative to the root, that hold nothing but what it wrote.
    outputs: &'static [&'static str],
}

/// Who writes.
enum By {
    /// A program of the workspace, which cargo runs with these arguments.
    Cargo(&'static [&'static str]),
    /// The same, and an environment variable that tells it to write.
    CargoWith(&'static [&'static str], &'static str),
    /// We do.
    Us(fn() -> Result<()>),
}

const GENERATORS: [Generator; 4] = [
    Generator {
        what: "resource definitions",
        by: By::Cargo(&["run", "--quiet", "-p", "rivmesh-crds", "--bin", "crdgen"]),
        outputs: &["crds/yaml", "charts/rivmesh-crds/files"],
    },
    Generator {
        what: "wire code",
        by: By::Cargo(&["run", "--quiet", "-p", "rivmesh-sync", "--example", "generate_wire"]),
        outputs: &["sync/src/wire.rs"],
    },
    Generator {
        what: "reference pages",
        // Of all crates, as the tests are built: with fewer, dependencies have fewer features and are built twice.
        by: By::CargoWith(
            &["test", "--quiet", "--workspace", "--lib", "--bins", "the_page_of"],
            "RIVMESH_UPDATE_PAGES",
        ),
        outputs: &[
            "docs/src/reference/log-fields.md",
            "docs/src/reference/metrics.md",
            "docs/src/reference/operator-metrics.md",
            "docs/src/reference/options.md",
        ],
    },
    Generator { what: "reference of the chart's values", by: By::Us(values::write), outputs: &[values::PAGE] },
];

/// Runs all generators. With `check` the tree stays as it is, and a difference is an error.
pub(crate) fn run(check: bool) -> Result<()> {
    let mut stale = Vec::new();
    for generator in GENERATORS {
        let before = generator.snapshot()?;
        generator.write()?;
        let after = generator.snapshot()?;
        let changed = differences(&before, &after);
        for path in &changed {
            println!("  {}: {}", generator.what, path.display());
        }
        if check && !changed.is_empty() {
            restore(&before, &after)?;
            stale.extend(changed);
        }
    }
    if !stale.is_empty() {
        bail!("{} generated file(s) are not current; run `cargo xtask gen` and commit the result", stale.len());
    }
    println!("generated files are current");
    Ok(())
}

type Files = BTreeMap<PathBuf, Vec<u8>>;

impl Generator {
    fn write(&self) -> Result<()> {
        match self.by {
            By::Cargo(arguments) => process::run(cargo().args(arguments)),
            By::CargoWith(arguments, switch) => process::run(cargo().args(arguments).env(switch, "1")),
            By::Us(write) => write(),
        }
    }

    fn snapshot(&self) -> Result<Files> {
        let mut files = Files::new();
        for output in self.outputs {
            read(&root().join(output), &mut files)?;
        }
        Ok(files)
    }
}

fn read(path: &Path, files: &mut Files) -> Result<()> {
    let context = || format!("reading {}", path.display());
    if path.is_dir() {
        for entry in fs::read_dir(path).with_context(context)? {
            read(&entry?.path(), files)?;
        }
    } else if path.exists() {
        files.insert(path.to_path_buf(), fs::read(path).with_context(context)?);
    }
    Ok(())
}

/// Paths that are new, gone or different.
fn differences(before: &Files, after: &Files) -> Vec<PathBuf> {
    let mut paths: Vec<_> = before.keys().chain(after.keys()).collect();
    paths.sort();
    paths.dedup();
    paths.into_iter().filter(|path| before.get(*path) != after.get(*path)).cloned().collect()
}

fn restore(before: &Files, after: &Files) -> Result<()> {
    for path in differences(before, after) {
        match before.get(&path) {
            Some(content) => fs::write(&path, content),
            None => fs::remove_file(&path),
        }
        .with_context(|| format!("restoring {}", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_notices_and_undoes_every_kind_of_change() {
        let directory = std::env::temp_dir().join(format!("xtask-generate-{}", std::process::id()));
        fs::create_dir_all(directory.join("deep")).unwrap();
        let path = |name: &str| directory.join(name);
        for name in ["same", "edited", "deep/removed"] {
            fs::write(path(name), "before").unwrap();
        }
        let snapshot = || {
            let mut files = Files::new();
            read(&directory, &mut files).unwrap();
            files
        };
        let before = snapshot();
        fs::write(path("edited"), "after").unwrap();
        fs::write(path("added"), "after").unwrap();
        fs::remove_file(path("deep/removed")).unwrap();
        let after = snapshot();
        assert_eq!(differences(&before, &after), [path("added"), path("deep/removed"), path("edited")]);
        restore(&before, &after).unwrap();
        assert_eq!(snapshot(), before);
        fs::remove_dir_all(&directory).unwrap();
    }
}
