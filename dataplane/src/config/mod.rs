//! `platform.yaml` as types. The file is what a person writes for standalone and what the chart renders for a pod, so
//! a mistake in it must come back as file, line and a sentence that says what to write instead. It is parsed once:
//! whatever has been loaded is complete and consistent, and nothing after this module checks a setting again.
//!
//! Every limit and default of the dataplane has its one home here.

mod bounds;
mod listener;
#[cfg(test)]
mod tests;
mod upstream;
mod values;

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rivmesh_rivta::UntrustedPolicy;
use rivmesh_table::{Environment, Lookup, Switches};
use serde::Deserialize;

pub use bounds::{Limits, Timeouts};
pub use listener::{
    CertificateHeader, ClientTrustFiles, Internal, Listener, ListenerKind, ListenerTls, PeerName, RevocationMode,
};
pub use upstream::{HostMatch, Override, Upstream, UpstreamFiles, VerifyHostname};
pub use values::{Id, IdSet, MinVersion, parse_duration};

/// Everything that `platform.yaml` says (design, "Standalone"). Relative paths have been resolved against the folder
/// of the file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Platform {
    /// The platform's HSA-id: its entry in the routing history (TP 7-8) and its `x-vp-instance-id`. Required.
    pub hsa_id: Id,
    /// The name in fault texts and logs, for example `region-nord-prod`. Required.
    pub name: String,
    /// What the platform is used for; it takes no table of another environment. In `production` (or `prod`) certificate
    /// authorities that are known to be for tests are refused too. Default: `test`.
    pub environment: Environment,
    /// Where calls come in; at least one, with different names and addresses.
    pub listeners: Vec<Listener>,
    /// Metrics, health and status.
    pub admin: Admin,
    /// How producers are called.
    pub upstream: Upstream,
    /// Who may send `x-rivta-original-serviceconsumer-hsaid` (rules §2). Default: nobody.
    pub trusted_platforms: IdSet,
    /// Consumers that are refused with VP007 whatever the table says (rules §4). Default: none.
    pub blocked_consumers: IdSet,
    /// What happens to an original consumer sent by somebody who is not trusted. Default: `reject`.
    pub untrusted_original_consumer: UntrustedPolicy,
    /// How a route is looked up where the contract does not say otherwise (rules §5). Default: hierarchy and `*`.
    pub routing: Lookup,
    /// How an authorisation is looked up where the contract does not say otherwise (rules §5). Default: hierarchy and `*`.
    pub authorization: Lookup,
    /// The wording of our SOAP faults.
    pub faults: Faults,
    /// Sizes and counts.
    pub limits: Limits,
    /// Times.
    pub timeouts: Timeouts,
    /// The last good routing table on disk.
    pub table: TableStore,
    /// HSA unit files (XML) that give the hierarchy of addresses; later files win. Default: none.
    pub hsa_units: Vec<PathBuf>,
    /// Threads that carry traffic. Default: one for each core that this process may use.
    pub workers: NonZeroUsize,
}

/// The port for people and machines that watch the platform.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Admin {
    /// Address and port of `/livez`, `/readyz`, `/metrics` and `/status`. Default: `127.0.0.1:9901`.
    #[serde(deserialize_with = "values::socket_address")]
    pub address: SocketAddr,
}

impl Default for Admin {
    fn default() -> Self {
        Self { address: SocketAddr::from(([127, 0, 0, 1], 9901)) }
    }
}

/// The texts of SOAP faults (rules §6).
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct Faults {
    /// Built-in language. Default: `sv`.
    pub language: Language,
    /// A properties file with keys `VPnnn` and `VPnnn_DETAILS` that replaces built-in texts. Default: none.
    pub texts: Option<PathBuf>,
}

/// The language of the built-in fault texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Language {
    /// Swedish.
    #[default]
    Sv,
    /// English.
    En,
}

/// Where the last good routing table is kept.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct TableStore {
    /// Folder for the table; without it a restart starts empty and waits for the control plane. Default: none.
    pub directory: Option<PathBuf>,
    /// Not ready when the table has not been confirmed for this long. Default: none, an old table keeps serving.
    #[serde(deserialize_with = "values::optional_duration")]
    pub max_stale: Option<Duration>,
}

/// Why a configuration file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The file.
    pub file: PathBuf,
    /// The line in it, from 1, where one is known.
    pub line: Option<u64>,
    /// One sentence: what is wrong and what to write instead.
    pub reason: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.file.display(), self.reason),
            None => write!(f, "{}: {}", self.file.display(), self.reason),
        }
    }
}

impl std::error::Error for ConfigError {}

/// Reads `platform.yaml`. Only the file itself is read; certificates and the other files that it names are read by
/// [`crate::settings::load`].
///
/// # Errors
/// The file cannot be read, is not YAML, or says something that is unknown, missing or contradictory; with its line.
pub fn load(path: &Path) -> Result<Platform, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|error| ConfigError {
        file: path.to_owned(),
        line: None,
        reason: format!("cannot be read: {error}"),
    })?;
    parse(path, &text)
}

/// Parses the text of a `platform.yaml` that stands at `path`.
///
/// # Errors
/// As [`load`].
pub fn parse(path: &Path, text: &str) -> Result<Platform, ConfigError> {
    let mut platform: Platform = serde_saphyr::from_str(text).map_err(|error| explain(path, &error))?;
    if let Some(folder) = path.parent() {
        platform.for_each_path(&mut |file| *file = folder.join(&*file));
    }
    Ok(platform)
}

