//! That the objects of a render belong together: each is there once, what selects finds, and what is referred to exists.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::render::{Pod, Render, fields, items, matches};

/// What the operator writes into objects that the chart renders empty.
const FILLED_BY_THE_OPERATOR: [(&str, &str); 1] = [("-operator-ca", "ca.crt")];

/// No object stands there twice, each is in the release's namespace or in none, and its name can be a host's.
pub(super) fn unique(render: &Render) -> Vec<String> {
    let mut problems = Vec::new();
    let mut seen = BTreeSet::new();
    for object in &render.objects {
        let name = Render::name(object);
        let kind = object["kind"].as_str().unwrap_or_default();
        let namespace = &object["metadata"]["namespace"];
        if !namespace.is_null() && *namespace != *render.release.namespace {
            let watched =
                name.ends_with(":watch") && namespace.as_str().is_some_and(|namespace| render.is_named(namespace));
            if !watched {
                problems.push(format!("{name} is in a namespace that is not the release's"));
            }
        }
        let short = object["metadata"]["name"].as_str().unwrap_or_default();
        let is_right = kind.contains("Role") || kind == "CustomResourceDefinition";
        if !is_right && (short.len() > 63 || short.contains([':', '.'])) {
            problems.push(format!("{name} is no name of a host"));
        }
        if !seen.insert(name.clone()) {
            problems.push(format!("{name} is rendered twice"));
        }
    }
    problems
}

/// A Deployment says how many pods there are, or an autoscaler does, and never both: they would fight at every upgrade.
pub(super) fn replicas(render: &Render) -> Vec<String> {
    let mut problems = Vec::new();
    for deployment in render.of_kind("Deployment") {
        let name = &deployment["metadata"]["name"];
        let target = |scaler: &&Value| {
            scaler["spec"]["scaleTargetRef"] == json!({ "apiVersion": "apps/v1", "kind": "Deployment", "name": name })
        };
        let scaled = render.of_kind("HorizontalPodAutoscaler").any(|scaler| target(&scaler));
        let says = !deployment["spec"]["replicas"].is_null();
        if scaled == says {
            let both =
                if says { "has replicas beside an autoscaler" } else { "has neither replicas nor an autoscaler" };
            problems.push(format!("{} {both}", Render::name(deployment)));
        }
    }
    for scaler in render.of_kind("HorizontalPodAutoscaler") {
        let target = scaler["spec"]["scaleTargetRef"]["name"].as_str().unwrap_or_default();
        if render.find("Deployment", target).is_none() {
            problems.push(format!("{} scales {target}, which is not there", Render::name(scaler)));
        }
        if items(&scaler["spec"]["metrics"]).is_empty() {
            problems.push(format!("{} has no metric", Render::name(scaler)));
        }
    }
    problems
}

/// Every selector finds at least one pod, and a Deployment finds its own.
pub(super) fn selectors(render: &Render) -> Vec<String> {
    let mut problems = Vec::new();
    let finds = |labels: &Value| render.pods().any(|pod| pod.is_selected_by(labels));
    for object in &render.objects {
        let spec = &object["spec"];
        let mut selectors: Vec<&Value> = match object["kind"].as_str().unwrap_or_default() {
            "Service" => vec![&spec["selector"]],
            "PodDisruptionBudget" => vec![&spec["selector"]["matchLabels"]],
            "NetworkPolicy" => vec![&spec["podSelector"]["matchLabels"]],
            "Deployment" => vec![&spec["selector"]["matchLabels"]],
            _ => continue,
        };
        if selectors.iter().any(|selector| fields(selector).is_none_or(serde_json::Map::is_empty)) {
            problems.push(format!("{} selects everything", Render::name(object)));
        }
        let rules = items(&spec["ingress"]).iter().chain(items(&spec["egress"]));
        let peers = rules.flat_map(|rule| items(&rule["from"]).iter().chain(items(&rule["to"])));
        // Peers outside the release are the user's.
        let ours = peers.map(|peer| &peer["podSelector"]["matchLabels"]);
        selectors.extend(ours.filter(|labels| labels["app.kubernetes.io/instance"] == *render.release.name));
        let misses = selectors.iter().filter(|selector| !finds(selector));
        problems.extend(misses.map(|selector| format!("{} selects no pod: {selector}", Render::name(object))));
    }
    for pod in render.pods().filter(|pod| pod.owner["kind"] == "Deployment") {
        if !pod.is_selected_by(&pod.owner["spec"]["selector"]["matchLabels"]) {
            problems.push(format!("{} does not select its own pods", pod.name()));
        }
        for spread in items(&pod.spec["topologySpreadConstraints"]) {
            if !pod.is_selected_by(&spread["labelSelector"]["matchLabels"]) || spread["labelSelector"].is_null() {
                problems.push(format!("{} spreads among other pods than its own", pod.name()));
            }
        }
    }
    problems
}

