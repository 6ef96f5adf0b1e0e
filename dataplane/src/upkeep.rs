//! What happens beside the calls: new settings are told to open connections, new tables to log and metrics, and the
//! pod's readiness follows the table.

use crate::control::{Shared, Signal};
use crate::ready::{self, Blocker, Readiness};
use crate::settings::{self, Settings};
use crate::telemetry::log::{Event, Sender};
use crate::telemetry::metrics::{Expiry, ExpiryKind};
use crate::telemetry::table::{RowCounts, TableInfo, TableSource};
use crate::tls;
use rivmesh_sync::disk::{Directory, Store, Stored};
use rivmesh_sync::feed::{FeedStatus, Source};
use rivmesh_table::{Environment, Table};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::watch;
use tokio::time::Instant;

/// How long a table from disk waits for an operator's word before the pod takes calls without it.
const WAIT_FOR_OPERATOR: Duration = Duration::from_secs(10);

/// How often metrics are told that the table of an operator that is heard is as fresh as now.
const FRESHEN: Duration = Duration::from_secs(5);

/// Serves the table on disk, for a dataplane without an operator. Ends when it has been loaded; the status remains.
pub(crate) async fn serve_stored(
    directory: Option<PathBuf>,
    environment: Option<Environment>,
    install: impl FnOnce(Arc<Table>),
    status: &watch::Sender<FeedStatus>,
) {
    let Some(directory) = directory else {
        status.send_modify(|s| s.store_error = Some("there is neither an operator nor a table directory".to_owned()));
        return;
    };
    match tokio::task::spawn_blocking(move || load(directory, environment.as_ref())).await {
        Ok(Ok(Some(stored))) => {
            let digest = stored.table.digest();
            install(Arc::new(stored.table));
            status.send_modify(|s| {
                s.source = Source::Disk;
                s.digest = Some(digest);
                s.since = Some(stored.saved);
            });
        }
        Ok(Ok(None)) => status.send_modify(|s| s.store_error = Some("the table directory holds no table".to_owned())),
        Ok(Err(error)) => status.send_modify(|s| s.store_error = Some(error)),
        Err(error) => status.send_modify(|s| s.store_error = Some(error.to_string())),
    }
}

fn load(directory: PathBuf, environment: Option<&Environment>) -> Result<Option<Stored>, String> {
    let files = Directory::open(directory).map_err(|e| e.to_string())?;
    Store::new(files).load(environment).map_err(|e| e.to_string())
}

/// Keeps the pod unready until its table may be used: an operator has sent or confirmed it, or it came from disk and no
/// operator answered for a while. With `max_stale`, also when no operator has come through with its table for so long.
pub(crate) async fn table_readiness(
    readiness: Readiness,
    blocker: Blocker,
    log: Sender,
    mut feed: watch::Receiver<FeedStatus>,
    has_operator: bool,
    max_stale: Option<Duration>,
) {
    let mut blocker = Some(blocker);
    let disk_counts_from = Instant::now() + WAIT_FOR_OPERATOR;
    let mut last_heard = Instant::now();
    let mut was_heard = false;
    let mut told = None;
    loop {
        let status = feed.borrow_and_update().clone();
        let now = Instant::now();
        // An operator that is gone was there until now: nothing is heard of one that has nothing new.
        if status.heard || was_heard || !has_operator {
            last_heard = now;
        }
        was_heard = status.heard;
        let stale_at = max_stale.map(|limit| last_heard + limit);
        let blocked = match status.source {
            Source::None => Some(why_no_table(&status)),
            Source::Disk if has_operator && !status.operator_answered && now < disk_counts_from => {
                Some("the table from disk waits for an operator's word".to_owned())
            }
            _ if stale_at.is_some_and(|at| now >= at) => {
                Some("no operator has come through with its table for maxStale".to_owned())
            }
            _ => None,
        };
        match (blocked, &blocker) {
            (None, _) => blocker = None,
            (Some(why), Some(held)) => held.because(why),
            (Some(why), None) => blocker.insert(readiness.block(ready::TABLE)).because(why),
        }
        let waiting_for = readiness.report().lines();
        if told.as_ref() != Some(&waiting_for) {
            log.event(Event::Readiness { waiting_for: waiting_for.clone() });
            told = Some(waiting_for);
        }
        let wake = stale_at.into_iter().chain((now < disk_counts_from).then_some(disk_counts_from));
        let wake = wake.filter(|at| *at > now).min().unwrap_or(now + Duration::from_secs(3600));
        tokio::select! {
            changed = feed.changed() => if changed.is_err() {
                return;
            },
            () = tokio::time::sleep_until(wake) => {}
        }
    }
}

