//! What the tests of this crate share: small tables and whoever publishes them.
#![allow(dead_code, reason = "each test file uses its own part of this module")]

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use rivmesh_crds::{Endpoint, Producer, RoutingEntrySpec};
use rivmesh_sync::Published;
use rivmesh_table::{CompileOptions, Compiler, Digest, Kind, Manifest, Object, ObjectId, Spec, Table};

/// Which route.
pub(crate) fn id(name: &str) -> ObjectId {
    ObjectId { kind: Kind::RoutingEntry, namespace: "default".to_owned(), name: name.to_owned() }
}

/// A route for one address of its own.
pub(crate) fn route(name: &str, generation: i64) -> Object {
    Object {
        id: id(name),
        uid: None,
        generation,
        created: None,
        path: None,
        spec: Spec::RoutingEntry(RoutingEntrySpec {
            service_contracts: vec!["urn:riv:x:XResponder:1".to_owned()],
            logical_addresses: vec![format!("SE2321000131-{name}")],
            producer: Producer {
                hsa_id: None,
                profile: "rivtabp21".to_owned(),
                endpoints: vec![Endpoint { url: format!("https://p{generation}.example/x"), max_in_flight: None }],
            },
            validity: None,
            precedence: 0,
            suspend: false,
            descriptions: BTreeMap::new(),
        }),
    }
}

/// Compiles and publishes, table after table.
pub(crate) struct Publisher {
    pub(crate) compiler: Compiler,
    pub(crate) latest: Option<Arc<Published>>,
    pub(crate) shards: BTreeMap<Digest, Bytes>,
}

impl Publisher {
    pub(crate) fn new() -> Self {
        Self { compiler: Compiler::new(CompileOptions::default()), latest: None, shards: BTreeMap::new() }
    }

    /// Publishes what the compiler holds now.
    pub(crate) fn publish(&mut self) -> Arc<Published> {
        let compilation = self.compiler.compile();
        self.shards.extend(compilation.shards);
        self.publish_as(compilation.manifest)
    }

    /// Publishes a manifest as it is.
    pub(crate) fn publish_as(&mut self, manifest: Manifest) -> Arc<Published> {
        let published = Published::new(manifest, &self.shards, self.latest.as_deref());
        let published = Arc::new(published.expect("every shard is known"));
        self.latest = Some(published.clone());
        published
    }

    /// Publishes with one more route, or another version of one.
    pub(crate) fn publish_route(&mut self, name: &str, generation: i64) -> Arc<Published> {
        self.compiler.upsert(route(name, generation));
        self.publish()
    }

    /// The latest table, as a dataplane would hold it.
    pub(crate) fn table(&self) -> Table {
        let latest = self.latest.as_ref().expect("something is published");
        let mut fetch = |digest| self.shards.get(&digest).cloned();
        Table::assemble(latest.manifest(), None, &mut fetch).expect("the compiler makes good tables")
    }
}
