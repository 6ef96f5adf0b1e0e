//! A directory of manifests, read once, and the table that it makes: what `explain` asks and `analyze` judges. The
//! reading, the compiling and the table are those of a running platform, so what is said here is what would be so.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use rivmesh_dataplane::config;
use rivmesh_operator::source::directory::Directory;
use rivmesh_operator::source::{Batch, Change, Problem};
use rivmesh_table::{CompileOptions, Compiler, HsaTree, InternalHosts, Object, ObjectId, Switches, Table};

/// How often a directory is read again that changes while it is read.
const ATTEMPTS: u32 = 50;
/// Pause before it is read again.
const PAUSE: Duration = Duration::from_millis(100);

/// What decides beside the manifests.
#[derive(Debug, clap::Args)]
pub(crate) struct Surroundings {
    /// The platform's settings: HSA unit files, internal hosts, look-up switches; without them no host is internal and
    /// both the hierarchy and `*` are searched.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// An HSA unit file beside those of the settings; may be given several times, later ones override
    /// earlier ones.
    #[arg(long, value_name = "FILE")]
    pub hsa_units: Vec<PathBuf>,
}

/// Everything that a directory of manifests holds and makes.
#[derive(Debug)]
pub(crate) struct Catalogue {
    /// The objects that can be used, at least in part.
    pub objects: BTreeMap<ObjectId, Object>,
    /// What cannot be read or used, in manifests and HSA unit files.
    pub problems: Arc<[Problem]>,
    /// The HSA unit files.
    pub hsa_units: Vec<PathBuf>,
    /// The HSA tree, if there are unit files and they can be read.
    pub hsa_tree: Option<HsaTree>,
    /// Hosts that count as internal.
    pub internal: InternalHosts,
    /// How the table is asked where a contract does not say otherwise.
    pub switches: Switches,
    /// Doubtful settings of the platform.
    pub doubts: Vec<String>,
    /// What has judged the objects.
    pub compiler: Compiler,
    /// The table that the objects make.
    pub table: Table,
}

impl Catalogue {
    /// Reads and compiles.
    ///
    /// # Errors
    /// When the directory or the platform's settings cannot be read. A broken manifest is no error but a problem.
    pub(crate) fn read(root: &Path, surroundings: &Surroundings) -> anyhow::Result<Self> {
        let platform = surroundings.config.as_deref().map(config::load).transpose()?;
        let mut hsa_units = platform.as_ref().map(|platform| platform.hsa_units.clone()).unwrap_or_default();
        hsa_units.extend_from_slice(&surroundings.hsa_units);
        let internal = platform.as_ref().map(|platform| platform.upstream.internal.clone()).unwrap_or_default();
        let switches = platform.as_ref().map(config::Platform::switches).unwrap_or_default();
        let doubts = platform.as_ref().map(config::Platform::warnings).unwrap_or_default();

        let batch = read_directory(root, &hsa_units)?;
        let mut compiler = Compiler::new(CompileOptions { internal: internal.clone(), ..CompileOptions::default() });
        let mut objects = BTreeMap::new();
        let mut hsa_tree = None;
        for change in batch.changes {
            match change {
                Change::Upsert(object) => {
                    compiler.upsert(Object::clone(&object));
                    objects.insert(object.id.clone(), *object);
                }
                Change::HsaTree(tree) => {
                    compiler.set_hsa_tree(tree.clone());
                    hsa_tree = Some(tree);
                }
                Change::Remove(id) | Change::Undecodable { id, .. } => {
                    objects.remove(&id);
                }
            }
        }
        let compilation = compiler.compile();
        let mut fetch = |digest| compilation.shards.get(&digest).cloned();
        let table = Table::assemble(&compilation.manifest, None, &mut fetch)
            .context("the compiled table cannot be read; this is a fault of rivmesh, please report it")?;
        let problems = batch.problems;
        Ok(Self { objects, problems, hsa_units, hsa_tree, internal, switches, doubts, compiler, table })
    }

    /// Whether there are HSA unit files that cannot be used.
    pub(crate) fn lacks_hsa_units(&self) -> bool {
        !self.hsa_units.is_empty() && self.hsa_tree.is_none()
    }

    /// Whether a problem is one of the HSA unit files rather than of the manifests.
    pub(crate) fn is_about_hsa_units(&self, problem: &Problem) -> bool {
        let names: Vec<String> = self.hsa_units.iter().map(|path| path.display().to_string()).collect();
        names.contains(&problem.file) || (!names.is_empty() && names.join(", ") == problem.file)
    }
}

/// What a directory holds at a moment at which nothing in it changes.
fn read_directory(root: &Path, hsa_units: &[PathBuf]) -> anyhow::Result<Batch> {
    let metadata = std::fs::metadata(root);
    let metadata = metadata.with_context(|| format!("the manifests in {} cannot be read", root.display()))?;
    ensure!(metadata.is_dir(), "{} is not a directory of manifests", root.display());
    for _ in 0..ATTEMPTS {
        // A fresh look each time: what is wanted is one complete reading, not what changed since another.
        let mut directory = Directory::new(root, hsa_units.to_vec());
        if let Some(batch) = directory.look(Duration::ZERO)
            && directory.due().is_none()
        {
            return Ok(batch);
        }
        if let Some(problem) = directory.obstacle() {
            bail!("{problem}");
        }
        std::thread::sleep(PAUSE);
    }
    bail!("the files in {} do not stop changing: try again when nobody writes them", root.display())
}
