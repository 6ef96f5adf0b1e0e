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
    Tool { program: "openssl", package: "openssl", purpose: "makes throw-away certificates" };
pub(crate) const NGINX: Tool = Tool { program: "nginx", package: "nginx-light", purpose: "is measured beside us" };
pub(crate) const HAPROXY: Tool = Tool { program: "haproxy", package: "haproxy", purpose: "is measured beside us" };
pub(crate) const VALGRIND: Tool = Tool { program: "valgrind", package: "valgrind", purpose: "counts instructions" };
pub(crate) const GO: Tool = Tool { program: "go", package: "golang-go", purpose: "builds Kubernetes' programs" };
pub(crate) const CONTAINERD: Tool = Tool { program: "containerd", package: "containerd", purpose: "runs pods" };
pub(crate) const RUNC: Tool = Tool { program: "runc", package: "runc", purpose: "runs containers" };
/// Not in any `PATH`: an absolute path is looked up as it stands.
pub(crate) const CNI_PLUGINS: Tool =
    Tool { program: "/usr/lib/cni/bridge", package: "containernetworking-plugins", purpose: "gives pods a network" };
pub(crate) const IPTABLES: Tool = Tool { program: "iptables", package: "iptables", purpose: "balances Services" };
pub(crate) const IPROUTE: Tool = Tool { program: "ip", package: "iproute2", purpose: "joins the node to this machine" };
pub(crate) const PROCPS: Tool = Tool { program: "sysctl", package: "procps", purpose: "sets what kernels are told" };

/// A program that is looked up in `PATH` and in the system directories that a user's `PATH` may lack.
pub(crate) fn in_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin"), PathBuf::from("/usr/local/sbin")])
        .map(|directory| directory.join(program))
        .find(|candidate| candidate.is_file())
}

/// One sentence about all of these that are missing, with one command that installs them; none when all are there.
pub(crate) fn missing(tools: &[Tool]) -> Option<String> {
    let missing: Vec<_> = tools.iter().filter(|tool| tool.find().is_none()).collect();
    match missing.as_slice() {
        [] => None,
        [tool] => Some(tool.missing()),
        tools => {
            let list =
                |text: fn(&Tool) -> String, by: &str| tools.iter().map(|tool| text(tool)).collect::<Vec<_>>().join(by);
            let what = list(|tool| format!("{} ({})", tool.program, tool.purpose), ", ");
            let packages = list(|tool| tool.package.to_owned(), " ");
            Some(format!("{what} are missing; install them with: apt-get install {packages}"))
        }
    }
}

impl Tool {
    /// Where it is, as [`in_path`] looks it up.
    pub(crate) fn find(self) -> Option<PathBuf> {
        in_path(self.program)
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

    #[test]
    fn several_are_installed_by_one_command() {
        let shell = Tool { program: "/bin/sh", package: "dash", purpose: "runs scripts" };
        let absent = Tool { program: "no-such-program", package: "nothing", purpose: "is a test" };
        let other = Tool { program: "/no/such/file", package: "more", purpose: "is another" };
        assert_eq!(missing(&[shell]), None);
        assert_eq!(missing(&[shell, absent]), Some(absent.missing()));
        let text = "no-such-program (is a test), /no/such/file (is another) are missing; install them with: apt-get install \
                    nothing more";
        assert_eq!(missing(&[absent, shell, other]).as_deref(), Some(text));
    }
}
