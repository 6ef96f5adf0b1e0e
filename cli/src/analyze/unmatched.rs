//! Rows without a counterpart: authorisations of calls that no route takes anywhere, routes that nobody may use, and
//! contracts that no row is for.
//!
//! A call finds its route and its authorisation at its own address, at a unit above, or at `*`. So two rows meet if the
//! searches from some address reach both, and both are valid at some instant that is not past.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use rivmesh_crds::{Kind, Window};
use rivmesh_table::{
    ContractSettings, DEFAULT_ADDRESS, HsaTree, Lookup, LookupOverride, ObjectId, Owner, Switches, Table,
};

use super::check::{Check, Remark};
use crate::catalogue::Catalogue;

/// The root of the HSA hierarchy.
const ROOT: &str = "SE";
/// The longest climb; a real tree is a dozen levels deep.
const MAX_CLIMB: usize = 32;

/// Judges every row of the table at `now`, in Unix seconds.
pub(super) fn check(catalogue: &Catalogue, now: i64) -> impl Iterator<Item = Remark> + use<> {
    let hierarchy = Hierarchy::of(catalogue.hsa_tree.as_ref());
    let table = &catalogue.table;
    let mut contracts: HashMap<String, Contract<'_>> = HashMap::new();
    for row in table.routes().filter(|row| !is_past(row.validity, now)) {
        let contract = contracts.entry(fold(row.contract)).or_default();
        contract.routes.add(row.address, row.validity, &hierarchy);
    }
    for row in table.authorizations().filter(|row| !is_past(row.validity, now)) {
        let contract = contracts.entry(fold(row.contract)).or_default();
        contract.authorizations.add(row.address, row.validity, &hierarchy);
    }
    for (name, contract) in &mut contracts {
        contract.settle(table.settings(name), catalogue.switches);
    }

    let mut unmatched: BTreeMap<ObjectId, BTreeSet<(&str, &str)>> = BTreeMap::new();
    for row in table.routes().filter(|row| !is_past(row.validity, now)) {
        let contract = &contracts[&fold(row.contract)];
        let Contract { routing, authorization, .. } = contract;
        let side = Side { own: *routing, others: *authorization, rows: &contract.authorizations };
        if !contract.is_legacy && !side.meets(row.address, row.validity, &hierarchy) {
            unmatched.entry(id(Kind::RoutingEntry, &row.owner)).or_default().insert((row.contract, row.address));
        }
    }
    for row in table.authorizations().filter(|row| !is_past(row.validity, now)) {
        let contract = &contracts[&fold(row.contract)];
        let Contract { routing, authorization, .. } = contract;
        let side = Side { own: *authorization, others: *routing, rows: &contract.routes };
        if !contract.is_legacy && !side.meets(row.address, row.validity, &hierarchy) {
            unmatched.entry(id(Kind::CallAuthorization, &row.owner)).or_default().insert((row.contract, row.address));
        }
    }
    let rows: Vec<Remark> = unmatched.into_iter().map(|(id, rows)| remark(id, &rows)).collect();
    rows.into_iter().chain(unused_contracts(table))
}

fn remark(object: ObjectId, rows: &BTreeSet<(&str, &str)>) -> Remark {
    let (contract, address) = rows.first().copied().unwrap_or_default();
    let more = match rows.len().saturating_sub(1) {
        0 => String::new(),
        1 => " (and for 1 more pair of contract and address)".to_owned(),
        more => format!(" (and for {more} more pairs of contract and address)"),
    };
    let (check, message) = match object.kind {
        Kind::RoutingEntry => {
            let message = format!("nobody may call {contract} at {address}{more}: add a CallAuthorization, or remove it");
            (Check::UnmatchedRoute, message)
        }
        Kind::CallAuthorization | Kind::ServiceContract => {
            let message = format!("no route is for {contract} at {address}{more}: add a RoutingEntry, or remove it");
            (Check::UnmatchedAuthorization, message)
        }
    };
    Remark { check, object, message }
}

fn unused_contracts(table: &Table) -> Vec<Remark> {
    let routes = table.routes().map(|row| fold(row.contract));
    let used: HashSet<String> = routes.chain(table.authorizations().map(|row| fold(row.contract))).collect();
    let unused = table.contracts().filter(|contract| !used.contains(&fold(contract.urn())));
    let message = "no route and no authorisation in the table is for this contract";
    let remark = |contract: ContractSettings<'_>| Remark {
        check: Check::UnusedContract,
        object: id(Kind::ServiceContract, &contract.owner()),
        message: message.to_owned(),
    };
    unused.map(remark).collect()
}

fn is_past(validity: Window, now: i64) -> bool {
    validity.until.is_some_and(|until| until <= now)
}

fn id(kind: Kind, owner: &Owner<'_>) -> ObjectId {
    ObjectId { kind, namespace: owner.namespace.to_owned(), name: owner.name.to_owned() }
}

fn fold(name: &str) -> String {
    name.to_ascii_lowercase()
}

/// The rows of a contract.
#[derive(Default)]
struct Contract<'t> {
    routes: Rows<'t>,
    authorizations: Rows<'t>,
    routing: Lookup,
    authorization: Lookup,
    /// Addresses that are taken apart meet in ways that a row does not show.
    is_legacy: bool,
}

impl Contract<'_> {
    fn settle(&mut self, settings: Option<ContractSettings<'_>>, switches: Switches) {
        let with = |platform: Lookup, contract: LookupOverride| Lookup {
            hierarchy: contract.hierarchy.unwrap_or(platform.hierarchy),
            default: contract.default.unwrap_or(platform.default),
        };
        let (routing, authorization) =
            settings.map(|settings| (settings.routing(), settings.authorization())).unwrap_or_default();
        self.routing = with(switches.routing, routing);
        self.authorization = with(switches.authorization, authorization);
        self.is_legacy = settings.is_some_and(|settings| settings.legacy_addresses());
    }
}

/// When there are rows, by folded address.
#[derive(Default)]
struct Rows<'t> {
    at: HashMap<String, Vec<Window>>,
    /// At some unit below the address.
    below: HashMap<&'t str, Vec<Window>>,
    /// At any address but `*`.
    anywhere: Vec<Window>,
}
