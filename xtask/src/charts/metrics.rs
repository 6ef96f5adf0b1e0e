//! That alerts and dashboard ask for metrics that exist, and that every alert is explained.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::render::{Render, items};
use crate::links;

/// Pages whose tables name every metric of ours in their first column.
const PAGES: [&str; 3] =
    ["docs/src/reference/metrics.md", "docs/src/reference/operator-metrics.md", "docs/src/how-to/crl-fetcher.md"];

/// What kube-state-metrics says, and an alert needs.
const OF_OTHERS: [&str; 2] =
    ["kube_horizontalpodautoscaler_status_current_replicas", "kube_horizontalpodautoscaler_spec_max_replicas"];

/// Names of samples in the reference.
///
/// # Errors
/// When a page is missing or has no table of metrics.
pub(super) fn documented(root: &Path) -> Result<BTreeSet<String>> {
    let mut known: BTreeSet<String> = OF_OTHERS.map(str::to_owned).into();
    for page in PAGES {
        let text = fs::read_to_string(root.join(page)).with_context(|| format!("reading {page}"))?;
        let cells = text.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
        let named: Vec<&str> = cells.map(|(cell, _)| cell).filter(is_metric).collect();
        ensure!(named.len() > 4, "{page} names hardly any metric");
        known.extend(named.into_iter().flat_map(samples));
    }
    Ok(known)
}

/// `a_bucket, _sum, _count` stands for three names.
fn samples(cell: &str) -> Vec<String> {
    let mut names = cell.split(", ");
    let first = names.next().unwrap_or_default();
    let stem = first.strip_suffix("_bucket").unwrap_or(first);
    std::iter::once(first.to_owned()).chain(names.map(|end| format!("{stem}{end}"))).collect()
}

/// Metrics that an alert or a panel asks for and nobody has.
pub(super) fn unknown(renders: &[Render], known: &BTreeSet<String>) -> Vec<String> {
    let mut problems = BTreeSet::new();
    let (mut rules, mut panels) = (0, 0);
    for render in renders {
        for rule in alerts(render) {
            rules += 1;
            let expression = rule["expr"].as_str().unwrap_or_default();
            problems.extend(missing(expression, known).map(|name| format!("alert {} asks for {name}", rule["alert"])));
        }
        for dashboard in dashboards(render) {
            for expression in expressions(&dashboard) {
                panels += 1;
                problems.extend(missing(&expression, known).map(|name| format!("the dashboard asks for {name}")));
            }
        }
    }
    if rules == 0 || panels == 0 {
        problems.insert("no case renders alerts and a dashboard".to_owned());
    }
    problems.into_iter().collect()
}

/// Alerts without a section in the page, and sections without an alert.
pub(super) fn unexplained(renders: &[Render], page: &str) -> Vec<String> {
    let rendered: BTreeSet<String> =
        renders.iter().flat_map(alerts).filter_map(|rule| rule["alert"].as_str().map(str::to_owned)).collect();
    let explained: BTreeSet<String> =
        page.lines().filter_map(|line| line.strip_prefix("### ")).map(str::to_owned).collect();
    let anchors = links::anchors(page);
    let lacking = rendered.iter().filter(|name| !anchors.contains(&name.to_lowercase()));
    let lacking = lacking.map(|name| format!("alerts.md has no section {name}"));
    let idle = explained.difference(&rendered).map(|name| format!("alerts.md explains {name}, which no case renders"));
    lacking.chain(idle).collect()
}

fn alerts(render: &Render) -> impl Iterator<Item = &Value> {
    let groups = render.of_kind("PrometheusRule").flat_map(|rules| items(&rules["spec"]["groups"]));
    groups.flat_map(|group| items(&group["rules"]))
}

fn dashboards(render: &Render) -> impl Iterator<Item = Value> {
    let texts = render.of_kind("ConfigMap").filter_map(|object| object["data"]["rivmesh.json"].as_str());
    // What is no JSON has no expressions, and a dashboard without expressions is told.
    texts.map(|text| serde_json::from_str(text).unwrap_or_default())
}

/// Every query of panels and variables.
fn expressions(value: &Value) -> Vec<String> {
    match value {
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(key, value)| match value.as_str() {
                Some(text) if key == "expr" || key == "query" => vec![text.to_owned()],
                _ => expressions(value),
            })
            .collect(),
        Value::Array(items) => items.iter().flat_map(expressions).collect(),
        _ => Vec::new(),
    }
}

/// Whether it is called as our metrics are, or as those of others that we ask for.
fn is_metric(word: &&str) -> bool {
    ["rivmesh_", "process_", "kube_"].iter().any(|start| word.starts_with(start))
}

fn missing<'a>(expression: &'a str, known: &'a BTreeSet<String>) -> impl Iterator<Item = &'a str> {
    let words = expression.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    words.filter(is_metric).filter(|word| !known.contains(*word))
}

#[cfg(test)]
mod tests {
    use super::super::render::tests::object;
    use super::super::tests::committed;
    use super::*;
    use crate::process::root;
    use serde_json::json;

    #[test]
    fn a_histogram_stands_for_three_samples() {
        assert_eq!(samples("x_bucket, _sum, _count"), ["x_bucket", "x_sum", "x_count"]);
        assert_eq!(samples("y_total"), ["y_total"]);
    }

    #[test]
    fn a_metric_that_nobody_has_is_told() {
        let known = documented(&root()).unwrap();
        assert!(known.contains("rivmesh_call_seconds_bucket") && known.contains("rivmesh_operator_leader"));
        assert!(known.contains("rivmesh_crl_fetch_failing") && !known.contains("connect"));
        let render = committed("monitoring");
        assert_eq!(unknown(std::slice::from_ref(&render), &known), Vec::<String>::new());

        let mut alert = render.clone();
        let rules = &mut object(&mut alert, "PrometheusRule", "rivmesh-alerts")["spec"]["groups"][0]["rules"];
        rules[0]["expr"] = json!("absent(rivmesh_raedy == 1)");
        assert_eq!(unknown(&[alert], &known), ["alert \"RivmeshNoReadyDataplane\" asks for rivmesh_raedy"]);

        let mut panel = render;
        let text = &mut object(&mut panel, "ConfigMap", "rivmesh-dashboard")["data"]["rivmesh.json"];
        *text = json!(text.as_str().unwrap().replace("rivmesh_calls_in_flight", "rivmesh_calls_inflight"));
        assert_eq!(unknown(&[panel], &known), ["the dashboard asks for rivmesh_calls_inflight"]);
        assert_eq!(unknown(&[committed("minimal")], &known), ["no case renders alerts and a dashboard"]);
    }

    #[test]
    fn an_alert_without_an_explanation_is_told() {
        let render = committed("monitoring");
        let page = |left_out: &str| -> String {
            let names = alerts(&render).filter_map(|rule| rule["alert"].as_str()).filter(|name| *name != left_out);
            names.map(|name| format!("### {name}\n\n")).collect()
        };
        let renders = [render.clone()];
        assert_eq!(unexplained(&renders, &page("")), Vec::<String>::new());
        assert_eq!(unexplained(&renders, &page("RivmeshTableHeld")), ["alerts.md has no section RivmeshTableHeld"]);
        let more = page("") + "### RivmeshGone\n";
        assert_eq!(unexplained(&renders, &more), ["alerts.md explains RivmeshGone, which no case renders"]);
    }
}