/// Every port that is named is a port of the container behind it.
pub(super) fn ports(render: &Render) -> Vec<String> {
    let mut problems = Vec::new();
    for pod in render.pods() {
        for container in pod.containers() {
            for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
                let port = &container[probe]["httpGet"]["port"];
                if !port.is_null() && !items(&container["ports"]).iter().any(|own| own["name"] == *port) {
                    problems.push(format!("{}: {probe} asks at port {port}, which is not there", pod.name()));
                }
            }
        }
    }
    for service in render.of_kind("Service") {
        let numbers: Vec<&Value> = items(&service["spec"]["ports"]).iter().map(|port| &port["port"]).collect();
        if (1..numbers.len()).any(|nr| numbers[..nr].contains(&numbers[nr])) {
            problems.push(format!("{}: two of its ports are one", Render::name(service)));
        }
        for port in items(&service["spec"]["ports"]) {
            let there = render
                .pods()
                .filter(|pod| pod.is_selected_by(&service["spec"]["selector"]))
                .all(|pod| has_port(pod, &port["targetPort"]));
            if !there {
                problems.push(format!("{}: its pods have no port {}", Render::name(service), port["targetPort"]));
            }
        }
    }
    for monitor in render.of_kind("PodMonitor") {
        let port = &monitor["spec"]["podMetricsEndpoints"][0]["port"];
        let chosen = render.pods().filter(|pod| is_monitored(&monitor["spec"]["selector"], &pod.metadata["labels"]));
        if chosen.filter(|pod| has_port(*pod, port)).count() != 2 {
            problems.push(format!("{} does not find both components at port {port}", Render::name(monitor)));
        }
    }
    for monitor in render.of_kind("ServiceMonitor") {
        let port = &monitor["spec"]["endpoints"][0]["port"];
        let chosen = render.of_kind("Service").filter(|service| {
            is_monitored(&monitor["spec"]["selector"], &service["metadata"]["labels"])
                && items(&service["spec"]["ports"]).iter().any(|own| own["name"] == *port)
        });
        if chosen.count() != 2 {
            problems.push(format!("{} does not find both components at port {port}", Render::name(monitor)));
        }
    }
    problems
}

fn has_port(pod: Pod<'_>, name: &Value) -> bool {
    pod.containers().flat_map(|container| items(&container["ports"])).any(|port| port["name"] == *name)
}

fn is_monitored(selector: &Value, labels: &Value) -> bool {
    let among = |rule: &Value| {
        let label = &labels[rule["key"].as_str().unwrap_or_default()];
        items(&rule["values"]).contains(label)
    };
    matches(&selector["matchLabels"], labels) && items(&selector["matchExpressions"]).iter().all(among)
}

