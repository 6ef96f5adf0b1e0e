//! Why a call is decided as it is, for people: every address that was tried, every row that was met there and what
//! became of it, and the nearest misses. Told by an observer of the look-up that decides, so it cannot differ from it.

use std::fmt;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::codec::records::{self, Owner, Target};
use crate::lookup::{Level, Observer, Query, RouteError, Search, Switches, look_up};
use crate::near_miss::{self, NearMiss};
use crate::shown::shown;
use crate::trail::Trail;
use crate::{Decision, Table, fold};

/// Why a call is decided as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// HSA-id of the connecting party.
    pub consumer: String,
    /// The contract as asked for.
    pub contract: String,
    /// The contract that it means, where that is another name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contract_meant: Option<String>,
    /// The ServiceContract whose settings apply, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_contract: Option<String>,
    /// The logical address.
    pub address: String,
    /// Whether the HSA tree knows the address; one that it does not know has the parent `SE`.
    pub in_hsa_tree: bool,
    /// The request's profile.
    pub profile: String,
    /// The instant, in Swedish time.
    pub at: String,
    /// How the producer was looked for.
    pub routing: SearchStory,
    /// How the right to call was looked for.
    pub authorization: SearchStory,
}

/// How something was looked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SearchStory {
    /// What came of it.
    pub outcome: Outcome,
    /// The addresses tried, as in the log.
    pub trail: String,
    /// The addresses tried, with the rows met there.
    pub tried: Vec<Attempt>,
    /// What would have matched if the question were slightly different; looked for only when nothing was found.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub near_misses: Vec<NearMiss>,
}

/// What came of a search.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// A route was found.
    Routed {
        /// The object that decided.
        object: String,
        /// The object's generation.
        generation: i64,
        /// The address at which it was found.
        address: String,
        /// The producer's profile.
        profile: String,
        /// The producer's URLs in order of preference.
        urls: Vec<String>,
    },
    /// A right to call was found.
    Authorized {
        /// The object that decided.
        object: String,
        /// The object's generation.
        generation: i64,
        /// The address at which it was found.
        address: String,
    },
    /// No valid route (VP004).
    NoRoute,
    /// Several valid routes in one profile (VP006).
    SeveralRoutes,
    /// The route has no URL (VP010).
    NoUsableUrl {
        /// The object that it comes from.
        object: String,
    },
    /// No valid right to call (VP007).
    NotAuthorized,
}

/// An address that was tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// Which kind of address it is.
    pub level: Level,
    /// The address.
    pub address: String,
    /// The rows met there for the contract (and the consumer).
    pub rows: Vec<RowStory>,
}

/// A row that was met, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RowStory {
    /// The object that it comes from, `namespace/name`.
    pub object: String,
    /// The object's generation.
    pub generation: i64,
    /// The producer's profile, for a route.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// From when it is valid, in Swedish time; absent for always.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// From when it is no longer valid, in Swedish time; absent for never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// What became of it.
    pub state: RowState,
}

/// What became of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum RowState {
    /// It decided.
    Decides,
    /// It is valid, but a row in a better profile decided.
    OtherProfile,
    /// It is valid, and so is another in the same profile.
    Ambiguous,
    /// It is no longer valid.
    Expired,
    /// It is not yet valid.
    NotYetValid,
}

