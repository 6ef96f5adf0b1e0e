//! That names and labels are texts. YAML takes a namespace called `1177` for a number and a Service called `on` for a truth, and the
//! API server refuses both, so the templates quote what somebody chose.

use serde_json::Value;

use super::render::{Render, fields, items};

/// Fields that hold a name.
const NAMES: [&str; 9] = [
    "name",
    "namespace",
    "targetPort",
    "serviceAccountName",
    "secretName",
    "claimName",
    "storageClassName",
    "priorityClassName",
    "loadBalancerClass",
];

/// Maps whose values are texts.
const MAPS: [&str; 5] = ["labels", "annotations", "matchLabels", "selector", "nodeSelector"];

/// No name and no label is a number or a truth.
pub(super) fn quoted(render: &Render) -> Vec<String> {
    let mut problems = Vec::new();
    for object in &render.objects {
        let mut open = vec![object];
        while let Some(value) = open.pop() {
            open.extend(items(value));
            for (key, value) in fields(value).into_iter().flatten() {
                open.push(value);
                let name = Some((key, value)).filter(|_| NAMES.contains(&key.as_str()));
                let words = fields(value).filter(|_| MAPS.contains(&key.as_str()));
                let bare = name.into_iter().chain(words.into_iter().flatten()).filter(|(_, value)| is_bare(value));
                problems
                    .extend(bare.map(|(key, value)| format!("{}: {key} is {value}, no text", Render::name(object))));
            }
        }
    }
    problems
}

fn is_bare(value: &Value) -> bool {
    value.is_number() || value.is_boolean()
}

#[cfg(test)]
mod tests {
    use super::super::render::tests::{breaks, object, pod};
    use super::*;
    use serde_json::json;

    #[test]
    fn a_name_or_label_without_quotes_is_told() {
        let namespace =
            |r: &mut Render| object(r, "Service", "rivmesh-operator")["metadata"]["namespace"] = json!(1177);
        breaks(quoted, "minimal", namespace, "namespace is 1177, no text");
        let label = |r: &mut Render| {
            object(r, "Service", "rivmesh-operator")["spec"]["selector"]["app.kubernetes.io/name"] = json!(true);
        };
        breaks(quoted, "minimal", label, "app.kubernetes.io/name is true, no text");
        let port = |r: &mut Render| pod(r, "rivmesh-dataplane")["containers"][0]["ports"][0]["name"] = json!(443);
        breaks(quoted, "minimal", port, "name is 443, no text");
    }
}
