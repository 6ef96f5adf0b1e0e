//! The file as a person writes it, and what they read when it is wrong.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::*;

const SMALLEST: &str = "
platform: {hsaId: SE2321000016-A1B2, name: region-nord}
listeners:
- name: consumers
  address: 0.0.0.0:8443
  tls: {certificate: tls.crt, privateKey: tls.key, clientTrust: client-ca.pem, crls: [site.crl]}
upstream:
  tls: {certificate: client.crt, privateKey: /keys/client.key, trust: producer-ca.pem}
";

fn parse_ok(text: &str) -> Platform {
    parse(Path::new("/etc/rivmesh/platform.yaml"), text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// The error for the smallest file with `replace` in place of `find`.
fn error_with(find: &str, replace: &str) -> String {
    assert!(SMALLEST.contains(find), "{find}");
    let text = SMALLEST.replacen(find, replace, 1);
    parse(Path::new("platform.yaml"), &text).expect_err(&text).to_string()
}

#[test]
fn the_smallest_file_has_safe_defaults() {
    let platform = parse_ok(SMALLEST);
    assert_eq!(platform.environment.as_str(), "test");
    assert_eq!(platform.admin.address.to_string(), "127.0.0.1:9901");
    assert!(platform.trusted_platforms.is_empty() && platform.blocked_consumers.is_empty());
    assert_eq!(platform.untrusted_original_consumer, UntrustedPolicy::Reject);
    assert_eq!(platform.routing, Lookup { hierarchy: true, default: true });
    assert_eq!((platform.limits.peek_bytes, platform.limits.message_bytes), (65_536, 52_428_800));
    assert_eq!(platform.timeouts.call, Duration::from_secs(29));
    assert_eq!(platform.upstream.max_in_flight.get(), 500);
    assert_eq!(platform.upstream.tls.verify_hostname, VerifyHostname::Enforce);
    assert!(platform.upstream.user_agent.starts_with("rivmesh/"));
    let tls = platform.listeners[0].tls().unwrap();
    assert_eq!((tls.clients.revocation, tls.clients.stale_grace.as_secs()), (RevocationMode::Require, 172_800));
    assert_eq!(platform.warnings(), Vec::<String>::new());
}

#[test]
fn paths_are_relative_to_the_file() {
    let platform = parse_ok(SMALLEST);
    let tls = platform.listeners[0].tls().unwrap();
    assert_eq!(tls.clients.crls, [PathBuf::from("/etc/rivmesh/site.crl")]);
    assert_eq!(platform.upstream.tls.private_key, Path::new("/keys/client.key"));
    let files = platform.files();
    assert_eq!(files.len(), 7, "{files:?}");
    assert!(files.iter().all(|file| file.is_absolute()));
}

#[test]
fn everything_can_be_said() {
    let platform = parse_ok(
        r#"
platform: {hsaId: SE1-A, name: n, environment: Production}
listeners:
- {name: consumers, address: "[::]:8443", pathPrefixes: [/vp],
   tls: {certificate: a, privateKey: b, clientTrust: c, crls: [d, e], revocation: available, staleGrace: 1h 30m, minVersion: "1.3"}}
- name: ingress
  kind: certificateHeader
  address: 0.0.0.0:8444
  tls: {certificate: a, privateKey: b, clientTrust: ingress-ca, revocation: off}
  certificateHeader:
    headers: [X-Forwarded-Tls-Client-Cert]
    ingresses: [{commonName: traefik}, {serialNumber: SE1-I}, {dnsName: ingress.example}]
    cidrs: [10.0.0.0/8]
    clientTrust: c
    crls: [d]
- {name: internal, kind: internal, address: 127.0.0.1:8080, internal: {senders: [SE1-AGG], cidrs: [127.0.0.0/8, "::1/128"]}}
admin: {address: 0.0.0.0:9901}
upstream:
  tls: {certificate: a, privateKey: b, trust: f, verifyHostname: report, minVersion: "1.3"}
  overrides:
  - {suffix: .legacy.example, minVersion: "1.2", verifyHostname: report}
  - {host: p1.example, port: 8443, certificate: g, privateKey: h, trust: i, serverName: other.example}
  internal: {hostSuffixes: [.svc.cluster.local], cidrs: [10.0.0.0/8]}
  userAgent: region/1
  correlationIdToExternal: true
  maxInFlight: 7
trustedPlatforms: [SE5565594230-NTJP]
blockedConsumers: [SE9]
untrustedOriginalConsumer: report
routing: {hierarchy: false}
authorization: {default: false}
faults: {language: en, texts: faults.properties}
limits: {headBytes: 16KiB, headerCount: 50, peekBytes: 70000, messageBytes: 1GiB, connections: 5, handshakesInFlight: 6, requestsInFlight: 7, idlePerEndpoint: 8}
timeouts: {handshake: 1s, head: 2s, bodyIdle: 3s, message: 5m, keepAlive: 4s, connect: 500ms, call: 6s, upstreamIdle: 7s, skipRefused: 8s, connectionAge: 9m, drainDelay: 1ms, drain: 11s}
table: {directory: /var/lib/rivmesh, maxStale: 24h}
hsaUnits: [units.xml]
workers: 3
"#,
    );
    assert!(platform.is_production());
    assert_eq!(platform.limits.message_bytes, 1 << 30);
    assert_eq!(platform.timeouts.connect, Duration::from_millis(500));
    assert_eq!(platform.routing, Lookup { hierarchy: false, default: true });
    assert_eq!(platform.workers.get(), 3);
    assert_eq!(platform.listeners[1].cidrs().len(), 1);
    assert!(platform.upstream.internal.contains("10.1.2.3") && !platform.upstream.internal.contains("11.1.2.3"));
    assert_eq!(platform.table.directory.as_deref(), Some(Path::new("/var/lib/rivmesh")));
    assert_eq!(platform.warnings().len(), 1, "{:?}", platform.warnings());
}

#[test]
fn a_listener_without_revocation_lists_is_warned_of() {
    let warnings = |revocation: &str| parse_ok(&SMALLEST.replace("crls: [site.crl]", revocation)).warnings();
    for (revocation, says) in [
        ("revocation: require", "client-ca.pem is refused: list the revocation lists, or write revocation: off"),
        ("revocation: available", "client-ca.pem is let in: list the revocation lists, or write revocation: off"),
        ("revocation: off", "a revoked certificate under /etc/rivmesh/client-ca.pem is let in"),
    ] {
        let told = warnings(revocation);
        assert!(told.len() == 1 && told[0].contains(says), "{revocation}: {told:?}");
    }
    for revocation in ["revocation: require", "revocation: available"] {
        assert_eq!(warnings(&format!("{revocation}, crls: [site.crl]")), Vec::<String>::new(), "{revocation}");
    }
}

#[test]
fn a_mistake_is_told_with_file_and_line() {
    assert_eq!(
        error_with("  tls: {certificate: tls.crt,", "  tsl: {certificate: tls.crt,"),
        "platform.yaml:6: unknown field `tsl`, expected one of name, address, kind, pathPrefixes, tls, \
         certificateHeader, internal"
    );
    assert!(error_with("hsaId: SE2321000016-A1B2, ", "").starts_with("platform.yaml:2: missing field `hsaId`"));
    assert_eq!(
        error_with("SE2321000016-A1B2", "\"SE 1\""),
        "platform.yaml:2: \"SE 1\" is not an id: write 1 to 255 letters A-Z, digits, _ or -, as SE2321000016-A1B2"
    );
    for bad in ["\"\"", "\" test\"", "\"te\\nst\""] {
        let error = error_with("hsaId:", &format!("environment: {bad}, hsaId:"));
        assert!(error.starts_with("platform.yaml:2: an environment is named by 1 to 63 bytes"), "{error}");
    }
    assert!(
        error_with("0.0.0.0:8443", "localhost:8443").contains("platform.yaml:5: \"localhost:8443\" is not an address")
    );
    assert!(
        error_with("upstream:", "timeouts: {call: 29}\nupstream:")
            .contains("platform.yaml:7: \"29\" is not a duration")
    );
    assert!(error_with("upstream:", "timeouts: {call: 0s}\nupstream:").contains("above zero"));
    assert!(error_with("upstream:", "timeouts: {call: -5s}\nupstream:").contains("is not a duration"));
    assert!(error_with("upstream:", "limits: {peekBytes: 64kB}\nupstream:").contains("\"64kB\" is not a size"));
    assert!(error_with("upstream:", "limits: {peekBytes: -1}\nupstream:").contains("\"-1\" is not a size"));
    assert!(error_with("upstream:", "limits: {headerCount: 0}\nupstream:").contains("above zero"));
    assert!(
        error_with("upstream:\n", "upstream:\n  internal: {cidrs: [10.0/8]}\n").contains("\"10.0/8\" is not a network")
    );
    assert!(error_with("crls: [site.crl]", "minVersion: \"1.1\"").contains("write \"1.2\" or \"1.3\""));
    assert!(error_with("upstream:", "upstream: [\n").starts_with("platform.yaml:7: "));
    assert!(
        load(Path::new("/nowhere/platform.yaml"))
            .unwrap_err()
            .to_string()
            .starts_with("/nowhere/platform.yaml: cannot")
    );
}

#[test]
fn contradictions_are_told() {
    let second = "upstream:";
    let add = |listener: &str| error_with(second, &format!("{listener}\nupstream:"));
    assert!(
        add("- {name: consumers, address: 0.0.0.0:1, kind: internal, internal: {cidrs: [10.0.0.0/8]}}")
            .contains("two listeners are named consumers")
    );
    assert!(
        add("- {name: b, address: 0.0.0.0:8443, kind: internal, internal: {cidrs: [10.0.0.0/8]}}")
            .contains("share the address")
    );
    assert!(add("- {name: b, address: 0.0.0.0:1}").contains("platform.yaml:7: listener b: tls is missing"));
    assert!(add("- {name: b, address: 0.0.0.0:1, kind: internal}").contains("needs internal.cidrs"));
    assert!(
        add("- {name: b, address: 0.0.0.0:1, internal: {cidrs: [10.0.0.0/8]}}")
            .contains("internal needs kind: internal")
    );
    assert!(add("- {name: \"b c\", address: 0.0.0.0:1, kind: internal}").contains("is not a name for a listener"));
    let header = |fields: &str| {
        add(&format!(
            "- {{name: b, address: 0.0.0.0:1, kind: certificateHeader, tls: {{certificate: a, privateKey: b, clientTrust: c}}, {fields}}}"
        ))
    };
    assert!(header("pathPrefixes: [/vp]").contains("certificateHeader is missing"));
    assert!(
        header("certificateHeader: {headers: [], ingresses: [{commonName: x}], clientTrust: c}")
            .contains("headers is empty")
    );
    assert!(
        header("certificateHeader: {headers: [x], ingresses: [], cidrs: [10.0.0.0/8], clientTrust: c}")
            .contains("cidrs alone are not enough")
    );
    assert!(
        header("certificateHeader: {headers: [x y], ingresses: [{commonName: x}], clientTrust: c}")
            .contains("is not the name of a header")
    );
    let entry = |fields: &str| error_with("upstream:\n", &format!("upstream:\n  overrides: [{{{fields}}}]\n"));
    assert!(entry("port: 443").contains("needs host or suffix"));
    assert!(entry("host: a, certificate: x").contains("needs its privateKey"));
    assert!(entry("host: a, serverName: \"a b\"").contains("neither a host name nor an IP address"));
}

#[test]
fn ids_compare_without_regard_to_case() {
    let set: IdSet = ["se1-b", "SE1-A", "SE1-a"].iter().map(|id| id.parse::<Id>().unwrap()).collect();
    assert_eq!(set.iter().count(), 2);
    assert!(set.contains("Se1-A") && set.contains("SE1-B") && !set.contains("SE1"));
}

#[test]
fn an_override_is_chosen_by_host_suffix_and_port() {
    let platform = parse_ok(&SMALLEST.replace(
        "upstream:\n",
        "upstream:\n  overrides: [{host: P1.example, suffix: .example, port: 8443}, {suffix: .legacy.example}, {suffix: whole.example}]\n",
    ));
    let chosen = |host: &str, port: u16| platform.upstream.overrides.iter().position(|entry| entry.matches(host, port));
    assert_eq!(chosen("p1.EXAMPLE", 8443), Some(0));
    assert_eq!(chosen("p1.example", 443), None);
    assert_eq!(chosen("p2.example", 8443), None, "the exact host beats the suffix inside one entry");
    assert_eq!(chosen("a.legacy.example", 1), Some(1));
    assert_eq!((chosen("legacy.example", 1), chosen(".legacy.example", 1)), (None, None));
    assert_eq!((chosen("whole.example", 1), chosen("a.whole.example", 1)), (Some(2), Some(2)));
    assert_eq!(chosen("evilwhole.example", 1), None);
    assert_eq!(chosen("ö.example", 1), None);
    assert!(platform.warnings()[0].contains("suffix .example, which is ignored"));
}

#[test]
fn path_prefixes_end_at_a_segment() {
    let mut listener = parse_ok(SMALLEST).listeners.remove(0);
    assert!(listener.serves_path("/anything"));
    listener.path_prefixes = vec!["/vp".to_owned(), "/tak/".to_owned()];
    assert!(listener.serves_path("/vp") && listener.serves_path("/vp/x") && listener.serves_path("/tak/x"));
    assert!(!listener.serves_path("/vpx") && !listener.serves_path("/tak") && !listener.serves_path("/"));
}
