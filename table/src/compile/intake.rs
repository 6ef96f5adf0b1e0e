//! An object alone: what it says, in symbols, and which of its rows are wrong whatever the other objects say. A bad
//! row harms only itself; what belongs to the whole object (producer, validity) harms all of its rows.

use std::collections::BTreeSet;
use std::hash::Hash;

use hashbrown::HashSet;
use rivmesh_crds::{
    CallAuthorizationSpec, EndpointUrl, Filter, Producer, Reason, RoutingEntrySpec, RowError, ServiceContractSpec,
    Validity, instants, limits, names, timeout_ms,
};

use super::intern::{Interner, Symbol};
use crate::codec::records::Period;
use crate::codec::settings::LookupOverride;
use crate::shown::shown;
use crate::{InternalHosts, Object, ObjectId, Spec};

/// One generation of an object, ready for the tables.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Version {
    pub(super) id: ObjectId,
    pub(super) uid: Option<String>,
    pub(super) generation: i64,
    pub(super) created: Option<i64>,
    pub(super) path: Option<String>,
    pub(super) suspended: bool,
    pub(super) faults: Faults,
    /// Rows that the object stands for.
    pub(super) total: u32,
    pub(super) body: Body,
}

/// What an object gives to the tables. Its lists hold what is good only.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Body {
    Routes(Routes),
    Grants(Grants),
    Contract(Contract),
    /// Nothing: the object as a whole is wrong.
    Nothing,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Routes {
    pub(super) contracts: Box<[Symbol]>,
    pub(super) addresses: Box<[Symbol]>,
    pub(super) precedence: i32,
    pub(super) period: Period,
    pub(super) profile: Symbol,
    pub(super) producer: Option<String>,
    /// URL and limit in flight; 0 means the platform's default.
    pub(super) endpoints: Vec<(String, u32)>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Grants {
    pub(super) contracts: Box<[Symbol]>,
    pub(super) addresses: Box<[Symbol]>,
    pub(super) consumers: Box<[Symbol]>,
    pub(super) period: Period,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Contract {
    pub(super) urn: Symbol,
    pub(super) profiles: Vec<String>,
    pub(super) timeout_ms: Option<u32>,
    pub(super) max_message_bytes: Option<u64>,
    pub(super) idempotent: bool,
    pub(super) legacy_addresses: bool,
    pub(super) routing: LookupOverride,
    pub(super) authorization: LookupOverride,
}

/// The rows that are wrong in themselves.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Faults {
    /// The first few.
    pub(super) errors: Vec<RowError>,
    pub(super) reasons: BTreeSet<Reason>,
    pub(super) rows: u32,
}

/// What an error is about.
#[derive(Clone, Copy)]
enum About<'a> {
    Object,
    Contract(&'a str),
    Address(&'a str),
    Consumer(&'a str),
}

impl Faults {
    fn add(&mut self, about: About<'_>, reason: Reason, message: impl Into<String>) {
        self.reasons.insert(reason);
        if self.errors.len() == limits::ROW_ERRORS as usize {
            return;
        }
        let mut error =
            RowError { service_contract: None, logical_address: None, consumer: None, reason, message: message.into() };
        match about {
            About::Object => {}
            About::Contract(urn) => error.service_contract = Some(shown(urn)),
            About::Address(address) => error.logical_address = Some(shown(address)),
            About::Consumer(consumer) => error.consumer = Some(shown(consumer)),
        }
        self.errors.push(error);
    }
}

/// Takes an object in.
pub(super) fn version(object: Object, names: &mut Interner, internal: &InternalHosts) -> Version {
    let mut faults = Faults::default();
    let (total, body, suspended) = match &object.spec {
        Spec::RoutingEntry(spec) => {
            let (total, body) = routes(spec, names, internal, &mut faults);
            (total, body.map(Body::Routes), spec.suspend)
        }
        Spec::CallAuthorization(spec) => {
            let (total, body) = grants(spec, names, &mut faults);
            (total, body.map(Body::Grants), spec.suspend)
        }
        Spec::ServiceContract(spec) => (1, contract(spec, names, &mut faults).map(Body::Contract), false),
    };
    let body = body.unwrap_or(Body::Nothing);
    faults.rows = total - body.rows();
    Version {
        id: object.id,
        uid: object.uid,
        generation: object.generation,
        created: object.created,
        path: object.path,
        suspended,
        faults,
        total,
        body,
    }
}

impl Version {
    /// Gives every symbol anew.
    pub(super) fn rename(&mut self, rename: &mut impl FnMut(Symbol) -> Symbol) {
        let mut all = |symbols: &mut [Symbol]| symbols.iter_mut().for_each(|symbol| *symbol = rename(*symbol));
        match &mut self.body {
            Body::Routes(routes) => {
                all(&mut routes.contracts);
                all(&mut routes.addresses);
                all(std::slice::from_mut(&mut routes.profile));
            }
            Body::Grants(grants) => {
                all(&mut grants.contracts);
                all(&mut grants.addresses);
                all(&mut grants.consumers);
            }
            Body::Contract(contract) => all(std::slice::from_mut(&mut contract.urn)),
            Body::Nothing => {}
        }
    }
}

impl Body {
    /// Rows that it gives, if nothing else stands against them.
    pub(super) fn rows(&self) -> u32 {
        let product = match self {
            Self::Routes(routes) => routes.contracts.len() * routes.addresses.len(),
            Self::Grants(grants) => grants.contracts.len() * grants.addresses.len() * grants.consumers.len(),
            Self::Contract(_) => 1,
            Self::Nothing => 0,
        };
        u32::try_from(product).expect("the lists are bounded to limits::ROWS")
    }

    /// The contracts that it refers to.
    pub(super) fn contracts(&self) -> &[Symbol] {
        match self {
            Self::Routes(routes) => &routes.contracts,
            Self::Grants(grants) => &grants.contracts,
            Self::Contract(_) | Self::Nothing => &[],
        }
    }
}

fn routes(
    spec: &RoutingEntrySpec,
    names: &mut Interner,
    internal: &InternalHosts,
    faults: &mut Faults,
) -> (u32, Option<Routes>) {
    let contracts = distinct(&spec.service_contracts);
    let addresses = distinct(&spec.logical_addresses);
    let lists = [
        ("serviceContracts", contracts.len(), limits::CONTRACTS),
        ("logicalAddresses", addresses.len(), limits::ADDRESSES),
        ("producer.endpoints", spec.producer.endpoints.len(), limits::ENDPOINTS),
    ];
    let total = count_rows(&[contracts.len(), addresses.len()]);
    if !within_limits(&lists, total, faults) {
        return (total, None);
    }
    let period = period(spec.validity.as_ref(), faults);
    let endpoints = endpoints(&spec.producer, internal, faults);
    let contracts = contract_symbols(&contracts, names, faults);
    let addresses = address_symbols(&addresses, names, faults);
    let (Some(period), Some(endpoints)) = (period, endpoints) else { return (total, None) };
    let routes = Routes {
        contracts,
        addresses,
        precedence: spec.precedence,
        period,
        profile: names.intern(&spec.producer.profile),
        producer: spec.producer.hsa_id.clone(),
        endpoints,
    };
    (total, Some(routes))
}

fn grants(spec: &CallAuthorizationSpec, names: &mut Interner, faults: &mut Faults) -> (u32, Option<Grants>) {
    let contracts = distinct(&spec.service_contracts);
    let addresses = distinct(&spec.logical_addresses);
    let consumers = distinct(&spec.consumers);
    let lists = [
        ("consumers", consumers.len(), limits::CONSUMERS),
        ("serviceContracts", contracts.len(), limits::CONTRACTS),
        ("logicalAddresses", addresses.len(), limits::ADDRESSES),
        ("filters", spec.filters.len(), limits::FILTERS),
    ];
    let total = count_rows(&[consumers.len(), contracts.len(), addresses.len()]);
    if !within_limits(&lists, total, faults) {
        return (total, None);
    }
    let period = period(spec.validity.as_ref(), faults);
    let filters_are_good = check_filters(&spec.filters, faults);
    let grants = Grants {
        consumers: consumer_symbols(&consumers, names, faults),
        contracts: contract_symbols(&contracts, names, faults),
        addresses: address_symbols(&addresses, names, faults),
        period: match period {
            Some(period) if filters_are_good => period,
            _ => return (total, None),
        },
    };
    (total, Some(grants))
}

fn contract(spec: &ServiceContractSpec, names: &mut Interner, faults: &mut Faults) -> Option<Contract> {
    let about = About::Contract(&spec.urn);
    if !names::is_contract_urn(&spec.urn) {
        faults.add(about, Reason::InvalidContract, format!("urn \"{}\": {}", shown(&spec.urn), names::URN_RULE));
    }
    if spec.profiles.len() > limits::PROFILES as usize {
        let message = format!("{} profiles are listed: list at most {}", spec.profiles.len(), limits::PROFILES);
        faults.add(about, Reason::InvalidProfile, message);
    }
    for profile in spec.profiles.iter().filter(|profile| !names::is_profile(profile)) {
        let message = format!("profile \"{}\": {}", shown(profile), names::PROFILE_RULE);
        faults.add(about, Reason::InvalidProfile, message);
    }
    let timeout = spec.timeout.as_deref().map(timeout_ms).transpose();
    if let Err(error) = timeout {
        let text = shown(spec.timeout.as_deref().unwrap_or_default());
        faults.add(about, Reason::InvalidSetting, format!("timeout \"{text}\": {error}"));
    }
    let bounds = limits::MESSAGE_BYTES_MIN..=limits::MESSAGE_BYTES_MAX;
    if let Some(bytes) = spec.max_message_bytes.filter(|bytes| !bounds.contains(bytes)) {
        let message = format!("maxMessageBytes is {bytes}: choose from {} to {}", bounds.start(), bounds.end());
        faults.add(about, Reason::InvalidSetting, message);
    }
    if !faults.reasons.is_empty() {
        return None;
    }
    let switches = |switches: Option<&rivmesh_crds::LookupSwitches>| {
        switches
            .map_or_else(LookupOverride::default, |on| LookupOverride { hierarchy: on.hierarchy, default: on.default })
    };
    let mut profiles = spec.profiles.clone();
    profiles.sort_unstable();
    profiles.dedup();
    Some(Contract {
        urn: names.intern_contract(&spec.urn),
        profiles,
        timeout_ms: timeout.unwrap_or_default(),
        max_message_bytes: spec.max_message_bytes,
        idempotent: spec.idempotent,
        legacy_addresses: spec.legacy_addresses.unwrap_or_default(),
        routing: switches(spec.routing.as_ref()),
        authorization: switches(spec.authorization.as_ref()),
    })
}

/// A list without the names that it repeats.
fn distinct(list: &[String]) -> Vec<&str> {
    let mut seen = HashSet::with_capacity(list.len());
    list.iter().map(String::as_str).filter(|name| seen.insert(Folded(name))).collect()
}

struct Folded<'a>(&'a str);

impl PartialEq for Folded<'_> {
    fn eq(&self, other: &Self) -> bool {
        crate::fold::eq(self.0, other.0)
    }
}

impl Eq for Folded<'_> {}

impl Hash for Folded<'_> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        state.write_u64(crate::fold::hash(self.0.as_bytes()));
    }
}

