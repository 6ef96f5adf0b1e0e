//! Where objects come from. A source reads, validates and tells what changed, in batches; everything after it (compile,
//! publish, status) is the same whatever the source: a directory of manifests, or a Kubernetes API server.

pub mod directory;
pub(crate) mod files;
mod hsa_units;
pub mod kubernetes;
pub mod manifest;
mod rules;
pub mod schema;
pub mod watch;
mod yaml;

use std::fmt;
use std::sync::Arc;

use rivmesh_table::{HsaTree, Object, ObjectId};

use crate::versions::Versions;

/// What a source tells in one go.
#[derive(Debug, Default)]
pub struct Batch {
    /// What changed since the batch before, in order.
    pub changes: Vec<Change>,
    /// Whether a change may have taken a right away: then nothing may delay it.
    pub urgent: bool,
    /// Everything that is wrong with the source now.
    pub problems: Arc<[Problem]>,
    /// Whether the receiver now knows exactly what the source holds. Nothing is compiled from anything less.
    pub whole: bool,
    /// How far the source has been read.
    pub reach: Reach,
}

/// How far a source has been read, and how far that was needed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reach {
    /// Everything up to these versions is known.
    pub read: Versions,
    /// Whoever has read up to these knows every change.
    pub changed: Versions,
}

/// One change.
#[derive(Debug)]
pub enum Change {
    /// An object is new or different.
    Upsert(Box<Object>),
    /// An object is gone.
    Remove(ObjectId),
    /// An object is there and cannot be read as its kind. It counts for nothing, and is told so.
    Undecodable {
        /// Which.
        id: ObjectId,
        /// Tells it from an earlier one of the same name.
        uid: String,
        /// Its generation.
        generation: i64,
        /// What is wrong with it.
        reason: String,
    },
    /// The HSA tree is new or different.
    HsaTree(HsaTree),
}

/// Something that a person should mend. It harms nothing but what it names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The file, relative to the directory of manifests if it lies there.
    pub file: String,
    /// The line, counted from 1, where one is to blame.
    pub line: Option<u32>,
    /// The object that it concerns, if that much is known.
    pub object: Option<ObjectId>,
    /// What is wrong and what to do.
    pub reason: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if let Some(object) = &self.object {
            write!(f, ": {} {object}", object.kind)?;
        }
        write!(f, ": {}", self.reason)
    }
}
