//! The command line of the operator. It has two sources of objects, a Kubernetes API server and a directory of manifests,
//! and takes the options of one or the other.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, ensure};
use clap::Parser;
use rivmesh_sync::grpc::ServerIdentity;
use rivmesh_table::{CompileOptions, Environment, InternalHosts, RowLimits};

use crate::Options;
use crate::cluster::admission::Policy;
use crate::cluster::{self, Replica};
use crate::source::kubernetes::Scope;

/// Compiles routing entries, call authorizations and service contracts to routing tables and serves them to dataplanes.
#[derive(Debug, Parser)]
#[command(name = "rivmesh-operator", version)]
pub struct Args {
    /// Namespace whose objects are read; may be given several times. Without any, the operator's own.
    #[arg(long = "watch-namespace", value_name = "NAMESPACE", conflicts_with = "watch_all_namespaces")]
    watch_namespaces: Vec<String>,

    /// Read the objects of all namespaces: whoever may write in any of them decides who is routed where.
    #[arg(long)]
    watch_all_namespaces: bool,

    /// The environment that is served, as production; with --manifests too. Tables name it: dataplanes of another
    /// environment are refused, and refuse them.
    #[arg(long, value_name = "NAME", default_value = "test")]
    environment: Environment,

    /// Prefix of the objects that the operator uses: its leases, Secret and ConfigMaps.
    #[arg(long, value_name = "NAME", default_value = "rivmesh")]
    name: String,

    /// The operator's own Service, which its certificate is made for; the name with -operator if left out.
    #[arg(long, value_name = "NAME")]
    service: Option<String>,

    /// The Service whose ready endpoints are the dataplanes that take calls; the name with -dataplane if left out.
    #[arg(long, value_name = "NAME")]
    dataplane_service: Option<String>,

    /// ServiceAccount in the operator's namespace that may read tables; may be given several times.
    #[arg(long = "dataplane-account", value_name = "NAME")]
    dataplane_accounts: Vec<String>,

    /// The audience that tokens of dataplanes must be made for.
    #[arg(long, value_name = "NAME", default_value = "rivmesh-operator")]
    audience: String,

    /// Address of /livez, /readyz, /metrics and /status.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:9901")]
    admin: SocketAddr,

    /// Name of the operator's pod.
    #[arg(long, env = "POD_NAME", value_name = "NAME", default_value = "", hide_default_value = true)]
    pod_name: String,

    /// Namespace of the operator's pod.
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAME", default_value = "", hide_default_value = true)]
    pod_namespace: String,

    /// Uid of the operator's pod, so that its lease goes when the pod does.
    #[arg(long, env = "POD_UID", value_name = "UID", default_value = "", hide_default_value = true)]
    pod_uid: String,

    /// Read manifests from this directory, with all directories below it, instead of from an API server.
    #[arg(long, value_name = "DIR")]
    manifests: Option<PathBuf>,

    /// With --manifests: directory where the shrink guard remembers the last table; without it a restart forgets.
    #[arg(long, value_name = "DIR", requires = "manifests")]
    state: Option<PathBuf>,

    /// With --manifests: authorities of the dataplanes' certificates, in PEM.
    #[arg(long, value_name = "FILE", requires = "manifests")]
    client_ca: Option<PathBuf>,

    /// With --manifests: ask dataplanes for no certificate; whoever reaches the port can read who may call what, and where.
    #[arg(long, conflicts_with = "client_ca", requires = "manifests")]
    any_client: bool,

    /// HSA unit file (hsaunits.xml); may be given several times, later ones override earlier ones.
    #[arg(long = "hsa-units", value_name = "FILE")]
    hsa_units: Vec<PathBuf>,

    /// Host suffix of internal producers, which may be called by http://; may be given several times.
    #[arg(long = "internal-suffix", value_name = "SUFFIX")]
    internal_suffixes: Vec<String>,

