//! The CustomResourceDefinitions as files: what a cluster is given, what the repository keeps, and the proof that both are the same.
//!
//! The YAML under `crds/yaml` is generated from the Rust types and committed, so that GitOps can apply it and a reviewer sees a change of the
//! schema as a diff.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::Value;

use crate::kind::{GROUP, Kind};
use crate::{CallAuthorization, RoutingEntry, ServiceContract};

/// How the files are made; it opens every one of them.
const HEADER: &str =
    "# Generated from the types in crds/src by `cargo run -p rivmesh-crds --bin crdgen`. Do not edit.\n";

/// The CustomResourceDefinition of a kind.
pub fn crd(kind: Kind) -> CustomResourceDefinition {
    match kind {
        Kind::RoutingEntry => RoutingEntry::crd(),
        Kind::CallAuthorization => CallAuthorization::crd(),
        Kind::ServiceContract => ServiceContract::crd(),
    }
}

/// The OpenAPI schema of a kind, as an API server applies it to a whole object.
pub fn schema(kind: Kind) -> Value {
    let crd = serde_json::to_value(crd(kind)).expect("a definition is plain data");
    crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
}

/// The name of the file that holds a kind's definition.
pub fn file_name(kind: Kind) -> String {
    format!("{GROUP}_{}.yaml", kind.plural())
}

/// The text of that file.
pub fn yaml(kind: Kind) -> String {
    let definition = serde_json::to_value(crd(kind)).expect("a definition is plain data");
    let body = serde_saphyr::to_string(&canonical(definition)).expect("a definition is plain data");
    format!("{HEADER}{body}")
}

/// The same value with its keys sorted, whatever the features of serde_json say, and with bounds as the integers that they are.
fn canonical(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let sorted: BTreeMap<String, Value> =
                fields.into_iter().map(|(key, value)| (key, canonical(value))).collect();
            sorted.into_iter().collect()
        }
        Value::Array(items) => items.into_iter().map(canonical).collect(),
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() && float.fract() == 0.0 => Value::from(float as i64),
            _ => Value::Number(number),
        },
        other => other,
    }
}

/// Writes the files of all kinds into a directory.
pub fn write(directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    Kind::ALL.into_iter().try_for_each(|kind| fs::write(directory.join(file_name(kind)), yaml(kind)))
}

/// A committed file is missing or does not say what the types say.
#[derive(Debug, thiserror::Error)]
#[error("{} is not what the types in crds/src generate: run `cargo run -p rivmesh-crds --bin crdgen` and commit the result", .0.display())]
pub struct Stale(pub PathBuf);

/// Compares the files of all kinds in a directory with what the types generate.
pub fn check(directory: &Path) -> Result<(), Stale> {
    for kind in Kind::ALL {
        let path = directory.join(file_name(kind));
        if fs::read_to_string(&path).ok().as_deref() != Some(&yaml(kind)) {
            return Err(Stale(path));
        }
    }
    Ok(())
}

/// The fields of an object that its kind does not have, as paths (`spec.producer.urls`), in the order of the object.
///
/// An API server drops such fields, and `kubectl` refuses them; whoever reads manifests without one asks here, so that a misspelt field is
/// told and not silently ignored. `metadata` is not looked into.
pub fn unknown_fields(kind: Kind, object: &Value) -> Vec<String> {
    let mut found = Vec::new();
    collect_unknown(&schema(kind), object, "", &mut found);
    found
}

fn collect_unknown(schema: &Value, value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                match (schema["properties"].get(name), schema.get("additionalProperties")) {
                    _ if matches!(path.as_str(), "apiVersion" | "kind" | "metadata") => {}
                    (Some(schema), _) | (None, Some(schema)) => collect_unknown(schema, value, &path, found),
                    (None, None) => found.push(path),
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                collect_unknown(&schema["items"], item, &format!("{path}[{index}]"), found);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn misspelt_fields_are_found_where_they_stand() {
        let object = json!({
            "apiVersion": "rivmesh.io/v1alpha1",
            "kind": "RoutingEntry",
            "metadata": { "name": "x", "labels": { "any": "thing" } },
            "spec": {
                "serviceContract": ["urn:x"],
                "producer": { "endpoints": [{ "url": "https://a", "weight": 1 }] },
                "descriptions": { "SE1": "any key is fine" },
            },
            "extra": 1,
        });
        let mut found = unknown_fields(Kind::RoutingEntry, &object);
        found.sort();
        assert_eq!(found, ["extra", "spec.producer.endpoints[0].weight", "spec.serviceContract"]);
    }

    #[test]
    fn check_tells_a_changed_file_from_a_current_one() {
        let directory = std::env::temp_dir().join(format!("rivmesh-crdgen-{}", std::process::id()));
        write(&directory).unwrap();
        assert!(check(&directory).is_ok());
        fs::write(directory.join(file_name(Kind::CallAuthorization)), "kind: Other\n").unwrap();
        let stale = check(&directory).unwrap_err();
        fs::remove_dir_all(&directory).unwrap();
        assert!(stale.0.ends_with("rivmesh.io_callauthorizations.yaml"), "{stale}");
        assert!(check(&directory).is_err(), "missing files are not current");
    }
}
