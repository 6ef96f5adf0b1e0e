//! One slot at a time: gathers what live objects contribute to it, lets the stronger of two rival rows win, and encodes
//! what is left. The order in which objects arrived leaves no trace.

use std::cmp::Ordering;

use super::intake::{Body, Version};
use super::intern::Symbol;
use super::{Names, Versions};
use crate::codec::draft::{AuthorizationDraft, Draft, Encoded, RouteDraft};
use crate::codec::records::Owner;
use crate::codec::records::{Grant, TargetDraft};

/// What an object contributes to a slot: one of its addresses, with all of its contracts or (for `*`) with one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Contribution {
    pub(super) version: u32,
    pub(super) address: Symbol,
    pub(super) contract: Option<Symbol>,
}

/// A row that lost against another object's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Loss {
    pub(super) loser: u32,
    pub(super) winner: u32,
    pub(super) address: Symbol,
    pub(super) contract: Symbol,
}

/// A slot as the compiler keeps it between compilations.
#[derive(Debug, Default)]
pub(super) struct RowSlot {
    pub(super) contributions: Vec<Contribution>,
    /// Sorted.
    pub(super) losses: Vec<Loss>,
    pub(super) routes: u64,
    pub(super) authorizations: u64,
}

/// A row that claims a key. Claims of one key stand together, the strongest first.
struct Claim {
    /// Identities of address, contract and profile.
    key: [Symbol; 3],
    version: u32,
    address: Symbol,
    contract: Symbol,
}

/// Memory that is used again for every slot.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    contracts: Pool,
    consumers: Pool,
    addresses: Pool,
    owners: Pool,
}

impl RowSlot {
    /// Gathers the slot anew, whose former losses have been taken out; the shard, if there is anything in it.
    pub(super) fn gather(
        &mut self,
        versions: &Versions,
        names: &Names<'_>,
        is_refused: impl Fn(u32) -> bool,
        scratch: &mut Scratch,
    ) -> Option<Encoded> {
        self.contributions.retain(|contribution| versions.get(contribution.version).is_some());
        self.contributions.shrink_to(2 * self.contributions.len());
        let mut draft = Draft::default();
        let mut claims = Vec::new();
        scratch.restart(names.interner.len(), versions.len());
        for contribution in self.contributions.iter().filter(|contribution| !is_refused(contribution.version)) {
            let Some(version) = versions.get(contribution.version) else { continue };
            let own = contribution.contract.as_ref();
            let contracts = own.map_or_else(|| version.body.contracts(), std::slice::from_ref);
            match &version.body {
                Body::Routes(routes) => claims.extend(contracts.iter().map(|contract| {
                    let contract = names.resolve(*contract);
                    let identity = |symbol| names.interner.identity(symbol);
                    Claim {
                        key: [identity(contribution.address), identity(contract), identity(routes.profile)],
                        version: contribution.version,
                        address: contribution.address,
                        contract,
                    }
                })),
                Body::Grants(grants) => {
                    let text = |symbol| names.interner.text(symbol);
                    let address = scratch.addresses.place(contribution.address, text, &mut draft.addresses);
                    let grant = |_| Grant { owner: owner(version), period: grants.period };
                    let grant = scratch.owners.place_by(contribution.version as usize, grant, &mut draft.grants);
                    for contract in contracts {
                        let contract = scratch.contracts.place(names.resolve(*contract), text, &mut draft.contracts);
                        draft.authorizations.extend(grants.consumers.iter().map(|consumer| {
                            let consumer = scratch.consumers.place(*consumer, text, &mut draft.consumers);
                            AuthorizationDraft { address, contract, consumer, grant }
                        }));
                    }
                }
                Body::Contract(_) | Body::Nothing => {}
            }
        }
        self.settle(claims, versions, names, scratch, &mut draft);
        (self.routes, self.authorizations) = (0, 0);
        if draft.is_empty() {
            return None;
        }
        let encoded = draft.encode();
        (self.routes, self.authorizations) = (encoded.routes as u64, encoded.authorizations as u64);
        Some(encoded)
    }

