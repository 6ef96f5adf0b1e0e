//! Tables written by hand, row by row, as a foreign catalogue might have them: with several producers for one key or
//! with none at all. The compiler never makes such tables, but a dataplane that is given one must answer by the rules
//! (VP005, VP006, VP010), and this is how its tests get one.

use std::collections::BTreeMap;

use bytes::Bytes;
use rivmesh_crds::Window;

use crate::codec::draft::{AuthorizationDraft, Draft, RouteDraft};
use crate::codec::hsa;
use crate::codec::records::{Grant, Owner, TargetDraft};
use crate::codec::settings::{self, LookupOverride, SettingsDraft};
use crate::{Counts, Digest, HsaTree, Manifest, SlotId, SlotRef, fold};

/// A route, as it shall stand in the table.
#[derive(Debug, Clone, Default)]
pub struct HandmadeRoute {
    /// The contract's URN.
    pub contract: String,
    /// The logical address, or `*`.
    pub address: String,
    /// The producer's profile; may be unknown or empty.
    pub profile: String,
    /// The producer's HSA-id.
    pub producer_hsa_id: Option<String>,
    /// The producer's URLs; may be none, or blank.
    pub urls: Vec<String>,
    /// When the row is valid.
    pub validity: Window,
    /// Name of the object that it is said to come from; its namespace is `handmade`, its generation 1.
    pub object: String,
}

/// An authorisation, as it shall stand in the table.
#[derive(Debug, Clone, Default)]
pub struct HandmadeAuthorization {
    /// The contract's URN.
    pub contract: String,
    /// The logical address, or `*`.
    pub address: String,
    /// Who may call.
    pub consumer: String,
    /// When the row is valid.
    pub validity: Window,
    /// Name of the object that it is said to come from; its namespace is `handmade`, its generation 1.
    pub object: String,
}

/// The settings of a contract, as they shall stand in the table.
#[derive(Debug, Clone, Default)]
pub struct HandmadeContract {
    /// The contract's URN.
    pub urn: String,
    /// The profiles that consumers may call with; none means all.
    pub profiles: Vec<String>,
    /// Switches for routing.
    pub routing: LookupOverride,
    /// Switches for authorisation.
    pub authorization: LookupOverride,
    /// Whether `VE#VG` addresses are taken apart.
    pub legacy_addresses: bool,
}

/// What a handmade table holds.
#[derive(Debug, Clone, Default)]
pub struct Handmade {
    /// Its routes, in any order.
    pub routes: Vec<HandmadeRoute>,
    /// Its authorisations, in any order.
    pub authorizations: Vec<HandmadeAuthorization>,
    /// Its contracts; each URN once.
    pub contracts: Vec<HandmadeContract>,
    /// Its HSA tree.
    pub hsa_tree: HsaTree,
}

impl Handmade {
    /// The table's manifest and shards.
    pub fn build(&self) -> (Manifest, BTreeMap<Digest, Bytes>) {
        let mut table = Built::default();
        let mut slots: BTreeMap<SlotId, Draft<'_>> = BTreeMap::new();
        for route in &self.routes {
            draft_of(&mut slots, &route.address, &route.contract).add_route(route);
        }
        for authorization in &self.authorizations {
            draft_of(&mut slots, &authorization.address, &authorization.contract).add_authorization(authorization);
        }
        for (slot, draft) in slots {
            let encoded = draft.encode();
            table.counts.routes += encoded.routes as u64;
            table.counts.authorizations += encoded.authorizations as u64;
            table.add(slot, encoded.bytes);
        }
        let mut units: BTreeMap<SlotId, Vec<(&str, Option<&str>)>> = BTreeMap::new();
        for (unit, parent) in self.hsa_tree.units() {
            units.entry(SlotId::of_unit(unit)).or_default().push((unit, parent));
        }
        table.counts.hsa_units = self.hsa_tree.len() as u64;
        units.into_iter().for_each(|(slot, units)| table.add(slot, hsa::encode(units)));
        table.counts.contracts = self.contracts.len() as u64;
        if !self.contracts.is_empty() {
            table.add(SlotId::SETTINGS, settings::encode(self.contracts.iter().map(settings_of).collect()));
        }
        let Built { slots, shards, counts } = table;
        (Manifest { slots, counts, ..Manifest::default() }, shards)
    }
}

#[derive(Default)]
struct Built {
    slots: BTreeMap<SlotId, SlotRef>,
    shards: BTreeMap<Digest, Bytes>,
    counts: Counts,
}

impl Built {
    fn add(&mut self, slot: SlotId, bytes: Vec<u8>) {
        let len = u32::try_from(bytes.len()).expect("nobody writes 4 GiB of rows by hand");
        let digest = Digest::of(&bytes);
        self.slots.insert(slot, SlotRef { digest, len });
        self.shards.insert(digest, bytes.into());
    }
}

fn draft_of<'d, 'a>(slots: &'d mut BTreeMap<SlotId, Draft<'a>>, address: &str, contract: &str) -> &'d mut Draft<'a> {
    slots.entry(SlotId::of_rows(address, fold::hash(contract.as_bytes()))).or_default()
}

fn owner(name: &str) -> Owner<'_> {
    Owner { namespace: "handmade", name, generation: 1 }
}

fn settings_of(contract: &HandmadeContract) -> SettingsDraft<'_> {
    SettingsDraft {
        urn: &contract.urn,
        owner: owner("contract"),
        profiles: contract.profiles.iter().map(String::as_str).collect(),
        timeout_ms: None,
        max_message_bytes: None,
        idempotent: false,
        legacy_addresses: contract.legacy_addresses,
        routing: contract.routing,
        authorization: contract.authorization,
    }
}

impl<'a> Draft<'a> {
    fn add_route(&mut self, route: &'a HandmadeRoute) {
        let target = TargetDraft {
            origin: Grant { owner: owner(&route.object), period: route.validity.into() },
            profile: &route.profile,
            producer: route.producer_hsa_id.as_deref(),
            endpoints: route.urls.iter().map(|url| (url.as_str(), 0)).collect(),
        };
        let row = RouteDraft {
            address: push(&mut self.addresses, &route.address),
            contract: push(&mut self.contracts, &route.contract),
            target: push(&mut self.targets, target),
        };
        self.routes.push(row);
    }

    fn add_authorization(&mut self, authorization: &'a HandmadeAuthorization) {
        let row = AuthorizationDraft {
            address: push(&mut self.addresses, &authorization.address),
            contract: push(&mut self.contracts, &authorization.contract),
            consumer: push(&mut self.consumers, &authorization.consumer),
            grant: push(
                &mut self.grants,
                Grant { owner: owner(&authorization.object), period: authorization.validity.into() },
            ),
        };
        self.authorizations.push(row);
    }
}

/// Repetitions do not matter: the draft finds them.
fn push<T>(list: &mut Vec<T>, item: T) -> u32 {
    list.push(item);
    u32::try_from(list.len() - 1).expect("nobody writes 2^32 rows by hand")
}
