//! The form of a case file. Every field has a default that describes the ordinary call of the allowed consumer, so that a
//! case says only what it is about; an unknown field is an error, so that nothing is silently not checked.

mod expect;
mod request;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;

use crate::content::Content;
use crate::fixture::Setting;
use crate::script::Script;

pub use expect::{Ending, Expect, Headers, ProducerExpect, Values};
pub use request::{HangUp, Request};

/// A case as written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Case {
    /// Ids of the rules that the case is about, as in `rules.yaml`.
    pub rule: Vec<String>,
    /// Numbers of the cases of SKLTP's behaviour description that it answers to.
    #[serde(default)]
    pub vp: Vec<u32>,
    /// One sentence: what holds.
    pub title: String,
    /// The platform it runs on.
    #[serde(default = "standard")]
    pub fixture: String,
    /// What this case needs besides; it gets a platform of its own then.
    #[serde(default)]
    pub given: Option<Setting>,
    /// Whether it leaves the platform changed, so that it needs one of its own.
    #[serde(default)]
    pub alone: bool,
    /// Whether the expectation is wrong on purpose: the case passes if the suite notices.
    #[serde(default)]
    pub must_fail: bool,
    /// Whether an ordinary call must succeed afterwards.
    #[serde(default)]
    pub next_call: bool,
    /// The only step, for a case that has one: the producer's script ...
    #[serde(default)]
    pub producer: Option<Script>,
    /// ... the scripts of other producers, by name ...
    #[serde(default)]
    pub producers: BTreeMap<String, Script>,
    /// ... what is sent ...
    #[serde(default)]
    pub request: Option<Request>,
    /// ... and what must come of it.
    #[serde(default)]
    pub expect: Option<Expect>,
    /// Several steps instead.
    #[serde(default)]
    pub steps: Vec<Step>,
}

fn standard() -> String {
    "standard".to_owned()
}

/// One thing that happens in a case. The parts of a step happen in the order of the fields here.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Step {
    /// Script of the producer `p1`.
    pub producer: Option<Script>,
    /// Scripts of producers by name.
    pub producers: BTreeMap<String, Script>,
    /// Producers that reset every new connection from here on.
    pub refuse_connections: Vec<String>,
    /// Producers that were absent and listen from here on.
    pub appear: Vec<String>,
    /// Producers that close all their open connections now.
    pub drop_connections: Vec<String>,
    /// Time that has to pass first, in milliseconds; for what happens to idle connections.
    pub pause_ms: u64,
    /// A change of the platform's settings, as a merge patch.
    pub config: Option<Value>,
    /// Files of the platform's directory that are replaced (atomically).
    pub write: BTreeMap<String, Content>,
    /// Files that become a copy of another: `to: from`.
    pub copy: BTreeMap<String, String>,
    /// Files that are removed.
    pub remove: Vec<String>,
    /// A certificate for the allowed consumer that lives this many seconds: `name: seconds`.
    pub issue: BTreeMap<String, u64>,
    /// A signal for the platform.
    pub signal: Option<Signal>,
    /// Starts the platform again after a kill.
    pub restart: bool,
    /// What is sent.
    pub request: Option<Request>,
    /// How many times the request is made (default 1).
    pub repeat: Option<usize>,
    /// The request goes on in the background under this name.
    pub background: Option<String>,
    /// Waits until a producer has begun to receive this many requests since its script was set.
    pub await_producer: BTreeMap<String, usize>,
    /// Waits for the background request of this name; `expect` is about it.
    pub join: Option<String>,
    /// What must come of the request.
    pub expect: Option<Expect>,
    /// The request is repeated until the expectation holds, for at most this many milliseconds.
    pub within_ms: Option<u64>,
    /// Kept connections that end like this, without another request.
    pub ends: BTreeMap<String, Ending>,
    /// Log lines that follow from what this step did; for steps without a request.
    pub log: Vec<BTreeMap<String, Value>>,
    /// How many log lines since the case began have fields like these, at most.
    pub log_at_most: Option<LogAtMost>,
    /// A question to the admin port.
    pub get: Option<AdminGet>,
    /// A command of the `rivmesh` binary.
    pub run: Option<Run>,
    /// The platform ends by itself with this exit status.
    pub exits: Option<i32>,
}

/// A bound on log lines.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogAtMost {
    /// Which lines.
    pub fields: BTreeMap<String, Value>,
    /// How many.
    pub count: usize,
}

/// A signal.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Signal {
    /// SIGTERM.
    Term,
    /// SIGKILL.
    Kill,
}

/// A GET on the admin port.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AdminGet {
    /// Path.
    pub path: String,
    /// Expected status.
    #[serde(default)]
    pub status: Option<u16>,
    /// Texts that the answer contains.
    #[serde(default)]
    pub contains: Vec<String>,
    /// Texts that it does not.
    #[serde(default)]
    pub lacks: Vec<String>,
}

/// A run of the `rivmesh` command.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Run {
    /// Arguments.
    pub arguments: Vec<String>,
    /// Expected exit status.
    #[serde(default)]
    pub status: i32,
    /// Texts that it prints.
    #[serde(default)]
    pub contains: Vec<String>,
    /// Texts that it does not print.
    #[serde(default)]
    pub lacks: Vec<String>,
}

/// A case with its place.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// `folder/name` under the suite's directory, without `.yaml`.
    pub name: String,
    /// The case as checked YAML, for the placeholders to be filled in.
    pub source: Value,
    /// The case, placeholders not yet filled in.
    pub case: Case,
}

impl Case {
    /// The steps; a case without a list has one.
    pub fn steps(&self) -> Vec<Step> {
        if !self.steps.is_empty() {
            return self.steps.clone();
        }
        vec![Step {
            producer: self.producer.clone(),
            producers: self.producers.clone(),
            request: Some(self.request.clone().unwrap_or_default()),
            expect: self.expect.clone(),
            ..Step::default()
        }]
    }

    /// Why this case says less than it seems to.
    fn objection(&self) -> Option<&'static str> {
        let single = self.producer.is_some() || self.request.is_some() || self.expect.is_some();
        match (self.steps.is_empty(), single) {
            (false, true) => Some("it has both `steps` and a single step"),
            (true, _) if self.expect.is_none() => Some("it expects nothing"),
            _ if self.rule.is_empty() => Some("it names no rule"),
            _ => None,
        }
    }
}

/// Reads all cases under `directory`, in the order of their paths.
pub fn load(directory: &Path) -> Result<Vec<Loaded>> {
    let mut cases = Vec::new();
    for folder in sorted(directory)? {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !folder.is_dir() || name == "fixtures" {
            continue;
        }
        for file in sorted(&folder)?.iter().filter(|file| file.extension().is_some_and(|e| e == "yaml")) {
            let stem = file.file_stem().unwrap_or_default().to_string_lossy();
            cases.push(read(file, format!("{name}/{stem}")).with_context(|| file.display().to_string())?);
        }
    }
    Ok(cases)
}

fn sorted(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(directory).with_context(|| format!("cannot list {}", directory.display()))?;
    let mut paths: Vec<_> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    paths.sort();
    Ok(paths)
}

fn read(file: &Path, name: String) -> Result<Loaded> {
    let text = std::fs::read_to_string(file)?;
    let case: Case = serde_saphyr::from_str(&text).map_err(|error| anyhow::anyhow!("{error}"))?;
    if let Some(objection) = case.objection() {
        anyhow::bail!("{objection}");
    }
    let source = serde_saphyr::from_str(&text).map_err(|error| anyhow::anyhow!("{error}"))?;
    Ok(Loaded { name, source, case })
}
