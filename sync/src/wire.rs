//! The messages of `proto/table_sync.proto`, which explains them.
//! Generated: edit the proto, then run `cargo run -p rivmesh-sync --example generate_wire`.

/// What a dataplane says.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct ClientMessage {
    /// Exactly one; a message without any breaks the protocol.
    #[prost(oneof = "client_message::Kind", tags = "1, 2, 3, 4")]
    pub kind: ::core::option::Option<client_message::Kind>,
}
/// Nested message and enum types in `ClientMessage`.
pub mod client_message {
    /// Exactly one; a message without any breaks the protocol.
    #[derive(Clone, PartialEq, ::prost::Oneof)]
    pub enum Kind {
        /// The first message of a stream, once.
        #[prost(message, tag = "1")]
        Hello(super::Hello),
        /// Answers a manifest: the shards that are lacking.
        #[prost(message, tag = "2")]
        Need(super::Need),
        /// The manifest in flight now serves traffic.
        #[prost(message, tag = "3")]
        Applied(super::Applied),
        /// The manifest in flight was refused; the table before it still serves.
        #[prost(message, tag = "4")]
        Rejected(super::Rejected),
    }
}
/// What an operator says.
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct ServerMessage {
    /// Exactly one; a message without any breaks the protocol.
    #[prost(oneof = "server_message::Kind", tags = "1, 2")]
    pub kind: ::core::option::Option<server_message::Kind>,
}
/// Nested message and enum types in `ServerMessage`.
pub mod server_message {
    /// Exactly one; a message without any breaks the protocol.
    #[derive(Clone, PartialEq, Eq, Hash, ::prost::Oneof)]
    pub enum Kind {
        /// A table that the dataplane should serve.
        #[prost(message, tag = "1")]
        Manifest(super::Manifest),
        /// One of the shards that were asked for.
        #[prost(message, tag = "2")]
        Shard(super::Shard),
    }
}
/// Opens a stream.
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct Hello {
    /// The dataplane's name for people: its pod name. At most 253 characters.
    #[prost(string, tag = "1")]
    pub pod: ::prost::alloc::string::String,
    /// The oldest table format that it reads.
    #[prost(uint32, tag = "2")]
    pub oldest_format: u32,
    /// The newest table format that it reads.
    #[prost(uint32, tag = "3")]
    pub newest_format: u32,
    /// Digest of the manifest that it serves now, in the format in which it got it. Empty when it has no table.
    #[prost(bytes = "bytes", tag = "4")]
    pub applied: ::prost::bytes::Bytes,
    /// The uid of its pod, where it runs in a cluster; else empty. Compared with what its credentials say.
    #[prost(string, tag = "5")]
    pub pod_uid: ::prost::alloc::string::String,
    /// The environment that it belongs to, as production; empty from versions that did not say.
    #[prost(string, tag = "6")]
    pub environment: ::prost::alloc::string::String,
}
/// Names every shard of one table, and from format 2 on the environment that the table is for. A dataplane refuses a table
/// of another environment than its own.
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct Manifest {
    /// Counts the tables of this operator process. For people: what is equal is told by digests alone.
    #[prost(uint64, tag = "1")]
    pub epoch: u64,
    /// Digest of the encoded manifest.
    #[prost(bytes = "bytes", tag = "2")]
    pub digest: ::prost::bytes::Bytes,
    /// Digest of the manifest that `data` is a patch on, which may be in another format; empty when `data` is whole.
    #[prost(bytes = "bytes", tag = "3")]
    pub base: ::prost::bytes::Bytes,
    /// Length of the encoded manifest, in bytes.
    #[prost(uint32, tag = "4")]
    pub length: u32,
    /// The encoded manifest, zstd-compressed, as a patch on `base` if there is one. Empty when `base` is the digest
    /// itself: the dataplane serves this table already.
    #[prost(bytes = "bytes", tag = "5")]
    pub data: ::prost::bytes::Bytes,
}
/// Asks for shards of the manifest in flight. Not sent when nothing is lacking.
#[derive(Clone, PartialEq, ::prost::Message)]
pub struct Need {
    /// Digest of the manifest.
    #[prost(bytes = "bytes", tag = "1")]
    pub digest: ::prost::bytes::Bytes,
    /// The shards, each once.
    #[prost(message, repeated, tag = "2")]
    pub wants: ::prost::alloc::vec::Vec<Want>,
}
/// One shard that is lacking.
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct Want {
    /// Its slot in the manifest.
    #[prost(uint32, tag = "1")]
    pub slot: u32,
    /// The digest that the manifest names for this slot.
    #[prost(bytes = "bytes", tag = "2")]
    pub digest: ::prost::bytes::Bytes,
    /// Digest of the shard that the dataplane holds in this slot, if it can apply a patch on it; else empty.
    #[prost(bytes = "bytes", tag = "3")]
    pub base: ::prost::bytes::Bytes,
}
/// One shard.
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct Shard {
    /// Digest of its bytes.
    #[prost(bytes = "bytes", tag = "1")]
    pub digest: ::prost::bytes::Bytes,
    /// Digest of the shard that `data` is a patch on; empty when `data` is whole.
    #[prost(bytes = "bytes", tag = "2")]
    pub base: ::prost::bytes::Bytes,
    /// Its bytes, zstd-compressed, with the base as a raw dictionary. The manifest says how long it is.
    #[prost(bytes = "bytes", tag = "3")]
    pub data: ::prost::bytes::Bytes,
}
/// Acknowledges: the dataplane serves this manifest.
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct Applied {
    /// Digest of the manifest.
    #[prost(bytes = "bytes", tag = "1")]
    pub digest: ::prost::bytes::Bytes,
}
/// Refuses: the dataplane goes on with the table that it had.
#[derive(Clone, PartialEq, Eq, Hash, ::prost::Message)]
pub struct Rejected {
    /// Digest of the manifest.
    #[prost(bytes = "bytes", tag = "1")]
    pub digest: ::prost::bytes::Bytes,
    /// The slot whose shard was at fault, if one was.
    #[prost(uint32, optional, tag = "2")]
    pub slot: ::core::option::Option<u32>,
    /// The row at fault within that shard, if one was.
    #[prost(uint32, optional, tag = "3")]
    pub row: ::core::option::Option<u32>,
    /// One sentence.
    #[prost(string, tag = "4")]
    pub reason: ::prost::alloc::string::String,
}
