//! CallAuthorization: which consumers may call which contracts at which logical addresses (Swedish: anropsbehörighet).

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::status::Status;
use crate::validity::Validity;

/// Lets every listed consumer call every listed contract at every listed logical address.
#[derive(CustomResource, Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "rivmesh.io",
    version = "v1alpha1",
    kind = "CallAuthorization",
    plural = "callauthorizations",
    namespaced,
    status = "Status",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct CallAuthorizationSpec {
    /// HSA-ids of the consumers, as in their certificates.
    pub consumers: Vec<String>,
    /// The contracts, each by its payload namespace.
    pub service_contracts: Vec<String>,
    /// The logical addresses; "*" is every address without a grant of its own.
    pub logical_addresses: Vec<String>,
    /// When the grant holds; always, if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validity: Option<Validity>,
    /// The integration agreement that it rests on (integrationsavtal), for people and catalogues.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agreement: Option<String>,
    /// What an engagement index may notify the consumers about; everything, if empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<Filter>,
    /// The kill switch: true takes every row of this object out of the tables.
    #[serde(default)]
    pub suspend: bool,
}

/// Narrows notifications to one service domain, and within it to some categorizations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Filter {
    /// The service domain, as riv:clinicalprocess:healthcond:description.
    pub service_domain: String,
    /// Categorizations within the domain; all of them, if empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub categorizations: Vec<String>,
}
