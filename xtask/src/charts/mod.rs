//! `cargo xtask charts`: what the charts make of values.
//!
//! Each case in `charts/testdata` is a file of values. Good ones render to the golden file beside them, so that a reviewer sees
//! what a change does to a cluster; bad ones are refused with the sentences that they expect. What must hold in every
//! render whatever its values (Pod Security, tokens, rights, references) is asserted beyond that.

mod access;
mod case;
mod health;
mod metrics;
mod pods;
mod render;
mod settings;
mod texts;
pub(crate) mod values;
mod wiring;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::process::root;
use crate::stage::Outcome;
use case::{Case, Expectation, Helm};
use render::Render;

/// What must hold in every render.
const RULES: [fn(&Render) -> Vec<String>; 15] = [
    pods::restricted,
    pods::tokens,
    pods::volumes,
    wiring::unique,
    wiring::replicas,
    wiring::selectors,
    wiring::ports,
    wiring::references,
    settings::mounted,
    settings::drain,
    access::least_privilege,
    access::bindings,
    access::internal_listeners,
    access::kept_by_the_operator,
    texts::quoted,
];

/// Renders every case and judges it. With `update` the golden files are written anew instead of compared.
pub(crate) fn check(update: bool) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let Some(helm) = Helm::find()? else {
        outcome.skip(format!("all charts: {}", Helm::missing()));
        return Ok(outcome);
    };
    let cases = case::all(&testdata())?;
    let mut renders = Vec::new();
    for case in &cases {
        match (&case.expectation, helm.template(case)?) {
            (Expectation::Golden(path), Ok(text)) => {
                let render = Render::parse(&text, &case.values()?, &case.release)?;
                verdict(
                    &mut outcome,
                    &case.name,
                    golden(path, &text, update)?.into_iter().chain(broken_rules(&render)),
                );
                verdict(&mut outcome, &format!("{} (lint)", case.name), helm.lint(case)?.err());
                if render.has_kind("Deployment") {
                    verdict(&mut outcome, &format!("{} (notes)", case.name), unsaid(&render, &helm.notes(case)?));
                }
                renders.push(render);
            }
            (Expectation::Golden(_), Err(error)) => verdict(&mut outcome, &case.name, Some(error)),
            (Expectation::Refusal(sentences), Err(error)) => {
                let unsaid = sentences.iter().filter(|sentence| !error.contains(*sentence));
                let told = unsaid.map(|sentence| format!("\"{sentence}\" is not in what helm says:\n{error}"));
                verdict(&mut outcome, &case.name, told);
            }
            (Expectation::Refusal(_), Ok(_)) => {
                verdict(&mut outcome, &case.name, Some("helm takes these values, and should refuse them".to_owned()));
            }
        }
    }
    verdict(&mut outcome, "golden files", orphans(&cases)?);
    verdict(&mut outcome, "two releases", helm.two_releases()?);
    verdict(&mut outcome, "kinds", definitions(&renders)?);
    verdict(&mut outcome, "keys of platform.yaml", settings::unreachable(&renders, &page("platform-yaml.md")?)?);
    verdict(&mut outcome, "metrics", metrics::unknown(&renders, &metrics::documented(&root())?));
    verdict(&mut outcome, "alerts", metrics::unexplained(&renders, &page("alerts.md")?));
    health::check(&mut outcome)?;
    println!("{} cases rendered with {}", cases.len(), helm.version()?);
    Ok(outcome)
}

fn testdata() -> PathBuf {
    root().join("charts/testdata")
}

/// A page of the reference.
fn page(name: &str) -> Result<String> {
    let path = root().join("docs/src/reference").join(name);
    fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
}

fn verdict(outcome: &mut Outcome, what: &str, problems: impl IntoIterator<Item = String>) {
    let mut problems = problems.into_iter().peekable();
    if problems.peek().is_none() {
        outcome.pass();
    }
    for problem in problems {
        println!("FAIL {what}: {problem}");
        outcome.fail(format!("{what}: {problem}"));
    }
}

/// What a person who has just installed must be told, and is not.
fn unsaid(render: &Render, notes: &str) -> Option<String> {
    let what = if render.has_kind("Pod") {
        format!("helm test --namespace {} --logs {}", render.release.namespace, render.release.name)
    } else {
        "`helm test` has nothing to run".to_owned()
    };
    (!notes.contains(&what)).then(|| format!("NOTES.txt does not say \"{what}\":\n{notes}"))
}