fn count_rows(lists: &[usize]) -> u32 {
    let product = lists.iter().try_fold(1usize, |product, len| product.checked_mul(*len));
    product.and_then(|product| u32::try_from(product).ok()).unwrap_or(u32::MAX)
}

fn within_limits(lists: &[(&str, usize, u32)], total: u32, faults: &mut Faults) -> bool {
    let too_long = lists.iter().find(|(_, len, most)| *len > *most as usize);
    let message = if let Some((list, len, most)) = too_long {
        format!("{list} has {len} items, an object may list {most}: split it into several objects")
    } else if total > limits::ROWS {
        format!("the lists give {total} rows, an object may give {}: split it into several objects", limits::ROWS)
    } else if total == 0 {
        faults.add(About::Object, Reason::Invalid, "a list is empty, so there is no row: name at least one of each");
        return false;
    } else {
        return true;
    };
    faults.add(About::Object, Reason::TooManyRows, message);
    false
}

fn period(validity: Option<&Validity>, faults: &mut Faults) -> Option<Period> {
    let Some(validity) = validity else { return Some(Period::ALWAYS) };
    match instants(validity) {
        Ok(window) => Some(window.into()),
        Err(error) => {
            faults.add(About::Object, Reason::InvalidValidity, error.to_string());
            None
        }
    }
}

