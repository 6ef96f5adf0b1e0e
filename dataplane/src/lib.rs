//! The proxy: TLS, identity, peek, decide, forward.
