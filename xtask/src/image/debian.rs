//! Which package of the system a file comes from, for the bill of materials.
//!
//! On a system without dpkg nothing is known, and the bill names the file and its digest only.

use std::fs;
use std::path::{Path, PathBuf};

use crate::process::{capture, command};

/// An installed package.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Clone)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) architecture: String,
    /// `debian`, `ubuntu`: whose version number that is.
    pub(crate) distribution: String,
}

/// The package that installed this file.
pub(crate) fn owner(file: &Path) -> Option<Package> {
    let owned = spellings(file).iter().find_map(|path| query(&["--search", &path.to_string_lossy()]))?;
    let (name, _) = owned.lines().next()?.split_once(": ")?;
    let fields = query(&["--show", "--showformat", "${Package}\t${Version}\t${Architecture}", name])?;
    let mut fields = fields.split('\t').map(str::to_owned);
    let (name, version, architecture) = (fields.next()?, fields.next()?, fields.next()?);
    Some(Package { name, version, architecture, distribution: distribution()? })
}

/// `/lib` is a link to `/usr/lib`, and dpkg knows a file by the one name under which it was packed.
fn spellings(file: &Path) -> Vec<PathBuf> {
    let mut all = vec![file.to_path_buf()];
    all.extend(fs::canonicalize(file));
    for path in all.clone() {
        all.push(match path.strip_prefix("/usr") {
            Ok(below) => Path::new("/").join(below),
            Err(_) => Path::new("/usr").join(path.strip_prefix("/").unwrap_or(&path)),
        });
    }
    all
}

fn query(arguments: &[&str]) -> Option<String> {
    let (status, out, _) = capture(command("dpkg-query").args(arguments)).ok()?;
    status.success().then_some(out)
}

fn distribution() -> Option<String> {
    let release = fs::read_to_string("/etc/os-release").ok()?;
    let id = release.lines().find_map(|line| line.strip_prefix("ID="))?;
    Some(id.trim_matches('"').to_owned())
}

impl Package {
    /// What people may do with it, for the few packages that a Rust program's libraries come from.
    pub(crate) fn license(&self) -> Option<&'static str> {
        match self.name.trim_end_matches("-cross").trim_end_matches("-arm64") {
            "libc6" => Some("LGPL-2.1-or-later"),
            "libgcc-s1" | "libstdc++6" => Some("GPL-3.0-or-later WITH GCC-exception-3.1"),
            "zlib1g" => Some("Zlib"),
            _ => None,
        }
    }

    /// Its package URL.
    pub(crate) fn url(&self) -> String {
        let Self { name, version, architecture, distribution } = self;
        let escape = |text: &str| text.replace('+', "%2B").replace(':', "%3A");
        format!("pkg:deb/{distribution}/{}@{}?arch={architecture}", escape(name), escape(version))
    }

    /// The file in which the distribution states copyright and licence of the package.
    pub(crate) fn copyright(&self) -> PathBuf {
        Path::new("/usr/share/doc").join(&self.name).join("copyright")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_looked_up_with_and_without_usr() {
        let all = spellings(Path::new("/lib/x/libc.so.6"));
        assert!(all.contains(&PathBuf::from("/usr/lib/x/libc.so.6")), "{all:?}");
        assert!(spellings(Path::new("/usr/lib/x")).contains(&PathBuf::from("/lib/x")));
    }

    #[test]
    fn a_version_is_escaped_in_the_url() {
        let text = str::to_owned;
        let package = Package {
            name: text("libstdc++6"),
            version: text("1:2.36-9+deb12u1"),
            architecture: text("amd64"),
            distribution: text("debian"),
        };
        assert_eq!(package.url(), "pkg:deb/debian/libstdc%2B%2B6@1%3A2.36-9%2Bdeb12u1?arch=amd64");
        assert!(package.license().is_some());
    }
}
