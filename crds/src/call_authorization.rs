//! CallAuthorization: which consumers may call which contracts at which logical addresses (Swedish: anropsbehörighet).

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema;
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
    doc = "Lets every listed consumer call every listed contract at every listed logical address (anropsbehörighet).",
    shortname = "callauth",
    shortname = "behorighet",
    category = "tak",
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(
        name = "Programmed",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Programmed")].status"#
    ),
    printcolumn(name = "Rows", type_ = "integer", json_path = ".status.rows.total"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].reason"#,
        priority = 1
    ),
    printcolumn(name = "Rejected", type_ = "integer", json_path = ".status.rows.rejected", priority = 1),
    printcolumn(name = "Consumers", type_ = "string", json_path = ".spec.consumers", priority = 1),
    printcolumn(name = "Agreement", type_ = "string", json_path = ".spec.agreement", priority = 1),
    printcolumn(name = "From", type_ = "string", json_path = ".spec.validity.from", priority = 1),
    printcolumn(name = "To", type_ = "string", json_path = ".spec.validity.to", priority = 1),
    printcolumn(name = "Suspended", type_ = "boolean", json_path = ".spec.suspend", priority = 1),
    status = "Status",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = schema::plain)]
#[x_kube(validation = schema::rows_are_bounded(&["consumers", "serviceContracts", "logicalAddresses"]))]
pub struct CallAuthorizationSpec {
    /// HSA-ids of the consumers, as in their certificates.
    #[schemars(schema_with = "schema::consumers")]
    pub consumers: Vec<String>,
    /// The contracts, each by its payload namespace.
    #[schemars(schema_with = "schema::contracts")]
    pub service_contracts: Vec<String>,
    /// The logical addresses; "*" is every address without a grant of its own.
    #[schemars(schema_with = "schema::addresses")]
    pub logical_addresses: Vec<String>,
    /// When the grant holds; always, if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validity: Option<Validity>,
    /// The integration agreement that it rests on (integrationsavtal), for people and catalogues.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::agreement")]
    pub agreement: Option<String>,
    /// What an engagement index may notify the consumers about; everything, if empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::filters")]
    pub filters: Vec<Filter>,
    /// The kill switch: true takes every row of this object out of the tables.
    #[serde(default)]
    pub suspend: bool,
}

/// Narrows notifications to one service domain, and within it to some categorizations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = schema::plain)]
pub struct Filter {
    /// The service domain, as riv:clinicalprocess:healthcond:description.
    #[schemars(schema_with = "schema::service_domain")]
    pub service_domain: String,
    /// Categorizations within the domain; all of them, if empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::categorizations")]
    pub categorizations: Vec<String>,
}
