//! The task that keeps a dataplane's table current. It loads the last good table from disk, follows an operator
//! through any number of connections, and hands each new table over as a whole. All that takes time (reading,
//! unpacking, assembling, writing) runs on the blocking pool, and a slow or full disk never delays a new table.

use std::future::Future;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rivmesh_table::{Digest, Environment, Table};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::disk::{Directory, Store, Stored};
use crate::grpc::{ClientStream, Connector};
use crate::{Action, Backoff, Client, Identity, Refusal, Transfer, deadline, wire};

/// The wait after a table could not be saved.
const FIRST_RETRY: Duration = Duration::from_secs(5);

/// What it grows to: a full disk is written full at each attempt.
const LAST_RETRY: Duration = Duration::from_secs(60);

/// What a dataplane needs to follow an operator.
#[derive(Debug)]
pub struct Feed {
    /// Who the dataplane is.
    pub identity: Identity,
    /// How to reach the operator.
    pub connector: Connector,
    /// The directory of the last good table; with none, a restart begins without a table.
    pub store: Option<PathBuf>,
}

/// Where the table in service came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Source {
    /// There is no table.
    #[default]
    None,
    /// From disk; no operator has said whether it is still right.
    Disk,
    /// An operator sent it, or said that it is the latest.
    Operator,
}

/// What the table store holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnDisk {
    /// There is no store, so that nothing is ever saved.
    #[default]
    NoStore,
    /// The store cannot be used until a restart.
    Unusable,
    /// The table of this version; none if it holds no table that this dataplane could begin with.
    Table(Option<Digest>),
}

/// How the feed is doing; for readiness, `/status` and metrics.
#[derive(Debug, Clone, Default)]
pub struct FeedStatus {
    /// Whether a stream to an operator is open.
    pub connected: bool,
    /// Whether the operator at the other end of it has come through with its table, which was put in service, confirmed or
    /// refused. A stream that opens and tells nothing says nothing about a table.
    pub heard: bool,
    /// Where the table in service came from.
    pub source: Source,
    /// The version of the table in service.
    pub digest: Option<Digest>,
    /// The operator's count of its tables when it sent or confirmed this one. For people: another operator counts anew.
    pub epoch: Option<u64>,
    /// When the table in service became the latest: installed here, or saved by the process before.
    pub since: Option<SystemTime>,
    /// Whether an operator has ever sent or confirmed a table in this process.
    pub operator_answered: bool,
    /// Why the last attempt to reach or follow an operator failed; nothing once one succeeds.
    pub last_error: Option<String>,
    /// The latest table that was refused, until a later one is accepted.
    pub refused: Option<Refusal>,
    /// What a restart would begin with.
    pub on_disk: OnDisk,
    /// Why the table on disk is not the one in service, or was not usable at start.
    pub store_error: Option<String>,
}

impl FeedStatus {
    /// Why a restart would not begin with the table in service although there is a store; nothing when it would.
    pub fn unsaved(&self) -> Option<&str> {
        let is_saved = match self.on_disk {
            OnDisk::NoStore => true,
            OnDisk::Unusable => false,
            OnDisk::Table(digest) => digest == self.digest,
        };
        (!is_saved).then(|| self.store_error.as_deref().unwrap_or("the table in service is being saved"))
    }
}

/// Follows an operator until `shutdown`.
///
/// `current` gives the table in service and `install` replaces it; only this task calls `install`. The status is
/// updated with every change.
pub async fn run(
    feed: Feed,
    current: impl Fn() -> Arc<Table>,
    mut install: impl FnMut(Arc<Table>),
    status: watch::Sender<FeedStatus>,
    shutdown: impl Future<Output = ()>,
) {
    let mut saver = None;
    let mut save = None;
    let started = Instant::now();
    if let Some(path) = feed.store {
        let (store, stored) = open_store(path, feed.identity.environment.clone(), &status).await;
        let on_disk = match store {
            Some(_) => OnDisk::Table(stored.as_ref().map(|stored| stored.table.digest())),
            None => OnDisk::Unusable,
        };
        status.send_modify(|status| {
            status.on_disk = on_disk;
            if let Some(stored) = &stored {
                status.source = Source::Disk;
                status.digest = Some(stored.table.digest());
                status.since = Some(stored.saved);
            }
        });
        if let Some(stored) = stored {
            info!(table = %stored.table.digest(), "serving the last good table from disk");
            install(Arc::new(stored.table));
        }
        if let Some(store) = store {
            let (sender, tables) = watch::channel(None);
            saver = Some(tokio::spawn(keep_saved(store, tables, status.clone())));
            save = Some(sender);
        }
    }
    let mut follower = Follower { current, install, status, save, started, client: Client::new(feed.identity) };
    tokio::select! {
        () = follower.follow(&feed.connector) => {}
        () = shutdown => {}
    }
    // A table that was installed a moment ago still gets to disk.
    drop(follower);
    if let Some(saver) = saver {
        let _ = saver.await;
    }
}

