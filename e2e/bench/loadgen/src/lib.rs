//! Load generator and producer stand-in for benchmarks of SOAP over mutual TLS.
//!
//! It shares the machine with what it measures, so it is built to cost little: one thread, prepared requests, no
//! HTTP library. It is not a client for anything else.

pub mod exchange;
pub mod histogram;
pub mod load;
pub mod processes;
pub mod report;
pub mod soap;
pub mod tls;
