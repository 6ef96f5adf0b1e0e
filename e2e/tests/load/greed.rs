//! Hundreds of peers that take what they can get: half a head, half a handshake, a body that trickles, a producer that
//! never answers. Everybody else is served as if they were not there, and all they held comes back.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::task::{JoinHandle, spawn_local};

use crate::message::{answer, grant, mark, outcome, request, request_head, route};
use crate::peer::Peer;
use crate::producer::Port;
use crate::rig::{CONSUMERS, Rig, alone, until};

const HALF_HEADS: usize = 500;
/// More than there are places for handshakes.
const STALLED_HANDSHAKES: usize = 300;
const TRICKLES: usize = 200;
/// Calls to the producer that never answers, and how many of them it may have.
const HOPELESS: usize = 30;
const PLACES: usize = 10;
const PATIENCE: Duration = Duration::from_secs(60);
/// What all of them together may cost.
const ALLOWANCE: u64 = 96 * 1024 * 1024;

/// What the others experience.
#[derive(Default)]
struct Others {
    done: Cell<bool>,
    calls: Cell<usize>,
    slowest: Cell<Duration>,
}

impl Others {
    async fn call(&self, peer: &mut Peer, mark_of_call: &str) {
        let began = Instant::now();
        peer.send(request("SE1-GOOD", mark_of_call).as_bytes()).await.unwrap();
        let head = peer.head().await.unwrap().unwrap_or_else(|| panic!("{mark_of_call} was lost"));
        let body = peer.body(&head, false).await.unwrap();
        assert_eq!(outcome(&head, &body), (200, None), "{}", String::from_utf8_lossy(&body));
        assert_eq!(body, mark_of_call.as_bytes());
        self.slowest.set(self.slowest.get().max(began.elapsed()));
        self.calls.set(self.calls.get() + 1);
    }

