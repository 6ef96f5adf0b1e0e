//! YAML and JSON text as a tree in which every value knows its line, so that whatever is wrong with a manifest can be
//! shown where it stands. Documents of one file are read apart: one that cannot be read does not hide the others.

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

/// The deepest nesting of a document; ours need 6. Reading is recursive, so this bounds the stack.
const MAX_DEPTH: usize = 24;
/// Values in one document.
const MAX_NODES: usize = 200_000;

/// A value and the line of the file that it starts on, counted from 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The line.
    pub line: u32,
    /// The value.
    pub value: Value,
}

/// What YAML and JSON have in common.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number.
    Number(serde_json::Number),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the order of the file.
    Map(Vec<(Key, Node)>),
}

/// A key and its line.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    /// The line.
    pub line: u32,
    /// The key.
    pub text: String,
}

/// Why text is not YAML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unreadable {
    /// The line.
    pub line: u32,
    /// One sentence.
    pub reason: String,
}

/// The documents of a file, in order; empty ones are left out.
pub(super) fn documents(text: &str) -> impl Iterator<Item = Result<Node, Unreadable>> {
    split(text).into_iter().filter_map(|(first_line, document)| read(document, first_line).transpose())
}

impl Node {
    /// The value of a key, if this is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Self> {
        let Value::Map(entries) = &self.value else { return None };
        entries.iter().find(|(found, _)| found.text == key).map(|(_, node)| node)
    }

    /// The text, if this is text.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// What kind of value this is, in a schema's words.
    pub fn type_name(&self) -> &'static str {
        match &self.value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(number) if number.is_f64() => "number",
            Value::Number(_) => "integer",
            Value::Text(_) => "string",
            Value::List(_) => "array",
            Value::Map(_) => "object",
        }
    }

    /// The same value without lines.
    pub fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => (*value).into(),
            Value::Number(number) => number.clone().into(),
            Value::Text(text) => text.as_str().into(),
            Value::List(items) => items.iter().map(Self::to_json).collect(),
            Value::Map(entries) => entries.iter().map(|(key, node)| (key.text.clone(), node.to_json())).collect(),
        }
    }

    fn move_down(&mut self, lines: u32) {
        self.line += lines;
        match &mut self.value {
            Value::List(items) => items.iter_mut().for_each(|item| item.move_down(lines)),
            Value::Map(entries) => entries.iter_mut().for_each(|(key, node)| {
                key.line += lines;
                node.move_down(lines);
            }),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => {}
        }
    }
}

/// Cuts at the lines that start with `---`: nothing else in YAML may stand in their place. Each part comes with the
/// number of lines before it.
fn split(text: &str) -> Vec<(u32, &str)> {
    let mut parts = Vec::new();
    let (mut start, mut start_line, mut at) = (0, 0, 0);
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let marker =
            line.strip_prefix("---").is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']));
        if marker && at > start {
            parts.push((start_line, &text[start..at]));
            (start, start_line) = (at, number as u32);
        }
        at += line.len();
    }
    parts.push((start_line, &text[start..]));
    parts
}

fn read(document: &str, lines_before: u32) -> Result<Option<Node>, Unreadable> {
    // A byte order mark is no content; some editors write one.
    let document = document.trim_start_matches('\u{feff}');
    let options = serde_saphyr::options! {
        strict_booleans: true,
        with_snippet: false,
        budget: serde_saphyr::budget! { max_depth: MAX_DEPTH, max_nodes: MAX_NODES, max_documents: 1 },
    };
    match serde_saphyr::from_str_with_options::<Option<Node>>(document, options) {
        Ok(None) => Ok(None),
        Ok(Some(Node { value: Value::Null, .. })) => Ok(None),
        Ok(Some(mut node)) => {
            node.move_down(lines_before);
            Ok(Some(node))
        }
        Err(error) => {
            let line = error.location().map_or(1, |location| u32::try_from(location.line()).unwrap_or(u32::MAX));
            let reason = one_line(&error.without_snippet().to_string());
            Err(Unreadable { line: line.saturating_add(lines_before), reason })
        }
    }
}

/// The parser's messages may span lines and name their position, which we give ourselves.
fn one_line(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    let position = line.find(" at line ").or_else(|| line.find(" (line ")).unwrap_or(line.len());
    line[..position].trim_end_matches([':', ',', ' ']).to_owned()
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Self { line: line_of(&spanned), value: spanned.value })
    }
}

