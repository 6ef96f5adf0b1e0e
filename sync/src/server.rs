//! The operator's end of one stream, without I/O or clock: messages, new tables and the time go in; messages, shards
//! to send and events come out. One manifest is in flight at a time, and of the tables published meanwhile only the
//! newest follows, so a slow dataplane skips epochs instead of falling behind.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use rivmesh_table::{Digest, Environment, SlotId};

use crate::wire::client_message::Kind;
use crate::wire::server_message;
use crate::{Published, convert, limits, wire};

/// What the owner of a [`ServerStream`] must do, in order.
#[derive(Debug)]
pub enum Step {
    /// Send this message.
    Send(wire::ServerMessage),
    /// Send these shards of this table, one message each; packing them takes time.
    Transfer(Shipment),
    /// Tell whoever keeps account of dataplanes.
    Tell(Event),
    /// Ask again whether the peer's credentials are good, and tell [`ServerStream::reviewed`].
    Review,
    /// End the stream: the peer broke the protocol or is beyond hope. The sentence is for both sides.
    Close(String),
    /// End the stream in peace: it is old, and the peer connects again at once.
    Retire,
}

/// What is known of a peer before it says anything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Admission {
    /// The pod that its credentials belong to. With none it may call itself what it likes.
    pub pod: Option<PodIdentity>,
    /// The environment that this operator serves. None where environments are not told apart.
    pub environment: Option<Environment>,
    /// How old the stream may become before its peer must show its credentials anew. With none it lives for ever.
    pub longest: Option<Duration>,
}

/// A pod, as credentials name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodIdentity {
    /// Its name.
    pub name: String,
    /// Its uid: another pod of the same name has another one.
    pub uid: String,
}

/// Shards to send.
#[derive(Debug)]
pub struct Shipment {
    published: Arc<Published>,
    wants: Vec<(Digest, Option<Digest>)>,
}

impl Shipment {
    /// How many shards there are.
    pub fn len(&self) -> usize {
        self.wants.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.wants.is_empty()
    }

    /// The message with one of the shards, packed as a patch where possible. Takes time.
    ///
    /// `None` past the last one.
    pub fn message(&self, index: usize) -> Option<wire::ServerMessage> {
        let &(digest, base) = self.wants.get(index)?;
        let shard = self.published.shard(digest, base).expect("wants are checked against the manifest");
        Some(wire::ServerMessage { kind: Some(server_message::Kind::Shard(shard)) })
    }
}

/// What became known about a dataplane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It introduced itself.
    Hello {
        /// Its name.
        pod: String,
        /// The table that it serves, by the digest that this operator published it under, if it did.
        applied: Option<Digest>,
    },
    /// It serves this table.
    Applied {
        /// The digest that the table is published under, whatever format it was sent in.
        digest: Digest,
        /// The table's epoch.
        epoch: u64,
    },
    /// It refused this table and goes on with the one before.
    Rejected {
        /// The digest that the refused table is published under, whatever format it was sent in.
        digest: Digest,
        /// The refused table's epoch.
        epoch: u64,
        /// The slot at fault, if the dataplane named one.
        slot: Option<SlotId>,
        /// The row at fault within that slot's shard, if the dataplane named one.
        row: Option<u32>,
        /// Why, in the dataplane's words.
        reason: String,
    },
    /// It has not answered this table for [`limits::SILENT_AFTER`].
    Silent {
        /// The unanswered table's epoch.
        epoch: u64,
    },
}

/// One dataplane's stream. Times are since any fixed instant.
#[derive(Debug, Default)]
pub struct ServerStream {
    admission: Admission,
    /// When the credentials are to be reviewed; none while they are.
    review_at: Option<Duration>,
    latest: Option<Arc<Published>>,
    peer: Option<Peer>,
    in_flight: Option<InFlight>,
    refused: Option<Refused>,
}

/// What a dataplane said of itself.
#[derive(Debug)]
struct Peer {
    formats: RangeInclusive<u32>,
    /// What it serves, by the digest that it knows it by.
    applied: Option<Digest>,
    /// Whether it was offered anything: even one that serves the latest table is told so once.
    greeted: bool,
}

#[derive(Debug)]
struct InFlight {
    published: Arc<Published>,
    /// The digest that it was offered under: that of one format.
    digest: Digest,
    since: Duration,
    asked: bool,
    named_silent: bool,
}

#[derive(Debug)]
struct Refused {
    /// The digest that it is published under.
    digest: Digest,
    again_at: Duration,
    wait: Duration,
}

