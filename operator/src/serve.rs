//! The table port with certificates from files: those of an operator on a directory of manifests, or those that
//! somebody else keeps in a cluster. Files that change on disk are taken up without dropping a stream.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rivmesh_sync::grpc::{self, Loaded, ServerIdentity, TableSync, tls_incoming};
use tokio::net::TcpListener;
use tracing::{info, warn};

use crate::source::files::Fingerprint;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// Serves tables on a port until `shutdown`.
///
/// # Errors
/// When the certificate, key or authorities cannot be used at the start, or the transport fails as a whole.
pub async fn serve(
    service: TableSync,
    listener: TcpListener,
    identity: ServerIdentity,
    shutdown: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    if identity.client_authorities.is_none() {
        warn!("dataplanes are not asked for a certificate: whoever reaches this port can read the routing tables");
    }
    let config = Arc::new(ArcSwap::new(identity.load()?.config));
    info!(address = %listener.local_addr()?, "serving routing tables");
    let current = config.clone();
    let incoming = tls_incoming(listener, move || current.load_full());
    tokio::select! {
        served = grpc::serve(service, incoming, shutdown) => Ok(served?),
        () = follow_files(identity, move |loaded| config.store(loaded.config)) => Ok(()),
    }
}

/// Reads the files again whenever they change, for ever. What cannot be used is told, and what was loaded before stays.
pub(crate) async fn follow_files(identity: ServerIdentity, show: impl Fn(Loaded)) {
    let mut seen = fingerprints(&identity);
    loop {
        tokio::time::sleep(LOOK).await;
        let now = fingerprints(&identity);
        if now == seen {
            continue;
        }
        seen = now;
        match identity.load() {
            Ok(loaded) => {
                show(loaded);
                info!("took up the changed certificate files");
            }
            Err(error) => warn!("{error}; the certificate files from before stay in use"),
        }
    }
}

fn fingerprints(identity: &ServerIdentity) -> Vec<Option<Fingerprint>> {
    let ServerIdentity { certificate, private_key, client_authorities } = identity;
    let files: [Option<&PathBuf>; 3] = [Some(certificate), Some(private_key), client_authorities.as_ref()];
    files.into_iter().flatten().map(|path| Fingerprint::of(path).ok()).collect()
}
