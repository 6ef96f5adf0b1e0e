//! Decisions on tables that the compiler would never make, as a foreign catalogue might have them.

use std::collections::BTreeMap;

use bytes::Bytes;
use rivmesh_crds::Window;
use rivmesh_table::handmade::{Handmade, HandmadeAuthorization, HandmadeContract, HandmadeRoute};
use rivmesh_table::{Digest, HsaTree, Level, Manifest, Outcome, Query, RouteError, RowState, Switches, Table};

const CONTRACT: &str = "urn:riv:a:GetXResponder:1";
const NOW: i64 = 1_000;

fn route(address: &str, profile: &str, url: &str) -> HandmadeRoute {
    HandmadeRoute {
        contract: CONTRACT.to_owned(),
        address: address.to_owned(),
        profile: profile.to_owned(),
        urls: vec![url.to_owned()],
        object: url.trim_start_matches("https://").to_owned(),
        ..HandmadeRoute::default()
    }
}

fn table(handmade: &Handmade) -> Table {
    let (manifest, shards) = handmade.build();
    assemble(&manifest, &shards)
}

fn assemble(manifest: &Manifest, shards: &BTreeMap<Digest, Bytes>) -> Table {
    Table::assemble(manifest, None, &mut |digest| shards.get(&digest).cloned()).expect("the bytes are canonical")
}

fn with_routes(routes: Vec<HandmadeRoute>) -> Table {
    table(&Handmade { routes, ..Handmade::default() })
}

fn query<'a>(address: &'a str, profile: &'a str) -> Query<'a> {
    Query { consumer: "SE9-C", contract: CONTRACT, address, profile, now: NOW }
}

fn decided<'t>(table: &'t Table, address: &str, profile: &str) -> Result<(&'t str, &'t str), RouteError<'t>> {
    let route = table.decide(&query(address, profile), &Switches::default()).route?;
    Ok((route.endpoints.clone().next().expect("a URL").url, route.profile))
}

#[test]
fn two_rows_in_one_profile_are_several() {
    let table = with_routes(vec![route("SE1", "rivtabp21", "https://a"), route("SE1", "RIVTABP21", "https://b")]);
    assert_eq!(decided(&table, "SE1", "rivtabp21"), Err(RouteError::Several));
    assert_eq!(decided(&table, "SE1", "rivtabp20"), Err(RouteError::Several), "both could be rewritten to");
    assert_eq!(decided(&table, "SE1", "other"), Err(RouteError::Several), "no profile fits, and VP006 comes first");
    let explanation = table.explain(&query("SE1", "rivtabp21"), &Switches::default());
    assert_eq!(explanation.routing.outcome, Outcome::SeveralRoutes);
    let states: Vec<RowState> = explanation.routing.tried[0].rows.iter().map(|row| row.state).collect();
    assert_eq!(states, [RowState::Ambiguous, RowState::Ambiguous]);
}

#[test]
fn several_is_judged_at_the_deciding_level_and_profile_only() {
    let mut former = route("SE1", "rivtabp21", "https://former");
    former.validity = Window { from: None, until: Some(NOW) };
    let table = with_routes(vec![
        route("SE1", "rivtabp21", "https://right"),
        former,
        route("SE1", "rivtabp20", "https://a"),
        route("SE1", "rivtabp20", "https://b"),
        route("*", "rivtabp21", "https://c"),
        route("*", "rivtabp21", "https://d"),
    ]);
    assert_eq!(decided(&table, "SE1", "rivtabp21"), Ok(("https://right", "rivtabp21")));
    assert_eq!(decided(&table, "SE1", "rivtabp20"), Err(RouteError::Several));
    assert_eq!(decided(&table, "SE2", "rivtabp21"), Err(RouteError::Several));
}

#[test]
fn different_unreachable_profiles_are_not_several() {
    let table = with_routes(vec![route("SE1", "", "https://blank"), route("SE1", "RIVEN13606", "https://foreign")]);
    let (_, profile) = decided(&table, "SE1", "rivtabp21").expect("one of them, which the caller finds unreachable");
    assert!(profile.is_empty() || profile == "RIVEN13606");
}

#[test]
fn a_row_without_url_decides_and_says_so() {
    let mut none = route("SE1", "rivtabp21", "none");
    none.urls.clear();
    let table = with_routes(vec![none, route("SE2", "rivtabp21", "  "), route("*", "rivtabp21", "https://all")]);
    for address in ["SE1", "SE2"] {
        let decision = table.decide(&query(address, "rivtabp21"), &Switches::default());
        assert!(matches!(decision.route, Err(RouteError::NoUsableUrl { .. })), "{address}: {:?}", decision.route);
    }
    let text = table.explain(&query("SE1", "rivtabp21"), &Switches::default()).to_string();
    assert!(text.contains("RoutingEntry handmade/none has no URL, so the answer is VP010"), "{text}");
}

#[test]
fn one_endpoint_with_a_url_is_enough() {
    let mut route = route("SE1", "rivtabp21", " ");
    route.urls.push("https://second".to_owned());
    let table = with_routes(vec![route]);
    assert!(table.decide(&query("SE1", "rivtabp21"), &Switches::default()).route.is_ok());
}