/// What stands in the way of a first table: on disk, of those that were offered, on the way to an operator.
fn why_no_table(status: &FeedStatus) -> String {
    let refused = status.refused.as_ref().map(ToString::to_string);
    let reasons = [status.store_error.clone(), refused, status.last_error.clone()];
    let reasons: Vec<String> = reasons.into_iter().flatten().collect();
    if reasons.is_empty() { "no table yet".to_owned() } else { reasons.join("; ") }
}

/// Tells log and metrics about tables and readiness as they change.
pub(crate) async fn table_news(shared: Arc<Shared>, mut feed: watch::Receiver<FeedStatus>, readiness: Readiness) {
    let mut told = None;
    let mut refused = None;
    loop {
        let status = feed.borrow_and_update().clone();
        shared.metrics.set_feed_connected(status.connected);
        shared.metrics.set_table_unsaved(status.unsaved().map(str::to_owned));
        if status.digest.is_some() && status.digest != told {
            told = status.digest;
            let table = shared.table.load_full();
            shared.metrics.learn_contracts(table.contracts().map(|c| c.urn()));
            let info = table_info(&table, &status);
            shared.metrics.table_installed(info.clone());
            shared.log.event(Event::TableInstalled(info));
        }
        // Of a table from disk no more is known than when it was saved.
        if let (Source::Disk, Some(saved)) = (status.source, status.since) {
            shared.metrics.table_confirmed(saved);
        }
        if status.heard && status.source == Source::Operator {
            shared.metrics.table_confirmed(SystemTime::now());
        }
        if let Some(refusal) = &status.refused
            && status.refused != refused
        {
            shared.metrics.table_rejected();
            let digest = Some(*refusal.digest.as_bytes());
            shared.log.event(Event::TableRejected { digest, reason: refusal.to_string() });
        }
        refused = status.refused;
        shared.metrics.set_ready(readiness.is_ready());
        tokio::select! {
            changed = feed.changed() => if changed.is_err() {
                return;
            },
            // A table that is confirmed without a change is as fresh as the connection.
            () = tokio::time::sleep(FRESHEN) => {}
        }
    }
}

fn table_info(table: &Table, status: &FeedStatus) -> TableInfo {
    let counts = table.manifest().counts;
    TableInfo {
        digest: *table.digest().as_bytes(),
        epoch: status.epoch.unwrap_or_default(),
        source: if status.source == Source::Disk { TableSource::Disk } else { TableSource::Operator },
        rows: RowCounts {
            routes: counts.routes,
            authorizations: counts.authorizations,
            contracts: counts.contracts,
            hsa_units: counts.hsa_units,
        },
        installed: SystemTime::now(),
    }
}

/// Follows the configuration files, and tells open connections when something has changed.
pub(crate) async fn follow_files(shared: Arc<Shared>, config: PathBuf, signal: watch::Sender<Signal>) {
    show_expiries(&shared, &shared.settings.load());
    let file = config.display().to_string();
    let reader = shared.clone();
    settings::watch(shared.settings.clone(), config, move |event| match event {
        settings::Event::Applied(settings) => {
            reader.metrics.settings_reloaded(true);
            show_expiries(&reader, &settings);
            reader.log.event(Event::SettingsLoaded { file: file.clone() });
            for sentence in settings.warnings.iter().chain(&settings.pending_restart) {
                tracing::warn!("{sentence}");
            }
            signal.send_modify(|signal| signal.settings += 1);
        }
        settings::Event::Kept(error) => {
            reader.metrics.settings_reloaded(false);
            reader.log.event(Event::SettingsRejected { file: file.clone(), reason: error.to_string() });
        }
        settings::Event::Unwatched { folder, reason } => {
            tracing::warn!(folder = %folder.display(), "changes are seen within a minute only: {reason}");
        }
    })
    .await;
}

