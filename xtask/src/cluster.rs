//! `cargo xtask cluster`: a real Kubernetes on this machine, for people who want to try something.
//!
//! The work is `e2e/cluster/cluster.sh`; here is only what must be there before it can run.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};

use crate::kubernetes::{self, Tier, Version};
use crate::process::{self, root, target};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Start it and wait until it is ready; builds Kubernetes' programs the first time. Needs root.
    Up(Up),
    /// End it and undo every change to this machine.
    Down(State),
    /// Tell which of its parts run.
    Status(State),
    /// Print what makes kubectl and helm use it: eval "$(cargo xtask cluster env)".
    Env(State),
}

#[derive(Args)]
pub(crate) struct State {
    /// Its directory; another one is another cluster [default: target/cluster].
    #[arg(long = "state", value_name = "DIR")]
    directory: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct Up {
    #[command(flatten)]
    state: State,
    /// Only etcd and an API server: no node, so nothing runs in it.
    #[arg(long)]
    api_only: bool,
    /// Which Kubernetes; the oldest that rivmesh supports comes as an API server only.
    #[arg(long, value_enum, default_value = "newest")]
    kubernetes: Version,
}

impl State {
    fn path(&self) -> PathBuf {
        self.directory.as_ref().map_or_else(|| target().join("cluster"), |directory| root().join(directory))
    }

    fn script(&self, command: &str) -> std::process::Command {
        let mut script = process::command(root().join("e2e/cluster/cluster.sh"));
        script.arg(command).arg(self.path());
        script
    }
}

/// Runs one of the commands.
pub(crate) fn run(command: Command) -> Result<()> {
    match command {
        Command::Up(options) => up(&options),
        Command::Down(state) => process::run(&mut state.script("down")),
        Command::Status(state) => process::run(&mut state.script("status")),
        Command::Env(state) => {
            print!("{}", environment(&state.path())?);
            Ok(())
        }
    }
}

fn up(options: &Up) -> Result<()> {
    kubernetes::check_node()?;
    let tier = match (options.api_only, options.kubernetes) {
        (true, version) => Tier::Api(version),
        (false, Version::Newest) => Tier::Node,
        (false, Version::Oldest) => bail!("the oldest Kubernetes comes without a node: add --api-only"),
    };
    let programs = kubernetes::programs(tier)?;
    let mut script = options.state.script("up");
    script.arg(&programs.directory);
    if options.api_only {
        script.env("PARTS", "etcd kube-apiserver");
    }
    process::run(&mut script)?;
    println!("Kubernetes {} is up. To use it:\n\n{}", programs.version, environment(&options.state.path())?);
    Ok(())
}

/// Lines for a shell.
fn environment(state: &Path) -> Result<String> {
    let path = state.join("settings");
    let settings = fs::read_to_string(&path).with_context(|| format!("no cluster is up in {}", state.display()))?;
    let programs = setting(&settings, "BIN").with_context(|| format!("{} names no programs", path.display()))?;
    Ok(format!("export KUBECONFIG={}/admin.kubeconfig\nexport PATH={programs}:$PATH\n", state.display()))
}

/// A variable as bash's `declare -p` writes it.
fn setting<'s>(settings: &'s str, name: &str) -> Option<&'s str> {
    let start = format!(" {name}=\"");
    // `--` or, of a variable that is in the environment too, `-x`.
    settings.lines().find_map(|line| line.strip_prefix("declare -")?.get(1..)?.strip_prefix(&start)?.strip_suffix('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_names_the_cluster_and_its_programs() {
        let state = tempfile::tempdir().unwrap();
        let error = environment(state.path()).unwrap_err().to_string();
        assert_eq!(error, format!("no cluster is up in {}", state.path().display()));
        fs::write(state.path().join("settings"), "declare -x CNI_BIN=\"/x\"\ndeclare -x BIN=\"/cache/v1\"\n").unwrap();
        let state = state.path().display();
        let expected = format!("export KUBECONFIG={state}/admin.kubeconfig\nexport PATH=/cache/v1:$PATH\n");
        assert_eq!(environment(Path::new(&state.to_string())).unwrap(), expected);
    }
}
