//! The status that all three kinds share.
//!
//! It says in a fixed, small size what became of an object that may stand for 20,000 rows: the conditions, three numbers, and the first few
//! rows that were refused, each with its own reason.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::conditions::Condition;
use crate::limits::ROW_ERRORS;
use crate::reason::Reason;
use crate::schema;

/// What became of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(transform = schema::plain)]
pub struct Status {
    /// The generation of the object that was judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Accepted, ResolvedRefs, Programmed and Ready.
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
    /// How many rows the object stands for.
    pub rows: RowCounts,
    /// The first rows that were refused.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "known_row_errors")]
    #[schemars(schema_with = "schema::row_errors")]
    pub row_errors: Vec<RowError>,
}

/// How many rows an object stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = schema::plain)]
pub struct RowCounts {
    /// All of them.
    #[schemars(schema_with = "schema::count")]
    pub total: u32,
    /// Those that every ready dataplane routes by.
    #[schemars(schema_with = "schema::count")]
    pub programmed: u32,
    /// Those that were refused.
    #[schemars(schema_with = "schema::count")]
    pub rejected: u32,
}

/// One row that was refused. Fields that do not apply to the kind, or that the error is not about, are absent.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(transform = schema::plain)]
pub struct RowError {
    /// The service contract, as written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_contract: Option<String>,
    /// The logical address, as written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logical_address: Option<String>,
    /// The consumer, as written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumer: Option<String>,
    /// One word from the closed list of reasons.
    #[schemars(with = "String")]
    pub reason: Reason,
    /// The same for people: what is wrong, which object won if it was a conflict, and what to write instead.
    #[schemars(schema_with = "schema::message")]
    pub message: String,
}

/// Row errors whose reason this version knows: what a newer operator wrote must not make the object unreadable.
fn known_row_errors<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<RowError>, D::Error> {
    let errors = Vec::<serde_json::Value>::deserialize(deserializer)?;
    Ok(errors.into_iter().filter_map(|error| serde_json::from_value(error).ok()).take(ROW_ERRORS as usize).collect())
}