fn show_expiries(shared: &Shared, settings: &Settings) {
    let expiry = |e: tls::Expiry| Expiry {
        kind: if e.kind == tls::ExpiryKind::Crl { ExpiryKind::Crl } else { ExpiryKind::Certificate },
        name: format!("{} {}", e.name, e.file),
        at: e.at,
    };
    shared.metrics.set_expiries("settings", settings.expiries().into_iter().map(expiry).collect());
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;
    use crate::telemetry::log::{self, Format, Service};

    /// The readiness of a dataplane whose operator has sent its table. The log must live as long.
    fn heard(max_stale: Duration) -> (Readiness, watch::Sender<FeedStatus>, log::Log) {
        let readiness = Readiness::new();
        let log = log::start(Format::Json, &Service::default(), std::io::sink(), Arc::default()).expect("a thread");
        let status = FeedStatus {
            connected: true,
            heard: true,
            source: Source::Operator,
            operator_answered: true,
            ..FeedStatus::default()
        };
        let (sender, feed) = watch::channel(status);
        let blocker = readiness.block(ready::TABLE);
        tokio::spawn(table_readiness(readiness.clone(), blocker, log.sender(), feed, true, Some(max_stale)));
        (readiness, sender, log)
    }

    #[tokio::test(start_paused = true)]
    async fn max_stale_counts_from_when_the_operator_was_last_there() {
        let (second, limit) = (Duration::from_secs(1), Duration::from_secs(600));
        let (readiness, feed, _log) = heard(limit);
        // Its table is the latest, so that nothing is heard of the operator for a long time.
        sleep(limit - second).await;
        assert!(readiness.is_ready(), "{:?}", readiness.report());
        feed.send_modify(|status| (status.connected, status.heard) = (false, false));
        sleep(limit - second).await;
        assert!(readiness.is_ready(), "{:?}", readiness.report());
        sleep(second * 2).await;
        assert_eq!(readiness.report().lines(), ["table: no operator has come through with its table for maxStale"]);
        feed.send_modify(|status| (status.connected, status.heard) = (true, true));
        sleep(second).await;
        assert!(readiness.is_ready(), "{:?}", readiness.report());
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_that_fail_do_not_make_a_table_fresh() {
        let (second, limit) = (Duration::from_secs(1), Duration::from_secs(600));
        let (readiness, feed, _log) = heard(limit);
        sleep(second).await;
        feed.send_modify(|status| (status.connected, status.heard) = (false, false));
        for attempt in 0..60 {
            sleep(second * 10).await;
            feed.send_modify(|status| status.last_error = Some(format!("attempt {attempt} failed")));
        }
        sleep(second).await;
        assert!(!readiness.is_ready(), "nobody was there for longer than the limit");
    }

    #[tokio::test(start_paused = true)]
    async fn streams_on_which_no_table_gets_through_do_not_make_one_fresh() {
        let (second, limit) = (Duration::from_secs(1), Duration::from_secs(600));
        let (readiness, feed, _log) = heard(limit);
        sleep(second).await;
        feed.send_modify(|status| (status.connected, status.heard) = (false, false));
        for _ in 0..20 {
            sleep(second * 10).await;
            feed.send_modify(|status| status.connected = true);
            sleep(second * 20).await;
            feed.send_modify(|status| status.connected = false);
        }
        sleep(second).await;
        assert_eq!(readiness.report().lines(), ["table: no operator has come through with its table for maxStale"]);
    }

    #[test]
    fn whoever_has_no_table_says_everything_that_stands_in_the_way() {
        let mut status = FeedStatus::default();
        assert_eq!(why_no_table(&status), "no table yet");
        status.last_error = Some("the operator cannot be reached".to_owned());
        assert_eq!(why_no_table(&status), "the operator cannot be reached");
        status.store_error = Some("it holds a table of environment test".to_owned());
        assert_eq!(why_no_table(&status), "it holds a table of environment test; the operator cannot be reached");
    }
}
