//! Which crates are linked into a binary, from `cargo metadata`.
//!
//! Build scripts and procedural macros run at build time and are not in the binary, and neither is what only they use.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::process::{capture, cargo};

/// All crates of the workspace and what they depend on, as resolved for one target.
#[derive(Debug, Deserialize)]
pub(crate) struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

/// A crate.
#[derive(Debug, Deserialize)]
pub(crate) struct Package {
    id: String,
    pub(crate) name: String,
    pub(crate) version: String,
    /// An SPDX expression, or an older form of one with `/` for `OR`.
    pub(crate) license: Option<String>,
    pub(crate) repository: Option<String>,
    targets: Vec<Target>,
}

#[derive(Debug, Deserialize)]
struct Target {
    kind: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Debug, Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Debug, Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<DependencyKind>,
}

#[derive(Debug, Deserialize)]
struct DependencyKind {
    /// `build`, `dev`, or none for what is linked.
    kind: Option<String>,
}

/// A crate in a binary and those that it uses directly.
#[derive(Debug)]
pub(crate) struct Linked<'m> {
    pub(crate) package: &'m Package,
    pub(crate) uses: Vec<&'m Package>,
}

/// Asks cargo, for the target triple that the binary is built for.
pub(crate) fn metadata(triple: &str) -> Result<Metadata> {
    let (status, out, err) =
        capture(cargo().args(["metadata", "--format-version", "1", "--locked", "--filter-platform", triple]))?;
    if !status.success() {
        bail!("cargo metadata failed:\n{err}");
    }
    serde_json::from_str(&out).context("reading the output of cargo metadata")
}

impl Metadata {
    /// The crate of that name in the workspace, first, and all that is linked with it, by name and version.
    pub(crate) fn linked(&self, name: &str) -> Result<Vec<Linked<'_>>> {
        let packages: BTreeMap<_, _> = self.packages.iter().map(|package| (&package.id, package)).collect();
        let nodes: BTreeMap<_, _> = self.resolve.nodes.iter().map(|node| (&node.id, node)).collect();
        let root = self.packages.iter().find(|package| package.name == name);
        let root = root.with_context(|| format!("the workspace has no crate {name}"))?;
        let mut seen = BTreeSet::from([&root.id]);
        let mut waiting = vec![root];
        let mut linked = Vec::new();
        while let Some(package) = waiting.pop() {
            let node = nodes.get(&package.id).with_context(|| format!("cargo resolved no {}", package.id))?;
            let mut uses: Vec<_> = node
                .deps
                .iter()
                .filter(|dependency| dependency.dep_kinds.iter().any(|kind| kind.kind.is_none()))
                .filter_map(|dependency| packages.get(&dependency.pkg).copied())
                .filter(|package| !package.is_macro())
                .collect();
            uses.sort_by_key(|package| package.place());
            waiting.extend(uses.iter().filter(|package| seen.insert(&package.id)));
            linked.push(Linked { package, uses });
        }
        linked[1..].sort_by_key(|linked| linked.package.place());
        Ok(linked)
    }
}

impl Package {
    fn is_macro(&self) -> bool {
        self.targets.iter().any(|target| target.kind.iter().any(|kind| kind == "proc-macro"))
    }

    fn place(&self) -> (&str, &str) {
        (&self.name, &self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn package(name: &str, kind: &str) -> Value {
        json!({"id": name, "name": name, "version": "1.0.0", "targets": [{"kind": [kind]}]})
    }

    fn node(name: &str, deps: &[(&str, &[Option<&str>])]) -> Value {
        let deps: Vec<_> = deps
            .iter()
            .map(|(pkg, kinds)| {
                let kinds: Vec<_> = kinds.iter().map(|kind| json!({"kind": kind})).collect();
                json!({"pkg": pkg, "dep_kinds": kinds})
            })
            .collect();
        json!({"id": name, "deps": deps})
    }

    #[test]
    fn only_what_is_in_the_binary_counts() {
        let packages = ["app", "lib", "deep", "tool", "testing"].map(|name| package(name, "lib"));
        let mut packages = Vec::from(packages);
        packages.push(package("macro", "proc-macro"));
        packages.push(package("of-macro", "lib"));
        let metadata: Metadata = serde_json::from_value(json!({"packages": packages, "resolve": {"nodes": [
            node("app", &[("lib", &[None, Some("dev")]), ("macro", &[None]), ("testing", &[Some("dev")])]),
            node("lib", &[("deep", &[None]), ("tool", &[Some("build")])]),
            node("macro", &[("of-macro", &[None])]),
            node("deep", &[]),
            node("tool", &[]),
            node("testing", &[]),
            node("of-macro", &[]),
        ]}}))
        .unwrap();
        let linked = metadata.linked("app").unwrap();
        let names: Vec<_> = linked.iter().map(|linked| linked.package.name.as_str()).collect();
        assert_eq!(names, ["app", "deep", "lib"]);
        assert_eq!(linked[0].uses.iter().map(|package| package.name.as_str()).collect::<Vec<_>>(), ["lib"]);
        assert!(metadata.linked("absent").is_err());
    }

    #[test]
    fn our_own_workspace_is_understood() {
        let metadata = metadata("x86_64-unknown-linux-gnu").unwrap();
        let linked = metadata.linked("rivmesh-dataplane").unwrap();
        let names: Vec<_> = linked.iter().map(|linked| linked.package.name.as_str()).collect();
        assert_eq!(names[0], "rivmesh-dataplane");
        assert!(names.contains(&"rivmesh-table") && names.contains(&"rustls"), "{names:?}");
        assert!(!names.contains(&"serde_derive") && !names.contains(&"proptest"), "{names:?}");
    }
}
