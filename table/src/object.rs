//! What goes into the compiler: the three kinds of objects with as much metadata as decides anything. The source
//! (API server, directory, test) is of no concern here, so this is not a Kubernetes object.

use std::fmt;

use rivmesh_crds::{CallAuthorizationSpec, Kind, RoutingEntrySpec, ServiceContractSpec};

/// Which object. Shown as `namespace/name`; the kind is said by whoever shows it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId {
    /// The kind.
    pub kind: Kind,
    /// The namespace; in standalone the one that the manifest names, else `default`.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// An object's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spec {
    /// Gives routes.
    RoutingEntry(RoutingEntrySpec),
    /// Gives authorisations.
    CallAuthorization(CallAuthorizationSpec),
    /// Gives one contract's settings.
    ServiceContract(ServiceContractSpec),
}

impl Spec {
    /// The kind that has such a content.
    pub fn kind(&self) -> Kind {
        match self {
            Self::RoutingEntry(_) => Kind::RoutingEntry,
            Self::CallAuthorization(_) => Kind::CallAuthorization,
            Self::ServiceContract(_) => Kind::ServiceContract,
        }
    }
}

/// An object as the compiler takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Which object; its kind must be the spec's.
    pub id: ObjectId,
    /// `metadata.uid`, where there is one: tells it from an earlier object of the same name. It decides nothing about rows.
    pub uid: Option<String>,
    /// `metadata.generation`; in standalone a counter of edits.
    pub generation: i64,
    /// `metadata.creationTimestamp` in Unix seconds, where there is one. The older of two rivals wins.
    pub created: Option<i64>,
    /// Path of the manifest, where the objects come from files. Decides between rivals without age.
    pub path: Option<String>,
    /// The content.
    pub spec: Spec,
}
