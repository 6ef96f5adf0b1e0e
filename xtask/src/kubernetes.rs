//! Kubernetes' own programs for tests: where they are, and if need be, built first.
//!
//! They are built from the Go module proxy, once for each version, and kept in the user's cache directory, because a
//! first build takes ten minutes. `e2e/cluster/README.md` tells which environment variables replace what.

mod cache;
mod golang;
mod progress;
mod recipe;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use crate::image;
use crate::process::{capture, command, root, target};
use crate::tools::{self, CNI_PLUGINS, CONTAINERD, IPROUTE, IPTABLES, OPENSSL, PROCPS, RUNC};
use recipe::{Recipe, Step};

/// Tells who starts programs of Kubernetes where they are.
const DIRECTORY: &str = "RIVMESH_KUBERNETES_BIN";

/// How much of a Kubernetes is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tier {
    /// helm, and health (what Argo CD and kstatus make of an object): no server at all. Cheap.
    Tools,
    /// An API server besides: etcd, kube-apiserver, kubectl.
    Api(Version),
    /// All that a node needs besides, and the images of what runs on it.
    Node,
}

/// Which Kubernetes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Version {
    /// The one that all tests run against.
    Newest,
    /// The oldest that rivmesh supports.
    Oldest,
}

/// Programs that are there.
#[derive(Debug)]
pub(crate) struct Programs {
    /// All of them by their usual names, images of the node below `images/`.
    pub(crate) directory: PathBuf,
    /// The version of Kubernetes, `v1.37.1`.
    pub(crate) version: String,
}

impl Programs {
    /// Tells a test program where they are: `RIVMESH_KUBERNETES_BIN`. Of the tools, helm and health may be missing
    /// where `KUBEBUILDER_ASSETS` is set and there is no Go.
    pub(crate) fn hand_to<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command.env(DIRECTORY, &self.directory)
    }
}

/// Builds what is missing, with progress on the terminal, and tells where it is. Honours `KUBEBUILDER_ASSETS` where
/// an API server is all that is asked for.
pub(crate) fn programs(tier: Tier) -> Result<Programs> {
    match (tier, variable("KUBEBUILDER_ASSETS")) {
        (Tier::Tools, _) => provide(&Recipe::newest()?, &[Step::Tools]),
        (Tier::Api(_), Some(assets)) => from_assets(&assets),
        (Tier::Api(Version::Newest), None) => provide(&Recipe::newest()?, &[Step::Tools, Step::Api]),
        (Tier::Api(Version::Oldest), None) => {
            let servers = provide(&Recipe::oldest()?, &[Step::Oldest])?;
            let tools = programs(Tier::Tools)?;
            let directory = gather("oldest", &[&servers.directory, &tools.directory])?;
            Ok(Programs { directory, ..servers })
        }
        (Tier::Node, _) => provide(&Recipe::newest()?, &[Step::Tools, Step::Api, Step::Node]),
    }
}

/// Where helm or health is: in `RIVMESH_KUBERNETES_BIN`, else where we built it, else in `PATH`. None where there is
/// neither the program nor a Go to build it; a build that fails is an error.
pub(crate) fn tool(name: &str) -> Result<Option<PathBuf>> {
    let given = variable(DIRECTORY).map(|directory| directory.join(name)).filter(|path| path.is_file());
    if given.is_some() {
        return Ok(given);
    }
    if golang::require(&Recipe::newest()?.module).is_ok() {
        return Ok(Some(programs(Tier::Tools)?.directory.join(name)));
    }
    Ok(tools::in_path(name))
}

/// One sentence about a [`tool`] that is nowhere: what is missing, and how it can be had.
pub(crate) fn no_tool(name: &str) -> String {
    let why = Recipe::newest().and_then(|recipe| golang::require(&recipe.module));
    let why = why.err().map_or_else(String::new, |why| format!(": {why:#}"));
    format!("{name} is missing, and so is a Go that could build it{why}")
}

/// Where tests that need nodes can run.
#[derive(Debug)]
pub(crate) enum Nodes {
    /// On a node that we start: with [`Tier::Node`] and `e2e/cluster/cluster.sh`.
    Ours,
    /// In the cluster that `KUBECONFIG` names. Nothing may be done to its nodes.
    Given(PathBuf),
    /// Nowhere, and why: what is missing and the command that installs it.
    Nowhere(String),
}

/// Looks at `KUBECONFIG`, at our rights and at the system's programs.
pub(crate) fn nodes() -> Nodes {
    if let Some(given) = variable("KUBECONFIG") {
        return Nodes::Given(given);
    }
    match check_node() {
        Ok(()) => Nodes::Ours,
        Err(why) => Nodes::Nowhere(format!("{why:#}")),
    }
}

