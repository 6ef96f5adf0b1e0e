//! Messages of 50 MB to peers that read slowly take hardly more memory than messages of 50 kB: what is on its way is
//! never held.

use std::cell::Cell;
use std::io::{self, Write};
use std::rc::Rc;
use std::time::Duration;

use rivmesh_e2e::http::{Framing, framing};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::spawn_local;

use crate::message::{answer, envelope, grant, outcome, request, request_head, route};
use crate::producer::Port;
use crate::rig::{CONSUMERS, Memory, Rig, alone};

const PARALLEL: usize = 50;
const SMALL: usize = 50_000;
const LARGE: usize = 50_000_000;
/// How much more the large ones may take, all of them together.
const ALLOWANCE: u64 = 16 * 1024 * 1024;
const PATIENCE: Duration = Duration::from_secs(120);
const PORTION: usize = 64 * 1024;
/// No byte has moved for this long: all buffers are full.
const STILL: Duration = Duration::from_millis(500);

/// Holds the readers back, and counts what the writers got rid of.
struct Flow {
    read: watch::Sender<bool>,
    written: Cell<usize>,
}

impl Flow {
    fn new() -> Rc<Self> {
        Rc::new(Self { read: watch::Sender::new(false), written: Cell::new(0) })
    }

    async fn may_read(&self) {
        self.read.subscribe().wait_for(|read| *read).await.unwrap();
    }

    /// Waits until nothing can be written any more because nobody reads, then lets the readers read.
    async fn until_full(&self, total: usize) {
        loop {
            let before = self.written.get();
            tokio::time::sleep(STILL).await;
            if before > 0 && before == self.written.get() || before == total {
                break;
            }
        }
        self.read.send_replace(true);
    }
}

/// Bytes that differ by their place.
fn pattern() -> Vec<u8> {
    (0..PORTION + 251).map(|at| b'a' + (at % 251 % 26) as u8).collect()
}

/// Whether `piece` is what stands at `at` of an endless pattern.
fn fits(pattern: &[u8], at: usize, piece: &[u8]) -> bool {
    pattern[at % 251..].starts_with(piece)
}

fn tell(what: &str, small: Memory, large: Memory) {
    let kib = |bytes: u64| bytes / 1024;
    let line = format!(
        "{what}: peak {} KiB with {PARALLEL} of 50 kB, {} KiB with {PARALLEL} of 50 MB: {} KiB more (allowed {})\n",
        kib(small.peak),
        kib(large.peak),
        kib(large.peak - small.peak),
        kib(ALLOWANCE)
    );
    // Past the test harness, which would swallow it: the measurement is a result.
    io::stderr().write_all(line.as_bytes()).unwrap();
    assert!(large.peak - small.peak < ALLOWANCE, "{line}");
}

fn patient() -> serde_json::Value {
    json!({"timeouts": {"call": "10m", "bodyIdle": "5m", "message": "10m", "connect": "30s", "handshake": "30s"}})
}

/// 50 answers of `size` bytes to consumers that do not read before the platform is full.
async fn answers(rig: &Rc<Rig>, flow: &Rc<Flow>, address: &'static str, size: usize) -> Memory {
    flow.read.send_replace(false);
    flow.written.set(0);
    let mut consumers = Vec::new();
    for nr in 0..PARALLEL {
        let (rig, flow) = (rig.clone(), flow.clone());
        consumers.push(spawn_local(async move {
            let mut peer = rig.connect(CONSUMERS[0].0).await.unwrap();
            peer.send(request(address, &nr.to_string()).as_bytes()).await.unwrap();
            let head = peer.head().await.unwrap().unwrap();
            assert_eq!(framing(&head, false).unwrap(), Framing::Length(size));
            flow.may_read().await;
            let (pattern, mut at) = (pattern(), 0);
            peer.take(size, |mut piece| {
                while !piece.is_empty() {
                    let here = piece.len().min(PORTION);
                    assert!(fits(&pattern, at, &piece[..here]), "consumer {nr} at {at}");
                    (piece, at) = (&piece[here..], at + here);
                }
            })
            .await
            .unwrap();
        }));
    }
    flow.until_full(PARALLEL * size).await;
    for consumer in consumers {
        tokio::time::timeout(PATIENCE, consumer).await.expect("in time").unwrap();
    }
    rig.memory()
}

