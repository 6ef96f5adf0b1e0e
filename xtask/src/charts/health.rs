//! What GitOps tools make of an object's status: Argo CD by our Lua script, Flux and others by kstatus.
//!
//! Each file in `charts/argocd/testdata` is one object with a status, and says in comments at its beginning what is expected:
//! `# argocd: Healthy` (Progressing, Degraded, Suspended) and `# kstatus: Current` (InProgress, Failed, Terminating). The program
//! `health` runs the script as Argo CD does and the library kstatus over the files, and prints a line of JSON for each:
//! `{"file": PATH, "argo": {"status": .., "message": ..}, "kstatus": {"status": .., "message": ..}}`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::verdict;
use crate::kubernetes;
use crate::process::{capture, command, root};
use crate::stage::Outcome;

const SCRIPT: &str = "charts/argocd/health.lua";
const OBJECTS: &str = "charts/argocd/testdata";

/// What both tools say of an object.
#[derive(Debug, PartialEq, Eq)]
struct Health {
    argo: String,
    kstatus: String,
}

#[derive(Debug, Deserialize)]
struct Line {
    file: PathBuf,
    argo: Verdict,
    kstatus: Verdict,
}

#[derive(Debug, Deserialize)]
struct Verdict {
    status: String,
    message: String,
}

/// Runs `health` over all objects and compares.
pub(super) fn check(outcome: &mut Outcome) -> Result<()> {
    let expected = expectations(&root().join(OBJECTS))?;
    let Some(program) = kubernetes::tool("health")? else {
        outcome.skip(format!(
            "health of {} objects in GitOps tools: {}",
            expected.len(),
            kubernetes::no_tool("health")
        ));
        return Ok(());
    };
    let mut health = command(program);
    health.arg("--lua").arg(SCRIPT).args(expected.keys().map(|name| Path::new(OBJECTS).join(name)));
    let (status, out, err) = capture(&mut health)?;
    if !status.success() {
        bail!("health failed ({status}): {err}");
    }
    for (file, problem) in compare(&expected, &out)? {
        verdict(outcome, &format!("health of {file}"), problem);
    }
    Ok(())
}

/// The expectation of each object, by the name of its file.
fn expectations(directory: &Path) -> Result<BTreeMap<String, Health>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory).with_context(|| format!("reading {}", directory.display()))? {
        let path = entry?.path();
        let text = fs::read_to_string(&path)?;
        let told = |key: &str| {
            let comments = text.lines().map_while(|line| line.strip_prefix("# "));
            let mut told = comments.filter_map(|line| line.strip_prefix(key)?.strip_prefix(": "));
            let told = told.next().with_context(|| format!("{} does not say `# {key}: ..`", path.display()))?;
            anyhow::Ok(told.to_owned())
        };
        let health = Health { argo: told("argocd")?, kstatus: told("kstatus")? };
        found.insert(path.file_name().unwrap_or_default().to_string_lossy().into_owned(), health);
    }
    Ok(found)
}

/// For each object what is wrong, if anything is.
fn compare(expected: &BTreeMap<String, Health>, output: &str) -> Result<BTreeMap<String, Option<String>>> {
    let mut found: BTreeMap<String, Option<String>> =
        expected.keys().map(|name| (name.clone(), Some("the program says nothing about it".to_owned()))).collect();
    for text in output.lines().filter(|line| !line.trim().is_empty()) {
        let line: Line = serde_json::from_str(text).with_context(|| format!("health printed {text}"))?;
        let name = line.file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some(wanted) = expected.get(&name) else { bail!("health speaks of {name}, which nobody asked about") };
        let said = Health { argo: line.argo.status, kstatus: line.kstatus.status };
        let (about, because) = (&line.argo.message, &line.kstatus.message);
        let wrong = format!("Argo CD says {} ({about}), kstatus says {} ({because}), and", said.argo, said.kstatus);
        let problem = if said != *wanted {
            Some(format!("{wrong} {} and {} are expected", wanted.argo, wanted.kstatus))
        } else if about.is_empty() && said.argo != "Healthy" {
            Some("Argo CD shows no reason".to_owned())
        } else {
            None
        };
        found.insert(name, problem);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected(names: &[&str]) -> BTreeMap<String, Health> {
        let health = || Health { argo: "Degraded".to_owned(), kstatus: "InProgress".to_owned() };
        names.iter().map(|name| ((*name).to_owned(), health())).collect()
    }

    #[test]
    fn every_object_says_what_is_expected_in_words_that_the_tools_have() {
        let expectations = expectations(&root().join(OBJECTS)).unwrap();
        assert!(expectations.len() > 30, "{}", expectations.len());
        for (file, Health { argo, kstatus }) in &expectations {
            assert!(["Healthy", "Progressing", "Degraded", "Suspended"].contains(&&**argo), "{file}: {argo}");
            assert!(["Current", "InProgress", "Failed", "Terminating"].contains(&&**kstatus), "{file}: {kstatus}");
        }
    }

    #[test]
    fn a_verdict_that_differs_lacks_or_has_no_reason_is_told() {
        let line = |file: &str, argo: &str, message: &str| {
            format!(
                "{{\"file\": \"x/{file}\", \"argo\": {{\"status\": \"{argo}\", \"message\": \"{message}\"}}, \
                 \"kstatus\": {{\"status\": \"InProgress\", \"message\": \"\"}}}}\n"
            )
        };
        let output = line("a", "Degraded", "why") + &line("b", "Healthy", "") + &line("c", "Degraded", "");
        let found = compare(&expected(&["a", "b", "c", "d"]), &output).unwrap();
        assert_eq!(found["a"], None);
        assert!(found["b"].as_ref().unwrap().contains("Argo CD says Healthy"), "{found:?}");
        assert_eq!(found["c"].as_deref(), Some("Argo CD shows no reason"));
        assert_eq!(found["d"].as_deref(), Some("the program says nothing about it"));
        assert!(compare(&expected(&["a"]), &line("e", "Degraded", "")).is_err());
    }
}
