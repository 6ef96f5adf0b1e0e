//! `/status`: the state of the platform as one JSON object. Its first keys are those that monitoring of an SKLTP platform
//! looks for, with values in the same form; the others are ours.

use super::Sources;
use crate::telemetry::metrics::{Expiry, ExpiryKind};
use crate::telemetry::table::{Hex, RowCounts, TableInfo, TableSource};
use jiff::Timestamp;
use serde::Serialize;
use std::time::SystemTime;

/// The most objects that are listed; those that are not ready come first.
const MAX_OBJECTS: usize = 1000;

/// Who the platform is.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PlatformInfo {
    /// `platform.name`.
    pub name: String,
    /// `platform.hsaId`.
    pub hsa_id: String,
    /// `platform.environment`.
    pub environment: String,
    /// The listeners that are served.
    #[serde(skip)]
    pub listeners: Vec<ListenerInfo>,
}

/// A listener.
#[derive(Debug, Clone)]
pub struct ListenerInfo {
    /// Its name.
    pub name: String,
    /// Where it listens, as a URL: `https://0.0.0.0:8443`.
    pub url: String,
}

/// How the control plane in this process is doing.
#[derive(Debug, Clone, Default)]
pub struct ControlPlaneStatus {
    /// Its objects.
    pub objects: Vec<ObjectStatus>,
    /// What is wrong with its manifests: file, line and reason.
    pub problems: Vec<String>,
    /// The table that it holds back, and why.
    pub held: Option<String>,
}

/// An object of the control plane in this process.
#[derive(Debug, Clone, Serialize)]
pub struct ObjectStatus {
    /// Its kind.
    pub kind: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Whether all of it is in force.
    pub ready: bool,
    /// Its status, as the object itself would carry it.
    pub status: serde_json::Value,
}

