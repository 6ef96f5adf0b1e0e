//! The dataplane's end of a stream, without I/O or clock: messages and the time go in, messages and transfers come
//! out. It never touches the table that serves; it only says when a complete transfer may be made into a new one,
//! and what became of it.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use rivmesh_table::{Digest, Environment, FORMATS, Manifest, SlotId, Table};

use crate::transfer::Parcel;
use crate::wire::server_message::Kind;
use crate::wire::{self, client_message};
use crate::{Refusal, Transfer, convert, limits, patch};

/// What the owner of a [`Client`] must do, in order.
#[derive(Debug)]
pub enum Action {
    /// Send this message.
    Send(wire::ClientMessage),
    /// Make the new table, where no call waits; install it if that works; and tell the outcome to
    /// [`Client::assembled`].
    Assemble(Transfer),
    /// The operator says that the table in service is the latest, and is its table of this epoch.
    UpToDate(u64),
    /// A manifest was refused before its shards were asked for.
    Refused(Refusal),
    /// Drop the stream: the operator broke the protocol or stalled. Connect again after a while.
    Disconnect(String),
}

/// Who a dataplane says it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Identity {
    /// Its name for people: its pod name.
    pub pod: String,
    /// The uid of its pod; empty outside a cluster.
    pub pod_uid: String,
    /// The environment that it belongs to. None where environments are not told apart.
    pub environment: Option<Environment>,
}

impl Identity {
    /// One with a name and nothing else.
    pub fn named(pod: impl Into<String>) -> Self {
        Self { pod: pod.into(), ..Self::default() }
    }
}

/// One dataplane's side of the protocol, over any number of streams. Times are since any fixed instant.
#[derive(Debug)]
pub struct Client {
    identity: Identity,
    formats: RangeInclusive<u32>,
    phase: Phase,
    /// The manifest refused last: if it comes again its shards are asked for whole, in case a patch was at fault.
    refused: Option<Digest>,
}

#[derive(Debug)]
enum Phase {
    /// No stream.
    Offline,
    /// A manifest may come.
    Idle,
    /// Shards are on their way.
    Fetching(Fetch),
    /// The owner is making a table.
    Assembling(Digest),
}

#[derive(Debug)]
struct Fetch {
    epoch: u64,
    digest: Digest,
    manifest: Manifest,
    wanted: BTreeMap<Digest, Wanted>,
    parcels: Vec<Parcel>,
    heard: Duration,
}

#[derive(Debug)]
struct Wanted {
    slot: SlotId,
    base: Option<Digest>,
    longest: usize,
}

impl Client {
    /// This dataplane, without a stream.
    pub fn new(identity: Identity) -> Self {
        Self::reading(identity, FORMATS)
    }

    /// The same, of a version that reads other formats than this one: some of [`FORMATS`].
    pub fn reading(identity: Identity, formats: RangeInclusive<u32>) -> Self {
        Self { identity, formats, phase: Phase::Offline, refused: None }
    }

    /// A stream was opened: the message that must be sent first. `table` is the one in service.
    ///
    /// A transfer that is still being assembled must be finished first, or this hello would be out of date at once.
    pub fn connected(&mut self, table: &Table) -> wire::ClientMessage {
        self.phase = Phase::Idle;
        message(client_message::Kind::Hello(wire::Hello {
            pod: self.identity.pod.clone(),
            pod_uid: self.identity.pod_uid.clone(),
            environment: self.identity.environment.clone().map(String::from).unwrap_or_default(),
            oldest_format: *self.formats.start(),
            newest_format: *self.formats.end(),
            applied: convert::optional_to_wire(held(table)),
        }))
    }

    /// The stream ended. A transfer that was under way is forgotten; one that is being assembled is finished.
    pub fn disconnected(&mut self) {
        self.phase = Phase::Offline;
    }

    /// A message arrived. `table` is the one in service.
    pub fn message(&mut self, message: wire::ServerMessage, table: &Table, now: Duration) -> Vec<Action> {
        let outcome = match message.kind {
            Some(Kind::Manifest(manifest)) => self.manifest(&manifest, table, now),
            Some(Kind::Shard(shard)) => self.shard(shard, now),
            None => Err("it sent a message that this dataplane does not know".to_owned()),
        };
        outcome.unwrap_or_else(|reason| vec![Action::Disconnect(format!("the operator broke the protocol: {reason}"))])
    }

