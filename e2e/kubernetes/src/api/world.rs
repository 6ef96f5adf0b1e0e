//! What the cases share: one API server, certificates, two producers, and namespaces in which an operator may live.

use std::path::{Path, PathBuf};

use anyhow::Result;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace as NamespaceObject, Secret, ServiceAccount};
use kube::api::PostParams;
use kube::{Api, Client};
use rivmesh_crds::{ConditionStatus, ConditionType, Kind, Reason, Status};
use rivmesh_e2e::content::Content;
use rivmesh_e2e::pki::Pki;
use rivmesh_e2e::platform::binary;
use rivmesh_e2e::producer::{Listening, Producer};
use rivmesh_e2e::script::{Answer, Script};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::api_server::ApiServer;
use crate::command::Administrator;
use crate::objects;

/// The account of dataplanes.
pub(crate) const ACCOUNT: &str = "proxy";

/// What the cases share.
pub(crate) struct World {
    pub(crate) server: Mutex<ApiServer>,
    pub(crate) client: Client,
    pub(crate) pki: Pki,
    pub(crate) directory: PathBuf,
    pub(crate) administrator: Administrator,
    /// Producers that answer with their names.
    producers: [(&'static str, Producer); 2],
}

impl World {
    pub(crate) async fn start(programs: &Path) -> Result<Self> {
        let server = ApiServer::start(programs).await?;
        let directory = server.directory().to_owned();
        let pki = Pki::create(&directory.join("pki"))?;
        let producer = |name: &'static str| -> Result<(&'static str, Producer)> {
            let listening = Listening { certificate: Some("producer".to_owned()), ..Listening::default() };
            let producer = Producer::start(pki.directory(), &listening)?;
            producer.set_script(Script::Always(Box::new(Answer { body: answer(name), ..Answer::default() })));
            Ok((name, producer))
        };
        let producers = [producer("one")?, producer("two")?];
        let world = Self {
            client: server.client().await?,
            administrator: Administrator {
                programs: programs.to_owned(),
                kubeconfig: server.kubeconfig(),
                // kubectl keeps what it discovers below it.
                home: directory.clone(),
            },
            pki,
            directory,
            producers,
            server: Mutex::new(server),
        };
        let definitions = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crds/yaml");
        world.kubectl(&["apply", "--server-side", "-f", &definitions.display().to_string()])?;
        world.kubectl(&["wait", "--for=condition=Established", "--timeout=30s", "crd", "--all"])?;
        // What kubectl remembers of the server is from before there were definitions.
        std::fs::remove_dir_all(world.directory.join(".kube"))?;
        Ok(world)
    }

    /// Runs kubectl as the administrator; what it prints.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        self.administrator.kubectl(arguments)
    }

    /// Runs `kubectl rivmesh` as the administrator, with our command as the plugin; its exit code, and what it prints.
    pub(crate) fn plugin(&self, arguments: &[&str]) -> Result<(Option<i32>, String)> {
        self.administrator.plugin(&binary("rivmesh")?, arguments)
    }

    /// The URL of a producer, which answers calls with its name.
    pub(crate) fn url(&self, producer: &str) -> String {
        let (_, found) = self.producers.iter().find(|(name, _)| *name == producer).expect("there are one and two");
        format!("https://localhost:{}/thing", found.address().port())
    }

    /// A new namespace with what the chart makes before an operator starts.
    pub(crate) async fn namespace(&self, name: &str) -> Result<Namespace<'_>> {
        let post = PostParams::default();
        let client = &self.client;
        let made: NamespaceObject = serde_json::from_value(json!({"metadata": {"name": name}}))?;
        Api::<NamespaceObject>::all(client.clone()).create(&post, &made).await?;
        let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), name);
        for account in [ACCOUNT, "other"] {
            accounts.create(&post, &serde_json::from_value(json!({"metadata": {"name": account}}))?).await?;
        }
        let config_maps: Api<ConfigMap> = Api::namespaced(client.clone(), name);
        let labels = json!({"app.kubernetes.io/part-of": "rivmesh", "app.kubernetes.io/component": "operator"});
        for config_map in ["rivmesh-baseline", "rivmesh-operator-ca"] {
            let made = json!({"metadata": {"name": config_map, "labels": labels}});
            config_maps.create(&post, &serde_json::from_value(made)?).await?;
        }
        let secrets: Api<Secret> = Api::namespaced(client.clone(), name);
        let secret = serde_json::from_value(json!({"metadata": {"name": "rivmesh-operator-tls"}}))?;
        secrets.create(&post, &secret).await?;
        Ok(Namespace { world: self, name: name.to_owned() })
    }
}

fn answer(name: &str) -> Content {
    let body = format!(
        "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Body><from xmlns=\"urn:x\">{name}</from>\
         </s:Body></s:Envelope>"
    );
    Content::Text(body)
}

/// A namespace of one case.
pub(crate) struct Namespace<'w> {
    pub(crate) world: &'w World,
    pub(crate) name: String,
}

impl Namespace<'_> {
    /// Applies an object.
    pub(crate) async fn apply(&self, object: &Value) -> Result<()> {
        objects::apply(&self.world.client, &self.name, object).await.map(drop)
    }

    /// Deletes an object.
    pub(crate) async fn delete(&self, kind: Kind, name: &str) -> Result<()> {
        let api = objects::api(&self.world.client, &self.name, kind);
        api.delete(name, &kube::api::DeleteParams::default()).await?;
        Ok(())
    }

    /// An object's status.
    pub(crate) async fn status(&self, kind: Kind, name: &str) -> Result<Status> {
        objects::status(&self.world.client, &self.name, kind, name).await
    }

    /// Waits until a condition of an object's present generation is so, for this reason.
    pub(crate) async fn until(
        &self,
        (kind, name): (Kind, &str),
        which: ConditionType,
        status: ConditionStatus,
        reason: Reason,
    ) -> Result<String> {
        objects::until(&self.world.client, &self.name, (kind, name), which, status, reason).await
    }

    /// Waits until a route is ready.
    pub(crate) async fn until_ready(&self, name: &str) -> Result<()> {
        let (ready, reason) = (ConditionStatus::True, Reason::Ready);
        self.until((Kind::RoutingEntry, name), ConditionType::Ready, ready, reason).await.map(drop)
    }

    /// Says that these pods are ready endpoints of the dataplanes' Service, and no others.
    pub(crate) async fn set_ready_pods(&self, pods: &[&str]) -> Result<()> {
        let endpoints: Vec<Value> = pods
            .iter()
            .map(|pod| {
                json!({
                    "addresses": ["10.1.1.1"],
                    "conditions": {"ready": true},
                    "targetRef": {"kind": "Pod", "name": pod, "namespace": self.name},
                })
            })
            .collect();
        let slice = json!({
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": "dataplanes", "labels": {"kubernetes.io/service-name": "rivmesh-dataplane"}},
            "addressType": "IPv4",
            "endpoints": endpoints,
            "ports": [],
        });
        let api: Api<k8s_openapi::api::discovery::v1::EndpointSlice> =
            Api::namespaced(self.world.client.clone(), &self.name);
        let params = kube::api::PatchParams::apply("test").force();
        api.patch("dataplanes", &params, &kube::api::Patch::Apply(slice)).await?;
        Ok(())
    }
}
