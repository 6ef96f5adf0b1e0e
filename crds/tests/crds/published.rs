//! What is published: the committed YAML is current, an API server takes it, and every reason has its page.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use kube_cel::{compile_schema, estimate_rule_cost};
use rivmesh_crds::{ConditionType, Kind, Reason, manifest};
use serde_json::Value;

use crate::bounds::children;

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

#[test]
fn the_committed_yaml_is_current() {
    for directory in ["crds/yaml", "charts/rivmesh-crds/files"] {
        if let Err(stale) = manifest::check(&repository().join(directory)) {
            panic!("{stale}");
        }
    }
}

#[test]
fn the_yaml_says_what_the_types_say() {
    for kind in Kind::ALL {
        let read: Value = serde_saphyr::from_str(&manifest::yaml(kind)).unwrap();
        let schema = &read["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        assert_eq!(integers(schema), integers(&manifest::schema(kind)), "{kind}");
        assert_eq!(read["kind"], "CustomResourceDefinition");
    }
}

/// The same value with whole numbers in one form: 1000.0 and 1000 are equal in YAML and not in serde_json.
fn integers(value: &Value) -> Value {
    match value {
        Value::Number(number) => Value::from(number.as_f64().unwrap()),
        Value::Array(items) => items.iter().map(integers).collect(),
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), integers(value))).collect(),
        other => other.clone(),
    }
}

/// Walks all schemas of a kind.
fn walk(kind: Kind, visit: &mut dyn FnMut(&str, &serde_json::Map<String, Value>)) {
    fn inner(schema: &Value, place: &str, visit: &mut dyn FnMut(&str, &serde_json::Map<String, Value>)) {
        let fields = schema.as_object().unwrap();
        visit(place, fields);
        for (place, schema) in children(fields, place) {
            inner(schema, &place, visit);
        }
    }
    inner(&manifest::schema(kind), "", visit);
}

#[test]
fn the_schemas_are_structural_and_bounded() {
    for kind in Kind::ALL {
        walk(kind, &mut |place, schema| {
            let has = |keyword: &str| schema.contains_key(keyword);
            for keyword in
                ["anyOf", "oneOf", "allOf", "not", "$ref", "default", "pattern", "x-kubernetes-preserve-unknown-fields"]
            {
                assert!(!has(keyword), "{kind} {place}: {keyword} does not belong in our schemas");
            }
            assert_eq!(has("nullable"), place == "status", "{kind} {place}: nullable");
            match schema["type"].as_str().unwrap() {
                "array" => assert!(
                    has("items") && has("maxItems") && has("x-kubernetes-list-type"),
                    "{kind} {place}: an unbounded list"
                ),
                "object" if has("additionalProperties") => {
                    assert!(has("maxProperties"), "{kind} {place}: an unbounded map");
                }
                "object" => {
                    assert!(has("properties"), "{kind} {place}: an object without fields would be pruned empty");
                }
                "string" if place.starts_with("spec") => {
                    assert!(has("maxLength"), "{kind} {place}: an unbounded string");
                }
                "integer" if place.starts_with("spec") => {
                    assert!(has("minimum") && has("maximum"), "{kind} {place}: an unbounded number");
                }
                "string" | "integer" | "boolean" => {}
                other => panic!("{kind} {place}: type {other}"),
            }
            let described = has("description") || place.ends_with("[]") || place.ends_with("{}") || place.is_empty();
            assert!(described, "{kind} {place}: without a description, `kubectl explain` has nothing to say");
        });
    }
}

#[test]
fn rules_compile_and_their_sentences_say_what_to_write() {
    for kind in Kind::ALL {
        walk(kind, &mut |place, schema| {
            let rules = schema.get("x-kubernetes-validations").and_then(Value::as_array).into_iter().flatten();
            let compiled = compile_schema(&Value::Object(schema.clone()));
            assert!(!compiled.has_errors(), "{kind} {place}: {:?}", compiled.compilation_errors());
            for rule in rules {
                let (text, message) = (rule["rule"].as_str().unwrap(), rule["message"].as_str().unwrap());
                let warnings = estimate_rule_cost(text, &compiled);
                assert!(warnings.is_empty(), "{kind} {place}: {warnings:?}");
                assert!(message.len() <= 300 && !message.contains('\n'), "{kind} {place}: {message}");
                let instructs = ["write ", "remove ", "list ", "name ", "split ", "swap ", "choose "]
                    .iter()
                    .any(|verb| message.contains(verb));
                assert!(instructs, "{kind} {place}: \"{message}\" does not say what to write instead");
            }
        });
    }
}

#[test]
fn names_and_columns_are_as_documented() {
    for (kind, short, columns) in [
        (Kind::RoutingEntry, ["rte", "vagval"], ["Ready", "Programmed", "Rows", "Producer", "Age"].as_slice()),
        (Kind::CallAuthorization, ["callauth", "behorighet"], &["Ready", "Programmed", "Rows", "Age"]),
        (Kind::ServiceContract, ["svccontract", "kontrakt"], &["Ready", "Programmed", "Contract", "Age"]),
    ] {
        let crd = manifest::crd(kind);
        assert_eq!(crd.metadata.name.as_deref(), Some(format!("{}.rivmesh.io", kind.plural()).as_str()));
        assert_eq!((crd.spec.names.kind.as_str(), crd.spec.names.plural.as_str()), (kind.as_str(), kind.plural()));
        assert_eq!(crd.spec.names.short_names.as_deref().unwrap(), short);
        assert_eq!(crd.spec.names.categories.as_deref().unwrap(), ["tak"]);
        assert_eq!(crd.spec.scope, "Namespaced");
        let [version] = &crd.spec.versions[..] else { panic!("one version") };
        assert_eq!(version.name, rivmesh_crds::VERSION);
        assert!(version.subresources.as_ref().unwrap().status.is_some());
        let shown = version.additional_printer_columns.as_deref().unwrap();
        let at_once: Vec<_> =
            shown.iter().filter(|column| column.priority.is_none()).map(|column| column.name.as_str()).collect();
        assert_eq!(at_once, columns, "{kind}");
    }
}

#[test]
fn every_reason_has_its_page_and_every_page_its_reason() {
    let text = fs::read_to_string(repository().join("docs/src/reference/reasons.md")).unwrap();
    let sections: Vec<&str> = text.split("\n### ").skip(1).collect();
    let headings: Vec<&str> = sections.iter().map(|section| section.lines().next().unwrap()).collect();
    let reasons: Vec<&str> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
    assert_eq!(headings, reasons);
    for section in sections {
        for part in ["**Cause.**", "**Cure.**"] {
            assert!(section.contains(part), "the section {} has no {part}", section.lines().next().unwrap());
        }
    }
    for condition in ConditionType::ALL {
        assert!(text.contains(&format!("`{}`", condition.as_str())), "{}", condition.as_str());
    }
}

#[test]
fn reasons_are_distinct_words_that_read_back() {
    let words: BTreeSet<&str> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
    assert_eq!(words.len(), Reason::ALL.len());
    for reason in Reason::ALL {
        assert_eq!(reason.as_str().parse(), Ok(reason));
        assert_eq!(format!("{reason:?}"), reason.as_str());
    }
    assert!("Nonsense".parse::<Reason>().is_err());
}
