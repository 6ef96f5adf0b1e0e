//! What every pod must be: as harmless as Pod Security's level `restricted` asks, with no token that it does not need, and with
//! every volume that it mounts.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::render::{Pod, Render, items};

/// Volumes that the level `restricted` allows.
const VOLUMES: [&str; 8] =
    ["configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"];

/// Pod Security `restricted`, and a read-only root besides.
pub(super) fn restricted(render: &Render) -> Vec<String> {
    let mut problems = Vec::new();
    for pod in render.pods() {
        let mut demand = |holds: bool, what: String| {
            if !holds {
                problems.push(format!("{}: {what}", pod.name()));
            }
        };
        let security = &pod.spec["securityContext"];
        demand(security["runAsNonRoot"] == true, "runAsNonRoot must be true".to_owned());
        demand(security["runAsUser"] != 0, "it runs as root".to_owned());
        demand(
            security["seccompProfile"]["type"] == "RuntimeDefault",
            "seccompProfile must be RuntimeDefault".to_owned(),
        );
        for key in ["hostNetwork", "hostPID", "hostIPC"] {
            demand(pod.spec[key].is_null(), format!("{key} must not be set"));
        }
        for volume in pod.volumes() {
            let kinds = volume.as_object().into_iter().flatten().map(|(kind, _)| kind).filter(|kind| *kind != "name");
            for kind in kinds {
                demand(VOLUMES.contains(&&**kind), format!("volume {} is a {kind}", volume["name"]));
            }
        }
        for container in pod.containers() {
            let own = &container["securityContext"];
            let name = &container["name"];
            demand(own["allowPrivilegeEscalation"] == false, format!("{name} may escalate its privileges"));
            demand(own["readOnlyRootFilesystem"] == true, format!("{name} may write to its root"));
            demand(own["capabilities"] == json!({ "drop": ["ALL"] }), format!("{name} must drop ALL capabilities"));
            for key in ["privileged", "runAsUser", "runAsNonRoot", "procMount", "seccompProfile"] {
                demand(own[key].is_null(), format!("{name} sets {key} for itself"));
            }
            demand(!container["resources"]["requests"]["memory"].is_null(), format!("{name} asks for no memory"));
            demand(!container["resources"]["limits"]["memory"].is_null(), format!("{name} has no limit of memory"));
            for port in items(&container["ports"]) {
                demand(port["hostPort"].is_null(), format!("{name} takes a port of its node"));
            }
        }
    }
    problems
}

/// Only the operator gets a token for the API server; the dataplane gets one that the operator alone accepts.
pub(super) fn tokens(render: &Render) -> Vec<String> {
    let mut problems = Vec::new();
    for account in render.of_kind("ServiceAccount") {
        if account["automountServiceAccountToken"] != false {
            problems.push(format!("{}: its token must not be mounted by default", Render::name(account)));
        }
    }
    for pod in render.pods() {
        if pod.spec["automountServiceAccountToken"] != (pod.component() == "operator") {
            problems.push(format!("{}: automountServiceAccountToken must say whether it is the operator", pod.name()));
        }
        let expected = match pod.component() {
            "dataplane" => vec![json!({ "audience": "rivmesh-operator", "expirationSeconds": 3600, "path": "token" })],
            _ => Vec::new(),
        };
        if projected_tokens(pod) != expected.iter().collect::<Vec<_>>() {
            problems.push(format!("{}: its projected tokens must be {expected:?}", pod.name()));
        }
    }
    problems
}

fn projected_tokens(pod: Pod<'_>) -> Vec<&Value> {
    let sources = pod.volumes().iter().flat_map(|volume| items(&volume["projected"]["sources"]));
    sources.map(|source| &source["serviceAccountToken"]).filter(|token| !token.is_null()).collect()
}

