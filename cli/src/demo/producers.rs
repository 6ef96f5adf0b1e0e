//! The demo's producers: one greets, one greets in the older profile, one refuses everybody.

use super::tls_files;
use crate::{producer, tls};
use anyhow::Context;
use std::path::Path;
use tokio::net::TcpListener;

/// A producer of the demo.
#[derive(Clone, Copy)]
pub(super) struct Producer {
    /// Its name, of its certificate too.
    pub name: &'static str,
    pub hsa_id: &'static str,
    pub port: u16,
    /// Whether it answers everything with HTTP 403.
    pub refuses: bool,
}

/// The producers that the quickstart's routes lead to.
pub(super) const PRODUCERS: [Producer; 3] = [
    Producer { name: "hospital", hsa_id: "SE2329990001-S0J1", port: 19101, refuses: false },
    Producer { name: "vendor", hsa_id: "SE5599990004-S0G2", port: 19102, refuses: false },
    Producer { name: "refusing", hsa_id: "SE5599990005-S0N3", port: 19103, refuses: true },
];

/// Starts a producer; it runs until the process ends.
pub(super) async fn start(producer: Producer, pki: &Path) -> anyhow::Result<()> {
    let Producer { name, port, refuses, .. } = producer;
    let config = tls::server(&tls_files(pki, name))?;
    let listener = TcpListener::bind(("127.0.0.1", port)).await;
    let listener = listener.with_context(|| format!("port {port} is taken; the demo's producer {name} needs it"))?;
    tokio::spawn(producer::serve(
        producer::Producer { name: name.to_owned(), refuses, talks: false },
        config,
        listener,
    ));
    Ok(())
}
