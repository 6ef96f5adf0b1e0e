//! An OCI image layout in a tar archive, written and read back.
//!
//! <https://github.com/opencontainers/image-spec>: `oci-layout`, `index.json`, and blobs named by their digest. The
//! layer is not compressed, so that its digest and its diff ID are one and no compressor's version shows in it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tar::{Archive, Builder, EntryType};

use crate::image::tree::append;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Who the program runs as; a number, so that `runAsNonRoot` can be checked without reading the image.
pub(crate) const USER: &str = "65532:65532";

/// What an image says about itself.
#[derive(Debug)]
pub(crate) struct About {
    /// The full name, `localhost/rivmesh:dev`. A container runtime puts its default registry before a name without a
    /// host part.
    pub(crate) reference: String,
    /// `amd64` or `arm64`.
    pub(crate) architecture: &'static str,
    pub(crate) entrypoint: String,
    /// Labels, and annotations of the manifest.
    pub(crate) labels: BTreeMap<&'static str, String>,
    /// RFC 3339.
    pub(crate) created: Option<String>,
}

/// An image that was written.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Packed {
    /// Of the manifest, `sha256:...`: the image's identity.
    pub(crate) digest: String,
    /// Bytes of the archive.
    pub(crate) size: u64,
}

/// Writes the archive; whoever looks at `out` sees the whole of it or none.
pub(crate) fn write(out: &Path, layer: Vec<u8>, about: &About) -> Result<Packed> {
    let mut blobs = Blobs::default();
    let layer = blobs.put(LAYER, layer);
    let mut config = json!({
        "architecture": about.architecture,
        "os": "linux",
        "config": {
            "Entrypoint": [about.entrypoint],
            "User": USER,
            "WorkingDir": "/",
            "Env": ["PATH=/"],
            "Labels": about.labels,
        },
        "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]},
    });
    if let Some(created) = &about.created {
        config["created"] = json!(created);
    }
    let config = blobs.put(CONFIG, config.to_string());
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config,
        "layers": [layer],
        "annotations": about.labels,
    });
    let mut manifest = blobs.put(MANIFEST, manifest.to_string());
    let digest = text(&manifest, "digest")?.to_owned();
    // containerd takes the image's full name from an annotation of its own.
    manifest["annotations"] =
        json!({"io.containerd.image.name": about.reference, "org.opencontainers.image.ref.name": about.reference});
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [manifest]});

    if let Some(directory) = out.parent() {
        fs::create_dir_all(directory).with_context(|| format!("creating {}", directory.display()))?;
    }
    let unfinished = out.with_extension(format!("{}.part", std::process::id()));
    let context = || format!("writing {}", unfinished.display());
    blobs.archive(&index.to_string(), &unfinished).with_context(context)?;
    let size = fs::metadata(&unfinished).with_context(context)?.len();
    fs::rename(&unfinished, out).with_context(|| format!("writing {}", out.display()))?;
    Ok(Packed { digest, size })
}

#[derive(Default)]
struct Blobs(BTreeMap<String, Vec<u8>>);

impl Blobs {
    /// Takes in a blob and returns its descriptor.
    fn put(&mut self, media_type: &str, content: impl Into<Vec<u8>>) -> Value {
        let content = content.into();
        let digest = sha256(&content);
        let descriptor = json!({"mediaType": media_type, "digest": format!("sha256:{digest}"), "size": content.len()});
        self.0.insert(digest, content);
        descriptor
    }

    fn archive(&self, index: &str, out: &Path) -> Result<()> {
        let mut archive = Builder::new(File::create(out)?);
        let layout = json!({"imageLayoutVersion": "1.0.0"}).to_string();
        append(&mut archive, EntryType::Regular, "oci-layout", 0o644, layout.as_bytes())?;
        append(&mut archive, EntryType::Regular, "index.json", 0o644, index.as_bytes())?;
        for directory in ["blobs/", "blobs/sha256/"] {
            append(&mut archive, EntryType::Directory, directory, 0o755, &[])?;
        }
        for (digest, content) in &self.0 {
            append(&mut archive, EntryType::Regular, &format!("blobs/sha256/{digest}"), 0o644, content)?;
        }
        archive.into_inner()?.sync_all()?;
        Ok(())
    }
}

