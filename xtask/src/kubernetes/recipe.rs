//! What a set of Kubernetes' programs is built from, and the name that it gives the result.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest as _, Sha256};

use crate::process::root;

/// A Go module of ours and the script that builds it.
#[derive(Debug)]
pub(crate) struct Recipe {
    /// Stands before the version in the key, so that recipes of another kind do not push each other out.
    pub(crate) kind: &'static str,
    /// The directory of the Go module.
    pub(crate) module: PathBuf,
    /// Of Kubernetes, `v1.37.1`.
    pub(crate) version: String,
    hash: String,
}

/// What is built in one go. A later step of a recipe finds what an earlier one built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Tools,
    Api,
    Node,
    Oldest,
}

impl Step {
    /// As build.sh calls it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Api => "api",
            Self::Node => "node",
            Self::Oldest => "oldest",
        }
    }

    /// Its programs that run in pods of the node itself; the manifests of `e2e/cluster` name them.
    pub(crate) const fn images(self) -> &'static [&'static str] {
        match self {
            Self::Tools => &["pause"],
            Self::Node => &["coredns", "metrics-server"],
            Self::Api | Self::Oldest => &[],
        }
    }
}

impl Recipe {
    pub(crate) fn newest() -> Result<Self> {
        Self::read("", &root().join("e2e/cluster"), &["go.mod", "go.sum", "cmd", "build.sh"])
    }

    pub(crate) fn oldest() -> Result<Self> {
        Self::read("oldest-", &root().join("e2e/cluster/oldest"), &["go.mod", "go.sum", "../build.sh"])
    }

    fn read(kind: &'static str, module: &Path, inputs: &[&str]) -> Result<Self> {
        let manifest = module.join("go.mod");
        let text = fs::read_to_string(&manifest).with_context(|| format!("reading {}", manifest.display()))?;
        let version = kubernetes_version(&text)
            .with_context(|| format!("{} requires no k8s.io/kubernetes", manifest.display()))?
            .to_owned();
        let mut hasher = Sha256::new();
        hasher.update(std::env::consts::ARCH);
        for input in inputs {
            hash(&mut hasher, input, &module.join(input))?;
        }
        let hash = hasher.finalize()[..6].iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self { kind, module: module.to_path_buf(), version, hash })
    }

    /// The name of the directory that holds what it builds: another version or another recipe, another key.
    pub(crate) fn key(&self) -> String {
        format!("{}{}-{}", self.kind, self.version, self.hash)
    }

    /// Whether a directory of that name was made by a recipe of the same kind.
    pub(crate) fn is_kin(&self, key: &str) -> bool {
        key.strip_prefix(self.kind).is_some_and(|rest| rest.starts_with('v'))
    }
}

fn kubernetes_version(manifest: &str) -> Option<&str> {
    manifest.lines().find_map(|line| {
        let line = line.trim().trim_start_matches("require ");
        let version = line.strip_prefix("k8s.io/kubernetes ")?.split_whitespace().next()?;
        version.starts_with('v').then_some(version)
    })
}

/// Names and lengths go in too: no two trees have one hash because a boundary moved.
fn hash(hasher: &mut Sha256, name: &str, path: &Path) -> Result<()> {
    let context = || format!("reading {}", path.display());
    if path.is_dir() {
        let entries = fs::read_dir(path).with_context(context)?;
        let mut names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
        names.sort();
        for below in names {
            let below = below.to_string_lossy();
            hash(hasher, &format!("{name}/{below}"), &path.join(&*below))?;
        }
    } else {
        let content = fs::read(path).with_context(context)?;
        hasher.update(format!("{name}\0{}\0", content.len()));
        hasher.update(content);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = "module x\n\nreplace (\n\tk8s.io/api => k8s.io/api v0.37.1\n)\n\nrequire (\n\tk8s.io/kube-proxy \
        v0.0.0\n\tk8s.io/kubernetes v1.37.1 // indirect\n)\n";

    struct Module(tempfile::TempDir);

    impl Module {
        fn new() -> Self {
            let module = Self(tempfile::tempdir().unwrap());
            module.write("go.mod", MANIFEST);
            module.write("cmd/a/main.go", "package main");
            module
        }

        fn write(&self, path: &str, content: &str) {
            let path = self.0.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }

        fn key(&self) -> String {
            Recipe::read("", self.0.path(), &["go.mod", "cmd"]).unwrap().key()
        }
    }

    #[test]
    fn the_key_is_the_version_and_a_hash_of_all_inputs() {
        let (one, two) = (Module::new(), Module::new());
        let first = one.key();
        assert!(first.starts_with("v1.37.1-") && first.len() == "v1.37.1-".len() + 12, "{first}");
        assert_eq!(first, two.key(), "the directory does not matter");
        one.write("cmd/a/main.go", "package main\n");
        let second = one.key();
        assert_ne!(first, second);
        one.write("cmd/b.go", "");
        let third = one.key();
        assert_ne!(second, third, "a new file, even an empty one");
        one.write("other", "not an input");
        assert_eq!(third, one.key());
    }

    #[test]
    fn content_does_not_pass_for_a_name() {
        let (one, two) = (Module::new(), Module::new());
        one.write("cmd/b", "c");
        two.write("cmd/bc", "");
        assert_ne!(one.key(), two.key());
    }

    #[test]
    fn the_version_is_the_one_that_is_required() {
        assert_eq!(kubernetes_version(MANIFEST), Some("v1.37.1"));
        assert_eq!(kubernetes_version("require k8s.io/kubernetes v1.33.13\n"), Some("v1.33.13"));
        assert_eq!(kubernetes_version("require k8s.io/kubernetes-thing v1.33.13\n"), None);
    }

    #[test]
    fn our_recipes_are_readable_and_not_kin() {
        let (newest, oldest) = (Recipe::newest().unwrap(), Recipe::oldest().unwrap());
        assert!(oldest.key().starts_with("oldest-v1.33."), "{}", oldest.key());
        assert!(newest.is_kin("v1.36.0-0123456789ab") && newest.is_kin(&newest.key()));
        assert!(!newest.is_kin(&oldest.key()) && !oldest.is_kin(&newest.key()) && oldest.is_kin(&oldest.key()));
        assert!(!newest.is_kin("lock"));
    }
}