    /// Network of internal producers, as 10.0.0.0/8; may be given several times.
    #[arg(long = "internal-network", value_name = "CIDR")]
    internal_networks: Vec<String>,

    /// Rows (routes and authorizations) that there may be in all.
    #[arg(long, value_name = "NUMBER", default_value_t = RowLimits::default().total)]
    max_rows: u64,

    /// Rows that there may be in one namespace.
    #[arg(long, value_name = "NUMBER", default_value_t = RowLimits::default().per_namespace)]
    max_rows_per_namespace: u64,

    /// Statuses written to the API server in a second, in the long run.
    #[arg(long, value_name = "NUMBER", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..))]
    status_rate: u16,

    /// Address that dataplanes connect to.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:9443")]
    listen: SocketAddr,

    /// Certificate chain to show to dataplanes, in PEM. Without it an operator in a cluster keeps its own.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,

    /// Private key of that certificate, in PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,

    /// Which messages are logged, such as `info` or `rivmesh_operator=debug`.
    #[arg(long, env = "RIVMESH_LOG", value_name = "FILTER", default_value = "info")]
    pub log: String,
}

/// Where objects come from, and what that takes.
#[derive(Debug)]
pub enum Mode {
    /// An API server.
    Cluster(Box<cluster::operator::Options>),
    /// A directory of manifests.
    Directory {
        /// What the control plane works on.
        options: Box<Options>,
        /// Where dataplanes connect to.
        listen: SocketAddr,
        /// What dataplanes are shown and asked for.
        identity: ServerIdentity,
    },
}

impl Args {
    /// What is asked for.
    ///
    /// # Errors
    /// The sentence that says what is missing or does not fit.
    pub fn mode(self) -> anyhow::Result<Mode> {
        let certificate = self.tls_cert.clone().zip(self.tls_key.clone());
        let compile = CompileOptions {
            environment: Some(self.environment.clone()),
            internal: self.internal()?,
            max_rows: RowLimits { per_namespace: self.max_rows_per_namespace, total: self.max_rows },
        };
        if let Some(manifests) = self.manifests {
            let (certificate, private_key) = certificate
                .context("--manifests needs --tls-cert and --tls-key: the certificate shown to dataplanes")?;
            ensure!(
                self.client_ca.is_some() || self.any_client,
                "--manifests needs --client-ca: the authorities of the dataplanes' certificates; or --any-client, if \
                 everybody who reaches the port may read who may call what"
            );
            let identity = ServerIdentity { certificate, private_key, client_authorities: self.client_ca };
            let options = Options { manifests, hsa_units: self.hsa_units, compile, state: self.state };
            return Ok(Mode::Directory { options: Box::new(options), listen: self.listen, identity });
        }
        ensure!(
            !self.pod_name.is_empty() && !self.pod_namespace.is_empty(),
            "POD_NAME and POD_NAMESPACE are not set: in a pod they come from the downward API; by hand, choose any; or \
             give --manifests to run without a cluster"
        );
        ensure!(
            !self.dataplane_accounts.is_empty(),
            "--dataplane-account is missing: without it no dataplane may read a table"
        );
        let (name, namespace) = (self.name, self.pod_namespace);
        let service = self.service.unwrap_or_else(|| format!("{name}-operator"));
        let account = |account: &String| format!("system:serviceaccount:{namespace}:{account}");
        let scope = match (self.watch_all_namespaces, self.watch_namespaces.is_empty()) {
            (true, _) => Scope::Cluster,
            (false, true) => Scope::Namespaces(vec![namespace.clone()]),
            (false, false) => Scope::Namespaces(self.watch_namespaces),
        };
        Ok(Mode::Cluster(Box::new(cluster::operator::Options {
            scope,
            listen: self.listen,
            admin: self.admin,
            names: vec![format!("{service}.{namespace}.svc"), format!("{service}.{namespace}.svc.cluster.local")],
            dataplane_service: self.dataplane_service.unwrap_or_else(|| format!("{name}-dataplane")),
            policy: Policy {
                audience: self.audience,
                accounts: self.dataplane_accounts.iter().map(account).collect(),
                environment: self.environment,
            },
            certificate: certificate.map(|(certificate, private_key)| ServerIdentity {
                certificate,
                private_key,
                client_authorities: None,
            }),
            hsa_units: self.hsa_units,
            compile,
            status_rate: self.status_rate,
            replica: Replica { name, namespace, pod: self.pod_name, uid: self.pod_uid },
        })))
    }

