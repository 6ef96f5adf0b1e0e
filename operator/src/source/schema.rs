//! What an API server would refuse, said for a file: the schema and the CEL rules of the custom resource definitions,
//! applied to a document that knows its lines. A manifest that passes here passes `kubectl apply`, and the sentence
//! for one that does not is the same.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use rivmesh_crds::{Kind, manifest};
use serde_json::Value as Json;

use super::rules::{self, Rule};
use super::yaml::{Node, Value};

/// Faults listed for one document; more do not help anybody.
const MAX_FAULTS: usize = 20;

/// One thing that is wrong with a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The line, counted from 1.
    pub line: u32,
    /// One sentence, that begins with the field where there is one.
    pub reason: String,
}

impl Fault {
    pub(crate) fn new(line: u32, path: &str, reason: impl AsRef<str>) -> Self {
        let reason = reason.as_ref();
        Self { line, reason: if path.is_empty() { reason.to_owned() } else { format!("{path}: {reason}") } }
    }
}

/// Everything that is wrong with the `spec` of a document of this kind, in the order of its lines.
pub fn check(kind: Kind, spec: &Node) -> Vec<Fault> {
    static SCHEMAS: LazyLock<[Schema; 3]> = LazyLock::new(|| Kind::ALL.map(Schema::of));
    let index = Kind::ALL.iter().position(|other| *other == kind).expect("all kinds are listed");
    let mut faults = Vec::new();
    SCHEMAS[index].check_shape(spec, "spec", &mut faults);
    // A rule on a field of the wrong type fails for a reason that says nothing more.
    if faults.is_empty() {
        SCHEMAS[index].check_rules(spec, "spec", &mut faults);
    }
    faults.sort_by_key(|fault| fault.line);
    faults.truncate(MAX_FAULTS);
    faults
}

/// The part of an OpenAPI schema that our definitions use.
#[derive(Debug)]
struct Schema {
    type_name: String,
    allowed: Option<Vec<Json>>,
    size: (Option<u64>, Option<u64>),
    range: (Option<f64>, Option<f64>),
    required: Vec<String>,
    properties: BTreeMap<String, Self>,
    additional: Option<Box<Self>>,
    items: Option<Box<Self>>,
    rules: Vec<Rule>,
}

impl Schema {
    fn of(kind: Kind) -> Self {
        Self::compile(&manifest::schema(kind)["properties"]["spec"])
    }

    fn compile(schema: &Json) -> Self {
        let type_name = schema["type"].as_str().unwrap_or_default().to_owned();
        let what = match &*type_name {
            "array" => "Items",
            "object" => "Properties",
            _ => "Length",
        };
        let below = |name: &str| schema.get(name).map(|schema| Box::new(Self::compile(schema)));
        let int32 = schema["format"] == "int32";
        let range_of_format = |limit: i32| int32.then(|| f64::from(limit));
        let properties = schema["properties"].as_object().into_iter().flatten();
        let required = schema["required"].as_array().into_iter().flatten().filter_map(Json::as_str);
        Self {
            allowed: schema["enum"].as_array().cloned(),
            size: (schema[format!("min{what}")].as_u64(), schema[format!("max{what}")].as_u64()),
            range: (
                schema["minimum"].as_f64().or_else(|| range_of_format(i32::MIN)),
                schema["maximum"].as_f64().or_else(|| range_of_format(i32::MAX)),
            ),
            required: required.map(str::to_owned).collect(),
            properties: properties.map(|(name, schema)| (name.clone(), Self::compile(schema))).collect(),
            additional: below("additionalProperties"),
            items: below("items"),
            rules: rules::compile(schema),
            type_name,
        }
    }

    /// The schema of a field, if there may be such a field.
    fn field(&self, name: &str) -> Option<&Self> {
        self.properties.get(name).or(self.additional.as_deref())
    }

