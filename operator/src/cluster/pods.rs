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

use super::again::Again;
use crate::ledger::Ledger;

/// The label by which a slice says whose it is.
const SERVICE: &str = "kubernetes.io/service-name";

/// Keeps the ledger informed, for ever.
pub(crate) async fn follow(client: Client, namespace: String, service: String, ledger: Arc<Ledger>) {
    let slices: Api<EndpointSlice> = Api::namespaced(client, &namespace);
    let config = watcher::Config::default().labels(&format!("{SERVICE}={service}"));
    let mut events = watcher(slices, config).backoff(Again::default()).boxed();
    let mut slices = Slices::default();
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => {
                if slices.hear(event) {
                    ledger.set_ready_pods(slices.ready_pods());
                }
            }
            // Tables are served all the same; only nothing is said to be programmed before it is known by whom.
            Err(error) => warn!("the endpoints of {service} cannot be followed: {error}"),
        }
    }
}

/// The slices of the Service, each with its ready pods.
#[derive(Debug, Default)]
struct Slices {
    known: BTreeMap<String, BTreeSet<String>>,
    /// Those of a list that is still being read.
    listed: BTreeMap<String, BTreeSet<String>>,
}

impl Slices {
    /// Takes in an event. True if all is known after it: a list tells something only once it is complete.
    fn hear(&mut self, event: Event<EndpointSlice>) -> bool {
        match event {
            Event::Init => {
                self.listed.clear();
                return false;
            }
            Event::InitApply(slice) => {
                self.listed.insert(name(&slice), ready_pods(&slice));
                return false;
            }
            Event::InitDone => self.known = std::mem::take(&mut self.listed),
            Event::Apply(slice) => drop(self.known.insert(name(&slice), ready_pods(&slice))),
            Event::Delete(slice) => drop(self.known.remove(&name(&slice))),
        }
        true
    }

    fn ready_pods(&self) -> impl Iterator<Item = String> {
        self.known.values().flatten().cloned()
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
    fn nothing_is_known_before_the_first_list_is_complete() {
        let slice = |name: &str, pod: &str| {
            let endpoint = json!({"addresses": ["10.0.0.1"], "targetRef": {"kind": "Pod", "name": pod}});
            let slice = json!({"metadata": {"name": name}, "addressType": "IPv4", "endpoints": [endpoint]});
            serde_json::from_value::<EndpointSlice>(slice).expect("a slice")
        };
        let mut slices = Slices::default();
        assert!(!slices.hear(Event::Init));
        assert!(!slices.hear(Event::InitApply(slice("s", "a"))));
        assert!(!slices.hear(Event::InitApply(slice("t", "b"))));
        assert!(slices.hear(Event::InitDone));
        assert_eq!(slices.ready_pods().collect::<Vec<_>>(), ["a", "b"]);
        assert!(slices.hear(Event::Delete(slice("s", "a"))));
        assert_eq!(slices.ready_pods().collect::<Vec<_>>(), ["b"]);
    }

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
