//! What only the inside shows: names and numbers that nothing uses any more are given back.

use rivmesh_crds::{CallAuthorizationSpec, Kind};

use super::*;
use crate::Spec;

fn object(name: &str, addresses: impl Iterator<Item = String>) -> Object {
    Object {
        id: ObjectId { kind: Kind::CallAuthorization, namespace: "n".to_owned(), name: name.to_owned() },
        uid: None,
        generation: 1,
        created: None,
        path: None,
        spec: Spec::CallAuthorization(CallAuthorizationSpec {
            consumers: vec!["SE9-C".to_owned()],
            service_contracts: vec!["urn:riv:a:GetX:1".to_owned()],
            logical_addresses: addresses.collect(),
            validity: None,
            agreement: None,
            filters: Vec::new(),
            suspend: false,
        }),
    }
}

#[test]
fn names_that_are_no_longer_used_are_forgotten() {
    let mut compiler = Compiler::new(CompileOptions::default());
    compiler.upsert(object("stays", ["SE1-STAYS".to_owned(), "*".to_owned()].into_iter()));
    let first = compiler.compile().manifest;
    let mut most = 0;
    for round in 0..160 {
        compiler.upsert(object("passing", (0..500).map(|n| format!("SE2-{round}-{n}"))));
        compiler.compile();
        most = most.max(compiler.interner.len());
    }
    compiler.remove(&object("passing", std::iter::empty()).id);
    assert_eq!(compiler.compile().manifest, first);
    assert!(most > 60_000 && most < 70_000, "{most} names were held at a time");
    assert!(compiler.interner.len() < 20_000, "{} names are still held", compiler.interner.len());
    assert!(compiler.versions.len() <= 4, "{} numbers were given out", compiler.versions.len());
    assert!(compiler.slots.iter().all(|slot| slot.contributions.len() <= 1));
}

#[test]
fn an_object_that_says_nothing_new_costs_nothing() {
    let mut compiler = Compiler::new(CompileOptions::default());
    let same = || object("same", ["SE1-A".to_owned()].into_iter());
    compiler.upsert(same());
    assert_eq!(compiler.compile().changed, [same().id]);
    compiler.upsert(same());
    assert!(compiler.dirty.is_empty() && compiler.arrivals.is_empty());
    let again = compiler.compile();
    assert_eq!((again.changed, again.shards.len()), (vec![], 0));
}
