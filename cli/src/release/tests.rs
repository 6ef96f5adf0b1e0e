//! The command against a scripted API server: one namespace, its ConfigMaps and Leases, and an operator that acts when
//! it is looked at.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, StatusCode};
use kube::client::Body;
use rivmesh_operator::cluster::guard_record::{Hold, RELEASE};
use rivmesh_operator::guard::Baseline;
use rivmesh_table::{Counts, Digest};
use serde_json::{Value, json};

use super::guards::*;
use super::*;

/// Looks that the command may take after a release before the operator acts.
const SLOW: u32 = 3;

/// What the operator of the script does with a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    /// It publishes the table.
    Publishes,
    /// It had another change before, and holds another table.
    HoldsAnother,
    /// It is gone.
    Gone,
}

struct Server {
    /// The ConfigMap of the operator `rivmesh`, and of `other`, which holds nothing.
    config_maps: [Value; 2],
    operator: Operator,
    lease: Value,
    /// Before the first write somebody else changes the ConfigMap so.
    meanwhile: Option<fn(&mut Value)>,
    /// Looks since the release.
    looks: u32,
    /// What was written.
    written: Vec<Value>,
}

type Shared = Arc<Mutex<Server>>;

fn digest(routes: u64) -> Digest {
    Digest::of(&routes.to_le_bytes())
}

fn counts(routes: u64) -> Counts {
    Counts { routes, authorizations: 20, contracts: 3, hsa_units: 0 }
}

fn baseline(routes: u64) -> String {
    serde_json::to_string(&Baseline { digest: digest(routes), counts: counts(routes), most: None }).unwrap()
}

fn hold(routes: u64) -> Hold {
    Hold {
        digest: digest(routes),
        since: "2026-11-26T02:50:00Z".parse().unwrap(),
        counts: counts(routes),
        gone: vec!["RoutingEntry tak/a".to_owned(), "RoutingEntry tak/\u{1b}[2Jb".to_owned()],
        gone_in_all: 9,
    }
}

fn config_map(name: &str, published: u64, held: Option<u64>) -> Value {
    let mut data = json!({ "baseline.json": baseline(published) });
    if let Some(held) = held {
        data["held.json"] = json!(serde_json::to_string(&hold(held)).unwrap());
    }
    let metadata = json!({"name": format!("{name}-baseline"), "namespace": "tak", "resourceVersion": "1"});
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})
}

/// A server on which `rivmesh` holds the table of one route instead of 300.
fn server(operator: Operator) -> Shared {
    Arc::new(Mutex::new(Server {
        config_maps: [config_map("rivmesh", 300, Some(1)), config_map("other", 300, None)],
        operator,
        lease: json!({"holderIdentity": "rivmesh-operator-a", "leaseDurationSeconds": 15, "renewTime": "2126-01-01T00:00:00.000000Z"}),
        meanwhile: None,
        looks: 0,
        written: Vec::new(),
    }))
}

fn guards(server: &Shared, name: Option<&str>) -> Guards {
    let server = server.clone();
    let service = tower::service_fn(move |request: Request<Body>| {
        let server = server.clone();
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.expect("a body").to_bytes();
            let (status, answer) = server.lock().unwrap().answer(parts.method.as_str(), parts.uri.path(), &body);
            let answer = Full::new(Bytes::from(answer.to_string()));
            Ok::<_, Infallible>(Response::builder().status(status).body(answer).unwrap())
        }
    });
    let scope = Scope { namespace: "tak".to_owned(), name: name.map(str::to_owned) };
    Guards::new(&Client::new(service, "tak"), scope)
}

impl Server {
    fn answer(&mut self, method: &str, path: &str, body: &[u8]) -> (StatusCode, Value) {
        let name = path.rsplit('/').next().unwrap();
        match (method, name) {
            ("GET", "configmaps") => {
                let list =
                    json!({"apiVersion": "v1", "kind": "ConfigMapList", "metadata": {}, "items": self.config_maps});
                (StatusCode::OK, list)
            }
            ("GET", "rivmesh-operator") => {
                let metadata = json!({"name": name, "namespace": "tak"});
                (StatusCode::OK, json!({"metadata": metadata, "spec": self.lease}))
            }
            ("GET", "rivmesh-baseline") => {
                self.act();
                (StatusCode::OK, self.config_maps[0].clone())
            }
            ("PATCH", "rivmesh-baseline") => self.patch(&serde_json::from_slice(body).unwrap()),
            _ => (StatusCode::NOT_FOUND, failure(404, "NotFound")),
        }
    }

