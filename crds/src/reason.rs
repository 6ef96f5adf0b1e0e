//! The closed list of reasons: why a condition or a row is as it is.
//!
//! Tools and people match on these words, so a word never changes its meaning. Each has a section with cause and cure in the reference
//! documentation (`docs/src/reference/reasons.md`); a test keeps the two lists equal.

use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Why a condition or a row is as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// Every row of the object is usable.
    Accepted,
    /// Some rows are usable, the others were refused.
    PartiallyAccepted,
    /// `suspend: true`: the object is understood and none of its rows are in the tables.
    Suspended,
    /// No row is usable, and the rows were refused for different reasons.
    Invalid,
    /// The manifest could not be read as its kind.
    Undecodable,
    /// The object stands for more rows than an object, its namespace or the platform may hold.
    TooManyRows,
    /// Another object claims the same key at the same time, and wins.
    Conflict,
    /// A logical address has characters that none may have.
    InvalidAddress,
    /// A consumer is not an HSA-id; `*` is none.
    InvalidConsumer,
    /// A service contract is not a payload namespace.
    InvalidContract,
    /// A profile is empty or has white space.
    InvalidProfile,
    /// An endpoint is not a usable URL, or there is none.
    InvalidEndpoint,
    /// An `http://` endpoint whose host is not listed as internal.
    InsecureEndpoint,
    /// The validity cannot be read, or its ends are in the wrong order.
    InvalidValidity,
    /// A filter has no service domain or has white space where none may be.
    InvalidFilter,
    /// A setting of a ServiceContract is out of its bounds.
    InvalidSetting,
    /// Everything that the object refers to exists.
    ResolvedRefs,
    /// A contract has no ServiceContract; the platform's defaults apply.
    UnknownContract,
    /// Every ready dataplane routes by this generation.
    Programmed,
    /// Not every ready dataplane has answered yet.
    Pending,
    /// No dataplane is connected.
    NoDataplane,
    /// The shrink guard holds the table back.
    Held,
    /// A dataplane could not use the table.
    Rejected,
    /// The object is accepted whole and in force everywhere.
    Ready,
    /// Not ready, for a reason that no other word covers.
    NotReady,
}

impl Reason {
    /// All reasons, in the order of the documentation.
    pub const ALL: [Self; 25] = [
        Self::Accepted,
        Self::PartiallyAccepted,
        Self::Suspended,
        Self::Invalid,
        Self::Undecodable,
        Self::TooManyRows,
        Self::Conflict,
        Self::InvalidAddress,
        Self::InvalidConsumer,
        Self::InvalidContract,
        Self::InvalidProfile,
        Self::InvalidEndpoint,
        Self::InsecureEndpoint,
        Self::InvalidValidity,
        Self::InvalidFilter,
        Self::InvalidSetting,
        Self::ResolvedRefs,
        Self::UnknownContract,
        Self::Programmed,
        Self::Pending,
        Self::NoDataplane,
        Self::Held,
        Self::Rejected,
        Self::Ready,
        Self::NotReady,
    ];

    /// The word as it stands in a status, a log line and a metric label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::PartiallyAccepted => "PartiallyAccepted",
            Self::Suspended => "Suspended",
            Self::Invalid => "Invalid",
            Self::Undecodable => "Undecodable",
            Self::TooManyRows => "TooManyRows",
            Self::Conflict => "Conflict",
            Self::InvalidAddress => "InvalidAddress",
            Self::InvalidConsumer => "InvalidConsumer",
            Self::InvalidContract => "InvalidContract",
            Self::InvalidProfile => "InvalidProfile",
            Self::InvalidEndpoint => "InvalidEndpoint",
            Self::InsecureEndpoint => "InsecureEndpoint",
            Self::InvalidValidity => "InvalidValidity",
            Self::InvalidFilter => "InvalidFilter",
            Self::InvalidSetting => "InvalidSetting",
            Self::ResolvedRefs => "ResolvedRefs",
            Self::UnknownContract => "UnknownContract",
            Self::Programmed => "Programmed",
            Self::Pending => "Pending",
            Self::NoDataplane => "NoDataplane",
            Self::Held => "Held",
            Self::Rejected => "Rejected",
            Self::Ready => "Ready",
            Self::NotReady => "NotReady",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is no reason of this version.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a reason that this version knows")]
pub struct UnknownReason(pub String);

impl FromStr for Reason {
    type Err = UnknownReason;

    fn from_str(text: &str) -> Result<Self, UnknownReason> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text).ok_or_else(|| UnknownReason(text.to_owned()))
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Reason {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}
