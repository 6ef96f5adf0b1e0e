//! The operator's certificate in its cluster: the leader keeps the Secret and the ConfigMap as [`certificate::renewed`]
//! says, and every replica serves what the Secret holds, from the moment at which it changes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{Patch, PatchParams};
use kube::runtime::watcher::watch_object;
use kube::{Api, Client};
use rivmesh_sync::grpc::{Loaded, server_config};
use serde_json::json;
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};
use tokio_rustls::rustls::ServerConfig;
use tracing::{info, warn};

use super::certificate::{self, Material};
use super::lease::Leadership;
use super::{Replica, describe};

/// How often it is looked whether something is due.
const LOOK: Duration = Duration::from_secs(600);
/// Between attempts that failed.
const RETRY: Duration = Duration::from_secs(2);
/// How long a request may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The name of the Secret of the operator `name`.
pub fn secret_name(name: &str) -> String {
    format!("{name}-operator-tls")
}

/// The name of the ConfigMap by which dataplanes know the operator `name`.
pub fn authorities_name(name: &str) -> String {
    format!("{name}-operator-ca")
}

/// A certificate in service, and when it and its authority end.
#[derive(Clone)]
pub(crate) struct InService {
    /// What is shown to dataplanes.
    pub(crate) config: Arc<ServerConfig>,
    /// When what ends, in Unix seconds.
    pub(crate) ends: Vec<(&'static str, i64)>,
}

impl From<Loaded> for InService {
    /// A certificate that somebody else keeps. When its authority ends is that one's business.
    fn from(Loaded { config, certificate }: Loaded) -> Self {
        let end = certificate::end(&certificate).inspect_err(|problem| {
            warn!("when the operator's certificate ends cannot be told: {problem}");
        });
        Self { config, ends: end.map(|at| (certificate::OPERATOR, at.as_second())).into_iter().collect() }
    }
}

/// The Secret and the ConfigMap.
pub(crate) struct Identity {
    secrets: Api<Secret>,
    config_maps: Api<ConfigMap>,
    secret: String,
    authorities: String,
    names: Vec<String>,
    manager: String,
    in_service: watch::Sender<Option<InService>>,
    /// The Secret or the ConfigMap is not what it was.
    changed: Notify,
}

impl Identity {
    /// The identity of an operator that dataplanes reach by these names.
    pub(crate) fn new(
        client: &Client,
        replica: &Replica,
        names: Vec<String>,
    ) -> (Self, watch::Receiver<Option<InService>>) {
        let (in_service, receiver) = watch::channel(None);
        let identity = Self {
            secrets: Api::namespaced(client.clone(), &replica.namespace),
            config_maps: Api::namespaced(client.clone(), &replica.namespace),
            secret: secret_name(&replica.name),
            authorities: authorities_name(&replica.name),
            names,
            manager: replica.manager(),
            in_service,
            changed: Notify::new(),
        };
        (identity, receiver)
    }

    /// Keeps the Secret while this replica leads, and serves what it holds; for ever.
    pub(crate) async fn follow(self, leadership: Leadership) {
        tokio::join!(self.keep(leadership), self.serve(), self.watch_published());
    }

    async fn keep(&self, mut leadership: Leadership) {
        loop {
            leadership.acquired().await;
            let kept = timeout(PATIENCE, self.bring_up_to_date()).await;
            let wait = match kept.unwrap_or_else(|_| Err("the API server does not answer".to_owned())) {
                Ok(()) => LOOK,
                Err(problem) => {
                    warn!("the operator's certificate in Secret {} cannot be kept: {problem}", self.secret);
                    RETRY
                }
            };
            tokio::select! {
                () = sleep(wait) => {}
                // Somebody may have emptied what dataplanes cannot be without.
                () = self.changed.notified() => {}
                () = leadership.changed() => {}
            }
        }
    }

    async fn bring_up_to_date(&self) -> Result<(), String> {
        let stored = self.secrets.get(&self.secret).await.map_err(|error| describe(&error))?;
        let present = material(&stored);
        let renewed = certificate::renewed(present.as_ref(), &self.names, Timestamp::now());
        let renewed = renewed.map_err(|error| error.to_string())?;
        if let Some(material) = &renewed {
            // With the version that was read: two leaders that overlap must not overwrite each other's keys.
            let patch = Patch::Merge(json!({
                "metadata": {"resourceVersion": stored.metadata.resource_version},
                "data": data(material),
            }));
            self.secrets.patch(&self.secret, &self.params(), &patch).await.map_err(|error| describe(&error))?;
            info!("renewed the operator's certificate in Secret {}", self.secret);
        }
        let Some(material) = renewed.or(present) else { return Ok(()) };
        let published = self.config_maps.get(&self.authorities).await.map_err(|error| describe(&error))?;
        if published.data.as_ref().and_then(|data| data.get("ca.crt")) != Some(&material.authorities) {
            let patch = Patch::Merge(json!({"data": {"ca.crt": material.authorities}}));
            self.config_maps
                .patch(&self.authorities, &self.params(), &patch)
                .await
                .map_err(|error| describe(&error))?;
            info!("published the operator's authority in ConfigMap {}", self.authorities);
        }
        Ok(())
    }

