//! A control plane in one process: a directory of manifests is watched, compiled, published and served. `rivmesh
//! standalone` and `rivmesh demo` run one beside a dataplane, which reaches it by [`ControlPlane::connector`]; the
//! operator's own binary serves it over TLS.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use anyhow::Context;
use rivmesh_sync::Published;
use rivmesh_sync::grpc::{self, Connector, OpenGate, Pipe, TableSync, pipe};
use rivmesh_table::{CompileOptions, Digest, ObjectId};
use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;

use crate::guard::Guard;
use crate::ledger::{Ledger, Snapshot};
use crate::notice::Notice;
use crate::publish::{self, Input};
use crate::source::Problem;
use crate::source::directory::Directory;
use crate::source::watch::{Watch, watch as watch_directory};
use crate::status::ObjectStatus;

/// What a control plane works on.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The directory of manifests.
    pub manifests: PathBuf,
    /// The HSA unit files, if there are any; later ones override earlier ones.
    pub hsa_units: Vec<PathBuf>,
    /// What the compiler must know about the platform.
    pub compile: CompileOptions,
    /// Where the shrink guard keeps its baseline and looks for a release; with none it forgets with the process.
    pub state: Option<PathBuf>,
}

/// A running control plane. It stops when dropped.
#[derive(Debug)]
pub struct ControlPlane {
    watch: Option<Watch>,
    inputs: Option<Sender<Input>>,
    thread: Option<std::thread::JoinHandle<()>>,
    pipe: Pipe,
    pipe_server: JoinHandle<()>,
    published: watch::Receiver<Option<Arc<Published>>>,
    ledger: Arc<Ledger>,
    gate: Arc<OpenGate>,
}

impl ControlPlane {
    /// Starts one, within a tokio runtime. Returns at once: the first table is published when all manifests are read.
    /// With it come its notices from its first moment on.
    ///
    /// # Errors
    /// When the directory of manifests is not there, the state directory cannot be used, or no thread can be started.
    pub fn start(options: Options) -> anyhow::Result<(Self, broadcast::Receiver<Notice>)> {
        let manifests = options.manifests;
        let metadata = std::fs::metadata(&manifests);
        let metadata = metadata.with_context(|| format!("the manifests in {} cannot be read", manifests.display()))?;
        anyhow::ensure!(metadata.is_dir(), "{} is not a directory of manifests", manifests.display());
        let guard = match options.state {
            Some(directory) => Guard::open(&directory)
                .with_context(|| format!("the state directory {} cannot be used", directory.display()))?,
            None => Guard::new(),
        };
        let ledger = Arc::new(Ledger::new());
        let notices = ledger.notices();
        let gate = Arc::new(OpenGate { environment: options.compile.environment.clone() });
        let publisher = publish::start(options.compile, guard, ledger.clone(), Box::new(drop))?;
        let batches = publisher.inputs.clone();
        let directory = Directory::new(manifests, options.hsa_units);
        let watch = watch_directory(directory, move |batch| batches.send(Input::Batch(batch)).is_ok())?;

        let (pipe, listener) = pipe();
        let service = TableSync::new(publisher.published.clone(), ledger.clone(), gate.clone());
        let pipe_server = tokio::spawn(async move {
            if let Err(error) = grpc::serve(service, listener, std::future::pending()).await {
                tracing::error!(%error, "the table service of this process failed");
            }
        });
        let control_plane = Self {
            watch: Some(watch),
            inputs: Some(publisher.inputs),
            thread: Some(publisher.thread),
            pipe,
            pipe_server,
            published: publisher.published,
            ledger,
            gate,
        };
        Ok((control_plane, notices))
    }

    /// The way for a dataplane in this process.
    pub fn connector(&self) -> Connector {
        Connector::Pipe(self.pipe.clone())
    }

    /// The service for dataplanes elsewhere; see [`crate::serve`].
    pub fn service(&self) -> TableSync {
        TableSync::new(self.published.clone(), self.ledger.clone(), self.gate.clone())
    }

    /// What is going on; the receiver learns of every change.
    pub fn snapshots(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.ledger.snapshots()
    }

    /// What happens from now on, in lines for people.
    pub fn notices(&self) -> broadcast::Receiver<Notice> {
        self.ledger.notices()
    }

    /// Everything that is wrong with the manifests now.
    pub fn problems(&self) -> Arc<[Problem]> {
        self.ledger.snapshots().borrow().problems.clone()
    }

    /// The status of every object, in order.
    pub fn objects(&self) -> Vec<ObjectStatus> {
        self.ledger.objects()
    }

    /// The status of one object.
    pub fn object(&self, id: &ObjectId) -> Option<ObjectStatus> {
        self.ledger.object(id)
    }

    /// The account itself, for whoever outlives this handle.
    pub fn ledger(&self) -> Arc<Ledger> {
        self.ledger.clone()
    }

    /// Publishes the table with this digest although it shrank, if it is the one that is held.
    pub fn release(&self, digest: Digest) {
        if let Some(inputs) = &self.inputs {
            // The compile thread lives as long as this handle.
            let _ = inputs.send(Input::Release(digest));
        }
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        self.watch = None;
        self.inputs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        self.pipe_server.abort();
    }
}
