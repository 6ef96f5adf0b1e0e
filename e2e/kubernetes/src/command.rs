//! Other people's programs that are run to their end: kubectl, helm, scripts. What they print is the result, or with an error
//! the explanation.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// Runs a command and returns what it prints; an error names the command and repeats all that it said.
pub(crate) fn run(command: &mut Command) -> Result<String> {
    let name = Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let arguments: Vec<_> = command.get_args().map(|argument| argument.to_string_lossy().into_owned()).collect();
    let output = command.output().with_context(|| format!("{name} cannot be started"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if !output.status.success() {
        bail!("{name} {}: {}{}", arguments.join(" "), text(&output.stdout), text(&output.stderr));
    }
    Ok(text(&output.stdout))
}

/// Programs of Kubernetes as the administrator of a cluster runs them.
#[derive(Debug, Clone)]
pub(crate) struct Administrator {
    /// Where they lie.
    pub(crate) programs: PathBuf,
    /// How they reach the cluster.
    pub(crate) kubeconfig: PathBuf,
    /// Where they keep what they remember.
    pub(crate) home: PathBuf,
}

impl Administrator {
    /// Runs kubectl.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        run(self.command("kubectl").args(arguments))
    }

    /// Runs helm.
    pub(crate) fn helm(&self, arguments: &[&str]) -> Result<String> {
        run(self.command("helm").args(arguments))
    }

    /// Runs `kubectl rivmesh`, with this program as the plugin; its exit code, and what it prints.
    pub(crate) fn plugin(&self, program: &Path, arguments: &[&str]) -> Result<(Option<i32>, String)> {
        let plugins = self.home.join("plugins");
        let plugin = plugins.join("kubectl-rivmesh");
        if !plugin.exists() {
            fs::create_dir_all(&plugins)?;
            symlink(program, &plugin)?;
        }
        let mut command = self.command("kubectl");
        let output = command.arg("rivmesh").args(arguments).env("PATH", &plugins).output()?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok((output.status.code(), text(&output.stdout) + &text(&output.stderr)))
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.env("KUBECONFIG", &self.kubeconfig).env("HOME", &self.home);
        command
    }
}