    fn patch(&mut self, patch: &Value) -> (StatusCode, Value) {
        let config_map = &mut self.config_maps[0];
        if let Some(change) = self.meanwhile.take() {
            change(config_map);
            config_map["metadata"]["resourceVersion"] = json!("2");
        }
        if patch["metadata"]["resourceVersion"] != config_map["metadata"]["resourceVersion"] {
            return (StatusCode::CONFLICT, failure(409, "Conflict"));
        }
        let release = patch["metadata"]["annotations"][RELEASE].clone();
        config_map["metadata"]["annotations"] = if release.is_null() { json!({}) } else { json!({ RELEASE: release }) };
        config_map["metadata"]["resourceVersion"] = json!("3");
        self.written.push(release);
        (StatusCode::OK, config_map.clone())
    }

    fn act(&mut self) {
        if self.written.is_empty() {
            return;
        }
        self.looks += 1;
        if self.looks < SLOW {
            return;
        }
        match self.operator {
            Operator::Publishes => self.config_maps[0] = config_map("rivmesh", 1, None),
            Operator::HoldsAnother => {
                self.config_maps[0]["data"] = config_map("rivmesh", 300, Some(2))["data"].clone();
            }
            Operator::Gone => {}
        }
    }
}

fn failure(code: u16, reason: &str) -> Value {
    json!({"kind": "Status", "status": "Failure", "code": code, "message": "no", "reason": reason})
}

/// Releases the table of so many routes as the command does; what came of it, in words.
async fn released(server: &Shared, routes: u64) -> (Outcome, String) {
    let guards = guards(server, None);
    let found = guards.find().await.expect("found");
    let prefix: Prefix = digest(routes).to_string()[..8].parse().unwrap();
    let (guard, hold) = choose(&found, &prefix).expect("it is held");
    let limit = Duration::from_secs(30);
    let outcome = guards.release(guard, hold.digest, limit).await.expect("an outcome");
    let words = report::outcome(&outcome, guard, guards.scope(), limit);
    (outcome, words)
}

#[tokio::test]
async fn what_is_held_is_shown_with_all_that_a_decision_takes() {
    let server = server(Operator::Publishes);
    let guards = guards(&server, None);
    let found = guards.find().await.unwrap();
    let shown: String = found.iter().map(|guard| report::shown(guard, guards.scope())).collect();
    let digest = digest(1);
    let expected = format!(
        "rivmesh in namespace tak holds table {digest} back, since 2026-11-26 03:50:00+01:00.\n\
         \n\
         \x20                         in force      held\n\
         routes                         300         1   299 fewer\n\
         authorisations                  20        20\n\
         contracts with settings          3         3\n\
         HSA units                        0         0\n\
         \n\
         Gone: RoutingEntry tak/a, RoutingEntry tak/ [2Jb and 7 more\n\
         \n\
         The table before stays in use. Every change since then waits, revoked authorisations too.\n\
         If the rows are gone by mistake, restore the objects: the hold then ends by itself.\n\
         If they are meant to be gone, release the table:\n\
         \n\
         \x20 rivmesh release --namespace tak --name rivmesh {digest}\n\
         other in namespace tak holds nothing back. In force: 300 routes, 20 authorisations, 3 contracts with settings, 0 HSA \
         units.\n"
    );
    assert_eq!(shown, expected);
    assert_eq!(server.lock().unwrap().written, Vec::<Value>::new());
}

#[tokio::test(start_paused = true)]
async fn a_release_is_written_and_waited_for() {
    let server = server(Operator::Publishes);
    let (outcome, words) = released(&server, 1).await;
    assert_eq!(outcome, Outcome::Published, "{words}");
    let server = server.lock().unwrap();
    assert_eq!((server.written.clone(), server.looks), (vec![json!(digest(1))], SLOW));
}

