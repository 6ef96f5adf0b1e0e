//! The index of the rules that the suite must cover. A rule without a case fails the run: coverage is checked, not hoped
//! for. Which of SKLTP's behaviour cases do not apply, and why, stands beside it.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::case::Loaded;

/// How many behaviour cases SKLTP's description has.
const BEHAVIOUR_CASES: u32 = 107;

/// One rule, or one sentence of a rule, that can be observed.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Rule {
    /// What cases refer to, such as `§2 routing-history loop`.
    pub id: String,
    /// What it demands, in a few words.
    pub says: String,
    /// Why no case can stand for it yet.
    #[serde(default)]
    pub not_yet: Option<String>,
}

/// A behaviour case of SKLTP's that does not apply.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotApplicable {
    /// Its numbers.
    pub vp: Vec<u32>,
    /// Why.
    pub why: String,
}

/// Both lists.
#[derive(Debug, Clone)]
pub struct Index {
    /// The rules, in the order of the report.
    pub rules: Vec<Rule>,
    /// The behaviour cases that do not apply.
    pub not_applicable: Vec<NotApplicable>,
}

impl Index {
    /// Reads `rules.yaml` and `not-applicable.yaml`.
    pub fn load(directory: &Path) -> Result<Self> {
        Ok(Self {
            rules: list(&directory.join("rules.yaml"))?,
            not_applicable: list(&directory.join("not-applicable.yaml"))?,
        })
    }

    /// Everything that the index and the cases say differently: rules without a case, cases about unknown rules,
    /// behaviour cases that nobody answers to.
    pub fn gaps(&self, cases: &[Loaded]) -> Vec<String> {
        let mut gaps = Vec::new();
        let known: BTreeMap<&str, &Rule> = self.rules.iter().map(|rule| (rule.id.as_str(), rule)).collect();
        for rule in self.rules.iter().filter(|rule| rule.not_yet.is_none()) {
            if !cases.iter().any(|case| case.case.rule.contains(&rule.id)) {
                gaps.push(format!("rule {:?} has no case", rule.id));
            }
        }
        for case in cases {
            for id in case.case.rule.iter().filter(|id| !known.contains_key(id.as_str())) {
                gaps.push(format!("{} is about {id:?}, which rules.yaml does not list", case.name));
            }
        }
        let excused = |number| self.not_applicable.iter().any(|entry| entry.vp.contains(&number));
        let answered = |number| cases.iter().any(|case| case.case.vp.contains(&number));
        for number in (1..=BEHAVIOUR_CASES).filter(|number| !excused(*number) && !answered(*number)) {
            gaps.push(format!("behaviour case {number} has neither a case nor a reason in not-applicable.yaml"));
        }
        gaps
    }
}

fn list<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<Vec<T>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_saphyr::from_str(&text).map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))
}
