//! What routes and allows the calls of the load generator, alone or among so many other addresses of the same contract.

use rivmesh_crds::{CallAuthorizationSpec, Endpoint, Producer, RoutingEntrySpec, limits};
use rivmesh_table::{Object, Spec};

use crate::{Catalogue, Random, object};

/// The contract of the calls that are measured.
pub const MEASURED_CONTRACT: &str = "urn:riv:bench:benchResponder:1";
/// The consumer that makes them.
pub const MEASURED_CONSUMER: &str = "SE0000000001-1234";

/// The address whose producer answers with so many bytes.
pub fn measured_address(answer_bytes: u64) -> String {
    format!("SE-BENCH-{answer_bytes}")
}

/// What routes and allows the calls that are measured: an address for each size of answer, at the producer stand-in on
/// this port of localhost.
pub fn measured(producer_port: u16, answers: &[u64]) -> Vec<Object> {
    let random = &mut Random(0);
    let route = |bytes: &u64| route(vec![measured_address(*bytes)], producer_port, *bytes);
    let grant = grant(answers.iter().copied().map(measured_address).collect());
    let specs = answers.iter().map(route).chain([grant]).enumerate();
    specs.map(|(n, spec)| object(random, 1_000_000 + n, spec)).collect()
}

/// One huge set: so many addresses that one producer serves for the measured contract, all of them granted to the measured
/// consumer, in objects that each list as many as one may.
pub fn one_set(random: &mut Random, producer_port: u16, addresses: usize) -> Vec<Object> {
    let organisations = Catalogue::new(random, addresses).organisations;
    let addresses: Vec<String> = organisations.into_iter().flat_map(|organisation| organisation.addresses).collect();
    let chunks = addresses.chunks(limits::ADDRESSES as usize);
    let specs = chunks.flat_map(|some| [route(some.to_vec(), producer_port, 0), grant(some.to_vec())]);
    specs.enumerate().map(|(n, spec)| object(random, 2_000_000 + n, spec)).collect()
}

fn route(addresses: Vec<String>, producer_port: u16, answer_bytes: u64) -> Spec {
    Spec::RoutingEntry(RoutingEntrySpec {
        service_contracts: vec![MEASURED_CONTRACT.to_owned()],
        logical_addresses: addresses,
        producer: Producer {
            hsa_id: None,
            profile: "rivtabp21".to_owned(),
            endpoints: vec![Endpoint {
                url: format!("https://localhost:{producer_port}/size={answer_bytes}"),
                max_in_flight: None,
            }],
        },
        validity: None,
        precedence: 0,
        suspend: false,
        descriptions: Default::default(),
    })
}

fn grant(addresses: Vec<String>) -> Spec {
    Spec::CallAuthorization(CallAuthorizationSpec {
        consumers: vec![MEASURED_CONSUMER.to_owned()],
        service_contracts: vec![MEASURED_CONTRACT.to_owned()],
        logical_addresses: addresses,
        validity: None,
        agreement: None,
        filters: Vec::new(),
        suspend: false,
    })
}
