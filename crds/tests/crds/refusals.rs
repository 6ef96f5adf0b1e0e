//! Every bound and every CEL rule, once accepted and once refused.
//!
//! The cases are files of data, one for each kind: a spec that is accepted, and changes to it that are accepted or refused. That nothing was
//! forgotten is tested too: every bound of the schema must be met exactly by an accepted case and broken by a refused one, and the sentence of
//! every rule must have been given by a refused case and not by an accepted one that has a value in its place.

use std::collections::BTreeSet;
use std::path::Path;

use rivmesh_crds::Kind;
use serde_json::Value;

use crate::apply::{apply, spec_schema};
use crate::bounds;
use crate::cases::{Cases, changed, read};

fn run(kind: Kind) {
    let Cases { base, cases } = read(Path::new(env!("CARGO_MANIFEST_DIR")), kind);
    let (mut met, mut broken, mut visited, mut sentences) =
        (BTreeSet::new(), BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let mut failures = Vec::new();
    for case in &cases {
        let spec = changed(&base, case);
        let (outcome, complaints) = apply(kind, &spec);
        match (&case.accept, &case.refuse) {
            (Some(name), None) => {
                if !complaints.is_empty() {
                    failures.push(format!("{name}: {complaints:?}"));
                }
                met.extend(outcome.met);
                visited.extend(outcome.visited);
            }
            (None, Some(name)) => {
                let (at, says) = (case.at.as_deref().expect("at"), case.says.as_deref().expect("says"));
                let told = complaints.iter().any(|complaint| complaint.at == at && complaint.says.contains(says));
                if !told || complaints.len() != 1 {
                    failures.push(format!("{name}: wanted \"{says}\" at {at}, got {complaints:#?}"));
                }
                broken.extend(outcome.broken.into_iter().map(|(bound, _)| bound));
                sentences.extend(complaints.into_iter().map(|complaint| complaint.says));
            }
            _ => panic!("a case has either accept or refuse"),
        }
    }
    assert!(failures.is_empty(), "{kind}:\n{}", failures.join("\n"));

    let mut stated = BTreeSet::new();
    bounds::stated(&spec_schema(kind), "spec", &mut stated);
    let without = |seen: &BTreeSet<_>| stated.difference(seen).cloned().collect::<Vec<_>>();
    assert_eq!(without(&met), [], "{kind}: no accepted case meets these bounds exactly");
    assert_eq!(without(&broken), [], "{kind}: no refused case breaks these bounds");
    let mut rules = Vec::new();
    collect_rules(&spec_schema(kind), "spec", &mut rules);
    for (place, sentence) in rules {
        assert!(visited.contains(&place), "{kind}: no accepted case has a value at {place}");
        assert!(sentences.contains(&sentence), "{kind}: no case is refused at {place} with: {sentence}");
    }
}

/// Every rule of a schema: its place and its sentence.
fn collect_rules(schema: &Value, place: &str, rules: &mut Vec<(String, String)>) {
    let fields = schema.as_object().unwrap();
    for rule in fields.get("x-kubernetes-validations").and_then(Value::as_array).into_iter().flatten() {
        rules.push((place.to_owned(), rule["message"].as_str().expect("every rule has a sentence").to_owned()));
    }
    for (place, schema) in bounds::children(fields, place) {
        collect_rules(schema, &place, rules);
    }
}

#[test]
fn routing_entries() {
    run(Kind::RoutingEntry);
}

#[test]
fn call_authorizations() {
    run(Kind::CallAuthorization);
}

#[test]
fn service_contracts() {
    run(Kind::ServiceContract);
}
