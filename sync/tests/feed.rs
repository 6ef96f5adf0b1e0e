//! The dataplane's task over a pipe: what it installs, what it keeps on disk, and what it says of itself.

mod support;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use rivmesh_sync::feed::{self, Feed, FeedStatus, OnDisk, Source};
use rivmesh_sync::grpc::{Connector, Observer, OpenGate, Pipe, StreamId, TableSync, pipe, serve};
use rivmesh_sync::{Event, Identity, Published};
use rivmesh_table::{Digest, FORMAT, SlotRef, Table};
use support::{Publisher, environment};
use tempfile::TempDir;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    let patience = Duration::from_secs(60);
    tokio::time::timeout(patience, future).await.unwrap_or_else(|_| panic!("{what} did not happen"))
}

/// Remembers what was said of dataplanes.
#[derive(Default)]
struct Events(Mutex<Vec<Event>>);

impl Observer for Events {
    fn event(&self, _: StreamId, event: Event) {
        self.0.lock().expect("no panic").push(event);
    }

    fn closed(&self, _: StreamId, _: Option<String>) {}
}

/// An operator that publishes what a test gives it.
struct Operator {
    pipe: Pipe,
    published: watch::Sender<Option<Arc<Published>>>,
    events: Arc<Events>,
    task: JoinHandle<()>,
}

