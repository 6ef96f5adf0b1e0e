//! The tests that need a real Kubernetes: what they need is built or found first, and what cannot be had is said.

use anyhow::Result;

use crate::image;
use crate::kubernetes::{self, Nodes, Tier, Version};
use crate::process::command;
use crate::program::program;
use crate::stage::Outcome;
use crate::test::release;

/// The tier with an API server and no node.
pub(crate) fn api_server(version: Version) -> Result<Outcome> {
    let programs = kubernetes::programs(Tier::Api(version))?;
    println!("Kubernetes {}", programs.version);
    program(programs.hand_to(&mut tests()).arg("api"))
}

/// The tier with a whole cluster: on a node of our own, or in the cluster of `KUBECONFIG`.
pub(crate) fn cluster() -> Result<Outcome> {
    let mut outcome = Outcome::default();
    let mut tests = tests();
    let programs = match kubernetes::nodes() {
        Nodes::Ours => kubernetes::programs(Tier::Node)?,
        Nodes::Given(kubeconfig) => {
            println!("in the cluster of KUBECONFIG={}", kubeconfig.display());
            tests.arg("--given");
            kubernetes::programs(Tier::Api(Version::Newest))?
        }
        Nodes::Nowhere(why) => {
            outcome.skip(format!("everything: {why}"));
            return Ok(outcome);
        }
    };
    image::pack_all(&release())?;
    tests.env("RIVMESH_IMAGE_DIR", image::directory());
    program(programs.hand_to(&mut tests).arg("node"))
}

fn tests() -> std::process::Command {
    command(release().join("rivmesh-kubernetes-tests"))
}