struct Follower<C, I> {
    client: Client,
    current: C,
    install: I,
    status: watch::Sender<FeedStatus>,
    save: Option<watch::Sender<Option<Arc<Table>>>>,
    started: Instant,
}

impl<C: Fn() -> Arc<Table>, I: FnMut(Arc<Table>)> Follower<C, I> {
    /// Connection after connection, for ever.
    async fn follow(&mut self, connector: &Connector) {
        let mut backoff = Backoff::default();
        loop {
            let problem = match connector.open().await {
                Ok(stream) => {
                    self.status.send_modify(|status| status.connected = true);
                    info!("connected to {connector}");
                    let ended = self.exchange(stream, &mut backoff).await;
                    self.client.disconnected();
                    ended.err()
                }
                Err(error) => Some(error.to_string()),
            };
            let wait = backoff.next(rand::random());
            match &problem {
                Some(problem) => {
                    warn!(wait_ms = wait.as_millis() as u64, "{problem}; serving the last good table meanwhile");
                }
                None => info!("the operator ended the stream in peace; connecting again"),
            }
            self.status.send_modify(|status| {
                status.connected = false;
                status.heard = false;
                status.last_error = problem.or_else(|| status.last_error.take());
            });
            tokio::time::sleep(wait).await;
        }
    }

    /// One stream, to its end: in peace when the operator wants it opened anew, which it does with old ones.
    ///
    /// # Errors
    /// The sentence that says what broke it.
    async fn exchange(&mut self, mut stream: ClientStream, backoff: &mut Backoff) -> Result<(), String> {
        let hello = self.client.connected(&(self.current)());
        stream.send(hello).await?;
        loop {
            let deadline = self.client.deadline().map(|at| self.started + at);
            let actions = tokio::select! {
                received = stream.receive() => match received {
                    Ok(Some(message)) => self.client.message(message, &(self.current)(), self.started.elapsed()),
                    Ok(None) => return Ok(()),
                    Err(problem) => return Err(problem),
                },
                () = deadline::reached(deadline) => self.client.tick(self.started.elapsed()).into_iter().collect(),
            };
            for action in actions {
                let reply = match action {
                    Action::Send(message) => Some(message),
                    Action::Assemble(transfer) => {
                        backoff.reset();
                        self.assemble(transfer).await
                    }
                    Action::UpToDate(epoch) => {
                        backoff.reset();
                        self.confirm(epoch);
                        None
                    }
                    Action::Refused(refusal) => {
                        self.refuse(refusal);
                        None
                    }
                    Action::Disconnect(problem) => return Err(problem),
                };
                if let Some(message) = reply {
                    stream.send(message).await?;
                }
            }
        }
    }

    async fn assemble(&mut self, transfer: Transfer) -> Option<wire::ClientMessage> {
        let before = (self.current)();
        let (digest, epoch) = (transfer.digest(), transfer.epoch());
        let work = tokio::task::spawn_blocking(move || transfer.assemble(&before).map(Arc::new));
        let outcome = work.await.unwrap_or_else(|error| {
            Err(Refusal::whole(digest, format!("assembling the table failed, which is a bug: {error}")))
        });
        let outcome = match outcome {
            Ok(table) => {
                self.put_in_service(table, epoch);
                Ok(())
            }
            Err(refusal) => {
                self.refuse(refusal.clone());
                Err(refusal)
            }
        };
        self.client.assembled(&outcome)
    }

