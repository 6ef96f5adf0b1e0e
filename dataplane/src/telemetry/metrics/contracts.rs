//! Which contracts have series of their own. Only those of the operator's objects count, since a stranger can put anything
//! into a message; each gets a number for the life of the process, so that the request path finds its counters by index.

use arc_swap::ArcSwap;
use hashbrown::HashMap;
use std::sync::Arc;

/// The most contracts with series of their own.
pub(super) const MAX_CONTRACTS: usize = 1000;
/// Number of all others.
pub(super) const OTHER: usize = 0;
/// The longest contract name that can be known.
const MAX_NAME: usize = 255;
/// What the payload namespace has and the specification's short form lacks.
const RESPONDER: &[u8] = b"responder";

/// The known contracts.
#[derive(Debug)]
pub(super) struct Contracts(ArcSwap<Known>);

#[derive(Debug, Clone)]
struct Known {
    /// By lower-case name.
    numbers: HashMap<Box<[u8]>, usize>,
    /// Names as written, by number.
    names: Vec<Arc<str>>,
}

impl Contracts {
    pub(super) fn new() -> Self {
        Self(ArcSwap::from_pointee(Known { numbers: HashMap::new(), names: vec!["other".into()] }))
    }

    /// Adds contracts. Those that are known keep their numbers; those beyond [`MAX_CONTRACTS`] count as other.
    pub(super) fn learn<'a>(&self, names: impl IntoIterator<Item = &'a str>) {
        let mut known = Known::clone(&self.0.load());
        for name in names {
            let folded = name.as_bytes().to_ascii_lowercase().into_boxed_slice();
            if known.names.len() > MAX_CONTRACTS {
                break;
            }
            if name.len() <= MAX_NAME && !known.numbers.contains_key(&folded) {
                known.numbers.insert(folded, known.names.len());
                known.names.push(name.into());
            }
        }
        self.0.store(Arc::new(known));
    }

    /// The number of a contract, however its letters are cased and whether or not it says `Responder`.
    pub(super) fn number(&self, name: &str) -> usize {
        let known = self.0.load();
        let mut folded = [0; MAX_NAME];
        let Some(buffer) = folded.get_mut(..name.len()) else { return OTHER };
        buffer.copy_from_slice(name.as_bytes());
        buffer.make_ascii_lowercase();
        if let Some(number) = known.find(buffer) {
            return number;
        }
        let Some(colon) = name.rfind(':') else { return OTHER };
        let longer = name.len() + RESPONDER.len();
        if longer > MAX_NAME {
            return OTHER;
        }
        folded.copy_within(colon..name.len(), colon + RESPONDER.len());
        folded[colon..colon + RESPONDER.len()].copy_from_slice(RESPONDER);
        known.find(&folded[..longer]).unwrap_or(OTHER)
    }

    /// Names by number.
    pub(super) fn names(&self) -> Vec<Arc<str>> {
        self.0.load().names.clone()
    }
}

impl Known {
    fn find(&self, folded: &[u8]) -> Option<usize> {
        self.numbers.get(folded).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contract_is_found_in_any_spelling_that_routing_accepts() {
        let contracts = Contracts::new();
        contracts.learn(["urn:riv:A:GetXResponder:1", "urn:riv:A:GetYResponder:1"]);
        for spelling in ["urn:riv:A:GetXResponder:1", "URN:RIV:a:getxresponder:1", "urn:riv:A:GetX:1"] {
            assert_eq!(contracts.number(spelling), 1, "{spelling}");
        }
        let long = format!("urn:{}:1", "x".repeat(MAX_NAME));
        let nearly = format!("urn:{}:1", "x".repeat(MAX_NAME - 6));
        for unknown in ["", ":", "urn:riv:A:GetZ:1", "urn:riv:A:GetX", "urn:riv:å:GetX:1", &long, &nearly] {
            assert_eq!(contracts.number(unknown), OTHER, "{unknown}");
        }
    }

    #[test]
    fn numbers_stay_when_more_are_learnt() {
        let contracts = Contracts::new();
        contracts.learn(["urn:b"]);
        contracts.learn(["urn:a", "URN:B"]);
        assert_eq!((contracts.number("urn:b"), contracts.number("urn:a")), (1, 2));
        assert_eq!(contracts.names().len(), 3);
    }

    #[test]
    fn there_is_an_end_to_them() {
        let contracts = Contracts::new();
        let names: Vec<_> = (0..2 * MAX_CONTRACTS).map(|n| format!("urn:{n}")).collect();
        contracts.learn(names.iter().map(String::as_str));
        assert_eq!(contracts.names().len(), MAX_CONTRACTS + 1);
        assert_eq!(contracts.number(&format!("urn:{}", MAX_CONTRACTS - 1)), MAX_CONTRACTS);
        assert_eq!(contracts.number(&format!("urn:{MAX_CONTRACTS}")), OTHER);
    }
}
