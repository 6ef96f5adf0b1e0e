//! A shard of routes and authorisations, read in place. Rows are grouped by address, so that one probe of an address
//! finds its routes and its authorisations; the targets of routes and the grants of authorisations stand once each.

use std::ops::Range;

use bytes::Bytes;

use super::bytes::{Column, Malformed, Reader};
use super::names::Names;
use super::records::{Grant, Records, Target};
use crate::{DEFAULT_ADDRESS, SlotId, fold};

pub(crate) const MAGIC: [u8; 4] = *b"RVMR";

/// A verified shard.
#[derive(Debug)]
pub(crate) struct RowShard {
    pub(crate) bytes: Bytes,
    pub(crate) contracts: Names,
    pub(crate) consumers: Names,
    pub(crate) addresses: Names,
    targets: Records,
    grants: Records,
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
        let targets = Records::read_targets(&mut input, "targets")?;
        let grants = Records::read_grants(&mut input, "grants")?;
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
            targets,
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
            let mut last = None;
            for row in rows {
                let this = key(row);
                if last.is_some_and(|last| last >= this) {
                    return Err(Malformed::row(section, row, "is out of order"));
                }
                last = Some(this);
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

    /// Where the route in a row leads.
    fn target(&self, row: usize) -> Target<'_> {
        self.targets.target(&self.bytes, self.route_target.get(&self.bytes, row))
    }

    /// What grants the authorisation in a row.
    fn grant(&self, row: usize) -> Grant<'_> {
        self.grants.grant(&self.bytes, self.authorization_grant.get(&self.bytes, row))
    }

    /// The group of rows of an address, whose folded hash is `hash`.
    pub(crate) fn group(&self, hash: u64, address: &str) -> Option<usize> {
        self.addresses.find(&self.bytes, hash, address)
    }

    /// The targets of a group's routes for a contract.
    pub(crate) fn targets_for(&self, group: usize, contract: usize) -> impl Iterator<Item = Target<'_>> {
        let rows = self.route_ends.range(&self.bytes, group);
        equal_range(rows, |row| self.route_contract.get(&self.bytes, row).cmp(&contract)).map(|row| self.target(row))
    }

    /// The grants of a group for a contract and a consumer.
    pub(crate) fn grants_for(&self, group: usize, contract: usize, consumer: usize) -> impl Iterator<Item = Grant<'_>> {
        let rows = self.authorization_ends.range(&self.bytes, group);
        equal_range(rows, |row| {
            let [row_contract, row_consumer, _] = self.authorization(row);
            (row_contract, row_consumer).cmp(&(contract, consumer))
        })
        .map(|row| self.grant(row))
    }

    /// Every route: (address, contract, target).
    pub(crate) fn routes(&self) -> impl Iterator<Item = (&str, &str, Target<'_>)> {
        self.addresses.iter(&self.bytes).enumerate().flat_map(move |(group, address)| {
            self.route_ends.range(&self.bytes, group).map(move |row| {
                let contract = self.contracts.get(&self.bytes, self.route_contract.get(&self.bytes, row));
                (address, contract, self.target(row))
            })
        })
    }

    /// Every authorisation: (address, contract, consumer, grant).
    pub(crate) fn authorizations(&self) -> impl Iterator<Item = (&str, &str, &str, Grant<'_>)> {
        self.addresses.iter(&self.bytes).enumerate().flat_map(move |(group, address)| {
            self.authorization_ends.range(&self.bytes, group).map(move |row| {
                let [contract, consumer, _] = self.authorization(row);
                let contract = self.contracts.get(&self.bytes, contract);
                let consumer = self.consumers.get(&self.bytes, consumer);
                (address, contract, consumer, self.grant(row))
            })
        })
    }

    /// How many routes and how many authorisations.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.route_target.len as u64, self.authorization_grant.len as u64)
    }

    /// Bytes of memory beside the shard's own.
    pub(crate) fn index_size(&self) -> usize {
        let names = [&self.contracts, &self.consumers, &self.addresses];
        let indices: usize = names.into_iter().map(Names::index_size).sum();
        size_of::<Self>() + indices + self.targets.size() + self.grants.size()
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
