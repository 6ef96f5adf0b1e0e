//! What the chart renders for a pod is settings that a pod takes: every `platform.yaml` among the chart's golden renders is read as the
//! dataplane reads it.
#![allow(clippy::unwrap_used, reason = "a helper of a test fails as a test does")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rivmesh_dataplane::config::{self, Platform};

/// The file's place in a pod.
const PLACE: &str = "/etc/rivmesh/platform.yaml";

/// Every rendered `platform.yaml`, with the case that it is from.
fn platforms() -> Vec<(String, Platform)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/testdata");
    let mut paths: Vec<PathBuf> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let mut found = Vec::new();
    for path in paths.iter().filter(|path| path.to_string_lossy().ends_with(".golden.yaml")) {
        let case = path.file_name().unwrap().to_string_lossy().into_owned();
        let objects: Vec<serde_json::Value> = serde_saphyr::from_multiple(&fs::read_to_string(path).unwrap()).unwrap();
        for text in objects.iter().filter_map(|object| object["data"]["platform.yaml"].as_str()) {
            let platform = config::parse(Path::new(PLACE), text).unwrap_or_else(|error| panic!("{case}: {error}"));
            found.push((case.clone(), platform));
        }
    }
    found
}

#[test]
fn every_render_is_taken_and_names_files_of_its_volumes() {
    let platforms = platforms();
    assert!(platforms.len() > 15, "{} renders", platforms.len());
    for (case, platform) in platforms {
        for file in platform.files() {
            let known = ["/etc/rivmesh/secrets", "/etc/rivmesh/configmaps", "/var/lib/rivmesh/crls"];
            assert!(known.iter().any(|folder| file.starts_with(folder)), "{case}: {}", file.display());
        }
        assert_eq!(platform.table.directory.as_deref(), Some(Path::new("/var/lib/rivmesh/table")), "{case}");
        assert_eq!(platform.admin.address.port(), 9901, "{case}");
        assert!(!platform.admin.address.ip().is_loopback(), "{case}: probes could not reach it");
    }
}

#[test]
fn values_arrive_as_they_were_meant() {
    let platforms = platforms();
    let of = |case: &str| &platforms.iter().find(|(name, _)| name.starts_with(case)).unwrap().1;
    let everything = of("everything");
    assert_eq!(everything.limits.message_bytes, 104_857_600, "a large number is not written as 1.048576e+08");
    assert_eq!(everything.limits.head_bytes, 16 * 1024);
    assert_eq!(everything.upstream.max_in_flight.get(), 1_000_000);
    assert_eq!(everything.timeouts.call, Duration::from_secs(90));
    assert!(!everything.routing.hierarchy && everything.routing.default);
    assert_eq!(everything.listeners.len(), 5);
    assert_eq!(everything.upstream.overrides.len(), 2);
    assert!(of("production").is_production());
    assert_eq!(of("no-autoscaler").timeouts.drain, Duration::from_secs(120));
    assert_eq!(of("calls-in-flight").workers.get(), 3, "2.5 CPUs, rounded up");
    assert_eq!(of("production").workers.get(), 2);
}
