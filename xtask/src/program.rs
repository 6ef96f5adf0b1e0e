//! Programs whose outcome is part of a test run: commands that are one test, and test programs of ours that tell what came of
//! each case.

use std::process::Command;

use anyhow::Result;

use crate::process::run_lines;
use crate::stage::Outcome;
use crate::tally::Tally;
use crate::test::release;

/// A command that is one test: its exit status decides.
pub(crate) fn single(command: &mut Command, name: &str) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let status = run_lines(command.env("RIVMESH_BIN_DIR", release()), |line| println!("{line}"))?;
    if status.success() {
        outcome.pass();
    } else {
        outcome.fail(format!("{name}: {status}; its output is above"));
    }
    Ok(outcome)
}

/// A test program of ours: lines `FAIL what` and `SKIP what: why`, and a plain closing line.
pub(crate) fn program(command: &mut Command) -> Result<Outcome> {
    let mut reader = PlainReader::default();
    let status = run_lines(command.env("RIVMESH_BIN_DIR", release()), |line| {
        reader.line(line);
        println!("{line}");
    })?;
    Ok(reader.finish(status.success()))
}

#[derive(Default)]
struct PlainReader {
    closing: Option<Tally>,
    failures: Vec<String>,
    skips: Vec<String>,
}

impl PlainReader {
    fn line(&mut self, line: &str) {
        if let Some(tally) = Tally::from_plain(line) {
            self.closing = Some(tally);
        } else if let Some(what) = line.trim_start().strip_prefix("FAIL ") {
            self.failures.push(what.trim().to_owned());
        } else if let Some(what) = line.trim_start().strip_prefix("SKIP ") {
            self.skips.push(what.trim().to_owned());
        }
    }

    fn finish(self, success: bool) -> Outcome {
        let mut outcome =
            Outcome { tally: self.closing.unwrap_or_default(), failures: self.failures, skips: self.skips };
        if self.closing.is_none() {
            outcome.fail("it ended without saying how many passed; its output is above");
        } else if !success && outcome.tally.failed == 0 {
            outcome.fail("it reported no failure and yet exited with one");
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(output: &str, success: bool) -> Outcome {
        let mut reader = PlainReader::default();
        output.lines().for_each(|line| reader.line(line));
        reader.finish(success)
    }

    #[test]
    fn takes_counts_and_reasons_from_a_program() {
        let outcome = read("  FAIL tls12: refused\nSKIP cxf: java is missing\n3 passed, 1 failed, 1 skipped", false);
        assert_eq!(outcome.tally, Tally { passed: 3, failed: 1, skipped: 1 });
        assert_eq!(outcome.failures, ["tls12: refused"]);
        assert_eq!(outcome.skips, ["cxf: java is missing"]);
    }

    #[test]
    fn a_program_that_dies_is_a_failure() {
        assert_eq!(read("half way", false).tally, Tally::FAILED);
        assert_eq!(read("1 passed, 0 failed", false).tally, Tally { passed: 1, failed: 1, skipped: 0 });
        assert_eq!(read("1 passed, 0 failed", true).tally, Tally::PASSED);
    }
}
