//! The table that a dataplane holds: verified shards, immutable, shared by all threads. A new table re-uses every
//! shard that the old one holds unchanged, so that a change costs what changed.

use std::borrow::Cow;
use std::sync::Arc;
use std::thread;

use bytes::Bytes;
use rivmesh_crds::Window;

use crate::codec::bytes::Malformed;
use crate::codec::hsa::HsaShard;
use crate::codec::records::{Endpoints, Owner};
use crate::codec::rows::RowShard;
use crate::codec::settings::{ContractSettings, SettingsShard};
use crate::slot::SlotContent;
use crate::threads::side_by_side;
use crate::{Counts, Digest, Manifest, SlotId, SlotRef, UnknownFormat, contract_name, fold, threads};

/// So many shards are worth a thread to read them.
const WORTH_A_THREAD: usize = 64;

/// An immutable routing table.
#[derive(Debug)]
pub struct Table {
    manifest: Manifest,
    digest: Digest,
    shards: Vec<Option<Shard>>,
}

#[derive(Debug, Clone)]
enum Shard {
    Rows(Arc<RowShard>),
    Hsa(Arc<HsaShard>),
    Settings(Arc<SettingsShard>),
}

/// Why shards do not make a table. The table held before stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// The manifest is of a format that this program does not read.
    #[error(transparent)]
    Format(#[from] UnknownFormat),
    /// A shard that the manifest lists was not to be had.
    #[error("slot {slot}: shard {digest} is missing")]
    Missing {
        /// The slot.
        slot: SlotId,
        /// The missing shard.
        digest: Digest,
    },
    /// A shard is not as long as the manifest says.
    #[error("slot {slot}: the shard has {found} bytes, the manifest says {expected}")]
    Length {
        /// The slot.
        slot: SlotId,
        /// Bytes according to the manifest.
        expected: u32,
        /// Bytes there are.
        found: usize,
    },
    /// A shard's bytes are not those that the manifest names.
    #[error("slot {slot}: the bytes have digest {found}, the manifest says {expected}")]
    Digest {
        /// The slot.
        slot: SlotId,
        /// Digest according to the manifest.
        expected: Digest,
        /// Digest of the bytes.
        found: Digest,
    },
    /// A shard's content is wrong although its digest is right: whoever wrote it is at fault.
    #[error("slot {slot}: {fault}")]
    Content {
        /// The slot.
        slot: SlotId,
        /// Section, row and reason.
        fault: Malformed,
    },
    /// The shards do not hold as much as the manifest says.
    #[error("the shards hold {found:?}, the manifest says {expected:?}")]
    Counts {
        /// Counts according to the manifest.
        expected: Counts,
        /// Counts of the shards.
        found: Counts,
    },
}

/// The contract that a call means.
pub(crate) struct Contract<'n, 't> {
    pub(crate) urn: Cow<'n, str>,
    /// The folded hash of it, which several shards are probed with.
    pub(crate) hash: u64,
    /// What a ServiceContract says of it, if there is one.
    pub(crate) settings: Option<ContractSettings<'t>>,
}

impl Table {
    /// A table without rows, as before the first one was loaded.
    pub fn empty() -> Self {
        let manifest = Manifest::default();
        Self { digest: manifest.digest(), manifest, shards: SlotId::all().map(|_| None).collect() }
    }

