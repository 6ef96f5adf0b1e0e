//! The shard with the settings of every contract. There are some hundred of them, so they are read into plain structs.

use super::bytes::{Malformed, Reader, Writer};
use super::names::{self, Names, Texts};
use super::records::Owner;
use crate::fold;
use bytes::Bytes;

const MAGIC: [u8; 4] = *b"RVMS";

const IDEMPOTENT: u32 = 1;
const LEGACY_ADDRESSES: u32 = 2;
/// Four switches of two bits each (absent, off, on) stand above the flags.
const FIRST_SWITCH: u32 = 2;
const ALL_FLAGS: u32 = (1 << (FIRST_SWITCH + 8)) - 1;

/// Which of the two wider searches a contract switches; `None` leaves it to the platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct LookupOverride {
    /// Search the HSA hierarchy.
    pub hierarchy: Option<bool>,
    /// Search the default address `*`.
    pub default: Option<bool>,
}

/// What a ServiceContract sets, before it is encoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SettingsDraft<'a> {
    pub(crate) urn: &'a str,
    pub(crate) owner: Owner<'a>,
    pub(crate) profiles: Vec<&'a str>,
    pub(crate) timeout_ms: Option<u32>,
    pub(crate) max_message_bytes: Option<u64>,
    pub(crate) idempotent: bool,
    pub(crate) legacy_addresses: bool,
    pub(crate) routing: LookupOverride,
    pub(crate) authorization: LookupOverride,
}

/// The canonical bytes of a settings shard. Each contract may stand in `all` once only.
pub(crate) fn encode(mut all: Vec<SettingsDraft<'_>>) -> Vec<u8> {
    all.sort_unstable_by(|a, b| fold::cmp(a.urn, b.urn));
    let mut texts: Vec<&str> = Vec::new();
    for settings in &all {
        texts.extend([settings.owner.namespace, settings.owner.name]);
        texts.extend(&settings.profiles);
    }
    texts.sort_unstable();
    texts.dedup();
    let text = |string: &str| texts.binary_search(&string).expect("every text was collected") as u32;

    let mut out = Writer::new(MAGIC);
    names::write(&mut out, all.iter().map(|settings| settings.urn));
    names::write(&mut out, texts.iter().copied());
    for settings in &all {
        out.u32(text(settings.owner.namespace));
        out.u32(text(settings.owner.name));
        out.i64(settings.owner.generation);
        out.u32(settings.timeout_ms.unwrap_or_default());
        out.u64(settings.max_message_bytes.unwrap_or_default());
        out.u32(flags(settings));
        out.len(settings.profiles.len());
        settings.profiles.iter().for_each(|profile| out.u32(text(profile)));
    }
    out.finish()
}

fn flags(settings: &SettingsDraft<'_>) -> u32 {
    let mut flags = 0;
    if settings.idempotent {
        flags |= IDEMPOTENT;
    }
    if settings.legacy_addresses {
        flags |= LEGACY_ADDRESSES;
    }
    let LookupOverride { hierarchy, default } = settings.routing;
    let switches = [hierarchy, default, settings.authorization.hierarchy, settings.authorization.default];
    for (position, switch) in (0..).zip(switches) {
        flags |= switch.map_or(0, |on| 1 + u32::from(on)) << (FIRST_SWITCH + 2 * position);
    }
    flags
}

/// A verified settings shard.
#[derive(Debug)]
pub(crate) struct SettingsShard {
    pub(crate) bytes: Bytes,
    urns: Names,
    texts: Texts,
    records: Vec<Record>,
}

#[derive(Debug)]
struct Record {
    namespace: u32,
    name: u32,
    generation: i64,
    timeout_ms: u32,
    max_message_bytes: u64,
    flags: u32,
    profiles: Vec<u32>,
}

