//! A release of the chart in a namespace of its own: the Secrets that it needs, its values, and a look at its pods.

use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::{Pod, Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use rivmesh_crds::{ConditionStatus, ConditionType, Kind, Reason};
use serde_json::{Value, json};

use super::cluster::Cluster;
use crate::suite::until;
use crate::{admin, objects};

/// The name of every release. So long as it begins with the chart's, objects are named after it alone.
const NAME: &str = "rivmesh";
/// The port of the admin pages of both halves.
const ADMIN: u16 = 9901;
/// The port of the consumers' listener in a pod.
const CONSUMERS: u16 = 8443;

/// One of the two halves of the platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Half {
    Operator,
    Dataplane,
}

impl Half {
    /// Its component label, and its container's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Dataplane => "dataplane",
        }
    }
}

/// What a platform shows to others and whom it trusts: files of a PKI.
#[derive(Debug, Clone)]
pub(crate) struct Certificates {
    /// Directory of the PKI.
    pub(crate) pki: PathBuf,
    /// Leaf that consumers see.
    pub(crate) server: &'static str,
    /// Leaf that producers see.
    pub(crate) client: &'static str,
}

/// A release.
pub(crate) struct Release {
    pub(crate) cluster: Rc<Cluster>,
    pub(crate) namespace: &'static str,
    /// The chart's values as they are installed.
    values: RefCell<Value>,
}

impl Release {
    /// Makes the namespace, under the strictest Pod Security, and the Secrets. `values` are added to those that every
    /// release needs.
    pub(crate) async fn prepare(
        cluster: &Rc<Cluster>,
        namespace: &'static str,
        certificates: &Certificates,
        values: Value,
    ) -> Result<Self> {
        let mut all = json!({
            "environment": "test",
            "image": {"tag": "dev", "pullPolicy": "Never"},
            "listeners": {"consumers": {"tls": {
                "secret": "server",
                "clientTrust": {"secret": "consumers"},
                "crls": [{"secret": "consumers", "key": "site.crl"}],
            }}},
            "upstream": {"tls": {"secret": "client", "trust": {"secret": "producers"}}},
            "operator": {"log": "info,rivmesh_operator=debug"},
        });
        merge(&mut all, values);
        let release = Self { cluster: cluster.clone(), namespace, values: RefCell::new(all) };
        cluster.kubectl(&["create", "namespace", namespace])?;
        let level = "pod-security.kubernetes.io/enforce=restricted";
        cluster.kubectl(&["label", "namespace", namespace, level])?;
        let Certificates { pki, server, client } = certificates;
        release.set_identity("server", pki, server).await?;
        release.set_identity("client", pki, client).await?;
        let root = std::fs::read_to_string(pki.join("root.pem"))?;
        let list = std::fs::read_to_string(pki.join("current.crl"))?;
        release.set_secret("consumers", &[("ca.crt", &root), ("site.crl", &list)]).await?;
        release.set_secret("producers", &[("ca.crt", &root)]).await?;
        Ok(release)
    }

    pub(crate) fn client(&self) -> &Client {
        &self.cluster.client
    }

    /// Writes a certificate and its key into a Secret.
    pub(crate) async fn set_identity(&self, secret: &str, pki: &Path, leaf: &str) -> Result<()> {
        let read = |suffix: &str| std::fs::read_to_string(pki.join(format!("{leaf}.{suffix}")));
        self.set("kubernetes.io/tls", secret, &[("tls.crt", &read("crt")?), ("tls.key", &read("key")?)]).await
    }

    /// Writes a Secret.
    pub(crate) async fn set_secret(&self, name: &str, data: &[(&str, &str)]) -> Result<()> {
        self.set("Opaque", name, data).await
    }

