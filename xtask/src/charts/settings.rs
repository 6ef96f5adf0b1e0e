//! `platform.yaml` as the chart renders it: what it names is mounted, what follows from one value agrees, and a chart's user can
//! say everything that its page says.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use serde_json::Value;

use super::render::{Render, items, strings};

/// Where fetched revocation lists are, in every pod.
const LISTS: &str = "/var/lib/rivmesh/crls/";

/// Keys that a dataplane in a cluster does not read, and why.
const NOT_FOR_DATAPLANES: [(&str, &str); 1] =
    [("hsaUnits", "the operator reads them and sends the hierarchy with the tables")];

/// Every file that `platform.yaml` names is in the volume of the settings, or is a revocation list that somebody brings.
pub(super) fn mounted(render: &Render) -> Vec<String> {
    let Some(platform) = render.platform() else { return Vec::new() };
    let Some(pod) = render.pods().find(|pod| pod.component() == "dataplane") else { return Vec::new() };
    let settings = pod.volumes().iter().find(|volume| volume["name"] == "settings");
    let sources = settings.map(|volume| items(&volume["projected"]["sources"])).unwrap_or_default();
    let there: BTreeSet<&str> = sources
        .iter()
        .flat_map(|source| items(&source["secret"]["items"]).iter().chain(items(&source["configMap"]["items"])))
        .filter_map(|item| item["path"].as_str())
        .collect();
    let fetched: Vec<&str> = pod.containers().flat_map(|container| strings(&container["args"])).collect();
    let brought = |file: &str| {
        fetched.iter().any(|argument| argument.starts_with("--source=") && argument.ends_with(&format!("={file}")))
            || pod.volumes().iter().any(|volume| volume["name"] == "crls" && !volume["persistentVolumeClaim"].is_null())
    };
    let mut named = Vec::new();
    texts(&platform, &mut named);
    named
        .into_iter()
        .filter(|text| match text.strip_prefix(LISTS) {
            Some(file) => !brought(file),
            None => (text.starts_with("secrets/") || text.starts_with("configmaps/")) && !there.contains(text),
        })
        .map(|path| format!("platform.yaml names {path}, which is not mounted"))
        .collect()
}

/// A pod has as long to end as the dataplane takes to drain, and a margin.
pub(super) fn drain(render: &Render) -> Vec<String> {
    let (Some(platform), Some(pod)) = (render.platform(), render.pods().find(|pod| pod.component() == "dataplane"))
    else {
        return Vec::new();
    };
    let seconds = |key: &str| platform["timeouts"][key].as_str()?.strip_suffix('s')?.parse::<u64>().ok();
    let grace = pod.spec["terminationGracePeriodSeconds"].as_u64();
    match (seconds("drainDelay"), seconds("drain"), grace) {
        (Some(delay), Some(drain), Some(grace)) if grace == delay + drain + 5 => Vec::new(),
        (delay, drain, grace) => {
            vec![format!("the pod has {grace:?} s to end, and drains for {delay:?} and {drain:?} s")]
        }
    }
}

/// Keys of the page that no render says: values that a chart's user could not set.
///
/// # Errors
/// When the page has no tables of keys.
pub(super) fn unreachable(renders: &[Render], page: &str) -> Result<Vec<String>> {
    let mut said = BTreeSet::new();
    for platform in renders.iter().filter_map(Render::platform) {
        keys(&platform, &mut said);
    }
    let documented = documented(page);
    ensure!(documented.len() > 50, "platform-yaml.md has {} keys in its tables", documented.len());
    let exempt = |key: &str| NOT_FOR_DATAPLANES.iter().any(|(exempt, _)| *exempt == key);
    Ok(documented
        .into_iter()
        .filter(|key| !exempt(key) && key.split('.').any(|part| !said.contains(part)))
        .map(|key| format!("no case sets {key}: a key that values cannot reach, or that testdata/everything lacks"))
        .collect())
}

/// The keys in the first columns of the page's tables.
fn documented(page: &str) -> BTreeSet<&str> {
    let cells = page.lines().filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
    cells
        .flat_map(|cell| cell.split('`'))
        .filter(|key| key.starts_with(|first: char| first.is_ascii_alphabetic()))
        .collect()
}

fn keys(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                found.insert(key.clone());
                keys(value, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| keys(item, found)),
        _ => {}
    }
}

fn texts<'v>(value: &'v Value, found: &mut Vec<&'v str>) {
    match value {
        Value::Object(fields) => fields.values().for_each(|value| texts(value, found)),
        Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        Value::String(text) => found.push(text),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::render::tests::{breaks, object, pod};
    use super::super::tests::committed;
    use super::*;
    use serde_json::json;

    #[test]
    fn a_file_that_is_not_mounted_is_told() {
        let take_away = |r: &mut Render| {
            let sources = &mut pod(r, "rivmesh-dataplane")["volumes"][0]["projected"]["sources"];
            *sources = json!([sources[0]]);
        };
        breaks(mounted, "minimal", take_away, "names secrets/rivmesh-server/tls.key, which is not mounted");
        let stop = |r: &mut Render| pod(r, "rivmesh-dataplane")["initContainers"] = json!([]);
        breaks(mounted, "crl-fetcher", stop, "names /var/lib/rivmesh/crls/site.crl");
    }

    #[test]
    fn a_pod_that_ends_before_its_calls_is_told() {
        let hurry = |r: &mut Render| pod(r, "rivmesh-dataplane")["terminationGracePeriodSeconds"] = json!(30);
        breaks(drain, "minimal", hurry, "the pod has Some(30) s to end");
        let longer = |r: &mut Render| {
            let text = &mut object(r, "ConfigMap", "rivmesh-platform")["data"]["platform.yaml"];
            *text = json!(text.as_str().unwrap().replace("drain: 30s", "drain: 90s"));
        };
        breaks(drain, "minimal", longer, "and Some(90) s");
    }

    #[test]
    fn a_key_that_no_value_reaches_is_told() {
        let mut page = String::new();
        for key in 0..60 {
            page += &format!("| `limits` | {key} |\n");
        }
        assert!(unreachable(&[committed("everything")], &page).is_err(), "one key is not a page");
        let page = include_str!("../../../docs/src/reference/platform-yaml.md");
        let everything = [committed("everything")];
        assert_eq!(unreachable(&everything, page).unwrap(), Vec::<String>::new());
        let more = format!("{page}\n| `limits.newKey` | a new one | none |\n");
        assert!(unreachable(&everything, &more).unwrap()[0].starts_with("no case sets limits.newKey"));
        assert!(!unreachable(&[committed("minimal")], page).unwrap().is_empty());
    }

    #[test]
    fn keys_stand_in_the_first_column() {
        let page = "| key | meaning |\n|---|---|\n| `a`, `b.c` | see `d` | `e` |\ntext `f`\n";
        assert_eq!(documented(page), ["a", "b.c"].into());
    }
}
