//! What all clients have in common: where they find things, how they are started, how their lines are counted.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// Calls of our own contract, by the names that the clients know them by.
pub(crate) const GREETING_CALLS: [&str; 5] =
    ["ordinary-call", "fault-of-the-producer", "fault-of-the-platform", "answer-of-several-megabytes", "mtom"];
/// Calls of national contracts.
pub(crate) const OFFICIAL_CALLS: [&str; 2] = ["official-get-care-documentation", "official-ping"];

/// Where a client finds what it needs.
pub(crate) struct Place {
    /// The platform.
    pub(crate) url: String,
    /// `<name>.crt`, `<name>.key` and `root.pem`.
    pub(crate) pki: PathBuf,
    /// `e2e/clients`.
    pub(crate) clients: PathBuf,
    /// The official schemas, if they are there.
    pub(crate) official: Option<PathBuf>,
    /// For what is built; kept between runs.
    pub(crate) work: PathBuf,
}

impl Place {
    /// The certificate that the authorisations name.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.pki.join("allowed.crt")
    }

    /// Its key.
    pub(crate) fn key(&self) -> PathBuf {
        self.pki.join("allowed.key")
    }

    /// The authority of everybody.
    pub(crate) fn trust(&self) -> PathBuf {
        self.pki.join("root.pem")
    }

    /// The options that zeep's and CXF's programs both take, and the calls to make.
    pub(crate) fn describe_to(&self, command: &mut Command) -> Vec<&'static str> {
        command.arg("--url").arg(&self.url).arg("--wsdl").arg(self.clients.join("wsdl"));
        command.arg("--certificate").arg(self.certificate()).arg("--key").arg(self.key());
        command.arg("--trust").arg(self.trust());
        let mut calls = GREETING_CALLS.to_vec();
        if let Some(official) = &self.official {
            command.arg("--official").arg(official);
            calls.extend(OFFICIAL_CALLS);
        }
        command.args(&calls);
        calls
    }
}

/// The calls that a client made, right or wrong.
pub(crate) struct Made {
    pub(crate) client: &'static str,
    calls: BTreeSet<&'static str>,
}

impl Made {
    /// Nothing was called.
    pub(crate) fn nothing(client: &'static str) -> Self {
        Self { client, calls: BTreeSet::new() }
    }

    /// Whether this call was made.
    pub(crate) fn contains(&self, call: &str) -> bool {
        self.calls.contains(call)
    }
}

/// The count so far; every change of it is printed.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    passed: usize,
    /// How many failed.
    pub(crate) failed: usize,
    skipped: usize,
}

impl Tally {
    /// Counts one check by its verdict.
    pub(crate) fn judge(&mut self, name: &str, verdict: Result<()>) {
        match verdict {
            Ok(()) => {
                self.passed += 1;
                println!("PASS {name}");
            }
            Err(error) => {
                self.failed += 1;
                // One line, whatever the cause quotes.
                let why = format!("{error:#}");
                println!("FAIL {name}: {}", why.split_whitespace().collect::<Vec<_>>().join(" "));
            }
        }
    }

    /// Counts calls that could not be made, all for the same reason.
    pub(crate) fn skip(&mut self, client: &str, calls: &[&str], reason: &str) {
        self.skipped += calls.len();
        println!("SKIP {client}, {} calls: {reason}", calls.len());
    }

    /// Runs a client that prints `PASS call` or `FAIL call: why` for each call, and counts a call that it forgot as failed.
    pub(crate) fn run(&mut self, client: &'static str, command: &mut Command, calls: &[&'static str]) -> Made {
        let (said, errors) = match output(command) {
            Ok(output) => (
                String::from_utf8_lossy(&output.stdout).into_owned(),
                String::from_utf8_lossy(&output.stderr).into_owned(),
            ),
            Err(error) => (String::new(), format!("{error:#}")),
        };
        for call in calls {
            let verdict = said.lines().find_map(|line| verdict(line, call));
            let silent = || Err(anyhow::anyhow!("the client said nothing about it: {}", last_lines(&errors)));
            self.judge(&format!("{client}: {call}"), verdict.unwrap_or_else(silent));
        }
        Made { client, calls: calls.iter().copied().collect() }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

fn verdict(line: &str, call: &str) -> Option<Result<()>> {
    match line.split_once(' ')? {
        ("PASS", name) if name == call => Some(Ok(())),
        ("FAIL", rest) => {
            let why = rest.strip_prefix(call)?.strip_prefix(": ")?;
            Some(Err(anyhow::anyhow!(why.to_owned())))
        }
        _ => None,
    }
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(3)..].join(" | ")
}

/// Runs a program without input and gives what it printed.
pub(crate) fn output(command: &mut Command) -> Result<std::process::Output> {
    let name = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).output().with_context(|| format!("cannot start {name}"))
}

/// Runs a step of a build; its last words are the error when it fails.
pub(crate) fn build(command: &mut Command) -> Result<()> {
    let output = output(command)?;
    if !output.status.success() {
        let said = [output.stdout, output.stderr].concat();
        bail!("{} failed: {}", command.get_program().to_string_lossy(), last_lines(&String::from_utf8_lossy(&said)));
    }
    Ok(())
}

/// Whether a program is in `PATH`.
pub(crate) fn installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn lines_are_counted_and_silence_is_a_failure() {
        let mut tally = Tally::default();
        let script = "echo PASS mtom; echo FAIL ordinary-call: no answer; echo PASS other; echo oops >&2";
        let made = tally.run("test", &mut shell(script), &["mtom", "ordinary-call", "fault-of-the-producer"]);
        tally.skip("test", &["official-ping"], "not here");
        assert_eq!(tally.to_string(), "1 passed, 2 failed, 1 skipped");
        assert!(made.contains("mtom") && !made.contains("official-ping"));
    }

    #[test]
    fn a_reason_belongs_to_exactly_its_call() {
        assert!(verdict("FAIL mtom: broken", "mtom").is_some_and(|verdict| verdict.is_err()));
        assert!(verdict("FAIL mtom-2: broken", "mtom").is_none());
        assert!(verdict("PASS mtom-2", "mtom").is_none());
    }

    #[test]
    fn a_failed_build_step_tells_its_last_words() {
        let error = build(&mut shell("echo first; echo last >&2; exit 1")).expect_err("it failed").to_string();
        assert!(error.contains("last"), "{error}");
    }
}
