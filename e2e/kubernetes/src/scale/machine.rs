//! On what, with what and when something was measured.

use std::path::Path;
use std::process::Command;

use jiff::Zoned;

/// Lines for the head of a report.
pub(super) struct Setting {
    /// The day, as 2026-01-31.
    pub(super) day: String,
    pub(super) cores: usize,
    pub(super) model: String,
    pub(super) memory_gib: u64,
    pub(super) kernel: String,
    pub(super) commit: String,
    pub(super) kubernetes: String,
    pub(super) etcd: String,
    pub(super) quick: bool,
}

/// This machine, and the programs in this directory.
pub(super) fn describe(programs: &Path, quick: bool) -> Setting {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let said = |program: &Path, argument: &str| first_line(Command::new(program).arg(argument));
    let version = |name: &str| said(&programs.join(name), "--version").unwrap_or_else(|| "unknown".to_owned());
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let commit = first_line(Command::new("git").args(["describe", "--always", "--dirty"]).current_dir(root));
    Setting {
        day: Zoned::now().date().to_string(),
        cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        model: field(&read("/proc/cpuinfo"), "model name").unwrap_or("unknown").to_owned(),
        memory_gib: field(&read("/proc/meminfo"), "MemTotal")
            .and_then(|value| value.split(' ').next()?.parse::<u64>().ok())
            .map_or(0, |kib| kib.div_ceil(1 << 20)),
        kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        commit: commit.unwrap_or_else(|| "unknown".to_owned()),
        kubernetes: version("kube-apiserver"),
        etcd: version("etcd"),
        quick,
    }
}

fn first_line(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    String::from_utf8_lossy(&output.stdout).lines().next().map(str::to_owned)
}

/// The first value of a field in a file of `/proc`.
fn field<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let value = |line: &'t str| line.strip_prefix(name)?.trim_start().strip_prefix(':').map(str::trim);
    text.lines().find_map(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_proc_are_read() {
        assert_eq!(
            field("a : 1\nmodel name\t: Some CPU @ 2 GHz\nmodel name\t: Other", "model name"),
            Some("Some CPU @ 2 GHz")
        );
        assert_eq!(field("MemTotal:       24690148 kB", "MemTotal"), Some("24690148 kB"));
        assert_eq!(field("MemTotalish: 1", "MemTotal"), None);
    }
}
