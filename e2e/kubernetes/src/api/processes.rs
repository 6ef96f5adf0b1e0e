//! Operators and dataplanes as processes of this machine. What a kubelet would give their pods, a token and the operator's
//! authority, they are given by hand.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, ServiceAccount};
use kube::api::PostParams;
use kube::{Api, ResourceExt};
use rivmesh_e2e::consumer::{ClientTls, Connection, Consumers, Response, TlsVersion};
use rivmesh_e2e::platform::{Platform, binary};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::world::{ACCOUNT, Namespace};
use crate::admin;
use crate::objects::CONTRACT;
use crate::suite::{PATIENCE, until};

/// The name by which dataplanes know their operator.
fn operator_name(namespace: &str) -> String {
    format!("rivmesh-operator.{namespace}.svc")
}

/// A running operator.
pub(crate) struct Operator {
    pub(crate) platform: Platform,
    pub(crate) tables: SocketAddr,
    pub(crate) pod: String,
}

/// A running dataplane.
pub(crate) struct Dataplane {
    pub(crate) platform: Platform,
    consumers: SocketAddr,
    pki: PathBuf,
}

/// How a dataplane may differ from a good one.
#[derive(Debug, Clone)]
pub(crate) struct Credentials {
    /// Whose token it shows.
    pub(crate) account: &'static str,
    /// What the token is for.
    pub(crate) audience: &'static str,
    /// Whether it is bound to the pod.
    pub(crate) bound: bool,
    /// The uid that it says it has, if not its own.
    pub(crate) uid: Option<&'static str>,
    /// The environment of its platform.
    pub(crate) environment: &'static str,
}

impl Default for Credentials {
    fn default() -> Self {
        Self { account: ACCOUNT, audience: "rivmesh-operator", bound: true, uid: None, environment: "test" }
    }
}

