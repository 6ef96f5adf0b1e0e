//! End-to-end tests against the real binaries: a throw-away PKI, scripted producers, a raw consumer, a platform process
//! in a temporary directory, and the data-driven conformance suite that is built from them.
//!
//! Everything here speaks bytes on sockets on purpose. A suite that used the proxy's own HTTP or XML code would share
//! its mistakes.

pub mod call;
pub mod case;
pub mod check;
pub mod consumer;
pub mod content;
pub mod fixture;
pub mod http;
pub mod matcher;
pub mod pki;
pub mod platform;
pub mod producer;
pub mod report;
pub mod rules;
pub mod runner;
pub mod script;
pub mod table_store;
pub mod variables;
pub mod wire;
