//! The example manifests are what a newcomer applies first: a server must take every one of them, and they must hold no misspelt field.

use std::fs;
use std::path::Path;

use rivmesh_crds::{API_VERSION, CallAuthorizationSpec, Kind, RoutingEntrySpec, ServiceContractSpec, manifest};
use serde_json::Value;

use crate::apply::apply;

#[test]
fn a_server_takes_every_example() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/quickstart");
    let mut seen = Vec::new();
    for entry in fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let objects: Vec<Value> =
            serde_saphyr::from_multiple(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        for object in objects {
            let at = format!("{} {}", path.display(), object["metadata"]["name"]);
            assert_eq!(object["apiVersion"], API_VERSION, "{at}");
            let kind: Kind = object["kind"].as_str().unwrap().parse().unwrap();
            assert_eq!(manifest::unknown_fields(kind, &object), [""; 0], "{at}");
            assert_eq!(apply(kind, &object["spec"]).1, [], "{at}");
            let spec = object["spec"].clone();
            match kind {
                Kind::RoutingEntry => drop(serde_json::from_value::<RoutingEntrySpec>(spec).unwrap()),
                Kind::CallAuthorization => drop(serde_json::from_value::<CallAuthorizationSpec>(spec).unwrap()),
                Kind::ServiceContract => drop(serde_json::from_value::<ServiceContractSpec>(spec).unwrap()),
            }
            seen.push((kind, object["metadata"]["name"].as_str().unwrap().to_owned()));
        }
    }
    for kind in Kind::ALL {
        assert!(seen.iter().any(|(seen, _)| *seen == kind), "no example of {kind}");
    }
    let count = seen.len();
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), count, "two examples of one kind have the same name");
}
