//! The way to the producers: endpoints with their limits and health, shared by the whole pod, and connections that are
//! pooled per worker thread. A pooled connection is only ever used again for the same host, port and TLS identity, all
//! of them compared in full, so that no call travels on a connection that speaks for somebody else.

mod connect;
mod endpoint;
mod pool;
mod resolve;

pub(crate) use connect::{ConnectError, connect};
pub(crate) use endpoint::{Endpoint, Permit, Registry};
pub(crate) use pool::{Pool, PoolKey, ProducerConn};
pub(crate) use resolve::Resolver;
