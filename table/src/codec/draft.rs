//! Rows on their way into a shard. A draft takes rows in any order, even rows that contradict each other, and gives
//! the canonical bytes: that the compiler resolves conflicts first is the compiler's business, not the format's.

use std::cmp::Ordering;

use super::bytes::Writer;
use super::names;
use super::records::{Grant, TargetDraft};
use super::rows::MAGIC;
use crate::fold;

/// The content of one row shard; every number in a row is a position in the list of that name.
#[derive(Debug, Default)]
pub(crate) struct Draft<'a> {
    pub(crate) contracts: Vec<&'a str>,
    pub(crate) consumers: Vec<&'a str>,
    pub(crate) addresses: Vec<&'a str>,
    pub(crate) targets: Vec<TargetDraft<'a>>,
    pub(crate) grants: Vec<Grant<'a>>,
    pub(crate) routes: Vec<RouteDraft>,
    pub(crate) authorizations: Vec<AuthorizationDraft>,
}

/// A route: ordered by address, contract, target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RouteDraft {
    pub(crate) address: u32,
    pub(crate) contract: u32,
    pub(crate) target: u32,
}

/// An authorisation: ordered by address, contract, consumer, grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AuthorizationDraft {
    pub(crate) address: u32,
    pub(crate) contract: u32,
    pub(crate) consumer: u32,
    pub(crate) grant: u32,
}

impl Draft<'_> {
    pub(crate) fn is_empty(&self) -> bool {
        self.routes.is_empty() && self.authorizations.is_empty()
    }

    /// The canonical bytes, and how many different routes and authorisations they hold. Every listed name, target and
    /// grant must be used by a row, or the bytes would depend on more than the rows.
    pub(crate) fn encode(mut self) -> Encoded {
        let contract = canonical(&mut self.contracts, by_spelling, |a, b| fold::eq(a, b));
        let consumer = canonical(&mut self.consumers, by_spelling, |a, b| fold::eq(a, b));
        let address = canonical(&mut self.addresses, by_spelling, |a, b| fold::eq(a, b));
        let target = canonical(&mut self.targets, Ord::cmp, PartialEq::eq);
        let grant = canonical(&mut self.grants, Ord::cmp, PartialEq::eq);
        for row in &mut self.routes {
            row.address = address[row.address as usize];
            row.contract = contract[row.contract as usize];
            row.target = target[row.target as usize];
        }
        self.routes.sort_unstable_by_key(|row| rank([0, row.address, row.contract, row.target]));
        self.routes.dedup();
        for row in &mut self.authorizations {
            row.address = address[row.address as usize];
            row.contract = contract[row.contract as usize];
            row.consumer = consumer[row.consumer as usize];
            row.grant = grant[row.grant as usize];
        }
        self.authorizations.sort_unstable_by_key(|row| rank([row.address, row.contract, row.consumer, row.grant]));
        self.authorizations.dedup();
        Encoded { routes: self.routes.len(), authorizations: self.authorizations.len(), bytes: self.write() }
    }

    fn write(&self) -> Vec<u8> {
        let mut out = Writer::new(MAGIC);
        names::write(&mut out, self.contracts.iter().copied());
        names::write(&mut out, self.consumers.iter().copied());
        names::write(&mut out, self.addresses.iter().copied());
        out.len(self.targets.len());
        self.targets.iter().for_each(|target| target.write(&mut out));
        out.len(self.grants.len());
        self.grants.iter().for_each(|grant| grant.write(&mut out));
        let routes = || self.routes.iter();
        out.len(self.routes.len());
        out.column(self.routes.len() + 1, ends_of(self.addresses.len(), routes().map(|row| row.address)));
        out.column(self.contracts.len(), routes().map(|row| row.contract as usize));
        out.column(self.targets.len(), routes().map(|row| row.target as usize));
        let rows = || self.authorizations.iter();
        out.len(self.authorizations.len());
        out.column(self.authorizations.len() + 1, ends_of(self.addresses.len(), rows().map(|row| row.address)));
        out.column(self.contracts.len(), rows().map(|row| row.contract as usize));
        out.column(self.consumers.len(), rows().map(|row| row.consumer as usize));
        out.column(self.grants.len(), rows().map(|row| row.grant as usize));
        out.finish()
    }
}

/// A finished shard.
#[derive(Debug)]
pub(crate) struct Encoded {
    pub(crate) bytes: Vec<u8>,
    pub(crate) routes: usize,
    pub(crate) authorizations: usize,
}

/// Folded order; of several spellings of one name the bytewise first comes first.
fn by_spelling(a: &&str, b: &&str) -> Ordering {
    fold::cmp(a, b).then_with(|| a.cmp(b))
}

/// A row as one number, the first column counting most: numbers are sorted without a branch for each column.
fn rank(columns: [u32; 4]) -> u128 {
    columns.into_iter().fold(0, |rank, column| rank << 32 | u128::from(column))
}

/// Sorts a list, keeps the first of equals, and tells for each old position the new one.
fn canonical<T>(list: &mut Vec<T>, order: impl Fn(&T, &T) -> Ordering, same: impl Fn(&T, &T) -> bool) -> Vec<u32> {
    let mut tagged: Vec<(u32, T)> = (0..).zip(list.drain(..)).collect();
    tagged.sort_unstable_by(|(_, a), (_, b)| order(a, b));
    let mut place = vec![0; tagged.len()];
    for (old, item) in tagged {
        if list.last().is_none_or(|last| !same(last, &item)) {
            list.push(item);
        }
        place[old as usize] = list.len() as u32 - 1;
    }
    place
}

/// Where the rows of each of `groups` groups end; `rows` are the groups of the rows, sorted.
fn ends_of(groups: usize, rows: impl Iterator<Item = u32>) -> impl Iterator<Item = usize> {
    let mut rows = rows.peekable();
    let mut end = 0;
    (0..groups as u32).map(move |group| {
        while rows.next_if_eq(&group).is_some() {
            end += 1;
        }
        end
    })
}