    fn put_in_service(&mut self, table: Arc<Table>, epoch: u64) {
        let counts = table.manifest().counts;
        info!(table = %table.digest(), routes = counts.routes, authorizations = counts.authorizations, "new table in service");
        (self.install)(table.clone());
        self.status.send_modify(|status| {
            status.source = Source::Operator;
            status.digest = Some(table.digest());
            status.epoch = Some(epoch);
            status.since = Some(SystemTime::now());
            status.heard = true;
            status.operator_answered = true;
            status.last_error = None;
            status.refused = None;
        });
        if let Some(save) = &self.save {
            save.send_replace(Some(table));
        }
    }

    fn confirm(&self, epoch: u64) {
        self.status.send_modify(|status| {
            status.source = Source::Operator;
            status.epoch = Some(epoch);
            status.heard = true;
            status.operator_answered = true;
            status.last_error = None;
            status.refused = None;
        });
    }

    fn refuse(&self, refusal: Refusal) {
        warn!(
            "{refusal}; still serving table {}, which a restart finds on disk if it was saved",
            (self.current)().digest()
        );
        self.status.send_modify(|status| {
            status.heard = true;
            status.operator_answered = true;
            status.refused = Some(refusal);
        });
    }
}

/// The store at `path` and what it holds for this environment; neither when the directory cannot be used.
async fn open_store(
    path: PathBuf,
    environment: Option<Environment>,
    status: &watch::Sender<FeedStatus>,
) -> (Option<Store<Directory>>, Option<Stored>) {
    let opened = tokio::task::spawn_blocking(move || {
        let directory = Directory::open(&path);
        let mut store = Store::new(directory.map_err(|error| unusable(&path, &error))?);
        let stored = store.load(environment.as_ref());
        Ok((store, stored))
    });
    let opened = opened.await.unwrap_or_else(|error| Err(format!("reading the table store failed: {error}")));
    let report = |problem: String| {
        warn!("{problem}");
        status.send_modify(|status| status.store_error = Some(problem));
    };
    match opened {
        Ok((store, Ok(stored))) => (Some(store), stored),
        Ok((store, Err(error))) => {
            report(error.to_string());
            (Some(store), None)
        }
        Err(problem) => {
            report(problem);
            (None, None)
        }
    }
}

fn unusable(path: &Path, error: &io::Error) -> String {
    format!("the table store {} cannot be used: {error}; a restart will begin without a table", path.display())
}

/// Saves every table that is put in service, or the latest of several, until the sender is gone. One that could not be
/// saved is tried again until it is, or until there is a newer one.
async fn keep_saved(
    mut store: Store<Directory>,
    mut tables: watch::Receiver<Option<Arc<Table>>>,
    status: watch::Sender<FeedStatus>,
) {
    let mut backoff = Backoff::between(FIRST_RETRY, LAST_RETRY);
    let mut retry = None;
    loop {
        tokio::select! {
            changed = tables.changed() => if changed.is_err() {
                return;
            },
            () = deadline::reached(retry) => {}
        }
        let Some(table) = tables.borrow_and_update().clone() else { continue };
        let digest = table.digest();
        let work = tokio::task::spawn_blocking(move || {
            let saved = store.save(&table, SystemTime::now());
            (store, saved)
        });
        let Ok((back, saved)) = work.await else {
            let problem = "writing the table store failed, which is a bug; nothing more is saved".to_owned();
            warn!("{problem}");
            status.send_modify(|status| {
                status.on_disk = OnDisk::Unusable;
                status.store_error = Some(problem);
            });
            return;
        };
        store = back;
        let was_failing = retry.is_some();
        match saved {
            Ok(()) => {
                if was_failing {
                    info!(table = %digest, "the table in service is on disk again");
                }
                backoff.reset();
                retry = None;
                status.send_modify(|status| {
                    status.on_disk = OnDisk::Table(Some(digest));
                    status.store_error = None;
                });
            }
            Err(error) => {
                // Once is enough: the same is true at every attempt until one succeeds.
                if !was_failing {
                    warn!("{error}; it is tried again until it succeeds");
                }
                // Nobody else waits for this disk, so that nothing is left to chance.
                retry = Some(Instant::now() + backoff.next(1.0));
                status.send_modify(|status| status.store_error = Some(error.to_string()));
            }
        }
    }
}
