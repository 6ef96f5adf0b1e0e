//! From a document to an object: which kind, which name, and a spec that passed the schema. A document that cannot
//! become an object says why, and still says which object it was meant to be if that much can be read.

use rivmesh_crds::{
    API_VERSION, CallAuthorizationSpec, GROUP, Kind, RoutingEntrySpec, ServiceContractSpec, UnknownKind,
};
use rivmesh_table::{ObjectId, Spec};
use serde::de::DeserializeOwned;

use super::schema::{self, Fault};
use super::yaml::{Node, Unreadable, Value};

/// The longest `metadata.name`, in characters; Kubernetes' own.
const MAX_NAME: usize = 253;
/// The longest namespace, in characters; Kubernetes' own.
const MAX_NAMESPACE: usize = 63;
/// Where objects belong whose manifest names no namespace.
const DEFAULT_NAMESPACE: &str = "default";

/// What a document is.
#[derive(Debug, Clone, PartialEq)]
pub enum Document {
    /// An object.
    Object {
        /// Which.
        id: ObjectId,
        /// The line where it starts.
        line: u32,
        /// Its content.
        spec: Box<Spec>,
    },
    /// One of ours, or perhaps one, that is not usable.
    Refused {
        /// Which object it was meant to be, if it says so.
        id: Option<ObjectId>,
        /// Why, at least one reason.
        faults: Vec<Fault>,
    },
    /// Certainly none of ours.
    Foreign(Fault),
}

/// The documents of a file's text, in order. The items of a `List` count as documents.
pub fn read(text: &str) -> Vec<Document> {
    let mut found = Vec::new();
    for document in super::yaml::documents(text) {
        match document {
            Ok(node) => interpret(&node, &mut found),
            Err(Unreadable { line, reason }) => {
                found.push(Document::Refused { id: None, faults: vec![Fault::new(line, "", reason)] });
            }
        }
    }
    found
}

fn interpret(node: &Node, found: &mut Vec<Document>) {
    let is_list = node.get("kind").and_then(Node::text) == Some("List");
    match node.get("items").map(|items| &items.value) {
        Some(Value::List(items)) if is_list => items.iter().for_each(|item| found.push(object(item))),
        _ => found.push(object(node)),
    }
}

fn object(node: &Node) -> Document {
    let kind = match kind(node) {
        Ok(Ok(kind)) => kind,
        Ok(Err(foreign)) => return Document::Foreign(foreign),
        Err(fault) => return Document::Refused { id: None, faults: vec![fault] },
    };
    let (namespace, name) = match metadata(node) {
        Ok(names) => names,
        Err(fault) => return Document::Refused { id: None, faults: vec![fault] },
    };
    let id = ObjectId { kind, namespace, name };
    let mut faults = unknown_fields(node);
    match node.get("spec") {
        None => faults.push(Fault::new(node.line, "", "the field spec is missing")),
        Some(spec) => faults.extend(schema::check(kind, spec)),
    }
    if !faults.is_empty() {
        return Document::Refused { id: Some(id), faults };
    }
    match spec(kind, node) {
        Ok(spec) => Document::Object { id, line: node.line, spec: Box::new(spec) },
        Err(fault) => Document::Refused { id: Some(id), faults: vec![fault] },
    }
}

/// The kind; or why it is none of ours; or why that cannot be told.
fn kind(node: &Node) -> Result<Result<Kind, Fault>, Fault> {
    if !matches!(node.value, Value::Map(_)) {
        return Err(Fault::new(node.line, "", "this is not a manifest: it has no apiVersion and kind"));
    }
    let field = |name: &str| {
        let missing = || Fault::new(node.line, "", format!("this is not a manifest: the field {name} is missing"));
        let field = node.get(name).ok_or_else(missing)?;
        let text = field.text().ok_or_else(|| Fault::new(field.line, name, "must be text"))?;
        Ok((field.line, text))
    };
    let (line, version) = field("apiVersion")?;
    let (kind_line, kind) = field("kind")?;
    let group = version.rsplit_once('/').map_or("", |(group, _)| group);
    if group != GROUP {
        let reason = format!("{kind} of {version} is none of ours and is passed over");
        return Ok(Err(Fault::new(node.line, "", reason)));
    }
    if version != API_VERSION {
        return Err(Fault::new(line, "apiVersion", format!("is {version}; this version reads {API_VERSION}")));
    }
    let unknown = |error: UnknownKind| Fault::new(kind_line, "kind", error.to_string());
    kind.parse().map(Ok).map_err(unknown)
}

fn metadata(node: &Node) -> Result<(String, String), Fault> {
    let missing = || Fault::new(node.line, "", "the field metadata.name is missing");
    let metadata = node.get("metadata").ok_or_else(missing)?;
    let name = metadata.get("name").ok_or_else(missing)?;
    let wrong_name = || {
        let rule = "must be 1 to 253 lower-case letters, digits, '-' and '.', and begin and end with a letter or digit";
        Fault::new(name.line, "metadata.name", rule)
    };
    let text = name.text().filter(|text| is_name(text, MAX_NAME, true)).ok_or_else(wrong_name)?;
    let namespace = match metadata.get("namespace") {
        None => DEFAULT_NAMESPACE,
        Some(namespace) => {
            let rule = "must be 1 to 63 lower-case letters, digits and '-', and begin and end with a letter or digit";
            let wrong = || Fault::new(namespace.line, "metadata.namespace", rule);
            namespace.text().filter(|text| is_name(text, MAX_NAMESPACE, false)).ok_or_else(wrong)?
        }
    };
    Ok((namespace.to_owned(), text.to_owned()))
}

