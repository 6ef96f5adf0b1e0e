//! Routing tables: objects to rows to shards to bytes, look-up and explanation.
//!
//! The control plane feeds objects to a [`Compiler`] and ships what it gives, a [`Manifest`] and shards; the dataplane
//! assembles them to a [`Table`] and asks it for decisions. The crate is pure: no I/O, no clock, no async. The same
//! objects give the same bytes, and the same bytes, question and instant the same decision, everywhere.

mod codec;
mod compile;
mod contract_name;
mod environment;
mod explain;
mod fold;
#[doc(hidden)]
pub mod fuzzing;
pub mod handmade;
mod hsa;
mod internal;
mod lookup;
mod manifest;
mod near_miss;
mod object;
mod shown;
mod slot;
mod table;
mod threads;
mod trail;

use std::ops::RangeInclusive;

pub use codec::bytes::Malformed;
pub use codec::records::{EndpointRef, Endpoints, Owner};
pub use codec::settings::{ContractSettings, LookupOverride};
pub use compile::{Compilation, CompileOptions, Compiler, RowLimits, Verdict};
pub use environment::{Environment, MAX_ENVIRONMENT, NoEnvironment};
pub use explain::{Attempt, Explanation, Outcome, RowState, RowStory, SearchStory};
pub use hsa::{HsaError, HsaTree, MAX_UNITS, Warning};
pub use internal::InternalHosts;
pub use lookup::{Decision, Grant, Level, Lookup, NotAuthorized, Query, Route, RouteError, Switches};
pub use manifest::{Counts, Manifest, ManifestError, SlotRef, UnknownFormat};
pub use near_miss::{NearMiss, NearMissKind};
pub use object::{Object, ObjectId, Spec};
pub use rivmesh_crds::Kind;
pub use rivmesh_crds::names::DEFAULT_ADDRESS;
pub use slot::{Digest, HSA_SLOTS, ROW_SLOTS, SlotContent, SlotId};
pub use table::{AuthorizationRow, RouteRow, Table, TableError};

/// The newest table format, which this version writes and reads: manifests name the environment.
pub const FORMAT: u32 = 2;

/// The oldest table format that this version still writes and reads, for peers of an earlier version.
pub const OLDEST_FORMAT: u32 = 1;

/// All table formats that this version writes and reads. They differ in the manifest; shards are the same bytes in all.
pub const FORMATS: RangeInclusive<u32> = OLDEST_FORMAT..=FORMAT;
