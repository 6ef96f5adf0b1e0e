//! Who may read tables: dataplane pods, known by the ServiceAccount token that the kubelet gives them. A token counts if
//! the API server says that it is good for this operator and for one of the accounts that may, and if it is bound to a
//! pod; the stream must then be that pod's. Everybody else is refused, and told nothing that would help.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus};
use kube::api::PostParams;
use kube::{Api, Client};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use rivmesh_sync::grpc::{Gate, NotAdmitted, Pinned};
use rivmesh_sync::limits::REVIEW_AFTER;
use rivmesh_sync::{Admission, PodIdentity};
use rivmesh_table::{Digest, Environment};
use serde::Deserialize;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::describe;

/// A good answer counts for this long at most, and never longer than the token.
const GOOD_FOR: Duration = Duration::from_secs(600);
/// A bad answer counts for this long: whoever keeps knocking does not make the API server work.
const BAD_FOR: Duration = Duration::from_secs(10);
/// Answers that are remembered.
const REMEMBERED: usize = 4096;
/// Reviews that are under way at a time; others wait.
const AT_ONCE: usize = 16;
/// Peers that may wait for a review at a time.
const WAITING: usize = 512;
/// How long a review may take, waiting included.
const PATIENCE: Duration = Duration::from_secs(8);
/// The longest token that is looked at, in bytes.
const MAX_TOKEN: usize = 16 * 1024;
/// Why a stream was not opened, as a label.
const DENIED: &str = "denied";
const UNAVAILABLE: &str = "unavailable";
/// Where the API server tells which pod a token is bound to.
const POD_NAME: &str = "authentication.kubernetes.io/pod-name";
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";

/// Which tokens count.
#[derive(Debug, Clone)]
pub struct Policy {
    /// The audience that a token must be made for.
    pub audience: String,
    /// The user names of the accounts that may read tables, as `system:serviceaccount:tak:rivmesh-dataplane`.
    pub accounts: Vec<String>,
    /// The environment that this operator serves.
    pub environment: Environment,
}

/// Streams that were not opened, by why.
pub(crate) type Refusals = Family<Why, Counter>;

/// Why a stream was not opened.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Why {
    reason: &'static str,
}

/// Counters that begin at nothing.
pub(crate) fn refusals() -> Refusals {
    let refusals = Refusals::default();
    for reason in [DENIED, UNAVAILABLE] {
        drop(refusals.get_or_create(&Why { reason }));
    }
    refusals
}

/// The gate of the table port.
pub(crate) struct TokenGate {
    reviews: Api<TokenReview>,
    policy: Policy,
    memory: Mutex<Memory>,
    under_way: Semaphore,
    waiting: Semaphore,
    refusals: Refusals,
}

impl TokenGate {
    pub(crate) fn new(client: &Client, policy: Policy, refusals: Refusals) -> Self {
        Self {
            reviews: Api::all(client.clone()),
            policy,
            memory: Mutex::default(),
            under_way: Semaphore::new(AT_ONCE),
            waiting: Semaphore::new(WAITING),
            refusals,
        }
    }

    async fn judge(&self, token: &str) -> Result<PodIdentity, NotAdmitted> {
        let (key, now) = (Digest::of(token.as_bytes()), Timestamp::now());
        if let Some(known) = self.memory().recall(key, now) {
            return known.map_err(NotAdmitted::Denied);
        }
        let unavailable = |why: &str| NotAdmitted::Unavailable(why.to_owned());
        let _place = self.waiting.try_acquire().map_err(|_| unavailable("too many dataplanes wait for a review"))?;
        let review = timeout(PATIENCE, self.review(token)).await;
        let status =
            review.map_err(|_| unavailable("the API server does not answer"))?.map_err(NotAdmitted::Unavailable)?;
        let judged = judge(&status, &self.policy);
        let until = match &judged {
            Ok(_) => expiry(token).map_or(now + GOOD_FOR, |expiry| expiry.min(now + GOOD_FOR)),
            Err(_) => now + BAD_FOR,
        };
        self.memory().remember(key, judged.clone(), until, now);
        judged.map_err(NotAdmitted::Denied)
    }

