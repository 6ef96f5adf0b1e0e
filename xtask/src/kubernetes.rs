//! Programs that work with Kubernetes (helm, kubectl), wherever they come from: one function, so that nobody else knows.

use std::path::PathBuf;

/// Names a directory that holds the programs; it is looked at before `PATH`.
const DIRECTORY: &str = "RIVMESH_KUBERNETES_BIN";

/// Where a program is.
pub(crate) fn program(name: &str) -> Option<PathBuf> {
    let directory = std::env::var_os(DIRECTORY).map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    directory
        .into_iter()
        .chain(std::env::split_paths(&path))
        .map(|directory| directory.join(name))
        .find(|candidate| candidate.is_file())
}

/// One sentence: what is missing, and how it can be given.
pub(crate) fn missing(name: &str) -> String {
    format!("{name} is missing; put it into PATH, or name its directory in {DIRECTORY}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_is_there_and_explains_what_is_not() {
        assert!(program("sh").is_some_and(|path| path.ends_with("sh")));
        assert_eq!(program("no-such-program"), None);
        assert!(missing("helm").starts_with("helm is missing; "));
    }
}