/// The endpoints, unless anything about the producer is wrong.
fn endpoints(producer: &Producer, internal: &InternalHosts, faults: &mut Faults) -> Option<Vec<(String, u32)>> {
    let before = faults.errors.len();
    let mut wrong = |reason, message: String| faults.add(About::Object, reason, message);
    if !names::is_profile(&producer.profile) {
        wrong(Reason::InvalidProfile, format!("profile \"{}\": {}", shown(&producer.profile), names::PROFILE_RULE));
    }
    if let Some(id) = producer.hsa_id.as_deref().filter(|id| !names::is_id(id)) {
        wrong(Reason::Invalid, format!("producer.hsaId \"{}\": {}", shown(id), names::ID_RULE));
    }
    if producer.endpoints.is_empty() {
        wrong(Reason::InvalidEndpoint, "the producer has no endpoint: name at least one URL".into());
    }
    for endpoint in &producer.endpoints {
        let url = shown(&endpoint.url);
        match EndpointUrl::parse(&endpoint.url) {
            Err(error) => wrong(Reason::InvalidEndpoint, format!("endpoint \"{url}\": {error}")),
            Ok(parsed) if !parsed.secure && !internal.contains(parsed.host) => {
                let host = parsed.host;
                let advice = format!("use https, or have the platform list {host} under upstream.internal");
                wrong(Reason::InsecureEndpoint, format!("endpoint \"{url}\" is not encrypted: {advice}"));
            }
            Ok(_) => {}
        }
        if let Some(limit) = endpoint.max_in_flight.filter(|limit| !(1..=limits::MAX_IN_FLIGHT).contains(limit)) {
            let message = format!("maxInFlight is {limit}: choose from 1 to {}", limits::MAX_IN_FLIGHT);
            wrong(Reason::InvalidEndpoint, format!("endpoint \"{url}\": {message}"));
        }
    }
    if faults.errors.len() > before {
        return None;
    }
    let endpoints = producer.endpoints.iter();
    Some(endpoints.map(|endpoint| (endpoint.url.clone(), endpoint.max_in_flight.unwrap_or_default())).collect())
}

