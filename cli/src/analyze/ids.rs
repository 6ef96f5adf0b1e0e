//! Names that are probably mistyped: ids that are not HSA-ids, and names that are written in two ways. The platform takes
//! both, because real catalogues hold them.

use std::collections::{BTreeMap, BTreeSet};

use rivmesh_rivta::hsa_id::is_hsa_id;
use rivmesh_table::{DEFAULT_ADDRESS, Object, Spec};

use super::check::{Check, Remark};
use crate::catalogue::Catalogue;

/// The root of the HSA hierarchy, an address although it is no HSA-id.
const ROOT: &str = "SE";
/// Names listed in one remark.
const NAMED: usize = 3;

/// Checks every id and contract name.
pub(super) fn check(catalogue: &Catalogue) -> impl Iterator<Item = Remark> + '_ {
    let spellings = Spellings::of(catalogue.objects.values());
    catalogue.objects.values().flat_map(move |object| {
        let strange = not_hsa_ids(object).map(|message| (Check::NotHsaId, message));
        let deviating = spellings.deviations(object).map(|message| (Check::Spelling, message));
        let said: Vec<_> = strange.into_iter().chain(deviating).collect();
        said.into_iter().map(|(check, message)| Remark { check, object: object.id.clone(), message })
    })
}

fn not_hsa_ids(object: &Object) -> Option<String> {
    let known = |id: &str| is_hsa_id(id) || id == DEFAULT_ADDRESS || id.eq_ignore_ascii_case(ROOT);
    let strange: BTreeSet<&str> = ids(object).into_iter().filter(|id| !known(id)).collect();
    Some(match strange.len() {
        0 => return None,
        1 => format!("{} is not an HSA-id: it is accepted as it is, but check it", list(&strange)),
        _ => format!("{} are not HSA-ids: they are accepted as they are, but check them", list(&strange)),
    })
}

/// How every name is written, by its folded form, and in how many objects.
struct Spellings<'a>(BTreeMap<String, BTreeMap<&'a str, usize>>);

impl<'a> Spellings<'a> {
    fn of(objects: impl Iterator<Item = &'a Object>) -> Self {
        let mut all: BTreeMap<String, BTreeMap<&str, usize>> = BTreeMap::new();
        for object in objects {
            for name in names(object) {
                *all.entry(name.to_ascii_lowercase()).or_default().entry(name).or_default() += 1;
            }
        }
        all.retain(|_, spellings| spellings.len() > 1);
        Self(all)
    }

    /// What an object writes in other letter case than most do.
    fn deviations(&self, object: &'a Object) -> impl Iterator<Item = String> {
        names(object).into_iter().filter_map(|name| {
            let spellings = self.0.get(&name.to_ascii_lowercase())?;
            let (usual, _) = spellings.iter().max_by_key(|(_, count)| **count)?;
            let message = || format!("{name} is written {usual} elsewhere: they are one, so write them alike");
            (*usual != name).then(message)
        })
    }
}

/// The ids of an object, each spelling once.
fn ids(object: &Object) -> BTreeSet<&str> {
    let ids: Vec<&String> = match &object.spec {
        Spec::RoutingEntry(spec) => spec.logical_addresses.iter().chain(&spec.producer.hsa_id).collect(),
        Spec::CallAuthorization(spec) => spec.consumers.iter().chain(&spec.logical_addresses).collect(),
        Spec::ServiceContract(_) => Vec::new(),
    };
    ids.into_iter().map(String::as_str).collect()
}

/// The ids and contracts of an object, each spelling once.
fn names(object: &Object) -> BTreeSet<&str> {
    let contracts = match &object.spec {
        Spec::RoutingEntry(spec) => &*spec.service_contracts,
        Spec::CallAuthorization(spec) => &*spec.service_contracts,
        Spec::ServiceContract(spec) => std::slice::from_ref(&spec.urn),
    };
    ids(object).into_iter().chain(contracts.iter().map(String::as_str)).collect()
}

/// The first few names, and how many more there are.
fn list(names: &BTreeSet<&str>) -> String {
    let first: Vec<&str> = names.iter().copied().take(NAMED).collect();
    match names.len().saturating_sub(NAMED) {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}
