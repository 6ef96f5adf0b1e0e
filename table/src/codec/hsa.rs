//! A shard of the HSA tree: for each unit its parent's id. The tree of distinguished names stays in the control plane;
//! a look-up only ever climbs.

use bytes::Bytes;

use super::bytes::{Column, Malformed, Reader, Writer};
use super::names::{self, Names, Texts};
use crate::{SlotId, fold};

const MAGIC: [u8; 4] = *b"RVMH";

/// The canonical bytes of a shard of (unit, parent); each unit may stand there once only. A unit without a parent is
/// a child of the root.
pub(crate) fn encode(mut units: Vec<(&str, Option<&str>)>) -> Vec<u8> {
    units.sort_unstable_by(|(a, _), (b, _)| fold::cmp(a, b));
    let mut parents: Vec<&str> = units.iter().filter_map(|(_, parent)| *parent).collect();
    parents.sort_unstable();
    parents.dedup();
    let mut out = Writer::new(MAGIC);
    names::write(&mut out, units.iter().map(|(id, _)| *id));
    names::write(&mut out, parents.iter().copied());
    let place = |id: &str| parents.binary_search(&id).expect("collected above") + 1;
    out.column(parents.len() + 1, units.iter().map(|(_, parent)| parent.map_or(0, place)));
    out.finish()
}

/// A verified shard.
#[derive(Debug)]
pub(crate) struct HsaShard {
    pub(crate) bytes: Bytes,
    units: Names,
    parents: Texts,
    parent: Column,
}

impl HsaShard {
    pub(crate) fn read(bytes: Bytes, slot: SlotId) -> Result<Self, Malformed> {
        let mut input = Reader::new(&bytes, MAGIC)?;
        let units = Names::read(&mut input, &bytes, "units")?;
        let parents = Texts::read(&mut input, &bytes, "parents")?;
        let parent = input.column("units", units.len(), parents.len() + 1)?;
        input.end()?;
        if let Some(row) = units.iter(&bytes).position(|unit| SlotId::of_unit(unit) != slot) {
            return Err(Malformed::row("units", row, "belongs in another slot"));
        }
        Ok(Self { units, parents, parent, bytes })
    }

    pub(crate) fn len(&self) -> usize {
        self.units.len()
    }

    /// The parent of a unit, whose folded hash is `hash`: `None` when the unit is not here, `Some(None)` when it is a
    /// child of the root.
    pub(crate) fn parent(&self, hash: u64, unit: &str) -> Option<Option<&str>> {
        let row = self.units.find(&self.bytes, hash, unit)?;
        let parent = self.parent.get(&self.bytes, row).checked_sub(1);
        Some(parent.map(|parent| self.parents.get(&self.bytes, parent)))
    }

    pub(crate) fn index_size(&self) -> usize {
        size_of::<Self>() + self.units.index_size()
    }
}
