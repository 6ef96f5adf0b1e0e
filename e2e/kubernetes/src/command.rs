//! Other people's programs that are run to their end: kubectl, helm, scripts. What they print is the result, or with an error
//! the explanation.

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

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.env("KUBECONFIG", &self.kubeconfig).env("HOME", &self.home);
        command
    }
}
