//! Small random catalogues: few names in several spellings, so that everything collides with everything.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use proptest::prelude::*;
use proptest::sample::select;
use rivmesh_crds::{
    CallAuthorizationSpec, Endpoint, LookupSwitches, Producer, RoutingEntrySpec, ServiceContractSpec, Validity,
};
use rivmesh_table::{HsaTree, Object, ObjectId, Spec};

pub(crate) const ADDRESSES: [&str; 11] = [
    "SE1-ORG",
    "SE1-A01",
    "se1-a01",
    "SE1-A02",
    "SE1-B01",
    "SE2-ORG",
    "SE2-C01",
    "SE",
    "*",
    "SE9-UNKNOWN",
    "bad address",
];
pub(crate) const CONTRACTS: [&str; 7] = [
    "urn:riv:a:GetXResponder:1",
    "URN:RIV:a:getxresponder:1",
    "urn:riv:a:GetX:1",
    "urn:riv:a:GetYResponder:1",
    "urn:riv:a:GetY:1",
    "urn:riv:b:OldStyle:1",
    "not a contract",
];
pub(crate) const CONSUMERS: [&str; 5] = ["SE9-C1", "se9-c1", "SE9-C2", "SE9-C3", "*"];
pub(crate) const PROFILES: [&str; 5] = ["rivtabp20", "rivtabp21", "RIVTABP21", "RIVEN13606", "two words"];
/// Ordinary days, the days when the clocks change, and the turn of a year.
pub(crate) const DAYS: [&str; 6] = ["2025-12-31", "2026-01-01", "2026-03-28", "2026-03-29", "2026-10-25", "2026-10-26"];

/// The tree that all catalogues share: two organisations, one of them in another spelling.
pub(crate) fn hsa_tree() -> HsaTree {
    PARENTS.into_iter().collect()
}

pub(crate) const PARENTS: [(&str, Option<&str>); 7] = [
    ("SE", None),
    ("SE1-ORG", Some("SE")),
    ("SE1-MID", Some("se1-org")),
    ("SE1-A01", Some("SE1-MID")),
    ("SE1-a02", Some("SE1-A01")),
    ("SE1-B01", None),
    ("SE2-C01", Some("SE2-ORG")),
];

/// Something that happens to a compiler.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    Upsert(Box<Object>),
    Remove(ObjectId),
    Compile,
}

pub(crate) fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        6 => object().prop_map(|object| Event::Upsert(Box::new(object))),
        2 => object().prop_map(|object| Event::Remove(object.id)),
        1 => Just(Event::Compile),
    ];
    prop::collection::vec(event, 0..24)
}

/// Objects with different identities.
pub(crate) fn objects() -> impl Strategy<Value = Vec<Object>> {
    prop::collection::vec(object(), 0..14).prop_map(|mut objects| {
        objects.sort_by(|a, b| a.id.cmp(&b.id));
        objects.dedup_by(|a, b| a.id == b.id);
        objects
    })
}

fn object() -> impl Strategy<Value = Object> {
    let spec = prop_oneof![
        5 => routing_entry().prop_map(Spec::RoutingEntry),
        3 => call_authorization().prop_map(Spec::CallAuthorization),
        2 => service_contract().prop_map(Spec::ServiceContract),
    ];
    let age = (1i64..4, prop::option::of(1i64..3), prop::option::of(select(&["1.yaml", "2.yaml"][..])));
    (spec, select(&["n1", "n2"][..]), select(&["a", "b", "c", "d"][..]), age).prop_map(
        |(spec, namespace, name, (generation, created, path))| Object {
            uid: None,
            id: ObjectId { kind: spec.kind(), namespace: namespace.to_owned(), name: name.to_owned() },
            generation,
            created,
            path: path.map(str::to_owned),
            spec,
        },
    )
}

fn some(names: &'static [&'static str], most: usize) -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(select(names).prop_map(str::to_owned), 1..=most)
}

