//! The rules of routing and authorisation once more, as simply as they can be written: no shards, no symbols, no
//! instants (validity is judged by the calendar). Slow, and obviously right; the real thing must agree with it.

use std::cmp::Reverse;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rivmesh_crds::{EndpointUrl, LookupSwitches, Validity, names, timeout_ms};
use rivmesh_table::{Object, Spec, Switches};

use crate::world::{PARENTS, Question};

/// What the model answers: the route's object and profile, and whether the call is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) route: Option<(String, String)>,
    pub(crate) authorized: bool,
}

struct Route {
    object: String,
    contract: String,
    address: String,
    profile: String,
    validity: Validity,
}

struct Right {
    contract: String,
    address: String,
    consumer: String,
    validity: Validity,
}

struct Contract {
    urn: String,
    routing: LookupSwitches,
    authorization: LookupSwitches,
    legacy: bool,
}

pub(crate) struct Model {
    routes: Vec<Route>,
    rights: Vec<Right>,
    contracts: Vec<Contract>,
}

fn name(object: &Object) -> String {
    format!("{}/{}", object.id.namespace, object.id.name)
}

/// What decides between rivals; the smallest wins.
fn rank(object: &Object, precedence: i32) -> impl Ord + use<> {
    (Reverse(precedence), object.created.is_none(), object.created, object.path.clone(), name(object))
}

impl Model {
    pub(crate) fn new(objects: &[Object]) -> Self {
        let mut model = Self { routes: Vec::new(), rights: Vec::new(), contracts: Vec::new() };
        let mut contracts: Vec<&Object> = objects.iter().collect();
        contracts.sort_by_key(|object| rank(object, 0));
        contracts.into_iter().for_each(|object| model.add_contract(object));
        let mut entries: Vec<&Object> = objects.iter().collect();
        entries.sort_by_key(|object| match &object.spec {
            Spec::RoutingEntry(spec) => rank(object, spec.precedence),
            _ => rank(object, 0),
        });
        entries.into_iter().for_each(|object| model.add_rows(object));
        model
    }

    fn add_contract(&mut self, object: &Object) {
        let Spec::ServiceContract(spec) = &object.spec else { return };
        let urn = spec.urn.to_lowercase();
        let is_bad = spec.timeout.as_deref().is_some_and(|timeout| timeout_ms(timeout).is_err());
        if is_bad || !names::is_contract_urn(&urn) || self.contracts.iter().any(|known| known.urn == urn) {
            return;
        }
        self.contracts.push(Contract {
            urn,
            routing: spec.routing.unwrap_or_default(),
            authorization: spec.authorization.unwrap_or_default(),
            legacy: spec.legacy_addresses == Some(true),
        });
    }

    fn add_rows(&mut self, object: &Object) {
        match &object.spec {
            Spec::RoutingEntry(spec) if !spec.suspend && is_possible(spec.validity.as_ref()) => {
                let url = &spec.producer.endpoints[0].url;
                if !names::is_profile(&spec.producer.profile) || !EndpointUrl::parse(url).is_ok_and(|url| url.secure) {
                    return;
                }
                for contract in spec.service_contracts.iter().filter(|urn| names::is_contract_urn(urn)) {
                    for address in spec.logical_addresses.iter().filter(|id| names::is_logical_address(id)) {
                        self.add_route(Route {
                            object: name(object),
                            contract: self.meant(contract),
                            address: address.to_lowercase(),
                            profile: spec.producer.profile.clone(),
                            validity: spec.validity.clone().unwrap_or_default(),
                        });
                    }
                }
            }
            Spec::CallAuthorization(spec) if !spec.suspend && is_possible(spec.validity.as_ref()) => {
                for contract in spec.service_contracts.iter().filter(|urn| names::is_contract_urn(urn)) {
                    for address in spec.logical_addresses.iter().filter(|id| names::is_logical_address(id)) {
                        for consumer in spec.consumers.iter().filter(|id| names::is_id(id)) {
                            self.rights.push(Right {
                                contract: self.meant(contract),
                                address: address.to_lowercase(),
                                consumer: consumer.to_lowercase(),
                                validity: spec.validity.clone().unwrap_or_default(),
                            });
                        }
                    }
                }
            }
            _ => {}
        }
    }

    /// Rows come strongest first: one that overlaps an accepted one is lost.
    fn add_route(&mut self, row: Route) {
        let rivals = |other: &&Route| {
            other.contract == row.contract
                && other.address == row.address
                && other.profile.eq_ignore_ascii_case(&row.profile)
        };
        if !self.routes.iter().filter(rivals).any(|other| overlap(&other.validity, &row.validity)) {
            self.routes.push(row);
        }
    }

