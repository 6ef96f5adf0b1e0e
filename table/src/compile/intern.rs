//! Every id and URN once. A symbol stands for a spelling; symbols of one name in different spellings share an
//! identity, so that a million rows compare by numbers and still show what was written.

use std::num::NonZeroU32;

use hashbrown::HashTable;

use crate::{contract_name, fold};

/// A spelling that the interner holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Symbol(NonZeroU32);

impl Symbol {
    fn new(index: usize) -> Self {
        let number = u32::try_from(index + 1).ok().and_then(NonZeroU32::new);
        Self(number.expect("row limits keep the number of names far below 2^32"))
    }

    pub(super) fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

#[derive(Debug)]
struct Spelling {
    end: usize,
    identity: Symbol,
    /// For a contract that lacks `Responder`: the longer form.
    longer: Option<Symbol>,
}

#[derive(Debug, Default)]
pub(super) struct Interner {
    text: String,
    spellings: Vec<Spelling>,
    index: HashTable<Symbol>,
}

impl Interner {
    pub(super) fn len(&self) -> usize {
        self.spellings.len()
    }

    pub(super) fn text(&self, symbol: Symbol) -> &str {
        text_of(&self.text, &self.spellings, symbol)
    }

    /// The same for all spellings of one name.
    pub(super) fn identity(&self, symbol: Symbol) -> Symbol {
        self.spellings[symbol.index()].identity
    }

    /// The form with `Responder` of a contract without it.
    pub(super) fn longer(&self, symbol: Symbol) -> Option<Symbol> {
        self.spellings[symbol.index()].longer
    }

    pub(super) fn intern(&mut self, name: &str) -> Symbol {
        let hash = fold::hash(name.as_bytes());
        let Self { text, spellings, index } = self;
        if let Some(known) = index.find(hash, |symbol| text_of(text, spellings, *symbol) == name) {
            return *known;
        }
        let symbol = Symbol::new(spellings.len());
        let same = index.find(hash, |symbol| fold::eq(text_of(text, spellings, *symbol), name));
        let identity = same.map_or(symbol, |same| spellings[same.index()].identity);
        text.push_str(name);
        spellings.push(Spelling { end: text.len(), identity, longer: None });
        index.insert_unique(hash, symbol, |symbol| fold::hash(text_of(text, spellings, *symbol).as_bytes()));
        symbol
    }

    /// Interns a contract, and its longer form where it lacks `Responder`.
    pub(super) fn intern_contract(&mut self, urn: &str) -> Symbol {
        let symbol = self.intern(urn);
        if self.longer(symbol).is_none()
            && let Some(longer) = contract_name::with_responder(urn)
        {
            self.spellings[symbol.index()].longer = Some(self.intern(&longer));
        }
        symbol
    }
}

fn text_of<'t>(text: &'t str, spellings: &[Spelling], symbol: Symbol) -> &'t str {
    let index = symbol.index();
    let start = if index == 0 { 0 } else { spellings[index - 1].end };
    &text[start..spellings[index].end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_are_kept_and_share_an_identity() {
        let mut names = Interner::default();
        let (upper, lower, other) = (names.intern("SE1-A"), names.intern("se1-a"), names.intern("SE1-B"));
        assert_eq!((names.text(upper), names.text(lower)), ("SE1-A", "se1-a"));
        assert_eq!(names.identity(upper), names.identity(lower));
        assert_ne!(names.identity(upper), names.identity(other));
        assert_eq!(names.intern("se1-a"), lower);
        assert_eq!(names.len(), 3);
    }
}