    /// The transfer handed out by [`Action::Assemble`] was installed, or refused.
    pub fn assembled(&mut self, outcome: &Result<(), Refusal>) -> Option<wire::ClientMessage> {
        let Phase::Assembling(digest) = self.phase else {
            // The stream has gone meanwhile; the next hello tells what is served.
            self.note(outcome);
            return None;
        };
        self.note(outcome);
        self.phase = Phase::Idle;
        Some(match outcome {
            Ok(()) => applied(digest),
            Err(refusal) => message(client_message::Kind::Rejected(refusal.to_wire())),
        })
    }

    /// Time has passed: call this at [`Client::deadline`].
    pub fn tick(&mut self, now: Duration) -> Option<Action> {
        let Phase::Fetching(fetch) = &self.phase else { return None };
        let silence = now.saturating_sub(fetch.heard);
        (silence >= limits::STALLED_AFTER).then(|| {
            let (left, seconds) = (fetch.wanted.len(), silence.as_secs());
            Action::Disconnect(format!("the operator sent nothing for {seconds} s with {left} shards still to come"))
        })
    }

    /// When [`Client::tick`] has something to do next.
    pub fn deadline(&self) -> Option<Duration> {
        match &self.phase {
            Phase::Fetching(fetch) => Some(fetch.heard + limits::STALLED_AFTER),
            _ => None,
        }
    }

    fn note(&mut self, outcome: &Result<(), Refusal>) {
        self.refused = outcome.as_ref().err().map(|refusal| refusal.digest);
    }

    fn manifest(&mut self, offer: &wire::Manifest, table: &Table, now: Duration) -> Result<Vec<Action>, String> {
        if !matches!(self.phase, Phase::Idle) {
            return Err("it sent a manifest while another was in flight".to_owned());
        }
        let digest = convert::digest(&offer.digest)?;
        if held(table) == Some(digest) {
            return Ok(vec![Action::Send(applied(digest)), Action::UpToDate(offer.epoch)]);
        }
        let read = read_manifest(offer, digest, table).and_then(|manifest| {
            self.judge(&manifest).map_err(|reason| Refusal::whole(digest, reason))?;
            Ok(manifest)
        });
        let manifest = match read {
            Ok(manifest) => manifest,
            Err(refusal) => {
                self.refused = Some(digest);
                let reply = message(client_message::Kind::Rejected(refusal.to_wire()));
                return Ok(vec![Action::Send(reply), Action::Refused(refusal)]);
            }
        };
        let trusted = self.refused != Some(digest);
        let wanted: BTreeMap<Digest, Wanted> = Table::missing(&manifest, Some(table))
            .into_iter()
            .filter_map(|slot| {
                let shard = manifest.slots.get(&slot)?;
                let base = table.manifest().slots.get(&slot).filter(|_| trusted).map(|shard| shard.digest);
                Some((shard.digest, Wanted { slot, base, longest: patch::packed_bound(shard.len as usize) }))
            })
            .collect();
        if wanted.is_empty() {
            self.phase = Phase::Assembling(digest);
            return Ok(vec![Action::Assemble(Transfer { epoch: offer.epoch, digest, manifest, parcels: Vec::new() })]);
        }
        let wants = wanted.iter().map(|(digest, wanted)| wire::Want {
            slot: u32::from(wanted.slot.number()),
            digest: convert::to_wire(*digest),
            base: convert::optional_to_wire(wanted.base),
        });
        let need = wire::Need { digest: convert::to_wire(digest), wants: wants.collect() };
        self.phase =
            Phase::Fetching(Fetch { epoch: offer.epoch, digest, manifest, wanted, parcels: Vec::new(), heard: now });
        Ok(vec![Action::Send(message(client_message::Kind::Need(need)))])
    }

