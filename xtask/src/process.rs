//! Running other programs: echo the command, show its output, say which one failed.
//!
//! Programs run in the repository's root, whatever directory `cargo xtask` was called from.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, Result, bail};

/// The repository's root directory.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies directly below the root").to_path_buf()
}

/// Where cargo puts what it builds; follows `CARGO_TARGET_DIR`.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir))
}

/// The cargo that started us.
pub(crate) fn cargo() -> Command {
    let mut command = command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // Set by `cargo run` for this package; a nested cargo would hand them on to build scripts and rebuild them.
    for name in ["CARGO_MANIFEST_DIR", "CARGO_MANIFEST_PATH", "CARGO_PKG_NAME", "CARGO_PKG_VERSION"] {
        command.env_remove(name);
    }
    command
}

/// A command that runs in the repository's root.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root());
    command
}

/// Runs to the end with its output shown; an error names the command.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = show(command).status().with_context(|| cannot_start(command))?;
    if !status.success() {
        bail!("failed ({status}): {}", line(command));
    }
    Ok(())
}

/// Runs to the end and gives each line of standard output to `each`; standard error is shown as it comes.
pub(crate) fn run_lines(command: &mut Command, mut each: impl FnMut(&str)) -> Result<ExitStatus> {
    let mut child = show(command).stdout(Stdio::piped()).spawn().with_context(|| cannot_start(command))?;
    let stdout = child.stdout.take().expect("standard output was piped two lines up");
    for text in BufReader::new(stdout).split(b'\n') {
        // Test output may hold any bytes; nothing of it may end the run.
        each(String::from_utf8_lossy(&text.context("reading the program's output")?).trim_end_matches('\r'));
    }
    child.wait().with_context(|| format!("waiting for {}", line(command)))
}

/// Runs silently and returns its status, standard output and standard error.
pub(crate) fn capture(command: &mut Command) -> Result<(ExitStatus, String, String)> {
    let output = command.output().with_context(|| cannot_start(command))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok((output.status, text(&output.stdout), text(&output.stderr)))
}

fn show(command: &mut Command) -> &mut Command {
    println!("$ {}", line(command));
    command.stdin(Stdio::null())
}

fn cannot_start(command: &Command) -> String {
    format!("cannot start `{}`: is it installed and in PATH?", command.get_program().to_string_lossy())
}

/// The command as a person would type it in the root: program by its name, paths relative to the root.
fn line(command: &Command) -> String {
    let root = format!("{}/", root().display());
    let program = Path::new(command.get_program());
    let name = match program.strip_prefix(&root) {
        Ok(inside) => inside.to_string_lossy().into_owned(),
        Err(_) => program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned(),
    };
    let arguments = command.get_args().map(|argument| argument.to_string_lossy().replace(&root, ""));
    std::iter::once(name).chain(arguments).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_typed_in_the_root() {
        let mut shown = command("/usr/bin/env");
        shown.arg("x").arg(root().join("docs/book.toml"));
        assert_eq!(line(&shown), "env x docs/book.toml");
        assert_eq!(line(&command(root().join("target/release/rivmesh"))), "target/release/rivmesh");
    }

    #[test]
    fn lines_are_seen_and_the_status_returned() {
        let mut seen = Vec::new();
        let status = run_lines(command("sh").args(["-c", "echo one; echo two; exit 3"]), |l| seen.push(l.to_owned()));
        assert_eq!(seen, ["one", "two"]);
        assert_eq!(status.unwrap().code(), Some(3));
    }

    #[test]
    fn a_failure_names_the_command() {
        let error = run(command("sh").args(["-c", "exit 4"])).unwrap_err().to_string();
        assert!(error.contains("sh -c exit 4"), "{error}");
    }
}