fn broken_rules(render: &Render) -> Vec<String> {
    RULES.iter().flat_map(|rule| rule(render)).collect()
}

/// Compares with the golden file, or writes it.
fn golden(path: &Path, text: &str, update: bool) -> Result<Option<String>> {
    let before = fs::read_to_string(path).unwrap_or_default();
    if before == text {
        return Ok(None);
    }
    let name = path.strip_prefix(root()).unwrap_or(path).display().to_string();
    if update {
        fs::write(path, text).with_context(|| format!("writing {name}"))?;
        println!("wrote {name}");
        return Ok(None);
    }
    let lines = before.lines().chain(std::iter::repeat("(nothing)")).zip(text.lines().chain(["(nothing)"]));
    let (number, (old, new)) =
        lines.enumerate().find(|(_, (old, new))| old != new).unwrap_or((0, ("(nothing)", "(something)")));
    Ok(Some(format!(
        "{name}:{}: is `{old}` and renders as `{new}`; if that is meant, run `cargo xtask charts --update` and read the diff",
        number + 1
    )))
}

/// Golden files whose case is gone.
fn orphans(cases: &[Case]) -> Result<Vec<String>> {
    let golden = |case: &Case| match &case.expectation {
        Expectation::Golden(path) => Some(path.clone()),
        Expectation::Refusal(_) => None,
    };
    let known: BTreeSet<PathBuf> = cases.iter().filter_map(golden).collect();
    let mut problems = Vec::new();
    for entry in fs::read_dir(testdata())? {
        let path = entry?.path();
        if path.to_string_lossy().ends_with(".golden.yaml") && !known.contains(&path) {
            let name = path.strip_prefix(root()).unwrap_or(&path);
            problems.push(format!("{} belongs to no case: delete it", name.display()));
        }
    }
    Ok(problems)
}

/// The chart of the kinds renders what `crds/yaml` says, and nothing else but the annotation that keeps it.
fn definitions(renders: &[Render]) -> Result<Vec<String>> {
    let mut expected = Vec::new();
    for entry in fs::read_dir(root().join("crds/yaml"))? {
        expected.extend(render::objects(&fs::read_to_string(entry?.path())?)?);
    }
    let mut problems = Vec::new();
    for render in renders.iter().filter(|render| render.has_kind("CustomResourceDefinition")) {
        let mut rendered = render.objects.clone();
        for object in &mut rendered {
            if let Some(metadata) = object["metadata"].as_object_mut() {
                metadata.remove("annotations");
            }
        }
        if rendered.len() != expected.len() || expected.iter().any(|definition| !rendered.contains(definition)) {
            problems.push("charts/rivmesh-crds does not render the definitions in crds/yaml".to_owned());
        }
    }
    Ok(problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A committed golden file, which needs no helm.
    pub(super) fn committed(name: &str) -> Render {
        let cases = case::all(&testdata()).unwrap();
        let case = cases.iter().find(|case| case.name == name).unwrap();
        let Expectation::Golden(path) = &case.expectation else { panic!("{name} is refused") };
        Render::parse(&fs::read_to_string(path).unwrap(), &case.values().unwrap(), &case.release).unwrap()
    }

    #[test]
    fn every_committed_render_keeps_the_rules() {
        for case in case::all(&testdata()).unwrap() {
            if matches!(case.expectation, Expectation::Golden(_)) {
                assert_eq!(broken_rules(&committed(&case.name)), Vec::<String>::new(), "{}", case.name);
            }
        }
    }

    #[test]
    fn a_difference_is_told_with_its_line() {
        let path = std::env::temp_dir().join(format!("xtask-golden-{}", std::process::id()));
        fs::write(&path, "a: 1\nb: 2\n").unwrap();
        let told = golden(&path, "a: 1\nb: 3\n", false).unwrap().unwrap();
        assert!(told.contains(":2: is `b: 2` and renders as `b: 3`"), "{told}");
        assert!(golden(&path, "a: 1\n", false).unwrap().unwrap().contains("`b: 2` and renders as `(nothing)`"));
        assert_eq!(golden(&path, "a: 1\nb: 3\n", true).unwrap(), None);
        assert_eq!(golden(&path, "a: 1\nb: 3\n", false).unwrap(), None);
        fs::remove_file(path).unwrap();
    }
}