impl SettingsShard {
    pub(crate) fn read(bytes: Bytes) -> Result<Self, Malformed> {
        const SECTION: &str = "contracts";
        let mut input = Reader::new(&bytes, MAGIC)?;
        let urns = Names::read(&mut input, &bytes, SECTION)?;
        let texts = Texts::read(&mut input, &bytes, "texts")?;
        let mut records = Vec::with_capacity(urns.len());
        for row in 0..urns.len() {
            let text = |index: u32| {
                let known = (index as usize) < texts.len();
                known.then_some(index).ok_or_else(|| Malformed::row(SECTION, row, "points past the end"))
            };
            let namespace = text(input.u32(SECTION)?)?;
            let name = text(input.u32(SECTION)?)?;
            let generation = input.i64(SECTION)?;
            let timeout_ms = input.u32(SECTION)?;
            let max_message_bytes = input.u64(SECTION)?;
            let flags = input.u32(SECTION)?;
            let switches = (0..4).map(|position| (flags >> (FIRST_SWITCH + 2 * position)) & 3);
            if flags > ALL_FLAGS || switches.into_iter().any(|switch| switch == 3) {
                return Err(Malformed::row(SECTION, row, "has unknown flags"));
            }
            let profiles = input.len(SECTION, 4)?;
            let profiles = (0..profiles).map(|_| text(input.u32(SECTION)?)).collect::<Result<_, _>>()?;
            records.push(Record { namespace, name, generation, timeout_ms, max_message_bytes, flags, profiles });
        }
        input.end()?;
        Ok(Self { urns, texts, records, bytes })
    }

    /// The settings of exactly this URN, whose folded hash is `hash`.
    pub(crate) fn get(&self, hash: u64, urn: &str) -> Option<ContractSettings<'_>> {
        let row = self.urns.find(&self.bytes, hash, urn)?;
        Some(ContractSettings { shard: self, row })
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = ContractSettings<'_>> {
        (0..self.records.len()).map(|row| ContractSettings { shard: self, row })
    }

    pub(crate) fn index_size(&self) -> usize {
        self.urns.index_size() + self.records.capacity() * size_of::<Record>()
    }
}

/// What a ServiceContract says about its contract.
#[derive(Debug, Clone, Copy)]
pub struct ContractSettings<'t> {
    shard: &'t SettingsShard,
    row: usize,
}

impl<'t> ContractSettings<'t> {
    fn record(&self) -> &'t Record {
        &self.shard.records[self.row]
    }

    fn text(&self, index: u32) -> &'t str {
        self.shard.texts.get(&self.shard.bytes, index as usize)
    }

    /// The contract's URN as written: the payload namespace.
    pub fn urn(&self) -> &'t str {
        self.shard.urns.get(&self.shard.bytes, self.row)
    }

    /// The ServiceContract object.
    pub fn owner(&self) -> Owner<'t> {
        let record = self.record();
        Owner { namespace: self.text(record.namespace), name: self.text(record.name), generation: record.generation }
    }

    /// The profiles that consumers may call with, as written; none listed means all.
    pub fn profiles(&self) -> impl ExactSizeIterator<Item = &'t str> + use<'t> {
        let settings = *self;
        self.record().profiles.iter().map(move |profile| settings.text(*profile))
    }

    /// Whether consumers may call with this profile (VP001 otherwise).
    pub fn offers(&self, profile: &str) -> bool {
        self.record().profiles.is_empty() || self.profiles().any(|offered| fold::eq(offered, profile))
    }

    /// How long the producer's whole answer may take, in milliseconds.
    pub fn timeout_ms(&self) -> Option<u32> {
        Some(self.record().timeout_ms).filter(|timeout| *timeout > 0)
    }

    /// The largest message, in bytes.
    pub fn max_message_bytes(&self) -> Option<u64> {
        Some(self.record().max_message_bytes).filter(|bytes| *bytes > 0)
    }

    /// Whether a request may be sent again when it is unclear whether it arrived.
    pub fn idempotent(&self) -> bool {
        self.record().flags & IDEMPOTENT != 0
    }

    /// Whether addresses of the form `VE#VG` are taken apart.
    pub fn legacy_addresses(&self) -> bool {
        self.record().flags & LEGACY_ADDRESSES != 0
    }

    /// What the contract switches for routing.
    pub fn routing(&self) -> LookupOverride {
        LookupOverride { hierarchy: self.switch(0), default: self.switch(1) }
    }

    /// What the contract switches for authorisation.
    pub fn authorization(&self) -> LookupOverride {
        LookupOverride { hierarchy: self.switch(2), default: self.switch(3) }
    }

    fn switch(&self, position: u32) -> Option<bool> {
        match (self.record().flags >> (FIRST_SWITCH + 2 * position)) & 3 {
            0 => None,
            value => Some(value == 2),
        }
    }
}
