//! The control plane: objects come from a source, are compiled to tables, published to dataplanes, and get a status.
//!
//! Data flows one way: `source` -> `publish` -> the streams of `rivmesh_sync` -> `ledger`, where what the dataplanes
//! applied meets what the compiler said. [`control_plane`] puts the parts together for a directory of manifests, with or
//! without a dataplane in the same process, and [`cluster`] for a Kubernetes cluster, where statuses are written back.

mod admin;
pub mod args;
pub mod cluster;
pub mod control_plane;
pub mod debounce;
pub mod guard;
pub mod ledger;
mod metrics;
pub mod notice;
pub mod publish;
mod revocation;
pub mod rollout;
pub mod serve;
pub mod source;
pub mod status;
pub mod versions;

pub use control_plane::{ControlPlane, Options};