#[derive(Serialize)]
struct Page<'a> {
    #[serde(rename = "Name")]
    name: &'a str,
    #[serde(rename = "Version")]
    skltp_version: &'static str,
    #[serde(rename = "ServiceStatus")]
    service_status: &'static str,
    #[serde(rename = "Uptime")]
    uptime: String,
    #[serde(rename = "ManagementName")]
    management_name: &'a str,
    #[serde(rename = "TakCacheInitialized")]
    tak_initialized: String,
    #[serde(rename = "TakCacheResetInfo")]
    tak_info: String,
    #[serde(rename = "HsaCacheInitialized")]
    hsa_initialized: String,
    #[serde(rename = "Endpoints")]
    endpoints: Vec<&'a str>,
    #[serde(flatten)]
    own: Own<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Own<'a> {
    version: &'static str,
    platform: &'a PlatformInfo,
    started: String,
    ready: bool,
    waiting_for: Vec<String>,
    table: Option<Table>,
    feed: Feed,
    listeners: Vec<Listener<'a>>,
    expiries: Vec<Expires>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problems: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    held: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    objects: Option<Objects>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Table {
    digest: String,
    epoch: u64,
    source: &'static str,
    installed: String,
    age_seconds: Option<u64>,
    /// Why it is not the table on disk.
    unsaved: Option<String>,
    rows: Rows,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Rows {
    routes: u64,
    authorizations: u64,
    contracts: u64,
    hsa_units: u64,
}

#[derive(Serialize)]
struct Feed {
    connected: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Listener<'a> {
    name: &'a str,
    url: &'a str,
    connections_open: i64,
    calls_in_flight: i64,
}

#[derive(Serialize)]
struct Expires {
    kind: &'static str,
    name: String,
    at: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Objects {
    total: usize,
    not_ready: usize,
    left_out: usize,
    items: Vec<ObjectStatus>,
}

/// The page as of `now`, indented by two, as monitoring that reads it by regular expressions expects.
pub(super) fn page(sources: &Sources, now: SystemTime) -> String {
    let platform = (sources.platform)();
    let metrics = &sources.metrics;
    let table = metrics.table();
    let report = sources.readiness.report();
    let control_plane = sources.control_plane.as_ref().map(|ask| ask());
    let (objects, problems, held) = match control_plane {
        Some(ControlPlaneStatus { objects, problems, held }) => (Some(objects), Some(problems), held),
        None => (None, None, None),
    };
    let up = now.duration_since(metrics.started()).unwrap_or_default().as_secs();
    let page = Page {
        name: &platform.name,
        skltp_version: env!("CARGO_PKG_VERSION"),
        service_status: "Started",
        uptime: format!("{} days, {} hours, {} minutes, {} seconds", up / 86400, up / 3600 % 24, up / 60 % 60, up % 60),
        management_name: &platform.name,
        tak_initialized: table.is_some().to_string(),
        tak_info: table.as_ref().map_or_else(|| "Not initialized".to_owned(), tak_info),
        hsa_initialized: table.as_ref().is_some_and(|table| table.rows.hsa_units > 0).to_string(),
        endpoints: platform.listeners.iter().map(|listener| listener.url.as_str()).collect(),
        own: Own {
            version: env!("CARGO_PKG_VERSION"),
            platform: &platform,
            started: instant(metrics.started()),
            ready: report.is_ready(),
            waiting_for: report.lines(),
            table: table.map(|table| Table {
                digest: Hex(table.digest).to_string(),
                epoch: table.epoch,
                source: table.source.as_str(),
                installed: instant(table.installed),
                age_seconds: metrics.table_age(now).map(|age| age.as_secs()),
                unsaved: metrics.table_unsaved(),
                rows: table.rows.into(),
            }),
            feed: Feed { connected: metrics.feed_connected() },
            listeners: listeners(sources, &platform),
            expiries: metrics.expiries().into_iter().map(Into::into).collect(),
            problems,
            held,
            objects: objects.map(select),
        },
    };
    // Only a map with keys that are no strings could fail, and there is none.
    serde_json::to_string_pretty(&page).unwrap_or_default() + "\n"
}

/// The state of the table in the words of SKLTP.
fn tak_info(table: &TableInfo) -> String {
    let status = if table.source == TableSource::Disk { "RESTORED_FROM_LOCAL_CACHE" } else { "REFRESH_OK" };
    let date = Timestamp::try_from(table.installed).unwrap_or_default().strftime("%Y-%m-%dT%H:%M");
    let RowCounts { routes, authorizations, .. } = table.rows;
    format!("Date:{date} Status:{status} vagval:{routes} behorigheter:{authorizations}")
}

fn listeners<'a>(sources: &Sources, platform: &'a PlatformInfo) -> Vec<Listener<'a>> {
    let counts = sources.metrics.open_by_listener();
    let count = |listener: &ListenerInfo| counts.iter().find(|(name, ..)| **name == *listener.name);
    platform
        .listeners
        .iter()
        .map(|listener| {
            let (connections_open, calls_in_flight) =
                count(listener).map_or((0, 0), |(_, open, calls)| (*open, *calls));
            Listener { name: &listener.name, url: &listener.url, connections_open, calls_in_flight }
        })
        .collect()
}

fn select(mut items: Vec<ObjectStatus>) -> Objects {
    let total = items.len();
    let not_ready = items.iter().filter(|item| !item.ready).count();
    items.sort_by(|a, b| (a.ready, &a.kind, &a.namespace, &a.name).cmp(&(b.ready, &b.kind, &b.namespace, &b.name)));
    items.truncate(MAX_OBJECTS);
    Objects { total, not_ready, left_out: total - items.len(), items }
}

fn instant(at: SystemTime) -> String {
    Timestamp::try_from(at).unwrap_or_default().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

impl From<RowCounts> for Rows {
    fn from(rows: RowCounts) -> Self {
        Self {
            routes: rows.routes,
            authorizations: rows.authorizations,
            contracts: rows.contracts,
            hsa_units: rows.hsa_units,
        }
    }
}

impl From<Expiry> for Expires {
    fn from(expiry: Expiry) -> Self {
        let kind = match expiry.kind {
            ExpiryKind::Certificate => "certificate",
            ExpiryKind::Crl => "crl",
        };
        let at = Timestamp::from_second(expiry.at).unwrap_or(Timestamp::MAX).to_string();
        Self { kind, name: expiry.name, at }
    }
}
