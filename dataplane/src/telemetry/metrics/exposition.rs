//! One scrape: adds up what the workers counted, asks the clock and the kernel, and writes all of it down in the order of
//! the definitions.

use super::calls::CODES;
use super::contracts::OTHER;
use super::definitions::{self as d, Definition};
use super::histogram::Values;
use super::platform::seconds_until;
use super::process::Process;
use super::{ExpiryKind, ListenerMetrics, Metrics, ProducerFailure};
use crate::telemetry::log::REFUSALS;
use crate::telemetry::record::TlsVersion;
use crate::telemetry::table::Hex;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text};
use prometheus_client::registry::Registry;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::SystemTime;

impl Metrics {
    /// The exposition as of `now`.
    pub(super) fn encode_at(&self, now: SystemTime) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self.scrape(now)));
        let mut page = String::new();
        // Writing to a String cannot fail.
        let _ = text::encode(&mut page, &registry);
        page
    }
}

/// The sums of one listener over all workers.
#[derive(Debug, Default)]
pub(super) struct Sums {
    /// By number of the contract.
    calls: BTreeMap<usize, ([u64; CODES.len()], Values)>,
    added: Values,
    bytes_in: u64,
    bytes_out: u64,
    retries: u64,
    pub(super) in_flight: i64,
    pub(super) open: i64,
    accepted: u64,
    handshakes: [[u64; 2]; TlsVersion::ALL.len()],
    refused: [u64; REFUSALS.len()],
}

/// Adds up what the workers counted, by listener.
pub(super) fn gather(listeners: &[Arc<ListenerMetrics>]) -> BTreeMap<Arc<str>, Sums> {
    let mut sums: BTreeMap<Arc<str>, Sums> = BTreeMap::new();
    for listener in listeners {
        sums.entry(listener.name.clone()).or_default().add(listener);
    }
    sums
}

impl Sums {
    fn add(&mut self, listener: &ListenerMetrics) {
        for (number, counters) in listener.contracts.iter().enumerate() {
            let Some(counters) = counters.get() else { continue };
            let (codes, seconds) = self.calls.entry(number).or_default();
            add_all(codes, &counters.codes);
            counters.seconds.add_to(seconds);
        }
        listener.added.add_to(&mut self.added);
        self.bytes_in += count(&listener.bytes_in);
        self.bytes_out += count(&listener.bytes_out);
        self.retries += count(&listener.retries);
        self.in_flight += level(&listener.in_flight);
        self.open += level(&listener.open);
        self.accepted += count(&listener.accepted);
        for (sums, counts) in self.handshakes.iter_mut().zip(&listener.handshakes) {
            add_all(sums, counts);
        }
        add_all(&mut self.refused, &listener.refused);
    }
}

fn add_all(sums: &mut [u64], counts: &[AtomicU64]) {
    for (sum, value) in sums.iter_mut().zip(counts) {
        *sum += count(value);
    }
}

