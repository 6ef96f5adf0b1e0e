//! Metrics of an operator, in the OpenMetrics text format. What can be read from the ledger is read when somebody asks,
//! and only what happens in between is counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use rivmesh_crds::Kind;

use crate::cluster::{Refusals, Requests, WriteCounts, refusals};
use crate::ledger::Ledger;

/// Seconds that a compilation takes, from one changed object to a national catalogue.
const COMPILE_BUCKETS: [f64; 8] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0];

type Seconds = Gauge<f64, AtomicU64>;

/// What is scraped.
pub(crate) struct Metrics {
    registry: Registry,
    gauges: Gauges,
    /// Requests to the API server.
    pub(crate) requests: Requests,
    /// Streams that were not opened.
    pub(crate) refusals: Refusals,
    /// Statuses written.
    pub(crate) writes: Arc<WriteCounts>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfKind {
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfState {
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfDigest {
    digest: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfResult {
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfCertificate {
    certificate: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfStream {
    kind: &'static str,
    stream: String,
}

#[derive(Debug, Default)]
struct Gauges {
    leader: Gauge,
    objects: Family<OfKind, Gauge>,
    not_ready: Family<OfKind, Gauge>,
    undecodable: Family<OfKind, Gauge>,
    rejected_rows: Gauge,
    conflicting_rows: Gauge,
    held: Gauge,
    table: Family<OfDigest, Gauge>,
    rows: Family<OfKind, Gauge>,
    published: Counter,
    dataplanes: Family<OfState, Gauge>,
    unwritten: Gauge,
    oldest_unwritten: Seconds,
    written: Family<OfResult, Counter>,
    stale: Family<OfStream, Seconds>,
    ends: Family<OfCertificate, Gauge<i64, AtomicI64>>,
    start: Seconds,
}

/// What the metrics cannot read from the ledger.
#[derive(Debug, Clone, Default)]
pub(crate) struct Moment {
    /// Whether this replica leads.
    pub(crate) leads: bool,
    /// Since when the API server has said nothing, by stream.
    pub(crate) silence: Vec<(String, Kind, Duration)>,
    /// When the certificate and its authority end, in Unix seconds.
    pub(crate) ends: Vec<(&'static str, i64)>,
}

impl Metrics {
    /// Metrics of a process that starts now; `compile_seconds` is observed by whoever compiles.
    pub(crate) fn new(compile_seconds: Histogram) -> Self {
        let (requests, refusals, gauges) = (Requests::default(), refusals(), Gauges::default());
        gauges.start.set(Timestamp::now().as_millisecond() as f64 / 1000.0);
        let mut registry = Registry::default();
        gauges.register(&mut registry);
        registry.register("rivmesh_operator_compile_seconds", "Duration of compilations", compile_seconds);
        registry.register(
            "rivmesh_operator_streams_refused",
            "Streams of dataplanes that were not opened: denied, or unavailable because nobody could judge the token",
            refusals.clone(),
        );
        registry.register(
            "rivmesh_operator_api_requests",
            "Requests to the API server, by what was asked for and the HTTP status of the answer",
            requests.clone(),
        );
        Self { registry, gauges, requests, refusals, writes: Arc::default() }
    }

    /// A histogram for the compiler.
    pub(crate) fn compile_seconds() -> Histogram {
        Histogram::new(COMPILE_BUCKETS)
    }

    /// The page, as of now.
    pub(crate) fn encode(&self, ledger: &Ledger, moment: &Moment) -> String {
        self.gauges.refresh(ledger, moment, &self.writes);
        self.text()
    }

    fn text(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("writing to a String cannot fail");
        text
    }
}

impl Gauges {
    fn register(&self, registry: &mut Registry) {
        let mut add = Adder(registry);
        add.metric("leader", "1 if this replica writes statuses", &self.leader);
        add.metric("objects", "Objects in the watched namespaces", &self.objects);
        add.metric("not_ready_objects", "Objects that are not ready", &self.not_ready);
        add.metric("undecodable_objects", "Objects that cannot be read as their kind", &self.undecodable);
        add.metric("rejected_rows", "Rows that were refused, conflicts among them", &self.rejected_rows);
        add.metric(
            "conflicting_rows",
            "Rows that lost against another object's, at most eight an object",
            &self.conflicting_rows,
        );
        add.metric("table_held", "1 while the shrink guard holds a table back", &self.held);
        add.metric("table_info", "The table that this replica offers; always 1", &self.table);
        add.metric("table_rows", "Rows of that table", &self.rows);
        add.metric("table_published", "Tables that this process has published", &self.published);
        add.metric(
            "dataplanes",
            "Dataplanes by state: connected, silent and refusing are this replica's; ready and missing all replicas see",
            &self.dataplanes,
        );
        add.metric("status_pending", "Statuses that are not yet what they should be", &self.unwritten);
        add.metric(
            "status_oldest_pending_seconds",
            "How long the status that has waited longest has been due",
            &self.oldest_unwritten,
        );
        add.metric("status_writes", "Attempts to write a status", &self.written);
        add.metric("source_stale_seconds", "Time since the API server last said anything", &self.stale);
        add.metric(
            "certificate_expires_in_seconds",
            "Time until the operator's certificate or its authority ends; negative when it has",
            &self.ends,
        );
        registry.register("process_start_time_seconds", "When the process started, in Unix time", self.start.clone());
    }

    fn refresh(&self, ledger: &Ledger, moment: &Moment, writes: &WriteCounts) {
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let snapshot = ledger.snapshots().borrow().clone();
        let counts = ledger.counts();
        self.leader.set(i64::from(moment.leads));
        for (kind, count) in Kind::ALL.into_iter().zip(counts.kinds) {
            let label = OfKind { kind: kind.as_str() };
            self.objects.get_or_create(&label).set(number(count.objects));
            self.not_ready.get_or_create(&label).set(number(count.not_ready));
            self.undecodable.get_or_create(&label).set(number(count.undecodable));
        }
        self.rejected_rows.set(i64::try_from(counts.rejected_rows).unwrap_or(i64::MAX));
        self.conflicting_rows.set(i64::try_from(counts.conflicting_rows).unwrap_or(i64::MAX));
        self.held.set(i64::from(snapshot.held.is_some()));
        self.table.clear();
        if let Some(published) = snapshot.published {
            self.table.get_or_create(&OfDigest { digest: published.digest.to_string() }).set(1);
            let rows = [
                ("routes", published.counts.routes),
                ("authorizations", published.counts.authorizations),
                ("contracts", published.counts.contracts),
                ("hsa_units", published.counts.hsa_units),
            ];
            for (kind, count) in rows {
                self.rows.get_or_create(&OfKind { kind }).set(i64::try_from(count).unwrap_or(i64::MAX));
            }
            raise(&self.published, published.epoch);
        }
        let fleet = ledger.fleet();
        for (state, count) in [
            ("connected", fleet.connected),
            ("ready", fleet.ready),
            ("silent", fleet.silent),
            ("refusing", fleet.refusing),
            ("missing", fleet.missing),
        ] {
            self.dataplanes.get_or_create(&OfState { state }).set(number(count));
        }
        let (unwritten, oldest) = ledger.unwritten();
        self.unwritten.set(number(unwritten));
        // Only the leader is to blame for what is not written.
        self.oldest_unwritten.set(if moment.leads { oldest.as_secs_f64() } else { 0.0 });
        for (result, count) in
            [("stored", &writes.stored), ("overtaken", &writes.overtaken), ("failed", &writes.failed)]
        {
            raise(&self.written.get_or_create(&OfResult { result }), count.load(Ordering::Relaxed));
        }
        for (stream, kind, silence) in &moment.silence {
            let label = OfStream { kind: kind.as_str(), stream: stream.clone() };
            self.stale.get_or_create(&label).set(silence.as_secs_f64());
        }
        let now = Timestamp::now().as_second();
        for (certificate, at) in &moment.ends {
            self.ends.get_or_create(&OfCertificate { certificate }).set(at - now);
        }
    }
}

struct Adder<'a>(&'a mut Registry);

impl Adder<'_> {
    fn metric(&mut self, name: &str, help: &str, metric: &(impl prometheus_client::registry::Metric + Clone)) {
        self.0.register(format!("rivmesh_operator_{name}"), help, metric.clone());
    }
}

/// Brings a counter up to what was counted elsewhere.
fn raise(counter: &Counter, to: u64) {
    counter.inc_by(to.saturating_sub(counter.get()));
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::cluster::RequestLabels;

    /// Metrics with a sample of everything.
    fn sampled() -> Metrics {
        let metrics = Metrics::new(Metrics::compile_seconds());
        let moment = Moment {
            leads: true,
            silence: vec![("routingentries".to_owned(), Kind::RoutingEntry, Duration::ZERO)],
            ends: vec![("operator", 0)],
        };
        metrics.encode(&Ledger::new(), &moment);
        metrics.gauges.table.get_or_create(&OfDigest { digest: String::new() }).set(1);
        metrics.gauges.rows.get_or_create(&OfKind { kind: "routes" }).set(1);
        let request = RequestLabels { verb: "get", resource: String::new(), code: String::new() };
        metrics.requests.get_or_create(&request).inc();
        metrics
    }

    /// The reference page, from what the program itself says of its metrics.
    fn page() -> String {
        let mut page = String::from(
            "# Metrics of the operator\n\n<!-- Rendered from operator/src/metrics.rs. `cargo xtask gen` writes it anew. \
             -->\n\n`/metrics` on the operator's admin port answers in the OpenMetrics text format. Every replica has \
             its own; those about\nstatuses and the catalogue are to be read from the leader \
             (`rivmesh_operator_leader == 1`). Times are seconds.\n\n| samples | kind | labels | meaning |\n\
             |---|---|---|---|\n",
        );
        let text = sampled().text();
        let mut kind = "";
        for line in text.lines() {
            let Some((what, rest)) = line.strip_prefix("# ").and_then(|line| line.split_once(' ')) else { continue };
            let Some((name, said)) = rest.split_once(' ') else { continue };
            match what {
                "HELP" => page.push_str(&format!("| `{name}@` | ? | {} | {said} |\n", labels(&text, name))),
                "TYPE" => {
                    kind = said;
                    let suffix = match kind {
                        "counter" => "_total",
                        "histogram" => "_bucket, _sum, _count",
                        _ => "",
                    };
                    page = page.replace("@` | ? |", &format!("{suffix}` | {kind} |"));
                }
                _ => {}
            }
        }
        assert!(!kind.is_empty() && !page.contains(" ? "));
        page
    }

    /// The labels of a metric, from its first sample.
    fn labels(text: &str, name: &str) -> String {
        let sample = text.lines().find_map(|line| line.strip_prefix(name)?.split_once('{').map(|(_, rest)| rest));
        let labels = sample.and_then(|rest| rest.split_once('}')).map_or("", |(labels, _)| labels);
        let names = labels.split(',').filter_map(|label| label.split_once('=')).map(|(name, _)| name);
        let names: Vec<String> = names.filter(|name| *name != "le").map(|name| format!("`{name}`")).collect();
        names.join(", ")
    }

    #[test]
    fn the_page_of_metrics_is_current() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/src/reference/operator-metrics.md");
        if std::env::var_os("RIVMESH_UPDATE_PAGES").is_some() {
            std::fs::write(&path, page()).expect("written");
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(committed == page(), "{} is not what the code says; `cargo xtask gen` writes it anew", path.display());
    }

    #[test]
    fn what_does_not_lead_is_not_blamed_for_what_is_unwritten() {
        let metrics = Metrics::new(Metrics::compile_seconds());
        let text = metrics.encode(&Ledger::new(), &Moment::default());
        assert!(text.contains("rivmesh_operator_leader 0\n"), "{text}");
        assert!(text.contains("rivmesh_operator_status_oldest_pending_seconds 0.0\n"), "{text}");
        assert!(text.contains("rivmesh_operator_objects{kind=\"RoutingEntry\"} 0\n"), "{text}");
        assert!(text.ends_with("# EOF\n"));
    }
}
