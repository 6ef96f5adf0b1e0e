//! Finds names by hash. A look-up in a table of a hundred megabytes is a handful of waits for memory and little else,
//! so an entry holds enough of the hash to be right nearly always, and one line of memory answers most questions.

/// An open-addressed table of rows by hash.
#[derive(Debug)]
pub(crate) struct HashIndex {
    /// Upper half: the top 16 bits of the hash. Lower half: the row plus one; 0 is a free place. The length is a power
    /// of two, and about a quarter is free at least.
    entries: Box<[u32]>,
}

impl HashIndex {
    /// Most rows that fit into an entry.
    pub(crate) const MAX_ROWS: usize = u16::MAX as usize;

    /// An index of the rows whose hashes these are, at most [`Self::MAX_ROWS`].
    pub(crate) fn new(hashes: impl ExactSizeIterator<Item = u64>) -> Self {
        let places = (hashes.len() + hashes.len().div_ceil(3) + 1).next_power_of_two();
        let mut entries = vec![0; places].into_boxed_slice();
        for (number, hash) in (1u32..).zip(hashes) {
            let mut place = hash as usize & (places - 1);
            while entries[place] != 0 {
                place = (place + 1) & (places - 1);
            }
            entries[place] = tag(hash) | number;
        }
        Self { entries }
    }

    /// The first row with this hash that `is_it` accepts.
    pub(crate) fn find(&self, hash: u64, is_it: impl Fn(usize) -> bool) -> Option<usize> {
        let mask = self.entries.len() - 1;
        let mut place = hash as usize & mask;
        loop {
            let entry = self.entries[place];
            if entry == 0 {
                return None;
            }
            let row = usize::from(entry as u16) - 1;
            if entry & !0xffff == tag(hash) && is_it(row) {
                return Some(row);
            }
            place = (place + 1) & mask;
        }
    }

    /// Bytes of memory.
    pub(crate) fn size(&self) -> usize {
        size_of_val(&*self.entries)
    }
}

fn tag(hash: u64) -> u32 {
    ((hash >> 32) as u32) & !0xffff
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_found_and_nothing_else_even_when_hashes_collide() {
        for count in [0, 1, 2, 3, 4, 5, 6, 100, 1000] {
            let hash = |row: usize| (row as u64 % 7) << 48 | (row as u64 / 9);
            let index = HashIndex::new((0..count).map(hash));
            for row in 0..count {
                assert_eq!(index.find(hash(row), |found| found == row), Some(row));
                assert_eq!(index.find(hash(row), |_| false), None);
            }
            assert_eq!(index.find(u64::MAX, |_| true), None);
        }
    }

    #[test]
    fn an_index_can_be_as_full_as_its_entries_allow() {
        let hash = |row: usize| crate::fold::hash(&row.to_le_bytes());
        let index = HashIndex::new((0..HashIndex::MAX_ROWS).map(hash));
        for row in [0, 1, HashIndex::MAX_ROWS - 1] {
            assert_eq!(index.find(hash(row), |found| found == row), Some(row));
        }
    }
}
