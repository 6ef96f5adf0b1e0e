//! A stage of a run (unit tests, conformance, ...) and the one summary at the end.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::tally::Tally;

/// What a stage found.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) tally: Tally,
    /// One line per skipped test: what and why.
    pub(crate) skips: Vec<String>,
    /// One line per failure.
    pub(crate) failures: Vec<String>,
}

impl Outcome {
    /// Counts a check that passed.
    pub(crate) fn pass(&mut self) {
        self.tally += Tally::PASSED;
    }

    /// Counts a check that was not made and says what and why.
    pub(crate) fn skip(&mut self, why: impl Into<String>) {
        self.tally += Tally::SKIPPED;
        self.skips.push(why.into());
    }

    /// Counts a check that failed and says why.
    pub(crate) fn fail(&mut self, why: impl Into<String>) {
        self.tally += Tally::FAILED;
        self.failures.push(why.into());
    }
}

/// A finished stage.
#[derive(Debug)]
pub(crate) struct Report {
    name: &'static str,
    took: Duration,
    outcome: Outcome,
}

/// Runs one stage under a heading. A stage that cannot run at all is one failure, not the end of the run.
pub(crate) fn run(name: &'static str, what: impl FnOnce() -> Result<Outcome>) -> Report {
    println!("\n=== {name}");
    let start = Instant::now();
    let outcome = what().unwrap_or_else(|error| {
        println!("error: {error:#}");
        let mut outcome = Outcome::default();
        outcome.fail(format!("{error:#}"));
        outcome
    });
    Report { name, took: start.elapsed(), outcome }
}

/// The sum over all stages.
pub(crate) fn total(reports: &[Report]) -> Tally {
    let mut sum = Tally::default();
    for report in reports {
        sum += report.outcome.tally;
    }
    sum
}

/// The summary: a table, then each skip and each failure with its reason, then the plain closing line.
pub(crate) fn summary(reports: &[Report]) -> String {
    let mut text = String::from("\nstage              time   passed   failed  skipped\n");
    for Report { name, took, outcome: Outcome { tally, .. } } in reports {
        let Tally { passed, failed, skipped } = tally;
        writeln!(text, "{name:<16}{:>7} {passed:>8} {failed:>8} {skipped:>8}", duration(*took))
            .expect("writing to a String cannot fail");
    }
    for (title, pick) in [("skipped", skips as fn(&Outcome) -> &[String]), ("failed", failures)] {
        for report in reports {
            for line in pick(&report.outcome) {
                write!(text, "\n{title} in {}: {line}", report.name).expect("writing to a String cannot fail");
            }
        }
    }
    write!(text, "\n\n{}", total(reports)).expect("writing to a String cannot fail");
    text.replace("\n\n\n", "\n\n")
}

fn skips(outcome: &Outcome) -> &[String] {
    &outcome.skips
}

fn failures(outcome: &Outcome) -> &[String] {
    &outcome.failures
}

/// As short as a person wants to read it.
pub(crate) fn duration(took: Duration) -> String {
    match took.as_secs() {
        0..=9 => format!("{:.1}s", took.as_secs_f64()),
        seconds @ 10..=59 => format!("{seconds}s"),
        seconds => format!("{}m{:02}s", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_ends_with_the_plain_line_and_shows_every_reason() {
        let good =
            run("unit", || Ok(Outcome { tally: Tally { passed: 5, failed: 0, skipped: 0 }, ..Outcome::default() }));
        let skipped = run("clients", || {
            let tally = Tally { passed: 0, failed: 0, skipped: 1 };
            Ok(Outcome { tally, skips: vec!["CXF: java is missing".to_owned()], ..Outcome::default() })
        });
        let broken = run("demo", || anyhow::bail!("it did not start"));
        let text = summary(&[good, skipped, broken]);
        assert_eq!(text.lines().last(), Some("5 passed, 1 failed, 1 skipped"));
        assert!(text.contains("skipped in clients: CXF: java is missing\n"), "{text}");
        assert!(text.contains("failed in demo: it did not start\n"), "{text}");
    }

    #[test]
    fn durations_are_short() {
        assert_eq!(duration(Duration::from_millis(1_234)), "1.2s");
        assert_eq!(duration(Duration::from_secs(59)), "59s");
        assert_eq!(duration(Duration::from_secs(125)), "2m05s");
    }
}
