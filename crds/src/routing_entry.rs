//! RoutingEntry: one producer, and the contracts and logical addresses that are routed to it (Swedish: vägval).

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema;
use crate::status::Status;
use crate::validity::Validity;

/// Routes every listed contract at every listed logical address to one producer.
#[derive(CustomResource, Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "rivmesh.io",
    version = "v1alpha1",
    kind = "RoutingEntry",
    plural = "routingentries",
    namespaced,
    doc = "Routes every listed contract at every listed logical address to one producer (vägval).",
    shortname = "rte",
    shortname = "vagval",
    category = "tak",
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(
        name = "Programmed",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Programmed")].status"#
    ),
    printcolumn(name = "Rows", type_ = "integer", json_path = ".status.rows.total"),
    printcolumn(name = "Producer", type_ = "string", json_path = ".spec.producer.endpoints[0].url"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].reason"#,
        priority = 1
    ),
    printcolumn(name = "Rejected", type_ = "integer", json_path = ".status.rows.rejected", priority = 1),
    printcolumn(name = "HSA-id", type_ = "string", json_path = ".spec.producer.hsaId", priority = 1),
    printcolumn(name = "Profile", type_ = "string", json_path = ".spec.producer.profile", priority = 1),
    printcolumn(name = "From", type_ = "string", json_path = ".spec.validity.from", priority = 1),
    printcolumn(name = "To", type_ = "string", json_path = ".spec.validity.to", priority = 1),
    printcolumn(name = "Suspended", type_ = "boolean", json_path = ".spec.suspend", priority = 1),
    status = "Status",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = schema::plain)]
#[x_kube(validation = schema::rows_are_bounded(&["serviceContracts", "logicalAddresses"]))]
pub struct RoutingEntrySpec {
    /// The contracts, each by its payload namespace.
    #[schemars(schema_with = "schema::contracts")]
    pub service_contracts: Vec<String>,
    /// The logical addresses; "*" is the default route.
    #[schemars(schema_with = "schema::addresses")]
    pub logical_addresses: Vec<String>,
    /// Where the calls go.
    pub producer: Producer,
    /// When the route holds; always, if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validity: Option<Validity>,
    /// Breaks conflicts before age does: the higher one wins. 0 if left out.
    #[serde(default)]
    #[schemars(schema_with = "schema::precedence")]
    pub precedence: i32,
    /// The kill switch: true takes every row of this object out of the tables.
    #[serde(default)]
    pub suspend: bool,
    /// Optional text for each logical address, for people and catalogues.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::descriptions")]
    pub descriptions: BTreeMap<String, String>,
}

/// A service component that answers calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = schema::plain)]
pub struct Producer {
    /// HSA-id of the service component, for catalogue and statistics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::hsa_id")]
    pub hsa_id: Option<String>,
    /// RIV-TA profile that the producer speaks.
    #[schemars(schema_with = "schema::profile")]
    pub profile: String,
    /// Its endpoints, in order of preference.
    #[schemars(schema_with = "schema::endpoints")]
    pub endpoints: Vec<Endpoint>,
}

/// One URL of a producer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = schema::plain)]
pub struct Endpoint {
    /// Absolute URL.
    #[schemars(schema_with = "schema::url")]
    pub url: String,
    /// Most calls in flight to this endpoint from one dataplane pod; the platform's default if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::max_in_flight")]
    pub max_in_flight: Option<u32>,
}
