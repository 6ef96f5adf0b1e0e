//! What the tests of this crate share: small tables and whoever publishes them.
#![allow(dead_code, reason = "each test file uses its own part of this module")]

pub(crate) mod pair;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use rivmesh_crds::{Endpoint, Producer, RoutingEntrySpec};
use rivmesh_sync::Published;
use rivmesh_table::{
    CompileOptions, Compiler, Digest, Environment, FORMAT, Kind, Manifest, Object, ObjectId, Spec, Table,
};

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

/// An environment.
pub(crate) fn environment(name: &str) -> Environment {
    name.parse().expect("it is a name")
}

/// A table in another format, as an operator that writes nothing newer has it.
pub(crate) fn in_format(format: u32, manifest: &Manifest) -> Manifest {
    Manifest::decode(&manifest.encode_in(format)).expect("it is good")
}

/// Compiles and publishes, table after table.
pub(crate) struct Publisher {
    /// The newest format that it writes.
    pub(crate) format: u32,
    pub(crate) compiler: Compiler,
    pub(crate) latest: Option<Arc<Published>>,
    pub(crate) shards: BTreeMap<Digest, Bytes>,
}

impl Publisher {
    pub(crate) fn new() -> Self {
        Self::of(None, FORMAT)
    }

    /// One for this environment, of a version that writes no newer format.
    pub(crate) fn of(environment: Option<Environment>, format: u32) -> Self {
        let compiler = Compiler::new(CompileOptions { environment, ..CompileOptions::default() });
        Self { format, compiler, latest: None, shards: BTreeMap::new() }
    }

    /// Publishes what the compiler holds now.
    pub(crate) fn publish(&mut self) -> Arc<Published> {
        let compilation = self.compiler.compile();
        self.shards.extend(compilation.shards);
        self.publish_as(&compilation.manifest)
    }

    /// Publishes a manifest as it is, but for its format.
    pub(crate) fn publish_as(&mut self, manifest: &Manifest) -> Arc<Published> {
        let manifest = in_format(self.format, manifest);
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
        self.table_in(self.format)
    }

    /// The latest table, as a dataplane that reads no newer format would hold it.
    pub(crate) fn table_in(&self, format: u32) -> Table {
        let latest = self.latest.as_ref().expect("something is published");
        let mut fetch = |digest| self.shards.get(&digest).cloned();
        let manifest = in_format(format, latest.manifest());
        Table::assemble(&manifest, None, &mut fetch).expect("the compiler makes good tables")
    }
}
