//! `cargo test` of the whole workspace, with its output cut to what a person wants to see.
//!
//! Passing tests are counted, not listed. Failures, and why a test was ignored, are kept for the summary.

use anyhow::Result;

use crate::process::{cargo, run_lines};
use crate::stage::Outcome;
use crate::tally::Tally;
use crate::test::release;

/// Runs all tests of all crates; goes on after a failing one.
pub(crate) fn run() -> Result<Outcome> {
    let mut reader = Reader::default();
    let mut command = cargo();
    command.args(["test", "--workspace", "--no-fail-fast"]);
    command.env("RIVMESH_BIN_DIR", release());
    let status = run_lines(&mut command, |line| {
        if let Some(shown) = reader.line(line) {
            println!("{shown}");
        }
    })?;
    let mut outcome = reader.outcome;
    if !status.success() && outcome.tally.failed == 0 {
        outcome.fail("cargo test could not build or run everything; the compiler's message is above");
    }
    Ok(outcome)
}

#[derive(Default)]
struct Reader {
    outcome: Outcome,
}

impl Reader {
    /// Takes in one line of libtest's output; returns it if it is to be shown.
    fn line<'l>(&mut self, line: &'l str) -> Option<&'l str> {
        if let Some(tally) = Tally::from_libtest(line) {
            self.outcome.tally += tally;
            return (tally != Tally::default()).then_some(line);
        }
        let Some((name, verdict)) = line.strip_prefix("test ").and_then(|rest| rest.split_once(" ... ")) else {
            let noise = line.trim().is_empty() || line.starts_with("running ");
            return (!noise).then_some(line);
        };
        if verdict == "FAILED" {
            self.outcome.failures.push(name.to_owned());
        } else if let Some(reason) = verdict.strip_prefix("ignored") {
            let reason = reason.strip_prefix(", ").unwrap_or("no reason is given; `#[ignore = \"why\"]` gives one");
            self.outcome.skips.push(format!("{name}: {reason}"));
        } else if verdict == "ok" {
            return None;
        }
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_every_binary_and_keeps_names_and_reasons() {
        let output = "\
running 3 tests
test a::passes ... ok
test a::waits ... ignored, needs a cluster
test a::breaks ... FAILED

failures:
---- a::breaks stdout ----
assertion failed

test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s
running 1 test
test b::passes ... ok
test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
running 0 tests
test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s";
        let mut reader = Reader::default();
        let shown: Vec<_> = output.lines().filter_map(|line| reader.line(line)).collect();
        assert_eq!(reader.outcome.tally, Tally { passed: 2, failed: 1, skipped: 1 });
        assert_eq!(reader.outcome.failures, ["a::breaks"]);
        assert_eq!(reader.outcome.skips, ["a::waits: needs a cluster"]);
        assert!(shown.contains(&"assertion failed"));
        assert!(!shown.iter().any(|line| line.ends_with("ok") || line.starts_with("running")));
        assert_eq!(shown.iter().filter(|line| line.starts_with("test result")).count(), 2);
    }
}
