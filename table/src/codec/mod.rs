//! Shards as bytes. A shard is canonical (sorted, no maps, no clocks), is read in place without copying its rows, and
//! is verified whole before anything looks into it: whoever gets bytes from the network or a disk may pass them in.

pub(crate) mod bytes;
pub(crate) mod draft;
pub(crate) mod hsa;
pub(crate) mod index;
pub(crate) mod names;
pub(crate) mod records;
pub(crate) mod rows;
pub(crate) mod settings;
