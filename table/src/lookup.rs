//! The decision on a call: who gets it, and whether the caller may make it (rules §5). There is one walk over the
//! addresses to try, generic over an observer: the request path watches with one that does nothing, so explanations
//! and traces are told by the very code that decides.

use std::fmt;

use serde::Serialize;

use crate::codec::records::{self, Endpoints, Owner, Target};
use crate::codec::rows::RowShard;
use crate::codec::settings::{ContractSettings, LookupOverride};
use crate::table::Contract;
use crate::{DEFAULT_ADDRESS, SlotId, Table, fold};

/// The root of every hierarchy.
pub(crate) const ROOT: &str = "SE";
/// How many steps a climb takes at most; the last one goes to the root. A real tree is a dozen levels deep.
const MAX_CLIMB: u8 = 32;
/// How many parts of a legacy address are tried at most.
const MAX_LEGACY_PARTS: usize = 16;
/// With more parts than this a legacy address authorises nobody.
const MAX_AUTHORIZED_LEGACY_PARTS: usize = 2;
const LEGACY_DELIMITER: char = '#';

/// A call to decide on.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a> {
    /// HSA-id of the connecting party.
    pub consumer: &'a str,
    /// The payload namespace.
    pub contract: &'a str,
    /// The logical address in the message.
    pub address: &'a str,
    /// The profile that the message is written in, as `rivtabp21`.
    pub profile: &'a str,
    /// The instant of the call in Unix seconds.
    pub now: i64,
}

/// Which of the two wider searches are on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lookup {
    /// Search the HSA hierarchy upwards from the address.
    pub hierarchy: bool,
    /// Search the default address `*` last.
    pub default: bool,
}

impl Default for Lookup {
    fn default() -> Self {
        Self { hierarchy: true, default: true }
    }
}

impl Lookup {
    fn with(self, contract: LookupOverride) -> Self {
        Self {
            hierarchy: contract.hierarchy.unwrap_or(self.hierarchy),
            default: contract.default.unwrap_or(self.default),
        }
    }

    fn tries(self, level: Level) -> bool {
        match level {
            Level::Explicit | Level::Legacy(_) => true,
            Level::Ancestor(_) => self.hierarchy,
            Level::Default => self.default,
        }
    }
}

/// The platform's switches; a contract's settings override them one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Switches {
    /// For finding the producer.
    pub routing: Lookup,
    /// For finding the right to call.
    pub authorization: Lookup,
}

/// Where in the order of addresses something was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Level {
    /// The address itself.
    Explicit,
    /// An ancestor in the HSA tree, so many steps up.
    Ancestor(u8),
    /// The default address `*`.
    Default,
    /// A part of a `VE#VG` address, counted from the last (0), which is tried first.
    Legacy(u8),
}

impl Level {
    /// The mark in a trail.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Explicit | Self::Legacy(_) => "(leaf)",
            Self::Ancestor(_) => "(parent)",
            Self::Default => "(default)",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What was decided on a call.
#[derive(Debug, Clone)]
pub struct Decision<'t> {
    /// Where the call goes.
    pub route: Result<Route<'t>, RouteError<'t>>,
    /// Whether the caller may make it; decided independently of the route.
    pub authorization: Result<Grant<'t>, NotAuthorized>,
    /// The contract's settings.
    pub settings: Option<ContractSettings<'t>>,
}

/// Where a call goes.
#[derive(Debug, Clone)]
pub struct Route<'t> {
    /// The producer's endpoints in order of preference. At least one has a URL.
    pub endpoints: Endpoints<'t>,
    /// The producer's profile, as written. It may be one that the request's cannot be rewritten to (VP005).
    pub profile: &'t str,
    /// The producer's HSA-id, if the object names it.
    pub producer_hsa_id: Option<&'t str>,
    /// The object that decided.
    pub owner: Owner<'t>,
    /// Where it was found.
    pub level: Level,
}

/// What gives the right to call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant<'t> {
    /// The object that grants it; one of them, where several do.
    pub owner: Owner<'t>,
    /// Where it was found.
    pub level: Level,
}

/// Why there is no one route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RouteError<'t> {
    /// No valid row (VP004).
    #[error("no route is valid for this contract and address")]
    None,
    /// Several valid rows with one profile (VP006); the compiler never lets that happen.
    #[error("several routes are valid for this contract, address and profile")]
    Several,
    /// The row has no URL (VP010); the compiler never lets that happen.
    #[error("the route from {owner} has no URL")]
    NoUsableUrl {
        /// The object that the row comes from.
        owner: Owner<'t>,
    },
}

/// No valid row grants the call (VP007).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no authorisation is valid for this consumer, contract and address")]
pub struct NotAuthorized;

/// What is being looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Search {
    Routing,
    Authorization,
}

