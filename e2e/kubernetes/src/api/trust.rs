//! Who may read tables, and how the two halves know each other.

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{Patch, PatchParams};
use rivmesh_e2e::pki::ALLOWED;
use serde_json::json;

use super::processes::Credentials;
use super::world::World;
use crate::objects::{grant, route};
use crate::suite::{Case, PATIENCE, cases, until};

pub(super) fn cases() -> Vec<Case<World>> {
    cases![
        only_the_pods_of_the_right_account_get_tables,
        a_lost_certificate_is_made_anew,
        a_certificate_of_others_is_shown
    ]
}

async fn only_the_pods_of_the_right_account_get_tables(world: &World) -> Result<()> {
    let namespace = world.namespace("tokens").await?;
    let operator = namespace.ready_operator("operator-a").await?;
    let good = Credentials::default();
    let refused = [
        ("of-another-account", Credentials { account: "other", ..good.clone() }),
        ("for-another-audience", Credentials { audience: "somebody-else", ..good.clone() }),
        ("bound-to-no-pod", Credentials { bound: false, ..good.clone() }),
        ("with-another-uid", Credentials { uid: Some("11111111-2222-3333-4444-555555555555"), ..good.clone() }),
        ("of-another-environment", Credentials { environment: "production", ..good.clone() }),
    ];
    for (name, credentials) in refused {
        let dataplane = namespace.dataplane(name, &operator, &credentials).await?;
        let waits = until(&format!("{name} is refused"), PATIENCE, async || {
            let waits = dataplane.waiting_for()?;
            ensure!(waits.contains("table:") && !waits.contains("no table yet"), "{waits}");
            Ok(waits)
        })
        .await?;
        // A stranger is told nothing; one in the wrong environment is told so, since it is one of ours.
        let is_about_environment = name == "of-another-environment";
        ensure!(waits.contains("environments never mix") == is_about_environment, "{name}: {waits}");
    }
    let denied = operator.metric("rivmesh_operator_streams_refused_total", "denied")?;
    ensure!(denied >= 3.0, "{denied} are counted");
    let mut dataplane = namespace.dataplane("good", &operator, &good).await?;
    dataplane.platform.wait_ready()
}

async fn a_lost_certificate_is_made_anew(world: &World) -> Result<()> {
    let namespace = world.namespace("certificates").await?;
    namespace.apply(&grant("grant", ALLOWED)).await?;
    namespace.apply(&route("to-one", &["SE1-A"], &world.url("one"))).await?;
    let mut operator = namespace.ready_operator("operator-a").await?;
    let dataplane = namespace.ready_dataplane("proxy-a", &operator).await?;
    let before = namespace.authority().await?;
    // Somebody empties the Secret. The operator that runs goes on with what it has, and the next one makes a new one.
    let secrets: Api<Secret> = Api::namespaced(world.client.clone(), &namespace.name);
    let emptied = Patch::Merge(json!({"data": null}));
    secrets.patch("rivmesh-operator-tls", &PatchParams::default(), &emptied).await?;
    namespace.apply(&route("to-two", &["SE1-B"], &world.url("two"))).await?;
    namespace.until_ready("to-two").await?;
    operator.platform.kill();
    let operator = namespace.ready_operator("operator-b").await?;
    until("a new authority", PATIENCE, async || {
        ensure!(namespace.authority().await? != before, "the authority is the one before");
        Ok(())
    })
    .await?;
    let other = namespace.ready_dataplane("proxy-b", &operator).await?;
    other.expect_answer_of("two", "SE1-B")?;
    dataplane.expect_answer_of("one", "SE1-A").context("whoever cannot follow goes on")
}

async fn a_certificate_of_others_is_shown(world: &World) -> Result<()> {
    let namespace = world.namespace("files").await?;
    let pki = world.pki.directory();
    let file = |name: &str| pki.join(name).display().to_string();
    let (certificate, key) =
        (format!("--tls-cert={}", file("platform.crt")), format!("--tls-key={}", file("platform.key")));
    let mut operator = namespace.operator("operator-a", &[&certificate, &key])?;
    operator.platform.wait_ready()?;
    let secrets: Api<Secret> = Api::namespaced(world.client.clone(), &namespace.name);
    let secret = secrets.get("rivmesh-operator-tls").await?;
    ensure!(secret.data.is_none(), "the operator keeps a certificate although it was given one");
    let ends = operator.metrics("rivmesh_operator_certificate_expires_in_seconds")?;
    let is_told = matches!(&ends[..], [(labels, seconds)] if labels.contains("\"operator\"") && *seconds > 0.0);
    ensure!(is_told, "nobody would be warned when the certificate that was given ends: {ends:?}");
    Ok(())
}