    /// Lets the claims into the draft that no stronger claim of the same key overlaps in time.
    fn settle<'a>(
        &mut self,
        mut claims: Vec<Claim>,
        versions: &'a Versions,
        names: &Names<'a>,
        scratch: &mut Scratch,
        draft: &mut Draft<'a>,
    ) {
        claims.sort_unstable_by(|a, b| {
            a.key.cmp(&b.key).then_with(|| match (versions.get(a.version), versions.get(b.version)) {
                (Some(a), Some(b)) => strength(a, b),
                (a, b) => b.is_some().cmp(&a.is_some()),
            })
        });
        let mut accepted: Vec<&Claim> = Vec::new();
        let mut last: Option<(&Claim, Option<u32>)> = None;
        for claim in &claims {
            let Some(Body::Routes(routes)) = versions.get(claim.version).map(|version| &version.body) else { continue };
            let overlaps = |rival: &&&Claim| match versions.get(rival.version).map(|version| &version.body) {
                Some(Body::Routes(rival)) => rival.period.overlaps(routes.period),
                _ => false,
            };
            let winner = match last {
                // One object that names a key twice, by two names of one contract: both rows have one fate.
                Some((twin, fate)) if twin.key == claim.key && twin.version == claim.version => fate,
                Some((neighbour, _)) if neighbour.key == claim.key => {
                    accepted.iter().find(overlaps).map(|rival| rival.version)
                }
                _ => {
                    accepted.clear();
                    None
                }
            };
            last = Some((claim, winner));
            if let Some(winner) = winner {
                let Claim { address, contract, version: loser, .. } = *claim;
                self.losses.push(Loss { loser, winner, address, contract });
                continue;
            }
            accepted.push(claim);
            let text = |symbol| names.interner.text(symbol);
            let target = |version: usize| TargetDraft {
                origin: Grant {
                    owner: versions.get(version as u32).map(owner).expect("a live version made this claim"),
                    period: routes.period,
                },
                profile: text(routes.profile),
                producer: routes.producer.as_deref(),
                endpoints: routes.endpoints.iter().map(|(url, limit)| (url.as_str(), *limit)).collect(),
            };
            draft.routes.push(RouteDraft {
                address: scratch.addresses.place(claim.address, text, &mut draft.addresses),
                contract: scratch.contracts.place(claim.contract, text, &mut draft.contracts),
                target: scratch.owners.place_by(claim.version as usize, target, &mut draft.targets),
            });
        }
        self.losses.sort_unstable();
    }
}

fn owner(version: &Version) -> Owner<'_> {
    Owner { namespace: &version.id.namespace, name: &version.id.name, generation: version.generation }
}

/// The order of rivals, strongest first: precedence, then age, then path, then name.
pub(super) fn strength(a: &Version, b: &Version) -> Ordering {
    let precedence = |version: &Version| match &version.body {
        Body::Routes(routes) => routes.precedence,
        Body::Grants(_) | Body::Contract(_) | Body::Nothing => 0,
    };
    precedence(b).cmp(&precedence(a)).then_with(|| seniority(a, b))
}

/// The order of age, oldest first. An object that does not know its age counts as younger than one that does.
pub(super) fn seniority(a: &Version, b: &Version) -> Ordering {
    let age = |version: &Version| version.created.unwrap_or(i64::MAX);
    age(a).cmp(&age(b)).then_with(|| a.path.cmp(&b.path)).then_with(|| a.id.cmp(&b.id))
}

/// Gives consecutive numbers to things in the order in which they are first seen.
#[derive(Debug, Default)]
struct Pool {
    /// For each thing, the round in which it was last seen and its number in that round.
    seen: Vec<(u32, u32)>,
    round: u32,
}

impl Pool {
    fn restart(&mut self, things: usize) {
        self.round += 1;
        self.seen.resize(self.seen.len().max(things), (0, 0));
    }

    fn place<T>(&mut self, symbol: Symbol, make: impl FnOnce(Symbol) -> T, list: &mut Vec<T>) -> u32 {
        self.place_by(symbol.index(), |_| make(symbol), list)
    }

    fn place_by<T>(&mut self, thing: usize, make: impl FnOnce(usize) -> T, list: &mut Vec<T>) -> u32 {
        let (round, number) = self.seen[thing];
        if round == self.round {
            return number;
        }
        let number = list.len() as u32;
        list.push(make(thing));
        self.seen[thing] = (self.round, number);
        number
    }
}

impl Scratch {
    fn restart(&mut self, symbols: usize, versions: usize) {
        self.contracts.restart(symbols);
        self.consumers.restart(symbols);
        self.addresses.restart(symbols);
        self.owners.restart(versions);
    }
}

impl Names<'_> {
    /// The contract that a name means.
    pub(super) fn resolve(&self, contract: Symbol) -> Symbol {
        match self.interner.longer(contract) {
            Some(longer) if !self.declared.contains(&self.interner.identity(contract)) => longer,
            _ => contract,
        }
    }
}
