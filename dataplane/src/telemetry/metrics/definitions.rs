//! Every metric once: name, kind, labels and meaning. The exposition is written with these constants and the reference
//! page is rendered from them.

use prometheus_client::metrics::MetricType;

/// A metric as it is documented and exposed.
#[derive(Debug)]
pub struct Definition {
    /// Its name, without the ending that its kind adds.
    pub name: &'static str,
    /// Counter, gauge, histogram or info.
    pub kind: MetricType,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// What it counts, for `# HELP` and the reference page.
    pub help: &'static str,
}

impl Definition {
    /// The name of its samples, for queries.
    pub fn sample_name(&self) -> String {
        match self.kind {
            MetricType::Counter => format!("{}_total", self.name),
            MetricType::Info => format!("{}_info", self.name),
            MetricType::Histogram => format!("{}_bucket, _sum, _count", self.name),
            _ => self.name.to_owned(),
        }
    }
}

macro_rules! metrics {
    ($($constant:ident $kind:ident $name:literal [$($label:literal),*] $help:literal)*) => {
        $(#[doc = $help] pub(super) const $constant: Definition =
            Definition { name: $name, kind: MetricType::$kind, labels: &[$($label),*], help: $help };)*
        /// All metrics, in the order of the exposition and the reference page.
        pub const ALL: &[Definition] = &[$($constant),*];
    };
}

metrics! {
    CALLS Counter "rivmesh_calls" ["listener", "contract", "code"] "Finished calls."
    UNROUTED Counter "rivmesh_unrouted_calls" ["consumer"] "Calls that no route was found for (VP004): a consumer that tries out addresses shows here."
    CALL_SECONDS Histogram "rivmesh_call_seconds" ["listener", "contract"] "Duration of calls, from the first byte of the request to the last of the answer."
    ADDED_SECONDS Histogram "rivmesh_added_seconds" ["listener"] "The part of it that was not spent on the producer."
    CALLS_IN_FLIGHT Gauge "rivmesh_calls_in_flight" ["listener"] "Calls being served."
    REQUEST_BYTES Counter "rivmesh_request_bytes" ["listener"] "Content received from consumers, in bytes."
    RESPONSE_BYTES Counter "rivmesh_response_bytes" ["listener"] "Content sent to consumers, in bytes."
    RETRIES Counter "rivmesh_retried_calls" ["listener"] "Calls that took more than one attempt."
    CONNECTIONS_OPEN Gauge "rivmesh_connections_open" ["listener"] "Open connections of consumers."
    CONNECTIONS Counter "rivmesh_connections" ["listener"] "Connections accepted."
    HANDSHAKES Counter "rivmesh_tls_handshakes" ["listener", "version", "resumed"] "TLS handshakes of consumers that succeeded."
    HANDSHAKES_REFUSED Counter "rivmesh_tls_handshakes_refused" ["listener", "reason"] "TLS handshakes of consumers that were refused or broken off."
    PRODUCER_SECONDS Histogram "rivmesh_producer_seconds" ["producer"] "The part of calls that a producer took."
    PRODUCER_IN_FLIGHT Gauge "rivmesh_producer_calls_in_flight" ["producer"] "Calls that wait for a producer."
    PRODUCER_FAILURES Counter "rivmesh_producer_failures" ["producer", "reason"] "Attempts that a producer failed."
    PRODUCER_CONNECTIONS Gauge "rivmesh_producer_connections_open" ["producer"] "Open connections to a producer."
    PRODUCER_IDLE Gauge "rivmesh_producer_connections_idle" ["producer"] "Those of them that wait for a call."
    PRODUCER_OPENED Counter "rivmesh_producer_connections" ["producer"] "Connections made to a producer."
    PRODUCER_REUSED Counter "rivmesh_producer_connections_reused" ["producer"] "Calls that found an open connection."
    READY Gauge "rivmesh_ready" [] "1 if this pod is ready for calls."
    TABLE Info "rivmesh_table" ["digest", "source"] "The routing table in use."
    TABLE_AGE Gauge "rivmesh_table_age_seconds" [] "Time since the table was last known to be the newest; of one from disk, since it was saved."
    TABLE_ROWS Gauge "rivmesh_table_rows" ["kind"] "Rows of the table in use."
    TABLE_UNSAVED Gauge "rivmesh_table_unsaved" [] "1 while the table in use is not the one in `table.directory`, or the directory cannot be used: a restart would begin with an older table, or with none."
    TABLES_INSTALLED Counter "rivmesh_tables_installed" [] "Tables that took effect."
    TABLES_REJECTED Counter "rivmesh_tables_rejected" [] "Tables that were refused because they could not be verified."
    TABLE_HELD Gauge "rivmesh_table_held" [] "1 while the shrink guard holds a table back."
    FEED_CONNECTED Gauge "rivmesh_feed_connected" [] "1 while a control plane is connected."
    CONFLICTS Gauge "rivmesh_conflicting_rows" [] "Rows that lost against another object's; only where the control plane is in the same process."
    REJECTED_ROWS Gauge "rivmesh_rejected_rows" [] "Rows that were refused, conflicts among them; only where the control plane is in the same process."
    CERTIFICATE_EXPIRY Gauge "rivmesh_certificate_expires_in_seconds" ["certificate"] "Time until a certificate of the platform or a trust anchor expires; negative when it has."
    CRL_EXPIRY Gauge "rivmesh_crl_next_update_in_seconds" ["crl"] "Time until a CRL's nextUpdate; negative when it is past."
    SETTINGS_RELOADS Counter "rivmesh_settings_reloads" ["result"] "Files of settings, certificates, trust and CRLs read anew."
    LOG_DROPPED Counter "rivmesh_log_lines_dropped" [] "Lines of log that were lost because they could not be written as fast as they came."
    BUILD Info "rivmesh_build" ["version"] "The running version."
    PROCESS_START Gauge "process_start_time_seconds" [] "When the process started, in Unix time."
    PROCESS_CPU Counter "process_cpu_seconds" [] "Processor time used."
    PROCESS_MEMORY Gauge "process_resident_memory_bytes" [] "Resident memory."
    PROCESS_FILES Gauge "process_open_fds" [] "Open file descriptors."
}