    /// Calls on one connection, or on a new one each time, until the test is over.
    fn go_on(self: &Rc<Self>, rig: &Rc<Rig>, nr: usize, always_new: bool) -> JoinHandle<()> {
        let (others, rig) = (self.clone(), rig.clone());
        spawn_local(async move {
            let mut peer = rig.connect(CONSUMERS[0].0).await.unwrap();
            let mut call = 0;
            while !others.done.get() {
                call += 1;
                if always_new {
                    let began = Instant::now();
                    peer = rig.connect(CONSUMERS[0].0).await.expect("a new consumer is let in");
                    others.slowest.set(others.slowest.get().max(began.elapsed()));
                }
                others.call(&mut peer, &format!("other-{nr}-{call}")).await;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
    }
}

/// What the platform answered to somebody who never finished.
fn status(rest: &[u8]) -> String {
    String::from_utf8_lossy(rest).split(' ').nth(1).unwrap_or("nothing").to_owned()
}

#[test]
fn slow_and_greedy_peers_hurt_nobody_else() {
    alone(async {
        let (good, hanging) = (Port::bind(), Port::bind());
        let manifests = [
            ("grant.yaml".to_owned(), grant("grant", &[CONSUMERS[0].1])),
            ("good.yaml".to_owned(), route("good", "SE1-GOOD", &good.url("/"), None)),
            ("hanging.yaml".to_owned(), route("hanging", "SE1-HANGING", &hanging.url("/"), Some(PLACES as u32))),
        ];
        let rig = Rig::start(
            json!({"timeouts": {"handshake": "20s", "head": "4s", "bodyIdle": "4s", "message": "6s", "call": "6s", "connect": "10s"}}),
            &manifests,
        );
        let pki = rig.world.scene.pki.directory();
        good.serve(pki, async |mut peer, head| {
            let body = peer.body(&head, true).await?;
            peer.send(answer(&mark(&body)).as_bytes()).await?;
            Ok(peer)
        });
        let held = Rc::new(Cell::new(0_usize));
        let holding = held.clone();
        hanging.serve(pki, move |mut peer, head| {
            let held = holding.clone();
            async move {
                peer.body(&head, true).await?;
                held.set(held.get() + 1);
                peer.rest().await;
                held.set(held.get() - 1);
                Err(std::io::ErrorKind::ConnectionAborted.into())
            }
        });

        let others = Rc::new(Others::default());
        let mut served: Vec<_> = (0..10).map(|nr| others.go_on(&rig, nr, false)).collect();
        until("the others are served", PATIENCE, async || others.calls.get() > 100).await;
        let before = rig.memory();
        let open_before = rig.metric("rivmesh_connections_open").await;
        assert_eq!(open_before, 10.0);
        served.push(others.go_on(&rig, 10, true));

        let answers: Rc<RefCell<Vec<(&str, String)>>> = Rc::default();
        let mut greedy = Vec::new();
        let mut start =
            |what: &'static str,
             count: usize,
             act: &dyn Fn(Rc<Rig>) -> std::pin::Pin<Box<dyn Future<Output = Vec<u8>>>>| {
                for _ in 0..count {
                    let (acting, answers) = (act(rig.clone()), answers.clone());
                    greedy.push(spawn_local(async move {
                        let rest = acting.await;
                        answers.borrow_mut().push((what, status(&rest)));
                    }));
                }
            };
        start("half a handshake", STALLED_HANDSHAKES, &|rig| {
            Box::pin(async move {
                let mut socket = rig.dial().await.unwrap();
                // The first bytes of a ClientHello that announces 512.
                socket.write_all(&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]).await.unwrap();
                Peer::new(socket).rest().await
            })
        });
        start("half a head", HALF_HEADS, &|rig| {
            Box::pin(async move {
                let mut peer = rig.connect(CONSUMERS[0].0).await.unwrap();
                peer.send(b"POST /vp HTTP/1.1\r\nHost: localhost\r\nX-Unfinished: y").await.unwrap();
                peer.rest().await
            })
        });
        start("a trickle", TRICKLES, &|rig| {
            Box::pin(async move {
                let mut peer = rig.connect(CONSUMERS[0].0).await.unwrap();
                peer.send((request_head(1_000_000) + "<e:Envelope ").as_bytes()).await.unwrap();
                let began = Instant::now();
                while began.elapsed() < PATIENCE && peer.send(b" ").await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(400)).await;
                }
                peer.rest().await
            })
        });
        start("no hope", HOPELESS, &|rig| {
            Box::pin(async move {
                let mut peer = rig.connect(CONSUMERS[0].0).await.unwrap();
                peer.send(request("SE1-HANGING", "").as_bytes()).await.unwrap();
                let head = peer.head().await.unwrap().unwrap();
                let body = peer.body(&head, false).await.unwrap();
                format!("HTTP/1.1 {}", outcome(&head, &body).1.unwrap_or_default()).into_bytes()
            })
        });

        let all = (STALLED_HANDSHAKES + HALF_HEADS + TRICKLES) as f64;
        until("most of them are there at once", PATIENCE, async || {
            rig.metric("rivmesh_connections_open").await >= all * 0.5
        })
        .await;
        assert!(held.get() <= PLACES, "{} calls wait for a producer that may have {PLACES}", held.get());
        for one in greedy {
            tokio::time::timeout(PATIENCE, one).await.expect("they are sent away").unwrap();
        }
        others.done.set(true);
        for one in served {
            one.await.unwrap();
        }
        until("their connections are gone", PATIENCE, async || {
            rig.metric("rivmesh_connections_open").await == 0.0
                && rig.metric("rivmesh_producer_calls_in_flight").await == 0.0
        })
        .await;
        until("the producer is rid of its calls", PATIENCE, async || held.get() == 0).await;

        let answers = answers.borrow();
        let count = |what: &str, status: &str| answers.iter().filter(|(w, s)| *w == what && s == status).count();
        assert_eq!(count("half a head", "408"), HALF_HEADS, "{answers:?}");
        assert_eq!(count("no hope", "VP009"), HOPELESS, "{answers:?}");
        assert_eq!(count("half a handshake", "nothing"), STALLED_HANDSHAKES, "{answers:?}");
        // One that is sent away while it still sends may lose the answer, and no more than that.
        assert_eq!(count("a trickle", "408") + count("a trickle", "nothing"), TRICKLES, "{answers:?}");
        let grown = rig.memory().peak.saturating_sub(before.now);
        assert!(grown < ALLOWANCE, "{} KiB for peers that never said what they want", grown / 1024);
        let slowest = others.slowest.get();
        assert!(slowest < Duration::from_secs(10), "somebody waited {slowest:?}");
        println!("{} other calls, the slowest took {slowest:?}; {} KiB at most", others.calls.get(), grown / 1024);
    });
}
