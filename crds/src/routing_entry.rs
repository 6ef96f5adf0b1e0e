//! RoutingEntry: one producer, and the contracts and logical addresses that are routed to it (Swedish: vägval).

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    status = "Status",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct RoutingEntrySpec {
    /// The contracts, each by its payload namespace.
    pub service_contracts: Vec<String>,
    /// The logical addresses; "*" is the default route.
    pub logical_addresses: Vec<String>,
    /// Where the calls go.
    pub producer: Producer,
    /// When the route holds; always, if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validity: Option<Validity>,
    /// Breaks conflicts before age does: the higher one wins. 0 if left out.
    #[serde(default)]
    pub precedence: i32,
    /// The kill switch: true takes every row of this object out of the tables.
    #[serde(default)]
    pub suspend: bool,
    /// Optional text for each logical address, for people and catalogues.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub descriptions: BTreeMap<String, String>,
}

/// A service component that answers calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Producer {
    /// HSA-id of the service component, for catalogue and statistics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hsa_id: Option<String>,
    /// RIV-TA profile that the producer speaks.
    pub profile: String,
    /// Its endpoints, in order of preference.
    pub endpoints: Vec<Endpoint>,
}

/// One URL of a producer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    /// Absolute URL.
    pub url: String,
    /// Most calls in flight to this endpoint from one dataplane pod; the platform's default if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_in_flight: Option<u32>,
}