/// Every Secret, ConfigMap, account and claim that a pod needs is rendered, with the key, or was named by the user.
pub(super) fn references(render: &Render) -> Vec<String> {
    let mut problems = Vec::new();
    let mut certificates = BTreeMap::new();
    for certificate in render.of_kind("Certificate") {
        certificates.insert(certificate["spec"]["secretName"].as_str().unwrap_or_default(), certificate);
    }
    for pod in render.pods() {
        let account = pod.spec["serviceAccountName"].as_str();
        let unknown = |name: &str| render.find("ServiceAccount", name).is_none() && !render.is_named(name);
        if let Some(name) = account.filter(|name| unknown(name)) {
            problems.push(format!("{}: there is no ServiceAccount {name}", pod.name()));
        }
        for (kind, name, key) in files(pod) {
            let rendered = render.find(kind, name);
            let has_key = |object: &Value| {
                let filled = FILLED_BY_THE_OPERATOR.iter().any(|(end, filled)| name.ends_with(end) && key == *filled);
                filled || !object["data"][key].is_null()
            };
            let known = match rendered {
                Some(object) => has_key(object),
                None => render.is_named(name) || (kind == "Secret" && certificates.contains_key(name)),
            };
            if !known {
                problems.push(format!(
                    "{}: {kind} {name} with the key {key} is neither rendered nor named in values",
                    pod.name()
                ));
            }
        }
        for volume in pod.volumes() {
            let claim = volume["persistentVolumeClaim"]["claimName"].as_str();
            if let Some(name) = claim.filter(|name| !render.is_named(name)) {
                problems.push(format!("{}: nobody named the claim {name}", pod.name()));
            }
        }
    }
    problems
}

