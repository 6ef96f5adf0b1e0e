//! The control plane: objects come from a source, are compiled to tables, published to dataplanes, and get a status.
//!
//! Data flows one way: `source` -> `publish` -> the streams of `rivmesh_sync` -> `ledger`, where what the dataplanes
//! applied meets what the compiler said. [`control_plane`] puts the parts together, for the operator's own process and
//! for one that runs a dataplane beside it.

pub mod control_plane;
pub mod debounce;
pub mod guard;
pub mod ledger;
pub mod notice;
pub mod publish;
mod revocation;
pub mod serve;
pub mod source;
pub mod status;

pub use control_plane::{ControlPlane, Options};
