//! How many passed, failed and were skipped: the one form in which all our test programs end.

use std::fmt;
use std::ops::AddAssign;

/// Counts of one test program or of all. A skipped test is never silently a passed one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u32,
    pub(crate) failed: u32,
    pub(crate) skipped: u32,
}

impl Tally {
    pub(crate) const PASSED: Self = Self { passed: 1, failed: 0, skipped: 0 };
    pub(crate) const FAILED: Self = Self { passed: 0, failed: 1, skipped: 0 };
    pub(crate) const SKIPPED: Self = Self { passed: 0, failed: 0, skipped: 1 };

    /// Reads our plain closing line: `N passed, N failed` with or without `, N skipped`.
    pub(crate) fn from_plain(line: &str) -> Option<Self> {
        let mut counts = line.trim().split(", ");
        let passed = count(counts.next()?, "passed")?;
        let failed = count(counts.next()?, "failed")?;
        let skipped = counts.next().map_or(Some(0), |text| count(text, "skipped"))?;
        counts.next().is_none().then_some(Self { passed, failed, skipped })
    }

    /// Reads the closing line of one Rust test binary: `test result: ok. 3 passed; 0 failed; 1 ignored; ...`.
    pub(crate) fn from_libtest(line: &str) -> Option<Self> {
        let (_verdict, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
        let mut counts = counts.split("; ");
        let passed = count(counts.next()?, "passed")?;
        let failed = count(counts.next()?, "failed")?;
        let skipped = count(counts.next()?, "ignored")?;
        Some(Self { passed, failed, skipped })
    }
}

fn count(text: &str, word: &str) -> Option<u32> {
    text.strip_suffix(word)?.trim_end().parse().ok()
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_its_own_form_and_the_short_one() {
        let all = Tally { passed: 12, failed: 3, skipped: 4 };
        assert_eq!(Tally::from_plain(&all.to_string()), Some(all));
        assert_eq!(Tally::from_plain("7 passed, 0 failed"), Some(Tally { passed: 7, ..Tally::default() }));
    }

    #[test]
    fn other_lines_are_not_a_tally() {
        for line in ["", "7 passed", "7 failed, 0 passed", "x passed, 0 failed", "1 passed, 0 failed, 0 skipped, more"]
        {
            assert_eq!(Tally::from_plain(line), None, "{line}");
        }
        assert_eq!(Tally::from_libtest("test tally::tests::x ... ok"), None);
    }

    #[test]
    fn reads_the_result_of_a_rust_test_binary() {
        let line = "test result: FAILED. 10 passed; 2 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.51s";
        assert_eq!(Tally::from_libtest(line), Some(Tally { passed: 10, failed: 2, skipped: 1 }));
    }
}