/// RFC 1123 labels, joined by dots where `dots` are allowed.
fn is_name(text: &str, longest: usize, dots: bool) -> bool {
    let is_label = |label: &str| {
        let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        !label.is_empty() && label.bytes().all(inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    text.len() <= longest && if dots { text.split('.').all(is_label) } else { is_label(text) }
}

fn unknown_fields(node: &Node) -> Vec<Fault> {
    let Value::Map(entries) = &node.value else { return Vec::new() };
    let known = ["apiVersion", "kind", "metadata", "spec", "status"];
    let unknown = entries.iter().filter(|(key, _)| !known.contains(&key.text.as_str()));
    unknown.map(|(key, _)| Fault::new(key.line, &key.text, "there is no such field beside spec")).collect()
}

fn spec(kind: Kind, node: &Node) -> Result<Spec, Fault> {
    Ok(match kind {
        Kind::RoutingEntry => Spec::RoutingEntry(typed::<RoutingEntrySpec>(node)?),
        Kind::CallAuthorization => Spec::CallAuthorization(typed::<CallAuthorizationSpec>(node)?),
        Kind::ServiceContract => Spec::ServiceContract(typed::<ServiceContractSpec>(node)?),
    })
}

fn typed<T: DeserializeOwned>(node: &Node) -> Result<T, Fault> {
    let (line, json) =
        node.get("spec").map_or((node.line, serde_json::Value::Null), |spec| (spec.line, spec.to_json()));
    serde_json::from_value(json).map_err(|error| Fault::new(line, "spec", error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contract(name: &str) -> String {
        format!(
            "apiVersion: rivmesh.io/v1alpha1\nkind: ServiceContract\nmetadata: {{name: {name}}}\nspec: {{urn: 'urn:riv:x:XResponder:1'}}\n"
        )
    }

    fn refusals(text: &str) -> Vec<(u32, String)> {
        let refused = read(text).into_iter().flat_map(|document| match document {
            Document::Refused { faults, .. } => faults,
            Document::Foreign(fault) => vec![fault],
            Document::Object { .. } => Vec::new(),
        });
        refused.map(|fault| (fault.line, fault.reason)).collect()
    }

    #[test]
    fn documents_become_objects() {
        let text = format!("{}---\n{}", contract("a"), contract("b.c").replace("name:", "namespace: tak, name:"));
        let ids: Vec<String> = read(&text)
            .into_iter()
            .filter_map(|document| match document {
                Document::Object { id, .. } => Some(id.to_string()),
                Document::Refused { .. } | Document::Foreign(_) => None,
            })
            .collect();
        assert_eq!(ids, ["default/a", "tak/b.c"]);
        assert_eq!(refusals(&text), []);
    }

    #[test]
    fn the_items_of_a_list_are_documents() {
        let item = contract("a").replace('\n', "\n  ");
        let text = format!("apiVersion: v1\nkind: List\nitems:\n- {item}\n- kind: ConfigMap\n  apiVersion: v1\n");
        let documents = read(&text);
        assert!(matches!(&documents[0], Document::Object { line: 4, .. }), "{documents:?}");
        assert_eq!(refusals(&text), [(9, "ConfigMap of v1 is none of ours and is passed over".to_owned())]);
    }

    #[test]
    fn a_refused_document_says_which_object_it_was_meant_to_be() {
        let text = contract("a").replace("urn:", "urm:");
        let documents = read(&text);
        let Document::Refused { id: Some(id), faults } = &documents[0] else { panic!("{documents:?}") };
        assert_eq!(id.to_string(), "default/a");
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(faults.iter().all(|fault| fault.line == 4), "{faults:?}");
    }

    #[test]
    fn what_is_no_object_is_told_with_its_line() {
        let cases = [
            ("- a\n", 1, "this is not a manifest: it has no apiVersion and kind"),
            ("kind: RoutingEntry\n", 1, "this is not a manifest: the field apiVersion is missing"),
            ("apiVersion: rivmesh.io/v2\nkind: RoutingEntry\n", 1, "apiVersion: is rivmesh.io/v2; this version reads"),
            ("apiVersion: rivmesh.io/v1alpha1\nkind: Route\n", 2, "kind: \"Route\" is not a kind of"),
            (
                "apiVersion: rivmesh.io/v1alpha1\nkind: RoutingEntry\nmetadata:\n  name: A_b\n",
                4,
                "metadata.name: must be",
            ),
            (
                "apiVersion: rivmesh.io/v1alpha1\nkind: RoutingEntry\nmetadata: {}\n",
                1,
                "the field metadata.name is missing",
            ),
            (
                "apiVersion: rivmesh.io/v1alpha1\nkind: RoutingEntry\nmetadata: {name: a}\n",
                1,
                "the field spec is missing",
            ),
        ];
        for (text, line, reason) in cases {
            let found = refusals(text);
            assert_eq!(found.len(), 1, "{text}: {found:?}");
            assert_eq!(found[0].0, line, "{text}");
            assert!(found[0].1.starts_with(reason), "{text}: {found:?}");
        }
        assert_eq!(refusals(&contract("a").replace("spec:", "sepc: {}\nspec:")).len(), 1);
    }

    #[test]
    fn names_are_those_of_kubernetes() {
        for good in ["a", "a-b", "a.b", "0"] {
            assert!(is_name(good, MAX_NAME, true), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a..b", "a_b", "å", &"a".repeat(254)] {
            assert!(!is_name(bad, MAX_NAME, true), "{bad}");
        }
        assert!(!is_name("a.b", MAX_NAMESPACE, false));
    }
}
