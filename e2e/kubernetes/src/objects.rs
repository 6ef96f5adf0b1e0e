//! Objects as people write them, and what their status says.

use anyhow::{Context, Result, ensure};
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::{Api, Client};
use rivmesh_crds::{API_VERSION, Condition, ConditionStatus, ConditionType, Kind, Reason, Status};
use serde_json::{Value, json};

use crate::suite::{self, PATIENCE};

/// The contract of all tests.
pub(crate) const CONTRACT: &str = "urn:riv:test:kubernetes:GetThingResponder:1";

/// The field manager of somebody who applies manifests.
const MANAGER: &str = "somebody";

/// A route for these addresses to one endpoint.
pub(crate) fn route(name: &str, addresses: &[&str], url: &str) -> Value {
    let spec = json!({
        "serviceContracts": [CONTRACT],
        "logicalAddresses": addresses,
        "producer": {"profile": "rivtabp21", "endpoints": [{"url": url}]},
    });
    object(Kind::RoutingEntry, name, &spec)
}

/// A grant for this consumer at every address.
pub(crate) fn grant(name: &str, consumer: &str) -> Value {
    let spec = json!({"consumers": [consumer], "serviceContracts": [CONTRACT], "logicalAddresses": ["*"]});
    object(Kind::CallAuthorization, name, &spec)
}

/// The settings of a contract.
pub(crate) fn contract(name: &str, urn: &str) -> Value {
    object(Kind::ServiceContract, name, &json!({"urn": urn}))
}

pub(crate) fn object(kind: Kind, name: &str, spec: &Value) -> Value {
    json!({"apiVersion": API_VERSION, "kind": kind.as_str(), "metadata": {"name": name}, "spec": spec})
}

/// The objects of a kind in a namespace.
pub(crate) fn api(client: &Client, namespace: &str, kind: Kind) -> Api<DynamicObject> {
    let resource = kube::api::ApiResource {
        group: rivmesh_crds::GROUP.to_owned(),
        version: rivmesh_crds::VERSION.to_owned(),
        api_version: API_VERSION.to_owned(),
        kind: kind.as_str().to_owned(),
        plural: kind.plural().to_owned(),
    };
    Api::namespaced_with(client.clone(), namespace, &resource)
}

/// Applies an object, as `kubectl apply --server-side` does.
pub(crate) async fn apply(client: &Client, namespace: &str, object: &Value) -> Result<DynamicObject> {
    let kind: Kind = object["kind"].as_str().context("an object has a kind")?.parse()?;
    let name = object["metadata"]["name"].as_str().context("an object has a name")?;
    let params = PatchParams::apply(MANAGER).force();
    Ok(api(client, namespace, kind).patch(name, &params, &Patch::Apply(object)).await?)
}

/// An object's status.
pub(crate) async fn status(client: &Client, namespace: &str, kind: Kind, name: &str) -> Result<Status> {
    let object = api(client, namespace, kind).get(name).await?;
    let status = object.data.get("status").with_context(|| format!("{name} has no status"))?;
    Ok(serde_json::from_value(status.clone())?)
}

/// A condition of an object, if it is about its present generation.
pub(crate) async fn condition(
    client: &Client,
    namespace: &str,
    kind: Kind,
    name: &str,
    which: ConditionType,
) -> Result<Condition> {
    let object = api(client, namespace, kind).get(name).await?;
    let status = object.data.get("status").with_context(|| format!("{name} has no status"))?;
    let status: Status = serde_json::from_value(status.clone())?;
    let condition = status.conditions.into_iter().find(|condition| condition.is(which));
    let condition = condition.with_context(|| format!("{name} has no condition {which:?}"))?;
    ensure!(condition.observed_generation == object.metadata.generation, "{name} was judged in an older generation");
    Ok(condition)
}

/// Waits until a condition of an object's present generation is so, for this reason; its message.
pub(crate) async fn until(
    client: &Client,
    namespace: &str,
    (kind, name): (Kind, &str),
    which: ConditionType,
    status: ConditionStatus,
    reason: Reason,
) -> Result<String> {
    suite::until(&format!("{name}: {which:?} {status:?} {reason}"), PATIENCE, async || {
        let found = condition(client, namespace, kind, name, which).await?;
        ensure!(
            found.status == status && found.reason == reason.as_str(),
            "{name} is {:?} for reason {}: {}",
            found.status,
            found.reason,
            found.message
        );
        Ok(found.message)
    })
    .await
}
