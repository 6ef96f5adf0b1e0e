//! A shard of routes and authorisations, read in place. Rows are grouped by address, so that one probe of an address
//! finds its routes and its authorisations; the targets of routes and the grants of authorisations stand once each.

use std::ops::Range;

use bytes::Bytes;

use super::bytes::{Column, LongColumn, Malformed, Reader};
use super::names::{Names, Texts};
use crate::{DEFAULT_ADDRESS, SlotId, fold};

pub(crate) const MAGIC: [u8; 4] = *b"RVMR";

/// Who wrote a row: the columns of objects that targets and grants share.
#[derive(Debug)]
struct Origins {
    namespace: Column,
    name: Column,
    generation: LongColumn,
    from: LongColumn,
    until: LongColumn,
}

/// A verified shard.
#[derive(Debug)]
pub(crate) struct RowShard {
    pub(crate) bytes: Bytes,
    pub(crate) contracts: Names,
    pub(crate) consumers: Names,
    pub(crate) addresses: Names,
    texts: Texts,
    targets: Origins,
    profile: Column,
    producer: Column,
    endpoint_ends: Column,
    endpoint_url: Column,
    endpoint_limit: Column,
    grants: Origins,
    route_ends: Column,
    authorization_ends: Column,
    route_contract: Column,
    route_target: Column,
    authorization_contract: Column,
    authorization_consumer: Column,
    authorization_grant: Column,
}

impl RowShard {
    /// Reads and verifies the shard of `slot`.
    pub(crate) fn read(bytes: Bytes, slot: SlotId) -> Result<Self, Malformed> {
        let mut input = Reader::new(&bytes, MAGIC)?;
        let contracts = Names::read(&mut input, &bytes, "contracts")?;
        let consumers = Names::read(&mut input, &bytes, "consumers")?;
        let addresses = Names::read(&mut input, &bytes, "addresses")?;
        let texts = Texts::read(&mut input, &bytes, "texts")?;

        let count = input.len("targets", 34)?;
        let targets = Origins::read(&mut input, count, &texts, "targets")?;
        let profile = input.column("targets", count, texts.len())?;
        let producer = input.column("targets", count, texts.len() + 1)?;
        let endpoints = input.len("endpoints", 6)?;
        let endpoint_ends = input.ends("targets", count, endpoints)?;
        let endpoint_url = input.column("endpoints", endpoints, texts.len())?;
        let endpoint_limit = input.column("endpoints", endpoints, usize::MAX)?;

        let count = input.len("grants", 28)?;
        let grants = Origins::read(&mut input, count, &texts, "grants")?;

        let count = input.len("routes", 4)?;
        let route_ends = input.ends("routes", addresses.len(), count)?;
        let route_contract = input.column("routes", count, contracts.len())?;
        let route_target = input.column("routes", count, targets.len())?;
        let count = input.len("authorizations", 6)?;
        let authorization_ends = input.ends("authorizations", addresses.len(), count)?;
        let authorization_contract = input.column("authorizations", count, contracts.len())?;
        let authorization_consumer = input.column("authorizations", count, consumers.len())?;
        let authorization_grant = input.column("authorizations", count, grants.len())?;
        input.end()?;

        let shard = Self {
            contracts,
            consumers,
            addresses,
            texts,
            targets,
            profile,
            producer,
            endpoint_ends,
            endpoint_url,
            endpoint_limit,
            grants,
            route_ends,
            authorization_ends,
            route_contract,
            route_target,
            authorization_contract,
            authorization_consumer,
            authorization_grant,
            bytes,
        };
        shard.check_order()?;
        shard.check_place(slot)?;
        Ok(shard)
    }

    fn check_order(&self) -> Result<(), Malformed> {
        let ascending = |rows: Range<usize>, section, key: &dyn Fn(usize) -> [usize; 3]| {
            for row in rows.start + 1..rows.end {
                if key(row - 1) >= key(row) {
                    return Err(Malformed::row(section, row, "is out of order"));
                }
            }
            Ok(())
        };
        for group in 0..self.addresses.len() {
            ascending(self.route_ends.range(&self.bytes, group), "routes", &|row| {
                [self.route_contract.get(&self.bytes, row), self.route_target.get(&self.bytes, row), 0]
            })?;
            ascending(self.authorization_ends.range(&self.bytes, group), "authorizations", &|row| {
                self.authorization(row)
            })?;
        }
        Ok(())
    }

