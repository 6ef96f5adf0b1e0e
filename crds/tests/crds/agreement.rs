//! The schema and the Rust functions are two judges of the same texts: they must agree, since only one of them has the word in standalone.

use rivmesh_crds::{EndpointUrl, Kind, Validity, instants, names, timeout_ms};
use serde_json::{Value, json};

use crate::apply::apply;

/// What an API server says to a RoutingEntry or ServiceContract in which one text is replaced.
fn accepts(kind: Kind, pointer: &str, text: &str) -> bool {
    let mut spec = match kind {
        Kind::ServiceContract => json!({ "urn": "urn:x", "timeout": "1s", "title": "x" }),
        _ => json!({
            "serviceContracts": ["urn:x"],
            "logicalAddresses": ["SE1"],
            "producer": { "hsaId": "SE2", "profile": "rivtabp21", "endpoints": [{ "url": "https://p1" }] },
            "validity": { "from": "2026-01-01" },
        }),
    };
    *spec.pointer_mut(pointer).unwrap() = Value::from(text);
    apply(kind, &spec).1.is_empty()
}

/// Texts that are at the edge of what some field allows.
const EDGES: &[&str] = &[
    "",
    " ",
    "*",
    "**",
    "a",
    "a*",
    "a b",
    "a\n",
    "\na",
    "a\u{a0}",
    "a\u{2028}b",
    "å",
    "a_b",
    "a-b",
    "a.b",
    "a:b",
    "a/b",
    "a#b",
    "a;b",
    "\"",
    "'",
    "\\",
    "a\\b",
    "^",
    "$",
    "a\0b",
    "urn:riv:crm:scheduling:MakeBookingResponder:1",
    "SE2321000131-E000000000001",
];

const URLS: &[&str] = &[
    "https://p1.example.org/journal",
    "http://p1",
    "https://p1:8443/a?b=c&d=%20",
    "https://[::1]:1/x",
    "https://[::1]",
    "https://p1?x",
    "https://p_1/",
    "https://p1:65535/",
    "",
    "p1/x",
    "ftp://p1",
    "HTTPS://p1",
    "https://",
    "https:///x",
    "https://p1:0/",
    "https://p1:/",
    "https://p1:08/",
    "https://p1:+1/",
    "https://u@p1/",
    "https://p1/x#y",
    "https://p1/ x",
    "https://p1/å",
    "https://å/",
    "https://-p1/",
    "https://.p1/",
    "https://[::1]x/",
    "https://[::g]/",
    "https://p1/<",
    "https://p1/\"",
    "https://p1/'",
    "https://p1/[x]",
    "https://p1/`",
    "https://p1/{x}",
    "https://p1/|",
    "https://p1/^",
    "https://p1/\\",
    "https://p1/~!$&()*+,;=:@-._",
    "https://p1\n",
    "https://p1:https/",
];

const TIMEOUTS: &[&str] = &[
    "29s", "100ms", "99ms", "10m", "10m1ms", "10m0.1ms", "600s", "601s", "1m30s", "1.5s", "0.1s", "0.0999s", "1.s",
    ".5s", "1h", "0h1s", "29", "s", "1d", "29 s", "-1s", "+1s", "1us", "1S", "1m 1s", "29s\n", "٢٩s",
];

const ENDS: &[&str] = &[
    "2026-01-01",
    "2028-02-29",
    "2026-02-29",
    "2026-00-01",
    "2026-01-00",
    "2026-12-31",
    "2026-13-01",
    "9999-12-31",
    "1000-01-01",
    "0999-01-01",
    "2026-1-1",
    "20260101",
    "2026-01-01T00:00:00Z",
    "2026-01-01T23:59:59.999999999+23:59",
    "2026-01-01T00:00:00.Z",
    "2026-01-01T00:00:00.1234567890Z",
    "2026-01-01T24:00:00Z",
    "2026-01-01T00:60:00Z",
    "2026-01-01T00:00:00",
    "2026-01-01T00:00Z",
    "2026-01-01t00:00:00z",
    "2026-01-01 00:00:00Z",
    "2026-01-01T00:00:00+0100",
    "2026-01-01T00:00:00+24:00",
    "2026-01-01T00:00:00+01:60",
    "2026-02-30T00:00:00Z",
    "2026-01-01T00:00:00Z[UTC]",
    " 2026-01-01",
    "2026-01-01\n",
    "",
    "idag",
];

fn agree(kind: Kind, pointer: &str, texts: &[&str], judge: impl Fn(&str) -> bool) {
    for text in texts {
        assert_eq!(accepts(kind, pointer, text), judge(text), "{pointer}: {text:?}");
    }
}

#[test]
fn on_names() {
    agree(Kind::RoutingEntry, "/logicalAddresses/0", EDGES, names::is_logical_address);
    agree(Kind::RoutingEntry, "/serviceContracts/0", EDGES, names::is_contract_urn);
    agree(Kind::RoutingEntry, "/producer/hsaId", EDGES, names::is_id);
    agree(Kind::RoutingEntry, "/producer/profile", EDGES, names::is_profile);
    agree(Kind::ServiceContract, "/urn", EDGES, names::is_contract_urn);
}

#[test]
fn on_endpoints() {
    agree(Kind::RoutingEntry, "/producer/endpoints/0/url", URLS, |text| EndpointUrl::parse(text).is_ok());
}

#[test]
fn on_timeouts() {
    agree(Kind::ServiceContract, "/timeout", TIMEOUTS, |text| timeout_ms(text).is_ok());
}

#[test]
fn on_validity() {
    agree(Kind::RoutingEntry, "/validity/from", ENDS, |text| {
        instants(&Validity { from: Some(text.to_owned()), to: None }).is_ok()
    });
}
