//! Which dataplane pods take calls: the ready endpoints of their Service. What the cluster sends calls to is the truth
//! here, and no opinion of the operator's own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::StreamExt;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::runtime::watcher::{self, Event, watcher};
use kube::runtime::{WatchStreamExt, reflector::Lookup};
use kube::{Api, Client};
use tracing::warn;

use crate::ledger::Ledger;

/// The label by which a slice says whose it is.
const SERVICE: &str = "kubernetes.io/service-name";

/// Keeps the ledger informed, for ever.
pub(crate) async fn follow(client: Client, namespace: String, service: String, ledger: Arc<Ledger>) {
    let slices: Api<EndpointSlice> = Api::namespaced(client, &namespace);
    let config = watcher::Config::default().labels(&format!("{SERVICE}={service}"));
    let mut events = watcher(slices, config).default_backoff().boxed();
    let mut ready: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut listed = BTreeMap::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => listed.clear(),
            Ok(Event::InitApply(slice)) => drop(listed.insert(name(&slice), ready_pods(&slice))),
            Ok(Event::InitDone) => ready = std::mem::take(&mut listed),
            Ok(Event::Apply(slice)) => drop(ready.insert(name(&slice), ready_pods(&slice))),
            Ok(Event::Delete(slice)) => drop(ready.remove(&name(&slice))),
            Err(error) => {
                warn!("the endpoints of {service} cannot be followed: {error}");
                continue;
            }
        }
        ledger.set_ready_pods(ready.values().flatten().cloned());
    }
}

fn name(slice: &EndpointSlice) -> String {
    slice.name().unwrap_or_default().into_owned()
}

fn ready_pods(slice: &EndpointSlice) -> BTreeSet<String> {
    let pod = |endpoint: &k8s_openapi::api::discovery::v1::Endpoint| {
        // Without a word an endpoint counts as ready, by the API's own rule.
        let is_ready = endpoint.conditions.as_ref().and_then(|conditions| conditions.ready).unwrap_or(true);
        let target = endpoint.target_ref.as_ref().filter(|target| target.kind.as_deref() == Some("Pod"))?;
        target.name.clone().filter(|_| is_ready)
    };
    slice.endpoints.iter().filter_map(pod).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ready_endpoints_that_are_pods_count() {
        let endpoint = |name: &str, kind: &str, ready: Option<bool>| json!({"addresses": ["10.0.0.1"], "conditions": {"ready": ready}, "targetRef": {"kind": kind, "name": name}});
        let slice = json!({
            "metadata": {"name": "s"}, "addressType": "IPv4",
            "endpoints": [
                endpoint("ready", "Pod", Some(true)),
                endpoint("silent-about-it", "Pod", None),
                endpoint("starting", "Pod", Some(false)),
                endpoint("elsewhere", "Node", Some(true)),
                {"addresses": ["10.0.0.2"]},
            ],
        });
        let slice = serde_json::from_value(slice).expect("a slice");
        assert_eq!(ready_pods(&slice).into_iter().collect::<Vec<_>>(), ["ready", "silent-about-it"]);
    }
}
