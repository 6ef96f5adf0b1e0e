//! How routing tables travel from an operator to its dataplanes, and how a dataplane keeps the last good one on disk.
//!
//! [`ServerStream`] and [`Client`] hold the protocol without any I/O or clock: messages and ticks go in, messages and
//! events come out, so that a simulation can put them through every order of partition and crash. [`grpc`] carries
//! their messages over TLS or an in-process pipe, and [`feed`] is the task that a dataplane runs.
//!
//! A table is replaced only by one whose every shard was verified, and always as a whole: one manifest is one epoch.

mod background;
mod backoff;
mod client;
mod convert;
mod deadline;
pub mod disk;
pub mod feed;
pub mod grpc;
pub mod limits;
mod patch;
mod published;
mod server;
mod transfer;
#[rustfmt::skip]
pub mod wire;

pub use backoff::Backoff;
pub use client::{Action, Client, Identity};
pub use published::{Incomplete, Published};
pub use server::{Admission, Event, PodIdentity, ServerStream, Step};
pub use transfer::{Refusal, Transfer};