impl Operator {
    fn start(published: Option<Arc<Published>>) -> Self {
        let (pipe, listener) = pipe();
        let (published, receiver) = watch::channel(published);
        let events = Arc::new(Events::default());
        let service = TableSync::new(receiver, events.clone(), Arc::new(OpenGate::default()));
        let task = tokio::spawn(async { serve(service, listener, std::future::pending()).await.expect("serves") });
        Self { pipe, published, events, task }
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Dataplane {
    table: Arc<Mutex<Arc<Table>>>,
    status: watch::Receiver<FeedStatus>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Dataplane {
    fn start(pipe: &Pipe, store: &Path) -> Self {
        Self::start_as(Identity::named("pod-1"), pipe, store)
    }

    fn start_as(identity: Identity, pipe: &Pipe, store: &Path) -> Self {
        let table = Arc::new(Mutex::new(Arc::new(Table::empty())));
        let (sender, status) = watch::channel(FeedStatus::default());
        let (stop, stopped) = oneshot::channel();
        let (current, install) = (table.clone(), table.clone());
        let connector = Connector::Pipe(pipe.clone());
        let task = tokio::spawn(feed::run(
            Feed { identity, connector, store: Some(store.to_owned()) },
            move || current.lock().expect("no panic").clone(),
            move |table| *install.lock().expect("no panic") = table,
            sender,
            async { drop(stopped.await) },
        ));
        Self { table, status, stop, task }
    }

    fn digest(&self) -> Digest {
        self.table.lock().expect("no panic").digest()
    }

    async fn until(&mut self, what: &str, is_it: impl FnMut(&FeedStatus) -> bool) -> FeedStatus {
        soon(what, async { self.status.wait_for(is_it).await.expect("it runs").clone() }).await
    }

    async fn until_table(&mut self, published: &Published) -> FeedStatus {
        self.until("the table", |status| status.digest == Some(published.digest())).await
    }

    async fn stop(self) {
        drop(self.stop);
        soon("the end", self.task).await.expect("no panic");
    }
}

fn directory() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

#[tokio::test]
async fn a_table_is_installed_told_and_on_disk_when_the_task_has_ended() {
    let mut publisher = Publisher::new();
    let first = publisher.publish_route("E001", 1);
    let operator = Operator::start(Some(first.clone()));
    let store = directory();
    let mut dataplane = Dataplane::start(&operator.pipe, store.path());
    let status = dataplane.until_table(&first).await;
    assert_eq!((status.source, status.epoch, status.operator_answered), (Source::Operator, Some(1), true));
    assert!(status.connected && status.since.is_some() && status.last_error.is_none());
    let second = publisher.publish_route("E001", 2);
    operator.published.send_replace(Some(second.clone()));
    assert_eq!(dataplane.until_table(&second).await.epoch, Some(2));
    assert_eq!(dataplane.digest(), second.digest());
    dataplane.stop().await;

    let pipe = operator.pipe.clone();
    drop(operator);
    let mut dataplane = Dataplane::start(&pipe, store.path());
    let status = dataplane.until_table(&second).await;
    assert_eq!((status.source, status.operator_answered), (Source::Disk, false));
    dataplane.stop().await;
}

#[tokio::test]
async fn a_stream_on_which_nothing_is_told_confirms_no_table() {
    let operator = Operator::start(None);
    let store = directory();
    let mut dataplane = Dataplane::start(&operator.pipe, store.path());
    assert!(!dataplane.until("a stream", |status| status.connected).await.heard);
    let first = Publisher::new().publish_route("E001", 1);
    operator.published.send_replace(Some(first.clone()));
    assert!(dataplane.until_table(&first).await.heard);
    dataplane.stop().await;
}

#[tokio::test]
async fn a_refused_table_is_told_on_both_sides_and_changes_nothing() {
    let mut publisher = Publisher::new();
    let good = publisher.publish_route("E001", 1);
    let operator = Operator::start(Some(good.clone()));
    let store = directory();
    let mut dataplane = Dataplane::start(&operator.pipe, store.path());
    dataplane.until_table(&good).await;

    let mut manifest = good.manifest().clone();
    let nonsense = Bytes::from_static(b"nonsense");
    let slot = *manifest.slots.keys().next().expect("a shard");
    manifest.slots.insert(slot, SlotRef { digest: Digest::of(&nonsense), len: nonsense.len() as u32 });
    publisher.shards.insert(Digest::of(&nonsense), nonsense);
    let bad = publisher.publish_as(&manifest);
    operator.published.send_replace(Some(bad.clone()));
    let status = dataplane.until("a refusal", |status| status.refused.is_some()).await;
    assert!(status.heard, "it has come through");
    let refusal = status.refused.expect("there is one");
    assert_eq!((refusal.digest, refusal.slot), (bad.digest(), Some(slot)));
    assert_eq!((status.digest, dataplane.digest()), (Some(good.digest()), good.digest()));

    let mended = publisher.publish_route("E001", 2);
    operator.published.send_replace(Some(mended.clone()));
    assert!(dataplane.until_table(&mended).await.refused.is_none());
    let events = operator.events.0.lock().expect("no panic").clone();
    let rejected =
        |event: &Event| matches!(event, Event::Rejected { slot: named, epoch: 2, .. } if *named == Some(slot));
    assert!(events.iter().any(rejected), "{events:?}");
    dataplane.stop().await;
}

#[tokio::test]
async fn a_damaged_store_is_told_ignored_and_replaced() {
    let published = Publisher::new().publish_route("E001", 1);
    let store = directory();
    std::fs::write(store.path().join("manifest"), "torn").expect("written");
    let operator = Operator::start(None);
    let mut dataplane = Dataplane::start(&operator.pipe, store.path());
    let status = dataplane.until("a report", |status| status.store_error.is_some()).await;
    assert_eq!((status.source, status.digest), (Source::None, None));
    assert!(status.store_error.expect("there is one").contains("is ignored until"));
    operator.published.send_replace(Some(published.clone()));
    dataplane.until("a good store", |status| status.store_error.is_none()).await;
    dataplane.stop().await;
    let mut dataplane = Dataplane::start(&operator.pipe, store.path());
    let status = dataplane.until_table(&published).await;
    assert!(status.store_error.is_none());
    dataplane.stop().await;
}

#[tokio::test]
async fn a_table_of_another_environment_on_disk_is_told_ignored_and_replaced() {
    let store = directory();
    let mut foreign = Publisher::of(Some(environment("test")), FORMAT);
    let foreign = foreign.publish_route("E001", 1);
    let operator = Operator::start(Some(foreign.clone()));
    let named = |name: &str| Identity { environment: Some(environment(name)), ..Identity::named("pod-1") };
    let mut dataplane = Dataplane::start_as(named("test"), &operator.pipe, store.path());
    dataplane.until_table(&foreign).await;
    dataplane.stop().await;

    // The same volume, in a release of another environment, whose operator has no table yet.
    let operator = Operator::start(None);
    let mut dataplane = Dataplane::start_as(named("production"), &operator.pipe, store.path());
    let status = dataplane.until("a report", |status| status.store_error.is_some()).await;
    assert_eq!((status.source, status.digest), (Source::None, None));
    assert!(status.store_error.expect("there is one").contains("environments never mix"));

    operator.published.send_replace(Some(foreign.clone()));
    let status = dataplane.until("a refusal", |status| status.refused.is_some()).await;
    assert_eq!((status.source, status.refused.map(|refusal| refusal.digest)), (Source::None, Some(foreign.digest())));

    let ours = Publisher::of(Some(environment("production")), FORMAT).publish_route("E001", 1);
    operator.published.send_replace(Some(ours.clone()));
    assert!(dataplane.until_table(&ours).await.refused.is_none());
    dataplane.until("a good store", |status| status.store_error.is_none()).await;
    dataplane.stop().await;
    let mut dataplane = Dataplane::start_as(named("production"), &operator.pipe, store.path());
    assert!(dataplane.until_table(&ours).await.store_error.is_none());
    dataplane.stop().await;
}

#[tokio::test]
async fn a_store_that_cannot_be_used_stops_nothing() {
    let published = Publisher::new().publish_route("E001", 1);
    let directory = directory();
    let file = directory.path().join("a file, no directory");
    std::fs::write(&file, "").expect("written");
    let operator = Operator::start(Some(published.clone()));
    let mut dataplane = Dataplane::start(&operator.pipe, &file);
    let status = dataplane.until_table(&published).await;
    assert!(status.unsaved().expect("nor can it be saved").contains("a restart will begin without a table"));
    dataplane.stop().await;
}

#[test]
fn without_a_store_nothing_is_unsaved() {
    let digest = Some(Digest::of(b"a table"));
    let status = FeedStatus { digest, ..FeedStatus::default() };
    assert_eq!(status.unsaved(), None);
    let status = FeedStatus { digest, on_disk: OnDisk::Table(None), ..FeedStatus::default() };
    assert_eq!(status.unsaved(), Some("the table in service is being saved"));
}

/// Takes the place of the file that everything is first written to, so that nothing can be saved.
fn obstruct(store: &TempDir) -> PathBuf {
    let obstacle = store.path().join("unfinished");
    std::fs::create_dir(&obstacle).expect("created");
    obstacle
}

#[tokio::test(start_paused = true)]
async fn a_table_that_could_not_be_saved_is_tried_again_until_it_is() {
    let log = tempfile::NamedTempFile::new().expect("a file");
    let writer = Mutex::new(log.reopen().expect("its file"));
    let _logging = tracing::subscriber::set_default(tracing_subscriber::fmt().with_writer(writer).finish());
    let published = Publisher::new().publish_route("E001", 1);
    let store = directory();
    let obstacle = obstruct(&store);
    let operator = Operator::start(Some(published.clone()));
    let mut dataplane = Dataplane::start(&operator.pipe, store.path());
    let status = dataplane.until("a failure", |status| status.store_error.is_some()).await;
    assert!(status.unsaved().expect("it failed").contains("could not write shard-"));
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert!(dataplane.status.borrow().unsaved().is_some(), "attempts fail as long as there is a reason");

    std::fs::remove_dir(&obstacle).expect("removed");
    let mended = Instant::now();
    let status = dataplane.until("a save", |status| status.unsaved().is_none()).await;
    assert!(mended.elapsed() <= Duration::from_secs(60), "after {:?}", mended.elapsed());
    assert_eq!((status.on_disk, status.store_error), (OnDisk::Table(Some(published.digest())), None));
    dataplane.stop().await;
    let log = std::fs::read_to_string(log.path()).expect("UTF-8");
    assert_eq!(log.matches("could not write").count(), 1, "once, not at every attempt: {log}");
    assert_eq!(log.matches("is on disk again").count(), 1, "{log}");
}

#[tokio::test(start_paused = true)]
async fn a_newer_table_does_not_wait_for_the_next_attempt() {
    let mut publisher = Publisher::new();
    let store = directory();
    let obstacle = obstruct(&store);
    let operator = Operator::start(Some(publisher.publish_route("E001", 1)));
    let mut dataplane = Dataplane::start(&operator.pipe, store.path());
    dataplane.until("a failure", |status| status.store_error.is_some()).await;
    std::fs::remove_dir(&obstacle).expect("removed");
    let mended = Instant::now();
    let second = publisher.publish_route("E001", 2);
    operator.published.send_replace(Some(second.clone()));
    let saved = OnDisk::Table(Some(second.digest()));
    dataplane.until("a save", |status| status.on_disk == saved).await;
    assert!(mended.elapsed() < Duration::from_secs(5), "after {:?}", mended.elapsed());
    dataplane.stop().await;
}

#[tokio::test]
async fn an_operator_that_comes_back_finds_its_dataplane_waiting() {
    let mut publisher = Publisher::new();
    let first = publisher.publish_route("E001", 1);
    let store = directory();
    let (pipe, listener) = pipe();
    let mut dataplane = Dataplane::start(&pipe, store.path());
    let (published, receiver) = watch::channel(Some(first.clone()));
    let (stop, stopped) = oneshot::channel::<()>();
    let service = TableSync::new(receiver, Arc::new(Events::default()), Arc::new(OpenGate::default()));
    let serving = tokio::spawn(serve(service, listener, async { drop(stopped.await) }));
    dataplane.until_table(&first).await;
    drop(stop);
    soon("the end of the service", serving).await.expect("no panic").expect("no error");
    drop(published);
    let status = dataplane.until("the loss", |status| !status.connected && status.last_error.is_some()).await;
    assert_eq!((status.digest, status.heard, status.operator_answered), (Some(first.digest()), false, true));
    dataplane.stop().await;
}