#[test]
fn the_first_and_the_last_second_count_and_those_beside_do_not() {
    let mut row = route("SE1", "rivtabp21", "https://a");
    row.validity = Window { from: Some(NOW), until: Some(NOW + 10) };
    let table = with_routes(vec![row]);
    let valid_at = |now| {
        let query = Query { now, ..query("SE1", "rivtabp21") };
        table.decide(&query, &Switches::default()).route.is_ok()
    };
    assert_eq!([NOW - 1, NOW, NOW + 9, NOW + 10].map(valid_at), [false, true, true, false]);
    assert_eq!([i64::MIN, i64::MAX].map(valid_at), [false, false]);
    let open = with_routes(vec![route("SE1", "rivtabp21", "https://a")]);
    for now in [i64::MIN, 0, i64::MAX] {
        let query = Query { now, ..query("SE1", "rivtabp21") };
        assert!(open.decide(&query, &Switches::default()).route.is_ok(), "{now}");
    }
}

#[test]
fn a_tree_that_goes_in_circles_ends_at_the_root() {
    let units = [("SE1", Some("SE2")), ("SE2", Some("SE3")), ("SE3", Some("SE1"))];
    let handmade = Handmade {
        routes: vec![route("SE", "rivtabp21", "https://root")],
        authorizations: vec![HandmadeAuthorization {
            contract: CONTRACT.to_owned(),
            address: "*".to_owned(),
            consumer: "SE9-C".to_owned(),
            ..HandmadeAuthorization::default()
        }],
        hsa_tree: units.into_iter().collect::<HsaTree>(),
        ..Handmade::default()
    };
    let table = table(&handmade);
    let decision = table.decide(&query("SE1", "rivtabp21"), &Switches::default());
    let level = decision.route.expect("found at the root").level;
    assert_eq!(level, Level::Ancestor(32));
    assert_eq!(decision.authorization.map(|grant| grant.level), Ok(Level::Default));
    let (_, trail, _) = table.decide_and_trail(&query("SE1", "rivtabp21"), &Switches::default());
    assert_eq!(trail.split(',').count(), 34, "{trail}");
    let nobody = Query { consumer: "SE9-X", ..query("SE1", "rivtabp21") };
    assert!(!table.explain(&nobody, &Switches::default()).to_string().is_empty(), "explaining ends too");
}

#[test]
fn a_tree_as_deep_as_can_be_is_climbed_to_the_top() {
    let names: Vec<String> = (0..40).map(|n| format!("SE1-{n:02}")).collect();
    let units = names.windows(2).map(|pair| (pair[0].as_str(), Some(pair[1].as_str())));
    let handmade = |address: &str| Handmade {
        routes: vec![route(address, "rivtabp21", "https://a")],
        hsa_tree: units.clone().collect(),
        ..Handmade::default()
    };
    let level = |address: &str, from: &str| {
        let table = table(&handmade(address));
        table.decide(&query(from, "rivtabp21"), &Switches::default()).route.map(|route| route.level).ok()
    };
    assert_eq!(level("SE1-31", "SE1-00"), Some(Level::Ancestor(31)));
    assert_eq!(level("SE1-32", "SE1-00"), None, "the 32nd step goes to the root");
    assert_eq!(level("SE", "SE1-38"), Some(Level::Ancestor(2)), "from the last unit to the root");
}

#[test]
fn a_legacy_address_has_a_bounded_number_of_parts() {
    let handmade = Handmade {
        routes: vec![route("SE1", "rivtabp21", "https://a")],
        contracts: vec![HandmadeContract {
            urn: CONTRACT.to_owned(),
            legacy_addresses: true,
            ..HandmadeContract::default()
        }],
        ..Handmade::default()
    };
    let table = table(&handmade);
    let parts = |count: usize| (0..count).map(|n| format!("SE2-{n}")).collect::<Vec<_>>().join("#");
    let is_routed = |address: &str| table.decide(&query(address, "rivtabp21"), &Switches::default()).route.is_ok();
    assert!(is_routed(&format!("SE1#{}", parts(15))));
    assert!(!is_routed(&format!("SE1#{}", parts(16))));
    assert!(is_routed(&format!("{}#SE1", "SE2-1#".repeat(5_000))), "repetitions do not count");
}

#[test]
fn long_and_foreign_addresses_only_reach_the_default() {
    let table = with_routes(vec![route("*", "rivtabp21", "https://all")]);
    for address in ["å".repeat(40_000).as_str(), "\u{1f3e5}", "a", ""] {
        assert_eq!(decided(&table, address, "rivtabp21"), Ok(("https://all", "rivtabp21")));
        let (_, trail, _) = table.decide_and_trail(&query(address, "rivtabp21"), &Switches::default());
        assert!(trail.len() < 1_000, "a trail is a part of a log line");
    }
}

#[test]
fn a_name_without_responder_means_the_contract_that_has_it_unless_it_is_one_itself() {
    let short = "urn:riv:a:GetX:1";
    let meant = |contracts: &[&str]| {
        let contracts =
            contracts.iter().map(|urn| HandmadeContract { urn: (*urn).to_owned(), ..HandmadeContract::default() });
        let routes = vec![route("SE1", "rivtabp21", "https://right")];
        let table = table(&Handmade { routes, contracts: contracts.collect(), ..Handmade::default() });
        let query = Query { contract: short, ..query("SE1", "rivtabp21") };
        let decision = table.decide(&query, &Switches::default());
        (decision.route.is_ok(), decision.settings.map(|settings| settings.urn().to_owned()))
    };
    assert_eq!(meant(&[]), (true, None));
    assert_eq!(meant(&[CONTRACT]), (true, Some(CONTRACT.to_owned())));
    assert_eq!(meant(&[CONTRACT, short]), (false, Some(short.to_owned())));
}
