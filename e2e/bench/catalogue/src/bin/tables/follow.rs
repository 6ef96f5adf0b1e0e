//! Dataplanes that carry no call: each follows an operator as a real one does, has a table of its own, takes in every
//! change and acknowledges it. They begin with one table from disk, so that hundreds of them fit into one machine.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use clap::Args;
use rivmesh_sync::Identity;
use rivmesh_sync::disk::{Directory, Store, Stored};
use rivmesh_sync::feed::{self, Feed, FeedStatus};
use rivmesh_sync::grpc::{Connector, TlsTarget};
use rivmesh_table::Table;
use tokio::sync::watch;
use tokio::task::JoinSet;

#[derive(Args)]
pub(crate) struct Options {
    /// Where the table is that they begin with; see `save`.
    directory: PathBuf,
    #[arg(long)]
    streams: usize,
    /// `host:port` of the operator.
    #[arg(long)]
    operator: String,
    /// PEM file with the authorities that vouch for it.
    #[arg(long)]
    operator_ca: PathBuf,
    #[arg(long)]
    operator_name: String,
    #[arg(long, default_value = "bench")]
    environment: String,
}

pub(crate) async fn run(options: &Options) -> Result<()> {
    let environment = options.environment.parse().context("--environment")?;
    let directory = Directory::open(&options.directory).with_context(|| options.directory.display().to_string())?;
    let Some(Stored { table, .. }) = Store::new(directory).load(Some(&environment))? else {
        bail!("{} holds no table: save one there", options.directory.display());
    };
    let table = Arc::new(table);
    let mut followers = JoinSet::new();
    for number in 0..options.streams {
        let target = TlsTarget {
            address: options.operator.clone(),
            authorities: options.operator_ca.clone(),
            server_name: Some(options.operator_name.clone()),
            identity: None,
            token: None,
        };
        let pod = Identity::named(format!("follower-{number}"));
        let identity = Identity { environment: Some(environment.clone()), ..pod };
        followers.spawn(follow(Feed { identity, connector: Connector::Tls(target), store: None }, table.clone()));
    }
    drop(table);
    followers.join_all().await;
    Ok(())
}

async fn follow(feed: Feed, table: Arc<Table>) {
    let table = Mutex::new(table);
    let held = || table.lock().unwrap_or_else(PoisonError::into_inner);
    let status = watch::Sender::new(FeedStatus::default());
    feed::run(feed, || held().clone(), |new| *held() = new, status, std::future::pending()).await;
}
