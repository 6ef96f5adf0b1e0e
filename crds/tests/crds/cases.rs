//! The cases of every bound and every rule, as they are written in files of data, one for each kind. The tests of the
//! definitions judge them by the schema alone; the tests against a real API server include this file too.

use std::collections::BTreeMap;
use std::path::Path;

use rivmesh_crds::Kind;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cases {
    /// A spec that is accepted.
    pub(crate) base: Value,
    /// What may become of it.
    pub(crate) cases: Vec<Case>,
}

/// One change to the base. `accept` or `refuse` names it; `at` and `says` tell where and with which words it is refused.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Case {
    pub(crate) accept: Option<String>,
    pub(crate) refuse: Option<String>,
    /// Dotted paths below `spec` and their new values. `{$list: N, text: "SE#"}` is a list of N texts, `#` replaced by the index;
    /// `{$text: N, prefix: ".."}` a text of N letters; `{$map: N, text: ".."}` a map with N keys.
    #[serde(default)]
    set: BTreeMap<String, Value>,
    #[serde(default)]
    unset: Vec<String>,
    pub(crate) at: Option<String>,
    pub(crate) says: Option<String>,
}

/// The cases of a kind; `crate_root` is the directory of the crate with the definitions.
pub(crate) fn read(crate_root: &Path, kind: Kind) -> Cases {
    let path = crate_root.join(format!("tests/crds/cases/{}.yaml", kind.as_str()));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The spec of a case.
pub(crate) fn changed(base: &Value, case: &Case) -> Value {
    let mut spec = base.clone();
    for (path, value) in &case.set {
        *reach(&mut spec, path) = grown(value);
    }
    for path in &case.unset {
        let (parent, name) = path.rsplit_once('.').unwrap_or(("", path));
        let holder = reach(&mut spec, parent).as_object_mut().expect("what is unset is in an object");
        holder.remove(name).expect("what is unset was set");
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
    let text =
        |index: u64| value["text"].as_str().expect("a list or a map has a text").replace('#', &index.to_string());
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
