//! `cargo xtask image`: an OCI image of each program, without a container engine or a base image.
//!
//! An image holds the program, the shared libraries that it needs, four small files that a C library and a person
//! look for, and its bill of materials. The same code packs any other program that a cluster of tests runs.

mod check;
mod crates;
mod debian;
mod libraries;
mod oci;
mod sbom;
mod tree;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Args;

pub(crate) use check::check;
use crates::Metadata;
use oci::{About, Packed};
use sbom::{Library, Materials};
use tree::Tree;

use crate::process::{self, capture, cargo, command, root, target};

/// A program of ours that is shipped as an image of the same name.
struct Image {
    name: &'static str,
    /// The crate that its binary belongs to.
    package: &'static str,
    description: &'static str,
}

impl Image {
    /// Where it lies unless somebody says otherwise.
    fn tar(&self) -> PathBuf {
        directory().join(format!("{}.tar", self.name))
    }
}

const IMAGES: [Image; 4] = [
    Image {
        name: "rivmesh-operator",
        package: "rivmesh-operator",
        description: "Control plane of a RIV-TA service platform: compiles manifests and serves routing tables",
    },
    Image {
        name: "rivmesh-dataplane",
        package: "rivmesh-dataplane",
        description: "Mutual TLS proxy of a RIV-TA service platform",
    },
    Image {
        name: "rivmesh",
        package: "rivmesh",
        description: "Command line of a RIV-TA service platform: explain, analyze, synthetic calls",
    },
    Image {
        name: "rivmesh-crl-fetcher",
        package: "rivmesh-dataplane",
        description: "Fetches and verifies certificate revocation lists for a RIV-TA service platform",
    },
];

/// What a pod may have to fetch when it starts.
const LARGEST: u64 = 40_000_000;

const LICENSE: &str = "usr/share/licenses/rivmesh/LICENSE";

#[derive(Args)]
pub(crate) struct Options {
    /// Which images, `operator` or `rivmesh-operator`; all when none is named.
    names: Vec<String>,
    /// Cargo's profile: `release` builds in minutes, `dist` is what is shipped.
    #[arg(long, default_value = "release", value_parser = ["release", "dist"])]
    profile: String,
    /// The tag in localhost/NAME:TAG.
    #[arg(long, default_value = "dev")]
    tag: String,
    /// Where NAME.tar and its bill of materials, NAME.cdx.json, are written [default: target/images].
    #[arg(long)]
    out: Option<PathBuf>,
    /// Build for another target, say aarch64-unknown-linux-gnu; needs a linker and C libraries for it.
    #[arg(long, value_name = "TRIPLE")]
    target: Option<String>,
    /// Pack this program, of whatever origin, instead: --out is then a file.
    #[arg(long, hide = true, requires_all = ["reference", "out"], conflicts_with_all = ["names", "target"])]
    program: Option<PathBuf>,
    /// The full name of the image of --program.
    #[arg(long = "name", hide = true, requires = "program")]
    reference: Option<String>,
}

/// Builds and packs; one line for each image.
pub(crate) fn run(options: &Options) -> Result<()> {
    if let (Some(file), Some(reference), Some(out)) = (&options.program, &options.reference, &options.out) {
        let packed = program(file, reference, out)?;
        println!("{}", line(reference, &packed, out));
        return Ok(());
    }
    let chosen = chosen(&options.names)?;
    let mut build = cargo();
    build.args(["build", "--locked", "--bins", "--profile", &options.profile]);
    build.args(packages().flat_map(|package| ["-p", package]));
    build.args(options.target.iter().flat_map(|triple| ["--target", triple]));
    process::run(&mut build)?;

    let source = Source::look(options.target.as_deref())?;
    let binaries = options.target.iter().fold(target(), |path, triple| path.join(triple)).join(&options.profile);
    let out = options.out.as_ref().map_or_else(directory, |out| root().join(out));
    pack(&source, &chosen, &binaries, &options.tag, &out)
}

/// Packs binaries that are built already, as [`run`] does: for the tests that run images.
pub(crate) fn pack_all(binaries: &Path, tag: &str, out: &Path) -> Result<()> {
    pack(&Source::look(None)?, &IMAGES.iter().collect::<Vec<_>>(), binaries, tag, out)
}

fn pack(source: &Source, images: &[&Image], binaries: &Path, tag: &str, out: &Path) -> Result<()> {
    for image in images {
        let contents = source.contents(image, &binaries.join(image.name))?;
        let reference = format!("localhost/{}:{tag}", image.name);
        let file = out.join(format!("{}.tar", image.name));
        let packed = contents.write(&reference, &file)?;
        fs::write(out.join(format!("{}.cdx.json", image.name)), &contents.bill).context("writing its bill")?;
        println!("{}", line(&reference, &packed, &file));
        ensure!(packed.size < LARGEST, "{reference} is larger than the {} MB that we allow", LARGEST / 1_000_000);
    }
    Ok(())
}