/// What is mounted exists, what exists is mounted, and no two are mounted at one place.
pub(super) fn volumes(render: &Render) -> Vec<String> {
    let mut problems = Vec::new();
    for pod in render.pods() {
        let there: Vec<&str> = pod.volumes().iter().filter_map(|volume| volume["name"].as_str()).collect();
        let mut used = BTreeSet::new();
        for container in pod.containers() {
            let mut places = BTreeSet::new();
            for mount in items(&container["volumeMounts"]) {
                let name = mount["name"].as_str().unwrap_or_default();
                used.insert(name);
                if !there.contains(&name) {
                    problems.push(format!("{}: {} mounts {name}, which is no volume", pod.name(), container["name"]));
                }
                if !places.insert(mount["mountPath"].as_str()) {
                    problems.push(format!("{}: two volumes at {}", pod.name(), mount["mountPath"]));
                }
            }
        }
        let unused = there.iter().filter(|name| !used.contains(**name));
        problems.extend(unused.map(|name| format!("{}: nobody mounts {name}", pod.name())));
        let count = there.iter().collect::<BTreeSet<_>>().len();
        if count != there.len() {
            problems.push(format!("{}: two volumes have one name: {}", pod.name(), there.join(", ")));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::super::render::tests::{breaks, object, pod};
    use super::*;

    #[test]
    fn a_pod_that_may_more_than_restricted_allows_is_told() {
        let first = |render: &mut Render, key: &str, value: Value| {
            pod(render, "rivmesh-dataplane")["containers"][0]["securityContext"][key] = value;
        };
        let of_pod = |render: &mut Render, key: &str, value: Value| {
            pod(render, "rivmesh-operator")["securityContext"][key] = value;
        };
        breaks(restricted, "minimal", |r| of_pod(r, "runAsNonRoot", json!(false)), "runAsNonRoot must be true");
        breaks(restricted, "minimal", |r| of_pod(r, "runAsUser", json!(0)), "it runs as root");
        breaks(restricted, "minimal", |r| of_pod(r, "seccompProfile", json!(null)), "RuntimeDefault");
        breaks(restricted, "minimal", |r| first(r, "allowPrivilegeEscalation", json!(true)), "may escalate");
        breaks(restricted, "minimal", |r| first(r, "readOnlyRootFilesystem", json!(false)), "may write to its root");
        breaks(restricted, "minimal", |r| first(r, "capabilities", json!({ "drop": [] })), "must drop ALL");
        breaks(restricted, "minimal", |r| first(r, "privileged", json!(true)), "sets privileged");
        breaks(restricted, "minimal", |r| pod(r, "rivmesh-operator")["hostNetwork"] = json!(true), "hostNetwork");
        let host_path = json!([{ "name": "x", "hostPath": { "path": "/" } }]);
        breaks(restricted, "minimal", |r| pod(r, "rivmesh-operator")["volumes"] = host_path, "is a hostPath");
        let boundless = |r: &mut Render| pod(r, "rivmesh-dataplane")["containers"][0]["resources"] = json!({});
        breaks(restricted, "minimal", boundless, "has no limit of memory");
        let port = |r: &mut Render| pod(r, "rivmesh-dataplane")["containers"][0]["ports"][0]["hostPort"] = json!(443);
        breaks(restricted, "minimal", port, "takes a port of its node");
        let sidecar = |r: &mut Render| {
            pod(r, "rivmesh-dataplane")["initContainers"][0]["securityContext"] = json!({});
        };
        breaks(restricted, "crl-fetcher", sidecar, "\"crl-fetcher\" may escalate");
        let test = |r: &mut Render| object(r, "Pod", "rivmesh-test")["spec"]["securityContext"] = json!({});
        breaks(restricted, "network-policies", test, "Pod rivmesh/rivmesh-test: runAsNonRoot");
    }

    #[test]
    fn a_token_too_many_is_told() {
        breaks(
            tokens,
            "minimal",
            |r| object(r, "ServiceAccount", "rivmesh-dataplane")["automountServiceAccountToken"] = json!(true),
            "must not be mounted by default",
        );
        breaks(
            tokens,
            "minimal",
            |r| pod(r, "rivmesh-dataplane")["automountServiceAccountToken"] = json!(null),
            "must say whether it is the operator",
        );
        breaks(
            tokens,
            "minimal",
            |r| {
                let volumes = &mut pod(r, "rivmesh-dataplane")["volumes"];
                volumes[1]["projected"]["sources"][0]["serviceAccountToken"]["audience"] = json!("kubernetes");
            },
            "its projected tokens must be",
        );
    }

    #[test]
    fn a_volume_that_is_missing_unused_or_hidden_is_told() {
        let mount = |r: &mut Render, name: &str, path: &str| {
            pod(r, "rivmesh-dataplane")["containers"][0]["volumeMounts"][0] =
                json!({ "name": name, "mountPath": path });
        };
        breaks(volumes, "minimal", |r| mount(r, "absent", "/x"), "mounts absent, which is no volume");
        breaks(volumes, "minimal", |r| mount(r, "table", "/x"), "nobody mounts settings");
        breaks(volumes, "minimal", |r| mount(r, "settings", "/var/lib/rivmesh/table"), "two volumes at");
        let twice = |r: &mut Render| pod(r, "rivmesh-dataplane")["volumes"][0]["name"] = json!("table");
        breaks(volumes, "minimal", twice, "two volumes have one name");
    }
}