fn count(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

fn level(gauge: &AtomicI64) -> i64 {
    gauge.load(Ordering::Relaxed)
}

impl Metrics {
    /// Everything that is to be written, by metric, as of `now`.
    fn scrape(&self, now: SystemTime) -> Scrape {
        let mut page = Scrape::default();
        self.listener_samples(&mut page);
        for (consumer, count) in self.unrouted.all() {
            page.counter(&d::UNROUTED, &[&consumer], count);
        }
        self.producer_samples(&mut page);
        self.table_samples(&mut page, now);
        self.platform_samples(&mut page);
        page
    }

    fn listener_samples(&self, page: &mut Scrape) {
        let contracts = self.contracts.names();
        for (name, sums) in gather(&self.listeners()) {
            let listener = [&*name];
            for (number, (codes, seconds)) in &sums.calls {
                let contract = &*contracts[if *number < contracts.len() { *number } else { OTHER }];
                for (code, value) in CODES.iter().zip(codes).filter(|(_, value)| **value > 0) {
                    page.counter(&d::CALLS, &[&name, contract, code], *value);
                }
                page.histogram(&d::CALL_SECONDS, &[&name, contract], seconds.clone());
            }
            page.histogram(&d::ADDED_SECONDS, &listener, sums.added);
            page.gauge(&d::CALLS_IN_FLIGHT, &listener, sums.in_flight as f64);
            page.counter(&d::REQUEST_BYTES, &listener, sums.bytes_in);
            page.counter(&d::RESPONSE_BYTES, &listener, sums.bytes_out);
            page.counter(&d::RETRIES, &listener, sums.retries);
            page.gauge(&d::CONNECTIONS_OPEN, &listener, sums.open as f64);
            page.counter(&d::CONNECTIONS, &listener, sums.accepted);
            for (version, counts) in TlsVersion::ALL.iter().zip(sums.handshakes) {
                for (resumed, value) in ["false", "true"].into_iter().zip(counts) {
                    page.counter(&d::HANDSHAKES, &[&name, version.as_str(), resumed], value);
                }
            }
            for (refusal, value) in REFUSALS.iter().zip(sums.refused).filter(|(_, value)| *value > 0) {
                page.counter(&d::HANDSHAKES_REFUSED, &[&name, refusal], value);
            }
        }
    }

    fn producer_samples(&self, page: &mut Scrape) {
        for (name, producer) in self.producers.all() {
            let labels = [&*name];
            let mut seconds = Values::default();
            producer.seconds.add_to(&mut seconds);
            page.histogram(&d::PRODUCER_SECONDS, &labels, seconds);
            page.gauge(&d::PRODUCER_IN_FLIGHT, &labels, level(&producer.in_flight) as f64);
            for (failure, counter) in ProducerFailure::ALL.iter().zip(&producer.failures) {
                if count(counter) > 0 {
                    page.counter(&d::PRODUCER_FAILURES, &[&name, failure.as_str()], count(counter));
                }
            }
            page.gauge(&d::PRODUCER_CONNECTIONS, &labels, level(&producer.open) as f64);
            page.gauge(&d::PRODUCER_IDLE, &labels, level(&producer.idle) as f64);
            page.counter(&d::PRODUCER_OPENED, &labels, count(&producer.opened));
            page.counter(&d::PRODUCER_REUSED, &labels, count(&producer.reused));
        }
    }

    fn table_samples(&self, page: &mut Scrape, now: SystemTime) {
        if let Some(age) = self.table_age(now) {
            page.gauge(&d::TABLE_AGE, &[], age.as_secs_f64());
        }
        let state = self.platform.state();
        if let Some(table) = &state.table {
            page.info(&d::TABLE, &[&Hex(table.digest).to_string(), table.source.as_str()]);
            let rows = table.rows;
            let kinds = [
                ("routes", rows.routes),
                ("authorizations", rows.authorizations),
                ("contracts", rows.contracts),
                ("hsa_units", rows.hsa_units),
            ];
            for (kind, rows) in kinds {
                page.gauge(&d::TABLE_ROWS, &[kind], rows as f64);
            }
        }
        page.gauge(&d::TABLE_UNSAVED, &[], f64::from(u8::from(state.table_unsaved.is_some())));
        if let Some(refused) = state.refused_rows {
            page.gauge(&d::CONFLICTS, &[], refused.conflicts as f64);
            page.gauge(&d::REJECTED_ROWS, &[], refused.rejected as f64);
        }
        for expiry in state.expiries.values().flatten() {
            let definition = match expiry.kind {
                ExpiryKind::Certificate => &d::CERTIFICATE_EXPIRY,
                ExpiryKind::Crl => &d::CRL_EXPIRY,
            };
            page.gauge(definition, &[&expiry.name], seconds_until(expiry.at, now) as f64);
        }
    }

    fn platform_samples(&self, page: &mut Scrape) {
        let platform = &self.platform;
        let flag = |flag: &std::sync::atomic::AtomicBool| f64::from(u8::from(flag.load(Ordering::Relaxed)));
        page.gauge(&d::READY, &[], flag(&platform.ready));
        page.counter(&d::TABLES_INSTALLED, &[], count(&platform.tables_installed));
        page.counter(&d::TABLES_REJECTED, &[], count(&platform.tables_rejected));
        page.gauge(&d::TABLE_HELD, &[], flag(&platform.table_held));
        page.gauge(&d::FEED_CONNECTED, &[], flag(&platform.feed_connected));
        page.counter(&d::SETTINGS_RELOADS, &["ok"], count(&platform.reloads_ok));
        page.counter(&d::SETTINGS_RELOADS, &["failed"], count(&platform.reloads_failed));
        page.counter(&d::LOG_DROPPED, &[], count(&self.log_dropped));
        page.info(&d::BUILD, &[env!("CARGO_PKG_VERSION")]);
        let started = self.started.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        page.gauge(&d::PROCESS_START, &[], started.as_secs_f64());
        let process = Process::read();
        if let Some(seconds) = process.cpu_seconds {
            page.add(&d::PROCESS_CPU, &[], Value::Seconds(seconds));
        }
        for (definition, value) in
            [(&d::PROCESS_MEMORY, process.resident_bytes), (&d::PROCESS_FILES, process.open_files)]
        {
            if let Some(value) = value {
                page.gauge(definition, &[], value as f64);
            }
        }
    }
}

/// The samples of a scrape, by metric.
#[derive(Debug, Default)]
struct Scrape(BTreeMap<&'static str, Vec<Sample>>);

#[derive(Debug)]
struct Sample {
    labels: Vec<(&'static str, String)>,
    value: Value,
}

#[derive(Debug)]
enum Value {
    Count(u64),
    Seconds(f64),
    Level(f64),
    Histogram(Values),
    Info,
}

impl Scrape {
    fn add(&mut self, definition: &Definition, labels: &[&str], value: Value) {
        debug_assert_eq!(definition.labels.len(), labels.len(), "{}", definition.name);
        let labels = definition.labels.iter().copied().zip(labels.iter().map(|value| (*value).to_owned())).collect();
        self.0.entry(definition.name).or_default().push(Sample { labels, value });
    }

    fn counter(&mut self, definition: &Definition, labels: &[&str], value: u64) {
        self.add(definition, labels, Value::Count(value));
    }

    fn gauge(&mut self, definition: &Definition, labels: &[&str], value: f64) {
        self.add(definition, labels, Value::Level(value));
    }

    fn histogram(&mut self, definition: &Definition, labels: &[&str], values: Values) {
        self.add(definition, labels, Value::Histogram(values));
    }

    fn info(&mut self, definition: &Definition, labels: &[&str]) {
        self.add(definition, labels, Value::Info);
    }
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for definition in d::ALL {
            let Some(samples) = self.0.get(definition.name) else { continue };
            let mut metric = encoder.encode_descriptor(definition.name, definition.help, None, definition.kind)?;
            for sample in samples {
                match (&sample.value, sample.labels.is_empty()) {
                    (Value::Info, _) => metric.encode_info(&sample.labels)?,
                    (value, true) => value.encode(&mut metric)?,
                    (value, false) => value.encode(&mut metric.encode_family(&sample.labels)?)?,
                }
            }
        }
        Ok(())
    }
}

impl Value {
    fn encode(&self, metric: &mut MetricEncoder<'_>) -> fmt::Result {
        match self {
            Self::Count(value) => metric.encode_counter::<NoLabelSet, _, f64>(value, None),
            Self::Seconds(value) => metric.encode_counter::<NoLabelSet, _, f64>(value, None),
            Self::Level(value) => metric.encode_gauge(value),
            Self::Histogram(values) => {
                metric.encode_histogram::<NoLabelSet>(values.sum, values.count(), &values.buckets, None)
            }
            Self::Info => Ok(()),
        }
    }
}
