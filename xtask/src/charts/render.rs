//! A render as objects, and the few questions that the rules ask of it.

use anyhow::{Context, Result};
use serde_json::{Map, Value};

use super::case::Release;

/// What a chart became.
#[derive(Debug, Clone)]
pub(super) struct Render {
    pub(super) objects: Vec<Value>,
    pub(super) release: Release,
    /// The text of the user's values: what is named in it exists already.
    named: String,
}

/// A pod, or the template of one.
#[derive(Clone, Copy)]
pub(super) struct Pod<'r> {
    /// The object that it is made by.
    pub(super) owner: &'r Value,
    pub(super) metadata: &'r Value,
    pub(super) spec: &'r Value,
}

/// The documents of a render.
///
/// # Errors
/// When it is not YAML.
pub(super) fn objects(text: &str) -> Result<Vec<Value>> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).context("what helm rendered is not YAML")?;
    Ok(documents.into_iter().filter(|document| !document.is_null()).collect())
}

impl Render {
    /// What helm made of a release with these values.
    ///
    /// # Errors
    /// When it is not YAML.
    pub(super) fn parse(text: &str, values: &str, release: &Release) -> Result<Self> {
        Ok(Self { objects: objects(text)?, release: release.clone(), named: values.to_owned() })
    }

    /// Kind, namespace and name, for a sentence.
    pub(super) fn name(object: &Value) -> String {
        let metadata = &object["metadata"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        match &metadata["namespace"] {
            Value::Null => format!("{} {}", text(&object["kind"]), text(&metadata["name"])),
            namespace => format!("{} {}/{}", text(&object["kind"]), text(namespace), text(&metadata["name"])),
        }
    }

    pub(super) fn of_kind<'r>(&'r self, kind: &'r str) -> impl Iterator<Item = &'r Value> {
        self.objects.iter().filter(move |object| object["kind"] == kind)
    }

    pub(super) fn has_kind(&self, kind: &str) -> bool {
        self.of_kind(kind).next().is_some()
    }

    /// The object of this kind and name, in whatever namespace.
    pub(super) fn find<'r>(&'r self, kind: &'r str, name: &'r str) -> Option<&'r Value> {
        self.of_kind(kind).find(|object| object["metadata"]["name"] == name)
    }

    /// Whether the user named it: as a whole word in the values.
    pub(super) fn is_named(&self, name: &str) -> bool {
        let part = |text: char| text.is_ascii_alphanumeric() || "-._".contains(text);
        self.named.split(|letter| !part(letter)).any(|word| word == name)
    }

    pub(super) fn pods(&self) -> impl Iterator<Item = Pod<'_>> {
        self.objects.iter().filter_map(|owner| match owner["kind"].as_str()? {
            "Pod" => Some(Pod { owner, metadata: &owner["metadata"], spec: &owner["spec"] }),
            "Deployment" => {
                let template = &owner["spec"]["template"];
                Some(Pod { owner, metadata: &template["metadata"], spec: &template["spec"] })
            }
            _ => None,
        })
    }

    /// `platform.yaml` as the dataplane reads it.
    pub(super) fn platform(&self) -> Option<Value> {
        let text = self.of_kind("ConfigMap").find_map(|object| object["data"]["platform.yaml"].as_str())?;
        serde_saphyr::from_str(text).ok()
    }
}

impl<'r> Pod<'r> {
    /// For a sentence.
    pub(super) fn name(self) -> String {
        Render::name(self.owner)
    }

    pub(super) fn component(self) -> &'r str {
        self.metadata["labels"]["app.kubernetes.io/component"].as_str().unwrap_or_default()
    }

    /// Init containers too.
    pub(super) fn containers(self) -> impl Iterator<Item = &'r Value> {
        items(&self.spec["initContainers"]).iter().chain(items(&self.spec["containers"]))
    }

    pub(super) fn volumes(self) -> &'r [Value] {
        items(&self.spec["volumes"])
    }

    /// Whether labels select this pod; an empty selector selects all.
    pub(super) fn is_selected_by(self, labels: &Value) -> bool {
        matches(labels, &self.metadata["labels"])
    }
}

/// Whether an object's labels are among those of a selector.
pub(super) fn matches(selector: &Value, labels: &Value) -> bool {
    fields(selector).into_iter().flatten().all(|(key, value)| labels[key] == *value)
}

/// The items of a list; none where there is no list.
pub(super) fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The fields of an object, if it is one.
pub(super) fn fields(value: &Value) -> Option<&Map<String, Value>> {
    value.as_object()
}

/// The strings of a list.
pub(super) fn strings(value: &Value) -> Vec<&str> {
    items(value).iter().filter_map(Value::as_str).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Asserts that a rule is kept by a committed render and broken by a change to it, with this among what it says.
    pub(in super::super) fn breaks(
        rule: fn(&Render) -> Vec<String>,
        case: &str,
        change: impl FnOnce(&mut Render),
        says: &str,
    ) {
        let mut render = super::super::tests::committed(case);
        assert_eq!(rule(&render), Vec::<String>::new(), "{case}");
        change(&mut render);
        let told = rule(&render);
        assert!(told.iter().any(|problem| problem.contains(says)), "\"{says}\" is not in {told:?}");
    }

    /// The object of this kind and name.
    pub(in super::super) fn object<'r>(render: &'r mut Render, kind: &str, name: &str) -> &'r mut Value {
        let mut found = render.objects.iter_mut().filter(|o| o["kind"] == kind && o["metadata"]["name"] == name);
        found.next().unwrap_or_else(|| panic!("there is no {kind} {name}"))
    }

    /// The pod that a Deployment makes.
    pub(in super::super) fn pod<'r>(render: &'r mut Render, deployment: &str) -> &'r mut Value {
        &mut object(render, "Deployment", deployment)["spec"]["template"]["spec"]
    }

    #[test]
    fn names_are_whole_words() {
        let values = "secret: a-name\nother: b.c # d";
        let render = Render::parse("", values, &Release::new("rivmesh", "rivmesh")).unwrap();
        assert!(["a-name", "b.c", "secret"].iter().all(|name| render.is_named(name)));
        assert!(["a", "name", "b"].iter().all(|name| !render.is_named(name)));
    }
}
