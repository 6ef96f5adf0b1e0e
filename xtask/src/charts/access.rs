//! Who may do what: rights in the API server, and connections.

use serde_json::Value;

use super::render::{Render, items, strings};

/// Verbs that turn a right into more rights.
const ESCALATING: [&str; 3] = ["bind", "escalate", "impersonate"];

/// No wildcards, no escalation, and Secrets and ConfigMaps only by name.
pub(super) fn least_privilege(render: &Render) -> Vec<String> {
    let mut problems = Vec::new();
    for role in render.of_kind("Role").chain(render.of_kind("ClusterRole")) {
        for rule in items(&role["rules"]) {
            let mut tell = |what: &str| problems.push(format!("{}: {what}: {rule}", Render::name(role)));
            let (verbs, resources) = (strings(&rule["verbs"]), strings(&rule["resources"]));
            if [&rule["apiGroups"], &rule["resources"], &rule["verbs"]].iter().any(|list| strings(list).contains(&"*"))
            {
                tell("a wildcard");
            }
            if verbs.iter().any(|verb| ESCALATING.contains(verb)) {
                tell("a verb that gives more rights");
            }
            let sensitive = resources.iter().any(|resource| ["secrets", "configmaps"].contains(resource));
            if sensitive && (strings(&rule["resourceNames"]).is_empty() || verbs.contains(&"create")) {
                tell("Secrets and ConfigMaps must be named one by one");
            }
            let ours = strings(&rule["apiGroups"]).contains(&"rivmesh.io");
            let people = role["metadata"]["name"].as_str().is_some_and(|name| name.starts_with("rivmesh-tak-"));
            let writes = |verb: &&str| !["get", "list", "watch"].contains(verb);
            let spec = resources.iter().any(|resource| !resource.ends_with("/status"));
            if ours && !people && spec && verbs.iter().any(writes) {
                tell("nobody but people may write a spec");
            }
            if people && resources.iter().any(|resource| resource.ends_with("/status")) {
                tell("people do not write a status");
            }
        }
        if let Some(labels) = role["metadata"]["labels"].as_object()
            && labels.keys().any(|label| label.contains("aggregate"))
        {
            problems.push(format!("{}: it is aggregated into other roles", Render::name(role)));
        }
    }
    problems
}

/// Bindings lead from a role that is rendered to an account of the operator; dataplanes have no rights.
pub(super) fn bindings(render: &Render) -> Vec<String> {
    let mut problems = Vec::new();
    let operator = render.pods().find(|pod| pod.component() == "operator").map(|pod| &pod.spec["serviceAccountName"]);
    for binding in render.of_kind("RoleBinding").chain(render.of_kind("ClusterRoleBinding")) {
        let role = &binding["roleRef"];
        let found = render.of_kind(role["kind"].as_str().unwrap_or_default()).any(|object| {
            object["metadata"]["name"] == role["name"]
                && (role["kind"] == "ClusterRole"
                    || object["metadata"]["namespace"] == binding["metadata"]["namespace"])
        });
        if !found {
            problems.push(format!("{}: there is no {}", Render::name(binding), role["name"]));
        }
        for subject in items(&binding["subjects"]) {
            if Some(&subject["name"]) != operator || subject["namespace"] != *render.release.namespace {
                problems
                    .push(format!("{}: gives rights to {subject}, which is not the operator", Render::name(binding)));
            }
        }
    }
    problems
}

/// Whoever reaches an internal listener may call as anybody: it is never on the consumers' Service, and no policy opens it to everybody.
pub(super) fn internal_listeners(render: &Render) -> Vec<String> {
    let mut problems = Vec::new();
    let platform = render.platform().unwrap_or_default();
    for listener in items(&platform["listeners"]).iter().filter(|listener| listener["kind"] == "internal") {
        let name = &listener["name"];
        let port = listener["address"].as_str().and_then(|address| address.rsplit(':').next()?.parse::<u64>().ok());
        for service in render.of_kind("Service") {
            let own = items(&service["spec"]["ports"]);
            let others = own.iter().any(|port| is_consumers(&platform, &port["targetPort"]));
            let here = own.iter().any(|port| port["targetPort"] == *name);
            if here && (others || service["spec"]["type"] != "ClusterIP") {
                problems
                    .push(format!("{}: internal listener {name} can be reached from outside", Render::name(service)));
            }
        }
        for policy in render.of_kind("NetworkPolicy") {
            let open = items(&policy["spec"]["ingress"]).iter().any(|rule| {
                let names = items(&rule["ports"]).iter().any(|own| own["port"].as_u64() == port);
                (names || items(&rule["ports"]).is_empty()) && items(&rule["from"]).is_empty()
            });
            if open && port.is_some() {
                problems.push(format!("{}: internal listener {name} is open to everybody", Render::name(policy)));
            }
        }
    }
    problems
}

