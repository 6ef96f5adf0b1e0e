//! Who leads: the replica that holds the Lease writes statuses, and nobody else. Losing it stops only the writing, never
//! a table.
//!
//! What to do is decided by a pure function. Nobody's clock is compared with anybody else's: a replica takes a foreign
//! lease over when it has seen it unchanged for the lease's whole duration by its own monotonic clock, so a clock that
//! jumps can neither steal nor keep one.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tracing::{info, warn};

use super::describe;

/// How long a lease holds without being renewed.
pub(crate) const DURATION: Duration = Duration::from_secs(15);
/// A holder that could not renew for this long no longer acts as one: well before another may take over.
const RENEW_DEADLINE: Duration = Duration::from_secs(10);
/// How often a holder renews and others look.
const RETRY: Duration = Duration::from_secs(2);

/// A lease as it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Who holds it; empty when it was given back.
    pub(crate) holder: String,
    /// Its resource version: while that stays the same, nobody has renewed it.
    pub(crate) version: String,
    /// When this version was first seen, by the observer's monotonic clock since any fixed instant.
    pub(crate) since: Duration,
    /// How long it holds.
    pub(crate) duration: Duration,
}

/// What to do about a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    /// There is none: create it.
    Create,
    /// It is free, or its holder has not renewed it for its whole duration: take it.
    Take,
    /// It is ours: renew it.
    Renew,
    /// Somebody else has it.
    Follow,
}

/// What one replica knows of a lease. Times are by its own monotonic clock, since any fixed instant.
#[derive(Debug, Clone)]
pub(crate) struct Tenure {
    me: String,
    seen: Option<Seen>,
    until: Option<Duration>,
}

impl Tenure {
    /// The replica `me`, that has not looked yet.
    pub(crate) fn new(me: impl Into<String>) -> Self {
        Self { me: me.into(), seen: None, until: None }
    }

    /// The lease was read at `now`: its holder, its version and how long it holds; or there is none.
    pub(crate) fn looked(&mut self, lease: Option<(&str, &str, Duration)>, now: Duration) {
        let Some((holder, version, duration)) = lease else {
            self.seen = None;
            return;
        };
        if self.seen.as_ref().is_none_or(|seen| seen.version != version) {
            let (holder, version) = (holder.to_owned(), version.to_owned());
            self.seen = Some(Seen { holder, version, since: now, duration });
        }
    }

    /// What to do next.
    pub(crate) fn decide(&self, now: Duration) -> Decision {
        match &self.seen {
            None => Decision::Create,
            Some(seen) if seen.holder == self.me => Decision::Renew,
            Some(seen) if seen.holder.is_empty() => Decision::Take,
            Some(seen) if now.saturating_sub(seen.since) >= seen.duration => Decision::Take,
            Some(_) => Decision::Follow,
        }
    }

    /// The lease was written in our name, by an attempt that began at `begun`.
    pub(crate) fn wrote(&mut self, begun: Duration) {
        self.until = Some(begun + RENEW_DEADLINE);
    }

    /// The lease is somebody else's, or was given back.
    pub(crate) fn lost(&mut self) {
        self.until = None;
    }

    /// Until when this replica may act as the holder; none if it is not.
    pub(crate) fn until(&self) -> Option<Duration> {
        self.until
    }
}

/// Whether this replica leads.
///
/// It is asked before each write, since a process that was stopped does not know that time has passed until it asks.
#[derive(Debug, Clone)]
pub(crate) struct Leadership(watch::Receiver<Option<Instant>>);

impl Leadership {
    /// Whether this replica leads at this moment.
    pub(crate) fn holds(&self) -> bool {
        self.0.borrow().is_some_and(|until| Instant::now() < until)
    }

    /// Waits until that has changed.
    pub(crate) async fn changed(&mut self) {
        let before = self.holds();
        while self.holds() == before {
            self.renewed_or_over().await;
        }
    }

    async fn renewed_or_over(&mut self) {
        let until = *self.0.borrow_and_update();
        let expiry = async {
            match until {
                Some(until) if Instant::now() < until => tokio::time::sleep_until(until).await,
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = self.0.changed() => if changed.is_err() { std::future::pending().await },
            () = expiry => {}
        }
    }

    /// Waits until this replica leads.
    pub(crate) async fn acquired(&mut self) {
        while !self.holds() {
            self.changed().await;
        }
    }
}

/// A candidate for a lease.
pub(crate) struct Candidate {
    leases: Api<Lease>,
    name: String,
    me: String,
    started: Instant,
    tenure: Tenure,
    lease: Option<Lease>,
    leads: watch::Sender<Option<Instant>>,
}

impl Candidate {
    /// The replica `me`, that wants the lease `name`.
    pub(crate) fn new(client: &Client, namespace: &str, name: &str, me: &str) -> (Self, Leadership) {
        let (leads, leadership) = watch::channel(None);
        let candidate = Self {
            leases: Api::namespaced(client.clone(), namespace),
            name: name.to_owned(),
            me: me.to_owned(),
            started: Instant::now(),
            tenure: Tenure::new(me),
            lease: None,
            leads,
        };
        (candidate, Leadership(leadership))
    }

