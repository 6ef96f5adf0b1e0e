//! A long build by another tool, told to whoever waits: a line now and then.
//!
//! `go build -v` names each package when it begins to compile it, some thousand of them, and is silent while it links.
//! Of that only the number and the last name are worth a line; what is no such name is a complaint and is kept.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::stage::duration;

const EVERY: Duration = Duration::from_secs(15);

/// As many lines of complaint as a person reads.
const COMPLAINTS: usize = 40;

/// Runs a command that calls `go build -v`; `what` is what it builds.
pub(crate) fn run(command: &mut Command, what: &str) -> Result<()> {
    println!("building {what}: minutes the first time, seconds when Go has compiled it before");
    let start = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", command.get_program().to_string_lossy()))?;
    let stderr = child.stderr.take().expect("standard error was piped three lines up");
    let (sender, lines) = channel();
    let reader = std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            // Nobody listens any more when the build was given up.
            let _ = sender.send(line);
        }
    });
    let mut progress = Progress::default();
    let mut next = start + EVERY;
    loop {
        match lines.recv_timeout(next.saturating_duration_since(Instant::now())) {
            Ok(line) => progress.line(line),
            Err(RecvTimeoutError::Timeout) => {
                println!("  {what}: {}", progress.status(start.elapsed()));
                next = Instant::now() + EVERY;
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    let status = child.wait().with_context(|| format!("waiting for the build of {what}"))?;
    reader.join().expect("the reading thread has no reason to panic");
    let complaints = progress.complaints();
    if !status.success() {
        bail!("{what} could not be built ({status}):\n{complaints}");
    }
    if !complaints.is_empty() {
        println!("{complaints}");
    }
    println!("built {what} in {}", duration(start.elapsed()));
    Ok(())
}

/// What a build has said so far.
#[derive(Default)]
struct Progress {
    packages: usize,
    downloads: usize,
    last: String,
    complaints: VecDeque<String>,
}

impl Progress {
    fn line(&mut self, line: String) {
        if let Some(module) = line.strip_prefix("go: downloading ") {
            self.downloads += 1;
            self.last = format!("downloading {module}");
        } else if is_package(&line) {
            self.packages += 1;
            self.last = line;
        } else {
            if self.complaints.len() == COMPLAINTS {
                self.complaints.pop_front();
            }
            self.complaints.push_back(line);
        }
    }

    fn status(&self, elapsed: Duration) -> String {
        let elapsed = duration(elapsed);
        if self.last.is_empty() {
            return format!("{elapsed}, nothing to compile so far");
        }
        let downloads = match self.downloads {
            0 => String::new(),
            count => format!("{count} modules downloaded, "),
        };
        format!("{elapsed}, {downloads}{} packages compiled, now {}", self.packages, self.last)
    }

    fn complaints(&self) -> String {
        Vec::from_iter(self.complaints.iter().map(String::as_str)).join("\n")
    }
}

/// An import path: no spaces, and a slash or a name of the standard library.
fn is_package(line: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "/._-~".contains(c);
    !line.is_empty() && line.chars().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(lines: &[&str]) -> Progress {
        let mut progress = Progress::default();
        lines.iter().for_each(|line| progress.line((*line).to_owned()));
        progress
    }

    #[test]
    fn a_line_tells_how_far_it_is() {
        let minute = Duration::from_secs(61);
        assert_eq!(after(&[]).status(minute), "1m01s, nothing to compile so far");
        let progress = after(&["go: downloading k8s.io/api v0.37.1"]);
        assert_eq!(
            progress.status(minute),
            "1m01s, 1 modules downloaded, 0 packages compiled, now downloading k8s.io/api v0.37.1"
        );
        let progress = after(&["internal/cpu", "k8s.io/client-go/tools/cache"]);
        assert_eq!(progress.status(minute), "1m01s, 2 packages compiled, now k8s.io/client-go/tools/cache");
        assert_eq!(progress.complaints(), "");
    }

    #[test]
    fn what_is_no_package_is_a_complaint() {
        let progress = after(&["a/b", "# a/b", "a/b/c.go:3:5: undefined: x", "go: updates to go.mod needed"]);
        assert_eq!(progress.packages, 1);
        assert_eq!(progress.complaints(), "# a/b\na/b/c.go:3:5: undefined: x\ngo: updates to go.mod needed");
        let many: Vec<_> = (0..100).map(|number| format!("error {number}")).collect();
        let progress = after(&many.iter().map(String::as_str).collect::<Vec<_>>());
        assert!(progress.complaints().starts_with("error 60\n") && progress.complaints().ends_with("\nerror 99"));
    }

    #[test]
    fn a_failed_build_says_why() {
        let mut script = Command::new("sh");
        let error = run(script.args(["-c", "echo a/b >&2; echo 'a.go:1: no' >&2; exit 3"]), "it").unwrap_err();
        let error = error.to_string();
        assert!(error.contains("it could not be built (exit status: 3):\na.go:1: no"), "{error}");
        run(Command::new("sh").args(["-c", "echo a/b >&2"]), "it").unwrap();
    }
}