fn explain(path: &Path, error: &serde_saphyr::Error) -> ConfigError {
    let error = error.without_snippet();
    let location = error.location().filter(|at| at.line() > 0);
    let text = error.render();
    let reason = match location {
        Some(at) => text.strip_suffix(&format!(" at line {}, column {}", at.line(), at.column())).unwrap_or(&text),
        None => &text,
    };
    ConfigError { file: path.to_owned(), line: location.map(|at| at.line()), reason: reason.to_owned() }
}

impl Platform {
    /// Whether real personal data is handled here.
    pub fn is_production(&self) -> bool {
        ["production", "prod"].iter().any(|name| self.environment.as_str().eq_ignore_ascii_case(name))
    }

    /// The files that the settings are read from, besides `platform.yaml` itself, each once.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let mut copy = self.clone();
        copy.table.directory = None;
        copy.hsa_units.clear();
        copy.for_each_path(&mut |file| files.push(std::mem::take(file)));
        files.sort();
        files.dedup();
        files
    }

    /// How the table is asked where a contract does not say otherwise.
    pub fn switches(&self) -> Switches {
        Switches { routing: self.routing, authorization: self.authorization }
    }

    /// Settings that are allowed and yet probably not meant, one sentence each.
    pub fn warnings(&self) -> Vec<String> {
        self.listeners.iter().flat_map(Listener::warnings).chain(self.upstream.warnings()).collect()
    }

    fn for_each_path(&mut self, visit: &mut dyn FnMut(&mut PathBuf)) {
        self.listeners.iter_mut().for_each(|listener| listener.for_each_path(visit));
        self.upstream.for_each_path(visit);
        self.faults.texts.iter_mut().for_each(&mut *visit);
        self.table.directory.iter_mut().for_each(&mut *visit);
        self.hsa_units.iter_mut().for_each(visit);
    }
}

/// The platform's own names: the block `platform`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct About {
    hsa_id: Id,
    name: String,
    #[serde(default = "test")]
    environment: Environment,
}

fn test() -> Environment {
    "test".parse().expect("this is a name")
}

/// How [`UntrustedPolicy`] is written.
#[derive(Deserialize)]
#[serde(remote = "UntrustedPolicy", rename_all = "camelCase")]
enum UntrustedOriginalConsumer {
    Reject,
    Report,
}

/// How a [`Lookup`] is written: which levels are tried after the explicit address.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
struct LookupFields {
    hierarchy: bool,
    default: bool,
}

impl Default for LookupFields {
    fn default() -> Self {
        let Lookup { hierarchy, default } = Lookup::default();
        Self { hierarchy, default }
    }
}

impl From<LookupFields> for Lookup {
    fn from(LookupFields { hierarchy, default }: LookupFields) -> Self {
        Self { hierarchy, default }
    }
}

/// The file's own shape, before the checks that need more than one field.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Unchecked {
    platform: About,
    listeners: Vec<Listener>,
    #[serde(default)]
    admin: Admin,
    upstream: Upstream,
    #[serde(default)]
    trusted_platforms: IdSet,
    #[serde(default)]
    blocked_consumers: IdSet,
    #[serde(default, with = "UntrustedOriginalConsumer")]
    untrusted_original_consumer: UntrustedPolicy,
    #[serde(default)]
    routing: LookupFields,
    #[serde(default)]
    authorization: LookupFields,
    #[serde(default)]
    faults: Faults,
    #[serde(default)]
    limits: Limits,
    #[serde(default)]
    timeouts: Timeouts,
    #[serde(default)]
    table: TableStore,
    #[serde(default)]
    hsa_units: Vec<PathBuf>,
    workers: Option<NonZeroUsize>,
}

impl TryFrom<Unchecked> for Platform {
    type Error = String;

    fn try_from(file: Unchecked) -> Result<Self, String> {
        if file.platform.name.trim().is_empty() {
            return Err("platform.name is blank: write the name that callers shall see in faults".to_owned());
        }
        if file.listeners.is_empty() {
            return Err("listeners is empty: list at least one, or nobody can call".to_owned());
        }
        for (nr, listener) in file.listeners.iter().enumerate() {
            for other in &file.listeners[..nr] {
                if other.name == listener.name {
                    return Err(format!("two listeners are named {}: give each its own name", listener.name));
                }
                if other.address == listener.address && listener.address.port() != 0 {
                    let (one, two) = (&other.name, &listener.name);
                    return Err(format!("listeners {one} and {two} share the address {}", listener.address));
                }
            }
        }
        Ok(Self {
            hsa_id: file.platform.hsa_id,
            name: file.platform.name,
            environment: file.platform.environment,
            listeners: file.listeners,
            admin: file.admin,
            upstream: file.upstream,
            trusted_platforms: file.trusted_platforms,
            blocked_consumers: file.blocked_consumers,
            untrusted_original_consumer: file.untrusted_original_consumer,
            routing: file.routing.into(),
            authorization: file.authorization.into(),
            faults: file.faults,
            limits: file.limits,
            timeouts: file.timeouts,
            table: file.table,
            hsa_units: file.hsa_units,
            workers: file.workers.unwrap_or_else(cores),
        })
    }
}

fn cores() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}
