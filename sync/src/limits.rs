//! Every bound of the protocol, so that neither side can make the other allocate or wait without end. A compiled
//! table stays far below them; they exist for a peer that is broken or hostile.

use std::time::Duration;

/// The longest encoded manifest, in bytes: room for every possible slot.
pub const MAX_MANIFEST_BYTES: usize = 4 << 20;

/// The longest shard before compression, in bytes.
pub const MAX_SHARD_BYTES: usize = 64 << 20;

/// All shards of one table together before compression, in bytes.
pub const MAX_TABLE_BYTES: u64 = 2 << 30;

/// The longest message that a dataplane accepts, in bytes: one incompressible shard and its envelope.
pub const MAX_SERVER_MESSAGE_BYTES: usize = MAX_SHARD_BYTES + (1 << 20);

/// The longest message that an operator accepts, in bytes: a request for every possible slot.
pub const MAX_CLIENT_MESSAGE_BYTES: usize = 4 << 20;

/// The longest pod name in a hello, in bytes: that of a Kubernetes name.
pub const MAX_POD_NAME: usize = 253;

pub use rivmesh_table::MAX_ENVIRONMENT;

/// The longest reason in a refusal, in bytes.
pub const MAX_REASON: usize = 1024;

/// Earlier versions of one slot that an operator keeps as bases for patches.
pub const KEPT_VERSIONS: usize = 4;

/// All earlier versions that an operator keeps, in bytes.
pub const KEPT_BYTES: usize = 128 << 20;

/// Earlier manifests that an operator keeps as bases for patches.
pub const KEPT_MANIFESTS: usize = 16;

/// A dataplane that has not answered a manifest for this long is named as silent.
pub const SILENT_AFTER: Duration = Duration::from_secs(60);

/// A dataplane that has not answered a manifest for this long loses its stream.
pub const GIVE_UP_AFTER: Duration = Duration::from_secs(300);

/// An operator that stops in the middle of the shards for this long loses its stream.
pub const STALLED_AFTER: Duration = Duration::from_secs(60);

/// A refused manifest is offered again after this long, then after twice as long each time.
pub const FIRST_RETRY: Duration = Duration::from_secs(30);

/// The longest time between two offers of a refused manifest.
pub const LAST_RETRY: Duration = Duration::from_secs(600);

/// The age at which a stream's credentials are reviewed, give or take a fifth: so that a revoked account loses its
/// stream, and streams spread over operators that came later.
pub const REVIEW_AFTER: Duration = Duration::from_secs(1800);

/// When nobody could review the credentials of an old stream, the next attempt comes after this long.
pub const REVIEW_AGAIN: Duration = Duration::from_secs(60);

/// Streams that an operator serves at a time; more dataplanes than any platform has.
pub const MAX_STREAMS: usize = 2000;
