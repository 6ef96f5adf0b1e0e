//! A thousand calls in flight while the routing changes ten times a second and every file of the platform is replaced
//! once: each call is answered, by the producer that the table named during it, with its own answer.
//!
//! Each route counts its versions in its URL: even ones lead to one producer, odd ones to another. So an answer tells by
//! which version it was routed, and the version must not be older than any that an earlier call has seen, nor newer than
//! the newest that has been written.

use std::cell::{Cell, RefCell};
use std::fs;
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::sync::watch;
use tokio::task::{JoinHandle, spawn_local};

use crate::message::{answer, grant, mark, outcome, request, route};
use crate::peer::Peer;
use crate::producer::Port;
use crate::rig::{CONSUMERS, Rig, alone, until};

const CALLS: usize = 1000;
const ROUTES: usize = 16;
const GUESTS: usize = 20;
const BETWEEN_CHANGES: Duration = Duration::from_millis(100);
const CHANGES: u64 = 100;
/// How long a producer thinks once the first thousand calls have come in.
const THOUGHT: Duration = Duration::from_millis(300);
const PATIENCE: Duration = Duration::from_secs(60);
/// May call until its authorisation is withdrawn, and again when it is given.
const BYSTANDER: (&str, &str) = ("leaf-only", "SE5565594230-LEAF");

/// What is known about the versions of one route.
#[derive(Default)]
struct Versions {
    written: Cell<u64>,
    seen: Cell<u64>,
}

/// What happens during the test, for all that take part in it.
struct Scene {
    rig: Rc<Rig>,
    urls: [String; 2],
    routes: [Versions; ROUTES],
    guest: Versions,
    running: Cell<bool>,
    answered: Cell<usize>,
    /// Outcomes of calls whose routes or rights come and go.
    refused: RefCell<Vec<String>>,
}

/// What the producers have in hand.
struct Hall {
    held: Cell<usize>,
    most: Cell<usize>,
    open: watch::Sender<bool>,
}

fn address(route: usize) -> String {
    format!("SE2321000131-E{route:012}")
}

impl Scene {
    fn url(&self, name: &str, version: u64) -> String {
        format!("{}/{name}/{version}", self.urls[(version % 2) as usize])
    }

    /// The text of the next version of a route; from now on calls may see it.
    fn next(&self, versions: &Versions, name: &str, address: &str) -> String {
        let version = versions.written.get() + 1;
        versions.written.set(version);
        route(name, address, &self.url(name, version), None)
    }

    /// Makes one change of the manifests.
    fn change(&self, tick: u64) {
        let write =
            |name: &str, text: &str| self.rig.world.replace(&format!("manifests/{name}"), text.as_bytes()).unwrap();
        let remove = |name: &str| fs::remove_file(self.rig.world.root().join("manifests").join(name)).unwrap();
        match tick % 10 {
            3 => write("guest.yaml", &self.next(&self.guest, "guest", "SE2321000131-GUEST")),
            8 => remove("guest.yaml"),
            4 => remove("bystander.yaml"),
            9 => write("bystander.yaml", &grant("bystander", &[BYSTANDER.1])),
            _ => {
                let nr = tick as usize % ROUTES;
                let name = format!("route-{nr}");
                write(&format!("{name}.yaml"), &self.next(&self.routes[nr], &name, &address(nr)));
            }
        }
    }

    /// Makes a call and checks its answer. Returns whether there was one; `allowed` is the code that it may have instead.
    async fn call(
        &self,
        peer: &mut Peer,
        who: &str,
        (name, address, versions): (&str, &str, &Versions),
        mark: &str,
        allowed: Option<&str>,
    ) {
        let before = versions.seen.get();
        peer.send(request(address, mark).as_bytes()).await.unwrap_or_else(|error| panic!("{mark}: {error}"));
        let head = tokio::time::timeout(PATIENCE, peer.head()).await.unwrap_or_else(|_| panic!("{mark}: no answer"));
        let head =
            head.unwrap_or_else(|error| panic!("{mark}: {error}")).unwrap_or_else(|| panic!("{mark}: call lost"));
        let body = peer.body(&head, false).await.unwrap_or_else(|error| panic!("{mark}: {error}"));
        match outcome(&head, &body) {
            (200, None) => {}
            (500, code) if code.is_some() && code.as_deref() == allowed => {
                self.refused.borrow_mut().extend(code);
                return;
            }
            other => panic!("{mark}: {other:?}: {}", String::from_utf8_lossy(&body)),
        }
        let text = String::from_utf8(body).unwrap();
        let [producer, path, caller, answered] = text.split('|').collect::<Vec<_>>().try_into().unwrap();
        let version = path.strip_prefix(&format!("/{name}/")).unwrap_or_else(|| panic!("{mark} to {name}: {text}"));
        let version: u64 = version.parse().unwrap();
        assert_eq!(answered, mark, "somebody else's answer");
        assert_eq!(caller, who, "{mark}: somebody else's name");
        assert_eq!(producer, (version % 2).to_string(), "{mark}: the wrong producer");
        let written = versions.written.get();
        assert!((before..=written).contains(&version), "{mark} to {name}: {version} outside {before}..={written}");
        versions.seen.set(versions.seen.get().max(version));
        self.answered.set(self.answered.get() + 1);
    }
}

