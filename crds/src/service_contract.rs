//! ServiceContract: settings of one service contract and major version (Swedish: tjänstekontrakt).
//!
//! It is optional: a contract without one is routed with the platform's defaults, so the order in which objects are applied does not matter.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema;
use crate::status::Status;

/// Settings of one service contract. What is left out follows the platform.
#[derive(CustomResource, Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "rivmesh.io",
    version = "v1alpha1",
    kind = "ServiceContract",
    plural = "servicecontracts",
    namespaced,
    doc = "Settings of one service contract and major version (tjänstekontrakt).",
    shortname = "svccontract",
    shortname = "kontrakt",
    category = "tak",
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(
        name = "Programmed",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Programmed")].status"#
    ),
    printcolumn(name = "Contract", type_ = "string", json_path = ".spec.urn"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].reason"#,
        priority = 1
    ),
    printcolumn(name = "Title", type_ = "string", json_path = ".spec.title", priority = 1),
    printcolumn(name = "Version", type_ = "string", json_path = ".spec.version", priority = 1),
    printcolumn(name = "Timeout", type_ = "string", json_path = ".spec.timeout", priority = 1),
    status = "Status",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = schema::plain)]
pub struct ServiceContractSpec {
    /// The payload namespace, with the major version last.
    #[schemars(schema_with = "schema::urn")]
    pub urn: String,
    /// Name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::title")]
    pub title: Option<String>,
    /// Major and minor version, informative.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::version")]
    pub version: Option<String>,
    /// Profiles that consumers may call with; all, if empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::profiles")]
    pub profiles: Vec<String>,
    /// Longest wait for the producer's whole answer, as 29s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::timeout")]
    pub timeout: Option<String>,
    /// True if a call may be sent again when it is unclear whether it arrived.
    #[serde(default)]
    pub idempotent: bool,
    /// Largest message, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::max_message_bytes")]
    pub max_message_bytes: Option<u64>,
    /// How the route of a call is looked up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub routing: Option<LookupSwitches>,
    /// How the grant of a call is looked up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization: Option<LookupSwitches>,
    /// True accepts legacy addresses of the form VE#VG.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub legacy_addresses: Option<bool>,
}

/// What may stand in when an address has no row of its own. What is left out follows the platform.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = schema::plain)]
pub struct LookupSwitches {
    /// Climb the HSA hierarchy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hierarchy: Option<bool>,
    /// Fall back to the default address "*".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<bool>,
}
