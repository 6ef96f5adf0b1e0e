//! One table as an operator publishes it: the manifest, every shard, and the few versions before that dataplanes may
//! still hold, as bases for patches. It never changes once made, so a stream that is in the middle of a transfer goes
//! on undisturbed while newer tables appear; and what is packed for one dataplane is kept for the next.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use rivmesh_table::{Digest, Manifest, SlotId};
use thiserror::Error;

use crate::{convert, limits, patch, wire};

/// A manifest cannot be published: it is not complete, or beyond what a dataplane accepts.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Incomplete {
    /// A slot names a shard that was neither given nor published before.
    #[error("the shard {digest} of slot {slot} was not given")]
    Shard {
        /// The slot.
        slot: SlotId,
        /// The digest that the manifest names.
        digest: Digest,
    },
    /// A shard is longer than a dataplane accepts.
    #[error("slot {slot} has {length} bytes, more than the {} that a dataplane accepts", limits::MAX_SHARD_BYTES)]
    TooLong {
        /// The slot.
        slot: SlotId,
        /// Its shard's length.
        length: usize,
    },
}

/// One published table.
#[derive(Debug)]
pub struct Published {
    epoch: u64,
    digest: Digest,
    manifest: Manifest,
    encoded: Arc<Packable>,
    shards: HashMap<Digest, Arc<Packable>>,
    /// Superseded shards, newest first.
    earlier: VecDeque<(SlotId, Digest)>,
    /// Superseded manifests, newest first.
    earlier_manifests: VecDeque<(Digest, Arc<Packable>)>,
}

impl Published {
    /// The table after `previous`, made of `manifest` and the shards that are new in it.
    ///
    /// # Errors
    /// When a shard of the manifest is neither in `shards` nor known from `previous`, or is too long.
    pub fn new(
        manifest: Manifest,
        shards: &BTreeMap<Digest, Bytes>,
        previous: Option<&Self>,
    ) -> Result<Self, Incomplete> {
        let mut held = HashMap::with_capacity(manifest.slots.len());
        for (&slot, shard) in &manifest.slots {
            let digest = shard.digest;
            let known = previous.and_then(|previous| previous.shards.get(&digest)).cloned();
            let given = || shards.get(&digest).map(|bytes| Arc::new(Packable::new(bytes.clone())));
            let packable = known.or_else(given).ok_or(Incomplete::Shard { slot, digest })?;
            if packable.bytes.len() > limits::MAX_SHARD_BYTES {
                return Err(Incomplete::TooLong { slot, length: packable.bytes.len() });
            }
            held.insert(digest, packable);
        }
        let encoded = Bytes::from(manifest.encode());
        let mut published = Self {
            epoch: previous.map_or(1, |previous| previous.epoch + 1),
            digest: Digest::of(&encoded),
            manifest,
            encoded: Arc::new(Packable::new(encoded)),
            shards: held,
            earlier: VecDeque::new(),
            earlier_manifests: VecDeque::new(),
        };
        if let Some(previous) = previous {
            published.keep_bases(previous);
        }
        Ok(published)
    }

    /// Keeps what `previous` served or kept, newest first, as far as the limits allow.
    fn keep_bases(&mut self, previous: &Self) {
        let superseded = previous.manifest.slots.iter().map(|(slot, shard)| (*slot, shard.digest));
        let mut versions: HashMap<SlotId, usize> = HashMap::new();
        let mut bytes = 0;
        for (slot, digest) in superseded.chain(previous.earlier.iter().copied()) {
            let Some(packable) = previous.shards.get(&digest) else { continue };
            let versions = versions.entry(slot).or_default();
            if self.shards.contains_key(&digest) || *versions == limits::KEPT_VERSIONS {
                continue;
            }
            bytes += packable.bytes.len();
            if bytes > limits::KEPT_BYTES {
                break;
            }
            *versions += 1;
            self.shards.insert(digest, packable.clone());
            self.earlier.push_back((slot, digest));
        }
        let manifests = std::iter::once((previous.digest, previous.encoded.clone()));
        let manifests = manifests.chain(previous.earlier_manifests.iter().cloned());
        self.earlier_manifests =
            manifests.filter(|(digest, _)| *digest != self.digest).take(limits::KEPT_MANIFESTS).collect();
    }

    /// Counts the tables of this operator process, from 1.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The version of the table: its manifest's digest.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The message that offers this table to a dataplane that serves `applied`.
    pub(crate) fn offer(&self, applied: Option<Digest>) -> wire::Manifest {
        let (base, data) = if applied == Some(self.digest) {
            (applied, Bytes::new())
        } else {
            let known = |wanted| self.earlier_manifests.iter().find(|(digest, _)| *digest == wanted);
            let base = applied.and_then(known).map(|(digest, packable)| (*digest, packable.as_ref()));
            (base.map(|(digest, _)| digest), self.encoded.pack(base))
        };
        wire::Manifest {
            epoch: self.epoch,
            digest: convert::to_wire(self.digest),
            base: convert::optional_to_wire(base),
            length: u32::try_from(self.encoded.bytes.len()).expect("a manifest has a few thousand slots at most"),
            data,
        }
    }

    /// The message with one shard, as a patch on `base` where that version is still kept.
    ///
    /// Packs at most once for each pair; that takes time, so call it where nothing else waits. `None` when the shard
    /// is not part of this table.
    pub(crate) fn shard(&self, digest: Digest, base: Option<Digest>) -> Option<wire::Shard> {
        let packable = self.shards.get(&digest)?;
        let base = base.and_then(|base| Some((base, self.shards.get(&base)?.as_ref())));
        Some(wire::Shard {
            digest: convert::to_wire(digest),
            base: convert::optional_to_wire(base.map(|(digest, _)| digest)),
            data: packable.pack(base),
        })
    }
}

/// Bytes, and what they were packed to so far.
#[derive(Debug)]
struct Packable {
    bytes: Bytes,
    whole: OnceLock<Bytes>,
    patches: Mutex<HashMap<Digest, Bytes>>,
}

impl Packable {
    fn new(bytes: Bytes) -> Self {
        Self { bytes, whole: OnceLock::new(), patches: Mutex::default() }
    }

    fn pack(&self, base: Option<(Digest, &Self)>) -> Bytes {
        let Some((digest, base)) = base else {
            return self.whole.get_or_init(|| patch::pack(&self.bytes, None)).clone();
        };
        // The lock is held while packing, so that a hundred dataplanes that want one patch have it made once.
        let mut patches = self.patches.lock().unwrap_or_else(PoisonError::into_inner);
        patches.entry(digest).or_insert_with(|| patch::pack(&self.bytes, Some(&base.bytes))).clone()
    }
}