/// Whether this machine and user can start a node, or only an API server by `cluster.sh`.
pub(crate) fn check_node() -> Result<()> {
    let uid = fs::metadata("/proc/self").context("reading /proc/self")?.uid();
    if uid != 0 {
        bail!(
            "a node needs root: it has namespaces, links and control groups of its own; run the same command as root"
        );
    }
    let needed = [CONTAINERD, RUNC, CNI_PLUGINS, IPTABLES, IPROUTE, PROCPS, OPENSSL];
    if let Some(missing) = tools::missing(&needed) {
        bail!(missing);
    }
    let mut unshare = command("unshare");
    let (status, _, err) = capture(unshare.args(["--net", "--mount", "--pid", "--fork", "true"]))?;
    if !status.success() {
        bail!("a node needs namespaces of its own, and root may not make any here (is this a container?): {err}");
    }
    Ok(())
}

/// An environment variable that says something.
fn variable(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

fn provide(recipe: &Recipe, steps: &[Step]) -> Result<Programs> {
    let directory = cache::provide(&cache::home()?, recipe, steps, |step, staging| build(recipe, step, staging))?;
    Ok(Programs { directory, version: recipe.version.clone() })
}

/// One step of a recipe, into an empty directory.
fn build(recipe: &Recipe, step: Step, staging: &Path) -> Result<()> {
    golang::require(&recipe.module)?;
    let mut script = command(root().join("e2e/cluster/build.sh"));
    progress::run(script.arg(staging).arg(step.name()), &format!("Kubernetes {} ({})", recipe.version, step.name()))?;
    for name in step.images() {
        let out = staging.join(format!("images/{name}.tar"));
        image::program(&staging.join(name), &format!("localhost/{name}:1"), &out)?;
    }
    Ok(())
}

const SERVERS: [&str; 3] = ["etcd", "kube-apiserver", "kubectl"];

/// Somebody else's API server with our tools, as far as those can be had.
fn from_assets(assets: &Path) -> Result<Programs> {
    if let Some(missing) = SERVERS.iter().find(|name| !assets.join(name).is_file()) {
        bail!("KUBEBUILDER_ASSETS={}: there is no {missing} in it; unset it to build one", assets.display());
    }
    let (_, version, _) = capture(command(assets.join("kube-apiserver")).arg("--version"))?;
    let version = version.trim().trim_start_matches("Kubernetes ").to_owned();
    println!("Kubernetes {version} from KUBEBUILDER_ASSETS={}", assets.display());
    let directory = match programs(Tier::Tools) {
        Ok(tools) => gather("assets", &[assets, &tools.directory])?,
        Err(why) => {
            println!("our own tools are not built: {why:#}");
            let directory = gather("assets", &[assets])?;
            if let Some(helm) = tools::in_path("helm")
                && !directory.join("helm").exists()
            {
                symlink(helm, directory.join("helm")).context("linking helm")?;
            }
            directory
        }
    };
    Ok(Programs { directory, version })
}

/// One directory of links to the programs of several; the first that has a name gives it.
fn gather(name: &str, sources: &[&Path]) -> Result<PathBuf> {
    let directory = target().join("kubernetes").join(name);
    let context = || format!("linking programs in {}", directory.display());
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).with_context(context)?;
    for source in sources {
        for entry in fs::read_dir(source).with_context(context)? {
            let entry = entry?;
            let link = directory.join(entry.file_name());
            // Not the marks of the cache.
            let hidden = entry.file_name().to_string_lossy().starts_with('.');
            if entry.path().is_file() && !hidden && !link.exists() {
                let program = fs::canonicalize(entry.path()).with_context(context)?;
                symlink(program, link).with_context(context)?;
            }
        }
    }
    Ok(directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_of_several_places_are_gathered_in_one() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for (directory, name) in [(&first, "etcd"), (&second, "etcd"), (&second, "helm"), (&second, ".used")] {
            fs::write(directory.path().join(name), directory.path().display().to_string()).unwrap();
        }
        fs::create_dir(second.path().join("images")).unwrap();
        let directory = gather("a-test", &[first.path(), second.path()]).unwrap();
        let content = |name: &str| fs::read_to_string(directory.join(name)).unwrap();
        assert_eq!(content("etcd"), first.path().display().to_string());
        assert_eq!(content("helm"), second.path().display().to_string());
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 2);
        fs::remove_dir_all(directory).unwrap();
    }
}