/// Where images lie unless somebody says otherwise; the end-to-end tests read it from `RIVMESH_IMAGE_DIR`.
pub(crate) fn directory() -> PathBuf {
    target().join("images")
}

/// The crates whose binaries become images. Always built together: which features a dependency has depends on what is
/// built with it, and so does the digest.
pub(crate) fn packages() -> impl Iterator<Item = &'static str> {
    let mut packages = IMAGES.map(|image| image.package);
    packages.sort_unstable();
    let mut last = "";
    packages.into_iter().filter(move |package| std::mem::replace(&mut last, package) != *package)
}

/// Packs one program, say one of Kubernetes' own, under a full name such as `localhost/pause:1`.
pub(crate) fn program(program: &Path, reference: &str, out: &Path) -> Result<Packed> {
    let name = program.file_name().context("a program has a name")?.to_string_lossy().into_owned();
    let mut tree = base();
    let needs = libraries::needs(program)?;
    add_libraries(&mut tree, &needs)?;
    tree.file(&name, 0o755, read(program)?);
    let labels = BTreeMap::from([("org.opencontainers.image.title", name.clone())]);
    let entrypoint = format!("/{name}");
    let about =
        About { reference: reference.to_owned(), architecture: needs.architecture, entrypoint, labels, created: None };
    oci::write(out, tree.layer()?, &about)
}

fn line(reference: &str, packed: &Packed, file: &Path) -> String {
    let megabytes = packed.size as f64 / 1e6;
    let file = file.strip_prefix(root()).unwrap_or(file).display();
    format!("{reference} {} {megabytes:.1} MB {file}", packed.digest)
}

fn chosen(names: &[String]) -> Result<Vec<&'static Image>> {
    if names.is_empty() {
        return Ok(IMAGES.iter().collect());
    }
    let find = |name: &String| {
        let image = IMAGES.iter().find(|image| image.name == name || image.name == format!("rivmesh-{name}"));
        image.with_context(|| {
            let all = IMAGES.map(|image| image.name).join(", ");
            format!("there is no image {name}; there are {all}")
        })
    };
    names.iter().map(find).collect()
}

/// What every image has: a place to write, a user with a name, and the word that glibc looks into `/etc/hosts` too.
fn base() -> Tree {
    let mut tree = Tree::default();
    tree.directory("tmp", 0o1777);
    tree.file("etc/passwd", 0o644, "nonroot:x:65532:65532::/:/\n");
    tree.file("etc/group", 0o644, "nonroot:x:65532:\n");
    tree.file("etc/nsswitch.conf", 0o644, "hosts: files dns\n");
    tree
}

/// Adds the libraries, and what their packages say about copyright and licence.
fn add_libraries(tree: &mut Tree, needs: &libraries::Needs) -> Result<Vec<Library>> {
    let mut added = Vec::new();
    for (path, file) in &needs.libraries {
        let content = read(file)?;
        let package = debian::owner(file);
        // A slimmed system may have removed it.
        if let Some(copyright) = package.as_ref().map(debian::Package::copyright)
            && let Ok(text) = fs::read(&copyright)
        {
            tree.file(&copyright.to_string_lossy(), 0o644, text);
        }
        added.push(Library { path: path.clone(), sha256: oci::sha256(&content), package });
        tree.file(path, 0o755, content);
    }
    Ok(added)
}

fn read(file: &Path) -> Result<Vec<u8>> {
    fs::read(file).with_context(|| format!("reading {}", file.display()))
}

/// Where the programs come from.
struct Source {
    metadata: Metadata,
    /// The compiler's version.
    rust: String,
    /// The commit, marked when files differ from it; none outside a Git checkout.
    revision: Option<String>,
    /// The commit's time: an image is as old as its source, whenever it was packed.
    created: Option<String>,
}

impl Source {
    fn look(triple: Option<&str>) -> Result<Self> {
        let (status, compiler, err) = capture(command("rustc").arg("-vV"))?;
        ensure!(status.success(), "rustc does not tell its version:\n{err}");
        let field = |name: &str| compiler.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
        let host = field("host: ").context("rustc does not tell its host")?;
        Ok(Self {
            metadata: crates::metadata(triple.unwrap_or(&host))?,
            rust: field("release: ").context("rustc does not tell its release")?,
            revision: revision(),
            created: git(&["show", "--no-patch", "--date=format-local:%Y-%m-%dT%H:%M:%SZ", "--format=%cd", "HEAD"]),
        })
    }