    async fn set(&self, kind: &str, name: &str, data: &[(&str, &str)]) -> Result<()> {
        let data: serde_json::Map<_, _> = data.iter().map(|(key, text)| ((*key).to_owned(), json!(text))).collect();
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "type": kind, "metadata": {"name": name}, "stringData": data,
        });
        let secrets: Api<Secret> = Api::namespaced(self.client().clone(), self.namespace);
        secrets.patch(name, &PatchParams::apply("somebody").force(), &Patch::Apply(secret)).await?;
        Ok(())
    }

    /// Installs the chart in `charts`, or upgrades to it, with `values` added to the present ones; waits until all is ready.
    pub(crate) fn upgrade(&self, charts: &Path, values: Value) -> Result<()> {
        merge(&mut self.values.borrow_mut(), values);
        let file = self.cluster.administrator.home.join(format!("{}-values.json", self.namespace));
        std::fs::write(&file, serde_json::to_string_pretty(&*self.values.borrow())?)?;
        let (chart, file) = (charts.join("rivmesh").display().to_string(), file.display().to_string());
        let arguments = ["upgrade", "--install", NAME, &chart, "--namespace", self.namespace, "--values", &file];
        let wait = ["--wait", "--timeout", "180s"];
        let result = self.cluster.administrator.helm(&[&arguments[..], &wait[..]].concat());
        result.map(drop).with_context(|| self.cluster.story(self.namespace))
    }

    /// Where consumers call: an address that this machine reaches.
    pub(crate) async fn consumers(&self) -> Result<SocketAddr> {
        let services: Api<Service> = Api::namespaced(self.client().clone(), self.namespace);
        let service = services.get(&format!("{NAME}-dataplane")).await?;
        let address = service.spec.and_then(|spec| spec.cluster_ip).context("a Service has an address")?;
        Ok(SocketAddr::new(address.parse()?, 443))
    }

    /// The pods to which Kubernetes sends consumers.
    pub(crate) async fn endpoints(&self) -> Result<Vec<IpAddr>> {
        let slices: Api<EndpointSlice> = Api::namespaced(self.client().clone(), self.namespace);
        let selector = format!("kubernetes.io/service-name={NAME}-dataplane");
        let slices = slices.list(&ListParams::default().labels(&selector)).await?;
        let endpoints = slices.into_iter().flat_map(|slice| slice.endpoints);
        let ready =
            endpoints.filter(|endpoint| endpoint.conditions.as_ref().is_none_or(|are| are.ready != Some(false)));
        ready.flat_map(|endpoint| endpoint.addresses).map(|address| Ok(address.parse()?)).collect()
    }

    /// The pods of a half that are not about to end.
    pub(crate) async fn pods(&self, half: Half) -> Result<Vec<Pod>> {
        let pods: Api<Pod> = Api::namespaced(self.client().clone(), self.namespace);
        let selector = format!("app.kubernetes.io/component={}", half.name());
        let mut found = pods.list(&ListParams::default().labels(&selector)).await?.items;
        found.retain(|pod| pod.metadata.deletion_timestamp.is_none());
        Ok(found)
    }

    /// The names of a half's pods.
    pub(crate) async fn pod_names(&self, half: Half) -> Result<Vec<String>> {
        Ok(self.pods(half).await?.iter().map(ResourceExt::name_any).collect())
    }

    /// Waits until a half has this many pods, all of them ready, and no other that is about to end.
    pub(crate) async fn until_pods(&self, half: Half, count: usize, limit: Duration) -> Result<Vec<Pod>> {
        let pods: Api<Pod> = Api::namespaced(self.client().clone(), self.namespace);
        let selector = format!("app.kubernetes.io/component={}", half.name());
        until(&format!("{count} pods of the {}", half.name()), limit, async || {
            let found = pods.list(&ListParams::default().labels(&selector)).await?.items;
            let ready = found.iter().filter(|pod| is_ready(pod)).count();
            ensure!(found.len() == count && ready == count, "there are {}, of which {ready} are ready", found.len());
            Ok(found)
        })
        .await
        .with_context(|| self.cluster.story(self.namespace))
    }

    /// Sends a signal to the first process of a half's container in this pod.
    pub(crate) fn signal(&self, half: Half, pod: &str, signal: &str) -> Result<()> {
        self.cluster.signal(&format!("{}/{pod}/{}", self.namespace, half.name()), signal)
    }

    /// The name of the operator's pod that holds the Lease.
    pub(crate) fn leader(&self) -> Result<String> {
        let lease = format!("{NAME}-operator");
        let holder = self.kubectl(&["get", "lease", &lease, "-o", "jsonpath={.spec.holderIdentity}"])?;
        ensure!(!holder.is_empty(), "nobody leads");
        Ok(holder)
    }

    /// Runs kubectl in the namespace.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        self.cluster.kubectl(&[arguments, &["-n", self.namespace]].concat())
    }

    /// Applies an object.
    pub(crate) async fn apply(&self, object: &Value) -> Result<()> {
        objects::apply(self.client(), self.namespace, object).await.map(drop)
    }

    /// Waits until a condition of an object's present generation is true.
    pub(crate) async fn until_true(&self, kind: Kind, name: &str, which: ConditionType) -> Result<()> {
        let reason = match which {
            ConditionType::Programmed => Reason::Programmed,
            ConditionType::Ready => Reason::Ready,
            ConditionType::Accepted => Reason::Accepted,
            ConditionType::ResolvedRefs => Reason::ResolvedRefs,
        };
        let object = (kind, name);
        objects::until(self.client(), self.namespace, object, which, ConditionStatus::True, reason).await.map(drop)
    }
}

/// The admin port of a pod.
pub(crate) fn admin_of(pod: &Pod) -> Result<SocketAddr> {
    port_of(pod, ADMIN)
}

/// Where a dataplane's pod takes calls.
pub(crate) fn consumers_of(pod: &Pod) -> Result<SocketAddr> {
    port_of(pod, CONSUMERS)
}

fn port_of(pod: &Pod, port: u16) -> Result<SocketAddr> {
    let address = pod.status.as_ref().and_then(|status| status.pod_ip.as_ref());
    Ok(SocketAddr::new(address.with_context(|| format!("{} has no address", pod.name_any()))?.parse()?, port))
}

/// A metric of a pod, summed over its labels.
pub(crate) fn metric_of(pod: &Pod, name: &str, labels: &str) -> Result<f64> {
    admin::metric(admin_of(pod)?, name, labels)
}

/// Whether it takes calls, or serves tables.
pub(crate) fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    pod.metadata.deletion_timestamp.is_none()
        && conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// How often the pod's first container has been started anew.
pub(crate) fn restarts(pod: &Pod) -> i32 {
    let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_deref()).unwrap_or_default();
    statuses.iter().map(|status| status.restart_count).sum()
}

/// When the pod's first container was started, in whole seconds since 1970.
pub(crate) fn started(pod: &Pod) -> Result<i64> {
    let statuses = pod.status.as_ref().and_then(|status| status.container_statuses.as_deref()).unwrap_or_default();
    let running = statuses.first().and_then(|status| status.state.as_ref()?.running.as_ref());
    let started = running.and_then(|running| running.started_at.as_ref()).context("it is not running")?;
    Ok(started.0.as_second())
}

/// As Helm merges values: maps key by key, everything else whole.
fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_merged_key_by_key() {
        let mut values = json!({"a": {"b": 1, "c": [1, 2]}, "d": 4});
        merge(&mut values, json!({"a": {"c": [3]}, "e": {"f": 5}}));
        assert_eq!(values, json!({"a": {"b": 1, "c": [3]}, "d": 4, "e": {"f": 5}}));
    }
}
