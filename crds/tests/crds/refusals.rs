//! Every bound and every CEL rule, once accepted and once refused.
//!
//! The cases are files of data, one for each kind: a spec that is accepted, and changes to it that are accepted or refused. That nothing was
//! forgotten is tested too: every bound of the schema must be met exactly by an accepted case and broken by a refused one, and the sentence of
//! every rule must have been given by a refused case and not by an accepted one that has a value in its place.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use rivmesh_crds::Kind;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::apply::{apply, spec_schema};
use crate::bounds;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Cases {
    /// A spec that is accepted.
    base: Value,
    cases: Vec<Case>,
}

/// One change to the base. `accept` or `refuse` names it; `at` and `says` tell where and with which words it is refused.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    accept: Option<String>,
    refuse: Option<String>,
    /// Dotted paths below `spec` and their new values. `{$list: N, text: "SE#"}` is a list of N texts, `#` replaced by the index;
    /// `{$text: N, prefix: ".."}` a text of N letters; `{$map: N, text: ".."}` a map with N keys.
    #[serde(default)]
    set: BTreeMap<String, Value>,
    #[serde(default)]
    unset: Vec<String>,
    at: Option<String>,
    says: Option<String>,
}

fn cases(kind: Kind) -> Cases {
    let path = format!("{}/tests/crds/cases/{}.yaml", env!("CARGO_MANIFEST_DIR"), kind.as_str());
    serde_saphyr::from_str(&fs::read_to_string(&path).unwrap()).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn changed(base: &Value, case: &Case) -> Value {
    let mut spec = base.clone();
    for (path, value) in &case.set {
        *reach(&mut spec, path) = grown(value);
    }
    for path in &case.unset {
        let (parent, name) = path.rsplit_once('.').unwrap_or(("", path));
        reach(&mut spec, parent).as_object_mut().unwrap().remove(name).expect("what is unset was set");
    }
    spec
}

/// The value at a dotted path, made if it is not there; a number is an index.
fn reach<'a>(spec: &'a mut Value, path: &str) -> &'a mut Value {
    path.split('.').filter(|step| !step.is_empty()).fold(spec, |value, step| match step.parse::<usize>() {
        Ok(index) => &mut value[index],
        Err(_) => &mut value[step],
    })
}

fn grown(value: &Value) -> Value {
    let count = |name: &str| value.get(name).and_then(Value::as_u64);
    let text = |index: u64| value["text"].as_str().unwrap().replace('#', &index.to_string());
    if let Some(count) = count("$list") {
        return (0..count)
            .map(|index| value.get("item").map_or_else(|| json!(text(index)), |item| numbered(item, index)))
            .collect();
    }
    if let Some(count) = count("$map") {
        return Value::Object((0..count).map(|index| (format!("SE{index}"), json!(text(index)))).collect());
    }
    if let Some(count) = count("$text") {
        let prefix = value.get("prefix").and_then(Value::as_str).unwrap_or_default();
        return json!(format!("{prefix}{}", "a".repeat(count as usize - prefix.len())));
    }
    value.clone()
}

/// The same value with `#` replaced by the index in its texts.
fn numbered(value: &Value, index: u64) -> Value {
    match value {
        Value::String(text) => json!(text.replace('#', &index.to_string())),
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), numbered(value, index))).collect(),
        other => other.clone(),
    }
}

fn run(kind: Kind) {
    let Cases { base, cases } = cases(kind);
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
