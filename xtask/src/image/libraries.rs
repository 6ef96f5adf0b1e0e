//! Which shared libraries a program needs, read from the program itself.
//!
//! Not by `ldd`: that runs the system's loader over the program, which says nothing about a program of another
//! architecture. The search is the loader's for programs without a path of their own in them, as ours are.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use object::read::elf::ElfFile64;
use object::{Architecture, Endianness, Object};

/// What an image must hold besides the program.
#[derive(Debug)]
pub(crate) struct Needs {
    /// As OCI names it.
    pub(crate) architecture: &'static str,
    /// Shared libraries, the loader among them, by the path in the image: the file here. Empty for a static program.
    pub(crate) libraries: BTreeMap<String, PathBuf>,
}

/// An architecture that we make images for.
struct Platform {
    oci: &'static str,
    /// Debian's name for it in paths.
    triplet: &'static str,
}

impl Platform {
    fn of(architecture: Architecture) -> Result<Self> {
        match architecture {
            Architecture::X86_64 => Ok(Self { oci: "amd64", triplet: "x86_64-linux-gnu" }),
            Architecture::Aarch64 => Ok(Self { oci: "arm64", triplet: "aarch64-linux-gnu" }),
            other => bail!("images are made for x86-64 and aarch64, not for {other:?}"),
        }
    }

    /// Where a library lies here, and the directory that it goes to in the image.
    fn find(&self, name: &str) -> Option<(PathBuf, String)> {
        let native = [format!("/lib/{}", self.triplet), format!("/usr/lib/{}", self.triplet)];
        let plain = ["/lib64", "/usr/lib64", "/lib", "/usr/lib"].map(str::to_owned);
        let here = native.into_iter().chain(plain).map(|directory| (directory.clone(), directory));
        // Libraries for cross building have no place in the system's own directories.
        let cross = (format!("/usr/{}/lib", self.triplet), "/lib".to_owned());
        here.chain([cross]).find_map(|(directory, place)| {
            let path = Path::new(&directory).join(name);
            let fits = inspect(&path).is_ok_and(|file| Self::of(file.architecture).is_ok_and(|it| it.oci == self.oci));
            fits.then_some((path, place))
        })
    }
}

/// Reads the program and, over all of their own needs, its libraries.
pub(crate) fn needs(program: &Path) -> Result<Needs> {
    let root = inspect(program)?;
    let platform = Platform::of(root.architecture).with_context(|| program.display().to_string())?;
    let mut libraries = BTreeMap::new();
    // The kernel starts the loader by this very path; libraries name it by its file name.
    let loader = root.loader.as_deref();
    let mut wanted = root.needed;
    wanted.extend(loader.map(|path| file_name(path).to_owned()));
    let mut seen = Vec::new();
    while let Some(name) = wanted.pop() {
        if seen.contains(&name) {
            continue;
        }
        let Some((path, directory)) = platform.find(&name) else {
            bail!("{} needs {name}, which is in none of the system's directories", program.display());
        };
        let place = match loader {
            Some(loader) if file_name(loader) == name => loader.to_owned(),
            _ => format!("{directory}/{name}"),
        };
        wanted.extend(inspect(&path)?.needed);
        libraries.insert(place, path);
        seen.push(name);
    }
    Ok(Needs { architecture: platform.oci, libraries })
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// What one file says about itself.
struct Inspected {
    architecture: Architecture,
    /// The libraries that it names (`DT_NEEDED`).
    needed: Vec<String>,
    /// The loader that it asks the kernel for (`PT_INTERP`).
    loader: Option<String>,
}

fn inspect(path: &Path) -> Result<Inspected> {
    let data = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    parse(&data).with_context(|| format!("{} is no program or library for a 64-bit Linux", path.display()))
}

fn parse(data: &[u8]) -> Result<Inspected> {
    use object::elf::{DT_NEEDED, PT_INTERP};
    use object::read::elf::ProgramHeader;

    let file = ElfFile64::<Endianness>::parse(data)?;
    let (endian, text) = (file.endian(), |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned());
    let mut loader = None;
    for segment in file.elf_program_headers() {
        if segment.p_type(endian) == PT_INTERP {
            loader = segment.interpreter(endian, data)?.map(text);
        }
    }
    let mut needed = Vec::new();
    let table = file.elf_dynamic_table()?;
    for entry in table.iter().filter(|entry| entry.tag == DT_NEEDED) {
        needed.push(text(table.string(entry)?));
    }
    Ok(Inspected { architecture: file.architecture(), needed, loader })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The test binary itself: dynamically linked on every machine that builds it with glibc.
    #[test]
    fn a_program_brings_its_libraries_and_its_loader() {
        let needs = needs(&std::env::current_exe().unwrap()).unwrap();
        let names: Vec<_> = needs.libraries.keys().map(|path| file_name(path)).collect();
        assert!(names.contains(&"libc.so.6"), "{names:?}");
        assert!(names.iter().any(|name| name.starts_with("ld-linux")), "{names:?}");
        for (place, file) in &needs.libraries {
            assert!(place.starts_with("/lib") || place.starts_with("/usr/lib"), "{place}");
            assert!(file.exists(), "{}", file.display());
        }
    }

    #[test]
    fn what_is_no_program_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let script = directory.path().join("script");
        fs::write(&script, "#!/bin/sh\n").unwrap();
        let error = format!("{:#}", needs(&script).unwrap_err());
        assert!(error.contains("script is no program or library for a 64-bit Linux"), "{error}");
    }
}
