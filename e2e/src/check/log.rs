//! Log lines: one JSON object each, with fields that are written flat or nested.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::matcher::matches;

/// The value of a dotted field name in a log line, whether it was written flat or nested.
fn field<'a>(line: &'a Value, name: &str) -> Option<&'a Value> {
    if let Some(value) = line.get(name) {
        return Some(value);
    }
    name.match_indices('.').find_map(|(at, _)| field(line.get(&name[..at])?, &name[at + 1..]))
}

/// Whether a log line has all of `fields`.
pub fn log_line_matches(fields: &BTreeMap<String, Value>, line: &str) -> bool {
    let Ok(line) = serde_json::from_str::<Value>(line) else { return false };
    fields.iter().all(|(name, expected)| match (expected, field(&line, name)) {
        (Value::Null, got) => got.is_none_or(Value::is_null),
        (Value::String(pattern), Some(Value::String(got))) => matches(pattern, got),
        (Value::String(pattern), Some(Value::Number(got))) => matches(pattern, &got.to_string()),
        (expected, got) => got == Some(expected),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn log_fields_are_found_flat_and_nested() {
        let line = json!({"a.b": 1, "c": {"d.e": "x"}});
        assert_eq!(field(&line, "a.b"), Some(&json!(1)));
        assert_eq!(field(&line, "c.d.e"), Some(&json!("x")));
        assert_eq!(field(&line, "c.x"), None);
        let fields = BTreeMap::from([("c.d.e".to_owned(), json!("x")), ("z".to_owned(), Value::Null)]);
        assert!(log_line_matches(&fields, &line.to_string()));
    }
}
