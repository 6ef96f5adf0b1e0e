//! What the kinds accept and refuse, and the words in which they answer.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed, which is what it is for")]

mod agreement;
mod apply;
mod bounds;
mod cases;
mod conditions;
mod examples;
mod published;
mod refusals;
mod statuses;
