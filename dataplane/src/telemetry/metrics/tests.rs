//! The exposition as Prometheus sees it.

use super::{Expiry, ExpiryKind, Metrics, ProducerFailure, RefusedRows, definitions};
use crate::telemetry::record::{CallRecord, Origin, Outcome, TlsVersion};
use crate::telemetry::table::{RowCounts, TableInfo, TableSource};
use rivmesh_rivta::VpCode;
use std::collections::BTreeSet;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

const CONTRACT: &str = "urn:riv:x:GetYResponder:1";

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000)
}

static ORIGIN: LazyLock<Origin> =
    LazyLock::new(|| Origin::new("consumers".into(), "192.0.2.1:1".parse().expect("address"), None));

fn call(contract: &str, outcome: Outcome) -> CallRecord<'static> {
    CallRecord {
        consumer: "SE1-CONSUMER".into(),
        contract: Some(contract.into()),
        outcome,
        bytes_in: 100,
        bytes_out: 1000,
        duration: Duration::from_millis(20),
        producer_duration: Some(Duration::from_millis(19)),
        ..CallRecord::new(&ORIGIN, now())
    }
}

fn table(source: TableSource, installed: SystemTime) -> TableInfo {
    let rows = RowCounts { routes: 10, authorizations: 20, contracts: 2, hsa_units: 5 };
    TableInfo { digest: [0xab; 16], epoch: 1, source, rows, installed }
}

/// One of everything.
fn full() -> Metrics {
    let metrics = Metrics::new();
    metrics.learn_contracts([CONTRACT]);
    let listener = metrics.listener("consumers");
    listener.call(&call(CONTRACT, Outcome::Completed));
    listener.call(&CallRecord {
        retried: true,
        ..call("urn:by:a:stranger", Outcome::Fault { code: VpCode::Vp004, kind: "route", cause: String::new() })
    });
    metrics.unrouted(&"SE1".into());
    drop(listener.connection_opened());
    listener.handshake(Some(TlsVersion::V1_3), true);
    listener.handshake_refused("expired");
    listener.handshake_refused("a word that nobody has listed");
    let producer = metrics.producer("p1.example", 443);
    producer.call_finished(Duration::from_millis(19));
    producer.failed(ProducerFailure::Timeout);
    producer.connection_reused();
    metrics.table_installed(table(TableSource::Operator, now() - Duration::from_secs(30)));
    metrics.table_rejected();
    metrics.set_feed_connected(true);
    metrics.set_refused_rows(RefusedRows { conflicts: 2, rejected: 3 });
    let expiry = |kind, name: &str, at| Expiry { kind, name: name.into(), at };
    let expiries = vec![
        expiry(ExpiryKind::Certificate, "consumers tls.crt", 1_086_400),
        expiry(ExpiryKind::Crl, "site.crl", 999_999),
    ];
    metrics.set_expiries("consumers", expiries);
    metrics.settings_reloaded(true);
    metrics.settings_reloaded(false);
    metrics.set_ready(true);
    metrics
}

/// Checks that each of `samples` is a line of the page.
fn has(page: &str, samples: &[&str]) {
    for sample in samples {
        assert!(page.lines().any(|line| line == *sample), "{sample} is not in\n{page}");
    }
}

#[test]
fn calls_by_listener_contract_and_code() {
    let metrics = full();
    let _in_flight = metrics.listener("consumers").call_in_flight();
    has(
        &metrics.encode_at(now()),
        &[
            "# TYPE rivmesh_calls counter",
            r#"rivmesh_calls_total{listener="consumers",contract="urn:riv:x:GetYResponder:1",code="ok"} 1"#,
            r#"rivmesh_calls_total{listener="consumers",contract="other",code="VP004"} 1"#,
            r#"rivmesh_call_seconds_count{listener="consumers",contract="other"} 1"#,
            r#"rivmesh_call_seconds_bucket{le="0.01",listener="consumers",contract="other"} 0"#,
            r#"rivmesh_call_seconds_bucket{le="0.025",listener="consumers",contract="other"} 1"#,
            r#"rivmesh_call_seconds_bucket{le="+Inf",listener="consumers",contract="other"} 1"#,
            r#"rivmesh_added_seconds_bucket{le="0.001",listener="consumers"} 2"#,
            r#"rivmesh_added_seconds_bucket{le="0.0005",listener="consumers"} 0"#,
            r#"rivmesh_calls_in_flight{listener="consumers"} 1.0"#,
            r#"rivmesh_request_bytes_total{listener="consumers"} 200"#,
            r#"rivmesh_response_bytes_total{listener="consumers"} 2000"#,
            r#"rivmesh_retried_calls_total{listener="consumers"} 1"#,
        ],
    );
}

#[test]
fn connections_and_handshakes() {
    let metrics = full();
    let _open = metrics.listener("consumers").connection_opened();
    has(
        &metrics.encode_at(now()),
        &[
            r#"rivmesh_connections_open{listener="consumers"} 1.0"#,
            r#"rivmesh_connections_total{listener="consumers"} 2"#,
            r#"rivmesh_tls_handshakes_total{listener="consumers",version="1.3",resumed="true"} 1"#,
            r#"rivmesh_tls_handshakes_total{listener="consumers",version="1.2",resumed="false"} 0"#,
            r#"rivmesh_tls_handshakes_refused_total{listener="consumers",reason="expired"} 1"#,
            r#"rivmesh_tls_handshakes_refused_total{listener="consumers",reason="other"} 1"#,
        ],
    );
}

