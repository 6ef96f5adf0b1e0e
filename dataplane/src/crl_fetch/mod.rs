//! Keeps revocation lists on disk current: each is downloaded from where its authority publishes it, verified, and put in
//! the place of the one before. The proxy only follows files and never waits for a server on the internet; what fetches
//! them is a process of its own beside it, `rivmesh-crl-fetcher`.
//!
//! A good list is never lost: not to a server that is down, an answer that is cut, forged or out of date, or a full disk.

mod args;
mod board;
mod download;
mod failure;
mod judge;
mod schedule;
mod source;
mod store;
#[cfg(test)]
mod tests;

pub use args::Args;
pub use schedule::Pace;
pub use source::Source;

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::ensure;
use hyper_util::client::proxy::matcher::Matcher;
use rustls::ClientConfig;
use tokio::task::JoinSet;
use tracing::{info, warn};

use crate::admin::{self, Admin};
use crate::tls::{Clock, Content, Edition, Files, MaterialError, TrustBundle, provider, system_clock};
use board::Board;
use download::{Answer, Client, Limits, Validators};
use failure::{Failure, instant};
use schedule::Rhythm;
use source::shown;
use store::{Authorities, Held};

/// What to fetch, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// The lists, each with a file of its own.
    pub sources: Vec<Source>,
    /// Where the files are.
    pub directory: PathBuf,
    /// Authorities (PEM) that may have signed the lists.
    pub trust: Vec<PathBuf>,
    /// Authorities (PEM) of servers that are asked over https; needed if there is such a source.
    pub https_trust: Option<PathBuf>,
    /// How often.
    pub pace: Pace,
}

/// A fetcher that is running; it stops when this is dropped.
#[derive(Debug)]
pub struct Fetcher {
    admin: Admin,
    _tasks: JoinSet<()>,
}

/// What the tasks share.
struct Shared {
    options: Options,
    board: Board,
    clock: Clock,
    limits: Limits,
    proxies: Arc<Matcher>,
}

/// Starts to keep lists current, all at once, and serves the admin port on a socket. Proxies on the way to servers are
/// taken from the environment, as curl does.
///
/// # Errors
/// Sources that exclude each other, a directory that is none, and authorities that cannot be read.
pub fn start(options: Options, admin: TcpListener) -> anyhow::Result<Fetcher> {
    start_with(options, admin, system_clock(), Limits::default(), Matcher::from_env())
}

fn start_with(
    options: Options,
    admin: TcpListener,
    clock: Clock,
    limits: Limits,
    proxies: Matcher,
) -> anyhow::Result<Fetcher> {
    check(&options)?;
    if let Err(error) = store::sweep(&options.directory, SystemTime::now()) {
        warn!("what an earlier process left unfinished in {} stays there: {error}", options.directory.display());
    }
    let board = Board::new(options.sources.iter().map(Source::file));
    let shared = Arc::new(Shared { options, board, clock, limits, proxies: Arc::new(proxies) });
    let asked = shared.clone();
    let admin = admin::open(admin, move |uri| asked.board.page(uri, asked.now()))?;
    let mut tasks = JoinSet::new();
    for source in 0..shared.options.sources.len() {
        tasks.spawn(keep_current(shared.clone(), source));
    }
    Ok(Fetcher { admin, _tasks: tasks })
}

/// What cannot come right by itself is an error at start.
fn check(options: &Options) -> anyhow::Result<()> {
    ensure!(!options.sources.is_empty(), "there is nothing to fetch: give a --source URL=FILE");
    ensure!(
        !options.trust.is_empty(),
        "no list could be verified: give --trust FILE with the authorities that sign them"
    );
    for (nr, source) in options.sources.iter().enumerate() {
        let is_taken = options.sources[..nr].iter().any(|other| other.file() == source.file());
        ensure!(!is_taken, "two sources have the file {}: give each its own", source.file());
        let is_possible = !source.is_https() || options.https_trust.is_some();
        ensure!(is_possible, "{} is fetched over https: give --https-trust with its server's authority", source.file());
    }
    let directory = &options.directory;
    ensure!(directory.is_dir(), "--directory {} is not a directory", directory.display());
    Authorities::read(&options.trust)?;
    https(options, &system_clock())?;
    Ok(())
}

impl Fetcher {
    /// Where the admin port listens.
    pub fn admin(&self) -> SocketAddr {
        self.admin.address()
    }
}

impl Shared {
    /// Unix seconds.
    fn now(&self) -> i64 {
        let now = self.clock.current_time().map_or(0, |now| now.as_secs());
        i64::try_from(now).unwrap_or(i64::MAX)
    }

    fn path(&self, source: usize) -> PathBuf {
        self.options.directory.join(self.options.sources[source].file())
    }
}

