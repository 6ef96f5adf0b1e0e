//! Everything that the dataplane has loaded from files: `platform.yaml` and the certificates, keys, authorities,
//! revocation lists and texts that it names. One immutable value, read once per connection or call, replaced whole when
//! a file changes; what has not changed stays the same object, so that sessions, tickets and pooled connections survive.
//! A new file that is wrong never takes the place of one that was right.

#[cfg(test)]
mod tests;
mod watch;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rivmesh_rivta::Texts;
use rivmesh_table::Environment;
use thiserror::Error;

use crate::config::{self, ConfigError, Faults, Language, Listener, ListenerKind, Platform};
use crate::tls::{ClientTrust, Clock, Expiry, Files, MaterialError, ServerTls, UpstreamTls, system_clock};

pub use watch::{Event, watch};

/// The settings in force; readers load them once per connection or call.
pub type Live = Arc<ArcSwap<Settings>>;

/// Settings as loaded.
#[derive(Debug)]
pub struct Settings {
    /// What `platform.yaml` says.
    pub platform: Platform,
    /// The listeners that this process has: the same ones, in the same order and at the same addresses, from its start
    /// to its end. Their certificates and rules follow the file.
    pub listeners: Vec<Arc<ListenerRuntime>>,
    /// TLS towards producers.
    pub upstream: UpstreamTls,
    /// The texts of our SOAP faults.
    pub texts: Texts,
    /// What is allowed and yet probably not meant, one sentence each.
    pub warnings: Vec<String>,
    /// What the file says that counts only after a restart, one sentence each.
    pub pending_restart: Vec<String>,
    started: Arc<Platform>,
    files: Files,
    clock: Clock,
}

/// A listener as loaded.
#[derive(Debug)]
pub struct ListenerRuntime {
    /// What `platform.yaml` says about it.
    pub config: Listener,
    /// The TLS of its connections; `None` is plain HTTP, which only an internal listener may be.
    pub tls: Option<Arc<ServerTls>>,
    /// What makes a certificate good that an ingress carries in a header; only on a certificate-header listener.
    pub carried: Option<Arc<ClientTrust>>,
}

/// Why settings cannot be loaded: file, line where one is known, and a sentence.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SettingsError {
    /// `platform.yaml` itself.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A file with keys, certificates or revocation lists.
    #[error(transparent)]
    Material(#[from] MaterialError),
    /// The file with fault texts.
    #[error("{}: {reason}", file.display())]
    Texts {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// `platform.yaml` moves a running process to another environment.
    #[error(
        "{}: platform.environment changes from {from} to {to}: a running process stays in its environment, since tables \
         and trust of two environments never mix; restart it, or take the change back",
        file.display()
    )]
    Environment {
        /// `platform.yaml`.
        file: PathBuf,
        /// The environment that the process is in.
        from: Environment,
        /// The one that the file says.
        to: Environment,
    },
}

/// Loads `platform.yaml` and all files that it names.
///
/// # Errors
/// The first file that is wrong.
pub fn load(path: &Path) -> Result<Settings, SettingsError> {
    load_with(path, system_clock())
}

pub(crate) fn load_with(path: &Path, clock: Clock) -> Result<Settings, SettingsError> {
    let platform = config::load(path)?;
    let files = Files::read(platform.files())?;
    let listeners = platform
        .listeners
        .iter()
        .map(|listener| ListenerRuntime::build(listener.clone(), &platform, &files, &clock, None))
        .collect::<Result<_, _>>()?;
    let upstream = UpstreamTls::build(&platform.upstream, &files, platform.is_production(), &clock, None)?;
    Ok(Settings {
        listeners,
        upstream,
        texts: texts(&platform.faults, &files)?,
        warnings: platform.warnings(),
        pending_restart: Vec::new(),
        started: Arc::new(platform.clone()),
        platform,
        files,
        clock,
    })
}