    /// Builds the table that `manifest` describes. Shards that `previous` holds in the same slot with the same digest
    /// are re-used; all others are asked for by digest and verified: length, digest, content, place. A few threads share
    /// the first table; for a later one, which is built beside calls, this thread lets go of its processor after each shard.
    ///
    /// # Errors
    /// Names the first slot that is wrong, and its row and reason. Nothing is half built.
    pub fn assemble(
        manifest: &Manifest,
        previous: Option<&Self>,
        fetch: &mut dyn FnMut(Digest) -> Option<Bytes>,
    ) -> Result<Self, TableError> {
        UnknownFormat::check(manifest.format)?;
        let mut shards: Vec<Option<Shard>> = SlotId::all().map(|_| None).collect();
        let mut fetched = Vec::new();
        for (&slot, expected) in &manifest.slots {
            match previous.and_then(|previous| previous.held(slot, expected.digest)) {
                Some(held) => shards[slot.index()] = Some(held.clone()),
                None => fetched.push((slot, expected, fetch(expected.digest))),
            }
        }
        let is_first = previous.is_none_or(Self::is_empty);
        let mut threads = if is_first { threads::states() } else { vec![()] };
        let verify = |(slot, expected, bytes), (): &mut ()| {
            if !is_first {
                // A scheduler lets a thread that is not done go on for some three milliseconds, and calls wait as long.
                thread::yield_now();
            }
            (slot, Shard::verify(slot, expected, bytes))
        };
        for (slot, shard) in side_by_side(fetched, WORTH_A_THREAD, &mut threads, verify) {
            shards[slot.index()] = Some(shard?);
        }
        let mut counts = Counts::default();
        shards.iter().flatten().for_each(|shard| counts += shard.counts());
        if counts != manifest.counts {
            return Err(TableError::Counts { expected: manifest.counts, found: counts });
        }
        Ok(Self { digest: manifest.digest(), manifest: manifest.clone(), shards })
    }

    /// The slots whose shards must be fetched to get from `previous` to `manifest`.
    pub fn missing(manifest: &Manifest, previous: Option<&Self>) -> Vec<SlotId> {
        let is_held = |slot, digest| previous.is_some_and(|previous| previous.held(slot, digest).is_some());
        manifest.slots.iter().filter(|(slot, shard)| !is_held(**slot, shard.digest)).map(|(slot, _)| *slot).collect()
    }

    fn held(&self, slot: SlotId, digest: Digest) -> Option<&Shard> {
        self.manifest.slots.get(&slot).filter(|held| held.digest == digest)?;
        self.shards[slot.index()].as_ref()
    }

    /// The manifest from which the table was built.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The manifest's digest: the version of the table.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Whether the table holds nothing at all.
    pub fn is_empty(&self) -> bool {
        self.manifest.slots.is_empty()
    }

    /// The bytes of the shard in `slot`, to patch or to store.
    pub fn shard(&self, slot: SlotId) -> Option<&Bytes> {
        self.shards[slot.index()].as_ref().map(Shard::bytes)
    }

    /// Memory that the table holds, in bytes (shared with other tables that hold the same shards).
    pub fn size(&self) -> usize {
        let slots = self.shards.capacity() * size_of::<Option<Shard>>();
        slots + self.shards.iter().flatten().map(|shard| shard.bytes().len() + shard.index_size()).sum::<usize>()
    }

    /// The settings of a contract, if a ServiceContract names it (in either form, rules §5).
    pub fn settings(&self, contract: &str) -> Option<ContractSettings<'_>> {
        self.contract_of(contract).settings
    }

    /// The settings of all contracts that have some, by URN.
    pub fn contracts(&self) -> impl Iterator<Item = ContractSettings<'_>> {
        self.settings_shard().into_iter().flat_map(SettingsShard::iter)
    }

    /// Every route.
    pub fn routes(&self) -> impl Iterator<Item = RouteRow<'_>> {
        self.row_shards().flat_map(|shard| {
            shard.routes().map(|(address, contract, target)| RouteRow {
                address,
                contract,
                profile: target.profile,
                producer_hsa_id: target.producer,
                endpoints: target.endpoints,
                validity: target.origin.period.into(),
                owner: target.origin.owner,
            })
        })
    }

    /// Every authorisation.
    pub fn authorizations(&self) -> impl Iterator<Item = AuthorizationRow<'_>> {
        self.row_shards().flat_map(|shard| {
            shard.authorizations().map(|(address, contract, consumer, grant)| AuthorizationRow {
                address,
                contract,
                consumer,
                validity: grant.period.into(),
                owner: grant.owner,
            })
        })
    }

    /// The contract that a name means: the one that a ServiceContract names so, or the name with `Responder` in it.
    pub(crate) fn contract_of<'n>(&self, name: &'n str) -> Contract<'n, '_> {
        let settings_of = |hash, urn: &str| self.settings_shard()?.get(hash, urn);
        let hash = fold::hash(name.as_bytes());
        let settings = settings_of(hash, name);
        if settings.is_none()
            && let Some(longer) = contract_name::with_responder(name)
        {
            let hash = fold::hash(longer.as_bytes());
            return Contract { settings: settings_of(hash, &longer), urn: longer.into(), hash };
        }
        Contract { urn: name.into(), hash, settings }
    }

    fn settings_shard(&self) -> Option<&SettingsShard> {
        match self.shards[SlotId::SETTINGS.index()].as_ref()? {
            Shard::Settings(shard) => Some(shard),
            Shard::Rows(_) | Shard::Hsa(_) => None,
        }
    }

    pub(crate) fn row_shard(&self, slot: SlotId) -> Option<&RowShard> {
        match self.shards[slot.index()].as_ref()? {
            Shard::Rows(shard) => Some(shard),
            Shard::Hsa(_) | Shard::Settings(_) => None,
        }
    }

    pub(crate) fn hsa_shard(&self, slot: SlotId) -> Option<&HsaShard> {
        match self.shards[slot.index()].as_ref()? {
            Shard::Hsa(shard) => Some(shard),
            Shard::Rows(_) | Shard::Settings(_) => None,
        }
    }

    pub(crate) fn row_shards(&self) -> impl Iterator<Item = &RowShard> {
        SlotId::all().filter_map(|slot| self.row_shard(slot))
    }
}

