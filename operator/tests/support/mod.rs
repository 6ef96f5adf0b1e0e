//! What the tests of a running control plane share: manifests, and a dataplane that does nothing but hold its table.
#![allow(dead_code, reason = "each test file uses its own part of this module")]

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rivmesh_sync::Identity;
use rivmesh_sync::feed::{self, Feed, FeedStatus};
use rivmesh_sync::grpc::Connector;
use rivmesh_table::{Kind, ObjectId, Table};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

/// Far longer than anything here takes; only a failure waits for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for something that must happen.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what} did not happen"))
}

/// A route for `count` addresses.
pub(crate) fn route(name: &str, count: usize, url: &str) -> String {
    let addresses: Vec<String> = (0..count).map(|number| format!("SE2321000131-{name}{number:03}")).collect();
    format!(
        "apiVersion: rivmesh.io/v1alpha1\nkind: RoutingEntry\nmetadata: {{name: {name}}}\nspec:\n  \
         serviceContracts: ['urn:riv:x:XResponder:1']\n  logicalAddresses: [{}]\n  \
         producer: {{profile: rivtabp21, endpoints: [{{url: '{url}'}}]}}\n",
        addresses.join(", ")
    )
}

pub(crate) fn write(directory: &Path, name: &str, content: &str) {
    std::fs::write(directory.join(name), content).expect("written");
}

pub(crate) fn route_id(name: &str) -> ObjectId {
    ObjectId { kind: Kind::RoutingEntry, namespace: "default".to_owned(), name: name.to_owned() }
}

/// A dataplane without a proxy.
pub(crate) struct Dataplane {
    table: Arc<ArcSwap<Table>>,
    pub(crate) status: watch::Receiver<FeedStatus>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Dataplane {
    pub(crate) fn start(connector: Connector, store: Option<PathBuf>) -> Self {
        Self::start_as(Identity::named("pod-1"), connector, store)
    }

    pub(crate) fn start_as(identity: Identity, connector: Connector, store: Option<PathBuf>) -> Self {
        let table = Arc::new(ArcSwap::from_pointee(Table::empty()));
        let (sender, status) = watch::channel(FeedStatus::default());
        let (stop, stopped) = oneshot::channel();
        let (current, install) = (table.clone(), table.clone());
        let task = tokio::spawn(feed::run(
            Feed { identity, connector, store },
            move || current.load_full(),
            move |table| install.store(table),
            sender,
            async { drop(stopped.await) },
        ));
        Self { table, status, stop: Some(stop), task }
    }

    pub(crate) fn table(&self) -> Arc<Table> {
        self.table.load_full()
    }

    /// The URL that the first route goes to.
    pub(crate) fn url(&self) -> Option<String> {
        let table = self.table();
        table.routes().next().and_then(|route| route.endpoints.clone().next().map(|endpoint| endpoint.url.to_owned()))
    }

    /// Waits for a status.
    pub(crate) async fn until(&self, what: &str, is_it: impl FnMut(&FeedStatus) -> bool) -> FeedStatus {
        let mut status = self.status.clone();
        soon(what, async { status.wait_for(is_it).await.expect("the feed runs").clone() }).await
    }

    /// Waits for a table of which something holds.
    pub(crate) async fn until_table(&self, what: &str, is_it: impl Fn(&Table) -> bool) {
        self.until(what, |status| status.digest.is_some() && is_it(&self.table())).await;
    }

    /// Waits for a first route that goes to this URL.
    pub(crate) async fn until_url(&self, url: &str) {
        self.until(url, |_| self.url().as_deref() == Some(url)).await;
    }

    pub(crate) async fn stop(mut self) {
        drop(self.stop.take());
        soon("the end of the feed", self.task).await.expect("no panic");
    }
}
