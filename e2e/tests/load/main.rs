//! The platform under load, and among peers that mean it harm: a thousand calls while everything changes, large messages
//! to slow readers, hundreds of connections that never say what they want. One program, so that its tests can take turns:
//! each of them needs the machine for itself.
#![allow(clippy::unwrap_used, reason = "a helper of a test fails as a test does")]

mod churn;
mod greed;
mod memory;
mod message;
mod peer;
mod producer;
mod rig;
mod sealed;