fn is_consumers(platform: &Value, name: &Value) -> bool {
    items(&platform["listeners"]).iter().any(|listener| listener["name"] == *name && listener["kind"] != "internal")
}

/// What the operator writes is rendered without content, so that no upgrade takes it away; and no Secret holds anything.
pub(super) fn kept_by_the_operator(render: &Render) -> Vec<String> {
    let operator = |object: &&Value| object["metadata"]["labels"]["app.kubernetes.io/component"] == "operator";
    let kept = render.of_kind("Secret").chain(render.of_kind("ConfigMap").filter(operator));
    kept.filter(|object| !object["data"].is_null() || !object["stringData"].is_null() || !object["immutable"].is_null())
        .map(|object| format!("{}: it must be rendered without content", Render::name(object)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::render::tests::{breaks, object};
    use super::*;
    use serde_json::json;

    #[test]
    fn a_right_too_many_is_told() {
        let rule = |r: &mut Render, nr: usize, key: &str, value: Value| {
            object(r, "Role", "rivmesh-operator")["rules"][nr][key] = value;
        };
        breaks(least_privilege, "minimal", |r| rule(r, 0, "verbs", json!(["*"])), "a wildcard");
        breaks(least_privilege, "minimal", |r| rule(r, 0, "resources", json!(["*"])), "a wildcard");
        breaks(least_privilege, "minimal", |r| rule(r, 0, "verbs", json!(["escalate"])), "gives more rights");
        breaks(least_privilege, "minimal", |r| rule(r, 1, "resourceNames", json!([])), "must be named one by one");
        breaks(least_privilege, "minimal", |r| rule(r, 2, "verbs", json!(["create"])), "must be named one by one");
        let watch = |r: &mut Render| {
            object(r, "Role", "rivmesh:rivmesh:rivmesh:watch")["rules"][0]["verbs"] = json!(["get", "patch"]);
        };
        breaks(least_privilege, "minimal", watch, "nobody but people may write a spec");
        let status = |r: &mut Render| {
            object(r, "ClusterRole", "rivmesh-tak-edit")["rules"][0]["resources"] = json!(["routingentries/status"]);
        };
        breaks(least_privilege, "minimal", status, "people do not write a status");
        let aggregate = |r: &mut Render| {
            object(r, "ClusterRole", "rivmesh-tak-edit")["metadata"]["labels"]["rbac.authorization.k8s.io/aggregate-to-edit"] =
                json!("true");
        };
        breaks(least_privilege, "minimal", aggregate, "aggregated into other roles");
    }

    #[test]
    fn a_binding_astray_is_told() {
        let lost = |r: &mut Render| object(r, "RoleBinding", "rivmesh-operator")["roleRef"]["name"] = json!("absent");
        breaks(bindings, "minimal", lost, "there is no \"absent\"");
        let dataplane = |r: &mut Render| {
            object(r, "RoleBinding", "rivmesh-operator")["subjects"][0]["name"] = json!("rivmesh-dataplane");
        };
        breaks(bindings, "minimal", dataplane, "which is not the operator");
    }

    #[test]
    fn an_internal_listener_in_the_open_is_told() {
        let service = |r: &mut Render| object(r, "Service", "rivmesh-internal")["spec"]["type"] = json!("LoadBalancer");
        breaks(internal_listeners, "internal-listener", service, "can be reached from outside");
        let shared = |r: &mut Render| {
            let ports = object(r, "Service", "rivmesh-dataplane")["spec"]["ports"].as_array_mut().unwrap();
            ports.push(json!({ "name": "reserved", "port": 80, "targetPort": "reserved" }));
        };
        breaks(internal_listeners, "internal-listener", shared, "\"reserved\" can be reached from outside");
        let open = |r: &mut Render| {
            let rules = object(r, "NetworkPolicy", "rivmesh-dataplane")["spec"]["ingress"].as_array_mut().unwrap();
            rules.push(json!({ "ports": [{ "port": 8081 }] }));
        };
        breaks(internal_listeners, "internal-listener", open, "\"reserved\" is open to everybody");
    }

    #[test]
    fn content_in_what_the_operator_keeps_is_told() {
        let secret = |r: &mut Render| object(r, "Secret", "rivmesh-operator-tls")["data"] = json!({ "tls.key": "" });
        breaks(kept_by_the_operator, "minimal", secret, "must be rendered without content");
        let baseline = |r: &mut Render| object(r, "ConfigMap", "rivmesh-baseline")["data"] = json!({});
        breaks(kept_by_the_operator, "minimal", baseline, "rivmesh-baseline: it must be rendered without content");
    }
}
