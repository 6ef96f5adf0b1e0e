//! What is known about each list at the moment: told by the tasks that keep them, shown on the admin port.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Response, StatusCode, Uri};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::failure::Failure;
use super::store::Held;
use crate::admin::{OPEN_METRICS, TEXT, response};

/// The state of all lists, in the order of their sources.
#[derive(Debug)]
pub(super) struct Board(Mutex<Vec<List>>);

#[derive(Debug, Clone)]
struct List {
    file: String,
    /// Size of the file and earliest nextUpdate (Unix seconds) of what is in it, if it is there and verified.
    held: Option<(usize, Option<i64>)>,
    /// Why the last attempt failed; nothing after one that succeeded.
    problem: Option<String>,
    /// When the server last sent the list or said that there is nothing newer, Unix seconds.
    last_success: Option<i64>,
    failures: BTreeMap<&'static str, u64>,
}

impl Board {
    pub(super) fn new<'a>(files: impl IntoIterator<Item = &'a str>) -> Self {
        let list = |file: &str| List {
            file: file.to_owned(),
            held: None,
            problem: None,
            last_success: None,
            failures: BTreeMap::new(),
        };
        Self(Mutex::new(files.into_iter().map(list).collect()))
    }

    /// What is on disk for a source.
    pub(super) fn holds(&self, source: usize, held: Option<&Held>) {
        self.lists()[source].held = held.map(|held| (held.bytes, held.next_update()));
    }

    /// An attempt succeeded, at an instant in Unix seconds.
    pub(super) fn succeeded(&self, source: usize, at: i64) {
        let list = &mut self.lists()[source];
        list.last_success = Some(at);
        list.problem = None;
    }

    /// An attempt failed.
    pub(super) fn failed(&self, source: usize, failure: &Failure) {
        let list = &mut self.lists()[source];
        *list.failures.entry(failure.label()).or_default() += 1;
        list.problem = Some(failure.to_string());
    }

    /// Each list that is not there yet as a line for people, and why.
    pub(super) fn missing(&self) -> Vec<String> {
        let lists = self.lists();
        let missing = lists.iter().filter(|list| list.held.is_none());
        missing.map(|list| format!("{}: {}", list.file, list.problem.as_deref().unwrap_or("not fetched yet"))).collect()
    }

    /// The admin port's page for a target, `now` in Unix seconds.
    pub(super) fn page(&self, uri: &Uri, now: i64) -> Response<Full<Bytes>> {
        match uri.path() {
            "/livez" => response(StatusCode::OK, TEXT, "ok\n".into()),
            "/readyz" => match self.missing() {
                missing if missing.is_empty() => response(StatusCode::OK, TEXT, "ok\n".into()),
                missing => response(StatusCode::SERVICE_UNAVAILABLE, TEXT, missing.join("\n") + "\n"),
            },
            "/metrics" => response(StatusCode::OK, OPEN_METRICS, self.metrics(now)),
            _ => response(StatusCode::NOT_FOUND, TEXT, "There is /livez, /readyz and /metrics.\n".into()),
        }
    }

    fn metrics(&self, now: i64) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Scrape { lists: self.lists().clone(), now }));
        let mut page = String::new();
        // Writing to a String cannot fail.
        let _ = text::encode(&mut page, &registry);
        page
    }

    fn lists(&self) -> MutexGuard<'_, Vec<List>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl List {
    /// 1 or 0 for how the last attempt ended; nothing before the first.
    fn is_failing(&self) -> Option<i64> {
        if self.problem.is_some() { Some(1) } else { self.last_success.map(|_| 0) }
    }
}

/// One scrape.
#[derive(Debug)]
struct Scrape {
    lists: Vec<List>,
    now: i64,
}

impl Scrape {
    /// Writes a gauge with a sample for each list that has a value.
    fn gauge(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        name: &str,
        help: &str,
        value: impl Fn(&List) -> Option<i64>,
    ) -> fmt::Result {
        let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for list in &self.lists {
            if let Some(value) = value(list) {
                metric.encode_family(&[("file", list.file.as_str())])?.encode_gauge(&value)?;
            }
        }
        Ok(())
    }
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.gauge(
            &mut encoder,
            "rivmesh_crl_fetch_last_success_timestamp_seconds",
            "When the server last sent the list or said that there is nothing newer, in Unix time.",
            |list| list.last_success,
        )?;
        self.gauge(
            &mut encoder,
            "rivmesh_crl_fetch_next_update_in_seconds",
            "Time until the nextUpdate of the list on disk, the earliest if the file holds several; negative when it is past.",
            |list| list.held?.1.map(|at| at.saturating_sub(self.now)),
        )?;
        self.gauge(&mut encoder, "rivmesh_crl_fetch_bytes", "Size of the file with the verified list.", |list| {
            list.held.and_then(|(bytes, _)| i64::try_from(bytes).ok())
        })?;
        self.gauge(&mut encoder, "rivmesh_crl_fetch_present", "1 if there is a verified list on disk.", |list| {
            Some(i64::from(list.held.is_some()))
        })?;
        self.gauge(
            &mut encoder,
            "rivmesh_crl_fetch_failing",
            "1 if the last attempt to update the list failed; absent before the first.",
            List::is_failing,
        )?;
        let mut failures = encoder.encode_descriptor(
            "rivmesh_crl_fetch_failures",
            "Attempts to update a list that failed.",
            None,
            MetricType::Counter,
        )?;
        for list in &self.lists {
            for (reason, count) in &list.failures {
                let labels = [("file", list.file.as_str()), ("reason", *reason)];
                failures.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(count, None)?;
            }
        }
        Ok(())
    }
}
