//! The release before the last change of the table's format, built from this repository's history: an upgrade from it is
//! the one in which the two halves of the platform speak of tables in different words.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use crate::image;
use crate::process::{self, capture, cargo, command, target};

/// Where the number of the format stands, and what its line begins with.
const FILE: &str = "table/src/lib.rs";
const LINE: &str = "pub const FORMAT: u32 = ";

/// What runs in a cluster of the charts' defaults.
const PROGRAMS: [&str; 2] = ["rivmesh-operator", "rivmesh-dataplane"];

/// A commit of this repository.
#[derive(Debug)]
pub(crate) struct Earlier(String);

impl Earlier {
    /// Where it lies once it is built: sources in `source/`, images in `images/`.
    pub(crate) fn directory(&self) -> PathBuf {
        target().join("earlier").join(&self.0[..12])
    }
}

/// Anything but the profile's own.
const OPT_LEVEL: u8 = 1;

/// Builds it together with `packages`, and packs its images with the tag `earlier`. What was built once is kept.
pub(crate) fn build(earlier: &Earlier, packages: &[&str]) -> Result<()> {
    let directory = earlier.directory();
    let images = directory.join("images");
    let complete = images.join("complete");
    if complete.exists() {
        return Ok(());
    }
    let source = directory.join("source");
    check_out(&earlier.0, &source)?;
    let mut build = cargo();
    // Dependencies are built as today's are, with the same packages and so the same features, and are shared.
    build.current_dir(&source).args(["build", "--locked", "--release", "--target-dir"]).arg(target());
    build.args(packages.iter().flat_map(|package| ["-p", package]));
    // Cargo takes a crate at the same place in another workspace for the same crate, unless its profile is another.
    for name in members(&source)? {
        build.arg("--config").arg(format!("profile.release.package.{name}.opt-level={OPT_LEVEL}"));
    }
    process::run(build.args(PROGRAMS.iter().flat_map(|program| ["--bin", program])))?;
    fs::create_dir_all(&images)?;
    for name in PROGRAMS {
        let (built, out) = (target().join("release").join(name), images.join(format!("{name}.tar")));
        image::program(&built, &format!("localhost/{name}:earlier"), &out)?;
    }
    Ok(fs::write(complete, "")?)
}

/// The parent of the last commit that gave the format another number.
///
/// # Errors
/// When the checkout has no history that goes so far.
pub(crate) fn find() -> Result<Earlier> {
    let pattern = format!("-G^{LINE}");
    let log = git(&["log", "--format=%H", &pattern, "--", FILE]).context("the history cannot be read")?;
    for commit in log.lines() {
        let parent = format!("{commit}^");
        // The first commit that has the line has no number before it.
        let Some(before) = number(&parent)? else { break };
        if number(commit)?.is_some_and(|after| after != before) {
            return Ok(Earlier(git(&["rev-parse", &parent])?.trim().to_owned()));
        }
    }
    bail!("this checkout's history does not reach back to another format of the table; `git fetch --unshallow` gets it")
}

/// The number of the format at a commit; none where there is no such commit or no such line.
fn number(commit: &str) -> Result<Option<String>> {
    let (status, text, _) = capture(command("git").args(["show", &format!("{commit}:{FILE}")]))?;
    let line = text.lines().find_map(|line| line.strip_prefix(LINE));
    Ok(line.filter(|_| status.success()).map(str::to_owned))
}

/// The names of a workspace's own crates.
fn members(workspace: &Path) -> Result<Vec<String>> {
    #[derive(Deserialize)]
    struct Metadata {
        packages: Vec<Package>,
    }
    #[derive(Deserialize)]
    struct Package {
        name: String,
    }
    let mut metadata = cargo();
    metadata.current_dir(workspace).args(["metadata", "--format-version", "1", "--no-deps"]);
    let (status, text, error) = capture(&mut metadata)?;
    ensure!(status.success(), "cargo metadata: {error}");
    let Metadata { packages } = serde_json::from_str(&text)?;
    Ok(packages.into_iter().map(|package| package.name).collect())
}

fn check_out(commit: &str, into: &Path) -> Result<()> {
    if into.exists() {
        fs::remove_dir_all(into)?;
    }
    fs::create_dir_all(into)?;
    let archive = into.with_extension("tar");
    git(&["archive", "--output", &archive.display().to_string(), commit])?;
    let (status, _, error) = capture(command("tar").arg("-xf").arg(&archive).arg("-C").arg(into))?;
    ensure!(status.success(), "tar: {error}");
    Ok(fs::remove_file(archive)?)
}

fn git(arguments: &[&str]) -> Result<String> {
    let (status, output, error) = capture(command("git").args(arguments))?;
    ensure!(status.success(), "git {}: {}", arguments.join(" "), error.trim());
    Ok(output)
}