    /// A row in a slot where nobody looks for it would be lost without a word.
    fn check_place(&self, slot: SlotId) -> Result<(), Malformed> {
        for (group, address) in self.addresses.iter(&self.bytes).enumerate() {
            let wrong = || Malformed::row("addresses", group, "belongs in another slot");
            if address != DEFAULT_ADDRESS {
                if SlotId::of_rows(address, 0) != slot {
                    return Err(wrong());
                }
                continue;
            }
            let routes = self.route_ends.range(&self.bytes, group).map(|row| self.route_contract.get(&self.bytes, row));
            let authorizations = self.authorization_ends.range(&self.bytes, group);
            let authorized = authorizations.map(|row| self.authorization_contract.get(&self.bytes, row));
            let mut last = None;
            for contract in routes.chain(authorized) {
                let checked = last.replace(contract) == Some(contract);
                let hash = || fold::hash(self.contracts.get(&self.bytes, contract).as_bytes());
                if !checked && SlotId::of_rows(address, hash()) != slot {
                    return Err(wrong());
                }
            }
        }
        Ok(())
    }

    fn authorization(&self, row: usize) -> [usize; 3] {
        [
            self.authorization_contract.get(&self.bytes, row),
            self.authorization_consumer.get(&self.bytes, row),
            self.authorization_grant.get(&self.bytes, row),
        ]
    }

    /// The group of rows of an address, whose folded hash is `hash`.
    pub(crate) fn group(&self, hash: u64, address: &str) -> Option<usize> {
        self.addresses.find(&self.bytes, hash, address)
    }

    /// The targets of a group's routes for a contract.
    pub(crate) fn targets_for(&self, group: usize, contract: usize) -> impl Iterator<Item = Target<'_>> {
        let rows = self.route_ends.range(&self.bytes, group);
        equal_range(rows, |row| self.route_contract.get(&self.bytes, row).cmp(&contract))
            .map(|row| Target { shard: self, index: self.route_target.get(&self.bytes, row) })
    }

    /// The grants of a group for a contract and a consumer.
    pub(crate) fn grants_for(
        &self,
        group: usize,
        contract: usize,
        consumer: usize,
    ) -> impl Iterator<Item = GrantRow<'_>> {
        let rows = self.authorization_ends.range(&self.bytes, group);
        equal_range(rows, |row| {
            let [row_contract, row_consumer, _] = self.authorization(row);
            (row_contract, row_consumer).cmp(&(contract, consumer))
        })
        .map(|row| GrantRow { shard: self, index: self.authorization_grant.get(&self.bytes, row) })
    }

    /// Every route: (address, contract, target).
    pub(crate) fn routes(&self) -> impl Iterator<Item = (&str, &str, Target<'_>)> {
        self.addresses.iter(&self.bytes).enumerate().flat_map(move |(group, address)| {
            self.route_ends.range(&self.bytes, group).map(move |row| {
                let contract = self.contracts.get(&self.bytes, self.route_contract.get(&self.bytes, row));
                (address, contract, Target { shard: self, index: self.route_target.get(&self.bytes, row) })
            })
        })
    }

    /// Every authorisation: (address, contract, consumer, grant).
    pub(crate) fn authorizations(&self) -> impl Iterator<Item = (&str, &str, &str, GrantRow<'_>)> {
        self.addresses.iter(&self.bytes).enumerate().flat_map(move |(group, address)| {
            self.authorization_ends.range(&self.bytes, group).map(move |row| {
                let [contract, consumer, grant] = self.authorization(row);
                let contract = self.contracts.get(&self.bytes, contract);
                let consumer = self.consumers.get(&self.bytes, consumer);
                (address, contract, consumer, GrantRow { shard: self, index: grant })
            })
        })
    }

    /// How many routes and how many authorisations.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.route_target.len as u64, self.authorization_grant.len as u64)
    }

    /// Bytes of memory beside the shard's own.
    pub(crate) fn index_size(&self) -> usize {
        size_of::<Self>() + self.contracts.index_size() + self.consumers.index_size() + self.addresses.index_size()
    }
}

/// The rows among sorted `rows` that compare equal.
fn equal_range(rows: Range<usize>, compare: impl Fn(usize) -> std::cmp::Ordering) -> Range<usize> {
    let first_not = |rows: Range<usize>, skip: &dyn Fn(std::cmp::Ordering) -> bool| {
        let (mut low, mut high) = (rows.start, rows.end);
        while low < high {
            let middle = low + (high - low) / 2;
            if skip(compare(middle)) { low = middle + 1 } else { high = middle }
        }
        low
    };
    let start = first_not(rows.clone(), &|order| order.is_lt());
    let mut end = start;
    while end < rows.end && compare(end).is_eq() {
        end += 1;
    }
    start..end
}

