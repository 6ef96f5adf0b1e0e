//! Tables of any size for a real dataplane to be measured with: saved where it finds them when it starts, or served as an
//! operator does, with a change now and then.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use bytes::Bytes;
use clap::{Args, Parser};
use rivmesh_catalogue::{Catalogue, Random, measured};
use rivmesh_operator::guard::Guard;
use rivmesh_operator::ledger::Ledger;
use rivmesh_operator::publish::{self, Input};
use rivmesh_operator::serve;
use rivmesh_operator::source::{Batch, Change};
use rivmesh_sync::disk::{Directory, Store};
use rivmesh_sync::grpc::{OpenGate, ServerIdentity, TableSync};
use rivmesh_table::{CompileOptions, Compiler, Environment, Object, Spec, Table};
use tokio::net::TcpListener;

/// Addresses that each row of the made-up catalogue leads to, roughly.
const ROWS_OF_AN_ADDRESS: usize = 24;
const ROWS_OF_AN_OBJECT: usize = 100;

#[derive(Parser)]
enum Command {
    /// Save the table in a directory, for a dataplane without an operator.
    Save {
        #[command(flatten)]
        what: What,
        directory: PathBuf,
    },
    /// Serve the table until killed, and change one object at intervals.
    Serve {
        #[command(flatten)]
        what: What,
        #[arg(long)]
        listen: SocketAddr,
        /// The certificate that is shown, PEM.
        #[arg(long)]
        cert: PathBuf,
        #[arg(long)]
        key: PathBuf,
        /// Seconds between two changes; none without.
        #[arg(long)]
        every: Option<f64>,
    },
}

#[derive(Args)]
struct What {
    /// So many routes and so many authorisations.
    #[arg(long, default_value_t = 0)]
    rows: usize,
    /// The environment that the table is for.
    #[arg(long, default_value = "bench")]
    environment: String,
    /// The producer stand-in's port on localhost.
    #[arg(long)]
    producer_port: u16,
    /// Sizes of answers that are asked for, in bytes.
    #[arg(long, value_delimiter = ',', required = true)]
    answers: Vec<u64>,
}

impl What {
    fn objects(&self) -> Vec<Object> {
        let mut objects = measured(self.producer_port, &self.answers);
        if self.rows > 0 {
            let random = &mut Random(1);
            let catalogue = Catalogue::new(random, (self.rows / ROWS_OF_AN_ADDRESS).max(ROWS_OF_AN_OBJECT));
            objects.extend(catalogue.service_contracts(random));
            objects.extend(catalogue.routing_entries(random, self.rows, ROWS_OF_AN_OBJECT));
            objects.extend(catalogue.authorizations(random, self.rows));
        }
        objects
    }

    fn options(&self) -> Result<CompileOptions> {
        let environment: Environment = self.environment.parse().context("--environment")?;
        Ok(CompileOptions { environment: Some(environment), ..CompileOptions::default() })
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    match Command::parse() {
        Command::Save { what, directory } => save(&what, &directory),
        Command::Serve { what, listen, cert, key, every } => {
            let identity = ServerIdentity { certificate: cert, private_key: key, client_authorities: None };
            serve(&what, listen, identity, every.map(Duration::from_secs_f64)).await
        }
    }
}

fn save(what: &What, directory: &Path) -> Result<()> {
    let mut compiler = Compiler::new(what.options()?);
    what.objects().into_iter().for_each(|object| compiler.upsert(object));
    let compilation = compiler.compile();
    let shard = |digest| -> Option<Bytes> { compilation.shards.get(&digest).cloned() };
    let table = Table::assemble(&compilation.manifest, None, &mut { shard })?;
    let directory = Directory::open(directory).with_context(|| directory.display().to_string())?;
    Store::new(directory).save(&table, SystemTime::now())?;
    println!("saved {:?}", compilation.manifest.counts);
    Ok(())
}

async fn serve(what: &What, listen: SocketAddr, identity: ServerIdentity, every: Option<Duration>) -> Result<()> {
    let options = what.options()?;
    let gate = Arc::new(OpenGate { environment: options.environment.clone() });
    let ledger = Arc::new(Ledger::new());
    let publisher = publish::start(options, Guard::new(), ledger.clone(), Box::new(drop))?;
    let objects = what.objects();
    let mut changing = objects.iter().find(|object| is_typical(object)).cloned();
    let send = move |objects: Vec<Object>| {
        let changes = objects.into_iter().map(|object| Change::Upsert(Box::new(object))).collect();
        let batch = Batch { changes, urgent: false, problems: Arc::from([]), whole: true, reach: Default::default() };
        publisher.inputs.send(Input::Batch(batch)).context("the publisher ended")
    };
    send(objects)?;
    let service = TableSync::new(publisher.published.clone(), ledger, gate);
    let listener = TcpListener::bind(listen).await.with_context(|| listen.to_string())?;
    let changes = async {
        let Some(every) = every else { return std::future::pending().await };
        loop {
            tokio::time::sleep(every).await;
            let Some(object) = &mut changing else { anyhow::bail!("no object to change: --rows is too small") };
            object.generation += 1;
            if let Spec::RoutingEntry(spec) = &mut object.spec {
                spec.producer.endpoints[0].url = format!("https://moved.example.se/{}", object.generation);
            }
            send(vec![object.clone()])?;
        }
    };
    tokio::select! {
        served = serve::serve(service, listener, identity, std::future::pending()) => served,
        ended = changes => ended,
    }
}

/// Several contracts at some twenty addresses of one organisation.
fn is_typical(object: &Object) -> bool {
    matches!(&object.spec, Spec::RoutingEntry(spec) if spec.service_contracts.len() == 5 && spec.logical_addresses.len() == 20)
}