impl Settings {
    /// Loads again. `None` if nothing has changed. These settings stay as they are; parts that have not changed are
    /// shared with them.
    ///
    /// # Errors
    /// The first file that is wrong, or a change of the environment.
    pub fn reload(&self, path: &Path) -> Result<Option<Self>, SettingsError> {
        let wanted = config::load(path)?;
        if let Some((from, to)) = Environment::clash(Some(&self.platform.environment), Some(&wanted.environment)) {
            let (file, from, to) = (path.to_owned(), from.clone(), to.clone());
            return Err(SettingsError::Environment { file, from, to });
        }
        let wanted_as = |running: &Listener| wanted.listeners.iter().find(|other| other.name == running.name);
        let mut files = Files::read(wanted.files())?;
        // A listener that is gone from the file is served until a restart, and who is revoked is revoked on it, too. Its
        // files may have gone with it: they must not stand in the way of the others.
        for gone in self.listeners.iter().filter(|running| wanted_as(&running.config).is_none()) {
            files.add(Files::read(gone.config.files()).unwrap_or_default());
        }
        if wanted == self.platform && files.same(&self.files) {
            return Ok(None);
        }
        let build = |config: Listener, running: &Arc<ListenerRuntime>| {
            ListenerRuntime::build(config, &wanted, &files, &self.clock, Some(running))
        };
        let listener = |running: &Arc<ListenerRuntime>| match wanted_as(&running.config) {
            Some(listener) => build(Listener { address: running.config.address, ..listener.clone() }, running),
            None => Ok(build(running.config.clone(), running).unwrap_or_else(|_| running.clone())),
        };
        let listeners = self.listeners.iter().map(listener).collect::<Result<_, _>>()?;
        let (upstream, production) = (&wanted.upstream, wanted.is_production());
        let upstream = UpstreamTls::build(upstream, &files, production, &self.clock, Some(&self.upstream))?;
        Ok(Some(Self {
            listeners,
            upstream,
            texts: texts(&wanted.faults, &files)?,
            warnings: wanted.warnings(),
            pending_restart: pending_restart(&self.started, &wanted),
            started: self.started.clone(),
            platform: wanted,
            files,
            clock: self.clock.clone(),
        }))
    }

    /// A listener by its name.
    pub fn listener(&self, name: &str) -> Option<&Arc<ListenerRuntime>> {
        self.listeners.iter().find(|listener| listener.config.name == name)
    }

    /// When the certificates, authorities and revocation lists that are in use end.
    pub fn expiries(&self) -> Vec<Expiry> {
        let of = |listener: &Arc<ListenerRuntime>| {
            let name = &listener.config.name;
            let tls = listener.tls.iter().flat_map(|tls| tls.expiries(name));
            tls.chain(listener.carried.iter().flat_map(|carried| carried.expiries(name))).collect::<Vec<_>>()
        };
        self.listeners.iter().flat_map(of).chain(self.upstream.expiries()).collect()
    }
}

impl ListenerRuntime {
    fn build(
        config: Listener,
        platform: &Platform,
        files: &Files,
        clock: &Clock,
        previous: Option<&Arc<Self>>,
    ) -> Result<Arc<Self>, MaterialError> {
        let production = platform.is_production();
        let tls = config
            .tls()
            .map(|tls| {
                let previous = previous.and_then(|previous| previous.tls.as_ref());
                ServerTls::build(tls, files, production, clock, previous)
            })
            .transpose()?;
        let carried = match &config.kind {
            ListenerKind::CertificateHeader { carried, .. } => {
                let previous = previous.and_then(|previous| previous.carried.as_ref());
                Some(ClientTrust::build(&carried.clients, files, production, previous)?)
            }
            _ => None,
        };
        let is_same = |previous: &Self| {
            previous.config == config && same(&previous.tls, &tls) && same(&previous.carried, &carried)
        };
        if let Some(previous) = previous.filter(|previous| is_same(previous)) {
            return Ok(previous.clone());
        }
        Ok(Arc::new(Self { config, tls, carried }))
    }
}

fn same<T>(one: &Option<Arc<T>>, other: &Option<Arc<T>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (None, None) => true,
        _ => false,
    }
}

fn texts(faults: &Faults, files: &Files) -> Result<Texts, SettingsError> {
    let texts = match faults.language {
        Language::Sv => Texts::swedish(),
        Language::En => Texts::english(),
    };
    let Some(file) = &faults.texts else { return Ok(texts) };
    texts
        .with_properties(files.get(file)?)
        .map_err(|error| SettingsError::Texts { file: file.clone(), reason: error.to_string() })
}

/// What cannot change in a running process. Sockets are bound and threads are started once.
fn pending_restart(started: &Platform, wanted: &Platform) -> Vec<String> {
    let mut pending = Vec::new();
    for listener in &started.listeners {
        match wanted.listeners.iter().find(|other| other.name == listener.name) {
            None => {
                pending
                    .push(format!("listener {} is gone from the file, and is served until a restart", listener.name));
            }
            Some(other) if other.address != listener.address => pending.push(format!(
                "listener {} moves from {} to {} at a restart",
                listener.name, listener.address, other.address
            )),
            Some(_) => {}
        }
    }
    let is_new = |listener: &&Listener| started.listeners.iter().all(|other| other.name != listener.name);
    for listener in wanted.listeners.iter().filter(is_new) {
        pending.push(format!("listener {} is opened at a restart", listener.name));
    }
    let mut changed = |what: &str, has_changed: bool| {
        if has_changed {
            pending.push(format!("{what} changes at a restart"));
        }
    };
    changed("admin.address", started.admin != wanted.admin);
    changed("workers", started.workers != wanted.workers);
    changed("table.directory", started.table.directory != wanted.table.directory);
    changed("limits.handshakesInFlight", started.limits.handshakes_in_flight != wanted.limits.handshakes_in_flight);
    pending
}