/// A consumer that calls again and again on one connection.
fn consumer(scene: &Rc<Scene>, nr: usize, mut peer: Peer, go: &watch::Sender<bool>) -> JoinHandle<()> {
    let (scene, mut go) = (scene.clone(), go.subscribe());
    spawn_local(async move {
        go.wait_for(|go| *go).await.unwrap();
        let (_, who) = CONSUMERS[nr % 2];
        let name = format!("route-{}", nr % ROUTES);
        let target = (name.as_str(), address(nr % ROUTES));
        for call in 0.. {
            let mark = format!("consumer-{nr}-call-{call}");
            let versions = &scene.routes[nr % ROUTES];
            scene.call(&mut peer, who, (target.0, &target.1, versions), &mark, None).await;
            if !scene.running.get() {
                return;
            }
        }
    })
}

/// A consumer whose route, or whose right, comes and goes.
fn visitor(scene: &Rc<Scene>, nr: usize, mut peer: Peer, go: &watch::Sender<bool>) -> JoinHandle<()> {
    let (scene, mut go) = (scene.clone(), go.subscribe());
    spawn_local(async move {
        go.wait_for(|go| *go).await.unwrap();
        let mut call = 0;
        while scene.running.get() {
            call += 1;
            let mark = format!("visitor-{nr}-call-{call}");
            if nr.is_multiple_of(2) {
                let to = ("guest", "SE2321000131-GUEST", &scene.guest);
                scene.call(&mut peer, CONSUMERS[0].1, to, &mark, Some("VP004")).await;
            } else {
                let to = ("route-0", &*address(0), &scene.routes[0]);
                scene.call(&mut peer, BYSTANDER.1, to, &mark, Some("VP007")).await;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
}

fn serve(port: Port, rig: &Rig, nr: usize, hall: &Rc<Hall>) {
    let hall = hall.clone();
    port.serve(rig.world.scene.pki.directory(), move |mut peer, head| {
        let hall = hall.clone();
        async move {
            let body = peer.body(&head, true).await?;
            hall.held.set(hall.held.get() + 1);
            hall.most.set(hall.most.get().max(hall.held.get()));
            let mut open = hall.open.subscribe();
            if *open.borrow_and_update() {
                tokio::time::sleep(THOUGHT).await;
            } else {
                let _ = open.wait_for(|open| *open).await;
            }
            hall.held.set(hall.held.get() - 1);
            let path = head.start_line.split(' ').nth(1).unwrap_or_default();
            let caller = head.value("x-rivta-original-serviceconsumer-hsaid").unwrap_or_default();
            peer.send(answer(&format!("{nr}|{path}|{caller}|{}", mark(&body))).as_bytes()).await?;
            Ok(peer)
        }
    });
}

/// Replaces platform.yaml, the server's certificate and the revocation list, one after the other, and sees to it that each
/// has taken effect.
async fn replace_files(rig: Rc<Rig>) {
    let settings = fs::read_to_string(rig.world.root().join("platform.yaml")).unwrap();
    let renamed = settings.replace("load-test", "load-test-renamed");
    assert_ne!(settings, renamed);
    rig.world.replace("platform.yaml", renamed.as_bytes()).unwrap();
    let mut peer = rig.connect("allowed").await.unwrap();
    until("the new name is in a fault", PATIENCE, async || {
        peer.send(request("SE2321000131-NOBODY", "").as_bytes()).await.unwrap();
        let head = peer.head().await.unwrap().unwrap();
        let body = peer.body(&head, false).await.unwrap();
        String::from_utf8_lossy(&body).contains("load-test-renamed")
    })
    .await;

    let (_, before) = rig.connect_and_look("allowed").await.unwrap();
    let pki = rig.world.scene.pki.directory();
    for (from, to) in [("producer.crt", "pki/platform.crt"), ("producer.key", "pki/platform.key")] {
        rig.world.replace(to, &fs::read(pki.join(from)).unwrap()).unwrap();
    }
    until("the new certificate is presented", PATIENCE, async || {
        rig.connect_and_look("allowed").await.unwrap().1 != before
    })
    .await;

    let revoked = rig.connect("switch").await.unwrap();
    rig.world.replace("pki/current.crl", &fs::read(pki.join("with-switch.crl")).unwrap()).unwrap();
    let rest = tokio::time::timeout(PATIENCE, revoked.rest()).await.expect("the revoked consumer is sent away");
    assert_eq!(rest, b"");
}

#[test]
fn a_thousand_calls_survive_a_hundred_changes() {
    alone(async {
        let ports = [Port::bind(), Port::bind()];
        let urls = [ports[0].url(""), ports[1].url("")];
        let ids = [CONSUMERS[0].1, CONSUMERS[1].1, CONSUMERS[2].1];
        let mut manifests = vec![
            ("grant.yaml".to_owned(), grant("grant", &ids)),
            ("bystander.yaml".to_owned(), grant("bystander", &[BYSTANDER.1])),
        ];
        for nr in 0..ROUTES {
            let name = format!("route-{nr}");
            let url = format!("{}/{name}/0", urls[0]);
            manifests.push((format!("{name}.yaml"), route(&name, &address(nr), &url, None)));
        }
        // The machine may be busy, and this test is not about time-outs.
        let patient = json!({
            "timeouts": {"connect": "60s", "handshake": "60s", "call": "120s", "head": "60s"},
            "upstream": {"maxInFlight": 2 * CALLS},
        });
        let rig = Rig::start(patient, &manifests);
        let hall = Rc::new(Hall { held: Cell::new(0), most: Cell::new(0), open: watch::Sender::new(false) });
        for (nr, port) in ports.into_iter().enumerate() {
            serve(port, &rig, nr, &hall);
        }
        let scene = Rc::new(Scene {
            rig: rig.clone(),
            urls,
            routes: Default::default(),
            guest: Versions::default(),
            running: Cell::new(true),
            answered: Cell::new(0),
            refused: RefCell::default(),
        });

        let go = watch::Sender::new(false);
        let mut consumers = Vec::new();
        for nr in 0..CALLS {
            consumers.push(consumer(&scene, nr, rig.connect(CONSUMERS[nr % 2].0).await.unwrap(), &go));
        }
        for nr in 0..2 * GUESTS {
            let certificate = if nr % 2 == 0 { CONSUMERS[0].0 } else { BYSTANDER.0 };
            consumers.push(visitor(&scene, nr, rig.connect(certificate).await.unwrap(), &go));
        }

        let changer = {
            let scene = scene.clone();
            spawn_local(async move {
                let mut clock = tokio::time::interval(BETWEEN_CHANGES);
                for tick in 0..CHANGES {
                    clock.tick().await;
                    scene.change(tick);
                }
            })
        };
        let began = Instant::now();
        go.send_replace(true);
        until("a thousand calls are in flight", PATIENCE, async || hall.held.get() >= CALLS).await;
        let reported = rig.metric("rivmesh_calls_in_flight").await;
        assert!(reported >= CALLS as f64, "the platform counts {reported}");
        hall.open.send_replace(true);
        replace_files(rig.clone()).await;
        changer.await.unwrap();
        let newest_everywhere = || scene.routes.iter().all(|route| route.seen.get() == route.written.get());
        until("every route's last version is in force", PATIENCE, async || newest_everywhere()).await;
        scene.running.set(false);
        for consumer in consumers {
            consumer.await.unwrap();
        }

        let refused = scene.refused.borrow();
        for code in ["VP004", "VP007"] {
            assert!(refused.iter().any(|other| other == code), "the visitors never met {code}");
        }
        assert!(scene.guest.seen.get() > 0 && scene.routes[0].seen.get() > 0);
        println!(
            "{} calls answered and {} refused as they had to be, {} at once at most, in {:.1?}",
            scene.answered.get(),
            refused.len(),
            hall.most.get(),
            began.elapsed()
        );
    });
}
