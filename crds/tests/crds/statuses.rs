//! The objects with statuses that GitOps tools are tried with (`charts/argocd/testdata`) are ones that can be: they are read as our types,
//! their summary is the one that we would write, and every reason is among them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use rivmesh_crds::conditions::{self, Condition};
use rivmesh_crds::{API_VERSION, ConditionType, Finding, Kind, Reason, Status};
use serde_json::Value;

/// Written for a reason that only a newer version knows, or to show what no operator writes.
const OTHER_WRITERS: [&str; 3] =
    ["not-ready.yaml", "reason-of-a-newer-version.yaml", "reason-of-a-newer-version-unknown.yaml"];

fn objects() -> Vec<(String, Value)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/argocd/testdata");
    let entries = fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path());
    let read = |path: &Path| serde_saphyr::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    entries.map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), read(&path))).collect()
}

fn status(object: &Value) -> Option<Status> {
    object.get("status").map(|status| serde_json::from_value(status.clone()).unwrap())
}

fn find(status: &Status, condition: ConditionType) -> Option<&Condition> {
    status.conditions.iter().find(|stored| stored.is(condition))
}

/// What the stored condition says; `None` if its reason is not ours.
fn finding(stored: &Condition, condition: ConditionType) -> Option<Finding> {
    Some(Finding::new(condition, stored.status, stored.reason.parse().ok()?, stored.message.clone()))
}

#[test]
fn each_is_an_object_of_ours_and_its_conditions_speak_of_one_generation() {
    for (file, object) in objects() {
        assert_eq!(object["apiVersion"], API_VERSION, "{file}");
        let _: Kind = object["kind"].as_str().unwrap().parse().unwrap();
        assert!(object["metadata"]["generation"].as_i64().is_some(), "{file}");
        let Some(status) = status(&object) else { continue };
        for condition in ConditionType::ALL.into_iter().filter_map(|condition| find(&status, condition)) {
            assert_eq!(condition.observed_generation, status.observed_generation, "{file}: {}", condition.type_);
        }
        assert!(status.rows.programmed + status.rows.rejected <= status.rows.total, "{file}");
        let refused = object["status"]["rowErrors"].as_array().map_or(0, Vec::len);
        assert_eq!(status.row_errors.len(), refused, "{file}: a row error that is not read");
    }
}

#[test]
fn the_summary_is_the_one_that_we_would_write() {
    let mut compared = 0;
    for (file, object) in objects().into_iter().filter(|(file, _)| !OTHER_WRITERS.contains(&&**file)) {
        let Some(status) = status(&object) else { continue };
        let found =
            |condition| find(&status, condition).map(|stored| finding(stored, condition).expect("a reason of ours"));
        let (Some(accepted), Some(programmed)) = (found(ConditionType::Accepted), found(ConditionType::Programmed))
        else {
            continue;
        };
        let ready = conditions::ready(&accepted, &programmed);
        assert_eq!(found(ConditionType::Ready), Some(ready), "{file}");
        compared += 1;
    }
    assert!(compared > 30, "{compared} summaries");
}

#[test]
fn every_reason_is_among_them() {
    let mut seen = BTreeSet::new();
    for status in objects().iter().filter_map(|(_, object)| status(object)) {
        seen.extend(status.conditions.iter().filter_map(|condition| condition.reason.parse::<Reason>().ok()));
        seen.extend(status.row_errors.iter().map(|error| error.reason));
    }
    let missing: Vec<Reason> = Reason::ALL.into_iter().filter(|reason| !seen.contains(reason)).collect();
    assert_eq!(missing, []);
}
