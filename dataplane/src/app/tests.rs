//! A whole dataplane, as far as its own numbers show.

use super::*;
use crate::tls::testing::{Leaf, Pki, root};
use rivmesh_sync::grpc::pipe;
use std::time::Duration;

const YAML: &str = "
platform: {hsaId: SE1-VP, name: region}
admin: {address: 127.0.0.1:0}
workers: 1
listeners:
- {name: internal, kind: internal, address: 127.0.0.1:0, internal: {cidrs: [127.0.0.0/8]}}
upstream:
  tls: {certificate: client.crt, privateKey: client.key, trust: ca.pem}
table: {directory: table}
timeouts: {drainDelay: 1ms}
";

#[tokio::test]
async fn a_table_directory_that_cannot_be_used_shows_in_the_metrics() {
    let (pki, ca) = (Pki::new(), root("Function CA v1"));
    pki.write("ca.pem", ca.pem());
    pki.leaf("client", &ca, &Leaf { years: (2020, 2040), ..Leaf::client(2, "SE1-CLIENT") }, &[]);
    pki.write("platform.yaml", YAML);
    pki.write("table", "a file, no directory");
    let (operator, _listener) = pipe();
    let options = Options {
        config: pki.path("platform.yaml"),
        operator: Some(Connector::Pipe(operator)),
        pod: "pod-1".to_owned(),
        pod_uid: String::new(),
        log_format: Format::Json,
        log_to: Box::new(std::io::sink()),
        control_plane: None,
    };
    let running = start(options).await.unwrap();
    let metrics = running.metrics();
    let told = async {
        while !metrics.encode().contains("\nrivmesh_table_unsaved 1.0\n") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), told).await.expect("the metrics tell it");
    let why = metrics.table_unsaved().unwrap();
    assert!(why.contains("a restart will begin without a table"), "{why}");
    running.drain().await;
}