impl ServerStream {
    /// A stream that was just opened at `now`, by an operator that last published `latest`.
    pub fn new(latest: Option<Arc<Published>>, admission: Admission, now: Duration) -> Self {
        let review_at = admission.longest.map(|longest| now + longest);
        Self { latest, admission, review_at, ..Self::default() }
    }

    /// A newer table was published.
    pub fn published(&mut self, published: Arc<Published>, now: Duration) -> Vec<Step> {
        self.latest = Some(published);
        let mut steps = Vec::new();
        self.offer(now, &mut steps);
        steps
    }

    /// A message arrived.
    pub fn message(&mut self, message: wire::ClientMessage, now: Duration) -> Vec<Step> {
        let mut steps = Vec::new();
        let outcome = match message.kind {
            Some(Kind::Hello(hello)) => self.hello(&hello, now, &mut steps),
            Some(Kind::Need(need)) => self.need(&need, now, &mut steps),
            Some(Kind::Applied(applied)) => self.applied(&applied, now, &mut steps),
            Some(Kind::Rejected(rejected)) => self.rejected(&rejected, now, &mut steps),
            None => Err("a message says nothing that this operator knows".to_owned()),
        };
        if let Err(reason) = outcome {
            steps.push(Step::Close(reason));
        }
        steps
    }

    /// Time has passed: call this at [`ServerStream::deadline`].
    pub fn tick(&mut self, now: Duration) -> Vec<Step> {
        let mut steps = Vec::new();
        if self.review_at.is_some_and(|at| at <= now) {
            self.review_at = None;
            steps.push(Step::Review);
        }
        if let Some(in_flight) = &mut self.in_flight {
            let silent = now.saturating_sub(in_flight.since);
            let epoch = in_flight.published.epoch();
            if silent >= limits::GIVE_UP_AFTER {
                return vec![Step::Close(format!("epoch {epoch} was not answered for {} s", silent.as_secs()))];
            }
            if silent >= limits::SILENT_AFTER && !in_flight.named_silent {
                in_flight.named_silent = true;
                steps.push(Step::Tell(Event::Silent { epoch }));
            }
        }
        self.offer(now, &mut steps);
        steps
    }

    /// The credentials were reviewed because the stream is old. When nobody could judge them, a stream that was good
    /// stays, and is reviewed again later; otherwise it ends, and the peer connects anew with its present credentials.
    pub fn reviewed(&mut self, could_judge: bool, now: Duration) -> Vec<Step> {
        if could_judge {
            return vec![Step::Retire];
        }
        self.review_at = Some(now + limits::REVIEW_AGAIN);
        Vec::new()
    }

    /// When [`ServerStream::tick`] has something to do next.
    pub fn deadline(&self) -> Option<Duration> {
        let offer = match &self.in_flight {
            Some(in_flight) if in_flight.named_silent => Some(in_flight.since + limits::GIVE_UP_AFTER),
            Some(in_flight) => Some(in_flight.since + limits::SILENT_AFTER),
            None => self.refused.as_ref().map(|refused| refused.again_at),
        };
        offer.into_iter().chain(self.review_at).min()
    }

    fn hello(&mut self, hello: &wire::Hello, now: Duration, steps: &mut Vec<Step>) -> Result<(), String> {
        if self.peer.is_some() {
            return Err("a stream has one Hello".to_owned());
        }
        if hello.oldest_format > hello.newest_format {
            return Err(format!("formats {} to {} are none", hello.oldest_format, hello.newest_format));
        }
        let applied = convert::optional_digest(&hello.applied)?;
        self.admitted(hello)?;
        let pod = convert::printable(&hello.pod, limits::MAX_POD_NAME);
        self.peer = Some(Peer { formats: hello.oldest_format..=hello.newest_format, applied, greeted: false });
        let named = |digest| self.latest.as_ref().map_or(digest, |latest| latest.name_of(digest));
        steps.push(Step::Tell(Event::Hello { pod, applied: applied.map(named) }));
        self.offer(now, steps);
        Ok(())
    }

    /// Whether the peer is whom its credentials name, and belongs here at all.
    fn admitted(&self, hello: &wire::Hello) -> Result<(), String> {
        let Admission { pod, environment, .. } = &self.admission;
        if pod.as_ref().is_some_and(|pod| pod.name != hello.pod || pod.uid != hello.pod_uid) {
            return Err("the credentials belong to another pod than the one that shows them".to_owned());
        }
        let theirs = convert::environment(&hello.environment)?;
        match Environment::clash(environment.as_ref(), theirs.as_ref()) {
            None => Ok(()),
            Some((ours, theirs)) => Err(format!(
                "this operator serves environment {ours} and the dataplane belongs to {theirs}: environments never mix, \
                 so connect it to an operator of its own"
            )),
        }
    }