/// In hexadecimal.
pub(crate) fn sha256(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An archive that was read, every digest and size in it verified.
#[derive(Debug)]
pub(crate) struct Layout {
    pub(crate) reference: String,
    /// Of the manifest.
    pub(crate) digest: String,
    /// The configuration, with entrypoint, user and labels below `config`.
    pub(crate) config: Value,
    /// The files of the layer by path, with their modes. Directories are not among them.
    pub(crate) files: BTreeMap<String, (u32, Vec<u8>)>,
}

/// Reads an archive of one image with one layer, as [`write`] makes it.
pub(crate) fn read(path: &Path) -> Result<Layout> {
    let content = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    parse(&content).with_context(|| format!("{} is not an image that a container runtime would take", path.display()))
}

fn parse(content: &[u8]) -> Result<Layout> {
    let entries = files(content)?;
    let entry = |name: &str| -> Result<&Vec<u8>> {
        let (_, content) = entries.get(name).with_context(|| format!("there is no {name}"))?;
        Ok(content)
    };
    let json = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).context("not JSON");
    ensure!(json(entry("oci-layout")?)?["imageLayoutVersion"] == "1.0.0", "oci-layout has another version");
    let blob = |descriptor: &Value, media_type: &str| -> Result<&Vec<u8>> {
        ensure!(descriptor["mediaType"] == media_type, "expected a {media_type}: {descriptor}");
        let digest = text(descriptor, "digest")?;
        let Some(name) = digest.strip_prefix("sha256:") else { bail!("{digest} is not a SHA-256 digest") };
        let content = entry(&format!("blobs/sha256/{name}"))?;
        ensure!(sha256(content) == name, "{digest} names other content");
        ensure!(descriptor["size"] == content.len(), "{digest} has another size");
        Ok(content)
    };
    let index = json(entry("index.json")?)?;
    let [manifest] = list(&index, "manifests")? else { bail!("index.json does not list one image") };
    let reference = text(&manifest["annotations"], "org.opencontainers.image.ref.name")?.to_owned();
    let digest = text(manifest, "digest")?.to_owned();
    let manifest = json(blob(manifest, MANIFEST)?)?;
    let config = json(blob(&manifest["config"], CONFIG)?)?;
    let [layer] = list(&manifest, "layers")? else { bail!("the manifest does not list one layer") };
    ensure!(config["rootfs"]["diff_ids"] == json!([layer["digest"]]), "the layer's diff ID is not its digest");
    Ok(Layout { reference, digest, config, files: files(blob(layer, LAYER)?)? })
}

fn text<'v>(value: &'v Value, name: &str) -> Result<&'v str> {
    value[name].as_str().with_context(|| format!("there is no {name} in {value}"))
}

fn list<'v>(value: &'v Value, name: &str) -> Result<&'v [Value]> {
    Ok(value[name].as_array().with_context(|| format!("there is no list {name} in {value}"))?)
}

fn files(archive: &[u8]) -> Result<BTreeMap<String, (u32, Vec<u8>)>> {
    let mut files = BTreeMap::new();
    for entry in Archive::new(archive).entries()? {
        let mut entry = entry?;
        if entry.header().entry_type() != EntryType::Regular {
            continue;
        }
        let path = entry.path()?.display().to_string();
        let mut content = Vec::new();
        entry.read_to_end(&mut content)?;
        files.insert(path, (entry.header().mode()?, content));
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::tree::Tree;

    fn about() -> About {
        About {
            reference: "localhost/thing:1".to_owned(),
            architecture: "amd64",
            entrypoint: "/thing".to_owned(),
            labels: BTreeMap::from([("org.opencontainers.image.title", "thing".to_owned())]),
            created: None,
        }
    }

    fn layer() -> Vec<u8> {
        let mut tree = Tree::default();
        tree.file("thing", 0o755, "a program");
        tree.layer().unwrap()
    }

    #[test]
    fn what_is_written_is_read_back() {
        let directory = tempfile::tempdir().unwrap();
        let out = directory.path().join("deep/thing.tar");
        let packed = write(&out, layer(), &about()).unwrap();
        assert_eq!(packed.size, fs::metadata(&out).unwrap().len());
        let layout = read(&out).unwrap();
        assert_eq!(layout.digest, packed.digest);
        assert_eq!(layout.reference, "localhost/thing:1");
        assert_eq!(layout.config["config"]["Entrypoint"], json!(["/thing"]));
        assert_eq!(layout.config["config"]["User"], USER);
        assert_eq!(layout.config["config"]["Labels"]["org.opencontainers.image.title"], "thing");
        assert_eq!(layout.files["thing"], (0o755, b"a program".to_vec()));
        let left: Vec<_> = fs::read_dir(out.parent().unwrap()).unwrap().collect();
        assert_eq!(left.len(), 1, "only the finished file: {left:?}");
    }

    /// The bytes of an image do not depend on where, when or how often it is written.
    #[test]
    fn the_same_image_has_the_same_bytes() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (one, two) = (one.path().join("a.tar"), two.path().join("b.tar"));
        assert_eq!(write(&one, layer(), &about()).unwrap(), write(&two, layer(), &about()).unwrap());
        assert_eq!(fs::read(&one).unwrap(), fs::read(&two).unwrap());
        let other = About { entrypoint: "/other".to_owned(), ..about() };
        assert_ne!(write(&one, layer(), &about()).unwrap().digest, write(&one, layer(), &other).unwrap().digest);
    }

    /// Another tag is the same image under another name.
    #[test]
    fn the_name_is_no_part_of_the_identity() {
        let directory = tempfile::tempdir().unwrap();
        let out = directory.path().join("a.tar");
        let other = About { reference: "localhost/thing:2".to_owned(), ..about() };
        assert_eq!(write(&out, layer(), &about()).unwrap().digest, write(&out, layer(), &other).unwrap().digest);
    }

    #[test]
    fn damage_is_seen() {
        let directory = tempfile::tempdir().unwrap();
        let out = directory.path().join("a.tar");
        write(&out, layer(), &about()).unwrap();
        let good = fs::read(&out).unwrap();
        let place = good.windows(9).position(|window| window == b"a program").unwrap();
        let mut bad = good;
        bad[place] = b'A';
        fs::write(&out, bad).unwrap();
        let error = format!("{:#}", read(&out).unwrap_err());
        assert!(error.contains("a.tar is not an image") && error.contains("names other content"), "{error}");
    }
}