/// The reference page of the metrics: `docs/src/reference/metrics.md`.
pub fn page() -> String {
    let mut page = String::from(INTRODUCTION);
    for definition in ALL {
        let labels: Vec<_> = definition.labels.iter().map(|label| format!("`{label}`")).collect();
        let kind = definition.kind.as_str();
        page.push_str(&format!(
            "| `{}` | {kind} | {} | {} |\n",
            definition.sample_name(),
            labels.join(", "),
            definition.help
        ));
    }
    page.push_str(LABELS);
    let list = |values: &mut dyn Iterator<Item = &'static str>| {
        values.map(|v| format!("`{v}`")).collect::<Vec<_>>().join(", ")
    };
    let refusals = list(&mut crate::telemetry::log::REFUSALS.iter().copied());
    let failures = list(&mut super::ProducerFailure::ALL.iter().map(|failure| failure.as_str()));
    page.push_str(&format!("| `code` | {} |\n", list(&mut super::calls::CODES.iter().copied())));
    page.push_str(&format!("| `reason` of a refused handshake | {refusals} |\n"));
    page.push_str(&format!("| `reason` of a producer's failure | {failures} |\n"));
    page
}

const INTRODUCTION: &str = "# Metrics

<!-- Rendered from dataplane/src/telemetry/metrics/definitions.rs. `cargo xtask gen` writes it anew. -->

`/metrics` on the admin port answers in the OpenMetrics text format. Times are seconds, sizes are bytes. A metric that has
nothing to say is absent, so that an alert on it should also ask whether it is there.

| samples | kind | labels | meaning |
|---|---|---|---|
";

const LABELS: &str = "
## Labels

The number of series is bounded whatever is sent to the platform: no label holds a consumer, a logical address, or
anything else that a stranger can choose.

| label | values |
|---|---|
| `listener` | the names of the listeners in the settings |
| `contract` | contracts with a ServiceContract, the first 1000 that this process has seen; `other` |
| `producer` | host and port of endpoints that have been called, 500 at a time; `other` |
| `version` | `1.2`, `1.3` |
| `resumed` | `true`, `false` |
| `digest` | version of the table in use: one series |
| `source` | `operator`, `disk`, `local` |
| `kind` | `routes`, `authorizations`, `contracts`, `hsa_units` |
| `certificate`, `crl` | what uses it and its file |
| `result` | `ok`, `failed` |
";