/// Kind, name and key of every file that a pod mounts from another object.
fn files<'r>(pod: Pod<'r>) -> Vec<(&'static str, &'r str, &'r str)> {
    let mut found = Vec::new();
    for volume in pod.volumes() {
        let sources = items(&volume["projected"]["sources"]).iter().chain([volume]);
        for source in sources {
            for (field, kind) in [("secret", "Secret"), ("configMap", "ConfigMap")] {
                let object = &source[field];
                let name = object["name"].as_str().or_else(|| object["secretName"].as_str());
                for item in items(&object["items"]) {
                    if let (Some(name), Some(key)) = (name, item["key"].as_str()) {
                        found.push((kind, name, key));
                    }
                }
                if object.is_object() && items(&object["items"]).is_empty() {
                    // Without items every key is mounted: more than anybody needs.
                    found.push((kind, name.unwrap_or_default(), "(every key)"));
                }
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::render::tests::{breaks, object, pod};
    use super::*;

    #[test]
    fn objects_that_meet_are_told() {
        let twice = |r: &mut Render| r.objects.push(r.objects[0].clone());
        breaks(unique, "minimal", twice, "is rendered twice");
        let astray =
            |r: &mut Render| object(r, "Service", "rivmesh-operator")["metadata"]["namespace"] = json!("default");
        breaks(unique, "minimal", astray, "is in a namespace that is not the release's");
        let long =
            |r: &mut Render| object(r, "Service", "rivmesh-operator")["metadata"]["name"] = json!("x".repeat(64));
        breaks(unique, "minimal", long, "is no name of a host");
    }

    #[test]
    fn an_autoscaler_that_fights_or_misses_is_told() {
        let says = |r: &mut Render| object(r, "Deployment", "rivmesh-dataplane")["spec"]["replicas"] = json!(3);
        breaks(replicas, "minimal", says, "has replicas beside an autoscaler");
        let silent = |r: &mut Render| object(r, "Deployment", "rivmesh-operator")["spec"]["replicas"] = json!(null);
        breaks(replicas, "minimal", silent, "has neither replicas nor an autoscaler");
        let scaler = |r: &mut Render, key: &str, value: Value| {
            object(r, "HorizontalPodAutoscaler", "rivmesh-dataplane")["spec"][key] = value;
        };
        breaks(
            replicas,
            "minimal",
            |r| scaler(r, "scaleTargetRef", json!({ "name": "x" })),
            "scales x, which is not there",
        );
        breaks(replicas, "minimal", |r| scaler(r, "metrics", json!([])), "has no metric");
    }

    #[test]
    fn a_selector_that_finds_nothing_is_told() {
        let component = "app.kubernetes.io/component";
        for (kind, path) in [
            ("Service", "/spec/selector"),
            ("PodDisruptionBudget", "/spec/selector/matchLabels"),
            ("NetworkPolicy", "/spec/podSelector/matchLabels"),
            ("Deployment", "/spec/selector/matchLabels"),
            ("NetworkPolicy", "/spec/egress/1/to/0/podSelector/matchLabels"),
        ] {
            let misspell = |r: &mut Render| {
                object(r, kind, "rivmesh-dataplane").pointer_mut(path).unwrap()[component] = json!("dataplan");
            };
            breaks(selectors, "minimal", misspell, "selects no pod");
        }
        let all = |r: &mut Render| object(r, "Service", "rivmesh-dataplane")["spec"]["selector"] = json!({});
        breaks(selectors, "minimal", all, "selects everything");
        let spread = |r: &mut Render| {
            pod(r, "rivmesh-operator")["topologySpreadConstraints"][0]["labelSelector"] = json!(null);
        };
        breaks(selectors, "minimal", spread, "spreads among other pods");
    }

    #[test]
    fn a_port_that_is_not_there_is_told() {
        let probe = |r: &mut Render| {
            pod(r, "rivmesh-dataplane")["containers"][0]["readinessProbe"]["httpGet"]["port"] = json!("x");
        };
        breaks(ports, "minimal", probe, "readinessProbe asks at port");
        let service = |r: &mut Render| {
            object(r, "Service", "rivmesh-dataplane")["spec"]["ports"][0]["targetPort"] = json!("x");
        };
        breaks(ports, "minimal", service, "its pods have no port");
        let twice = |r: &mut Render| {
            object(r, "Service", "rivmesh-operator")["spec"]["ports"][1]["port"] = json!(9443);
        };
        breaks(ports, "minimal", twice, "two of its ports are one");
        let monitor = |r: &mut Render, kind: &str| {
            object(r, kind, "rivmesh-metrics")["spec"]["selector"]["matchExpressions"][0]["values"] =
                json!(["operator"]);
        };
        breaks(ports, "monitoring", |r| monitor(r, "ServiceMonitor"), "does not find both components");
        breaks(ports, "production", |r| monitor(r, "PodMonitor"), "does not find both components");
    }

    #[test]
    fn a_reference_to_nothing_is_told() {
        let item = |r: &mut Render, key: &str, value: &str| {
            pod(r, "rivmesh-dataplane")["volumes"][0]["projected"]["sources"][0]["configMap"][key] = json!(value);
        };
        breaks(references, "minimal", |r| item(r, "name", "absent"), "ConfigMap absent with the key platform.yaml");
        let key = |r: &mut Render| {
            let sources = &mut pod(r, "rivmesh-dataplane")["volumes"][0]["projected"]["sources"];
            sources[0]["configMap"]["items"][0]["key"] = json!("platform.yml");
        };
        breaks(references, "minimal", key, "with the key platform.yml is neither rendered nor named");
        let whole = |r: &mut Render| {
            let sources = &mut pod(r, "rivmesh-dataplane")["volumes"][1]["projected"]["sources"];
            sources[1]["secret"]["items"] = json!([]);
            sources[1]["secret"]["name"] = json!("x");
        };
        breaks(references, "cert-manager", whole, "Secret x with the key (every key)");
        let account = |r: &mut Render| pod(r, "rivmesh-operator")["serviceAccountName"] = json!("absent");
        breaks(references, "minimal", account, "there is no ServiceAccount absent");
        let claim = |r: &mut Render| {
            pod(r, "rivmesh-dataplane")["volumes"][2] = json!({ "persistentVolumeClaim": { "claimName": "absent" } });
        };
        breaks(references, "minimal", claim, "nobody named the claim absent");
        let certificate = |r: &mut Render| r.objects.retain(|object| object["kind"] != "Certificate");
        breaks(references, "cert-manager", certificate, "Secret rivmesh-operator-cert with the key");
    }
}
