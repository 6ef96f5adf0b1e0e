//! What becomes of traffic and of changes when Kubernetes itself fails.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::release::{Half, metric_of};
use super::world::World;
use crate::suite::{Case, cases, until};

pub(super) fn cases() -> Vec<Case<World>> {
    cases![the_api_server_is_down, etcd_is_slow]
}

/// Longer than everything takes to find its way back.
const RECOVERY: Duration = Duration::from_secs(60);
/// Pods reach the API server by its Service. When it goes it takes its endpoint away, and kube-proxy, which waits longer and
/// longer between its attempts, may need a minute to learn that it is back: until then they are refused.
const RETURN: Duration = Duration::from_secs(150);

/// The label and the Service by which is seen whether Kubernetes follows its pods.
const FOLLOWED: &str = "followed";

async fn the_api_server_is_down(world: &World) -> Result<()> {
    let operators = world.region.pods(Half::Operator).await?;
    let service = world.cluster.kubectl(&["get", "service", "kubernetes", "-o", "jsonpath={.spec.clusterIP}"])?;
    world.cluster.stop("kube-apiserver")?;
    until("operators see that it is gone", Duration::from_secs(90), async || {
        for pod in &operators {
            let stale = metric_of(pod, "rivmesh_operator_source_stale_seconds", "kind=\"RoutingEntry\"")?;
            ensure!(stale > 30.0, "{stale} s");
        }
        Ok(())
    })
    .await?;
    world.cluster.start("kube-apiserver")?;
    until("pods reach it again", RETURN, async || answers(&service).await).await?;
    world.changes_are_programmed(RECOVERY).await?;
    world.region.until_pods(Half::Operator, operators.len(), RECOVERY).await?;
    pods_are_followed(world).await
}

/// Again and again it stands still for longer than most requests take, while routes are changed.
async fn etcd_is_slow(world: &World) -> Result<()> {
    for _ in 0..4 {
        world.cluster.signal("etcd", "STOP")?;
        // It is the pause that does harm.
        tokio::time::sleep(Duration::from_secs(4)).await;
        world.cluster.signal("etcd", "CONT")?;
        world.changes_are_programmed(RECOVERY).await?;
    }
    pods_are_followed(world).await
}

/// Whether a Service leads anywhere. What is sent before kube-proxy knows of it is lost, and a connection that once began so
/// stays lost, so none is waited for.
async fn answers(service: &str) -> Result<()> {
    let connect = tokio::net::TcpStream::connect((service, 443));
    Ok(tokio::time::timeout(Duration::from_secs(1), connect).await?.map(drop)?)
}

/// Waits until what makes endpoints of pods, and ways of endpoints, has found its way back too. Before that a pod that ends
/// goes on being called, and the next cases would be judged by it.
async fn pods_are_followed(world: &World) -> Result<()> {
    let region = &world.region;
    let pod = region.pod_names(Half::Dataplane).await?.pop().context("there are dataplanes")?;
    // What an earlier case may have left that came to grief here.
    region.kubectl(&["delete", "service", FOLLOWED, "--ignore-not-found"])?;
    region.kubectl(&["label", "pods", "--all", &format!("{FOLLOWED}-")])?;
    let began = Instant::now();
    let (selector, port) = (format!("--selector={FOLLOWED}=yes"), "--target-port=8443");
    region.kubectl(&["expose", "pod", &pod, "--name", FOLLOWED, "--port=443", port, &selector])?;
    region.kubectl(&["label", "pod", &pod, &format!("{FOLLOWED}=yes")])?;
    let address = region.kubectl(&["get", "service", FOLLOWED, "-o", "jsonpath={.spec.clusterIP}"])?;
    until("a changed pod is followed", RETURN, async || answers(&address).await).await?;
    println!("      a changed pod was followed after {:.1?}", began.elapsed());
    region.kubectl(&["label", "pod", &pod, &format!("{FOLLOWED}-")])?;
    region.kubectl(&["delete", "service", FOLLOWED]).map(drop)
}
