//! What lacks a counterpart: authorisations of calls that no route takes anywhere, routes that nobody may use, and
//! contracts that no row is for. What has ceased to be valid has been remarked on already and counts for nothing here.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rivmesh_crds::{Kind, Window};
use rivmesh_table::{ContractSettings, DEFAULT_ADDRESS, Lookup, LookupOverride, ObjectId, Owner, Switches, Table};

use super::check::{Check, Remark};
use super::reach::{Hierarchy, Rows};
use crate::catalogue::Catalogue;

/// A row for routing or authorisation, as far as it matters here.
struct Row<'t> {
    kind: Kind,
    contract: &'t str,
    address: &'t str,
    validity: Window,
    owner: Owner<'t>,
}

/// The rows of a contract, and how they are searched for.
#[derive(Debug, Default)]
struct Contract {
    routes: Rows,
    authorizations: Rows,
    routing: Lookup,
    authorization: Lookup,
    /// Addresses that are taken apart let rows meet in ways that are not looked into.
    is_legacy: bool,
}

/// What an object has that is unmatched: contract and address, and whether the address is ever searched for.
type Pairs<'t> = BTreeSet<(&'t str, &'t str, bool)>;

/// Judges every row of the table at `now`, in Unix seconds.
pub(super) fn check(catalogue: &Catalogue, now: i64) -> Vec<Remark> {
    if catalogue.lacks_hsa_units() {
        // Half a hierarchy would make rows unmatched that are not.
        return Vec::new();
    }
    let table = &catalogue.table;
    let hierarchy = Hierarchy::of(catalogue.hsa_tree.as_ref());
    let mut contracts: HashMap<String, Contract> = HashMap::new();
    for row in rows(table, now) {
        let contract = contracts
            .entry(fold(row.contract))
            .or_insert_with_key(|urn| Contract::new(table.settings(urn), catalogue.switches));
        contract.of(row.kind).add(row.address, row.validity, &hierarchy);
    }
    let mut unmatched: BTreeMap<ObjectId, Pairs<'_>> = BTreeMap::new();
    for row in rows(table, now) {
        let Some(contract) = contracts.get(&fold(row.contract)).filter(|contract| !contract.is_legacy) else {
            continue;
        };
        let (counterparts, own, theirs) = contract.counterparts(row.kind);
        if !counterparts.meet(row.address, row.validity, own, theirs, &hierarchy) {
            let is_searched = row.address != DEFAULT_ADDRESS || own.default;
            unmatched.entry(id(row.kind, &row.owner)).or_default().insert((row.contract, row.address, is_searched));
        }
    }
    let unused = table.contracts().filter(|settings| !contracts.contains_key(&fold(settings.urn())));
    let unused = unused.map(|settings| Remark {
        check: Check::UnusedContract,
        object: id(Kind::ServiceContract, &settings.owner()),
        message: "no route and no authorisation in force is for this contract".to_owned(),
    });
    unmatched.into_iter().map(|(id, pairs)| remark(id, &pairs)).chain(unused).collect()
}

fn rows(table: &Table, now: i64) -> impl Iterator<Item = Row<'_>> {
    let routes = table.routes().map(|row| Row {
        kind: Kind::RoutingEntry,
        contract: row.contract,
        address: row.address,
        validity: row.validity,
        owner: row.owner,
    });
    let authorizations = table.authorizations().map(|row| Row {
        kind: Kind::CallAuthorization,
        contract: row.contract,
        address: row.address,
        validity: row.validity,
        owner: row.owner,
    });
    routes.chain(authorizations).filter(move |row| row.validity.until.is_none_or(|until| now < until))
}

impl Contract {
    fn new(settings: Option<ContractSettings<'_>>, platform: Switches) -> Self {
        let with = |platform: Lookup, contract: LookupOverride| Lookup {
            hierarchy: contract.hierarchy.unwrap_or(platform.hierarchy),
            default: contract.default.unwrap_or(platform.default),
        };
        Self {
            routing: with(platform.routing, settings.map(|own| own.routing()).unwrap_or_default()),
            authorization: with(platform.authorization, settings.map(|own| own.authorization()).unwrap_or_default()),
            is_legacy: settings.is_some_and(|own| own.legacy_addresses()),
            ..Self::default()
        }
    }

    fn of(&mut self, kind: Kind) -> &mut Rows {
        if kind == Kind::RoutingEntry { &mut self.routes } else { &mut self.authorizations }
    }

    /// The rows that a row of this kind needs one of, how that row is searched for, and how they are.
    fn counterparts(&self, kind: Kind) -> (&Rows, Lookup, Lookup) {
        if kind == Kind::RoutingEntry {
            (&self.authorizations, self.routing, self.authorization)
        } else {
            (&self.routes, self.authorization, self.routing)
        }
    }
}

fn remark(object: ObjectId, pairs: &Pairs<'_>) -> Remark {
    let (contract, address, is_searched) = pairs.first().copied().unwrap_or_default();
    let more = match pairs.len().saturating_sub(1) {
        0 => String::new(),
        1 => " (and 1 more such pair)".to_owned(),
        more => format!(" (and {more} more such pairs)"),
    };
    let is_route = object.kind == Kind::RoutingEntry;
    let message = match (is_searched, is_route) {
        (true, true) => {
            format!("nobody may call {contract} at {address}{more}: authorise somebody, or remove what is not needed")
        }
        (true, false) => {
            format!("there is no route for {contract} at {address}{more}: add one, or remove what is not needed")
        }
        (false, _) => {
            let switch = if is_route { "routing" } else { "authorization" };
            format!("{address} is never searched for {contract}{more}, since {switch}.default is off for it")
        }
    };
    Remark { check: if is_route { Check::UnmatchedRoute } else { Check::UnmatchedAuthorization }, object, message }
}

fn id(kind: Kind, owner: &Owner<'_>) -> ObjectId {
    ObjectId { kind, namespace: owner.namespace.to_owned(), name: owner.name.to_owned() }
}

fn fold(name: &str) -> String {
    name.to_ascii_lowercase()
}
