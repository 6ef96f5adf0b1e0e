//! One table as an operator publishes it: the manifest, every shard, and the few versions before that dataplanes may
//! still hold, as bases for patches. It never changes once made, so a stream that is in the middle of a transfer goes
//! on undisturbed while newer tables appear; and what is packed for one dataplane is kept for the next.
//!
//! Its manifest is written in every format, since dataplanes of several versions may be connected at once. However one of
//! them knows the table by, it is one publication, and is named by the digest of the newest format.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use rivmesh_table::{Digest, Manifest, OLDEST_FORMAT, SlotId, UnknownFormat};
use thiserror::Error;

use crate::{convert, limits, patch, wire};

/// A manifest cannot be published: it is not complete, or beyond what a dataplane accepts.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Incomplete {
    /// The manifest is of a format that this version does not write.
    #[error(transparent)]
    Format(#[from] UnknownFormat),
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
    manifest: Manifest,
    editions: Editions,
    shards: HashMap<Digest, Arc<Packable>>,
    /// Superseded shards, newest first.
    earlier: VecDeque<(SlotId, Digest)>,
    /// Superseded manifests, newest first.
    earlier_manifests: VecDeque<Editions>,
}

/// One manifest in every format, the oldest first: all formats up to the one that it was made in.
#[derive(Debug, Clone)]
struct Editions(Arc<[Edition]>);

/// A manifest in one format.
#[derive(Debug)]
pub(crate) struct Edition {
    format: u32,
    digest: Digest,
    encoded: Packable,
}

impl Edition {
    /// What dataplanes call the table that read it in this format.
    pub(crate) fn digest(&self) -> Digest {
        self.digest
    }
}

impl Editions {
    fn of(manifest: &Manifest) -> Self {
        let edition = |format| {
            let encoded = Bytes::from(manifest.encode_in(format));
            Edition { format, digest: Digest::of(&encoded), encoded: Packable::new(encoded) }
        };
        Self((OLDEST_FORMAT..=manifest.format).map(edition).collect())
    }

    /// The name of the table: its digest in the newest format.
    fn name(&self) -> Digest {
        self.0.last().expect("no manifest is older than the oldest format").digest
    }

    /// The one that is known by this digest.
    fn known_by(&self, digest: Digest) -> Option<&Edition> {
        self.0.iter().find(|edition| edition.digest == digest)
    }
}

impl Published {
    /// The table after `previous`, made of `manifest` and the shards that are new in it.
    ///
    /// # Errors
    /// When a shard of the manifest is neither in `shards` nor known from `previous`, or is too long; or when nobody
    /// could read the manifest.
    pub fn new(
        manifest: Manifest,
        shards: &BTreeMap<Digest, Bytes>,
        previous: Option<&Self>,
    ) -> Result<Self, Incomplete> {
        UnknownFormat::check(manifest.format)?;
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
        let mut published = Self {
            epoch: previous.map_or(1, |previous| previous.epoch + 1),
            editions: Editions::of(&manifest),
            manifest,
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
        let manifests = std::iter::once(&previous.editions).chain(&previous.earlier_manifests);
        let superseded = manifests.filter(|manifest| manifest.name() != self.digest());
        self.earlier_manifests = superseded.take(limits::KEPT_MANIFESTS).cloned().collect();
    }

    /// Counts the tables of this operator process, from 1.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The version of the table: its manifest's digest, in the newest format.
    pub fn digest(&self) -> Digest {
        self.editions.name()
    }

    /// The formats that it is written in.
    pub fn formats(&self) -> RangeInclusive<u32> {
        OLDEST_FORMAT..=self.manifest.format
    }

    /// The digest of the same publication, now or earlier, whatever format `digest` is of; else `digest` itself.
    pub(crate) fn name_of(&self, digest: Digest) -> Digest {
        let mut manifests = std::iter::once(&self.editions).chain(&self.earlier_manifests);
        manifests.find(|manifest| manifest.known_by(digest).is_some()).map_or(digest, Editions::name)
    }

    /// The newest edition that a dataplane with these formats reads; none if it reads none of them.
    pub(crate) fn edition(&self, formats: &RangeInclusive<u32>) -> Option<&Edition> {
        self.editions.0.iter().rev().find(|edition| formats.contains(&edition.format))
    }

    /// The manifest.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The message that offers this table in one of its editions to a dataplane that serves `applied`.
    pub(crate) fn offer(&self, edition: &Edition, applied: Option<Digest>) -> wire::Manifest {
        let (base, data) = if applied == Some(edition.digest) {
            (applied, Bytes::new())
        } else {
            // It may hold an earlier table, or this one in another format.
            let mut manifests = std::iter::once(&self.editions).chain(&self.earlier_manifests);
            let base = applied.and_then(|digest| manifests.find_map(|manifest| manifest.known_by(digest)));
            let base = base.map(|held| (held.digest, &held.encoded));
            (base.map(|(digest, _)| digest), edition.encoded.pack(base))
        };
        wire::Manifest {
            epoch: self.epoch,
            digest: convert::to_wire(edition.digest),
            base: convert::optional_to_wire(base),
            length: u32::try_from(edition.encoded.bytes.len()).expect("a manifest has a few thousand slots at most"),
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