    fn internal(&self) -> anyhow::Result<InternalHosts> {
        // The same form as in platform.yaml, so the same reader.
        Ok(serde_json::from_value(serde_json::json!({
            "hostSuffixes": self.internal_suffixes,
            "cidrs": self.internal_networks,
        }))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLUSTER: [&str; 4] = ["--pod-name=a", "--pod-namespace=tak", "--dataplane-account=proxy", "--name=region"];

    fn parse(arguments: &[&str]) -> anyhow::Result<Mode> {
        let program = ["rivmesh-operator"];
        Args::try_parse_from(program.iter().chain(arguments))?.mode()
    }

    fn cluster(arguments: &[&str]) -> cluster::operator::Options {
        match parse(&[&CLUSTER[..], arguments].concat()).expect("good") {
            Mode::Cluster(options) => *options,
            Mode::Directory { .. } => panic!("no directory was given"),
        }
    }

    #[test]
    fn an_operator_reads_its_own_namespace_unless_told_otherwise() {
        assert_eq!(cluster(&[]).scope, Scope::Namespaces(vec!["tak".to_owned()]));
        assert_eq!(
            cluster(&["--watch-namespace=a", "--watch-namespace=b"]).scope,
            Scope::Namespaces(vec!["a".to_owned(), "b".to_owned()])
        );
        assert_eq!(cluster(&["--watch-all-namespaces"]).scope, Scope::Cluster);
        assert!(parse(&[&CLUSTER[..], &["--watch-all-namespaces", "--watch-namespace=a"]].concat()).is_err());
    }

    #[test]
    fn accounts_and_names_are_those_of_the_namespace() {
        let options = cluster(&[]);
        assert_eq!(options.policy.accounts, ["system:serviceaccount:tak:proxy"]);
        assert_eq!(options.names[0], "region-operator.tak.svc");
        assert_eq!(options.dataplane_service, "region-dataplane");
    }

    #[test]
    fn both_sources_are_of_an_environment_which_is_test_unless_said() {
        let directory = ["--manifests=m", "--tls-cert=c", "--tls-key=k", "--any-client"];
        for (arguments, expected) in [(&[][..], "test"), (&["--environment=production"], "production")] {
            let options = cluster(arguments);
            assert_eq!(options.policy.environment.as_str(), expected);
            assert_eq!(options.compile.environment, Some(options.policy.environment));
            match parse(&[&directory[..], arguments].concat()).expect("good") {
                Mode::Directory { options, .. } => {
                    assert_eq!(options.compile.environment.map(String::from).as_deref(), Some(expected));
                }
                Mode::Cluster(_) => panic!("a directory was given"),
            }
        }
        for bad in ["--environment=", "--environment= test", "--environment=te\nst"] {
            let error = format!("{:#}", parse(&[&directory[..], &[bad]].concat()).expect_err(bad));
            assert!(error.contains("--environment") && error.contains("1 to 63 bytes"), "{error}");
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        for (arguments, words) in [
            (&["--dataplane-account=proxy"][..], "POD_NAME"),
            (&["--pod-name=a", "--pod-namespace=tak"], "--dataplane-account"),
            (&["--manifests=m"], "--tls-cert"),
            (&["--manifests=m", "--tls-cert=c", "--tls-key=k"], "--client-ca"),
            (&["--any-client"], "--manifests"),
        ] {
            let error = format!("{:#}", parse(arguments).expect_err("incomplete"));
            assert!(error.contains(words), "{arguments:?}: {error}");
        }
    }
}