    /// Tries to lead for as long as it is polled. Ends when `stop` does, and gives the lease back then.
    pub(crate) async fn run(mut self, stop: impl Future<Output = ()>) {
        tokio::select! {
            () = self.try_for_ever() => {}
            () = stop => {}
        }
        let led = self.leads.send_replace(None).is_some();
        if led && timeout(RETRY, self.give_back()).await.is_err() {
            warn!("the lease {} could not be given back in time; it runs out by itself", self.name);
        }
    }

    async fn try_for_ever(&mut self) {
        loop {
            match timeout(RENEW_DEADLINE, self.look_and_act()).await {
                Ok(Ok(())) => {}
                Ok(Err(problem)) => warn!("the lease {} cannot be renewed or read: {problem}", self.name),
                Err(_) => warn!("the lease {} cannot be renewed or read: the API server does not answer", self.name),
            }
            self.show();
            sleep(RETRY.mul_f64(0.9 + 0.2 * rand::random::<f64>())).await;
        }
    }

    async fn look_and_act(&mut self) -> Result<(), String> {
        // A holder need not look: the API server refuses what somebody else has changed.
        if self.tenure.until().is_none() {
            let lease = self.leases.get_opt(&self.name).await.map_err(|error| describe(&error))?;
            self.note(lease);
        }
        // What is written now holds from the moment at which it was begun.
        let begun = self.started.elapsed();
        let written = match (self.tenure.decide(begun), self.lease.clone()) {
            (Decision::Create, _) => self.leases.create(&PostParams::default(), &self.fresh()).await,
            (Decision::Take | Decision::Renew, Some(lease)) => {
                self.leases.replace(&self.name, &PostParams::default(), &self.taken(lease)).await
            }
            (Decision::Follow | Decision::Take | Decision::Renew, _) => {
                self.tenure.lost();
                return Ok(());
            }
        };
        match written {
            Ok(lease) => {
                self.tenure.wrote(begun);
                self.note(Some(lease));
                Ok(())
            }
            // Somebody else was faster, or it was deleted; the next look tells.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {
                self.tenure.lost();
                Ok(())
            }
            Err(error) => Err(describe(&error)),
        }
    }

    fn note(&mut self, lease: Option<Lease>) {
        let spec = lease.as_ref().and_then(|lease| lease.spec.as_ref());
        let seconds = spec.and_then(|spec| u64::try_from(spec.lease_duration_seconds?).ok());
        let holder = spec.and_then(|spec| spec.holder_identity.as_deref()).unwrap_or_default();
        let version = lease.as_ref().and_then(|lease| lease.metadata.resource_version.as_deref());
        let duration = seconds.map_or(DURATION, Duration::from_secs);
        self.tenure.looked(version.map(|version| (holder, version, duration)), self.started.elapsed());
        self.lease = lease;
    }

    /// Lets everybody see whether this replica leads, and until when if it cannot renew.
    fn show(&self) {
        let until = self.tenure.until().map(|until| self.started + until).filter(|until| Instant::now() < *until);
        let before = self.leads.send_replace(until);
        match (before, until) {
            (None, Some(_)) => info!("took the lease {}: this replica writes statuses", self.name),
            (Some(_), None) => warn!("lost the lease {}: this replica no longer writes statuses", self.name),
            _ => {}
        }
    }

