//! The dataplane: it terminates mutual TLS from consumers, reads just enough of each SOAP message to decide where it
//! goes and whether it may, and streams it to the producer over mutual TLS. It knows routing tables and RIV-TA, and
//! nothing about Kubernetes; it never waits for the control plane.

pub mod admin;
pub mod app;
pub mod args;
mod call;
mod caller;
pub mod config;
mod connection;
pub mod control;
pub mod crl_fetch;
mod exchange;
#[doc(hidden)]
pub mod fuzzing;
pub mod http1;
mod listen;
mod open_files;
pub mod ready;
pub mod settings;
pub mod telemetry;
pub mod tls;
mod upkeep;
mod upstream;
mod worker;
