//! What only the inside shows: names and numbers that nothing uses any more are given back, and threads leave no trace.

use rivmesh_crds::{CallAuthorizationSpec, Endpoint, Kind, Producer, RoutingEntrySpec};

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

fn route(name: &str, created: i64, addresses: std::ops::Range<u32>) -> Object {
    let endpoint = Endpoint { url: format!("https://{name}.example.se/x"), max_in_flight: None };
    Object {
        id: ObjectId { kind: Kind::RoutingEntry, namespace: "n".to_owned(), name: name.to_owned() },
        created: Some(created),
        spec: Spec::RoutingEntry(RoutingEntrySpec {
            service_contracts: vec!["urn:riv:a:GetX:1".to_owned(), "urn:riv:a:GetY:1".to_owned()],
            logical_addresses: addresses.map(|n| format!("SE2-{n:04}-X")).collect(),
            producer: Producer { hsa_id: None, profile: "rivtabp21".to_owned(), endpoints: vec![endpoint] },
            validity: None,
            precedence: 0,
            suspend: false,
            descriptions: Default::default(),
        }),
        ..object(name, std::iter::empty())
    }
}

#[test]
fn the_number_of_threads_leaves_no_trace() {
    let compiled_by = |threads: usize| {
        let mut compiler = Compiler::new(CompileOptions::default());
        compiler.scratch = (0..threads).map(|_| Scratch::default()).collect();
        compiler.upsert(route("older", 1, 0..400));
        compiler.upsert(route("younger", 2, 200..600));
        compiler.upsert(object("grant", (0..300).map(|n| format!("SE2-{n:04}-X"))));
        let contested = compiler.compile();
        compiler.remove(&route("older", 1, 0..0).id);
        [contested, compiler.compile()].map(|Compilation { manifest, shards, changed }| (manifest, shards, changed))
    };
    let [contested, alone] = compiled_by(1);
    assert_eq!((contested.0.counts.routes, alone.0.counts.routes), (1200, 800), "there is no conflict to be decided");
    assert!(contested.1.len() > 100, "{} shards are no work for several threads", contested.1.len());
    for threads in [2, 8] {
        assert_eq!(compiled_by(threads), [contested.clone(), alone.clone()]);
    }
}