    /// Whether this dataplane may have the table at all.
    ///
    /// # Errors
    /// The sentence that says why not.
    fn judge(&self, manifest: &Manifest) -> Result<(), String> {
        let (format, formats) = (manifest.format, &self.formats);
        if !formats.contains(&format) {
            let (oldest, newest) = (formats.start(), formats.end());
            return Err(format!("the table has format {format}, and this dataplane reads {oldest} to {newest}"));
        }
        // A table of an operator that does not name its environment yet passes: it has judged this dataplane's.
        match Environment::clash(self.identity.environment.as_ref(), manifest.environment.as_ref()) {
            None => Ok(()),
            Some((ours, theirs)) => Err(format!(
                "the table is of environment {theirs} and this dataplane belongs to {ours}: environments never mix, so \
                 connect it to an operator of its own"
            )),
        }
    }

    fn shard(&mut self, shard: wire::Shard, now: Duration) -> Result<Vec<Action>, String> {
        let Phase::Fetching(fetch) = &mut self.phase else {
            return Err("it sent a shard that nobody waits for".to_owned());
        };
        let digest = convert::digest(&shard.digest)?;
        let base = convert::optional_digest(&shard.base)?;
        let wanted = fetch.wanted.remove(&digest).ok_or_else(|| format!("nobody waits for the shard {digest}"))?;
        if base.is_some() && base != wanted.base {
            return Err(format!("the shard {digest} is a patch on a version that was not offered"));
        }
        if shard.data.len() > wanted.longest {
            return Err(format!("the shard {digest} is longer packed than it can be"));
        }
        fetch.heard = now;
        fetch.parcels.push(Parcel { slot: wanted.slot, digest, based: base.is_some(), data: shard.data });
        if !fetch.wanted.is_empty() {
            return Ok(Vec::new());
        }
        let Phase::Fetching(fetch) = std::mem::replace(&mut self.phase, Phase::Idle) else { return Ok(Vec::new()) };
        let Fetch { epoch, digest, manifest, parcels, .. } = fetch;
        self.phase = Phase::Assembling(digest);
        Ok(vec![Action::Assemble(Transfer { epoch, digest, manifest, parcels })])
    }
}

/// The version of the table in service, if there is one.
fn held(table: &Table) -> Option<Digest> {
    (!table.is_empty()).then(|| table.digest())
}

fn message(kind: client_message::Kind) -> wire::ClientMessage {
    wire::ClientMessage { kind: Some(kind) }
}

fn applied(digest: Digest) -> wire::ClientMessage {
    message(client_message::Kind::Applied(wire::Applied { digest: convert::to_wire(digest) }))
}

/// The manifest in an offer, once it is certain that it is the one that its digest names.
fn read_manifest(offer: &wire::Manifest, digest: Digest, table: &Table) -> Result<Manifest, Refusal> {
    let refuse = |reason: String| Refusal::whole(digest, reason);
    let length = offer.length as usize;
    if length > limits::MAX_MANIFEST_BYTES {
        return Err(refuse(format!("the manifest has {length} bytes, more than {}", limits::MAX_MANIFEST_BYTES)));
    }
    let base = match convert::optional_digest(&offer.base).map_err(refuse)? {
        None => None,
        Some(base) if base == table.digest() => Some(table.manifest().encode()),
        Some(base) => {
            return Err(refuse(format!("the manifest is a patch on {base}, which is not the one in service")));
        }
    };
    let unpacked = patch::unpack(&offer.data, base.as_deref(), length);
    let bytes = unpacked.map_err(|error| refuse(format!("the manifest does not unpack: {error}")))?;
    if Digest::of(&bytes) != digest {
        return Err(refuse(format!("the manifest's bytes have the digest {}", Digest::of(&bytes))));
    }
    let manifest = Manifest::decode(&bytes).map_err(|error| refuse(error.to_string()))?;
    let lengths = || manifest.slots.values().map(|shard| shard.len);
    if let Some(longest) = lengths().max().filter(|longest| *longest as usize > limits::MAX_SHARD_BYTES) {
        return Err(refuse(format!("a shard has {longest} bytes, more than {}", limits::MAX_SHARD_BYTES)));
    }
    let total: u64 = lengths().map(u64::from).sum();
    if total > limits::MAX_TABLE_BYTES {
        return Err(refuse(format!("the shards have {total} bytes together, more than {}", limits::MAX_TABLE_BYTES)));
    }
    Ok(manifest)
}
