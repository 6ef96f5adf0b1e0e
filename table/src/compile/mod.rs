//! The compiler: objects in, shards out. It is incremental (a changed object costs the slots that it touches) and
//! deterministic (the same objects give the same bytes, whatever the order of events, on every replica).

mod contracts;
mod intake;
mod intern;
mod quota;
mod rows;
#[cfg(test)]
mod tests;
mod verdict;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use hashbrown::HashSet;

use self::contracts::Contracts;
use self::intake::{Body, Version};
use self::intern::{Interner, Symbol};
use self::quota::Rows;
use self::rows::{Contribution, RowSlot, Scratch};
use crate::slot::SlotContent;
use crate::threads::{self, side_by_side};
use crate::{
    Counts, DEFAULT_ADDRESS, Digest, Environment, HsaTree, InternalHosts, Manifest, Object, ObjectId, ROW_SLOTS,
    SlotId, SlotRef, fold,
};

pub use self::verdict::Verdict;

/// So many shards are worth a thread to gather their rows.
const WORTH_A_THREAD: usize = 4;

/// What the compiler must know about the platform.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CompileOptions {
    /// The environment that the tables are for, where environments are told apart.
    pub environment: Option<Environment>,
    /// Producers that may be called by `http://`.
    pub internal: InternalHosts,
    /// How many rows there may be.
    pub max_rows: RowLimits,
}

/// How many rows (routes and authorisations together) there may be. The youngest objects that no longer fit are
/// refused whole, with reason `TooManyRows`; one object's own bound is in `rivmesh_crds::limits`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowLimits {
    /// In one namespace.
    pub per_namespace: u64,
    /// In all.
    pub total: u64,
}

impl Default for RowLimits {
    /// Twice what a large national catalogue would hold (design §11).
    fn default() -> Self {
        Self { per_namespace: 4_000_000, total: 4_000_000 }
    }
}

/// What one compilation gives.
#[derive(Debug, Clone)]
pub struct Compilation {
    /// The whole table by digests.
    pub manifest: Manifest,
    /// The shards that were not in the previous compilation's manifest.
    pub shards: BTreeMap<Digest, Bytes>,
    /// The objects whose verdict may have changed, in order. Objects that were removed have none.
    pub changed: Vec<ObjectId>,
}

/// Compiles objects to tables.
#[derive(Debug)]
pub struct Compiler {
    options: CompileOptions,
    interner: Interner,
    /// Names interned when only those in use were held.
    names_in_use: usize,
    objects: BTreeMap<ObjectId, u32>,
    versions: Versions,
    /// Versions that are not yet in their slots.
    arrivals: Vec<u32>,
    slots: Vec<RowSlot>,
    dirty: BTreeSet<u16>,
    /// (loser, slot) for every slot in which a version lost a row.
    losses: BTreeSet<(u32, u16)>,
    contracts: Contracts,
    /// Versions that did not fit within the row limits.
    refused: HashSet<u32>,
    new_hsa_tree: Option<HsaTree>,
    manifest: Manifest,
    /// One for each thread.
    scratch: Vec<Scratch>,
}

impl Compiler {
    /// A compiler that knows no object.
    pub fn new(options: CompileOptions) -> Self {
        let manifest = Manifest { environment: options.environment.clone(), ..Manifest::default() };
        Self {
            options,
            interner: Interner::default(),
            names_in_use: 0,
            objects: BTreeMap::new(),
            versions: Versions::default(),
            arrivals: Vec::new(),
            slots: (0..ROW_SLOTS).map(|_| RowSlot::default()).collect(),
            dirty: BTreeSet::new(),
            losses: BTreeSet::new(),
            contracts: Contracts::default(),
            refused: HashSet::new(),
            new_hsa_tree: None,
            manifest,
            scratch: threads::states(),
        }
    }

    /// Adds an object or replaces its former version. One that says nothing new costs nothing later.
    pub fn upsert(&mut self, object: Object) {
        let version = intake::version(object, &mut self.interner, &self.options.internal);
        let held = self.objects.get(&version.id).copied();
        if let Some(held) = held {
            if self.versions.get(held) == Some(&version) {
                return;
            }
            self.retire(held);
        }
        let id = version.id.clone();
        let number = self.versions.add(version);
        self.objects.insert(id, number);
        self.arrivals.push(number);
    }

    /// Removes an object, if it is known.
    pub fn remove(&mut self, id: &ObjectId) {
        if let Some(version) = self.objects.remove(id) {
            self.retire(version);
        }
    }

    /// Replaces the HSA tree.
    pub fn set_hsa_tree(&mut self, tree: HsaTree) {
        self.new_hsa_tree = Some(tree);
    }

