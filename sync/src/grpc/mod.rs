//! The protocol over gRPC: bytes, TLS and timeouts around the machines, and nothing else. The same service runs over
//! TLS between pods and over a pipe inside one process.

mod client;
mod pipe;
mod server;
mod tls;

pub use client::{ClientStream, ConnectError, Connector, TlsTarget};
pub use pipe::{Pipe, PipeListener, pipe};
pub use server::{Gate, NotAdmitted, Observer, OpenGate, Pinned, StreamId, TableSync, serve};
pub use tls::{Loaded, ServerIdentity, TlsError, server_config, tls_incoming};

/// The one method of the service of `proto/table_sync.proto`.
const METHOD: &str = "/rivmesh.sync.v1alpha1.TableSync/Subscribe";

/// How often an idle connection is probed, and how long the answer may take: a partition is noticed within both.
const KEEP_ALIVE: std::time::Duration = std::time::Duration::from_secs(20);
const KEEP_ALIVE_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);
