//! What must hold of every image, checked on the binaries that the other tests run.
//!
//! That two whole builds in different directories give one digest is too dear for every run. These are its two
//! halves: packing does not look at where it runs, and a binary does not know where it was built.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::image::oci::{self, Packed};
use crate::image::{IMAGES, Image, LARGEST, LICENSE, Source, bill_path, directory, line};
use crate::process::{root, target};
use crate::stage::Outcome;

/// Packs the binaries of a directory into `target/images` and judges what came out.
pub(crate) fn check(binaries: &Path) -> Result<Outcome> {
    let source = Source::look(None)?;
    let mut outcome = Outcome::default();
    for image in &IMAGES {
        let binary = binaries.join(image.name);
        let (reference, file) = (format!("localhost/{}:dev", image.name), image.tar());
        let packed = source.contents(image, &binary)?.write(&reference, &file)?;
        println!("{}", line(&reference, &packed, &file));
        let checks: [(&str, Result<()>); 4] = [
            ("small", small(&packed)),
            ("complete and well-formed", complete(image, &reference, &packed)),
            ("the same from another directory", packed_again(&source, image, &binary, &packed)),
            ("no path of the checkout", free_of_paths(&binary)),
        ];
        for (what, result) in checks {
            match result {
                Ok(()) => outcome.pass(),
                Err(error) => {
                    let failure = format!("{}: {what}: {error:#}", image.name);
                    println!("FAIL {failure}");
                    outcome.fail(failure);
                }
            }
        }
    }
    Ok(outcome)
}

fn small(packed: &Packed) -> Result<()> {
    ensure!(packed.size < LARGEST, "{} bytes are more than the {LARGEST} that we allow", packed.size);
    Ok(())
}

fn packed_again(source: &Source, image: &Image, binary: &Path, first: &Packed) -> Result<()> {
    let elsewhere = directory().join("packed-again");
    fs::create_dir_all(&elsewhere)?;
    let copy = elsewhere.join(image.name);
    fs::copy(binary, &copy)?;
    let second = source.contents(image, &copy)?.write("localhost/again:1", &elsewhere.join("image.tar"))?;
    fs::remove_dir_all(&elsewhere)?;
    ensure!(first.digest == second.digest, "{} here, {} from a copy of the binary", first.digest, second.digest);
    Ok(())
}

fn complete(image: &Image, reference: &str, packed: &Packed) -> Result<()> {
    let layout = oci::read(&image.tar())?;
    ensure!(layout.reference == reference, "its name is {}", layout.reference);
    ensure!(layout.digest == packed.digest, "its digest is {}", layout.digest);
    let config = &layout.config["config"];
    ensure!(config["User"] == oci::USER, "it runs as {}", config["User"]);
    ensure!(config["Entrypoint"] == json!([format!("/{}", image.name)]), "it starts {}", config["Entrypoint"]);
    for label in ["title", "description", "version", "licenses"] {
        let value = &config["Labels"][format!("org.opencontainers.image.{label}")];
        ensure!(value.as_str().is_some_and(|value| !value.is_empty()), "the label {label} is {value}");
    }
    let file = |path: &str| layout.files.get(path).with_context(|| format!("there is no /{path} in it"));
    ensure!(file(image.name)?.0 == 0o755, "the program cannot be executed");
    ensure!(file(LICENSE)?.1 == fs::read(root().join("LICENSE"))?, "it has another LICENSE");
    let bill: Value = serde_json::from_slice(&file(&bill_path(image.name))?.1).context("its bill is not JSON")?;
    ensure!(bill["bomFormat"] == "CycloneDX", "its bill of materials is something else");
    ensure!(bill["components"].as_array().is_some_and(|all| all.len() > 50), "its bill names too few components");
    Ok(())
}

/// A path of the checkout in a binary would make it another one in another directory, and tells about the machine.
fn free_of_paths(binary: &Path) -> Result<()> {
    let content = fs::read(binary).with_context(|| format!("reading {}", binary.display()))?;
    for path in telling_paths()? {
        if let Some(place) = memchr::memmem::find(&content, path.as_bytes()) {
            let rest = &content[place..(place + 200).min(content.len())];
            let shown: String = rest.iter().map_while(|&b| b.is_ascii_graphic().then_some(b as char)).collect();
            anyhow::bail!("it holds {shown}");
        }
    }
    Ok(())
}

/// Directories that lie in the checkout or in the target directory. Not the checkout itself: a name as short as
/// `/src` stands in many a binary for other reasons.
fn telling_paths() -> Result<Vec<String>> {
    let mut paths = Vec::new();
    for parent in [root(), target()] {
        for entry in fs::read_dir(&parent).with_context(|| format!("reading {}", parent.display()))? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                paths.push(entry.path().display().to_string());
            }
        }
    }
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_in_a_binary_is_found_and_shown() {
        let directory = tempfile::tempdir().unwrap();
        let binary = directory.path().join("binary");
        fs::write(&binary, "\u{1}nothing\u{0}/usr/src/rivmesh").unwrap();
        free_of_paths(&binary).unwrap();
        let path = root().join("xtask/src/image.rs");
        fs::write(&binary, format!("\u{0}{}\u{0}more", path.display())).unwrap();
        let error = free_of_paths(&binary).unwrap_err().to_string();
        assert_eq!(error, format!("it holds {}", path.display()));
    }
}