impl Shard {
    /// The shard that a manifest expects in a slot, if that is what the bytes are.
    fn verify(slot: SlotId, expected: &SlotRef, bytes: Option<Bytes>) -> Result<Self, TableError> {
        let SlotRef { digest, len } = *expected;
        let bytes = bytes.ok_or(TableError::Missing { slot, digest })?;
        if bytes.len() != len as usize {
            return Err(TableError::Length { slot, expected: len, found: bytes.len() });
        }
        let found = Digest::of(&bytes);
        if found != digest {
            return Err(TableError::Digest { slot, expected: digest, found });
        }
        Self::read(slot, bytes).map_err(|fault| TableError::Content { slot, fault })
    }

    fn read(slot: SlotId, bytes: Bytes) -> Result<Self, Malformed> {
        Ok(match slot.content() {
            SlotContent::Rows => Self::Rows(Arc::new(RowShard::read(bytes, slot)?)),
            SlotContent::Hsa => Self::Hsa(Arc::new(HsaShard::read(bytes, slot)?)),
            SlotContent::Settings => Self::Settings(Arc::new(SettingsShard::read(bytes)?)),
        })
    }

    fn bytes(&self) -> &Bytes {
        match self {
            Self::Rows(shard) => &shard.bytes,
            Self::Hsa(shard) => &shard.bytes,
            Self::Settings(shard) => &shard.bytes,
        }
    }

    fn index_size(&self) -> usize {
        match self {
            Self::Rows(shard) => shard.index_size(),
            Self::Hsa(shard) => shard.index_size(),
            Self::Settings(shard) => shard.index_size(),
        }
    }

    fn counts(&self) -> Counts {
        match self {
            Self::Rows(shard) => {
                let (routes, authorizations) = shard.counts();
                Counts { routes, authorizations, ..Counts::default() }
            }
            Self::Hsa(shard) => Counts { hsa_units: shard.len() as u64, ..Counts::default() },
            Self::Settings(shard) => Counts { contracts: shard.iter().count() as u64, ..Counts::default() },
        }
    }
}

/// A route as it stands in the table.
#[derive(Debug, Clone)]
pub struct RouteRow<'t> {
    /// The logical address, or `*`.
    pub address: &'t str,
    /// The contract's URN.
    pub contract: &'t str,
    /// The producer's profile.
    pub profile: &'t str,
    /// The producer's HSA-id.
    pub producer_hsa_id: Option<&'t str>,
    /// The producer's endpoints in order of preference.
    pub endpoints: Endpoints<'t>,
    /// When the row is valid.
    pub validity: Window,
    /// The object that it comes from.
    pub owner: Owner<'t>,
}

/// An authorisation as it stands in the table.
#[derive(Debug, Clone)]
pub struct AuthorizationRow<'t> {
    /// The logical address, or `*`.
    pub address: &'t str,
    /// The contract's URN.
    pub contract: &'t str,
    /// Who may call.
    pub consumer: &'t str,
    /// When the row is valid.
    pub validity: Window,
    /// The object that it comes from.
    pub owner: Owner<'t>,
}
