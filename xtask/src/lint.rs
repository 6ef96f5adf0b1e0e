//! `cargo xtask lint`: what a reviewer should never have to say.
//!
//! Formatting, clippy with warnings as errors, and the dependency rules of `deny.toml`.

use anyhow::{Result, bail};

use crate::process::{self, capture, cargo};

/// Runs all of it, also after a failure, so that one run tells everything.
pub(crate) fn run() -> Result<()> {
    let failed: Vec<String> = [formatting(), clippy(), dependencies()]
        .into_iter()
        .filter_map(|check| check.err().map(|error| format!("{error:#}")))
        .collect();
    if failed.is_empty() {
        return Ok(());
    }
    bail!("{}", failed.join("\nerror: "))
}

fn formatting() -> Result<()> {
    process::run(cargo().args(["fmt", "--all", "--check"]))
}

fn clippy() -> Result<()> {
    process::run(cargo().args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))
}

fn dependencies() -> Result<()> {
    if !capture(cargo().args(["deny", "--version"]))?.0.success() {
        bail!("cargo-deny is missing; install it with: cargo install --locked cargo-deny");
    }
    let rules = process::run(cargo().args(["deny", "--all-features", "check", "bans", "licenses", "sources"]));
    // Both are told, whatever the first says.
    let known = advisories();
    rules.and(known)
}

/// Known vulnerabilities. The database is fetched from the internet; where it cannot be reached, that is said and
/// nothing is judged, because a build on an isolated machine must still be possible.
fn advisories() -> Result<()> {
    println!("$ cargo deny check advisories");
    let (status, out, err) = capture(cargo().args(["deny", "--all-features", "check", "advisories"]))?;
    if status.success() {
        println!("{}", out.trim_end());
        return Ok(());
    }
    if err.contains("failed to fetch advisory database") || err.contains("failed to load advisory database") {
        println!("SKIPPED: the advisory database cannot be reached from here, so nothing is known about advisories");
        return Ok(());
    }
    bail!("cargo deny found an advisory:\n{out}{err}");
}
