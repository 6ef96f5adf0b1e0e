//! Whether rows for routing and rows for authorisation can serve one call.
//!
//! A call finds its route and its authorisation at its own address, at a unit above, or at `*`. So a route and an
//! authorisation meet if there is an address from which the two searches reach both, at an instant when both are valid.

use std::collections::HashMap;

use rivmesh_crds::Window;
use rivmesh_table::{DEFAULT_ADDRESS, HsaTree, Lookup};

/// The root of the HSA hierarchy, folded.
const ROOT: &str = "se";
/// The longest climb; a real tree is a dozen levels deep.
const MAX_CLIMB: usize = 32;

/// Which unit lies below which, by folded ids.
#[derive(Debug, Default)]
pub(super) struct Hierarchy(HashMap<String, String>);

impl Hierarchy {
    /// As the tree says; without one every unit lies below the root.
    pub(super) fn of(tree: Option<&HsaTree>) -> Self {
        let units = tree.into_iter().flat_map(HsaTree::units);
        Self(units.filter_map(|(unit, parent)| Some((fold(unit), fold(parent?)))).collect())
    }

    /// The units above a folded one, nearest first, up to the root.
    fn above<'a>(&'a self, unit: &'a str) -> impl Iterator<Item = &'a str> {
        let parent = |unit: &&'a str| match *unit {
            ROOT | DEFAULT_ADDRESS => None,
            unit => Some(self.0.get(unit).map_or(ROOT, String::as_str)),
        };
        std::iter::successors(parent(&unit), parent).take(MAX_CLIMB)
    }
}

/// Where and when one contract has rows of one kind.
#[derive(Debug, Default)]
pub(super) struct Rows {
    /// By folded address.
    at: HashMap<String, Vec<Window>>,
    /// At any unit below a folded address.
    below: HashMap<String, Vec<Window>>,
    /// At any address but `*`.
    anywhere: Vec<Window>,
}

impl Rows {
    /// Adds a row.
    pub(super) fn add(&mut self, address: &str, validity: Window, hierarchy: &Hierarchy) {
        let address = fold(address);
        if address != DEFAULT_ADDRESS {
            add(&mut self.anywhere, validity);
            for unit in hierarchy.above(&address) {
                match self.below.get_mut(unit) {
                    Some(windows) => add(windows, validity),
                    None => _ = self.below.insert(unit.to_owned(), vec![validity]),
                }
            }
        }
        add(self.at.entry(address).or_default(), validity);
    }

    /// Whether a row of the other kind, found by the search `own`, meets one of these, found by the search `theirs`.
    pub(super) fn meet(
        &self,
        address: &str,
        validity: Window,
        own: Lookup,
        theirs: Lookup,
        hierarchy: &Hierarchy,
    ) -> bool {
        let address = fold(address);
        let any = |windows: Option<&Vec<Window>>| windows.is_some_and(|all| all.iter().any(|w| w.overlaps(&validity)));
        let at_default = theirs.default && any(self.at.get(DEFAULT_ADDRESS));
        if address == DEFAULT_ADDRESS {
            return own.default && (at_default || any(Some(&self.anywhere)));
        }
        any(self.at.get(&address))
            || at_default
            || (theirs.hierarchy && hierarchy.above(&address).any(|unit| any(self.at.get(unit))))
            || (own.hierarchy && any(self.below.get(&address)))
    }
}

fn add(windows: &mut Vec<Window>, window: Window) {
    if !windows.contains(&window) {
        windows.push(window);
    }
}