    /// How many objects are known, of all kinds.
    pub fn objects(&self) -> impl ExactSizeIterator<Item = &ObjectId> {
        self.objects.keys()
    }

    /// What the table of the last compilation holds.
    pub fn counts(&self) -> Counts {
        self.manifest.counts
    }

    /// Brings the table up to date. Only slots that something touched are encoded anew.
    pub fn compile(&mut self) -> Compilation {
        let mut changed: BTreeSet<u32> = BTreeSet::new();
        let mut shards = BTreeMap::new();
        self.compact();
        self.settle_contracts(&mut changed, &mut shards);
        self.place_arrivals(&mut changed);
        self.apply_quota(&mut changed);
        self.gather_dirty(&mut changed, &mut shards);
        self.encode_hsa_tree(&mut shards);
        self.versions.free_retired();
        self.manifest.counts.routes = self.slots.iter().map(|slot| slot.routes).sum();
        self.manifest.counts.authorizations = self.slots.iter().map(|slot| slot.authorizations).sum();
        let changed: BTreeSet<&ObjectId> = changed.iter().filter_map(|v| Some(&self.versions.get(*v)?.id)).collect();
        Compilation { manifest: self.manifest.clone(), shards, changed: changed.into_iter().cloned().collect() }
    }

    /// Takes a version out of the tables with the next compilation.
    fn retire(&mut self, number: u32) {
        self.mark_dirty(number);
        self.contracts.is_dirty |= matches!(self.versions.get(number), Some(Version { body: Body::Contract(_), .. }));
        self.versions.retire(number);
    }

    fn names(&self) -> Names<'_> {
        Names { interner: &self.interner, declared: self.contracts.declared() }
    }

    fn mark_dirty(&mut self, number: u32) {
        let slots: Vec<u16> = self.contributions(number).map(|(slot, _)| slot.number()).collect();
        self.dirty.extend(slots);
    }

    /// What a version contributes, and to which slots.
    fn contributions(&self, number: u32) -> impl Iterator<Item = (SlotId, Contribution)> + '_ {
        let names = self.names();
        let version = self.versions.get(number).filter(|version| !version.suspended);
        let (contracts, addresses): (&[Symbol], &[Symbol]) = match version.map(|version| &version.body) {
            Some(Body::Routes(routes)) => (&routes.contracts, &routes.addresses),
            Some(Body::Grants(grants)) => (&grants.contracts, &grants.addresses),
            Some(Body::Contract(_) | Body::Nothing) | None => (&[], &[]),
        };
        addresses.iter().flat_map(move |&address| {
            let text = names.interner.text(address);
            let is_default = text == DEFAULT_ADDRESS;
            let by_contract = contracts.iter().filter(move |_| is_default).map(move |&contract| {
                let hash = fold::hash(names.interner.text(names.resolve(contract)).as_bytes());
                (SlotId::of_rows(text, hash), Contribution { version: number, address, contract: Some(contract) })
            });
            let whole = (!is_default)
                .then(|| (SlotId::of_rows(text, 0), Contribution { version: number, address, contract: None }));
            by_contract.chain(whole)
        })
    }

    fn place_arrivals(&mut self, changed: &mut BTreeSet<u32>) {
        for number in std::mem::take(&mut self.arrivals) {
            let contributions: Vec<_> = self.contributions(number).collect();
            for (slot, contribution) in contributions {
                self.slots[slot.index()].contributions.push(contribution);
                self.dirty.insert(slot.number());
            }
            changed.insert(number);
        }
    }

    fn gather_dirty(&mut self, changed: &mut BTreeSet<u32>, shards: &mut BTreeMap<Digest, Bytes>) {
        let names = Names { interner: &self.interner, declared: self.contracts.declared() };
        let (versions, refused) = (&self.versions, &self.refused);
        let gather = |slot: &mut RowSlot, scratch: &mut Scratch| {
            let before = std::mem::take(&mut slot.losses);
            let encoded = slot.gather(versions, &names, |version| refused.contains(&version), scratch);
            (before, encoded.map(|encoded| NewShard::new(encoded.bytes)))
        };
        let dirty = std::mem::take(&mut self.dirty);
        let is_dirty = |(number, _): &(u16, &mut RowSlot)| dirty.contains(number);
        let slots: Vec<_> = (0..).zip(&mut self.slots).filter(is_dirty).map(|(_, slot)| slot).collect();
        let gathered = side_by_side(slots, WORTH_A_THREAD, &mut self.scratch, gather);
        for (number, (before, shard)) in dirty.into_iter().zip(gathered) {
            let slot = &self.slots[usize::from(number)];
            let is_new = |losses: &[rows::Loss], loss: &rows::Loss| losses.binary_search(loss).is_err();
            changed.extend(before.iter().filter(|loss| is_new(&slot.losses, loss)).map(|loss| loss.loser));
            changed.extend(slot.losses.iter().filter(|loss| is_new(&before, loss)).map(|loss| loss.loser));
            for loss in &before {
                self.losses.remove(&(loss.loser, number));
            }
            self.losses.extend(slot.losses.iter().map(|loss| (loss.loser, number)));
            let slot = SlotId::new(number).expect("row slots are dirty only");
            self.publish(slot, shard, shards);
        }
    }

    fn encode_hsa_tree(&mut self, shards: &mut BTreeMap<Digest, Bytes>) {
        let Some(tree) = self.new_hsa_tree.take() else { return };
        let mut units: BTreeMap<SlotId, Vec<(&str, Option<&str>)>> = BTreeMap::new();
        for (unit, parent) in tree.units() {
            units.entry(SlotId::of_unit(unit)).or_default().push((unit, parent));
        }
        for slot in SlotId::all().filter(|slot| slot.content() == SlotContent::Hsa) {
            self.publish(slot, units.remove(&slot).map(crate::codec::hsa::encode).map(NewShard::new), shards);
        }
        self.manifest.counts.hsa_units = tree.len() as u64;
    }

    /// Puts a shard into the manifest, and among the new ones if it is.
    fn publish(&mut self, slot: SlotId, shard: Option<NewShard>, shards: &mut BTreeMap<Digest, Bytes>) {
        let Some(NewShard { named, bytes }) = shard else {
            self.manifest.slots.remove(&slot);
            return;
        };
        if self.manifest.slots.insert(slot, named) != Some(named) {
            shards.insert(named.digest, bytes);
        }
    }

    /// Starts over with the names that are in use, once most of those held are not.
    fn compact(&mut self) {
        const SLACK: usize = 1 << 16;
        if self.interner.len() <= 2 * self.names_in_use + SLACK {
            return;
        }
        let old = std::mem::take(&mut self.interner);
        for version in self.versions.iter_mut() {
            version.rename(&mut |symbol| self.interner.intern_contract(old.text(symbol)));
        }
        self.names_in_use = self.interner.len();
        self.contracts.is_dirty = true;
        self.contracts.forget();
        self.slots.iter_mut().for_each(|slot| *slot = RowSlot::default());
        self.dirty = (0..ROW_SLOTS).collect();
        self.losses.clear();
        self.arrivals = self.objects.values().copied().collect();
    }
}

