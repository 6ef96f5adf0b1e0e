//! What an API server would refuse, said for a file: the schema and the CEL rules of the custom resource definitions,
//! applied to a document that knows its lines. A manifest that passes here passes `kubectl apply`, and the sentence
//! for one that does not is the same.

use std::sync::LazyLock;

use kube_cel::{CompiledSchema, Validator, compile_schema};
use rivmesh_crds::{Kind, manifest};
use serde_json::Value as Json;

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
    let rules = Rules::of(kind);
    let mut faults = Vec::new();
    check_node(&rules.schema, spec, "spec", &mut faults);
    // A rule on a field of the wrong type fails for a reason that says nothing more.
    if faults.is_empty() {
        check_rules(rules, spec, &mut faults);
    }
    faults.sort_by_key(|fault| fault.line);
    faults.truncate(MAX_FAULTS);
    faults
}

/// The schema of one kind's `spec`.
struct Rules {
    schema: Json,
    compiled: CompiledSchema,
}

impl Rules {
    fn of(kind: Kind) -> &'static Self {
        static ALL: LazyLock<[Rules; 3]> = LazyLock::new(|| Kind::ALL.map(Rules::new));
        let index = Kind::ALL.iter().position(|other| *other == kind).expect("all kinds are listed");
        &ALL[index]
    }

    fn new(kind: Kind) -> Self {
        let schema = manifest::schema(kind)["properties"]["spec"].clone();
        Self { compiled: compile_schema(&schema), schema }
    }
}

fn check_rules(rules: &Rules, spec: &Node, faults: &mut Vec<Fault>) {
    thread_local! {
        static VALIDATOR: Validator = Validator::new();
    }
    let outcome = VALIDATOR.with(|validator| validator.validate_compiled(&rules.compiled, &spec.to_json(), None));
    let Err(errors) = outcome else { return };
    for error in errors {
        let path = error.field_path.strip_prefix('.').unwrap_or(&error.field_path);
        let separator = if path.is_empty() || path.starts_with('[') { "" } else { "." };
        faults.push(Fault::new(spec.line_at(path), &format!("spec{separator}{path}"), &error.message));
    }
}

fn check_node(schema: &Json, node: &Node, path: &str, faults: &mut Vec<Fault>) {
    if faults.len() >= MAX_FAULTS {
        return;
    }
    let mut fault = |reason: String| faults.push(Fault::new(node.line, path, reason));
    let found = node.type_name();
    if let Some(wanted) = schema["type"].as_str() {
        let fits = found == wanted || (wanted == "number" && found == "integer");
        if !fits {
            fault(format!("must be {}, not {}", type_words(wanted), type_words(found)));
            return;
        }
    }
    if let Some(allowed) = schema["enum"].as_array().filter(|allowed| !allowed.contains(&node.to_json())) {
        let allowed: Vec<String> = allowed.iter().map(Json::to_string).collect();
        fault(format!("must be one of {}", allowed.join(", ")));
    }
    match &node.value {
        Value::Text(text) => check_size(schema, "Length", text.chars().count() as u64, "characters", &mut fault),
        Value::Number(number) => check_number(schema, number, &mut fault),
        Value::List(items) => {
            check_size(schema, "Items", items.len() as u64, "items", &mut fault);
            for (index, item) in items.iter().enumerate() {
                check_node(&schema["items"], item, &format!("{path}[{index}]"), faults);
            }
        }
        Value::Map(entries) => {
            check_size(schema, "Properties", entries.len() as u64, "entries", &mut fault);
            let required = schema["required"].as_array().into_iter().flatten().filter_map(Json::as_str);
            for name in required.filter(|name| node.get(name).is_none()) {
                fault(format!("the field {name} is missing"));
            }
            for (key, value) in entries {
                let below = format!("{path}.{}", key.text);
                match (schema["properties"].get(&key.text), schema.get("additionalProperties")) {
                    (Some(schema), _) | (None, Some(schema)) => check_node(schema, value, &below, faults),
                    (None, None) => {
                        faults.push(Fault::new(key.line, &below, unknown_field(&key.text, &schema["properties"])));
                    }
                }
            }
        }
        Value::Null | Value::Bool(_) => {}
    }
}

fn check_size(schema: &Json, what: &str, size: u64, unit: &str, fault: &mut impl FnMut(String)) {
    if let Some(least) = schema[format!("min{what}")].as_u64().filter(|least| size < *least) {
        fault(if size == 0 {
            "must not be empty".to_owned()
        } else {
            format!("has {size} {unit}, fewer than {least}")
        });
    }
    if let Some(most) = schema[format!("max{what}")].as_u64().filter(|most| size > *most) {
        fault(format!("has {size} {unit}, more than {most}"));
    }
}

fn check_number(schema: &Json, number: &serde_json::Number, fault: &mut impl FnMut(String)) {
    let value = number.as_f64().unwrap_or(f64::NAN);
    let (format_least, format_most) = match schema["format"].as_str() {
        Some("int32") => (Some(f64::from(i32::MIN)), Some(f64::from(i32::MAX))),
        _ => (None, None),
    };
    if let Some(least) = schema["minimum"].as_f64().or(format_least).filter(|least| value < *least) {
        fault(format!("is {number}, less than {least}"));
    }
    if let Some(most) = schema["maximum"].as_f64().or(format_most).filter(|most| value > *most) {
        fault(format!("is {number}, more than {most}"));
    }
}

fn unknown_field(name: &str, properties: &Json) -> String {
    let known: Vec<&str> = properties.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    let alike = known.iter().find(|known| is_alike(known, name));
    match alike {
        Some(alike) => format!("there is no such field: did you mean {alike}?"),
        None => format!("there is no such field; there are {}", known.join(", ")),
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