    fn params(&self) -> PatchParams {
        PatchParams { field_manager: Some(self.manager.clone()), ..PatchParams::default() }
    }

    async fn serve(&self) {
        let mut events = watch_object(self.secrets.clone(), &self.secret).boxed();
        while let Some(event) = events.next().await {
            let secret = match event {
                Ok(Some(secret)) => secret,
                Ok(None) => continue,
                Err(error) => {
                    warn!("the operator's certificate cannot be followed: {error}");
                    sleep(RETRY).await;
                    continue;
                }
            };
            self.changed.notify_one();
            let Some(material) = material(&secret) else { continue };
            match in_service(&material) {
                Ok(in_service) => drop(self.in_service.send_replace(Some(in_service))),
                Err(problem) => warn!("the certificate in Secret {} cannot be used: {problem}", self.secret),
            }
        }
    }

    async fn watch_published(&self) {
        let mut events = watch_object(self.config_maps.clone(), &self.authorities).boxed();
        while let Some(event) = events.next().await {
            match event {
                Ok(_) => self.changed.notify_one(),
                Err(error) => {
                    warn!("the operator's published authority cannot be followed: {error}");
                    sleep(RETRY).await;
                }
            }
        }
    }
}

fn in_service(material: &Material) -> Result<InService, String> {
    let config = server_config(material.certificate.as_bytes(), material.key.as_bytes())?;
    let ends = certificate::ends(material).map_err(|error| error.to_string())?;
    Ok(InService { config, ends: ends.map(|(what, at)| (what, at.as_second())).to_vec() })
}

fn material(secret: &Secret) -> Option<Material> {
    let data = secret.data.as_ref()?;
    let text = |key: &str| data.get(key).and_then(|ByteString(bytes)| String::from_utf8(bytes.clone()).ok());
    Some(Material {
        authorities: text("ca.crt")?,
        authority_key: text("ca.key")?,
        certificate: text("tls.crt")?,
        key: text("tls.key")?,
    })
}

fn data(material: &Material) -> BTreeMap<&'static str, ByteString> {
    let bytes = |text: &str| ByteString(text.as_bytes().to_vec());
    BTreeMap::from([
        ("ca.crt", bytes(&material.authorities)),
        ("ca.key", bytes(&material.authority_key)),
        ("tls.crt", bytes(&material.certificate)),
        ("tls.key", bytes(&material.key)),
    ])
}

#[cfg(test)]
mod tests {
    use rivmesh_sync::grpc::ServerIdentity;

    use super::*;
    use crate::ledger::Ledger;
    use crate::metrics::{Metrics, Moment};

    #[test]
    fn what_is_written_to_the_secret_is_read_back_and_can_be_served() {
        let names = ["rivmesh-operator.tak.svc".to_owned()];
        let made = certificate::renewed(None, &names, Timestamp::now()).expect("made").expect("new");
        let owned = data(&made).into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        let secret = Secret { data: Some(owned), ..Secret::default() };
        assert_eq!(material(&secret).as_ref(), Some(&made));
        assert_eq!(in_service(&made).expect("usable").ends.len(), 2);
    }

    #[test]
    fn the_end_of_a_certificate_from_files_is_told_as_that_of_the_managed_one() {
        let made = certificate::renewed(None, &["a.svc".to_owned()], Timestamp::now()).expect("made").expect("new");
        let directory = tempfile::tempdir().expect("a directory");
        let write = |name: &str, text: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, text).expect("written");
            path
        };
        // The authority after it, as cert-manager writes a chain.
        let chain = format!("{}{}", made.certificate, made.authorities);
        let (certificate, private_key) = (write("tls.crt", &chain), write("tls.key", &made.key));
        let files = ServerIdentity { certificate, private_key, client_authorities: None };
        let in_files = InService::from(files.load().expect("usable"));
        assert_eq!(in_files.ends, in_service(&made).expect("usable").ends[..1]);
        let moment = Moment { ends: in_files.ends, ..Moment::default() };
        let metrics = Metrics::new(Metrics::compile_seconds()).encode(&Ledger::new(), &moment);
        let told = "rivmesh_operator_certificate_expires_in_seconds{certificate=\"operator\"} ";
        let seconds = metrics.lines().find_map(|line| line.strip_prefix(told)?.parse::<i64>().ok());
        assert!(seconds.is_some_and(|seconds| seconds > 0), "{metrics}");
    }

    #[test]
    fn a_secret_that_is_still_empty_holds_nothing() {
        assert_eq!(material(&Secret::default()), None);
    }
}
