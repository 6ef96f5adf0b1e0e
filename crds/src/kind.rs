//! The three kinds by name, for whoever reads manifests, names objects or writes schemas.

use std::fmt;
use std::str::FromStr;

/// The API group of every rivmesh resource.
pub const GROUP: &str = "rivmesh.io";
/// The one served version of the group.
pub const VERSION: &str = "v1alpha1";
/// What a manifest writes as `apiVersion`.
pub const API_VERSION: &str = "rivmesh.io/v1alpha1";

/// One of the three kinds. They order as they are declared, which is the order in which documentation and output list them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Where calls go.
    RoutingEntry,
    /// Who may call.
    CallAuthorization,
    /// Settings of one service contract.
    ServiceContract,
}

impl Kind {
    /// All kinds, in order.
    pub const ALL: [Self; 3] = [Self::RoutingEntry, Self::CallAuthorization, Self::ServiceContract];

    /// The name as a manifest writes it in `kind`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RoutingEntry => "RoutingEntry",
            Self::CallAuthorization => "CallAuthorization",
            Self::ServiceContract => "ServiceContract",
        }
    }

    /// The plural, lower-case name in API paths and file names.
    pub const fn plural(self) -> &'static str {
        match self {
            Self::RoutingEntry => "routingentries",
            Self::CallAuthorization => "callauthorizations",
            Self::ServiceContract => "servicecontracts",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is not the name of one of our kinds.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a kind of {API_VERSION}: write RoutingEntry, CallAuthorization or ServiceContract")]
pub struct UnknownKind(pub String);

impl FromStr for Kind {
    type Err = UnknownKind;

    /// Reads the exact name; Kubernetes compares kinds with regard to case.
    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or_else(|| UnknownKind(text.to_owned()))
    }
}
