//! The autoscaler under load.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, ensure};
use k8s_openapi::api::apps::v1::Deployment;
use kube::{Api, ResourceExt};
use serde_json::json;

use super::release::{Half, metric_of};
use super::world::World;
use crate::suite::{Case, cases, until};
use crate::traffic::Rate;

pub(super) fn cases() -> Vec<Case<World>> {
    cases![the_autoscaler_scales_out_and_in]
}

/// As many pods as the autoscaler may make.
const MOST: usize = 4;
/// More than two small pods should carry.
const BUSY: Rate = Rate { kept: 300, alone: 60 };
/// Less than two of them could.
const QUIET: Rate = Rate { kept: 20, alone: 4 };
/// Each pod's share of the calls, in the mean of all, at the least. Consumers choose pods by chance.
const FAIR: f64 = 0.4;

async fn the_autoscaler_scales_out_and_in(world: &World) -> Result<()> {
    let region = &world.region;
    let autoscaling = json!({
        "minReplicas": 2,
        "maxReplicas": MOST,
        "behavior": {"scaleDown": {
            "stabilizationWindowSeconds": 10,
            "policies": [{"type": "Pods", "value": 2, "periodSeconds": 10}],
        }},
    });
    region.upgrade(&World::charts(), json!({"dataplane": {"autoscaling": autoscaling}}))?;
    world.traffic().set_rate(BUSY);
    let deployments: Api<Deployment> = Api::namespaced(region.client().clone(), region.namespace);
    until("the autoscaler makes all pods that it may", Duration::from_secs(180), async || {
        let deployment = deployments.get("rivmesh-dataplane").await?;
        let ready = deployment.status.and_then(|status| status.ready_replicas).unwrap_or_default();
        ensure!(usize::try_from(ready)? == MOST, "{ready} are ready");
        Ok(())
    })
    .await?;
    let mut before = calls(world).await?;
    until("every pod has a fair share of the calls", Duration::from_secs(90), async || {
        // Long enough for chance to even out.
        tokio::time::sleep(Duration::from_secs(10)).await;
        let now = calls(world).await?;
        let shares = shares(&before, &now);
        before = now;
        println!("      calls of {} pods: {shares:?}", shares.len());
        let mean = shares.iter().sum::<f64>() / shares.len() as f64;
        ensure!(shares.len() == MOST && shares.iter().all(|share| *share >= FAIR * mean), "{shares:?}");
        Ok(())
    })
    .await?;

    world.traffic().set_rate(QUIET);
    region.until_pods(Half::Dataplane, 2, Duration::from_secs(240)).await?;
    // From here on two pods are enough for everybody.
    world.traffic().set_rate(Rate::STEADY);
    region.upgrade(&World::charts(), json!({"dataplane": {"autoscaling": {"maxReplicas": 2}}}))
}

/// How many calls each pod has had.
async fn calls(world: &World) -> Result<BTreeMap<String, f64>> {
    let pods = world.region.pods(Half::Dataplane).await?;
    pods.iter().map(|pod| Ok((pod.name_any(), metric_of(pod, "rivmesh_calls_total", "")?))).collect()
}

/// What each pod has had since.
fn shares(before: &BTreeMap<String, f64>, now: &BTreeMap<String, f64>) -> Vec<f64> {
    now.iter().map(|(pod, calls)| calls - before.get(pod).copied().unwrap_or_default()).collect()
}
