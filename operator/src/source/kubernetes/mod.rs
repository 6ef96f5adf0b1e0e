//! The catalogue in a Kubernetes API server: three kinds, in the namespaces that are watched, followed for ever. Every
//! replica of the operator follows them for itself. HSA unit files come from a volume, as in standalone.

mod catalogue;
mod list_watch;
pub(crate) mod slim;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kube::{Api, Client};
use rivmesh_crds::{CallAuthorization, Kind, RoutingEntry, ServiceContract};
use rivmesh_table::ObjectId;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use self::catalogue::{Catalogue, Sighting};
use self::slim::{Catalogued, Seen, Slim};
use super::Batch;
use super::hsa_units::HsaUnits;
use crate::ledger::Observed;

/// What waits between the streams and the catalogue; beyond it the API server waits.
const QUEUE: usize = 256;
/// How often the HSA unit files are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// Which namespaces are watched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// All of them.
    Cluster,
    /// These; the order does not matter.
    Namespaces(Vec<String>),
}

/// What a stream says.
#[derive(Debug)]
pub(super) enum Heard {
    /// A list begins.
    Listing,
    /// An object of the list.
    Listed(Box<Seen>),
    /// The list was complete at this version.
    Complete { version: u64 },
    /// An object is new, or its spec, its status or its labels have changed.
    Changed(Box<Seen>),
    /// An object is gone.
    Gone { id: ObjectId, uid: String, version: u64 },
    /// Nothing else happened up to this version.
    Read { version: u64 },
    /// The API server could not be asked, or refused.
    Failed(String),
}

/// When the API server last said anything, by stream.
pub type Heartbeats = watch::Receiver<Vec<(Arc<str>, Kind, Instant)>>;

/// Where news goes. Both say whether anybody still listens.
pub(crate) trait Listener: Send + Sync + 'static {
    /// The compiler's part.
    fn batch(&self, batch: Batch) -> bool;
    /// The account's part: an object as the API server has it, its status too.
    fn observed(&self, observed: Observed);
    /// The account's part: an object that the API server no longer has.
    fn ended(&self, id: &ObjectId, uid: &str);
}

/// Follows the catalogue within the runtime of the caller, until the tasks are dropped or nobody listens.
pub(crate) fn follow(
    client: &Client,
    scope: &Scope,
    hsa_units: Vec<PathBuf>,
    listener: impl Listener,
) -> (JoinSet<()>, Heartbeats) {
    let namespaces: Vec<Option<&str>> = match scope {
        Scope::Cluster => vec![None],
        Scope::Namespaces(names) => names.iter().map(|name| Some(name.as_str())).collect(),
    };
    let mut tasks = JoinSet::new();
    let mut streams = Vec::new();
    let (sender, heard) = mpsc::channel(QUEUE);
    for namespace in namespaces {
        streams.push(start::<RoutingEntry>(client, namespace, &sender, &mut tasks));
        streams.push(start::<CallAuthorization>(client, namespace, &sender, &mut tasks));
        streams.push(start::<ServiceContract>(client, namespace, &sender, &mut tasks));
    }
    let now = Instant::now();
    let (beats, heartbeats) = watch::channel(streams.iter().map(|(name, kind)| (name.clone(), *kind, now)).collect());
    let catalogue = Catalogue::new(streams, !hsa_units.is_empty());
    tasks.spawn(gather(catalogue, heard, beats, HsaUnits::new(hsa_units), listener));
    (tasks, heartbeats)
}

/// Starts a stream; gives its name, which is the same on every replica.
fn start<C: Catalogued>(
    client: &Client,
    namespace: Option<&str>,
    sender: &mpsc::Sender<(Arc<str>, Heard)>,
    tasks: &mut JoinSet<()>,
) -> (Arc<str>, Kind) {
    let api: Api<Slim<C>> = match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    };
    let plural = C::KIND.plural();
    let name: Arc<str> = namespace.map_or_else(|| plural.into(), |namespace| format!("{plural} of {namespace}").into());
    tasks.spawn(list_watch::follow(name.clone(), api, sender.clone()));
    (name, C::KIND)
}

async fn gather(
    mut catalogue: Catalogue,
    mut heard: mpsc::Receiver<(Arc<str>, Heard)>,
    beats: watch::Sender<Vec<(Arc<str>, Kind, Instant)>>,
    mut hsa_units: HsaUnits,
    listener: impl Listener,
) {
    let started = Instant::now();
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let has_units = !hsa_units.paths().is_empty();
    loop {
        let batch = tokio::select! {
            said = heard.recv() => {
                let Some((stream, heard)) = said else { return };
                if !matches!(heard, Heard::Failed(_) | Heard::Listing) {
                    beats.send_modify(|beats| {
                        beats.iter_mut().filter(|(name, ..)| *name == stream).for_each(|beat| beat.2 = Instant::now());
                    });
                }
                let news = catalogue.hear(&stream, heard);
                match news.sighting {
                    Some(Sighting::Observed(observed)) => listener.observed(observed),
                    Some(Sighting::Ended(gone)) => gone.iter().for_each(|(id, uid)| listener.ended(id, uid)),
                    None => {}
                }
                news.batch
            }
            _ = looks.tick(), if has_units => {
                let now = started.elapsed();
                let look = tokio::task::spawn_blocking(move || {
                    let found = hsa_units.look(now);
                    (hsa_units, found)
                });
                let (back, (has_news, tree)) = look.await.expect("reading files does not panic, and nobody cancels it");
                hsa_units = back;
                has_news.then(|| catalogue.hsa_units(tree, hsa_units.problems()))
            }
        };
        if batch.is_some_and(|batch| !listener.batch(batch)) {
            return;
        }
    }
}
