//! One stream of the API server: everything of one kind, in one namespace or all, and then every change of it, for ever.
//!
//! The ready-made watchers keep the versions of bookmarks and lists to themselves, and may start from a list that is
//! older than what was seen before. This operator proves to others how far it has read, and must not publish an old
//! table after a newer one, so it lists with a consistent read and tells every version that it hears. The list comes
//! as a stream where the server can do that (constant memory on both sides), and else in pages.

use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt};
use kube::api::{ListParams, WatchEvent, WatchParams};
use kube::core::watch::BookmarkMeta;
use kube::{Api, Error as KubeError};
use rivmesh_sync::Backoff;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use super::Heard;
use super::slim::{Catalogued, Seen, Slim, parse_version};

/// How long the server keeps a watch open. A connection that died silently is noticed when the watch is overdue.
const WATCH: Duration = Duration::from_secs(120);
/// How long a watch may be overdue, and how long a server may be silent where it has something to say: before it answers,
/// and in the middle of a list.
const OVERDUE: Duration = Duration::from_secs(15);
/// The longest wait after a failure: after an outage, what was changed meanwhile waits for the list.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// A watch that has lived for this long, or has told anything, is no sign of trouble when it ends.
const STEADY: Duration = Duration::from_secs(5);
/// Objects in a page of a list.
const PAGE: u32 = 500;
/// In a streamed list, the bookmark with this annotation says that the list is complete.
const LIST_END: &str = "k8s.io/initial-events-end";

/// Lists and watches for ever, telling everything to `out` under the stream's name; ends when nobody listens.
pub(super) async fn follow<C: Catalogued>(name: Arc<str>, api: Api<Slim<C>>, out: mpsc::Sender<(Arc<str>, Heard)>) {
    let mut follower =
        Follower { name, api, out, streams_lists: true, backoff: Backoff::between(Backoff::FIRST, LONGEST_WAIT) };
    // Ends with an error only.
    while !matches!(follower.list_and_watch().await, Err(Broken::NobodyListens)) {}
}

struct Follower<C: Catalogued> {
    name: Arc<str>,
    api: Api<Slim<C>>,
    out: mpsc::Sender<(Arc<str>, Heard)>,
    /// Whether the server streams lists; until it has said no.
    streams_lists: bool,
    backoff: Backoff,
}

/// What a watch says, other than that it failed.
enum Event<K> {
    Upsert(K),
    Delete(K),
    Bookmark(BookmarkMeta),
}

/// Why a new list is needed.
enum Broken {
    /// The list failed, or the watch has been away for too long: begin anew.
    Relist,
    /// The operator is stopping.
    NobodyListens,
}

/// Why a request or a stream of events ended.
enum Ended {
    /// The versions asked for are no longer known (410 Gone).
    Expired,
    /// The server cannot do what was asked (a list as a stream).
    Unsupported,
    /// Anything else, that a later attempt may mend.
    Failed(String),
    /// The operator is stopping.
    NobodyListens,
}

impl<C: Catalogued> Follower<C> {
    /// One complete list and every change after it, until a new list is needed.
    async fn list_and_watch(&mut self) -> Result<std::convert::Infallible, Broken> {
        self.tell(Heard::Listing).await?;
        let listed = if self.streams_lists { self.streamed_list().await } else { self.paged_list().await };
        let mut version = match listed.and_then(|version| parse_version(&version).map_err(Ended::Failed)) {
            Ok(version) => version,
            Err(Ended::Unsupported) if self.streams_lists => {
                tracing::info!(kind = %C::KIND, "the API server does not stream lists; reading pages");
                self.streams_lists = false;
                return Err(Broken::Relist);
            }
            Err(ended) => {
                self.wait_after(ended).await?;
                return Err(Broken::Relist);
            }
        };
        self.tell(Heard::Complete { version }).await?;
        loop {
            // The server ends every watch after a while.
            let Err(ended) = self.watch(&mut version).await else { continue };
            let is_expired = matches!(ended, Ended::Expired);
            self.wait_after(ended).await?;
            if is_expired {
                return Err(Broken::Relist);
            }
        }
    }

    /// Tells a failure, and waits before the next attempt.
    async fn wait_after(&mut self, ended: Ended) -> Result<(), Broken> {
        let problem = match ended {
            Ended::NobodyListens => return Err(Broken::NobodyListens),
            Ended::Expired => {
                "the API server no longer remembers the version asked for; reading everything again".to_owned()
            }
            Ended::Unsupported => "the API server does not understand the request".to_owned(),
            Ended::Failed(problem) => problem,
        };
        self.tell(Heard::Failed(problem)).await?;
        tokio::time::sleep(self.backoff.next(rand::random())).await;
        Ok(())
    }

    /// Everything there is, as the beginning of a watch. Gives the version at which that was so.
    async fn streamed_list(&mut self) -> Result<String, Ended> {
        let params = WatchParams { send_initial_events: true, ..watch_params() };
        // Without a version the server reads consistently; with 0 it would give whatever it remembers.
        let mut events = Box::pin(answer(self.api.watch(&params, "")).await?);
        loop {
            match next(&mut events, OVERDUE).await? {
                None => return Err(Ended::Failed("the API server ended a list before it was complete".to_owned())),
                Some(Event::Upsert(object)) => self.tell_listed(object).await?,
                Some(Event::Bookmark(bookmark)) if bookmark.annotations.contains_key(LIST_END) => {
                    return Ok(bookmark.resource_version);
                }
                // Nothing is deleted from a list that is being given.
                Some(Event::Bookmark(_) | Event::Delete(_)) => {}
            }
        }
    }