/// What a task knows of its list.
#[derive(Debug, Default)]
struct State {
    /// What is on disk, as far as it is good.
    held: Option<Held>,
    /// What the server gave along with a list, and which that was.
    known: Option<(Held, Validators)>,
}

impl State {
    fn next_update(&self) -> Option<i64> {
        self.held.as_ref().and_then(Held::next_update)
    }
}

/// Keeps one list current for ever.
async fn keep_current(shared: Arc<Shared>, source: usize) {
    let mut state = State { held: look(&shared, source).await, known: None };
    shared.board.holds(source, state.held.as_ref());
    let Source { url, file } = &shared.options.sources[source];
    let mut rhythm = Rhythm::new(shared.options.pace);
    loop {
        let result = update(&shared, source, &mut state).await;
        let (now, next_update) = (shared.now(), state.next_update());
        let wait = rhythm.after(result.is_ok(), now, next_update, rand::random());
        shared.board.holds(source, state.held.as_ref());
        match result {
            Ok(()) => shared.board.succeeded(source, now),
            Err(failure) => {
                shared.board.failed(source, &failure);
                let stays = if state.held.is_some() { "the list on disk stays" } else { "there is no list yet" };
                let (url, seconds) = (shown(url), wait.as_secs_f64());
                warn!("{file} could not be updated from {url}: {failure}; {stays}, next attempt in {seconds:.0} s");
            }
        }
        if next_update.is_some_and(|at| at < now) {
            warn!("{file} is past its nextUpdate, and there is nothing newer; proxies soon refuse whom it is about");
        }
        tokio::time::sleep(wait).await;
    }
}

/// Takes up what an earlier process has left on disk, if it is good.
async fn look(shared: &Shared, source: usize) -> Option<Held> {
    let (path, trust) = (shared.path(source), shared.options.trust.clone());
    let found = blocking(move || store::read(&path, &authorities(&trust)?)).await;
    let file = shared.options.sources[source].file();
    match &found {
        Ok(Some(held)) => info!("{file} is there, {}", about(held)),
        Ok(None) => {}
        Err(failure) => warn!("{file} is there, but cannot be used and will be replaced: {failure}"),
    }
    found.ok().flatten()
}

/// One attempt.
async fn update(shared: &Shared, source: usize, state: &mut State) -> Result<(), Failure> {
    let (options, clock, path) = (shared.options.clone(), shared.clock.clone(), shared.path(source));
    // Everything is read anew each time: authorities are replaced while we run, and so is the list, by our like in other
    // pods.
    let (authorities, tls, held) = blocking(move || {
        let authorities = authorities(&options.trust)?;
        let held = store::read(&path, &authorities).ok().flatten();
        Ok((authorities, https(&options, &clock).map_err(Failure::Trust)?, held))
    })
    .await?;
    state.held = held;
    let known = state.known.as_ref().filter(|(from, _)| state.held.as_ref() == Some(from)).map(|(_, known)| known);
    let client = Client { limits: shared.limits, proxies: shared.proxies.clone(), tls };
    let Source { url, file } = &shared.options.sources[source];
    let Answer::Content(content, validators) = client.get(url, known).await? else { return Ok(()) };
    let (path, content) = (shared.path(source), Content::from(&*content));
    let (held, is_new) = blocking(move || store::replace(&path, &content, &authorities)).await?;
    if is_new {
        info!("{file} has been replaced, {}", about(&held));
    }
    state.known = Some((held.clone(), validators));
    state.held = Some(held);
    Ok(())
}

fn authorities(trust: &[PathBuf]) -> Result<Authorities, Failure> {
    Authorities::read(trust).map_err(Failure::Trust)
}

/// How to speak to servers over TLS.
fn https(options: &Options, clock: &Clock) -> Result<Option<Arc<ClientConfig>>, MaterialError> {
    let Some(trust) = &options.https_trust else { return Ok(None) };
    let bundle = TrustBundle::build(&Files::read([trust.clone()])?, trust, false, None)?;
    let config = ClientConfig::builder_with_details(provider(), clock.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| MaterialError::new(trust, format!("cannot be used for TLS: {error}")))?
        .with_root_certificates(bundle.roots.clone())
        .with_no_client_auth();
    Ok(Some(Arc::new(config)))
}

/// What was found, for the log.
fn about(held: &Held) -> String {
    let list =
        |edition: &Edition| format!("of {}, next update due {}", edition.issuer_name(), instant(edition.next_update));
    held.editions.iter().map(list).collect::<Vec<_>>().join(" and ")
}

/// Runs what takes time or touches disks beside the tasks. A panic in it (a list that a parser trips over) is a failed
/// attempt like any other.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Failure> + Send + 'static) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(Failure::Internal(error.to_string())),
    }
}
