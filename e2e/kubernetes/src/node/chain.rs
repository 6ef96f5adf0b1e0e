//! The chain of the specification, over two clusters: a regional platform's default route is the national platform, which
//! finds the next regional platform by the HSA hierarchy, which routes to the producer.

use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rivmesh_crds::{ConditionType, Kind};
use rivmesh_e2e::pki::ALLOWED;
use serde_json::json;

use super::cluster::{Cluster, FIRST, SECOND};
use super::release::{Certificates, Release};
use super::world::{Parts, SERVER, World, install_definitions};
use crate::objects::{grant, route};
use crate::suite::{Case, cases, until};
use crate::traffic::{Call, call_once};

pub(super) fn cases() -> Vec<Case<World>> {
    cases![a_call_goes_through_three_platforms_of_two_clusters]
}

/// The region's own id, as in its certificate.
const REGION: &str = "SE2321000016-A1B2";
const NATIONAL: &str = "SE2321000016-NTJP";
const NEIGHBOUR: &str = "SE2329990001-TP01";

/// The unit that the whole neighbour region is, a clinic far below it, and another unit of it.
const NEIGHBOUR_UNIT: &str = "SE2329990001-E001";
const CLINIC: &str = "SE2329990001-E110";
const OTHER_UNIT: &str = "SE2329990001-E200";

const NATIONAL_PORT: u16 = 30443;
const NEIGHBOUR_PORT: u16 = 30444;

async fn a_call_goes_through_three_platforms_of_two_clusters(world: &World) -> Result<()> {
    let second = Rc::new(Cluster::up(SECOND, &world.parts.programs, &world.parts.directory).await?);
    second.load(&Parts::images_of(&world.parts.images)?)?;
    world.cluster.join(&second)?;
    install_definitions(&second, &World::charts())?;

    let national = platform(world, &second, "national", NATIONAL, NATIONAL_PORT, &[REGION, NEIGHBOUR]).await?;
    let units = World::charts().join("../examples/quickstart/hsaunits.xml");
    national.kubectl(&["create", "configmap", "hsa-units", &format!("--from-file={}", units.display())])?;
    national.upgrade(&World::charts(), json!({"hsaUnits": [{"configMap": "hsa-units", "key": "hsaunits.xml"}]}))?;
    // One release of a cluster makes the roles of TAK administrators.
    let neighbour = platform(world, &world.cluster, "neighbour", NEIGHBOUR, NEIGHBOUR_PORT, &[NATIONAL]).await?;
    neighbour.upgrade(&World::charts(), json!({"rbac": {"takRoles": {"create": false}}}))?;

    let national_url = format!("https://{}:{NATIONAL_PORT}/", SECOND.node());
    let neighbour_url = format!("https://{}:{NEIGHBOUR_PORT}/", FIRST.node());
    world.region.apply(&route("to-the-national-platform", &["*"], &national_url)).await?;
    national.apply(&route("to-the-neighbour", &[NEIGHBOUR_UNIT], &neighbour_url)).await?;
    neighbour.apply(&route("to-the-producer", &[CLINIC], &world.two.url("/clinic"))).await?;
    // A mistake that two administrators make together: each sends to the other what it does not know.
    neighbour.apply(&route("everything-else", &["*"], &national_url)).await?;
    // Authorisation is of the party that connects, on each platform.
    national.apply(&grant("region", REGION)).await?;
    national.apply(&grant("neighbour", NEIGHBOUR)).await?;
    neighbour.apply(&grant("national", NATIONAL)).await?;
    let routes = [
        (&world.region, "to-the-national-platform"),
        (&national, "to-the-neighbour"),
        (&neighbour, "to-the-producer"),
        (&neighbour, "everything-else"),
    ];
    for (release, name) in routes {
        release.until_true(Kind::RoutingEntry, name, ConditionType::Programmed).await?;
    }
    for (release, name) in [(&national, "region"), (&national, "neighbour"), (&neighbour, "national")] {
        release.until_true(Kind::CallAuthorization, name, ConditionType::Programmed).await?;
    }

    let (target, consumer) = (world.region.consumers().await?, world.consumer()?);
    let call = |address: &str| Call { address: address.to_owned(), expected: vec!["two"] };
    // A new NodePort takes kube-proxy a moment.
    let answered = until("the call arrives", Duration::from_secs(30), async || {
        let outcome = call_once(target, &consumer, &call(CLINIC), 1, None).await;
        outcome.map_err(|failure| anyhow::anyhow!("{}", failure.what))
    })
    .await?;
    let told = |header: &str, value: &str| {
        let text = &answered.text;
        ensure!(text.contains(&format!("<{header}>{value}</{header}>")), "not {header} {value}: {text}");
        Ok(())
    };
    told("x-rivta-routing-history", &format!("{ALLOWED}#{REGION}#{NATIONAL}#{NEIGHBOUR}"))?;
    told("x-rivta-original-serviceconsumer-hsaid", ALLOWED)?;

    let refused = call_once(target, &consumer, &call(OTHER_UNIT), 2, None).await;
    let refused = refused.err().context("a call that goes in circles is answered")?;
    ensure!(refused.what.contains("VP014 [national]"), "{}", refused.what);
    Ok(())
}

/// Prepares a small platform; whoever calls installs it by an upgrade.
async fn platform(
    world: &World,
    cluster: &Rc<Cluster>,
    name: &'static str,
    hsa_id: &'static str,
    port: u16,
    trusted: &[&str],
) -> Result<Release> {
    world.pki.issue_client(name, hsa_id)?;
    let certificates = Certificates { pki: world.pki.directory().to_owned(), server: SERVER, client: name };
    let values = json!({
        "platform": {"hsaId": hsa_id, "name": name, "trustedPlatforms": trusted},
        "listeners": {"consumers": {"service": {"nodePort": port}}},
        "operator": {"replicas": 1, "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}}},
        "dataplane": {
            "service": {"type": "NodePort"},
            "autoscaling": {"enabled": false},
            "replicas": 1,
            "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
        },
    });
    Release::prepare(cluster, name, &certificates, values).await
}
