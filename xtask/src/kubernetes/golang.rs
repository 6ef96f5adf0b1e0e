//! Whether there is a Go that can build a module, and what to do when there is none.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::process::{capture, command};
use crate::tools::GO;

/// From this version on Go fetches the toolchain that a module asks for.
const FETCHES_OTHERS: [u32; 3] = [1, 21, 0];

/// An error says what is missing and how to get it.
pub(crate) fn require(module: &Path) -> Result<()> {
    let go = GO.require()?;
    let manifest = module.join("go.mod");
    let text = fs::read_to_string(&manifest).with_context(|| format!("reading {}", manifest.display()))?;
    let wanted = text.lines().find_map(|line| line.strip_prefix("go ")).context("go.mod names no version of Go")?;
    // Asked where no module chooses the toolchain: what is installed, not what would be fetched.
    let ask = |name: &str, toolchain: Option<&str>| -> Result<String> {
        let mut go = command(&go);
        let (status, out, err) = capture(go.args(["env", name]).envs(toolchain.map(|it| ("GOTOOLCHAIN", it))))?;
        if !status.success() {
            bail!("go env {name} failed:\n{err}");
        }
        Ok(out.trim().to_owned())
    };
    let installed = ask("GOVERSION", Some("local"))?;
    let toolchain = ask("GOTOOLCHAIN", None).unwrap_or_default();
    match judge(&installed, wanted.trim(), &toolchain) {
        Verdict::Fits => Ok(()),
        Verdict::Fetches => {
            println!("{installed} will fetch go{wanted} by itself");
            Ok(())
        }
        Verdict::TooOld(why) => bail!(why),
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Fits,
    Fetches,
    TooOld(String),
}

fn judge(installed: &str, wanted: &str, toolchain: &str) -> Verdict {
    let have = version(installed.trim_start_matches("go"));
    if have >= version(wanted) {
        return Verdict::Fits;
    }
    let install = "install a newer one from https://go.dev/dl";
    if have < FETCHES_OTHERS {
        return Verdict::TooOld(format!("{installed} is older than the {wanted} that is needed; {install}"));
    }
    if toolchain == "local" {
        return Verdict::TooOld(format!(
            "{installed} is older than the {wanted} that is needed, and GOTOOLCHAIN=local forbids it to fetch that; \
             set GOTOOLCHAIN=auto, or {install}"
        ));
    }
    Verdict::Fetches
}

/// `1.26.4`; what follows the numbers, as in `1.27rc1`, is not looked at. Nothing readable is the oldest.
fn version(text: &str) -> [u32; 3] {
    let mut numbers = text.split('.').map(|part| {
        let digits: String = part.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().unwrap_or(0)
    });
    [(); 3].map(|()| numbers.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_as_numbers() {
        assert!(version("1.26.10") > version("1.26.4"));
        assert!(version("1.27rc1") > version("1.26.4"));
        assert_eq!(version("1.21"), FETCHES_OTHERS);
        assert_eq!(version("devel"), [0, 0, 0]);
    }

    #[test]
    fn an_old_go_fetches_a_new_one_if_it_can_and_may() {
        assert_eq!(judge("go1.26.8", "1.26.4", "local"), Verdict::Fits);
        assert_eq!(judge("go1.24.1", "1.26.4", "auto"), Verdict::Fetches);
        let Verdict::TooOld(forbidden) = judge("go1.24.1", "1.26.4", "local") else { panic!("it may not") };
        assert!(forbidden.contains("set GOTOOLCHAIN=auto"), "{forbidden}");
        let Verdict::TooOld(old) = judge("go1.19.8", "1.26.4", "auto") else { panic!("it cannot") };
        assert_eq!(old, "go1.19.8 is older than the 1.26.4 that is needed; install a newer one from https://go.dev/dl");
    }
}