    fn meant(&self, urn: &str) -> String {
        let urn = urn.to_lowercase();
        let is_declared = self.contracts.iter().any(|contract| contract.urn == urn);
        match urn.rsplit_once(':') {
            Some((name, version)) if urn.starts_with("urn:riv:") && !name.ends_with("responder") && !is_declared => {
                format!("{name}responder:{version}")
            }
            _ => urn,
        }
    }

    pub(crate) fn ask(&self, question: &Question, switches: &Switches) -> Answer {
        let contract = self.meant(question.contract);
        let settings = self.contracts.iter().find(|known| known.urn == contract);
        let day = day_of(question.now);
        let route_at = |address: &str| self.route(&contract, address, question.profile, &day);
        let right_at = |address: &str| {
            self.rights.iter().any(|right| {
                right.contract == contract
                    && right.address == address
                    && right.consumer.eq_ignore_ascii_case(question.consumer)
                    && is_valid(&right.validity, &day)
            })
        };
        let address = question.address.to_lowercase();
        if settings.is_some_and(|settings| settings.legacy) && address.contains('#') {
            let mut parts: Vec<&str> = Vec::new();
            for part in address.split('#').rev().filter(|part| !part.is_empty()) {
                if !parts.contains(&part) {
                    parts.push(part);
                }
            }
            let few = parts.len() <= 2;
            parts.retain(|part| *part != "*");
            return Answer {
                route: parts.iter().find_map(|part| route_at(part)),
                authorized: few && parts.iter().any(|part| right_at(part)),
            };
        }
        let levels = |own: Option<&LookupSwitches>, hierarchy: bool, default: bool| {
            let hierarchy = own.and_then(|own| own.hierarchy).unwrap_or(hierarchy);
            let default = own.and_then(|own| own.default).unwrap_or(default);
            let mut levels = vec![address.clone()];
            levels.retain(|address| address != "*");
            if hierarchy {
                levels.extend(ancestors(&address));
            }
            if default {
                levels.push("*".to_owned());
            }
            levels
        };
        let (routing, authorization) = (switches.routing, switches.authorization);
        let for_routing = levels(settings.map(|known| &known.routing), routing.hierarchy, routing.default);
        let for_rights =
            levels(settings.map(|known| &known.authorization), authorization.hierarchy, authorization.default);
        Answer {
            route: for_routing.iter().find_map(|address| route_at(address)),
            authorized: for_rights.iter().any(|address| right_at(address)),
        }
    }

    fn route(&self, contract: &str, address: &str, profile: &str, day: &str) -> Option<(String, String)> {
        let valid: Vec<&Route> = self
            .routes
            .iter()
            .filter(|row| row.contract == contract && row.address == address && is_valid(&row.validity, day))
            .collect();
        let profile = profile.to_lowercase();
        let basic = ["rivtabp20", "rivtabp21"];
        let same = valid.iter().find(|row| row.profile.to_lowercase() == profile);
        let rewritten = valid
            .iter()
            .find(|row| basic.contains(&profile.as_str()) && basic.contains(&row.profile.to_lowercase().as_str()));
        // Which of several unreachable producers is named does not matter: it is VP005 in any case.
        let any = valid.iter().min_by_key(|row| (&row.object, &row.profile));
        same.or(rewritten).or(any).map(|row| (row.object.clone(), row.profile.to_lowercase()))
    }
}

fn ancestors(address: &str) -> Vec<String> {
    let mut ancestors = Vec::new();
    let mut unit = address.to_owned();
    while unit != "se" {
        let known = PARENTS.iter().find(|(id, _)| id.to_lowercase() == unit);
        unit = known.and_then(|(_, parent)| *parent).unwrap_or("SE").to_lowercase();
        ancestors.push(unit.clone());
    }
    ancestors
}

/// The day that people in Sweden write.
fn day_of(now: i64) -> String {
    let zone = TimeZone::get("Europe/Stockholm").expect("bundled");
    Timestamp::from_second(now).expect("a second that exists").to_zoned(zone).date().to_string()
}

fn is_valid(validity: &Validity, day: &str) -> bool {
    validity.from.as_deref().is_none_or(|from| from <= day) && validity.to.as_deref().is_none_or(|to| day <= to)
}

fn is_possible(validity: Option<&Validity>) -> bool {
    !matches!(validity, Some(Validity { from: Some(from), to: Some(to) }) if from > to)
}

fn overlap(a: &Validity, b: &Validity) -> bool {
    let starts_in_time = |from: &Option<String>, to: &Option<String>| match (from, to) {
        (Some(from), Some(to)) => from <= to,
        _ => true,
    };
    starts_in_time(&a.from, &b.to) && starts_in_time(&b.from, &a.to)
}
