//! The trail of a look-up as log lines carry it: the addresses tried, comma-separated, with a mark where the search
//! goes over to the next kind of address (`id,(parent),p1,SE,(default),*`), up to the hit.

use crate::Table;
use crate::lookup::{Decision, Level, Observer, Query, Search, Switches, look_up};
use crate::shown::shown;

impl Table {
    /// Decides on a call, and tells the trails of routing and of authorisation.
    pub fn decide_and_trail(&self, query: &Query<'_>, switches: &Switches) -> (Decision<'_>, String, String) {
        let mut trails = Trails::default();
        let decision = look_up(self, query, switches, &mut trails);
        (decision, trails.routing.text, trails.authorization.text)
    }
}

/// Writes trails down as a look-up goes on.
#[derive(Default)]
struct Trails {
    routing: Trail,
    authorization: Trail,
}

impl Observer<'_> for Trails {
    fn tries(&mut self, search: Search, level: Level, address: &str) {
        match search {
            Search::Routing => self.routing.add(level, address),
            Search::Authorization => self.authorization.add(level, address),
        }
    }
}

/// One trail.
#[derive(Default)]
pub(crate) struct Trail {
    pub(crate) text: String,
    last: Option<Level>,
}

impl Trail {
    pub(crate) fn add(&mut self, level: Level, address: &str) {
        let mark = match (level, self.last) {
            (Level::Explicit, _) | (Level::Ancestor(_), Some(Level::Ancestor(_))) => None,
            (Level::Legacy(_), Some(_)) => None,
            (level, _) => Some(level.as_str()),
        };
        for part in mark.into_iter().chain([&*shown(address)]) {
            if !self.text.is_empty() {
                self.text.push(',');
            }
            self.text.push_str(part);
        }
        self.last = Some(level);
    }
}
