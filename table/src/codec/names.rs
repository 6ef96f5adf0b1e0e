//! String tables of a shard: sorted, each string once. `Names` are ids and URNs, compared folded and found by hash;
//! `Texts` are only read, and are compared byte by byte.

use std::cmp::Ordering;

use super::bytes::{Column, Malformed, Reader, Stretch, Writer};
use super::index::HashIndex;
use crate::fold;

/// Writes a string table; the strings are sorted already.
pub(crate) fn write<'a>(out: &mut Writer, strings: impl ExactSizeIterator<Item = &'a str> + Clone) {
    let total = strings.clone().map(str::len).sum();
    out.len(strings.len());
    out.len(total);
    let ends = strings.clone().scan(0, |end, string| {
        *end += string.len();
        Some(*end)
    });
    out.column(total + 1, ends);
    strings.for_each(|string| out.bytes(string.as_bytes()));
}

/// A string table in place, compared byte by byte.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Texts {
    ends: Column,
    text: Stretch,
}

impl Texts {
    pub(crate) fn read(input: &mut Reader<'_>, bytes: &[u8], section: &'static str) -> Result<Self, Malformed> {
        Self::read_sorted_by(input, bytes, section, |a, b| a < b)
    }

    fn read_sorted_by(
        input: &mut Reader<'_>,
        bytes: &[u8],
        section: &'static str,
        ascending: impl Fn(&str, &str) -> bool,
    ) -> Result<Self, Malformed> {
        let len = input.len(section, 2)?;
        let total = input.len(section, 1)?;
        let ends = input.ends(section, len, total)?;
        let text = input.stretch(section, total)?;
        let all = std::str::from_utf8(&bytes[text.start..text.start + text.len])
            .map_err(|_| Malformed::section(section, "is not UTF-8"))?;
        let (mut start, mut last) = (0, None);
        for (row, end) in ends.iter(bytes).enumerate() {
            let Some(string) = all.get(start..end) else {
                return Err(Malformed::row(section, row, "cuts a character in two"));
            };
            if last.is_some_and(|last| !ascending(last, string)) {
                return Err(Malformed::row(section, row, "is out of order"));
            }
            (start, last) = (end, Some(string));
        }
        Ok(Self { ends, text })
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len
    }

    pub(crate) fn get<'b>(&self, bytes: &'b [u8], index: usize) -> &'b str {
        std::str::from_utf8(self.raw(bytes, index)).expect("checked when the shard was read")
    }

    fn raw<'b>(&self, bytes: &'b [u8], index: usize) -> &'b [u8] {
        let range = self.ends.range(bytes, index);
        &bytes[self.text.start + range.start..self.text.start + range.end]
    }
}

/// A string table in place, compared folded, with an index by hash.
#[derive(Debug)]
pub(crate) struct Names {
    texts: Texts,
    /// None if there are too many names for one; they are sorted, too.
    index: Option<HashIndex>,
}

impl Names {
    pub(crate) fn read(input: &mut Reader<'_>, bytes: &[u8], section: &'static str) -> Result<Self, Malformed> {
        let texts = Texts::read_sorted_by(input, bytes, section, |a, b| fold::cmp(a, b).is_lt())?;
        let hashes = (0..texts.len()).map(|row| fold::hash(texts.raw(bytes, row)));
        let index = (texts.len() <= HashIndex::MAX_ROWS).then(|| HashIndex::new(hashes));
        Ok(Self { texts, index })
    }

    pub(crate) fn len(&self) -> usize {
        self.texts.len()
    }

    pub(crate) fn get<'b>(&self, bytes: &'b [u8], index: usize) -> &'b str {
        self.texts.get(bytes, index)
    }

    pub(crate) fn iter<'b>(&self, bytes: &'b [u8]) -> impl Iterator<Item = &'b str> {
        (0..self.len()).map(move |row| self.get(bytes, row))
    }

    /// The row of `name`, whose folded hash is `hash`.
    pub(crate) fn find(&self, bytes: &[u8], hash: u64, name: &str) -> Option<usize> {
        match &self.index {
            Some(index) => index.find(hash, |row| fold::same(self.texts.raw(bytes, row), name.as_bytes())),
            None => self.search(bytes, name),
        }
    }

    fn search(&self, bytes: &[u8], name: &str) -> Option<usize> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            match fold::cmp(self.get(bytes, middle), name) {
                Ordering::Less => low = middle + 1,
                Ordering::Equal => return Some(middle),
                Ordering::Greater => high = middle,
            }
        }
        None
    }

    /// Bytes of memory beside the shard's own.
    pub(crate) fn index_size(&self) -> usize {
        self.index.as_ref().map_or(0, HashIndex::size)
    }
}
