//! A control plane and a dataplane in one process, joined by a pipe: what `standalone` and `demo` have in common.

use rivmesh_crds::{ConditionStatus, ConditionType, Status};
use rivmesh_dataplane::admin::{ControlPlaneStatus, ObjectStatus};
use rivmesh_dataplane::app::{self, Running};
use rivmesh_dataplane::config::{self, Platform};
use rivmesh_dataplane::telemetry::log::{self, Format};
use rivmesh_dataplane::telemetry::metrics::{Metrics, RefusedRows};
use rivmesh_operator::ledger::{Ledger, ObjectCounts};
use rivmesh_operator::{ControlPlane, Options, notice};
use rivmesh_table::CompileOptions;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

/// How to start both.
pub(crate) struct Setup {
    /// The directory of manifests.
    pub manifests: PathBuf,
    /// `platform.yaml`.
    pub config: PathBuf,
    pub log_format: Format,
    pub log_to: Box<dyn Write + Send>,
    /// Which messages of the process are logged, as `info`.
    pub log_filter: String,
}

/// Both, running.
pub(crate) struct Together {
    pub control_plane: ControlPlane,
    pub dataplane: Running,
}

impl Together {
    /// Starts both. Returns when the listeners are bound; the first table follows.
    pub(crate) async fn start(setup: Setup) -> anyhow::Result<Self> {
        let platform = config::load(&setup.config)?;
        let (control_plane, notices) = ControlPlane::start(control_plane_options(setup.manifests, platform))?;
        let (ledger, counted) = (control_plane.ledger(), control_plane.ledger());
        let dataplane = app::start(app::Options {
            config: setup.config,
            operator: Some(control_plane.connector()),
            pod: hostname(),
            pod_uid: String::new(),
            log_format: setup.log_format,
            log_to: setup.log_to,
            control_plane: Some(Box::new(move || control_plane_status(&ledger))),
        })
        .await?;
        log::install(dataplane.log(), &setup.log_filter)?;
        tokio::spawn(count(counted, dataplane.metrics()));
        tokio::spawn(notice::log(notices));
        Ok(Self { control_plane, dataplane })
    }

    /// Ends both in order. Returns how many connections had to be cut.
    pub(crate) async fn drain(self) -> usize {
        self.dataplane.drain().await
    }
}

/// What the control plane needs to know of the platform: tables are for its environment.
fn control_plane_options(manifests: PathBuf, platform: Platform) -> Options {
    Options {
        manifests,
        hsa_units: platform.hsa_units,
        compile: CompileOptions {
            environment: Some(platform.environment),
            internal: platform.upstream.internal,
            ..CompileOptions::default()
        },
        state: platform.table.directory,
    }
}

/// Keeps the metrics about the control plane up to date; ends with it.
async fn count(ledger: Arc<Ledger>, metrics: Arc<Metrics>) {
    let mut snapshots = ledger.snapshots();
    loop {
        metrics.set_table_held(snapshots.borrow_and_update().held.is_some());
        let ObjectCounts { rejected_rows: rejected, conflicting_rows: conflicts, .. } = ledger.counts();
        metrics.set_refused_rows(RefusedRows { rejected, conflicts });
        if snapshots.changed().await.is_err() {
            return;
        }
    }
}

fn control_plane_status(ledger: &Ledger) -> ControlPlaneStatus {
    let snapshot = ledger.snapshots().borrow().clone();
    ControlPlaneStatus {
        objects: objects(ledger),
        problems: snapshot.problems.iter().map(ToString::to_string).collect(),
        held: snapshot.held.as_ref().map(ToString::to_string),
    }
}

fn objects(ledger: &Ledger) -> Vec<ObjectStatus> {
    let objects = ledger.objects().into_iter();
    objects
        .map(|object| ObjectStatus {
            kind: object.id.kind.to_string(),
            namespace: object.id.namespace.clone(),
            name: object.id.name.clone(),
            ready: is_ready(&object.status),
            status: serde_json::to_value(&object.status).unwrap_or_default(),
        })
        .collect()
}

fn is_ready(status: &Status) -> bool {
    let ready = ConditionType::Ready.as_str();
    status.conditions.iter().any(|c| c.type_ == ready && c.status == ConditionStatus::True)
}

fn hostname() -> String {
    std::fs::read_to_string("/etc/hostname").map_or_else(|_| "standalone".to_owned(), |name| name.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_for_the_platforms_environment() {
        let folder = tempfile::tempdir().expect("a directory");
        let file = folder.path().join("platform.yaml");
        let settings = include_str!("../testdata/platform.yaml");
        for (settings, expected) in [
            (settings.to_owned(), "test"),
            (settings.replace("platform: {", "platform: {environment: production, "), "production"),
        ] {
            std::fs::write(&file, settings).expect("written");
            let platform = config::load(&file).expect("good");
            let options = control_plane_options("manifests".into(), platform);
            assert_eq!(options.compile.environment.map(String::from).as_deref(), Some(expected));
        }
    }
}