    /// Reads the binary and finds all that goes with it.
    fn contents(&self, image: &Image, binary: &Path) -> Result<Contents> {
        let crates = self.metadata.linked(image.package)?;
        let needs = libraries::needs(binary)?;
        let mut tree = base();
        let libraries = add_libraries(&mut tree, &needs)?;
        let materials =
            Materials { description: image.description, crates: &crates, rust: &self.rust, libraries: &libraries };
        let bill = sbom::document(image.name, &materials)?;
        tree.file(image.name, 0o755, read(binary)?);
        tree.file(&bill_path(image.name), 0o644, bill.clone());
        tree.file(LICENSE, 0o644, read(&root().join("LICENSE"))?);
        let labels = self.labels(image, crates[0].package);
        Ok(Contents {
            name: image.name,
            architecture: needs.architecture,
            tree,
            labels,
            bill,
            created: self.created.clone(),
        })
    }

    fn labels(&self, image: &Image, package: &crates::Package) -> BTreeMap<&'static str, String> {
        let all = [
            ("org.opencontainers.image.title", Some(image.name.to_owned())),
            ("org.opencontainers.image.description", Some(image.description.to_owned())),
            ("org.opencontainers.image.version", Some(package.version.clone())),
            ("org.opencontainers.image.licenses", package.license.clone()),
            ("org.opencontainers.image.source", package.repository.clone()),
            ("org.opencontainers.image.revision", self.revision.clone()),
        ];
        all.into_iter().filter_map(|(label, value)| Some((label, value?))).collect()
    }
}

fn bill_path(name: &str) -> String {
    format!("usr/share/sbom/{name}.cdx.json")
}

fn revision() -> Option<String> {
    let commit = git(&["rev-parse", "HEAD"])?;
    let changed = git(&["status", "--porcelain", "--untracked-files=no"])?;
    Some(if changed.is_empty() { commit } else { format!("{commit}-dirty") })
}

/// What Git answers; none where there is no Git or no checkout.
fn git(arguments: &[&str]) -> Option<String> {
    let (status, out, _) = capture(command("git").env("TZ", "UTC").args(arguments)).ok()?;
    status.success().then(|| out.trim().to_owned())
}

/// An image of ours before it has a name.
struct Contents {
    name: &'static str,
    architecture: &'static str,
    tree: Tree,
    labels: BTreeMap<&'static str, String>,
    bill: String,
    created: Option<String>,
}

impl Contents {
    fn write(&self, reference: &str, out: &Path) -> Result<Packed> {
        let about = About {
            reference: reference.to_owned(),
            architecture: self.architecture,
            entrypoint: format!("/{}", self.name),
            labels: self.labels.clone(),
            created: self.created.clone(),
        };
        oci::write(out, self.tree.layer()?, &about)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_chosen_by_long_and_short_names() {
        let names = |names: &[&str]| {
            let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
            chosen(&names).map(|images| images.iter().map(|image| image.name).collect::<Vec<_>>())
        };
        assert_eq!(
            names(&["operator", "rivmesh-dataplane", "rivmesh"]).unwrap(),
            ["rivmesh-operator", "rivmesh-dataplane", "rivmesh"]
        );
        assert_eq!(names(&[]).unwrap().len(), IMAGES.len());
        let error = names(&["proxy"]).unwrap_err().to_string();
        assert!(error.starts_with("there is no image proxy; there are rivmesh-operator, "), "{error}");
    }

    /// The test binary stands for any program.
    #[test]
    fn any_program_can_be_packed_and_two_packings_are_one_image() {
        let directory = tempfile::tempdir().unwrap();
        let original = std::env::current_exe().unwrap();
        let pack = |place: &str| {
            let copy = directory.path().join(place).join("thing");
            fs::create_dir_all(copy.parent().unwrap()).unwrap();
            fs::copy(&original, &copy).unwrap();
            let out = directory.path().join(format!("{place}.tar"));
            (program(&copy, "localhost/thing:1", &out).unwrap(), out)
        };
        let ((one, file), (two, _)) = (pack("here"), pack("there"));
        assert_eq!(one, two);
        let layout = oci::read(&file).unwrap();
        assert_eq!(layout.files["thing"].0, 0o755);
        for path in ["etc/passwd", "etc/group", "etc/nsswitch.conf"] {
            assert_eq!(layout.files[path].0, 0o644, "{path}");
        }
        assert!(layout.files.keys().any(|path| path.ends_with("/libc.so.6")), "{:?}", layout.files.keys());
    }

    #[test]
    fn packages_are_named_once() {
        let all: Vec<_> = packages().collect();
        assert_eq!(all, ["rivmesh", "rivmesh-dataplane", "rivmesh-operator"]);
    }
}