/// A shard's bytes, and what the manifest says of them.
struct NewShard {
    named: SlotRef,
    bytes: Bytes,
}

impl NewShard {
    fn new(bytes: Vec<u8>) -> Self {
        let len = u32::try_from(bytes.len()).expect("row limits keep every shard far below 4 GiB");
        // Shards are kept for long: without the room that the buffer had to grow.
        Self { named: SlotRef { digest: Digest::of(&bytes), len }, bytes: bytes.into_boxed_slice().into() }
    }
}

/// What a symbol means: its text, and whether a contract's short form means itself.
#[derive(Clone, Copy)]
struct Names<'a> {
    interner: &'a Interner,
    /// Identities of the URNs that ServiceContracts name.
    declared: &'a HashSet<Symbol>,
}

/// Versions by number. A retired one's number is used again only when no slot can still refer to it.
#[derive(Debug, Default)]
struct Versions {
    held: Vec<Option<Version>>,
    rows: Rows,
    retired: Vec<u32>,
    free: Vec<u32>,
}

impl Versions {
    fn len(&self) -> usize {
        self.held.len()
    }

    fn get(&self, number: u32) -> Option<&Version> {
        self.held[number as usize].as_ref()
    }

    fn iter(&self) -> impl Iterator<Item = (u32, &Version)> {
        (0..).zip(&self.held).filter_map(|(number, version)| Some((number, version.as_ref()?)))
    }

    fn iter_mut(&mut self) -> impl Iterator<Item = &mut Version> {
        self.held.iter_mut().flatten()
    }

    fn add(&mut self, version: Version) -> u32 {
        self.rows.add(&version);
        if let Some(number) = self.free.pop() {
            self.held[number as usize] = Some(version);
            return number;
        }
        self.held.push(Some(version));
        u32::try_from(self.held.len() - 1).expect("far fewer than 2^32 objects fit in memory")
    }

    fn retire(&mut self, number: u32) -> Option<Version> {
        self.retired.push(number);
        let version = self.held[number as usize].take()?;
        self.rows.subtract(&version);
        Some(version)
    }

    fn free_retired(&mut self) {
        self.free.append(&mut self.retired);
    }
}