#[test]
fn producers() {
    let metrics = full();
    let producer = metrics.producer("P1.example", 443);
    let _held = (producer.connection_opened(), producer.connection_idle(), producer.call_in_flight());
    has(
        &metrics.encode_at(now()),
        &[
            r#"rivmesh_producer_seconds_count{producer="p1.example:443"} 1"#,
            r#"rivmesh_producer_calls_in_flight{producer="p1.example:443"} 1.0"#,
            r#"rivmesh_producer_failures_total{producer="p1.example:443",reason="timeout"} 1"#,
            r#"rivmesh_producer_connections_open{producer="p1.example:443"} 1.0"#,
            r#"rivmesh_producer_connections_idle{producer="p1.example:443"} 1.0"#,
            r#"rivmesh_producer_connections_total{producer="p1.example:443"} 1"#,
            r#"rivmesh_producer_connections_reused_total{producer="p1.example:443"} 1"#,
        ],
    );
}

#[test]
fn table_certificates_and_settings() {
    let page = full().encode_at(now());
    has(
        &page,
        &[
            r#"rivmesh_table_info{digest="abababababababababababababababab",source="operator"} 1"#,
            "rivmesh_table_age_seconds 30.0",
            r#"rivmesh_table_rows{kind="routes"} 10.0"#,
            r#"rivmesh_table_rows{kind="hsa_units"} 5.0"#,
            "rivmesh_table_unsaved 0.0",
            "rivmesh_tables_installed_total 1",
            "rivmesh_tables_rejected_total 1",
            "rivmesh_table_held 0.0",
            "rivmesh_feed_connected 1.0",
            "rivmesh_conflicting_rows 2.0",
            "rivmesh_rejected_rows 3.0",
            r#"rivmesh_certificate_expires_in_seconds{certificate="consumers tls.crt"} 86400.0"#,
            r#"rivmesh_crl_next_update_in_seconds{crl="site.crl"} -1.0"#,
            r#"rivmesh_settings_reloads_total{result="ok"} 1"#,
            r#"rivmesh_settings_reloads_total{result="failed"} 1"#,
            "rivmesh_log_lines_dropped_total 0",
            "rivmesh_ready 1.0",
        ],
    );
    assert!(page.ends_with("# EOF\n"));
}

#[test]
fn a_table_from_disk_has_no_age_until_it_is_confirmed() {
    let metrics = Metrics::new();
    metrics.table_installed(table(TableSource::Disk, now()));
    assert!(!metrics.encode_at(now()).contains("rivmesh_table_age_seconds "));
    metrics.table_confirmed(now() - Duration::from_secs(5));
    has(&metrics.encode_at(now()), &["rivmesh_table_age_seconds 5.0"]);
    assert_eq!(metrics.table_age(now() - Duration::from_secs(60)), Some(Duration::ZERO), "a clock that went back");
}

#[test]
fn a_table_that_is_not_on_disk_shows() {
    let metrics = full();
    metrics.set_table_unsaved(Some("the disk is full".to_owned()));
    has(&metrics.encode_at(now()), &["rivmesh_table_unsaved 1.0"]);
    metrics.set_table_unsaved(None);
    has(&metrics.encode_at(now()), &["rivmesh_table_unsaved 0.0"]);
}

#[test]
fn what_is_not_known_is_absent() {
    let page = Metrics::new().encode_at(now());
    for absent in ["rivmesh_table_info", "rivmesh_table_age", "rivmesh_conflicting_rows", "expires_in"] {
        assert!(!page.contains(absent), "{absent} in\n{page}");
    }
}

#[test]
fn workers_are_added_up() {
    let metrics = Metrics::new();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let listener = metrics.listener("consumers");
                for _ in 0..100 {
                    listener.call(&call(CONTRACT, Outcome::Completed));
                }
            });
        }
    });
    has(
        &metrics.encode_at(now()),
        &[
            r#"rivmesh_calls_total{listener="consumers",contract="other",code="ok"} 400"#,
            r#"rivmesh_call_seconds_count{listener="consumers",contract="other"} 400"#,
        ],
    );
}

#[test]
fn the_number_of_series_is_bounded_whatever_is_sent() {
    let metrics = Metrics::new();
    let listener = metrics.listener("consumers");
    let series = |metrics: &Metrics| metrics.encode_at(now()).lines().filter(|line| !line.starts_with('#')).count();
    for n in 0..100 {
        listener.call(&call(&format!("urn:{n}"), Outcome::Completed));
    }
    let before = series(&metrics);
    for n in 0..5000 {
        let mut record = call(&format!("urn:stranger:{n}"), Outcome::Completed);
        record.consumer = format!("SE{n}").into();
        record.address = Some(format!("SE{n}"));
        let peer = std::net::SocketAddr::from(([10, 0, (n >> 8) as u8, n as u8], 1));
        let origin = Origin::new("consumers".into(), peer, None);
        listener.call(&CallRecord { origin: &origin, ..record });
    }
    assert_eq!(series(&metrics), before);
    let page = metrics.encode_at(now());
    for leaked in ["stranger", "SE1", "10.0.0"] {
        assert!(!page.contains(leaked), "{leaked}");
    }
}

#[test]
fn everything_exposed_is_documented_and_the_other_way_round() {
    let metrics = full();
    metrics.set_table_held(true);
    let page = metrics.encode_at(now());
    let exposed: BTreeSet<_> = page
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .filter_map(|line| line.split(' ').next())
        .collect();
    let documented: BTreeSet<_> = definitions::ALL.iter().map(|definition| definition.name).collect();
    assert_eq!(exposed, documented);
}