fn check_filters(filters: &[Filter], faults: &mut Faults) -> bool {
    let blank = |text: &str| text.is_empty() || text.chars().any(char::is_whitespace);
    let untrimmed = |text: &String| text.is_empty() || text.trim() != text;
    let Some(bad) = filters.iter().find(|f| blank(&f.service_domain) || f.categorizations.iter().any(untrimmed)) else {
        return true;
    };
    let message = format!(
        "filter \"{}\": write a service domain without white space and categorizations without blanks around them",
        shown(&bad.service_domain)
    );
    faults.add(About::Object, Reason::InvalidFilter, message);
    false
}

fn contract_symbols(list: &[&str], names: &mut Interner, faults: &mut Faults) -> Box<[Symbol]> {
    let mut symbols = Vec::with_capacity(list.len());
    for urn in list {
        if names::is_contract_urn(urn) {
            symbols.push(names.intern_contract(urn));
        } else {
            faults.add(About::Contract(urn), Reason::InvalidContract, names::URN_RULE);
        }
    }
    symbols.into()
}

fn address_symbols(list: &[&str], names: &mut Interner, faults: &mut Faults) -> Box<[Symbol]> {
    let mut symbols = Vec::with_capacity(list.len());
    for address in list {
        if names::is_logical_address(address) {
            symbols.push(names.intern(address));
        } else {
            faults.add(About::Address(address), Reason::InvalidAddress, names::LOGICAL_ADDRESS_RULE);
        }
    }
    symbols.into()
}

fn consumer_symbols(list: &[&str], names: &mut Interner, faults: &mut Faults) -> Box<[Symbol]> {
    let mut symbols = Vec::with_capacity(list.len());
    for consumer in list {
        if names::is_id(consumer) {
            symbols.push(names.intern(consumer));
            continue;
        }
        let star = *consumer == names::DEFAULT_ADDRESS;
        let rule = if star { names::CONSUMER_STAR_RULE } else { names::ID_RULE };
        faults.add(About::Consumer(consumer), Reason::InvalidConsumer, rule);
    }
    symbols.into()
}