impl Namespace<'_> {
    /// Starts a replica of the operator; it need not be ready yet.
    pub(crate) fn operator(&self, pod: &str, more: &[&str]) -> Result<Operator> {
        self.operator_at(pod, free_address()?, more)
    }

    /// As [`Namespace::operator`], where an earlier one was: a Service's address does not change either.
    pub(crate) fn operator_at(&self, pod: &str, tables: SocketAddr, more: &[&str]) -> Result<Operator> {
        let admin = free_address()?;
        let mut arguments =
            vec![format!("--listen={tables}"), format!("--admin={admin}"), format!("--dataplane-account={ACCOUNT}")];
        arguments.extend(more.iter().map(|argument| (*argument).to_owned()));
        let kubeconfig = self.world.administrator.kubeconfig.display().to_string();
        let environment = [
            ("KUBECONFIG", kubeconfig.as_str()),
            ("POD_NAME", pod),
            ("POD_NAMESPACE", self.name.as_str()),
            ("RIVMESH_LOG", "info,rivmesh_operator=debug"),
        ];
        let program = binary("rivmesh-operator")?;
        let platform = Platform::start_with(&program, &arguments, &environment, &self.world.directory, admin)?;
        Ok(Operator { platform, tables, pod: pod.to_owned() })
    }

    /// Starts a replica and waits until it is ready.
    pub(crate) async fn ready_operator(&self, pod: &str) -> Result<Operator> {
        let mut operator = self.operator(pod, &[])?;
        operator.platform.wait_ready()?;
        Ok(operator)
    }

    /// Starts a dataplane that follows this operator; it need not be ready yet.
    pub(crate) async fn dataplane(
        &self,
        pod: &str,
        operator: &Operator,
        credentials: &Credentials,
    ) -> Result<Dataplane> {
        let directory = self.dataplane_directory(pod);
        std::fs::create_dir_all(&directory)?;
        let uid = self.pod(pod, credentials.account).await?;
        std::fs::write(directory.join("token"), self.token(pod, &uid, credentials).await?)?;
        std::fs::write(directory.join("ca.crt"), self.authority().await?)?;
        std::fs::write(directory.join("uid"), credentials.uid.unwrap_or(&uid))?;
        let (consumers, admin) = (free_address()?, free_address()?);
        let pki = self.world.pki.directory();
        std::fs::write(directory.join("platform.yaml"), settings(pki, consumers, admin, credentials.environment))?;
        std::fs::write(directory.join("ports"), format!("{consumers} {admin}"))?;
        self.restarted_dataplane(pod, operator)
    }

    /// Starts a dataplane again with the files and the table that it had, without asking the API server for anything.
    pub(crate) fn restarted_dataplane(&self, pod: &str, operator: &Operator) -> Result<Dataplane> {
        let directory = self.dataplane_directory(pod);
        let file = |name: &str| directory.join(name).display().to_string();
        let ports = std::fs::read_to_string(directory.join("ports"))?;
        let (consumers, admin) = ports.split_once(' ').context("two addresses")?;
        let uid = std::fs::read_to_string(directory.join("uid"))?;
        let tables = operator.tables.to_string();
        let (authority, token, name) = (file("ca.crt"), file("token"), operator_name(&self.name));
        let environment = [
            ("RIVMESH_POD", pod),
            ("RIVMESH_POD_UID", uid.as_str()),
            ("RIVMESH_OPERATOR", tables.as_str()),
            ("RIVMESH_OPERATOR_CA", authority.as_str()),
            ("RIVMESH_OPERATOR_NAME", name.as_str()),
            ("RIVMESH_OPERATOR_TOKEN", token.as_str()),
        ];
        let arguments = ["--config".to_owned(), file("platform.yaml")];
        let program = binary("rivmesh-dataplane")?;
        let platform = Platform::start_with(&program, &arguments, &environment, &directory, admin.parse()?)?;
        Ok(Dataplane { platform, consumers: consumers.parse()?, pki: self.world.pki.directory().to_owned() })
    }

    /// As [`Namespace::restarted_dataplane`], without the table: a pod with an empty disk.
    pub(crate) fn emptied_dataplane(&self, pod: &str, operator: &Operator) -> Result<Dataplane> {
        match std::fs::remove_dir_all(self.dataplane_directory(pod).join("table")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        self.restarted_dataplane(pod, operator)
    }

    fn dataplane_directory(&self, pod: &str) -> PathBuf {
        self.world.directory.join(format!("{}-{pod}", self.name))
    }

    /// Starts a dataplane and waits until it takes calls.
    pub(crate) async fn ready_dataplane(&self, pod: &str, operator: &Operator) -> Result<Dataplane> {
        let mut dataplane = self.dataplane(pod, operator, &Credentials::default()).await?;
        dataplane.platform.wait_ready()?;
        Ok(dataplane)
    }

    /// A pod that exists for the API server alone; its uid.
    async fn pod(&self, name: &str, account: &str) -> Result<String> {
        let pods: Api<Pod> = Api::namespaced(self.world.client.clone(), &self.name);
        if let Some(pod) = pods.get_opt(name).await? {
            return pod.uid().context("every pod has a uid");
        }
        let pod = json!({
            "metadata": {"name": name},
            "spec": {
                "serviceAccountName": account,
                "automountServiceAccountToken": false,
                "containers": [{"name": "proxy", "image": "none"}],
            },
        });
        let pod = pods.create(&PostParams::default(), &serde_json::from_value(pod)?).await?;
        pod.uid().context("every pod has a uid")
    }

    async fn token(&self, pod: &str, uid: &str, credentials: &Credentials) -> Result<String> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.world.client.clone(), &self.name);
        let bound = credentials.bound.then(|| json!({"apiVersion": "v1", "kind": "Pod", "name": pod, "uid": uid}));
        let spec: TokenRequestSpec = serde_json::from_value(json!({
            "audiences": [credentials.audience],
            "expirationSeconds": 3600,
            "boundObjectRef": bound,
        }))?;
        let request = TokenRequest { spec, ..TokenRequest::default() };
        let made = accounts.create_token_request(credentials.account, &PostParams::default(), &request).await?;
        Ok(made.status.context("the API server makes tokens")?.token)
    }

    /// The operator's authority, once the operator has published it.
    pub(crate) async fn authority(&self) -> Result<String> {
        let config_maps: Api<ConfigMap> = Api::namespaced(self.world.client.clone(), &self.name);
        until("the operator's authority", PATIENCE, async || {
            let config_map = config_maps.get("rivmesh-operator-ca").await?;
            config_map.data.unwrap_or_default().remove("ca.crt").context("it is not published yet")
        })
        .await
    }
}

