//! The tests that need a real Kubernetes: what they need is built or found first, and what cannot be had is said.

use anyhow::Result;

use crate::kubernetes::{self, Nodes, Tier, Version};
use crate::process::command;
use crate::program::program;
use crate::stage::Outcome;
use crate::test::release;
use crate::{earlier, image};

/// The tier with an API server and no node.
pub(crate) fn api_server(version: Version) -> Result<Outcome> {
    let programs = kubernetes::programs(Tier::Api(version))?;
    println!("Kubernetes {}", programs.version);
    program(programs.hand_to(&mut tests()).arg("api"))
}

/// The release from which the cluster's platform is upgraded, where there will be a cluster of our own.
pub(crate) fn build_earlier(packages: &[&str]) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    if !matches!(kubernetes::nodes(), Nodes::Ours) {
        return Ok(outcome);
    }
    match earlier::find() {
        Ok(found) => earlier::build(&found, packages)?,
        Err(why) => outcome.skip(format!("the upgrade from an earlier release: {why:#}")),
    }
    Ok(outcome)
}

/// The tier with a whole cluster: on a node of our own, or in the cluster of `KUBECONFIG`.
pub(crate) fn cluster() -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let mut tests = tests();
    tests.arg("node");
    let programs = match kubernetes::nodes() {
        Nodes::Ours => kubernetes::programs(Tier::Node)?,
        Nodes::Given(kubeconfig) => {
            tests.arg("--given").arg(kubeconfig);
            kubernetes::programs(Tier::Api(Version::Newest))?
        }
        Nodes::Nowhere(why) => {
            outcome.skip(format!("everything: {why}"));
            return Ok(outcome);
        }
    };
    image::pack_all(&release(), "dev", &image::directory())?;
    image::pack_all(&release(), "tutorial", &image::directory().join("tutorial"))?;
    tests.env("RIVMESH_IMAGE_DIR", image::directory());
    if let Ok(earlier) = earlier::find() {
        tests.env("RIVMESH_EARLIER_DIR", earlier.directory());
    }
    program(programs.hand_to(&mut tests))
}

fn tests() -> std::process::Command {
    command(release().join("rivmesh-kubernetes-tests"))
}