    fn check_shape(&self, node: &Node, path: &str, faults: &mut Vec<Fault>) {
        if faults.len() >= MAX_FAULTS {
            return;
        }
        let mut fault = |reason: String| faults.push(Fault::new(node.line, path, reason));
        let found = node.type_name();
        if found != self.type_name && !(self.type_name == "number" && found == "integer") {
            fault(format!("must be {}, not {}", type_words(&self.type_name), type_words(found)));
            return;
        }
        if let Some(allowed) = self.allowed.as_ref().filter(|allowed| !allowed.contains(&node.to_json())) {
            let allowed: Vec<String> = allowed.iter().map(Json::to_string).collect();
            fault(format!("must be one of {}", allowed.join(", ")));
        }
        match &node.value {
            Value::Text(text) => self.check_size(text.chars().count(), "characters", &mut fault),
            Value::Number(number) => self.check_range(number, &mut fault),
            Value::List(items) => {
                self.check_size(items.len(), "items", &mut fault);
                for (index, item) in items.iter().enumerate() {
                    if let Some(schema) = &self.items {
                        schema.check_shape(item, &format!("{path}[{index}]"), faults);
                    }
                }
            }
            Value::Map(entries) => {
                self.check_size(entries.len(), "entries", &mut fault);
                for name in self.required.iter().filter(|name| node.get(name).is_none()) {
                    fault(format!("the field {name} is missing"));
                }
                for (key, value) in entries {
                    let below = format!("{path}.{}", key.text);
                    match self.field(&key.text) {
                        Some(schema) => schema.check_shape(value, &below, faults),
                        None => faults.push(Fault::new(key.line, &below, self.unknown_field(&key.text))),
                    }
                }
            }
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn check_size(&self, size: usize, unit: &str, fault: &mut impl FnMut(String)) {
        let size = size as u64;
        let (least, most) = self.size;
        if let Some(least) = least.filter(|least| size < *least) {
            let few = || format!("has {size} {unit}, fewer than {least}");
            fault(if size == 0 { "must not be empty".to_owned() } else { few() });
        }
        if let Some(most) = most.filter(|most| size > *most) {
            fault(format!("has {size} {unit}, more than {most}"));
        }
    }

    fn check_range(&self, number: &serde_json::Number, fault: &mut impl FnMut(String)) {
        let value = number.as_f64().unwrap_or(f64::NAN);
        let (least, most) = self.range;
        if let Some(least) = least.filter(|least| value < *least) {
            fault(format!("is {number}, less than {least}"));
        }
        if let Some(most) = most.filter(|most| value > *most) {
            fault(format!("is {number}, more than {most}"));
        }
    }

    fn check_rules(&self, node: &Node, path: &str, faults: &mut Vec<Fault>) {
        if faults.len() >= MAX_FAULTS {
            return;
        }
        for message in rules::broken(&self.rules, node) {
            faults.push(Fault::new(node.line, path, message));
        }
        match &node.value {
            Value::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    if let Some(schema) = &self.items {
                        schema.check_rules(item, &format!("{path}[{index}]"), faults);
                    }
                }
            }
            Value::Map(entries) => {
                for (key, value) in entries {
                    if let Some(schema) = self.field(&key.text) {
                        schema.check_rules(value, &format!("{path}.{}", key.text), faults);
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => {}
        }
    }

    fn unknown_field(&self, name: &str) -> String {
        let known: Vec<&str> = self.properties.keys().map(String::as_str).collect();
        match known.iter().find(|known| is_alike(known, name)) {
            Some(alike) => format!("there is no such field: did you mean {alike}?"),
            None => format!("there is no such field; there are {}", known.join(", ")),
        }
    }
}

/// Whether one is the other with a slip: another case, plural, or one character too many, too few or wrong.
fn is_alike(known: &str, name: &str) -> bool {
    let (known, name) = (known.to_ascii_lowercase(), name.to_ascii_lowercase());
    let start = known.bytes().zip(name.bytes()).take_while(|(a, b)| a == b).count();
    let end = known.bytes().rev().zip(name.bytes().rev()).take_while(|(a, b)| a == b).count();
    let longer = known.len().max(name.len());
    known.len().abs_diff(name.len()) <= 1 && start + end + 1 >= longer && longer > 2
}

fn type_words(name: &str) -> &'static str {
    match name {
        "string" => "text (in quotes, if it looks like something else)",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        "array" => "a list",
        "object" => "a mapping",
        _ => "empty",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::yaml;

    fn faults(kind: Kind, spec: &str) -> Vec<(u32, String)> {
        let node = yaml::documents(spec).next().expect("one document").expect("readable");
        check(kind, &node).into_iter().map(|fault| (fault.line, fault.reason)).collect()
    }

    const ROUTE: &str = "\
serviceContracts: [urn:riv:x:XResponder:1]
logicalAddresses: [SE2321000131-E000000000001]
producer:
  profile: rivtabp21
  endpoints: [{url: \"https://p.example/x\"}]
";

    #[test]
    fn a_good_object_has_no_faults() {
        assert_eq!(faults(Kind::RoutingEntry, ROUTE), []);
        assert_eq!(faults(Kind::RoutingEntry, &format!("{ROUTE}validity: {{from: 2026-01-01, to: 2026-12-31}}\n")), []);
    }

    #[test]
    fn a_misspelt_field_is_named_with_its_line_and_a_suggestion() {
        let found = faults(Kind::RoutingEntry, &format!("{ROUTE}validty:\n  from: 2026-01-01\n"));
        assert_eq!(found, [(6, "spec.validty: there is no such field: did you mean validity?".to_owned())]);
    }

    #[test]
    fn types_bounds_and_missing_fields_are_told_where_they_stand() {
        let found = faults(
            Kind::RoutingEntry,
            "serviceContracts: []\nlogicalAddresses: SE1\nproducer:\n  profile: rivtabp21\nprecedence: 5000\n",
        );
        let expected = [
            (1, "spec.serviceContracts: must not be empty"),
            (2, "spec.logicalAddresses: must be a list, not text (in quotes, if it looks like something else)"),
            (4, "spec.producer: the field endpoints is missing"),
            (5, "spec.precedence: is 5000, more than 1000"),
        ];
        assert_eq!(found, expected.map(|(line, reason)| (line, reason.to_owned())));
    }

    #[test]
    fn rules_speak_with_their_own_sentence_at_the_line_of_the_item() {
        let found = faults(
            Kind::CallAuthorization,
            "consumers:\n- SE5565594230-B9P\n- '*'\nserviceContracts: [urn:riv:x:XResponder:1]\nlogicalAddresses: ['*']\n",
        );
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].0, 3);
        assert!(found[0].1.starts_with("spec.consumers[1]: \"*\" is an address, never a consumer"), "{found:?}");
    }

    #[test]
    fn slips_are_alike_and_other_words_are_not() {
        for slip in ["Endpoints", "endpoint", "endpionts", "enpoints", "endpointss"] {
            assert_eq!(is_alike("endpoints", slip), slip != "endpionts", "{slip}");
        }
        assert!(!is_alike("urn", "url2x"));
    }
}
