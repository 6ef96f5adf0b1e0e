//! The suite as files: every case can be read, every fixture exists, every rule has a case. Needs no binaries.

use std::path::{Path, PathBuf};

use rivmesh_e2e::case::load;
use rivmesh_e2e::fixture::Setting;
use rivmesh_e2e::rules::Index;

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance")
}

#[test]
fn every_rule_has_a_case_and_every_behaviour_case_an_answer() {
    let cases = load(&directory()).expect("readable cases");
    let index = Index::load(&directory()).expect("a readable index");
    assert_eq!(index.gaps(&cases), Vec::<String>::new());
}

#[test]
fn a_rule_without_a_case_is_a_gap() {
    let cases = load(&directory()).expect("readable cases");
    let index = Index::load(&directory()).expect("a readable index");
    let rule = "§7 TP 13 403";
    let others: Vec<_> = cases.into_iter().filter(|case| !case.case.rule.iter().any(|id| id == rule)).collect();
    assert!(index.gaps(&others).iter().any(|gap| gap.contains(rule)));
}

#[test]
fn every_fixture_can_be_read() {
    for case in load(&directory()).expect("readable cases") {
        Setting::load(&directory().join("fixtures"), &case.case.fixture).expect(&case.name);
    }
}