/// Watches a look-up. Does nothing unless told to, and then costs nothing.
pub(crate) trait Observer<'t> {
    /// A search tries an address.
    fn tries(&mut self, _search: Search, _level: Level, _address: &str) {}
    /// The search for a route meets a row at the address tried last.
    fn meets_route(&mut self, _target: &Target<'t>) {}
    /// The search for an authorisation meets a row at the address tried last.
    fn meets_grant(&mut self, _grant: &records::Grant<'t>) {}
}

/// The request path's observer.
struct Nobody;

impl Observer<'_> for Nobody {}

impl Table {
    /// Decides on a call. Allocates nothing, except for a contract that is called by its form without `Responder`.
    pub fn decide(&self, query: &Query<'_>, switches: &Switches) -> Decision<'_> {
        look_up(self, query, switches, &mut Nobody)
    }

    /// The parent of a unit in the HSA tree. An id that is not in the tree is a child of the root, which has none.
    pub(crate) fn parent(&self, unit: &str) -> Option<&str> {
        if fold::eq(unit, ROOT) {
            return None;
        }
        let shard = self.hsa_shard(SlotId::of_unit(unit));
        let parent = shard.and_then(|shard| shard.parent(fold::hash(unit.as_bytes()), unit)).flatten();
        Some(parent.unwrap_or(ROOT))
    }

    /// Whether the HSA tree knows a unit.
    pub(crate) fn knows_unit(&self, unit: &str) -> bool {
        let shard = self.hsa_shard(SlotId::of_unit(unit));
        shard.is_some_and(|shard| shard.parent(fold::hash(unit.as_bytes()), unit).is_some())
    }
}

/// The one walk that everything goes through.
pub(crate) fn look_up<'t>(
    table: &'t Table,
    query: &Query<'_>,
    switches: &Switches,
    observer: &mut impl Observer<'t>,
) -> Decision<'t> {
    let Contract { urn, hash, settings } = table.contract_of(query.contract);
    let probe = Probe {
        table,
        contract: Name { text: &urn, hash },
        consumer: Name { text: query.consumer, hash: fold::hash(query.consumer.as_bytes()) },
        profile: query.profile,
        now: query.now,
    };
    let is_legacy = settings.is_some_and(|settings| settings.legacy_addresses());
    let (route, grant) = if is_legacy && query.address.contains(LEGACY_DELIMITER) {
        probe.walk_parts(query.address, observer)
    } else {
        let routing = switches.routing.with(settings.map(|settings| settings.routing()).unwrap_or_default());
        let authorization = settings.map(|settings| settings.authorization()).unwrap_or_default();
        probe.walk_levels(query.address, routing, switches.authorization.with(authorization), observer)
    };
    Decision { route: route.unwrap_or(Err(RouteError::None)), authorization: grant.ok_or(NotAuthorized), settings }
}

type FoundRoute<'t> = Option<Result<Route<'t>, RouteError<'t>>>;

/// A name with its hash, which several shards are probed with.
struct Name<'q> {
    text: &'q str,
    hash: u64,
}

/// A query made ready to be put to shards.
struct Probe<'t, 'q> {
    table: &'t Table,
    contract: Name<'q>,
    consumer: Name<'q>,
    profile: &'q str,
    now: i64,
}