impl Table {
    /// Explains a decision. Meant for people: when nothing was found it reads the whole table for near misses.
    pub fn explain(&self, query: &Query<'_>, switches: &Switches) -> Explanation {
        let mut notes = Notes { query: *query, routing: Story::default(), authorization: Story::default() };
        let decision = look_up(self, query, switches, &mut notes);
        let contract = self.contract_of(query.contract).urn;
        let Notes { routing, authorization, .. } = notes;
        let (routing, authorization) = (routing.settled(&decision), authorization);
        let near_routes = match decision.route {
            Err(RouteError::None) => near_miss::routes(self, query, &contract, &routing.addresses),
            _ => Vec::new(),
        };
        let near_grants = match decision.authorization {
            Err(_) => near_miss::authorizations(self, query, &contract, &authorization.addresses),
            Ok(_) => Vec::new(),
        };
        Explanation {
            consumer: shown(query.consumer),
            contract: shown(query.contract),
            contract_meant: (contract != query.contract).then(|| shown(&contract)),
            service_contract: decision.settings.map(|settings| name_of(&settings.owner())),
            address: shown(query.address),
            in_hsa_tree: self.knows_unit(query.address),
            profile: shown(query.profile),
            at: instant(query.now),
            routing: SearchStory {
                outcome: route_outcome(&decision, routing.last_address()),
                trail: routing.trail.text,
                tried: routing.tried,
                near_misses: near_routes,
            },
            authorization: SearchStory {
                outcome: grant_outcome(&decision, authorization.last_address()),
                trail: authorization.trail.text,
                tried: authorization.tried,
                near_misses: near_grants,
            },
        }
    }
}

/// What the observer writes down.
struct Notes<'q> {
    query: Query<'q>,
    routing: Story,
    authorization: Story,
}

#[derive(Default)]
struct Story {
    trail: Trail,
    addresses: Vec<String>,
    tried: Vec<Attempt>,
}

impl Observer<'_> for Notes<'_> {
    fn tries(&mut self, search: Search, level: Level, address: &str) {
        let story = match search {
            Search::Routing => &mut self.routing,
            Search::Authorization => &mut self.authorization,
        };
        story.trail.add(level, address);
        story.addresses.push(address.to_owned());
        story.tried.push(Attempt { level, address: shown(address), rows: Vec::new() });
    }

    fn meets_route(&mut self, target: &Target<'_>) {
        let profile = Some(target.profile.to_owned());
        let row = row_story(&target.origin, profile, self.query.now);
        self.routing.add(row);
    }

    fn meets_grant(&mut self, grant: &records::Grant<'_>) {
        let row = row_story(grant, None, self.query.now);
        self.authorization.add(row);
    }
}

impl Story {
    fn add(&mut self, row: RowStory) {
        if let Some(attempt) = self.tried.last_mut() {
            attempt.rows.push(row);
        }
    }

    fn last_address(&self) -> String {
        self.tried.last().map(|attempt| attempt.address.clone()).unwrap_or_default()
    }

    /// Which of the valid rows at the deciding address did decide is known in the end only.
    fn settled(mut self, decision: &Decision<'_>) -> Self {
        let Some(attempt) = self.tried.last_mut() else { return self };
        for row in attempt.rows.iter_mut().filter(|row| row.state == RowState::Decides) {
            row.state = match &decision.route {
                Ok(route) if row.is(&route.owner, route.profile) => RowState::Decides,
                Ok(_) => RowState::OtherProfile,
                Err(RouteError::Several) => RowState::Ambiguous,
                Err(_) => RowState::Decides,
            };
        }
        self
    }
}

impl RowStory {
    fn is(&self, owner: &Owner<'_>, profile: &str) -> bool {
        self.object == name_of(owner) && self.profile.as_deref().is_some_and(|own| fold::eq(own, profile))
    }
}

fn row_story(origin: &records::Grant<'_>, profile: Option<String>, now: i64) -> RowStory {
    let records::Grant { owner, period } = origin;
    let state = if period.contains(now) {
        RowState::Decides
    } else if now < period.from {
        RowState::NotYetValid
    } else {
        RowState::Expired
    };
    RowStory {
        object: name_of(owner),
        generation: owner.generation,
        profile,
        from: (period.from != i64::MIN).then(|| instant(period.from)),
        until: (period.until != i64::MAX).then(|| instant(period.until)),
        state,
    }
}

