//! Which programs of the system we need, and how a person gets the ones that are missing.

use std::path::PathBuf;

/// A program that cargo cannot fetch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tool {
    pub(crate) program: &'static str,
    /// The Debian and Ubuntu package that brings it.
    pub(crate) package: &'static str,
    pub(crate) purpose: &'static str,
}

/// `make` builds jemalloc; a C compiler is there when rustc can link at all.
pub(crate) const MAKE: Tool = Tool { program: "make", package: "make", purpose: "builds the memory allocator" };
pub(crate) const PYTHON: Tool = Tool { program: "python3", package: "python3-venv", purpose: "runs the bench driver" };
pub(crate) const OPENSSL: Tool =
    Tool { program: "openssl", package: "openssl", purpose: "makes the bench's certificates" };
pub(crate) const NGINX: Tool = Tool { program: "nginx", package: "nginx-light", purpose: "is measured beside us" };
pub(crate) const HAPROXY: Tool = Tool { program: "haproxy", package: "haproxy", purpose: "is measured beside us" };

impl Tool {
    /// Where it is, looked up in `PATH` and in the system directories that a user's `PATH` may lack.
    pub(crate) fn find(self) -> Option<PathBuf> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path)
            .chain([PathBuf::from("/usr/sbin"), PathBuf::from("/usr/local/sbin")])
            .map(|directory| directory.join(self.program))
            .find(|candidate| candidate.is_file())
    }

    /// One sentence: what is missing, what for, and the command that installs it.
    pub(crate) fn missing(self) -> String {
        let Self { program, package, purpose } = self;
        format!("{program} is missing ({purpose}); install it with: apt-get install {package}")
    }

    /// Its path, or an error that tells how to install it.
    pub(crate) fn require(self) -> anyhow::Result<PathBuf> {
        self.find().ok_or_else(|| anyhow::anyhow!(self.missing()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_is_there_and_explains_what_is_not() {
        let shell = Tool { program: "sh", package: "dash", purpose: "runs scripts" };
        assert!(shell.require().is_ok());
        let absent = Tool { program: "no-such-program", package: "nothing", purpose: "is a test" };
        let error = absent.require().unwrap_err().to_string();
        assert_eq!(error, "no-such-program is missing (is a test); install it with: apt-get install nothing");
    }
}
