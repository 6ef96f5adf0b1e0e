//! The cases: files of values with what they stand on and what is expected, and helm, which renders them.
//!
//! A case is `NAME.values.yaml`, which renders to `NAME.golden.yaml`, or `NAME.bad.yaml`, which is refused. Comments at its beginning say
//! more: `# chart: NAME`, `# release: NAME` and `# namespace: NAME` where it is not rivmesh, `# values: FILE` for a file of values of the
//! chart that comes first, `# on: CASE` for another case that comes before this one, and `# expects: SENTENCE` in a bad one, as often
//! as needed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::render::{self, Render};
use crate::kubernetes;
use crate::process::{self, capture, command};

/// The oldest Kubernetes that the charts are for: what is rendered must not depend on the machine's helm.
const KUBERNETES: &str = "1.33.0";

/// One file of values and what it is to become.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) name: String,
    chart: String,
    pub(super) release: Release,
    /// Files of values, relative to the root, later ones win.
    layers: Vec<PathBuf>,
    pub(super) expectation: Expectation,
}

/// What an installation is called, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Release {
    pub(super) name: String,
    pub(super) namespace: String,
}

impl Release {
    pub(super) fn new(name: &str, namespace: &str) -> Self {
        Self { name: name.to_owned(), namespace: namespace.to_owned() }
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Expectation {
    /// It renders to this file.
    Golden(PathBuf),
    /// It is refused, and all of this is said.
    Refusal(Vec<String>),
}

impl Case {
    /// The text of all its values: the names that a user wrote.
    pub(super) fn values(&self) -> Result<String> {
        let mut text = String::new();
        for layer in &self.layers {
            text += &fs::read_to_string(process::root().join(layer))?;
        }
        Ok(text)
    }
}

/// All cases of a directory, by name.
pub(super) fn all(directory: &Path) -> Result<Vec<Case>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(directory).with_context(|| format!("reading {}", directory.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        for (end, good) in [(".values.yaml", true), (".bad.yaml", false)] {
            if let Some(name) = name.strip_suffix(end) {
                files.insert(name.to_owned(), (path.clone(), good));
            }
        }
    }
    files.keys().map(|name| read(name, &files, directory)).collect()
}

fn read(name: &str, files: &BTreeMap<String, (PathBuf, bool)>, directory: &Path) -> Result<Case> {
    let Some((path, good)) = files.get(name) else { bail!("there is no case {name}") };
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let told = |key: &str| -> Vec<String> {
        let comments = text.lines().map_while(|line| line.strip_prefix("# "));
        comments.filter_map(|line| line.strip_prefix(key)?.strip_prefix(": ")).map(str::to_owned).collect()
    };
    let base = told("on").first().map(|base| read(base, files, directory)).transpose()?;
    let named = |key: &str| told(key).pop().unwrap_or_else(|| "rivmesh".to_owned());
    let chart = named("chart");
    let release = Release::new(&named("release"), &named("namespace"));
    let mut layers: Vec<PathBuf> =
        told("values").into_iter().map(|file| Path::new("charts").join(&chart).join(file)).collect();
    layers.extend(base.into_iter().flat_map(|base| base.layers));
    layers.push(path.strip_prefix(process::root()).unwrap_or(path).to_path_buf());
    let expectation = if *good {
        Expectation::Golden(directory.join(format!("{name}.golden.yaml")))
    } else {
        Expectation::Refusal(told("expects"))
    };
    if expectation == Expectation::Refusal(Vec::new()) {
        bail!("{} expects nothing: write what helm must say, as `# expects: SENTENCE`", path.display());
    }
    Ok(Case { name: name.to_owned(), chart, release, layers, expectation })
}

/// The program that renders.
pub(super) struct Helm(PathBuf);

impl Helm {
    pub(super) fn find() -> Result<Option<Self>> {
        Ok(kubernetes::tool("helm")?.map(Self))
    }

    pub(super) fn missing() -> String {
        kubernetes::no_tool("helm")
    }

    /// What it calls itself.
    pub(super) fn version(&self) -> Result<String> {
        Ok(capture(command(&self.0).args(["version", "--short"]))?.1.trim().to_owned())
    }

    /// What the case renders to, or why it is refused.
    pub(super) fn template(&self, case: &Case) -> Result<Result<String, String>> {
        self.render(case, &case.release)
    }

    fn render(&self, case: &Case, release: &Release) -> Result<Result<String, String>> {
        let mut template = command(&self.0);
        template.args(["template", &release.name]).arg(chart(case)).args(["--namespace", &release.namespace]);
        let (status, out, err) = capture(with_values(template.args(["--kube-version", KUBERNETES]), case))?;
        Ok(if status.success() { Ok(out) } else { Err(err) })
    }

    /// `helm lint --strict`, or what it finds.
    pub(super) fn lint(&self, case: &Case) -> Result<Result<(), String>> {
        let mut lint = command(&self.0);
        lint.args(["lint", "--strict", "--quiet"]).arg(chart(case));
        let (status, out, err) = capture(with_values(lint.args(["--kube-version", KUBERNETES]), case))?;
        Ok(if status.success() { Ok(()) } else { Err(format!("{out}{err}")) })
    }

    /// What a person is told after an installation, or why there is none.
    pub(super) fn notes(&self, case: &Case) -> Result<String> {
        let mut install = command(&self.0);
        install.args(["install", &case.release.name]).arg(chart(case));
        install.args(["--namespace", &case.release.namespace, "--dry-run=client"]);
        let (_, out, err) = capture(with_values(&mut install, case))?;
        Ok(out.split_once("\nNOTES:\n").map_or(err, |(_, notes)| notes.to_owned()))
    }

    /// Objects outside a namespace, and those in watched ones, that two releases would fight over.
    pub(super) fn two_releases(&self) -> Result<Vec<String>> {
        let mut problems = Vec::new();
        for case in all(&super::testdata())?.iter().filter(|case| case.name.starts_with("watch-")) {
            let mut seen = BTreeSet::new();
            // The dashes make one name out of both where they are joined by a dash.
            for release in [Release::new("rivmesh", "a-b"), Release::new("b-rivmesh", "a")] {
                let Ok(text) = self.render(case, &release)? else { continue };
                for object in render::objects(&text)? {
                    let name = Render::name(&object);
                    let own = object["metadata"]["namespace"] == *release.namespace;
                    if !own && !seen.insert(name.clone()) && !is_shared(&name) {
                        problems.push(format!("{}: two releases both have {name}", case.name));
                    }
                }
            }
            if seen.is_empty() {
                problems.push(format!("{}: nothing was rendered", case.name));
            }
        }
        Ok(problems)
    }
}

/// The roles for people: the second release is told not to make them.
fn is_shared(name: &str) -> bool {
    name.starts_with("ClusterRole rivmesh-tak-")
}

fn chart(case: &Case) -> PathBuf {
    Path::new("charts").join(&case.chart)
}

fn with_values<'c>(command: &'c mut Command, case: &Case) -> &'c mut Command {
    for layer in &case.layers {
        command.arg("--values").arg(layer);
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_stands_on_another_and_says_what_it_expects() {
        let directory = std::env::temp_dir().join(format!("xtask-cases-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let write = |name: &str, text: &str| fs::write(directory.join(name), text).unwrap();
        write("base.values.yaml", "# Why.\n# values: values-production.yaml\na: 1\n# on: nothing\n");
        write("worse.bad.yaml", "# namespace: 1177\n# on: base\n# expects: too bad\n# expects: really\nb: 2\n");
        let cases = all(&directory).unwrap();
        assert_eq!(cases.iter().map(|case| &*case.name).collect::<Vec<_>>(), ["base", "worse"]);
        assert_eq!(cases[0].expectation, Expectation::Golden(directory.join("base.golden.yaml")));
        assert_eq!(cases[1].expectation, Expectation::Refusal(vec!["too bad".to_owned(), "really".to_owned()]));
        let layers = ["charts/rivmesh/values-production.yaml".into(), directory.join("base.values.yaml")];
        assert_eq!(cases[0].layers, layers);
        assert_eq!(
            [&cases[0].release, &cases[1].release],
            [&Release::new("rivmesh", "rivmesh"), &Release::new("rivmesh", "1177")]
        );
        assert_eq!(cases[1].layers[..2], layers);
        write("silent.bad.yaml", "b: 2\n");
        assert!(all(&directory).unwrap_err().to_string().contains("expects nothing"));
        fs::remove_dir_all(directory).unwrap();
    }
}
