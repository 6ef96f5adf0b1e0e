//! An operator without a cluster: the publisher and the service that a real one has, and a change now and then.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use rivmesh_operator::guard::Guard;
use rivmesh_operator::ledger::Ledger;
use rivmesh_operator::publish::{self, Input, Publisher};
use rivmesh_operator::serve;
use rivmesh_operator::source::{Batch, Change};
use rivmesh_sync::grpc::{OpenGate, ServerIdentity, TableSync};
use rivmesh_table::{Object, Spec};
use tokio::net::TcpListener;

use crate::applied::{Applied, Cpu, typical_and_longest};
use crate::what::What;

/// Changes that are timed.
const TIMED: u32 = 60;

#[derive(Args)]
pub(crate) struct Options {
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
    /// Wait for so many streams, time the changes until the last of them has acknowledged, print that and end.
    #[arg(long, requires = "every")]
    streams: Option<usize>,
}

pub(crate) async fn run(options: &Options) -> Result<()> {
    let applied = Applied::new(Arc::new(Ledger::new()));
    let compile = options.what.options()?;
    let gate = Arc::new(OpenGate { environment: compile.environment.clone() });
    let publisher = publish::start(compile, Guard::new(), applied.ledger(), Box::new(drop))?;
    let objects = options.what.objects();
    let changing = objects.iter().find(|object| is_typical(object)).cloned();
    send(&publisher, objects)?;
    let service = TableSync::new(publisher.published.clone(), applied.clone(), gate);
    let listener = TcpListener::bind(options.listen).await.with_context(|| options.listen.to_string())?;
    let identity = ServerIdentity {
        certificate: options.cert.clone(),
        private_key: options.key.clone(),
        client_authorities: None,
    };
    let every = options.every.map(Duration::from_secs_f64);
    let changes = async {
        let Some(every) = every else { return std::future::pending().await };
        let Some(mut object) = changing else { bail!("no object to change: --rows is too small") };
        match options.streams {
            Some(streams) => time(&publisher, &applied, &mut object, every, streams).await,
            None => loop {
                tokio::time::sleep(every).await;
                change(&publisher, &mut object)?;
            },
        }
    };
    tokio::select! {
        served = serve::serve(service, listener, identity, std::future::pending()) => served,
        ended = changes => ended,
    }
}

/// Makes changes and prints how long each took until all streams had acknowledged it, and what this process cost.
async fn time(
    publisher: &Publisher,
    applied: &Applied,
    object: &mut Object,
    every: Duration,
    streams: usize,
) -> Result<()> {
    let mut published = publisher.published.clone();
    let first = published.wait_for(Option::is_some).await?.as_ref().map_or(0, |published| published.epoch());
    applied.by(streams, first).await;
    let (began, cpu) = (Instant::now(), Cpu::now());
    let mut took = Vec::new();
    let mut next = tokio::time::interval(every);
    for epoch in first + 1..=first + u64::from(TIMED) {
        next.tick().await;
        let sent = Instant::now();
        change(publisher, object)?;
        applied.by(streams, epoch).await;
        took.push(sent.elapsed());
    }
    let cores = cpu.seconds() / began.elapsed().as_secs_f64();
    let [p50, max] = typical_and_longest(&mut took).map(|duration| duration.as_millis());
    println!(r#"{{"streams":{streams},"changes":{TIMED},"p50_ms":{p50},"max_ms":{max},"cores":{cores:.3}}}"#);
    Ok(())
}

fn change(publisher: &Publisher, object: &mut Object) -> Result<()> {
    object.generation += 1;
    if let Spec::RoutingEntry(spec) = &mut object.spec {
        spec.producer.endpoints[0].url = format!("https://moved.example.se/{}", object.generation);
    }
    send(publisher, vec![object.clone()])
}

fn send(publisher: &Publisher, objects: Vec<Object>) -> Result<()> {
    let changes = objects.into_iter().map(|object| Change::Upsert(Box::new(object))).collect();
    let batch = Batch { changes, urgent: false, problems: Arc::from([]), whole: true, reach: Default::default() };
    publisher.inputs.send(Input::Batch(batch)).context("the publisher ended")
}

/// Several contracts at some twenty addresses of one organisation.
fn is_typical(object: &Object) -> bool {
    matches!(&object.spec, Spec::RoutingEntry(spec) if spec.service_contracts.len() == 5 && spec.logical_addresses.len() == 20)
}
