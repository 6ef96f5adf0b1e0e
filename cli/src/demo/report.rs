//! What the demo prints: a table of calls that a person reads at a glance, and how to go on by hand.

use super::consumer::Answer;
use super::scenario::Call;
use super::setting::Setting;
use crate::soap;
use rivmesh_table::{Level, Query, Switches, Table};
use std::fmt::Write;
use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

const HEADINGS: [&str; 5] = ["who calls", "what", "at which address", "what came back", "what decided, and why"];

/// The calls and what came of them.
pub(super) fn table(routes: &Table, results: &[(&Call, Answer)]) -> String {
    let rows: Vec<[String; 5]> = results.iter().map(|(call, answer)| row(routes, call, answer)).collect();
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([HEADINGS[column].len()]).max().unwrap_or_default()
    };
    let widths: [usize; 5] = std::array::from_fn(width);
    let mut text = String::new();
    let mut line = |cells: [&str; 5]| {
        let padded: Vec<String> = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}", padded.join("  ").trim_end());
    };
    line(HEADINGS);
    let rules = widths.map(|width| "-".repeat(width));
    line(std::array::from_fn(|column| rules[column].as_str()));
    for row in &rows {
        line(std::array::from_fn(|column| row[column].as_str()));
    }
    text
}

fn row(routes: &Table, call: &Call, answer: &Answer) -> [String; 5] {
    [
        format!("{} ({})", call.consumer.hsa_id, call.consumer.name),
        soap::interaction(call.contract).to_owned(),
        call.address.to_owned(),
        came_back(answer),
        format!("{}: {}", decided_by(routes, call, answer), call.about),
    ]
}

fn came_back(answer: &Answer) -> String {
    match answer.code() {
        Some(code) => code.to_owned(),
        None => format!("{} \"{}\"", answer.status, answer.element("greeting").unwrap_or_default()),
    }
}

/// The object or setting that made the difference, asked of the same table that decided.
fn decided_by(routes: &Table, call: &Call, answer: &Answer) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_secs() as i64);
    let query = Query {
        consumer: call.consumer.hsa_id,
        contract: call.contract,
        address: call.address,
        profile: "rivtabp21",
        now,
    };
    let decision = routes.decide(&query, &Switches::default());
    match (answer.code(), decision.route) {
        (Some("VP013"), _) => "platform.yaml, trustedPlatforms".to_owned(),
        (Some("VP007"), _) => "no CallAuthorization".to_owned(),
        (Some("VP004"), _) => "no RoutingEntry".to_owned(),
        (_, Ok(route)) => format!("RoutingEntry {}{}", route.owner.name, level(route.level)),
        (_, Err(error)) => error.to_string(),
    }
}

fn level(level: Level) -> String {
    match level {
        Level::Explicit | Level::Legacy(_) => String::new(),
        Level::Ancestor(1) => " (1 step up)".to_owned(),
        Level::Ancestor(steps) => format!(" ({steps} steps up)"),
        Level::Default => " (*)".to_owned(),
    }
}

/// How to call by hand and how to see a route change.
pub(super) fn by_hand(setting: &Setting, platform: SocketAddr, admin: SocketAddr) -> String {
    let pki = setting.pki();
    let pki = pki.display();
    let port = platform.port();
    format!(
        "\
Call it by hand:
  curl -sS --cacert {pki}/ca.pem --cert {pki}/journal.crt --key {pki}/journal.key https://localhost:{port}/vp -H 'Content-Type: text/xml' -d '<e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\"><e:Header><LogicalAddress xmlns=\"urn:riv:itintegration:registry:1\">SE2329990001-E100</LogicalAddress></e:Header><e:Body><GetGreeting xmlns=\"urn:riv:rivmesh:demo:GetGreetingResponder:1\"><name>Ada</name></GetGreeting></e:Body></e:Envelope>'
Change a route while it runs: in {manifests}/routes.yaml let `hospital` lead to https://localhost:19102/journal, save, call again.
Look inside: one line per call in {log}, state at http://{admin}/status, metrics at http://{admin}/metrics.

Ctrl-C stops the demo.",
        manifests = setting.manifests.display(),
        log = setting.log().display(),
    )
}