    /// Everything there is, page by page. Gives the version at which that was so.
    async fn paged_list(&mut self) -> Result<String, Ended> {
        let mut params = ListParams::default().limit(PAGE);
        loop {
            let page = answer(self.api.list(&params)).await?;
            for object in page.items {
                self.tell_listed(object).await?;
            }
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params.continue_token = Some(token),
                None => return Ok(page.metadata.resource_version.unwrap_or_default()),
            }
        }
    }

    /// Changes after `version`, which follows them, until the server ends the watch.
    async fn watch(&mut self, version: &mut u64) -> Result<(), Ended> {
        let mut events = Box::pin(answer(self.api.watch(&watch_params(), &version.to_string())).await?);
        let opened = Instant::now();
        let mut was_of_use = false;
        loop {
            let event = next(&mut events, WATCH + OVERDUE).await;
            was_of_use |= matches!(event, Ok(Some(_))) || opened.elapsed() >= STEADY;
            // Not before: lists may succeed for ever where no watch does.
            if was_of_use {
                self.backoff.reset();
            }
            let Some(event) = event? else { break };
            let (heard, at) = change(event).map_err(Ended::Failed)?;
            *version = at;
            self.send(heard).await.map_err(|_| Ended::NobodyListens)?;
        }
        if was_of_use {
            return Ok(());
        }
        Err(Ended::Failed("the API server ended a watch as soon as it had begun".to_owned()))
    }

    async fn tell_listed(&self, object: Slim<C>) -> Result<(), Ended> {
        let seen = object.seen().map_err(Ended::Failed)?;
        self.send(Heard::Listed(Box::new(seen))).await.map_err(|_| Ended::NobodyListens)
    }

    async fn tell(&self, heard: Heard) -> Result<(), Broken> {
        self.send(heard).await.map_err(|_| Broken::NobodyListens)
    }

    async fn send(&self, heard: Heard) -> Result<(), ()> {
        self.out.send((self.name.clone(), heard)).await.map_err(drop)
    }
}

fn watch_params() -> WatchParams {
    let timeout = u32::try_from(WATCH.as_secs()).expect("two minutes");
    WatchParams { timeout: Some(timeout), bookmarks: true, ..WatchParams::default() }
}

/// What a watch says, and the version at which it was so.
fn change<C: Catalogued>(event: Event<Slim<C>>) -> Result<(Heard, u64), String> {
    Ok(match event {
        Event::Upsert(object) => {
            let seen = object.seen()?;
            let at = seen.version;
            (Heard::Changed(Box::new(seen)), at)
        }
        Event::Delete(object) => {
            let Seen { id, uid, version, .. } = object.seen()?;
            (Heard::Gone { id, uid, version }, version)
        }
        Event::Bookmark(bookmark) => {
            let at = parse_version(&bookmark.resource_version)?;
            (Heard::Read { version: at }, at)
        }
    })
}

/// A page, or the beginning of a watch: over a connection that died silently it never comes.
async fn answer<T>(request: impl Future<Output = Result<T, KubeError>>) -> Result<T, Ended> {
    timeout(OVERDUE, request).await.map_err(|_| silent(OVERDUE))?.map_err(|error| ended(&error))
}

/// The next event that is no error; none at the end of the stream.
async fn next<S, K>(events: &mut S, patience: Duration) -> Result<Option<Event<K>>, Ended>
where
    S: Stream<Item = Result<WatchEvent<K>, KubeError>> + Unpin,
{
    match timeout(patience, events.next()).await.map_err(|_| silent(patience))? {
        Some(Ok(WatchEvent::Error(status))) if status.code == 410 => Err(Ended::Expired),
        Some(Ok(WatchEvent::Error(status))) => Err(Ended::Failed(format!("the API server ended a watch: {status}"))),
        Some(Ok(WatchEvent::Added(object) | WatchEvent::Modified(object))) => Ok(Some(Event::Upsert(object))),
        Some(Ok(WatchEvent::Deleted(object))) => Ok(Some(Event::Delete(object))),
        Some(Ok(WatchEvent::Bookmark(bookmark))) => Ok(Some(Event::Bookmark(bookmark.metadata))),
        Some(Err(error)) => Err(ended(&error)),
        None => Ok(None),
    }
}

fn silent(patience: Duration) -> Ended {
    Ended::Failed(format!("the API server was silent for {} s", patience.as_secs()))
}

fn ended(error: &KubeError) -> Ended {
    match error {
        KubeError::Api(status) if status.code == 410 => Ended::Expired,
        KubeError::Api(status) if status.code == 422 || status.code == 400 => Ended::Unsupported,
        _ => Ended::Failed(crate::cluster::describe(error)),
    }
}

#[cfg(test)]
mod tests;
