//! A cluster of one node on this machine, started and ended by `cluster.sh`, with what that script can do to it.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use kube::Client;
use kube::config::{Config, KubeConfigOptions, Kubeconfig};

use crate::command::{Administrator, run};

/// What two clusters of one machine may not have in common.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Site {
    /// At most 11 characters.
    pub(crate) name: &'static str,
    /// The first three numbers of the network of host and node.
    pub(crate) net: [u8; 3],
    pub(crate) pods: &'static str,
    pub(crate) services: &'static str,
}

/// The cluster of most cases.
pub(crate) const FIRST: Site =
    Site { name: "test", net: [172, 31, 252], pods: "10.242.0.0/16", services: "10.92.0.0/16" };
/// The one that is joined to it.
pub(crate) const SECOND: Site =
    Site { name: "test2", net: [172, 31, 253], pods: "10.243.0.0/16", services: "10.93.0.0/16" };

impl Site {
    /// The address of this machine, as pods reach it.
    pub(crate) fn host(self) -> IpAddr {
        self.address(1)
    }

    /// The address of the node, whose NodePorts this machine and a joined cluster reach.
    pub(crate) fn node(self) -> IpAddr {
        self.address(2)
    }

    fn address(self, last: u8) -> IpAddr {
        let [first, second, third] = self.net;
        Ipv4Addr::new(first, second, third, last).into()
    }
}

/// A running cluster; it ends when this is dropped.
pub(crate) struct Cluster {
    processes: Processes,
    pub(crate) administrator: Administrator,
    pub(crate) client: Client,
}

/// What `cluster.sh` keeps below this directory, whole or half started.
struct Processes(PathBuf);

impl Cluster {
    /// Starts it with the programs of Kubernetes in `programs`; its files lie below `directory`.
    pub(crate) async fn up(site: Site, programs: &Path, directory: &Path) -> Result<Self> {
        let state = directory.join(site.name);
        fs::create_dir_all(&state)?;
        let home = directory.join(format!("{}-home", site.name));
        fs::create_dir_all(&home)?;
        let [first, second, third] = site.net;
        let processes = Processes(state);
        let mut up = processes.script(&["up"]);
        up.arg(programs)
            .env("CLUSTER_NAME", site.name)
            .env("CLUSTER_NET", format!("{first}.{second}.{third}"))
            .env("POD_CIDR", site.pods)
            .env("SERVICE_CIDR", site.services)
            .env("CLUSTER_OWNER", std::process::id().to_string());
        let progress = run(&mut up).with_context(|| format!("the logs are in {}/log", processes.0.display()))?;
        for line in progress.lines() {
            println!("      {line}");
        }
        let kubeconfig = processes.0.join("admin.kubeconfig");
        let config = Kubeconfig::read_from(&kubeconfig)?;
        let config = Config::from_custom_kubeconfig(config, &KubeConfigOptions::default()).await?;
        let administrator = Administrator { programs: programs.to_owned(), kubeconfig, home };
        Ok(Self { processes, administrator, client: Client::try_from(config)? })
    }

    /// Runs kubectl.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        self.administrator.kubectl(arguments)
    }

    /// Waits until the node runs pods of a namespace that was just made.
    ///
    /// # Errors
    /// With what is known of why it does not.
    pub(crate) fn runs_pods(&self) -> Result<()> {
        let probe = "probe";
        let inside = |arguments: &[&str]| self.kubectl(&[arguments, &["--namespace", probe]].concat());
        self.kubectl(&["create", "namespace", probe])?;
        inside(&["create", "deployment", "pause", "--image=localhost/pause:1", "--replicas=4"])?;
        let run = inside(&["wait", "--for=condition=Available", "--timeout=60s", "deployment/pause"]);
        run.with_context(|| self.story(probe))?;
        self.kubectl(&["delete", "namespace", probe, "--wait=false"]).map(drop)
    }

    /// What is known of why the pods of a namespace do not run: what Kubernetes warns of, the pods, what else happened, and
    /// what the daemons of the node complained of at last.
    pub(crate) fn story(&self, namespace: &str) -> String {
        let inside = |arguments: &[&str]| {
            let said = self.kubectl(&[arguments, &["--namespace", namespace, "--request-timeout=10s"]].concat());
            said.unwrap_or_else(|error| format!("{error:#}\n"))
        };
        let events = |kind| {
            let kind = format!("--field-selector=type={kind}");
            last(8, inside(&["get", "events", "--no-headers", "--sort-by=.metadata.creationTimestamp", &kind]).lines())
        };
        let warnings = events("Warning");
        let pods = inside(&["get", "pods", "--output=wide"]);
        let complaints =
            ["kubelet", "containerd", "kube-controller-manager"].map(|part| self.complaints(part)).concat();
        format!("warnings:\n{warnings}pods:\n{pods}{complaints}other events:\n{}", events("Normal"))
    }

    /// The last lines that a part wrote about what went wrong.
    fn complaints(&self, part: &str) -> String {
        let log = fs::read_to_string(self.processes.0.join("log").join(part).with_extension("log")).unwrap_or_default();
        // As klog and as containerd write a level.
        let is_complaint = |line: &&str| {
            line.starts_with(['E', 'W', 'F']) || line.contains("level=error") || line.contains("level=warning")
        };
        format!("{part}:\n{}", last(10, log.lines().filter(is_complaint)))
    }

    /// Gives images to the node.
    pub(crate) fn load(&self, images: &[PathBuf]) -> Result<()> {
        run(self.processes.script(&["load"]).args(images)).map(drop)
    }

    /// Ends a part of Kubernetes.
    pub(crate) fn stop(&self, part: &str) -> Result<()> {
        run(self.processes.script(&["stop"]).arg(part)).map(drop)
    }

    /// Starts a part that was stopped.
    pub(crate) fn start(&self, part: &str) -> Result<()> {
        run(self.processes.script(&["start"]).arg(part)).map(drop)
    }

    /// Sends a signal, without SIG, to a part or to the first process of NAMESPACE/POD/CONTAINER.
    pub(crate) fn signal(&self, whom: &str, signal: &str) -> Result<()> {
        run(self.processes.script(&["signal"]).args([whom, signal])).map(drop)
    }

    /// Joins it to another: pods of each reach NodePorts of the other.
    pub(crate) fn join(&self, other: &Self) -> Result<()> {
        run(self.processes.script(&["peer"]).arg(&other.processes.0)).map(drop)
    }
}

/// The last of these lines, none of them very long.
fn last<'t>(count: usize, lines: impl Iterator<Item = &'t str>) -> String {
    let lines: Vec<_> = lines.collect();
    let last = &lines[lines.len().saturating_sub(count)..];
    last.iter().flat_map(|line| line.chars().take(1000).chain(['\n'])).collect()
}

impl Processes {
    fn script(&self, command: &[&str]) -> Command {
        let mut script = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("../cluster/cluster.sh"));
        script.args(command).arg(&self.0);
        script
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        if let Err(error) = run(&mut self.script(&["down"])) {
            println!("the cluster in {} could not be ended: {error:#}", self.0.display());
        }
    }
}