#[test]
fn large_answers_to_slow_readers_are_not_held() {
    alone(async {
        let port = Port::bind();
        let manifests = [
            ("grant.yaml".to_owned(), grant("grant", &[CONSUMERS[0].1])),
            ("small.yaml".to_owned(), route("small", "SE1-SMALL", &port.url(&format!("/{SMALL}")), None)),
            ("large.yaml".to_owned(), route("large", "SE1-LARGE", &port.url(&format!("/{LARGE}")), None)),
        ];
        let rig = Rig::start(patient(), &manifests);
        let flow = Flow::new();
        let written = flow.clone();
        port.serve(rig.world.scene.pki.directory(), move |mut peer, head| {
            let flow = written.clone();
            async move {
                peer.body(&head, true).await?;
                let size: usize = head.start_line.split(['/', ' ']).nth(2).unwrap().parse().unwrap();
                peer.send(answer("").replace("Length: 0", &format!("Length: {size}")).as_bytes()).await?;
                let (pattern, mut at) = (pattern(), 0);
                while at < size {
                    let here = PORTION.min(size - at);
                    peer.send(&pattern[at % 251..][..here]).await?;
                    at += here;
                    flow.written.set(flow.written.get() + here);
                }
                Ok(peer)
            }
        });
        // The first round makes the connections and warms up what is kept between calls.
        answers(&rig, &flow, "SE1-SMALL", SMALL).await;
        let small = answers(&rig, &flow, "SE1-SMALL", SMALL).await;
        let large = answers(&rig, &flow, "SE1-LARGE", LARGE).await;
        tell("answers", small, large);
    });
}

/// 50 requests of `size` bytes to a producer that does not read before the platform is full.
async fn requests(rig: &Rc<Rig>, flow: &Rc<Flow>, size: usize) -> Memory {
    flow.read.send_replace(false);
    flow.written.set(0);
    let content = Rc::new(envelope("SE1-SINK", "", size));
    let mut consumers = Vec::new();
    for _ in 0..PARALLEL {
        let (rig, flow, content) = (rig.clone(), flow.clone(), content.clone());
        consumers.push(spawn_local(async move {
            let mut peer = rig.connect(CONSUMERS[0].0).await.unwrap();
            peer.send(request_head(content.len()).as_bytes()).await.unwrap();
            for portion in content.as_bytes().chunks(PORTION) {
                peer.send(portion).await.unwrap();
                flow.written.set(flow.written.get() + portion.len());
            }
            let head = peer.head().await.unwrap().unwrap();
            let body = peer.body(&head, false).await.unwrap();
            assert_eq!(outcome(&head, &body), (200, None));
            assert_eq!(body, content.len().to_string().as_bytes());
        }));
    }
    flow.until_full(PARALLEL * content.len()).await;
    for consumer in consumers {
        tokio::time::timeout(PATIENCE, consumer).await.expect("in time").unwrap();
    }
    rig.memory()
}

#[test]
fn large_requests_to_a_slow_producer_are_not_held() {
    alone(async {
        let port = Port::bind();
        let manifests = [
            ("grant.yaml".to_owned(), grant("grant", &[CONSUMERS[0].1])),
            ("sink.yaml".to_owned(), route("sink", "SE1-SINK", &port.url("/"), None)),
        ];
        let rig = Rig::start(patient(), &manifests);
        let flow = Flow::new();
        let reading = flow.clone();
        port.serve(rig.world.scene.pki.directory(), move |mut peer, head| {
            let flow = reading.clone();
            async move {
                flow.may_read().await;
                let Ok(Framing::Length(length)) = framing(&head, true) else { panic!("{head:?}") };
                let mut received = 0;
                peer.take(length, |piece| received += piece.len()).await?;
                peer.send(answer(&received.to_string()).as_bytes()).await?;
                Ok(peer)
            }
        });
        requests(&rig, &flow, SMALL).await;
        let small = requests(&rig, &flow, SMALL).await;
        let large = requests(&rig, &flow, LARGE).await;
        tell("requests", small, large);
    });
}