    fn fresh(&self) -> Lease {
        let metadata = ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() };
        self.taken(Lease { metadata, spec: None })
    }

    fn taken(&self, mut lease: Lease) -> Lease {
        let before = lease.spec.unwrap_or_default();
        let now = MicroTime(Timestamp::now());
        let is_ours = before.holder_identity.as_deref() == Some(&self.me);
        let transitions = before.lease_transitions.unwrap_or_default() + i32::from(!is_ours);
        lease.spec = Some(LeaseSpec {
            holder_identity: Some(self.me.clone()),
            acquire_time: if is_ours { before.acquire_time } else { Some(now.clone()) },
            renew_time: Some(now),
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
            lease_transitions: Some(transitions),
            ..before
        });
        lease
    }

    async fn give_back(&mut self) {
        let Some(mut lease) = self.lease.take() else { return };
        if let Some(spec) = &mut lease.spec {
            spec.holder_identity = Some(String::new());
            spec.lease_duration_seconds = Some(1);
        }
        if let Err(error) = self.leases.replace(&self.name, &PostParams::default(), &lease).await {
            warn!("the lease {} could not be given back: {}", self.name, describe(&error));
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_lease_is_taken_only_when_it_is_free_or_has_run_out_before_our_eyes() {
        for (holder, seen_at, now, decision) in [
            (None, 0, 0, Decision::Create),
            (Some(""), 5, 5, Decision::Take),
            (Some("me"), 5, 6, Decision::Renew),
            (Some("me"), 5, 500, Decision::Renew),
            (Some("other"), 5, 5, Decision::Follow),
            (Some("other"), 5, 19, Decision::Follow),
            (Some("other"), 5, 20, Decision::Take),
        ] {
            let mut tenure = Tenure::new("me");
            tenure.looked(holder.map(|holder| (holder, "7", DURATION)), SECOND * seen_at);
            // Looking again changes nothing as long as nobody has renewed it.
            tenure.looked(holder.map(|holder| (holder, "7", DURATION)), SECOND * now);
            assert_eq!(tenure.decide(SECOND * now), decision, "{holder:?} seen at {seen_at}, now {now}");
        }
    }

    #[test]
    fn a_renewed_lease_begins_anew() {
        let mut tenure = Tenure::new("me");
        tenure.looked(Some(("other", "7", DURATION)), SECOND);
        tenure.looked(Some(("other", "8", DURATION)), SECOND * 15);
        assert_eq!(tenure.decide(SECOND * 29), Decision::Follow);
        assert_eq!(tenure.decide(SECOND * 30), Decision::Take);
    }

    /// A replica in the simulation: its clock began at another time than the others', and it may be stopped anywhere,
    /// also between reading and writing.
    struct Replica {
        tenure: Tenure,
        clock_began: Duration,
        read: Option<(u64, Decision, Duration)>,
        stopped_until: Duration,
        cut_off_until: Duration,
    }

    /// Clocks that tell other times, replicas that are stopped for longer than a lease holds, and an API server that
    /// cannot be reached: at no moment do two act as the leader, and when all is well somebody does.
    #[test]
    fn nobody_leads_beside_another() {
        for seed in 0..150 {
            simulate(&mut StdRng::seed_from_u64(seed), seed);
        }
    }

    fn simulate(rng: &mut StdRng, seed: u64) {
        let mut replicas: Vec<Replica> = (0..3)
            .map(|number| Replica {
                tenure: Tenure::new(format!("replica-{number}")),
                clock_began: SECOND * rng.random_range(0..100_000),
                read: None,
                stopped_until: Duration::ZERO,
                cut_off_until: Duration::ZERO,
            })
            .collect();
        let (mut holder, mut version) = (String::new(), 0_u64);
        let mut now = SECOND * 100_000;
        let mut terms = 0;
        let mut calm_since = now;
        for step in 0..2000 {
            let is_calm = step > 1500;
            now += Duration::from_millis(rng.random_range(1..if is_calm { 300 } else { 1500 }));
            let replica = rng.random_range(0..replicas.len());
            if !is_calm {
                calm_since = now;
                let minute = Duration::from_millis(rng.random_range(0..60_000));
                match rng.random_range(0..60) {
                    0 => replicas[replica].stopped_until = now + minute,
                    1 => replicas[replica].cut_off_until = now + minute,
                    // A crash forgets everything.
                    2 => replicas[replica].tenure = Tenure::new(format!("replica-{replica}-{step}")),
                    _ => {}
                }
            }
            let replica = &mut replicas[replica];
            if now < replica.stopped_until || now < replica.cut_off_until {
                continue;
            }
            let clock = now - replica.clock_began;
            match replica.read.take() {
                None => {
                    let lease = (version > 0).then(|| (holder.as_str(), version.to_string()));
                    let lease = lease.as_ref().map(|(holder, version)| (*holder, version.as_str(), DURATION));
                    replica.tenure.looked(lease, clock);
                    match replica.tenure.decide(clock) {
                        Decision::Follow => replica.tenure.lost(),
                        decision => replica.read = Some((version, decision, clock)),
                    }
                }
                // The API server takes a write only of the version that was read.
                Some((read, _, begun)) if read == version => {
                    version += 1;
                    terms += usize::from(holder != replica.tenure.me);
                    holder.clone_from(&replica.tenure.me);
                    replica.tenure.wrote(begun);
                    let (holder, version) = (holder.as_str(), version.to_string());
                    replica.tenure.looked(Some((holder, &version, DURATION)), clock);
                }
                Some(_) => {}
            }
            let acting = replicas
                .iter()
                .filter(|replica| replica.tenure.until().is_some_and(|until| now - replica.clock_began < until));
            assert!(acting.count() <= 1, "seed {seed}, step {step}: two lead");
        }
        let leads = |replica: &Replica| replica.tenure.until().is_some_and(|until| now - replica.clock_began < until);
        assert!(replicas.iter().any(leads), "seed {seed}: nobody leads {:?} after calm", now - calm_since);
        assert!(terms > 1, "seed {seed}: the leader never changed, so nothing was shown");
    }
}