impl Origins {
    fn read(input: &mut Reader<'_>, len: usize, texts: &Texts, section: &'static str) -> Result<Self, Malformed> {
        Ok(Self {
            namespace: input.column(section, len, texts.len())?,
            name: input.column(section, len, texts.len())?,
            generation: input.long_column(section, len)?,
            from: input.long_column(section, len)?,
            until: input.long_column(section, len)?,
        })
    }

    fn len(&self) -> usize {
        self.name.len
    }
}

/// The object that a row comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub struct Owner<'t> {
    /// The object's namespace.
    pub namespace: &'t str,
    /// The object's name.
    pub name: &'t str,
    /// The object's generation.
    pub generation: i64,
}

impl std::fmt::Display for Owner<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{} (generation {})", self.namespace, self.name, self.generation)
    }
}

/// From when until when a row is valid, in Unix seconds, half open; open ends are the ends of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Period {
    pub(crate) from: i64,
    pub(crate) until: i64,
}

impl Period {
    pub(crate) const ALWAYS: Self = Self { from: i64::MIN, until: i64::MAX };

    pub(crate) fn contains(self, now: i64) -> bool {
        self.from <= now && (now < self.until || self.until == i64::MAX)
    }

    pub(crate) fn overlaps(self, other: Self) -> bool {
        self.from < other.until && other.from < self.until
    }
}

/// Where a route leads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target<'t> {
    shard: &'t RowShard,
    index: usize,
}

impl<'t> Target<'t> {
    pub(crate) fn owner(self) -> Owner<'t> {
        self.shard.owner(&self.shard.targets, self.index)
    }

    pub(crate) fn period(self) -> Period {
        self.shard.period(&self.shard.targets, self.index)
    }

    pub(crate) fn profile(self) -> &'t str {
        let bytes = &self.shard.bytes;
        self.shard.texts.get(bytes, self.shard.profile.get(bytes, self.index))
    }

    pub(crate) fn producer(self) -> Option<&'t str> {
        let bytes = &self.shard.bytes;
        let text = self.shard.producer.get(bytes, self.index).checked_sub(1)?;
        Some(self.shard.texts.get(bytes, text))
    }

    pub(crate) fn endpoints(self) -> Endpoints<'t> {
        let rows = self.shard.endpoint_ends.range(&self.shard.bytes, self.index);
        Endpoints { shard: self.shard, rows }
    }
}

/// What grants an authorisation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GrantRow<'t> {
    shard: &'t RowShard,
    index: usize,
}

impl<'t> GrantRow<'t> {
    pub(crate) fn owner(self) -> Owner<'t> {
        self.shard.owner(&self.shard.grants, self.index)
    }

    pub(crate) fn period(self) -> Period {
        self.shard.period(&self.shard.grants, self.index)
    }
}

impl RowShard {
    fn owner(&self, origins: &Origins, index: usize) -> Owner<'_> {
        let text = |column: Column| self.texts.get(&self.bytes, column.get(&self.bytes, index));
        Owner {
            namespace: text(origins.namespace),
            name: text(origins.name),
            generation: origins.generation.get(&self.bytes, index),
        }
    }

    fn period(&self, origins: &Origins, index: usize) -> Period {
        let instant = |column: LongColumn| column.get(&self.bytes, index);
        Period { from: instant(origins.from), until: instant(origins.until) }
    }
}

/// One endpoint of a producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointRef<'t> {
    /// Absolute URL, as written.
    pub url: &'t str,
    /// How many calls one pod may have in flight to it; none means the platform's default.
    pub max_in_flight: Option<u32>,
}

/// The endpoints of a route in order of preference.
#[derive(Debug, Clone)]
pub struct Endpoints<'t> {
    shard: &'t RowShard,
    rows: Range<usize>,
}

impl<'t> Iterator for Endpoints<'t> {
    type Item = EndpointRef<'t>;

    fn next(&mut self) -> Option<EndpointRef<'t>> {
        let row = self.rows.next()?;
        let bytes = &self.shard.bytes;
        let limit = self.shard.endpoint_limit.get(bytes, row) as u32;
        Some(EndpointRef {
            url: self.shard.texts.get(bytes, self.shard.endpoint_url.get(bytes, row)),
            max_in_flight: (limit > 0).then_some(limit),
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.rows.size_hint()
    }
}

impl ExactSizeIterator for Endpoints<'_> {}
