//! A kube-apiserver and its etcd as two processes on this machine: a real API server for an operator to work with, without
//! a node, a container or root. Both can be stopped, paused and started again, as production nights do.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::suite::until;

/// How long a server may take to answer.
const START: Duration = Duration::from_secs(90);

/// A running API server.
pub(crate) struct ApiServer {
    programs: PathBuf,
    directory: TempDir,
    ports: Ports,
    etcd: Option<Process>,
    server: Option<Process>,
}

#[derive(Debug, Clone, Copy)]
struct Ports {
    server: u16,
    etcd: u16,
    etcd_peers: u16,
}

/// A process that ends with its owner.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_child(&self.0);
        kill_process(pid, signal).with_context(|| format!("{signal:?} could not be sent"))
    }
}

impl ApiServer {
    /// Starts both with the programs in `programs`, and waits until the API server is ready.
    pub(crate) async fn start(programs: &Path) -> Result<Self> {
        for program in ["etcd", "kube-apiserver"] {
            ensure!(programs.join(program).is_file(), "there is no {program} in {}", programs.display());
        }
        let directory = tempfile::Builder::new().prefix("rivmesh-api-").tempdir()?;
        let ports = Ports { server: free_port()?, etcd: free_port()?, etcd_peers: free_port()? };
        make_pki(directory.path(), ports.server)?;
        let mut this = Self { programs: programs.to_owned(), directory, ports, etcd: None, server: None };
        this.start_etcd()?;
        this.start_server().await?;
        Ok(this)
    }

    /// The file by which kubectl and an operator reach it as the administrator.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.directory.path().join("kubeconfig")
    }

    /// A directory for whatever belongs to this run.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// A new client for the administrator.
    pub(crate) async fn client(&self) -> Result<Client> {
        let config = Kubeconfig::read_from(self.kubeconfig())?;
        let config = Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await?;
        Ok(Client::try_from(config)?)
    }

    fn start_etcd(&mut self) -> Result<()> {
        let Ports { etcd, etcd_peers, .. } = self.ports;
        let mut command = Command::new(self.programs.join("etcd"));
        command
            .arg("--data-dir")
            .arg(self.directory.path().join("etcd"))
            // What a test writes need not outlive a power cut.
            .arg("--unsafe-no-fsync")
            .arg(format!("--listen-client-urls=http://127.0.0.1:{etcd}"))
            .arg(format!("--advertise-client-urls=http://127.0.0.1:{etcd}"))
            .arg(format!("--listen-peer-urls=http://127.0.0.1:{etcd_peers}"))
            .arg(format!("--initial-advertise-peer-urls=http://127.0.0.1:{etcd_peers}"))
            .arg(format!("--initial-cluster=default=http://127.0.0.1:{etcd_peers}"));
        self.etcd = Some(self.spawn("etcd", &mut command)?);
        Ok(())
    }

    /// Starts the API server and waits until it is ready.
    pub(crate) async fn start_server(&mut self) -> Result<()> {
        let file = |name: &str| self.directory.path().join(name).display().to_string();
        let mut command = Command::new(self.programs.join("kube-apiserver"));
        command
            .arg(format!("--etcd-servers=http://127.0.0.1:{}", self.ports.etcd))
            .arg(format!("--secure-port={}", self.ports.server))
            // Nothing in this cluster calls the API by its Service.
            .args(["--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none"])
            .arg("--service-cluster-ip-range=10.90.0.0/24")
            .arg(format!("--tls-cert-file={}", file("server.crt")))
            .arg(format!("--tls-private-key-file={}", file("server.key")))
            .arg(format!("--client-ca-file={}", file("ca.crt")))
            .arg("--authorization-mode=RBAC")
            .arg("--service-account-issuer=https://kubernetes.default.svc")
            .arg(format!("--service-account-key-file={}", file("accounts.pub")))
            .arg(format!("--service-account-signing-key-file={}", file("accounts.key")));
        self.server = Some(self.spawn("kube-apiserver", &mut command)?);
        let client = self.client().await?;
        until("a ready API server", START, async || {
            if let Some(Process(child)) = &mut self.server
                && let Some(status) = child.try_wait()?
            {
                bail!("kube-apiserver ended with {status}; see {}", file("kube-apiserver.log"));
            }
            let request = kube::api::ListParams::default();
            let namespaces: kube::Api<k8s_openapi::api::core::v1::Namespace> = kube::Api::all(client.clone());
            Ok(namespaces.list(&request).await.map(drop)?)
        })
        .await
        .with_context(|| log_tail(&self.directory.path().join("kube-apiserver.log")))
    }

    /// Ends the API server, as a rolling control plane does.
    pub(crate) fn stop_server(&mut self) {
        self.server = None;
    }

    /// The processes that run, by name.
    pub(crate) fn processes(&self) -> impl Iterator<Item = (&'static str, u32)> {
        let processes = [("etcd", &self.etcd), ("kube-apiserver", &self.server)];
        processes.into_iter().filter_map(|(name, process)| Some((name, process.as_ref()?.0.id())))
    }

    /// Sends a signal to etcd.
    pub(crate) fn signal_etcd(&self, signal: Signal) -> Result<()> {
        self.etcd.as_ref().context("etcd is not running")?.signal(signal)
    }

    fn spawn(&self, name: &str, command: &mut Command) -> Result<Process> {
        let log = File::options().create(true).append(true).open(self.directory.path().join(format!("{name}.log")))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("{name} cannot be started"))?;
        Ok(Process(child))
    }
}

/// The last lines of a log, for whoever wonders why a server does not start.
fn log_tail(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().rev().take(10).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// An authority, the server's certificate, the administrator's, and the key that signs ServiceAccount tokens.
fn make_pki(directory: &Path, port: u16) -> Result<()> {
    let write = |name: &str, text: &str| std::fs::write(directory.join(name), text);
    let mut authority = CertificateParams::default();
    authority.distinguished_name.push(DnType::CommonName, "test-ca");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
    write("ca.crt", &authority.pem())?;

    let issue = |name: &str, organization: Option<&str>| -> Result<(String, String)> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        if let Some(organization) = organization {
            params.distinguished_name.push(DnType::OrganizationName, organization);
        }
        params.subject_alt_names = vec![
            SanType::IpAddress(Ipv4Addr::LOCALHOST.into()),
            SanType::DnsName("kubernetes.default.svc".try_into()?),
        ];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate()?;
        Ok((params.signed_by(&key, &authority)?.pem(), key.serialize_pem()))
    };
    let (certificate, key) = issue("kube-apiserver", None)?;
    write("server.crt", &certificate)?;
    write("server.key", &key)?;
    let (certificate, key) = issue("admin", Some("system:masters"))?;
    write("admin.crt", &certificate)?;
    write("admin.key", &key)?;
    let accounts = KeyPair::generate()?;
    write("accounts.key", &accounts.serialize_pem())?;
    write("accounts.pub", &accounts.public_key_pem())?;
    let file = |name: &str| directory.join(name).display().to_string();
    let kubeconfig = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: test\n\
         contexts: [{{name: test, context: {{cluster: test, user: admin}}}}]\n\
         clusters: [{{name: test, cluster: {{server: 'https://127.0.0.1:{port}', certificate-authority: {}}}}}]\n\
         users: [{{name: admin, user: {{client-certificate: {}, client-key: {}}}}}]\n",
        file("ca.crt"),
        file("admin.crt"),
        file("admin.key"),
    );
    Ok(write("kubeconfig", &kubeconfig)?)
}