    async fn review(&self, token: &str) -> Result<TokenReviewStatus, String> {
        let _turn = self.under_way.acquire().await.expect("the semaphore is never closed");
        let spec =
            TokenReviewSpec { audiences: Some(vec![self.policy.audience.clone()]), token: Some(token.to_owned()) };
        let review = TokenReview { spec, ..TokenReview::default() };
        let reviewed = self.reviews.create(&PostParams::default(), &review).await;
        Ok(reviewed.map_err(|error| describe(&error))?.status.unwrap_or_default())
    }

    fn memory(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, reason: &'static str) {
        self.refusals.get_or_create(&Why { reason }).inc();
    }
}

impl Gate for TokenGate {
    fn admit<'a>(&'a self, token: Option<&'a str>) -> Pinned<'a, Result<Admission, NotAdmitted>> {
        Box::pin(async move {
            let judged = match token {
                None => Err(NotAdmitted::Denied("it showed no token".to_owned())),
                Some(token) if token.len() > MAX_TOKEN => Err(NotAdmitted::Denied("its token is too long".to_owned())),
                Some(token) => self.judge(token).await,
            };
            match &judged {
                Ok(_) => {}
                Err(NotAdmitted::Denied(_)) => self.count(DENIED),
                Err(NotAdmitted::Unavailable(_)) => self.count(UNAVAILABLE),
            }
            let longest = Some(REVIEW_AFTER.mul_f64(0.8 + 0.4 * rand::random::<f64>()));
            let environment = Some(self.policy.environment.clone());
            judged.map(|pod| Admission { pod: Some(pod), environment, longest })
        })
    }
}

/// What the answer of the API server means.
///
/// # Errors
/// Which check failed: for the log, never for the peer.
fn judge(status: &TokenReviewStatus, policy: &Policy) -> Result<PodIdentity, String> {
    if status.authenticated != Some(true) {
        let why = status.error.as_deref().unwrap_or("it is not valid for this operator");
        return Err(format!("its token is not good: {why}"));
    }
    if !status.audiences.iter().flatten().any(|audience| *audience == policy.audience) {
        return Err(format!("its token is not for the audience {}", policy.audience));
    }
    let user = status.user.clone().unwrap_or_default();
    let account = user.username.unwrap_or_default();
    if !policy.accounts.contains(&account) {
        return Err(format!("{account} is not an account that may read tables"));
    }
    let extra = user.extra.unwrap_or_default();
    let bound = |key: &str| single(&extra, key).ok_or_else(|| format!("the token of {account} is not bound to a pod"));
    Ok(PodIdentity { name: bound(POD_NAME)?, uid: bound(POD_UID)? })
}

fn single(extra: &BTreeMap<String, Vec<String>>, key: &str) -> Option<String> {
    match extra.get(key).map(Vec::as_slice) {
        Some([value]) if !value.is_empty() => Some(value.clone()),
        _ => None,
    }
}

/// When a token ends, by its own word. It has been found good, so its word counts.
fn expiry(token: &str) -> Option<Timestamp> {
    #[derive(Deserialize)]
    struct Claims {
        exp: i64,
    }
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: Claims = serde_json::from_slice(&payload).ok()?;
    Timestamp::from_second(claims.exp).ok()
}

/// Answers that still count, by digest: the tokens themselves are not kept.
#[derive(Debug, Default)]
struct Memory {
    answers: HashMap<Digest, Answer>,
}

#[derive(Debug)]
struct Answer {
    judged: Result<PodIdentity, String>,
    learnt: Timestamp,
    until: Timestamp,
}

impl Memory {
    fn recall(&self, key: Digest, now: Timestamp) -> Option<Result<PodIdentity, String>> {
        let counts = |answer: &&Answer| answer.learnt <= now && now < answer.until;
        self.answers.get(&key).filter(counts).map(|answer| answer.judged.clone())
    }