fn fold(name: &str) -> String {
    name.to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rivmesh_table::{CompileOptions, Compiler, Object, ObjectId, Query, Spec, Switches, Table};

    const CONTRACT: &str = "urn:riv:test:XResponder:1";
    const UNITS: [&str; 6] = ["SE1-A", "SE1-B", "SE1-C", "SE2-A", "SE9-X", "SE"];

    /// B and C lie below A; SE2-A stands alone, and nobody knows SE9-X.
    fn tree() -> HsaTree {
        [("SE1-A", None), ("SE1-B", Some("se1-a")), ("SE1-C", Some("SE1-B")), ("SE2-A", None)].into_iter().collect()
    }

    fn object(kind: &str, address: &str) -> Object {
        let spec = match kind {
            "route" => serde_json::from_value(serde_json::json!({
                "serviceContracts": [CONTRACT], "logicalAddresses": [address],
                "producer": {"profile": "rivtabp21", "endpoints": [{"url": "https://p.example/"}]},
            }))
            .map(Spec::RoutingEntry),
            _ => serde_json::from_value(serde_json::json!({
                "serviceContracts": [CONTRACT], "logicalAddresses": [address], "consumers": ["SE1-K"],
            }))
            .map(Spec::CallAuthorization),
        };
        let spec = spec.expect("a spec");
        let id = ObjectId { kind: spec.kind(), namespace: "default".into(), name: kind.into() };
        Object { id, uid: None, generation: 1, created: None, path: None, spec }
    }

    /// Whether the table lets any call through, whatever its address.
    fn some_call_passes(route: &str, grant: &str, switches: Switches) -> bool {
        let mut compiler = Compiler::new(CompileOptions::default());
        compiler.set_hsa_tree(tree());
        compiler.upsert(object("route", route));
        compiler.upsert(object("grant", grant));
        let compilation = compiler.compile();
        let table =
            Table::assemble(&compilation.manifest, None, &mut |digest| compilation.shards.get(&digest).cloned());
        let table = table.expect("a table");
        UNITS.iter().any(|address| {
            let query = Query { consumer: "SE1-K", contract: CONTRACT, address, profile: "rivtabp21", now: 0 };
            let decision = table.decide(&query, &switches);
            decision.route.is_ok() && decision.authorization.is_ok()
        })
    }

    #[test]
    fn rows_meet_exactly_when_the_look_up_lets_some_call_through() {
        let hierarchy = Hierarchy::of(Some(&tree()));
        let lookups: Vec<Lookup> = [(false, false), (false, true), (true, false), (true, true)]
            .map(|(hierarchy, default)| Lookup { hierarchy, default })
            .into();
        let addresses: Vec<&str> = UNITS.iter().copied().chain([DEFAULT_ADDRESS]).collect();
        let mut met = 0;
        for (route, grant) in addresses.iter().flat_map(|route| addresses.iter().map(move |grant| (*route, *grant))) {
            for (routing, authorization) in lookups.iter().flat_map(|r| lookups.iter().map(move |a| (*r, *a))) {
                let passes = some_call_passes(route, grant, Switches { routing, authorization });
                let (mut routes, mut grants) = (Rows::default(), Rows::default());
                routes.add(route, Window::ALWAYS, &hierarchy);
                grants.add(grant, Window::ALWAYS, &hierarchy);
                let case = format!("route {route}, grant {grant}, {routing:?}, {authorization:?}");
                let has_route = routes.meet(grant, Window::ALWAYS, authorization, routing, &hierarchy);
                assert_eq!(has_route, passes, "{case}");
                let has_grant = grants.meet(route, Window::ALWAYS, routing, authorization, &hierarchy);
                assert_eq!(has_grant, passes, "{case}");
                met += usize::from(passes);
            }
        }
        assert!(met > 100, "only {met} cases let a call through");
    }

    #[test]
    fn rows_meet_only_while_both_are_valid() {
        let hierarchy = Hierarchy::default();
        let window = |from, until| Window { from: Some(from), until: Some(until) };
        let mut rows = Rows::default();
        rows.add("SE1-A", window(0, 10), &hierarchy);
        let meet = |validity| rows.meet("se1-a", validity, Lookup::default(), Lookup::default(), &hierarchy);
        assert!(meet(window(9, 20)) && !meet(window(10, 20)));
    }
}