fn validity() -> impl Strategy<Value = Option<Validity>> {
    let end = || prop::option::of(select(&DAYS[..]).prop_map(str::to_owned));
    prop::option::of((end(), end()).prop_map(|(from, to)| Validity { from, to }))
}

fn routing_entry() -> impl Strategy<Value = RoutingEntrySpec> {
    let lists = (some(&CONTRACTS, 3), some(&ADDRESSES, 3));
    let profile = select(&PROFILES[..]);
    let url = select(&["https://p1.se/x", "https://p2.se/x", "http://p3.se/x"][..]);
    (lists, profile, url, validity(), -1i32..2, prop::bool::weighted(0.1)).prop_map(
        |((service_contracts, logical_addresses), profile, url, validity, precedence, suspend)| RoutingEntrySpec {
            service_contracts,
            logical_addresses,
            producer: Producer {
                hsa_id: None,
                profile: profile.to_owned(),
                endpoints: vec![Endpoint { url: url.to_owned(), max_in_flight: None }],
            },
            validity,
            precedence,
            suspend,
            descriptions: Default::default(),
        },
    )
}

fn call_authorization() -> impl Strategy<Value = CallAuthorizationSpec> {
    let lists = (some(&CONSUMERS, 2), some(&CONTRACTS, 3), some(&ADDRESSES, 3));
    (lists, validity(), prop::bool::weighted(0.1)).prop_map(
        |((consumers, service_contracts, logical_addresses), validity, suspend)| CallAuthorizationSpec {
            consumers,
            service_contracts,
            logical_addresses,
            validity,
            agreement: None,
            filters: Vec::new(),
            suspend,
        },
    )
}

fn service_contract() -> impl Strategy<Value = ServiceContractSpec> {
    let switches = || {
        let switch = || prop::option::of(any::<bool>());
        let pair = (switch(), switch()).prop_map(|(hierarchy, default)| LookupSwitches { hierarchy, default });
        prop::option::of(pair)
    };
    let timeout = prop::option::of(select(&["29s", "29 s"][..]));
    (select(&CONTRACTS[..]), switches(), switches(), any::<bool>(), timeout).prop_map(
        |(urn, routing, authorization, legacy, timeout)| ServiceContractSpec {
            urn: urn.to_owned(),
            title: None,
            version: None,
            profiles: Vec::new(),
            timeout: timeout.map(str::to_owned),
            idempotent: false,
            max_message_bytes: None,
            routing,
            authorization,
            legacy_addresses: Some(legacy),
        },
    )
}

/// A question: consumer, contract, address, profile, instant.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    pub(crate) consumer: &'static str,
    pub(crate) contract: &'static str,
    pub(crate) address: &'static str,
    pub(crate) profile: &'static str,
    pub(crate) now: i64,
}

pub(crate) fn questions() -> impl Strategy<Value = Vec<Question>> {
    let legacy = ["SE1-A01#SE1-B01", "#SE1-a01#SE2-C01#SE1-A01", "SE1-A01#*", "#", "", " SE1-A01"];
    let addresses: Vec<&'static str> = ADDRESSES.into_iter().chain(["SE1-MID"]).chain(legacy).collect();
    let question =
        (select(&CONSUMERS[..]), select(&CONTRACTS[..]), select(addresses), select(&PROFILES[..]), instants());
    let question = question.prop_map(|(consumer, contract, address, profile, now)| Question {
        consumer,
        contract,
        address,
        profile,
        now,
    });
    prop::collection::vec(question, 1..24)
}

/// The first and last seconds of days in Sweden, and the seconds beside them.
fn instants() -> impl Strategy<Value = i64> {
    (select(&DAYS[..]), any::<bool>(), -1i64..2).prop_map(|(day, next, beside)| {
        let day: Date = day.parse().expect("a day");
        let day = if next { day.tomorrow().expect("another day") } else { day };
        let zone = TimeZone::get("Europe/Stockholm").expect("bundled");
        day.to_zoned(zone).expect("midnight exists in Sweden").timestamp().as_second() + beside
    })
}
