//! What an API server answers to one object: first the keywords of the schema, then, if those hold, the CEL rules.

use kube_cel::Validator;
use rivmesh_crds::{Kind, manifest};
use serde_json::{Value, json};

use crate::bounds::{self, Outcome};

/// The schema of a kind's spec.
pub(crate) fn spec_schema(kind: Kind) -> Value {
    manifest::schema(kind)["properties"]["spec"].clone()
}

/// One complaint: the place in the object, and what it says (the keyword, or the sentence of a rule).
#[derive(Debug, PartialEq)]
pub(crate) struct Complaint {
    pub(crate) at: String,
    pub(crate) says: String,
}

/// Applies a spec, as an API server would.
pub(crate) fn apply(kind: Kind, spec: &Value) -> (Outcome, Vec<Complaint>) {
    let schema = spec_schema(kind);
    let mut outcome = Outcome::default();
    bounds::check(&schema, spec, "spec", "spec", &mut outcome);
    if !outcome.broken.is_empty() {
        let complaints =
            outcome.broken.iter().map(|((_, keyword), at)| Complaint { at: at.clone(), says: keyword.clone() });
        let complaints = complaints.collect();
        return (outcome, complaints);
    }
    let whole = json!({ "type": "object", "properties": { "spec": schema } });
    let complaints = match Validator::new().validate(&whole, &json!({ "spec": spec }), None) {
        Ok(()) => Vec::new(),
        Err(errors) => {
            errors.iter().map(|error| Complaint { at: error.field_path.clone(), says: error.message.clone() }).collect()
        }
    };
    (outcome, complaints)
}