#[tokio::test(start_paused = true)]
async fn a_change_that_leaves_the_held_table_the_same_does_no_harm() {
    let server = server(Operator::Publishes);
    server.lock().unwrap().meanwhile = Some(|config_map| config_map["data"]["note"] = json!("somebody's"));
    assert_eq!(released(&server, 1).await.0, Outcome::Published);
}

#[tokio::test(start_paused = true)]
async fn another_table_is_never_released() {
    let server = server(Operator::Publishes);
    server.lock().unwrap().meanwhile = Some(|config_map| *config_map = self::config_map("rivmesh", 300, Some(2)));
    let (outcome, words) = released(&server, 1).await;
    assert_eq!(outcome, Outcome::Overtaken(hold(2)));
    assert!(words.contains(&digest(2).to_string()) && words.contains("--name rivmesh"), "{words}");
    assert_eq!(server.lock().unwrap().written, Vec::<Value>::new());
}

#[tokio::test(start_paused = true)]
async fn a_release_that_came_too_late_is_taken_back() {
    let server = server(Operator::HoldsAnother);
    let (outcome, _) = released(&server, 1).await;
    assert_eq!(outcome, Outcome::Overtaken(hold(2)));
    assert_eq!(server.lock().unwrap().written, [json!(digest(1)), Value::Null]);
}

#[tokio::test(start_paused = true)]
async fn a_hold_that_ends_meanwhile_needs_no_release() {
    let server = server(Operator::Publishes);
    server.lock().unwrap().meanwhile = Some(|config_map| *config_map = self::config_map("rivmesh", 301, None));
    let (outcome, words) = released(&server, 1).await;
    assert!(matches!(outcome, Outcome::Over(_)), "{words}");
    assert!(words.contains("301 routes"), "{words}");
}

#[tokio::test(start_paused = true)]
async fn an_operator_that_does_not_act_is_looked_up() {
    let server = server(Operator::Gone);
    let (outcome, words) = released(&server, 1).await;
    assert_eq!(outcome, Outcome::Waiting(Why::Unknown("rivmesh-operator-a".to_owned())));
    assert!(words.contains("kubectl logs -n tak rivmesh-operator-a") && words.contains("within 30 s"), "{words}");
    assert_eq!(server.lock().unwrap().written.len(), 1, "it stays");

    for (lease, words) in [
        (
            json!({"holderIdentity": "gone", "leaseDurationSeconds": 15, "renewTime": "2026-01-01T00:00:00.000000Z"}),
            "since gone did",
        ),
        (json!({"holderIdentity": ""}), "no operator leads"),
    ] {
        let server = self::server(Operator::Gone);
        server.lock().unwrap().lease = lease;
        let (_, told) = released(&server, 1).await;
        assert!(told.contains(words), "{told}");
    }
}

#[tokio::test]
async fn what_is_not_held_is_refused() {
    let server = server(Operator::Publishes);
    let found = guards(&server, None).find().await.unwrap();
    let refusal = |text: &str| choose(&found, &text.parse().unwrap()).map(drop).unwrap_err();
    let other = refusal(&digest(7).to_string());
    assert!(other.contains("is not held back") && other.contains(&digest(1).to_string()), "{other}");
    let quiet = guards(&server, None).find().await.unwrap().split_off(1);
    assert!(choose(&quiet, &digest(1).to_string().parse().unwrap()).unwrap_err().contains("nothing is held"));
    let twice = [found[0].clone(), found[0].clone()];
    assert!(choose(&twice, &digest(1).to_string().parse().unwrap()).unwrap_err().contains("--name"));
}

#[tokio::test]
async fn a_namespace_without_an_operator_is_told() {
    let server = server(Operator::Publishes);
    server.lock().unwrap().config_maps[1]["metadata"]["name"] = json!("other-operator-ca");
    assert_eq!(guards(&server, None).find().await.unwrap().len(), 1, "not every ConfigMap is a guard's");
    let error = guards(&server, Some("nobody")).find().await.map(drop).unwrap_err().to_string();
    assert!(error.contains("nobody-baseline"), "{error}");
}

#[test]
fn a_digest_is_eight_digits_at_least() {
    for text in ["", "1234567", "1234567g", &"1".repeat(33)] {
        assert!(text.parse::<Prefix>().is_err(), "{text}");
    }
    assert_eq!("ABCDEF12".parse::<Prefix>().unwrap().to_string(), "abcdef12");
}
