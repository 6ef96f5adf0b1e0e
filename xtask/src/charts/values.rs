//! The reference page of the chart's values, made from its schema, which says what a value is, and its `values.yaml`, which says
//! what it is by default.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use anyhow::{Context, Result, bail};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use crate::process::root;

const SCHEMA: &str = "charts/rivmesh/values.schema.json";
const VALUES: &str = "charts/rivmesh/values.yaml";
/// The page, relative to the root.
pub(crate) const PAGE: &str = "docs/src/reference/values.md";

/// Writes the page.
pub(crate) fn write() -> Result<()> {
    let read = |path: &str| fs::read_to_string(root().join(path)).with_context(|| format!("reading {path}"));
    fs::write(root().join(PAGE), page(&read(SCHEMA)?, &read(VALUES)?)?).with_context(|| format!("writing {PAGE}"))
}

/// What the page needs of a JSON schema.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
struct Schema {
    #[serde(rename = "$ref")]
    reference: Option<String>,
    description: Option<String>,
    #[serde(rename = "type")]
    types: Value,
    #[serde(rename = "enum")]
    choices: Vec<Value>,
    minimum: Option<i64>,
    maximum: Option<i64>,
    #[serde(rename = "allOf")]
    all_of: Vec<Self>,
    #[serde(rename = "anyOf")]
    any_of: Vec<Self>,
    properties: Fields,
    items: Option<Box<Self>>,
    #[serde(rename = "additionalProperties")]
    others: Others,
    definitions: BTreeMap<String, Self>,
}

/// Properties in the order in which they are written.
#[derive(Debug, Default)]
struct Fields(Vec<(String, Schema)>);

