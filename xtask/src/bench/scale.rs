//! `cargo xtask bench --scale`: from `kubectl apply` to the first call routed so, at a hundred objects and at ten thousand
//! with a million rows, on a real API server.
//!
//! The measuring and the report are `rivmesh-kubernetes-tests scale`; here is only what must be there before it can run.

use anyhow::Result;

use crate::kubernetes::{self, Tier, Version};
use crate::process::{self, cargo, command, root, target};

/// Builds, measures, and keeps the report under `record` if there is such a name.
pub(super) fn run(quick: bool, record: Option<&str>) -> Result<()> {
    let programs = kubernetes::programs(Tier::Api(Version::Newest))?;
    let packages = ["rivmesh-operator", "rivmesh-dataplane", "rivmesh-kubernetes-tests"];
    let packages = packages.iter().flat_map(|package| ["--package", package]);
    process::run(cargo().args(["build", "--release"]).args(packages))?;

    let release = target().join("release");
    let report = target().join("bench/scale.md");
    std::fs::create_dir_all(target().join("bench"))?;
    let mut measure = command(release.join("rivmesh-kubernetes-tests"));
    measure.arg("scale").arg("--report").arg(&report).env("RIVMESH_BIN_DIR", &release);
    if quick {
        measure.arg("--quick");
    }
    if let Some(name) = record {
        measure.args(["--record", name]).arg("--record-in").arg(root().join("docs/performance"));
    }
    process::run(programs.hand_to(&mut measure))
}