fn route_outcome(decision: &Decision<'_>, address: String) -> Outcome {
    match &decision.route {
        Ok(route) => Outcome::Routed {
            object: name_of(&route.owner),
            generation: route.owner.generation,
            address,
            profile: route.profile.to_owned(),
            urls: route.endpoints.clone().map(|endpoint| endpoint.url.to_owned()).collect(),
        },
        Err(RouteError::None) => Outcome::NoRoute,
        Err(RouteError::Several) => Outcome::SeveralRoutes,
        Err(RouteError::NoUsableUrl { owner }) => Outcome::NoUsableUrl { object: name_of(owner) },
    }
}

fn grant_outcome(decision: &Decision<'_>, address: String) -> Outcome {
    match &decision.authorization {
        Ok(grant) => Outcome::Authorized { object: name_of(&grant.owner), generation: grant.owner.generation, address },
        Err(_) => Outcome::NotAuthorized,
    }
}

pub(crate) fn name_of(owner: &Owner<'_>) -> String {
    format!("{}/{}", owner.namespace, owner.name)
}

/// An instant as people in Sweden read it.
pub(crate) fn instant(seconds: i64) -> String {
    let Ok(instant) = Timestamp::from_second(seconds) else { return format!("Unix second {seconds}") };
    let zone = TimeZone::get(rivmesh_crds::validity::ZONE).unwrap_or(TimeZone::UTC);
    instant.to_zoned(zone).strftime("%Y-%m-%d %H:%M:%S%:z").to_string()
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} calls {}", self.consumer, self.contract)?;
        if let Some(meant) = &self.contract_meant {
            writeln!(f, "(which means {meant})")?;
        }
        let unit = if self.in_hsa_tree { "" } else { " (not in the HSA tree)" };
        writeln!(f, "at {}{unit} in {}, {}", self.address, self.profile, self.at)?;
        match &self.service_contract {
            Some(object) => writeln!(f, "with the settings of ServiceContract {object}")?,
            None => writeln!(f, "with the platform's defaults, as no ServiceContract names the contract")?,
        }
        writeln!(f, "\nRoute: {}", self.routing)?;
        write!(f, "\nAuthorisation: {}", self.authorization)
    }
}

impl fmt::Display for SearchStory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.outcome)?;
        if self.tried.is_empty() {
            f.write_str("\n  tried nothing: the address has no parts, or more than such an address may have")?;
        }
        for attempt in &self.tried {
            write!(f, "\n  tried {} {}: ", attempt.address, attempt.level)?;
            match attempt.rows.as_slice() {
                [] => f.write_str("no row")?,
                [row] => row.fmt(f)?,
                rows => rows.iter().try_for_each(|row| write!(f, "\n    {row}"))?,
            }
        }
        self.near_misses.iter().try_for_each(|miss| write!(f, "\n  near miss: {miss}"))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Routed { object, generation, address, profile, urls } => {
                let urls = urls.join(", then ");
                write!(f, "RoutingEntry {object} (generation {generation}) decides at {address}: {urls} in {profile}")
            }
            Self::Authorized { object, generation, address } => {
                write!(f, "CallAuthorization {object} (generation {generation}) allows the call at {address}")
            }
            Self::NoRoute => f.write_str("none is valid, so the answer is VP004"),
            Self::SeveralRoutes => f.write_str("several are valid in one profile, so the answer is VP006"),
            Self::NoUsableUrl { object } => write!(f, "RoutingEntry {object} has no URL, so the answer is VP010"),
            Self::NotAuthorized => f.write_str("none is valid, so the answer is VP007"),
        }
    }
}

impl fmt::Display for RowStory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (generation {})", self.object, self.generation)?;
        if let Some(profile) = &self.profile {
            write!(f, " in {profile}")?;
        }
        let until = self.until.as_deref().unwrap_or("ever");
        match self.state {
            RowState::Decides => f.write_str(" decides"),
            RowState::OtherProfile => f.write_str(" is valid, but another profile suits the request better"),
            RowState::Ambiguous => f.write_str(" is valid, and so is another in the same profile"),
            RowState::Expired => write!(f, " was valid until {until}"),
            RowState::NotYetValid => write!(f, " will be valid from {}", self.from.as_deref().unwrap_or("now")),
        }
    }
}
