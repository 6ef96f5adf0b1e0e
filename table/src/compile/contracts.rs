//! ServiceContracts: which of them speaks for its URN, and what follows for everybody who refers to that URN.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use hashbrown::{HashMap, HashSet};

use super::intake::{Body, Contract, Version};
use super::intern::Symbol;
use super::rows::strength;
use super::{Compiler, NewShard, Versions};
use crate::codec::records::Owner;
use crate::codec::settings::{self, SettingsDraft};
use crate::{Digest, SlotId};

/// Who speaks for which contract, as of the last compilation.
#[derive(Debug, Default)]
pub(super) struct Contracts {
    /// A ServiceContract came, changed or went since.
    pub(super) is_dirty: bool,
    /// Identities of the URNs that have settings.
    declared: HashSet<Symbol>,
    /// The version that won, for each that lost.
    losers: HashMap<u32, u32>,
}

impl Contracts {
    pub(super) fn declared(&self) -> &HashSet<Symbol> {
        &self.declared
    }

    /// The version that speaks for the contract that this one would speak for.
    pub(super) fn winner_over(&self, version: u32) -> Option<u32> {
        self.losers.get(&version).copied()
    }

    /// Forgets everything, when symbols are given out anew.
    pub(super) fn forget(&mut self) {
        self.declared.clear();
        self.losers.clear();
    }
}

impl Compiler {
    /// Settles who speaks for which contract, and sees to the objects that refer to one whose settings came or went.
    pub(super) fn settle_contracts(&mut self, changed: &mut BTreeSet<u32>, shards: &mut BTreeMap<Digest, Bytes>) {
        let arrived =
            |number: &u32| matches!(self.versions.get(*number), Some(Version { body: Body::Contract(_), .. }));
        if !self.contracts.is_dirty && !self.arrivals.iter().any(arrived) {
            return;
        }
        let (winners, losers) = elect(&self.versions, |urn| self.interner.identity(urn));
        let drafts: Vec<SettingsDraft<'_>> = winners
            .values()
            .filter_map(|number| match self.versions.get(*number) {
                Some(version @ Version { body: Body::Contract(contract), .. }) => {
                    Some(draft(version, contract, self.interner.text(contract.urn)))
                }
                _ => None,
            })
            .collect();
        self.manifest.counts.contracts = drafts.len() as u64;
        let shard = (!drafts.is_empty()).then(|| NewShard::new(settings::encode(drafts)));
        self.publish(SlotId::SETTINGS, shard, shards);

        let known = losers.iter().chain(&self.contracts.losers).map(|(loser, _)| *loser);
        let has_new_fate = |loser: &u32| losers.get(loser) != self.contracts.losers.get(loser);
        changed.extend(known.filter(has_new_fate));
        self.contracts.losers = losers;
        self.contracts.is_dirty = false;
        let declared: HashSet<Symbol> = winners.into_keys().collect();
        let turned: HashSet<Symbol> = self.contracts.declared.symmetric_difference(&declared).copied().collect();
        if !turned.is_empty() {
            self.tell_referrers(&turned, changed, declared);
        }
    }

    /// A contract that turns known or unknown changes what its referrers are told, and, if it is a name without
    /// `Responder`, which contract they mean.
    fn tell_referrers(&mut self, turned: &HashSet<Symbol>, changed: &mut BTreeSet<u32>, declared: HashSet<Symbol>) {
        let identity = |symbol| self.interner.identity(symbol);
        let mut moved = Vec::new();
        for (number, version) in self.versions.iter() {
            let mut means_another = false;
            let mut refers = false;
            for &contract in version.body.contracts() {
                let longer = self.interner.longer(contract);
                let itself_turned = turned.contains(&identity(contract));
                means_another |= itself_turned && longer.is_some();
                refers |= itself_turned || longer.is_some_and(|longer| turned.contains(&identity(longer)));
            }
            if means_another {
                moved.push(number);
            } else if refers {
                changed.insert(number);
            }
        }
        for &number in &moved {
            self.mark_dirty(number);
        }
        self.contracts.declared = declared;
        let waiting: HashSet<u32> = self.arrivals.iter().copied().collect();
        for number in moved.into_iter().filter(|number| !waiting.contains(number)) {
            if let Some(version) = self.versions.retire(number) {
                let id = version.id.clone();
                let again = self.versions.add(version);
                self.objects.insert(id, again);
                self.arrivals.push(again);
            }
        }
    }
}

/// Among the ServiceContracts of one URN, the strongest; the others with who won over them.
fn elect(versions: &Versions, identity: impl Fn(Symbol) -> Symbol) -> (HashMap<Symbol, u32>, HashMap<u32, u32>) {
    let mut claims: Vec<(Symbol, u32, &Version)> = versions
        .iter()
        .filter_map(|(number, version)| match &version.body {
            Body::Contract(contract) => Some((identity(contract.urn), number, version)),
            _ => None,
        })
        .collect();
    claims.sort_unstable_by(|(a_urn, _, a), (b_urn, _, b)| a_urn.cmp(b_urn).then_with(|| strength(a, b)));
    let (mut winners, mut losers) = (HashMap::new(), HashMap::new());
    for (urn, number, _) in claims {
        let winner = *winners.entry(urn).or_insert(number);
        if winner != number {
            losers.insert(number, winner);
        }
    }
    (winners, losers)
}

fn draft<'a>(version: &'a Version, contract: &'a Contract, urn: &'a str) -> SettingsDraft<'a> {
    SettingsDraft {
        urn,
        owner: Owner { namespace: &version.id.namespace, name: &version.id.name, generation: version.generation },
        profiles: contract.profiles.iter().map(String::as_str).collect(),
        timeout_ms: contract.timeout_ms,
        max_message_bytes: contract.max_message_bytes,
        idempotent: contract.idempotent,
        legacy_addresses: contract.legacy_addresses,
        routing: contract.routing,
        authorization: contract.authorization,
    }
}