/// `additionalProperties`: a schema, or whether there may be any.
#[derive(Debug, serde::Deserialize)]
#[serde(untagged)]
enum Others {
    Allowed(#[allow(dead_code, reason = "only that it is no schema matters")] bool),
    Schema(Box<Schema>),
}

impl Default for Others {
    fn default() -> Self {
        Self::Allowed(true)
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Fields;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("properties")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Fields, M::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// Forms that many values have: how the page calls them, and what they are.
const FORMS: [(&str, &str, &str); 14] = [
    (
        "reference",
        "reference",
        "`{secret: NAME, key: KEY}` or `{configMap: NAME, key: KEY}`: one key of an object of the release's namespace, `ca.crt` unless it is given",
    ),
    ("duration", "duration", "a number and its unit, as `500ms`, `29s`, `10m`, `48h`"),
    ("bytes", "size", "bytes, or with a unit, as `65536`, `64KiB`, `50MiB`"),
    ("quantity", "quantity", "as in Kubernetes: `500m`, `1Gi`"),
    ("name", "name", "the name of an object of the release's namespace"),
    ("labels", "map of texts", "keys and texts, as in `labels` and `annotations`"),
    (
        "addedLabels",
        "map of labels",
        "keys and texts; `helm.sh/chart` and the labels of `app.kubernetes.io/` that the chart sets itself cannot be among them",
    ),
    ("ids", "list of ids", "HSA-ids"),
    ("cidrs", "list of networks", "as `10.0.0.0/8`"),
    ("peers", "list of peers", "as `from` and `to` of a NetworkPolicy: `ipBlock`, `podSelector`, `namespaceSelector`"),
    (
        "probe",
        "probe",
        "`periodSeconds`, `timeoutSeconds`, `failureThreshold`, `initialDelaySeconds`, `successThreshold`",
    ),
    ("intOrPercent", "number or percent", "`1` or `25%`"),
    ("strings", "list of texts", ""),
    ("amounts", "quantities", "`cpu`, `memory`, `ephemeral-storage`"),
];

/// The text of the page.
fn page(schema: &str, values: &str) -> Result<String> {
    let schema: Schema = serde_json::from_str(schema).context(SCHEMA)?;
    let defaults: Value = serde_saphyr::from_str(values).context(VALUES)?;
    let mut page = String::from(
        "# Values of the chart\n\n\
         <!-- Rendered from charts/rivmesh/values.schema.json and values.yaml. `cargo xtask gen` writes it anew. -->\n\n\
         What `helm install` takes with `--values` or `--set`. An unknown value is an error, so that a misspelt one never silently does\n\
         nothing. `charts/rivmesh/values.yaml` explains more; `values-production.yaml` and `values-test.yaml` beside it are starting points, and\n\
         `values-openshift.yaml` is added on OpenShift.\n\n\
         | form | means |\n|---|---|\n",
    );
    for (_, form, meaning) in FORMS.iter().filter(|(_, _, meaning)| !meaning.is_empty()) {
        writeln!(page, "| {form} | {meaning} |")?;
    }
    let mut single = Vec::new();
    let mut sections = Vec::new();
    for (name, property) in &schema.properties.0 {
        let mut rows = Vec::new();
        rows_of(&schema, property, name, &defaults[name], &mut rows)?;
        if rows.len() == 1 {
            single.append(&mut rows);
        } else {
            sections.push((name, describe(property, name)?, rows));
        }
    }
    write!(page, "\n## General\n\n{}", table(&single))?;
    for (name, meaning, rows) in sections {
        write!(page, "\n## {name}\n\n{meaning}\n\n{}", table(&rows))?;
    }
    Ok(page)
}

struct Row {
    path: String,
    form: String,
    default: String,
    meaning: String,
}

fn table(rows: &[Row]) -> String {
    let mut table = String::from("| value | form | default | meaning |\n|---|---|---|---|\n");
    for Row { path, form, default, meaning } in rows {
        table += &format!("| `{path}` | {form} | {default} | {meaning} |\n");
    }
    table
}

fn describe<'s>(schema: &'s Schema, path: &str) -> Result<&'s str> {
    schema.description.as_deref().with_context(|| format!("{SCHEMA}: {path} has no description"))
}

/// A row for the value, or, where its parts are described one by one, a row for each of them.
fn rows_of(all: &Schema, schema: &Schema, path: &str, default: &Value, rows: &mut Vec<Row>) -> Result<()> {
    let shape = resolve(all, schema)?;
    if let (Some(items), true) = (&shape.items, default.as_array().is_none_or(Vec::is_empty)) {
        let items = resolve(all, items)?;
        if is_described(items) {
            rows.push(row(all, schema, path, default)?);
            return fields_of(all, items, &format!("{path}[]"), &Value::Null, rows);
        }
    }
    if let Others::Schema(other) = &shape.others {
        let other = resolve(all, other)?;
        if is_described(other) {
            rows.push(Row {
                path: path.to_owned(),
                form: "map".to_owned(),
                default: String::new(),
                meaning: describe(schema, path)?.to_owned(),
            });
            return fields_of(all, other, &format!("{path}.NAME"), &Value::Null, rows);
        }
    }
    if is_described(shape) {
        return fields_of(all, shape, path, default, rows);
    }
    rows.push(row(all, schema, path, default)?);
    Ok(())
}

fn fields_of(all: &Schema, schema: &Schema, path: &str, default: &Value, rows: &mut Vec<Row>) -> Result<()> {
    schema
        .properties
        .0
        .iter()
        .try_for_each(|(name, property)| rows_of(all, property, &format!("{path}.{name}"), &default[name], rows))
}

fn is_described(schema: &Schema) -> bool {
    !schema.properties.0.is_empty() && schema.properties.0.iter().all(|(_, property)| property.description.is_some())
}

fn row(all: &Schema, schema: &Schema, path: &str, default: &Value) -> Result<Row> {
    let meaning = describe(schema, path)?.to_owned();
    Ok(Row { path: path.to_owned(), form: form(all, schema)?, default: shown(default), meaning })
}

/// The definition that a schema refers to, or the schema itself.
fn resolve<'s>(all: &'s Schema, schema: &'s Schema) -> Result<&'s Schema> {
    match definition(schema) {
        Some(name) => all.definitions.get(name).with_context(|| format!("{SCHEMA}: there is no definition {name}")),
        None => Ok(schema),
    }
}

fn definition(schema: &Schema) -> Option<&str> {
    let reference = schema.reference.as_deref().or_else(|| schema.all_of.first()?.reference.as_deref());
    reference?.strip_prefix("#/definitions/")
}

fn form(all: &Schema, schema: &Schema) -> Result<String> {
    if let Some(name) = definition(schema) {
        if let Some((_, form, _)) = FORMS.iter().find(|(known, _, _)| *known == name) {
            return Ok((*form).to_owned());
        }
        return form(all, resolve(all, schema)?);
    }
    if !schema.choices.is_empty() {
        let choices = schema.choices.iter().map(|choice| format!("`{}`", choice.as_str().unwrap_or_default()));
        return Ok(choices.filter(|choice| choice != "``").collect::<Vec<_>>().join(", "));
    }
    if !schema.any_of.is_empty() && schema.types.is_null() {
        let forms: Result<Vec<_>> = schema.any_of.iter().map(|one| form(all, one)).collect();
        return Ok(forms?.join(", "));
    }
    let name = match &schema.types {
        Value::String(name) => name.as_str(),
        Value::Array(names) => names[0].as_str().unwrap_or_default(),
        other => bail!("{SCHEMA}: {other} is no type that this page knows"),
    };
    Ok(match (name, schema.minimum, schema.maximum) {
        ("string", ..) => "text".to_owned(),
        ("boolean", ..) => "`true`, `false`".to_owned(),
        ("array", ..) => "list".to_owned(),
        ("object", ..) => "map".to_owned(),
        (_, Some(least), Some(most)) => format!("number, {least} to {most}"),
        (_, Some(least), None) => format!("number from {least}"),
        _ => "number".to_owned(),
    })
}

/// A default as one would write it; nothing where nothing is set.
fn shown(default: &Value) -> String {
    match default {
        Value::Null => String::new(),
        Value::String(text) if text.is_empty() => String::new(),
        Value::Array(items) if items.is_empty() => String::new(),
        Value::Object(fields) if fields.is_empty() => String::new(),
        other => format!("`{}`", inline(other)),
    }
}

/// YAML in one line.
fn inline(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let fields: Vec<String> = fields.iter().map(|(key, value)| format!("{key}: {}", inline(value))).collect();
            format!("{{{}}}", fields.join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", ")),
        // A text that would be read as something else keeps its quotes.
        Value::String(text) if text.parse::<f64>().is_ok() || text.parse::<bool>().is_ok() => format!("\"{text}\""),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = r##"{
      "properties": {
        "z": { "description": "Last letter.", "type": "string" },
        "a": { "description": "First block.", "type": "object", "properties": {
          "on": { "description": "Whether.", "type": "boolean" },
          "kind": { "description": "Which.", "enum": ["", "x", "y"] },
          "trust": { "description": "Whom.", "allOf": [{ "$ref": "#/definitions/reference" }] },
          "many": { "description": "Several.", "type": "array", "items": { "$ref": "#/definitions/one" } }
        } },
        "m": { "description": "By name.", "type": "object", "additionalProperties": { "$ref": "#/definitions/one" } }
      },
      "definitions": {
        "reference": { "type": "object", "properties": { "secret": { "type": "string" } } },
        "one": { "properties": { "port": { "description": "Where.", "type": ["integer", "null"], "minimum": 1, "maximum": 9 } } }
      }
    }"##;

    /// Values that the schema knows and `values.yaml` does not mention.
    fn unmentioned(schema: &str, values: &str) -> Result<Vec<String>> {
        let schema: Schema = serde_json::from_str(schema).context(SCHEMA)?;
        assert!(!schema.properties.0.is_empty());
        let mut rows = Vec::new();
        for (name, property) in schema.properties.0.iter().filter(|(name, _)| name != "global") {
            rows_of(&schema, property, name, &Value::Null, &mut rows)?;
        }
        let is_word = |letter: char| letter.is_ascii_alphanumeric();
        let words: Vec<&str> = values.split(|letter| !is_word(letter)).collect();
        let last = |row: &Row| row.path.rsplit('.').next().unwrap_or_default().trim_end_matches("[]").to_owned();
        Ok(rows.into_iter().filter(|row| !words.contains(&&*last(row))).map(|row| row.path).collect())
    }

    #[test]
    fn every_value_has_a_row_in_the_schemas_order() {
        let page = page(SMALL, "z: '1'\na: {on: true, kind: '', trust: {}, many: []}\nm: {}\n").unwrap();
        let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| `")).collect();
        assert_eq!(
            rows,
            [
                "| `z` | text | `\"1\"` | Last letter. |",
                "| `a.on` | `true`, `false` | `true` | Whether. |",
                "| `a.kind` | `x`, `y` |  | Which. |",
                "| `a.trust` | reference |  | Whom. |",
                "| `a.many` | list |  | Several. |",
                "| `a.many[].port` | number, 1 to 9 |  | Where. |",
                "| `m` | map |  | By name. |",
                "| `m.NAME.port` | number, 1 to 9 |  | Where. |",
            ]
        );
    }

    #[test]
    fn a_value_without_a_description_is_told() {
        let error = page(&SMALL.replace(r#""description": "Last letter.", "#, ""), "{}").unwrap_err();
        assert!(error.to_string().contains("z has no description"), "{error}");
    }

    #[test]
    fn values_yaml_mentions_everything() {
        let read = |path: &str| fs::read_to_string(root().join(path)).unwrap();
        assert_eq!(unmentioned(&read(SCHEMA), &read(VALUES)).unwrap(), Vec::<String>::new());
        assert_eq!(unmentioned(SMALL, "z: on kind trust # many").unwrap(), ["a.many[].port", "m", "m.NAME.port"]);
    }

    #[test]
    fn the_committed_page_is_current() {
        let read = |path: &str| fs::read_to_string(root().join(path)).unwrap();
        let current = page(&read(SCHEMA), &read(VALUES)).unwrap();
        assert!(read(PAGE) == current, "{PAGE} is not what the schema says; `cargo xtask gen` writes it anew");
    }
}
