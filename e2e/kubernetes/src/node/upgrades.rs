//! Upgrades while calls are made: of each half, of the definitions, and of everything from an earlier release.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rivmesh_crds::{ConditionType, Kind};
use serde_json::{Value, json};

use super::release::{Half, admin_of};
use super::world::{ROUTE, World, install_definitions};
use crate::admin;
use crate::suite::{Case, PATIENCE, cases, until};

pub(super) fn cases() -> Vec<Case<World>> {
    cases![dataplanes_are_upgraded_one_by_one, operators_are_upgraded_one_by_one, definitions_are_upgraded]
}

/// The first case of all: it finds the earlier release at work.
pub(super) fn from_an_earlier_release() -> Case<World> {
    cases![everything_is_upgraded_from_an_earlier_release].remove(0)
}

/// Longer than all pods of a half take to be replaced, one after the other, with their drains.
const ROLL_OUT: Duration = Duration::from_secs(180);

async fn everything_is_upgraded_from_an_earlier_release(world: &World) -> Result<()> {
    let earlier = world.parts.earlier.as_deref().context("the earlier release is installed")?.join("source/charts");
    let before = tables(world).await?;
    install_definitions(&world.cluster, &World::charts())?;
    move_to(world, &World::charts(), "dev").await?;
    // The same objects, in words that the earlier release does not speak.
    until("every dataplane has a table in the newer format", PATIENCE, async || {
        let now = tables(world).await?;
        ensure!(now.is_disjoint(&before) && now.len() == 1, "{before:?} have become {now:?}");
        Ok(())
    })
    .await?;
    world.changes_are_programmed(Duration::from_secs(60)).await?;
    // Somebody has second thoughts, and then again.
    move_to(world, &earlier, "earlier").await?;
    world.changes_are_programmed(Duration::from_secs(60)).await?;
    move_to(world, &World::charts(), "dev").await?;
    world.changes_are_programmed(Duration::from_secs(60)).await
}

/// Upgrades to these charts and images, or goes back to them.
async fn move_to(world: &World, charts: &Path, tag: &str) -> Result<()> {
    world.region.upgrade(charts, json!({"image": {"tag": tag}}))?;
    for half in [Half::Operator, Half::Dataplane] {
        for pod in world.region.until_pods(half, 2, ROLL_OUT).await? {
            let image = &pod.spec.as_ref().context("a pod has a spec")?.containers[0].image;
            ensure!(image.as_deref().is_some_and(|image| image.ends_with(&format!(":{tag}"))), "{image:?} still runs");
        }
    }
    Ok(())
}

/// The digests of the tables that dataplanes use.
async fn tables(world: &World) -> Result<BTreeSet<String>> {
    let pods = world.region.pods(Half::Dataplane).await?;
    let digest = |pod| Ok(admin::status(admin_of(pod)?)?["table"]["digest"].to_string());
    pods.iter().map(digest).collect()
}

async fn dataplanes_are_upgraded_one_by_one(world: &World) -> Result<()> {
    roll_out(world, Half::Dataplane).await
}

async fn operators_are_upgraded_one_by_one(world: &World) -> Result<()> {
    roll_out(world, Half::Operator).await?;
    world.changes_are_programmed(Duration::from_secs(60)).await
}

/// Replaces every pod of a half, as another image would.
async fn roll_out(world: &World, half: Half) -> Result<()> {
    let before = world.region.pod_names(half).await?;
    let annotation = json!({half.name(): {"podAnnotations": {"rivmesh.test/rolled-out": half.name()}}});
    world.region.upgrade(&World::charts(), annotation)?;
    world.region.until_pods(half, before.len(), ROLL_OUT).await?;
    let after = world.region.pod_names(half).await?;
    ensure!(after.iter().all(|pod| !before.contains(pod)), "some were not replaced: {before:?}, then {after:?}");
    Ok(())
}

async fn definitions_are_upgraded(world: &World) -> Result<()> {
    let newer = world.parts.directory.join("newer-charts");
    copy(&World::charts().join("rivmesh-crds"), &newer.join("rivmesh-crds"))?;
    let file = newer.join("rivmesh-crds/files/rivmesh.io_routingentries.yaml");
    let mut definition: Value = serde_saphyr::from_str(&fs::read_to_string(&file)?)?;
    let spec = definition
        .pointer_mut("/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties")
        .context("the definition has a schema")?;
    spec["contactPerson"] = json!({"type": "string", "maxLength": 100, "description": "Of a later version."});
    fs::write(&file, serde_json::to_string_pretty(&definition)?)?;
    install_definitions(&world.cluster, &newer)?;

    // Objects of the later version are served by the operator of today.
    let contact = json!({"spec": {"contactPerson": "somebody"}}).to_string();
    until("the later version is in use", PATIENCE, async || {
        world.region.kubectl(&["patch", "routingentry", ROUTE, "--type=merge", "-p", &contact])?;
        let field = "jsonpath={.spec.contactPerson}";
        let stored = world.region.kubectl(&["get", "routingentry", ROUTE, "-o", field])?;
        ensure!(stored == "somebody", "the field was dropped");
        Ok(())
    })
    .await?;
    world.region.until_true(Kind::RoutingEntry, ROUTE, ConditionType::Programmed).await?;
    install_definitions(&world.cluster, &World::charts())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
