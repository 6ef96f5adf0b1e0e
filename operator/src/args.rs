//! The command line of the operator.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;
use rivmesh_operator::Options;
use rivmesh_sync::grpc::ServerIdentity;
use rivmesh_table::{CompileOptions, InternalHosts};

/// Compiles manifests to routing tables and serves them to dataplanes.
#[derive(Debug, Parser)]
#[command(name = "rivmesh-operator", version)]
pub(crate) struct Args {
    /// Directory of manifests; read with all directories below it, and watched.
    #[arg(long, value_name = "DIR")]
    manifests: PathBuf,

    /// HSA unit file (hsaunits.xml); may be given several times, later ones override earlier ones.
    #[arg(long = "hsa-units", value_name = "FILE")]
    hsa_units: Vec<PathBuf>,

    /// Host suffix of internal producers, which may be called by http://; may be given several times.
    #[arg(long = "internal-suffix", value_name = "SUFFIX")]
    internal_suffixes: Vec<String>,

    /// Network of internal producers, as 10.0.0.0/8; may be given several times.
    #[arg(long = "internal-network", value_name = "CIDR")]
    internal_networks: Vec<String>,

    /// Directory where the shrink guard remembers the last table; without it a restart forgets.
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,

    /// Address that dataplanes connect to.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:9443")]
    pub(crate) listen: SocketAddr,

    /// Certificate chain to show to dataplanes, in PEM.
    #[arg(long, value_name = "FILE")]
    tls_cert: PathBuf,

    /// Private key of that certificate, in PEM.
    #[arg(long, value_name = "FILE")]
    tls_key: PathBuf,

    /// Authorities of the dataplanes' certificates, in PEM.
    #[arg(long, value_name = "FILE", required_unless_present = "any_client")]
    client_ca: Option<PathBuf>,

    /// Ask dataplanes for no certificate: whoever reaches the port can read who may call what, and where.
    #[arg(long, conflicts_with = "client_ca")]
    any_client: bool,
}

impl Args {
    /// What the control plane works on.
    ///
    /// # Errors
    /// When a network is not one.
    pub(crate) fn options(&self) -> anyhow::Result<Options> {
        // The same form as in platform.yaml, so the same reader.
        let internal: InternalHosts = serde_json::from_value(serde_json::json!({
            "hostSuffixes": self.internal_suffixes,
            "cidrs": self.internal_networks,
        }))?;
        Ok(Options {
            manifests: self.manifests.clone(),
            hsa_units: self.hsa_units.clone(),
            compile: CompileOptions { internal, ..CompileOptions::default() },
            state: self.state.clone(),
        })
    }

    /// What dataplanes are shown and asked for.
    pub(crate) fn identity(&self) -> ServerIdentity {
        ServerIdentity {
            certificate: self.tls_cert.clone(),
            private_key: self.tls_key.clone(),
            client_authorities: self.client_ca.clone(),
        }
    }
}
