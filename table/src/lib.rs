//! Routing tables: objects to rows to shards to bytes, look-up and explanation.