impl<'t> Probe<'t, '_> {
    /// Tries the address, its ancestors, and `*`.
    fn walk_levels(
        &self,
        address: &str,
        routing: Lookup,
        authorization: Lookup,
        observer: &mut impl Observer<'t>,
    ) -> (FoundRoute<'t>, Option<Grant<'t>>) {
        let (mut route, mut grant) = (None, None);
        let mut next = Some((Level::Explicit, address));
        while let Some((level, address)) = next {
            let find_route = route.is_none() && routing.tries(level);
            let find_grant = grant.is_none() && authorization.tries(level);
            if find_route || find_grant {
                let group = self.group(level, address);
                if find_route {
                    observer.tries(Search::Routing, level, address);
                    route = group.and_then(|group| self.route(level, group, observer));
                }
                if find_grant {
                    observer.tries(Search::Authorization, level, address);
                    grant = group.and_then(|group| self.grant(level, group, observer));
                }
            }
            if route.is_some() && grant.is_some() {
                break;
            }
            let climbs = (route.is_none() && routing.hierarchy) || (grant.is_none() && authorization.hierarchy);
            next = self.level_after(level, address, climbs);
        }
        (route, grant)
    }

    fn level_after<'a>(&self, level: Level, address: &'a str, climbs: bool) -> Option<(Level, &'a str)>
    where
        't: 'a,
    {
        let steps = match level {
            Level::Explicit => 0,
            Level::Ancestor(steps) => steps,
            Level::Default | Level::Legacy(_) => return None,
        };
        let parent = if climbs { self.table.parent(address) } else { None };
        Some(match parent {
            Some(_) if steps + 1 == MAX_CLIMB => (Level::Ancestor(steps + 1), ROOT),
            Some(parent) if steps < MAX_CLIMB => (Level::Ancestor(steps + 1), parent),
            _ => (Level::Default, DEFAULT_ADDRESS),
        })
    }

    /// Tries the parts of a `VE#VG` address from last to first; no climb, no `*`.
    fn walk_parts(&self, address: &str, observer: &mut impl Observer<'t>) -> (FoundRoute<'t>, Option<Grant<'t>>) {
        let mut parts: [&str; MAX_LEGACY_PARTS] = [""; MAX_LEGACY_PARTS];
        let mut count = 0;
        for part in address.rsplit(LEGACY_DELIMITER).filter(|part| !part.is_empty()) {
            if parts[..count].iter().any(|seen| fold::eq(seen, part)) {
                continue;
            }
            if count == MAX_LEGACY_PARTS {
                return (None, None);
            }
            parts[count] = part;
            count += 1;
        }
        let (mut route, mut grant) = (None, None);
        for (position, part) in (0..).zip(&parts[..count]) {
            let level = Level::Legacy(position);
            let group = self.group(level, part);
            if route.is_none() {
                observer.tries(Search::Routing, level, part);
                route = group.and_then(|group| self.route(level, group, observer));
            }
            if grant.is_none() && count <= MAX_AUTHORIZED_LEGACY_PARTS {
                observer.tries(Search::Authorization, level, part);
                grant = group.and_then(|group| self.grant(level, group, observer));
            }
        }
        (route, grant)
    }

    /// The rows of an address for the contract. A message that is addressed to `*` itself is not at an explicit
    /// address: it must not get past a contract that switches the default off.
    fn group(&self, level: Level, address: &str) -> Option<Group<'t>> {
        if address == DEFAULT_ADDRESS && level != Level::Default {
            return None;
        }
        let shard = self.table.row_shard(SlotId::of_rows(address, self.contract.hash))?;
        let address = shard.group(fold::hash(address.as_bytes()), address)?;
        let contract = shard.contracts.find(&shard.bytes, self.contract.hash, self.contract.text)?;
        Some(Group { shard, address, contract })
    }

    /// The route among the rows of one address; `None` when none is valid, so that the search goes on.
    fn route(&self, level: Level, group: Group<'t>, observer: &mut impl Observer<'t>) -> FoundRoute<'t> {
        let mut best: Option<(Reach, Target<'t>)> = None;
        let mut several = false;
        for target in group.shard.targets_for(group.address, group.contract) {
            observer.meets_route(&target);
            if !target.origin.period.contains(self.now) {
                continue;
            }
            let reach = Reach::of(self.profile, target.profile);
            match &best {
                Some((held, rival)) if *held == reach => {
                    several |= reach != Reach::Never || fold::eq(rival.profile, target.profile);
                }
                Some((held, _)) if *held < reach => {}
                _ => {
                    best = Some((reach, target));
                    several = false;
                }
            }
        }
        let (_, target) = best?;
        if several {
            return Some(Err(RouteError::Several));
        }
        let owner = target.origin.owner;
        if target.endpoints.clone().all(|endpoint| endpoint.url.trim().is_empty()) {
            return Some(Err(RouteError::NoUsableUrl { owner }));
        }
        Some(Ok(Route {
            endpoints: target.endpoints,
            profile: target.profile,
            producer_hsa_id: target.producer,
            owner,
            level,
        }))
    }

    /// The first valid authorisation among the rows of one address.
    fn grant(&self, level: Level, group: Group<'t>, observer: &mut impl Observer<'t>) -> Option<Grant<'t>> {
        let shard = group.shard;
        let consumer = shard.consumers.find(&shard.bytes, self.consumer.hash, self.consumer.text)?;
        let mut grants = shard.grants_for(group.address, group.contract, consumer);
        let valid = grants.find(|grant| {
            observer.meets_grant(grant);
            grant.period.contains(self.now)
        })?;
        Some(Grant { owner: valid.owner, level })
    }
}

#[derive(Clone, Copy)]
struct Group<'t> {
    shard: &'t RowShard,
    address: usize,
    contract: usize,
}

/// How a request in one profile gets to a producer of another, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reach {
    AsItIs,
    Rewritten,
    Never,
}

impl Reach {
    fn of(request: &str, producer: &str) -> Self {
        let is_basic = |profile| fold::eq(profile, "rivtabp20") || fold::eq(profile, "rivtabp21");
        if fold::eq(request, producer) {
            Self::AsItIs
        } else if is_basic(request) && is_basic(producer) {
            Self::Rewritten
        } else {
            Self::Never
        }
    }
}