fn line_of<T>(spanned: &Spanned<T>) -> u32 {
    u32::try_from(spanned.referenced.line()).unwrap_or(u32::MAX)
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyValue;

        impl<'de> Visitor<'de> for AnyValue {
            type Value = Value;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a value")
            }

            fn visit_unit<E>(self) -> Result<Value, E> {
                Ok(Value::Null)
            }

            fn visit_none<E>(self) -> Result<Value, E> {
                Ok(Value::Null)
            }

            fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
                deserializer.deserialize_any(self)
            }

            fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
                Ok(Value::Bool(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
                Ok(Value::Number(value.into()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
                Ok(Value::Number(value.into()))
            }

            fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
                let number = serde_json::Number::from_f64(value);
                number.map(Value::Number).ok_or_else(|| E::custom("a number must be finite"))
            }

            fn visit_str<E>(self, value: &str) -> Result<Value, E> {
                Ok(Value::Text(value.to_owned()))
            }

            fn visit_string<E>(self, value: String) -> Result<Value, E> {
                Ok(Value::Text(value))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = access.next_element()? {
                    items.push(item);
                }
                Ok(Value::List(items))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
                let mut entries = Vec::new();
                while let Some((key, node)) = access.next_entry::<Spanned<String>, Node>()? {
                    entries.push((Key { line: line_of(&key), text: key.value }, node));
                }
                Ok(Value::Map(entries))
            }
        }

        deserializer.deserialize_any(AnyValue)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<Result<Node, Unreadable>> {
        documents(text).collect()
    }

    fn items(node: Option<&Node>) -> &[Node] {
        match node {
            Some(Node { value: Value::List(items), .. }) => items,
            other => panic!("{other:?} is no list"),
        }
    }

    #[test]
    fn every_value_knows_its_line_in_the_file() {
        let text = "# a comment\n---\nkind: A\nspec:\n  list:\n  - one\n  - two: 2\n---\nkind: B\n";
        let documents: Vec<Node> = documents(text).map(|document| document.expect("readable")).collect();
        assert_eq!(documents.len(), 2);
        assert_eq!(documents[0].get("kind").map(|kind| kind.line), Some(3));
        let list = items(documents[0].get("spec").and_then(|spec| spec.get("list")));
        assert_eq!(list[0].line, 6);
        assert_eq!(list[1].get("two").map(|two| two.line), Some(7));
        assert_eq!(documents[1].get("kind").map(|kind| kind.line), Some(9));
    }

    #[test]
    fn a_document_that_cannot_be_read_does_not_hide_the_others() {
        let documents = all("a: 1\n---\nb: [1\nc: 2\n---\nd: 3\n");
        assert_eq!(documents.len(), 3);
        assert!(documents[0].is_ok() && documents[2].is_ok());
        let error = documents[1].as_ref().expect_err("an open bracket");
        assert!((3..=5).contains(&error.line), "{error:?}");
        assert!(!error.reason.is_empty() && !error.reason.contains('\n'), "{error:?}");
    }

    #[test]
    fn scalars_are_typed_as_kubernetes_types_them() {
        let documents = all("day: 2026-01-01\nversion: 2.1\ncount: 3\nflag: true\nword: \"true\"\nyes: no\nnothing:\n");
        let node = documents[0].as_ref().expect("readable");
        let types: Vec<_> = ["day", "version", "count", "flag", "word", "yes", "nothing"]
            .map(|key| node.get(key).map_or("absent", Node::type_name))
            .into();
        assert_eq!(types, ["string", "number", "integer", "boolean", "string", "string", "null"]);
    }

    #[test]
    fn json_is_yaml() {
        let documents = all("{\"kind\": \"A\",\n \"list\": [1, 2.5, \"x\"]}\n");
        let node = documents[0].as_ref().expect("readable");
        assert_eq!(items(node.get("list"))[2].line, 2);
        assert_eq!(node.to_json(), serde_json::json!({"kind": "A", "list": [1, 2.5, "x"]}));
    }

    #[test]
    fn nothing_is_no_document() {
        for text in ["", "\n\n", "# only a comment\n", "---\n", "---\n# a\n---\n"] {
            assert!(all(text).is_empty(), "{text:?}: {:?}", all(text));
        }
    }

    #[test]
    fn a_key_that_stands_twice_is_unreadable() {
        let documents = all("a: 1\nb: 2\na: 3\n");
        assert_eq!(documents[0].as_ref().expect_err("twice").line, 3);
    }

    #[test]
    fn bombs_are_refused() {
        let mut laughs = "a: &a [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for (name, of) in "bcdefgh".chars().zip("abcdefg".chars()) {
            let aliases = vec![format!("*{of}"); 9].join(", ");
            laughs.push_str(&format!("{name}: &{name} [{aliases}]\n"));
        }
        assert!(all(&laughs)[0].is_err());
        assert!(all(&"[".repeat(100_000))[0].is_err());
        assert!(all(&format!("a: {}{}", "[".repeat(200), "]".repeat(200)))[0].is_err());
    }
}
