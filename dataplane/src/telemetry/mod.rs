//! What the platform tells about itself: one log line per call, security and life-cycle events, metrics, and the trace
//! context that travels with a call. The request path only fills a [`record::CallRecord`] and adds to counters;
//! formatting, writing and encoding happen on other threads.

pub mod fields;
mod hex;
mod json;
pub mod log;
pub mod metrics;
#[cfg(test)]
mod pages;
mod personal;
pub mod record;
pub mod table;
pub mod trace;
