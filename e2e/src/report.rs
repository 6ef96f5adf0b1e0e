//! The report of a run, twice: Markdown for people, rule by rule, and JSON for tools.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::case::Loaded;
use crate::rules::Index;

/// What came of one case.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The case.
    pub case: Loaded,
    /// Why it failed; nothing if it passed.
    pub differences: Vec<String>,
    /// How long it took.
    pub took: Duration,
}

impl Outcome {
    /// Whether the case passed.
    pub fn passed(&self) -> bool {
        self.differences.is_empty()
    }

    fn word(&self) -> &'static str {
        if self.passed() { "pass" } else { "fail" }
    }
}

/// A run of the suite.
#[derive(Debug, Clone)]
pub struct Report {
    /// Rules and exceptions.
    pub index: Index,
    /// The cases that ran.
    pub outcomes: Vec<Outcome>,
    /// What is wrong with the suite itself: rules without a case and the like.
    pub gaps: Vec<String>,
}

impl Report {
    /// Whether every case passed and no rule lacks one.
    pub fn is_good(&self) -> bool {
        self.gaps.is_empty() && self.outcomes.iter().all(Outcome::passed)
    }

    /// The last line of every report: `N passed, N failed`. A gap counts as a failure.
    pub fn summary(&self) -> String {
        let passed = self.outcomes.iter().filter(|outcome| outcome.passed()).count();
        let failed = self.outcomes.len() - passed + self.gaps.len();
        format!("{passed} passed, {failed} failed")
    }

    fn about<'a>(&'a self, rule: &'a str) -> impl Iterator<Item = &'a Outcome> {
        self.outcomes.iter().filter(move |outcome| outcome.case.case.rule.iter().any(|id| id == rule))
    }

    /// The list of `{rule, case, result}`.
    pub fn to_json(&self) -> Value {
        let mut list = Vec::new();
        for rule in &self.index.rules {
            list.extend(
                self.about(&rule.id)
                    .map(|outcome| json!({"rule": rule.id, "case": outcome.case.name, "result": outcome.word()})),
            );
            if let Some(why) = &rule.not_yet {
                list.push(json!({"rule": rule.id, "case": why, "result": "not yet"}));
            }
        }
        list.extend(self.gaps.iter().map(|gap| json!({"rule": "suite", "case": gap, "result": "fail"})));
        for entry in &self.index.not_applicable {
            let numbers = entry.vp.iter();
            list.extend(numbers.map(
                |number| json!({"rule": format!("vp case {number}"), "case": entry.why, "result": "not applicable"}),
            ));
        }
        Value::Array(list)
    }

    /// The report for people.
    pub fn to_markdown(&self) -> String {
        let mut text = String::from("# Conformance\n\nRule by rule: the cases, and what came of them.\n\n");
        // Writing to a String cannot fail.
        for rule in &self.index.rules {
            let _ = writeln!(text, "## {}\n\n{}\n", rule.id, rule.says);
            if let Some(why) = &rule.not_yet {
                let _ = writeln!(text, "- **not yet**: {why}");
            }
            for outcome in self.about(&rule.id) {
                let vp = &outcome.case.case.vp;
                let vp =
                    if vp.is_empty() { String::new() } else { format!(" (vp case {vp:?})").replace(['[', ']'], "") };
                let _ =
                    writeln!(text, "- **{}** `{}`: {}{vp}", outcome.word(), outcome.case.name, outcome.case.case.title);
                for difference in &outcome.differences {
                    let _ = writeln!(text, "  - {}", difference.replace('\n', " "));
                }
            }
            text.push('\n');
        }
        text.push_str("## Behaviour cases of SKLTP VP that do not apply\n\n");
        for entry in &self.index.not_applicable {
            let numbers: Vec<String> = entry.vp.iter().map(u32::to_string).collect();
            let _ = writeln!(text, "- vp case {}: {}", numbers.join(", "), entry.why);
        }
        if !self.gaps.is_empty() {
            text.push_str("\n## Gaps\n\n");
            for gap in &self.gaps {
                let _ = writeln!(text, "- {gap}");
            }
        }
        let _ = write!(text, "\n{}\n", self.summary());
        text
    }

    /// Writes `conformance.md` and `conformance.json` into `directory`.
    pub fn write(&self, directory: &Path) -> Result<()> {
        std::fs::create_dir_all(directory)?;
        let json = serde_json::to_string_pretty(&self.to_json())?;
        for (name, text) in [("conformance.md", self.to_markdown()), ("conformance.json", json + "\n")] {
            let path = directory.join(name);
            std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }
}
