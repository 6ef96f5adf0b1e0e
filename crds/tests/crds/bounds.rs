//! The part of an API server that checks an object against the keywords of its OpenAPI schema, and remembers which bounds were met.
//!
//! It knows exactly the keywords that our schemas use and panics on any other, so that a new keyword cannot pass unchecked.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// A bound of the schema: where it stands (`spec.logicalAddresses[]`) and its keyword.
pub(crate) type Bound = (String, String);

/// What a check found out.
#[derive(Default)]
pub(crate) struct Outcome {
    /// What the object breaks, with the place in the object.
    pub(crate) broken: Vec<(Bound, String)>,
    /// Bounds that the object meets exactly.
    pub(crate) met: BTreeSet<Bound>,
    /// Places of the schema that the object has a value for.
    pub(crate) visited: BTreeSet<String>,
}

impl Outcome {
    fn compare(&mut self, place: &str, keyword: &str, at: &str, actual: i64, schema: &Map<String, Value>) {
        let Some(bound) = schema.get(keyword) else { return };
        let bound = bound.as_f64().expect("a bound is a number") as i64;
        let key = (place.to_owned(), keyword.to_owned());
        let within = if keyword.starts_with("max") { actual <= bound } else { actual >= bound };
        if !within {
            self.broken.push((key, at.to_owned()));
        } else if actual == bound {
            self.met.insert(key);
        }
    }
}

/// Every bound that the schema states, `required` fields among them.
pub(crate) fn stated(schema: &Value, place: &str, bounds: &mut BTreeSet<Bound>) {
    let fields = schema.as_object().expect("a schema is an object");
    for keyword in fields.keys().filter(|keyword| keyword.starts_with("max") || keyword.starts_with("min")) {
        bounds.insert((place.to_owned(), keyword.clone()));
    }
    for name in required(fields) {
        bounds.insert((format!("{place}.{name}"), "required".to_owned()));
    }
    for (place, schema) in children(fields, place) {
        stated(schema, &place, bounds);
    }
}

/// The schemas directly below one, with their places.
pub(crate) fn children<'a>(schema: &'a Map<String, Value>, place: &str) -> Vec<(String, &'a Value)> {
    let properties = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
    let mut found: Vec<_> = properties.map(|(name, schema)| (join(place, name), schema)).collect();
    found.extend(schema.get("items").map(|schema| (format!("{place}[]"), schema)));
    found.extend(schema.get("additionalProperties").map(|schema| (format!("{place}{{}}"), schema)));
    found
}

/// Checks a value that stands at `at` in an object against the schema that stands at `place`.
pub(crate) fn check(schema: &Value, value: &Value, place: &str, at: &str, outcome: &mut Outcome) {
    let fields = schema.as_object().expect("a schema is an object");
    for keyword in fields.keys() {
        assert!(KNOWN.contains(&keyword.as_str()), "{place}: this check does not know the keyword {keyword}");
    }
    outcome.visited.insert(place.to_owned());
    let wanted = fields["type"].as_str().expect("every schema has one type");
    let fits = match (wanted, value) {
        ("string", Value::String(_))
        | ("boolean", Value::Bool(_))
        | ("array", Value::Array(_))
        | ("object", Value::Object(_)) => true,
        ("integer", Value::Number(number)) => number.is_i64() || number.is_u64(),
        (_, Value::Null) => fields.get("nullable") == Some(&Value::Bool(true)),
        _ => false,
    };
    if !fits {
        outcome.broken.push(((place.to_owned(), "type".to_owned()), at.to_owned()));
        return;
    }
    match value {
        Value::String(text) => {
            let length = text.chars().count() as i64;
            outcome.compare(place, "minLength", at, length, fields);
            outcome.compare(place, "maxLength", at, length, fields);
            let choices = fields.get("enum").and_then(Value::as_array);
            if choices.is_some_and(|choices| !choices.contains(value)) {
                outcome.broken.push(((place.to_owned(), "enum".to_owned()), at.to_owned()));
            }
        }
        Value::Number(number) => {
            let number = number.as_i64().expect("our bounds fit");
            outcome.compare(place, "minimum", at, number, fields);
            outcome.compare(place, "maximum", at, number, fields);
        }
        Value::Array(items) => {
            outcome.compare(place, "minItems", at, items.len() as i64, fields);
            outcome.compare(place, "maxItems", at, items.len() as i64, fields);
            for (index, item) in items.iter().enumerate() {
                check(&fields["items"], item, &format!("{place}[]"), &format!("{at}[{index}]"), outcome);
            }
        }
        Value::Object(object) => check_object(fields, object, place, at, outcome),
        Value::Bool(_) | Value::Null => {}
    }
}

fn check_object(
    schema: &Map<String, Value>,
    object: &Map<String, Value>,
    place: &str,
    at: &str,
    outcome: &mut Outcome,
) {
    outcome.compare(place, "maxProperties", at, object.len() as i64, schema);
    for name in required(schema) {
        let key = (format!("{place}.{name}"), "required".to_owned());
        if object.contains_key(name) {
            outcome.met.insert(key);
        } else {
            outcome.broken.push((key, join(at, name)));
        }
    }
    for (name, value) in object {
        let at = join(at, name);
        match (schema.get("properties").and_then(|properties| properties.get(name)), schema.get("additionalProperties"))
        {
            (Some(schema), _) => check(schema, value, &join(place, name), &at, outcome),
            (None, Some(schema)) => check(schema, value, &format!("{place}{{}}"), &at, outcome),
            (None, None) => outcome.broken.push(((place.to_owned(), "unknown".to_owned()), at)),
        }
    }
}

fn required(schema: &Map<String, Value>) -> impl Iterator<Item = &str> {
    schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

const KNOWN: [&str; 20] = [
    "additionalProperties",
    "description",
    "enum",
    "format",
    "items",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minimum",
    "nullable",
    "properties",
    "required",
    "title",
    "type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-list-type",
    "x-kubernetes-validations",
];