    fn remember(&mut self, key: Digest, judged: Result<PodIdentity, String>, until: Timestamp, now: Timestamp) {
        if self.answers.len() >= REMEMBERED {
            self.answers.retain(|_, answer| answer.learnt <= now && now < answer.until);
        }
        // Full of answers that count: then somebody is asked twice.
        if self.answers.len() < REMEMBERED {
            self.answers.insert(key, Answer { judged, learnt: now, until });
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn policy() -> Policy {
        Policy {
            audience: "rivmesh-operator".to_owned(),
            accounts: vec!["system:serviceaccount:tak:rivmesh-dataplane".to_owned()],
            environment: "test".parse().expect("a name"),
        }
    }

    fn good() -> Value {
        json!({
            "authenticated": true,
            "audiences": ["rivmesh-operator"],
            "user": {
                "username": "system:serviceaccount:tak:rivmesh-dataplane",
                "extra": {POD_NAME: ["dataplane-a"], POD_UID: ["u-1"]},
            },
        })
    }

    fn judged(change: impl FnOnce(&mut Value)) -> Result<PodIdentity, String> {
        let mut status = good();
        change(&mut status);
        judge(&serde_json::from_value(status).expect("a status"), &policy())
    }

    #[test]
    fn every_check_counts() {
        let pod = judged(|_| {}).expect("good");
        assert_eq!((pod.name.as_str(), pod.uid.as_str()), ("dataplane-a", "u-1"));
        type Change = fn(&mut Value);
        let bad: [(&str, Change); 8] = [
            ("not good", |status| status["authenticated"] = json!(false)),
            ("not good", |status| *status = json!({})),
            ("audience", |status| status["audiences"] = json!(["kubernetes"])),
            ("audience", |status| drop(status.as_object_mut().expect("a map").remove("audiences"))),
            ("may read tables", |status| {
                status["user"]["username"] = json!("system:serviceaccount:other:rivmesh-dataplane");
            }),
            ("not bound", |status| status["user"]["extra"] = json!({})),
            ("not bound", |status| status["user"]["extra"][POD_UID] = json!([""])),
            ("not bound", |status| status["user"]["extra"][POD_NAME] = json!(["a", "b"])),
        ];
        for (words, change) in bad {
            let reason = judged(change).expect_err(words);
            assert!(reason.contains(words), "{reason}");
        }
    }

    #[test]
    fn a_token_says_when_it_ends() {
        let token = |claims: Value| format!("x.{}.y", URL_SAFE_NO_PAD.encode(claims.to_string()));
        assert_eq!(expiry(&token(json!({"exp": 1_800_000_000}))), Timestamp::from_second(1_800_000_000).ok());
        for strange in [token(json!({})), "x".to_owned(), "x.%.y".to_owned(), String::new()] {
            assert_eq!(expiry(&strange), None, "{strange}");
        }
    }

    /// Answers count from when they were learnt until they end, whichever way the clock jumps.
    #[test]
    fn a_clock_that_jumps_makes_no_answer_last_longer() {
        let at = |second: i64| Timestamp::from_second(second).expect("in range");
        let mut memory = Memory::default();
        let key = Digest::of(b"token");
        let pod = PodIdentity { name: "a".to_owned(), uid: "1".to_owned() };
        memory.remember(key, Ok(pod.clone()), at(1600), at(1000));
        assert_eq!(memory.recall(key, at(1000)), Some(Ok(pod.clone())));
        assert_eq!(memory.recall(key, at(1599)), Some(Ok(pod)));
        assert_eq!(memory.recall(key, at(1600)), None);
        assert_eq!(memory.recall(key, at(999)), None, "a clock that went back asks again");
        assert_eq!(memory.recall(Digest::of(b"other"), at(1000)), None);
    }

    #[test]
    fn memory_is_bounded() {
        let at = |second: i64| Timestamp::from_second(second).expect("in range");
        let mut memory = Memory::default();
        for number in 0..REMEMBERED + 100 {
            memory.remember(Digest::of(&number.to_le_bytes()), Err(String::new()), at(10), at(0));
        }
        assert_eq!(memory.answers.len(), REMEMBERED);
        memory.remember(Digest::of(b"later"), Err(String::new()), at(30), at(20));
        assert_eq!(memory.answers.len(), 1, "what no longer counts makes room");
    }
}