impl Operator {
    /// Sends a signal to the process.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        signal_process(self.platform.id(), signal)
    }

    /// The sum of the samples of a metric that have these labels.
    pub(crate) fn metric(&self, name: &str, labels: &str) -> Result<f64> {
        admin::metric(self.platform.admin(), name, labels)
    }

    /// All samples of a metric, with their labels as `{name="value",...}`.
    pub(crate) fn metrics(&self, name: &str) -> Result<Vec<(String, f64)>> {
        admin::samples(self.platform.admin(), name)
    }

    /// Whether this replica leads.
    pub(crate) fn leads(&self) -> Result<bool> {
        Ok(self.metric("rivmesh_operator_leader", "")? > 0.5)
    }

    /// `/status`.
    pub(crate) fn status(&self) -> Result<Value> {
        admin::status(self.platform.admin())
    }
}

impl Dataplane {
    /// Makes a call; the status and the body of the answer.
    pub(crate) fn call(&self, address: &str) -> Result<(u16, String)> {
        let response = call(&mut self.connect()?, CONTRACT, address, "close")?;
        Ok((response.status, String::from_utf8_lossy(&response.message.body).into_owned()))
    }

    /// A new connection of the consumer that the tests' grants name.
    pub(crate) fn connect(&self) -> Result<Connection> {
        let tls = ClientTls { version: TlsVersion::V13, certificate: Some("allowed".to_owned()), resume: false };
        Ok(Consumers::new(&self.pki).connect(self.consumers, Some(&tls))??)
    }

    /// Makes a call and expects it to be answered by this producer.
    pub(crate) fn expect_answer_of(&self, producer: &str, address: &str) -> Result<()> {
        let (status, body) = self.call(address)?;
        ensure!(status == 200 && body.contains(&format!(">{producer}<")), "{address}: {status} {body}");
        Ok(())
    }

    /// Makes a call and expects it to be refused with this code.
    pub(crate) fn expect_refusal(&self, code: &str, address: &str) -> Result<()> {
        let (status, body) = self.call(address)?;
        ensure!(status == 500 && body.contains(code), "{address}: {status} {body}");
        Ok(())
    }

    /// What readiness waits for, line by line; empty when the dataplane is ready.
    pub(crate) fn waiting_for(&self) -> Result<String> {
        admin::waiting_for(self.platform.admin())
    }

    /// Sends a signal to the process.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        signal_process(self.platform.id(), signal)
    }

    /// The digest of the table in service.
    pub(crate) fn table(&self) -> Result<String> {
        let status = admin::status(self.platform.admin())?;
        status["table"]["digest"].as_str().map(str::to_owned).context("there is no table")
    }
}

/// Makes a call of a contract on an open connection; `after` says what becomes of the connection: `keep-alive`, `close`.
pub(crate) fn call(connection: &mut Connection, contract: &str, address: &str, after: &str) -> Result<Response> {
    let body = format!(
        "<e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\"><e:Header><LogicalAddress \
         xmlns=\"urn:riv:itintegration:registry:1\">{address}</LogicalAddress></e:Header><e:Body><GetThing \
         xmlns=\"{contract}\"/></e:Body></e:Envelope>"
    );
    let request = format!(
        "POST /vp HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/xml; charset=UTF-8\r\nContent-Length: {}\r\n\
         Connection: {after}\r\n\r\n{body}",
        body.len()
    );
    connection.wire().send(request.as_bytes())?;
    let mut response = Response::default();
    connection.read_response(&mut response, false, Duration::from_secs(30))?;
    Ok(response)
}

fn signal_process(id: u32, signal: Signal) -> Result<()> {
    let pid = i32::try_from(id).ok().and_then(Pid::from_raw).context("a process has an id")?;
    kill_process(pid, signal).with_context(|| format!("{signal:?} could not be sent"))
}

fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

fn settings(pki: &std::path::Path, consumers: SocketAddr, admin: SocketAddr, environment: &str) -> String {
    let file = |name: &str| pki.join(name).display().to_string();
    serde_json::to_string_pretty(&json!({
        "platform": {"hsaId": "SE2321000016-A1B2", "name": "kubernetes-test", "environment": environment},
        "listeners": [{"name": "consumers", "address": consumers.to_string(), "tls": {
            "certificate": file("platform.crt"), "privateKey": file("platform.key"),
            "clientTrust": file("root.pem"), "crls": [file("current.crl")],
        }}],
        "admin": {"address": admin.to_string()},
        "upstream": {"tls": {
            "certificate": file("platform-client.crt"), "privateKey": file("platform-client.key"),
            "trust": file("root.pem"),
        }},
        "table": {"directory": "table"},
        "timeouts": {"drainDelay": "1ms", "drain": "5s"},
        "workers": 1,
    }))
    .expect("settings are JSON, and JSON is YAML")
}
