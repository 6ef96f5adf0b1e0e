//! Catalogues to measure with: the made-up national one of the tables' benchmark, with its few huge organisations and
//! many small ones, cut to a number of objects and written as people write them.

use anyhow::{Result, ensure};
use rivmesh_catalogue::{self as national, Random};
use rivmesh_crds::{Kind, RoutingEntrySpec};
use rivmesh_e2e::pki::ALLOWED;
use rivmesh_table::{Object, Spec};
use serde_json::{Value, json};

use crate::objects::object;

/// Always the same catalogue.
const SEED: u64 = 1;
/// The most routes of an object: what makes ten thousand objects a million rows.
const ROUTES_OF_AN_OBJECT: usize = 140;
/// The most contracts that one grant may name.
const CONTRACTS_OF_A_GRANT: usize = 100;

/// A catalogue, and what of it is changed during the measurement.
pub(super) struct Catalogue {
    pub(super) objects: Vec<Value>,
    pub(super) changeable: Vec<Changeable>,
}

/// A RoutingEntry of the catalogue that leads to a producer which answers.
pub(super) struct Changeable {
    pub(super) name: String,
    /// The contract and the address of a call that it routes.
    pub(super) contract: String,
    pub(super) address: String,
    object: Value,
}

impl Changeable {
    fn new(name: &str, spec: &RoutingEntrySpec, object: Value) -> Self {
        let (contract, address) = (spec.service_contracts[0].clone(), spec.logical_addresses[0].clone());
        Self { name: name.to_owned(), contract, address, object }
    }

    /// The manifest with another producer's URL.
    pub(super) fn leading_to(&self, url: &str) -> Value {
        let mut object = self.object.clone();
        object["spec"]["producer"]["endpoints"][0]["url"] = json!(url);
        object
    }
}

/// A catalogue of so many objects, in which at most `changeable` routes lead to `url`.
pub(super) fn make(objects: usize, changeable: usize, url: &str) -> Result<Catalogue> {
    let mut random = Random(SEED);
    let national = national::Catalogue::new(&mut random, objects * 3);
    let mut contracts = national.service_contracts(&mut random);
    contracts.truncate(objects / 10);
    let mut made: Vec<Value> = contracts.iter().map(|object| manifest(object, None)).collect();
    made.extend(national.contracts.chunks(CONTRACTS_OF_A_GRANT).enumerate().map(grant));

    let half = (objects - made.len()) / 2;
    let entries = national.routing_entries(&mut random, usize::MAX, ROUTES_OF_AN_OBJECT);
    ensure!(entries.len() >= half, "the national catalogue has {} routing entries, not {half}", entries.len());
    let callable: Vec<usize> = (0..half).filter(|&at| is_callable(&entries[at])).collect();
    let step = (callable.len() / changeable.max(1)).max(1);
    let chosen: Vec<usize> = callable.into_iter().step_by(step).take(changeable).collect();
    let mut changes = Vec::new();
    for (at, entry) in entries.iter().take(half).enumerate() {
        let is_chosen = chosen.binary_search(&at).is_ok();
        let object = manifest(entry, is_chosen.then_some(url));
        if let (true, Spec::RoutingEntry(spec)) = (is_chosen, &entry.spec) {
            changes.push(Changeable::new(&entry.id.name, spec, object.clone()));
        }
        made.push(object);
    }
    let mut left = objects - made.len();
    while left > 0 {
        let more = national.authorizations(&mut random, left * 100);
        made.extend(more.iter().take(left).map(|object| manifest(object, None)));
        left -= more.len().min(left);
    }
    Ok(Catalogue { objects: made, changeable: changes })
}

/// Of a profile that needs no rewriting: a contract's settings may allow no other.
fn is_callable(object: &Object) -> bool {
    matches!(&object.spec, Spec::RoutingEntry(spec) if spec.producer.profile == "rivtabp21")
}

fn manifest(of: &Object, url: Option<&str>) -> Value {
    let spec = match &of.spec {
        Spec::RoutingEntry(spec) => serde_json::to_value(spec),
        Spec::CallAuthorization(spec) => serde_json::to_value(spec),
        Spec::ServiceContract(spec) => serde_json::to_value(spec),
    };
    let mut made = object(of.spec.kind(), &of.id.name, &spec.expect("specs are JSON"));
    if let Some(url) = url {
        made["spec"]["producer"]["endpoints"][0]["url"] = json!(url);
    }
    made
}

/// What lets the consumer of the measurement call everything.
fn grant((number, contracts): (usize, &[String])) -> Value {
    let spec = json!({"consumers": [ALLOWED], "serviceContracts": contracts, "logicalAddresses": ["*"]});
    object(Kind::CallAuthorization, &format!("measurement-{number}"), &spec)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn rows(object: &Value) -> usize {
        let length = |field: &str| object["spec"][field].as_array().map_or(1, Vec::len);
        match object["kind"].as_str() {
            Some("ServiceContract") => 0,
            _ => length("serviceContracts") * length("logicalAddresses") * length("consumers"),
        }
    }

    #[test]
    fn ten_thousand_objects_are_a_million_rows() {
        let catalogue = make(10_000, 100, "https://localhost/x").unwrap();
        assert_eq!((catalogue.objects.len(), catalogue.changeable.len()), (10_000, 100));
        let rows: usize = catalogue.objects.iter().map(rows).sum();
        assert!((1_000_000..1_050_000).contains(&rows), "{rows}");
        let names: BTreeSet<String> = catalogue
            .objects
            .iter()
            .map(|object| format!("{} {}", object["kind"], object["metadata"]["name"]))
            .collect();
        assert_eq!(names.len(), 10_000);
    }

    #[test]
    fn what_is_changed_is_in_the_catalogue_and_leads_where_calls_are_answered() {
        let catalogue = make(100, 20, "https://localhost/x").unwrap();
        assert_eq!((catalogue.objects.len(), catalogue.changeable.len()), (100, 20));
        for route in &catalogue.changeable {
            let same = route.leading_to("https://localhost/x");
            assert!(catalogue.objects.contains(&same), "{}", route.name);
            assert_ne!(route.leading_to("https://localhost/y"), same);
        }
    }
}