    fn need(&mut self, need: &wire::Need, now: Duration, steps: &mut Vec<Step>) -> Result<(), String> {
        let in_flight = self.answered(&need.digest)?;
        if std::mem::replace(&mut in_flight.asked, true) {
            return Err("the shards of a manifest can be asked for once".to_owned());
        }
        let slots = &in_flight.published.manifest().slots;
        let mut wants = Vec::with_capacity(need.wants.len().min(slots.len()));
        let mut seen = BTreeSet::new();
        for want in &need.wants {
            let slot = convert::slot(want.slot)?;
            let digest = convert::digest(&want.digest)?;
            if slots.get(&slot).is_none_or(|shard| shard.digest != digest) {
                return Err(format!("the manifest in flight has no shard {digest} in slot {slot}"));
            }
            if !seen.insert(slot) {
                return Err(format!("slot {slot} is wanted twice"));
            }
            wants.push((digest, convert::optional_digest(&want.base)?));
        }
        in_flight.since = now;
        steps.push(Step::Transfer(Shipment { published: in_flight.published.clone(), wants }));
        Ok(())
    }

    fn applied(&mut self, applied: &wire::Applied, now: Duration, steps: &mut Vec<Step>) -> Result<(), String> {
        let InFlight { published, digest, .. } = self.answered(&applied.digest)?;
        let (published, digest) = (published.clone(), *digest);
        self.in_flight = None;
        self.refused = None;
        if let Some(peer) = &mut self.peer {
            peer.applied = Some(digest);
        }
        steps.push(Step::Tell(Event::Applied { digest: published.digest(), epoch: published.epoch() }));
        self.offer(now, steps);
        Ok(())
    }

    fn rejected(&mut self, rejected: &wire::Rejected, now: Duration, steps: &mut Vec<Step>) -> Result<(), String> {
        let published = self.answered(&rejected.digest)?.published.clone();
        let slot = rejected.slot.map(convert::slot).transpose()?;
        let digest = published.digest();
        self.in_flight = None;
        let wait = match &self.refused {
            Some(before) if before.digest == digest => (before.wait * 2).min(limits::LAST_RETRY),
            _ => limits::FIRST_RETRY,
        };
        self.refused = Some(Refused { digest, again_at: now + wait, wait });
        steps.push(Step::Tell(Event::Rejected {
            digest,
            epoch: published.epoch(),
            slot,
            row: rejected.row,
            reason: convert::printable(&rejected.reason, limits::MAX_REASON),
        }));
        self.offer(now, steps);
        Ok(())
    }

    /// The manifest in flight, if that is the one that the peer answers.
    fn answered(&mut self, digest: &[u8]) -> Result<&mut InFlight, String> {
        let digest = convert::digest(digest)?;
        let in_flight = self.in_flight.as_mut().filter(|in_flight| in_flight.digest == digest);
        in_flight.ok_or_else(|| format!("no manifest {digest} is in flight"))
    }

    /// Offers the latest table, if the peer lacks it and may be offered it now.
    fn offer(&mut self, now: Duration, steps: &mut Vec<Step>) {
        let (Some(latest), Some(peer), None) = (&self.latest, &mut self.peer, &self.in_flight) else { return };
        let Some(edition) = latest.edition(&peer.formats) else {
            steps.push(Step::Close(nothing_to_read(&latest.formats(), &peer.formats)));
            return;
        };
        let digest = edition.digest();
        if peer.greeted && peer.applied == Some(digest) {
            return;
        }
        let refused = self.refused.as_ref().filter(|refused| refused.digest == latest.digest());
        if refused.is_some_and(|refused| now < refused.again_at) {
            return;
        }
        peer.greeted = true;
        // A patch may have been what was at fault, so a second offer is whole.
        let manifest = latest.offer(edition, peer.applied.filter(|_| refused.is_none()));
        let published = latest.clone();
        self.in_flight = Some(InFlight { published, digest, since: now, asked: false, named_silent: false });
        steps.push(Step::Send(wire::ServerMessage { kind: Some(server_message::Kind::Manifest(manifest)) }));
    }
}

/// Why no table can be offered: one side is too old for the other.
fn nothing_to_read(written: &RangeInclusive<u32>, read: &RangeInclusive<u32>) -> String {
    let older = if read.end() < written.start() { "the dataplane" } else { "this operator" };
    format!(
        "this operator writes table formats {} to {}, and the dataplane reads {} to {}: upgrade {older}",
        written.start(),
        written.end(),
        read.start(),
        read.end()
    )
}
