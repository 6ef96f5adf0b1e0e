//! The command line of the proxy.

use crate::telemetry::log::Format;
use clap::Parser;
use std::path::PathBuf;

/// Routes RIV-TA calls between consumers and producers over mutual TLS.
#[derive(Debug, Parser)]
#[command(name = "rivmesh-dataplane", version)]
pub struct Args {
    /// The platform's settings.
    #[arg(long, env = "RIVMESH_CONFIG", value_name = "FILE")]
    pub config: PathBuf,
    /// The operator that pushes tables, as HOST:PORT. Without it the table on disk is served.
    #[arg(long, env = "RIVMESH_OPERATOR", value_name = "HOST:PORT", requires = "operator_ca")]
    pub operator: Option<String>,
    /// Authorities (PEM) that the operator's certificate must come from.
    #[arg(long, env = "RIVMESH_OPERATOR_CA", value_name = "FILE")]
    pub operator_ca: Option<PathBuf>,
    /// The token that proves to the operator which pod this is; read anew for every stream.
    #[arg(long, env = "RIVMESH_OPERATOR_TOKEN", value_name = "FILE", requires = "operator")]
    pub operator_token: Option<PathBuf>,
    /// The name in the operator's certificate, where it is not the host's.
    #[arg(long, env = "RIVMESH_OPERATOR_NAME", value_name = "NAME")]
    pub operator_name: Option<String>,
    /// This instance's name in the operator's status.
    #[arg(long, env = "RIVMESH_POD", value_name = "NAME", default_value = "dataplane")]
    pub pod: String,
    /// The uid of the pod that this instance runs in, which the token must name too.
    #[arg(long, env = "RIVMESH_POD_UID", value_name = "UID", default_value = "", hide_default_value = true)]
    pub pod_uid: String,
    /// How calls and events are written to standard output.
    #[arg(long, env = "RIVMESH_LOG_FORMAT", value_name = "FORMAT", default_value = "json")]
    pub log_format: Format,
    /// Which messages of the process are logged beside calls, such as `info` or `rivmesh_dataplane=debug`.
    #[arg(long, env = "RIVMESH_LOG", value_name = "FILTER", default_value = "info")]
    pub log: String,
}
