//! Reading and writing the canonical bytes: little-endian integers and columns of them. A reader never trusts a
//! length: it is held against what is left before anything is allocated or skipped.

/// Writes canonical bytes.
pub(crate) struct Writer {
    out: Vec<u8>,
}

impl Writer {
    pub(crate) fn new(magic: [u8; 4]) -> Self {
        Self { out: magic.to_vec() }
    }

    pub(crate) fn u16(&mut self, value: u16) {
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn i64(&mut self, value: i64) {
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// Writes how many items follow.
    pub(crate) fn len(&mut self, len: usize) {
        self.u32(u32::try_from(len).expect("row limits keep every shard far below 4 GiB"));
    }

    /// Writes a column of numbers below `limit`, as wide as the limit asks for.
    pub(crate) fn column(&mut self, limit: usize, values: impl Iterator<Item = usize>) {
        match Width::of(limit) {
            Width::Short => values.for_each(|value| self.out.extend_from_slice(&(value as u16).to_le_bytes())),
            Width::Wide => values.for_each(|value| self.out.extend_from_slice(&(value as u32).to_le_bytes())),
        }
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.out
    }
}

/// Why bytes are not a shard or a manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{section}{}: {reason}", row.map(|row| format!(", row {row}")).unwrap_or_default())]
pub struct Malformed {
    /// The section that is wrong.
    pub section: &'static str,
    /// The row in that section, counted from 0, where one is to blame.
    pub row: Option<u32>,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl Malformed {
    pub(crate) fn section(section: &'static str, reason: &'static str) -> Self {
        Self { section, row: None, reason }
    }

    pub(crate) fn row(section: &'static str, row: usize, reason: &'static str) -> Self {
        Self { section, row: u32::try_from(row).ok(), reason }
    }
}

/// Reads canonical bytes from untrusted input.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'b> {
    all: &'b [u8],
    at: usize,
}

impl<'b> Reader<'b> {
    pub(crate) fn new(bytes: &'b [u8], magic: [u8; 4]) -> Result<Self, Malformed> {
        let mut reader = Self { all: bytes, at: 0 };
        if reader.array::<4>("magic")? != magic {
            return Err(Malformed::section("magic", "these are not such bytes at all"));
        }
        Ok(reader)
    }

    /// Reads a part of bytes, which has no magic of its own.
    pub(crate) fn inside(bytes: &'b [u8]) -> Self {
        Self { all: bytes, at: 0 }
    }

    fn take(&mut self, section: &'static str, len: usize) -> Result<&'b [u8], Malformed> {
        let end = self.at.checked_add(len).filter(|end| *end <= self.all.len());
        let end = end.ok_or_else(|| Malformed::section(section, "the bytes end too early"))?;
        let taken = &self.all[self.at..end];
        self.at = end;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self, section: &'static str) -> Result<[u8; N], Malformed> {
        let bytes = self.take(section, N)?;
        Ok(bytes.try_into().expect("take gives exactly N bytes"))
    }

    pub(crate) fn u32(&mut self, section: &'static str) -> Result<u32, Malformed> {
        self.array(section).map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self, section: &'static str) -> Result<u64, Malformed> {
        self.array(section).map(u64::from_le_bytes)
    }

    pub(crate) fn i64(&mut self, section: &'static str) -> Result<i64, Malformed> {
        self.array(section).map(i64::from_le_bytes)
    }

    pub(crate) fn u16(&mut self, section: &'static str) -> Result<u16, Malformed> {
        self.array(section).map(u16::from_le_bytes)
    }

    /// A text of `len` bytes.
    pub(crate) fn text(&mut self, section: &'static str, len: usize) -> Result<&'b str, Malformed> {
        std::str::from_utf8(self.take(section, len)?).map_err(|_| Malformed::section(section, "is not UTF-8"))
    }

    /// Where the next byte stands.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// Reads how many items follow, each of at least `item` bytes.
    pub(crate) fn len(&mut self, section: &'static str, item: usize) -> Result<usize, Malformed> {
        let len = self.u32(section)? as usize;
        if len > (self.all.len() - self.at) / item.max(1) {
            return Err(Malformed::section(section, "claims more items than there are bytes left"));
        }
        Ok(len)
    }

    /// A stretch of raw bytes, and where it starts.
    pub(crate) fn stretch(&mut self, section: &'static str, len: usize) -> Result<Stretch, Malformed> {
        let start = self.at;
        self.take(section, len)?;
        Ok(Stretch { start, len })
    }

    /// A column of `len` numbers below `limit`, verified.
    pub(crate) fn column(&mut self, section: &'static str, len: usize, limit: usize) -> Result<Column, Malformed> {
        let width = Width::of(limit);
        let bytes = len.checked_mul(width as usize).ok_or_else(|| Malformed::section(section, "too long"))?;
        let Stretch { start, .. } = self.stretch(section, bytes)?;
        let column = Column { start, len, width };
        // Nearly all columns are right, and the greatest of all numbers is found many at a time.
        if column.greatest(self.all).is_some_and(|greatest| greatest >= limit)
            && let Some(row) = column.iter(self.all).position(|value| value >= limit)
        {
            return Err(Malformed::row(section, row, "points past the end"));
        }
        Ok(column)
    }

    /// A column of `len` running ends of groups that together fill `total` rows, verified.
    pub(crate) fn ends(&mut self, section: &'static str, len: usize, total: usize) -> Result<Column, Malformed> {
        let ends = self.column(section, len, total + 1)?;
        let mut last = 0;
        for (row, end) in ends.iter(self.all).enumerate() {
            if end < last {
                return Err(Malformed::row(section, row, "ends before it begins"));
            }
            last = end;
        }
        if last == total { Ok(ends) } else { Err(Malformed::section(section, "the groups do not fill the rows")) }
    }

    pub(crate) fn end(&self) -> Result<(), Malformed> {
        if self.at == self.all.len() { Ok(()) } else { Err(Malformed::section("end", "bytes follow the last section")) }
    }
}

/// A place in a shard's bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stretch {
    pub(crate) start: usize,
    pub(crate) len: usize,
}

/// How many bytes a number in a column takes. Most shards have fewer than 65,536 of anything.
#[derive(Debug, Clone, Copy)]
enum Width {
    Short = 2,
    Wide = 4,
}

impl Width {
    fn of(limit: usize) -> Self {
        if limit <= 1 << 16 { Self::Short } else { Self::Wide }
    }
}

/// A column of numbers in place in a shard's bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    start: usize,
    pub(crate) len: usize,
    width: Width,
}

impl Column {
    pub(crate) fn get(self, bytes: &[u8], row: usize) -> usize {
        debug_assert!(row < self.len);
        let at = self.start + self.width as usize * row;
        match self.width {
            Width::Short => u16::from_le_bytes(bytes[at..at + 2].try_into().expect("two bytes")).into(),
            Width::Wide => u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes")) as usize,
        }
    }

    /// The half-open range of rows of `group` in a column of running ends.
    pub(crate) fn range(self, bytes: &[u8], group: usize) -> std::ops::Range<usize> {
        let start = if group == 0 { 0 } else { self.get(bytes, group - 1) };
        start..self.get(bytes, group)
    }

    pub(crate) fn iter(self, bytes: &[u8]) -> impl Iterator<Item = usize> + '_ {
        (0..self.len).map(move |row| self.get(bytes, row))
    }

    fn greatest(self, bytes: &[u8]) -> Option<usize> {
        let numbers = &bytes[self.start..self.start + self.width as usize * self.len];
        match self.width {
            Width::Short => numbers.as_chunks::<2>().0.iter().map(|n| u16::from_le_bytes(*n)).max().map(usize::from),
            Width::Wide => numbers.as_chunks::<4>().0.iter().map(|n| u32::from_le_bytes(*n)).max().map(|n| n as usize),
        }
    }
}
