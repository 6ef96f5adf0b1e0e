//! Which chains some authorities have verified before. A signature that was good stays good, and to check those in a chain
//! is the dearest part of a handshake after our own signature; consumers come again and again. Dates and revocation are
//! judged each time all the same.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use rustls::pki_types::CertificateDer;

/// After so many chains those are forgotten that have not come since as many before.
const GENERATION: usize = 5_000;

/// The name of a chain: a hash of every byte of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ChainDigest([u8; 32]);

impl ChainDigest {
    pub(super) fn of(chain: &[CertificateDer<'_>]) -> Self {
        let mut hasher = blake3::Hasher::new();
        for certificate in chain {
            // Lengths first, so that no other cut of the same bytes has the same digest.
            hasher.update(&(certificate.len() as u64).to_le_bytes());
            hasher.update(certificate);
        }
        Self(hasher.finalize().into())
    }
}

/// Chains that were verified, as many as two generations hold.
#[derive(Debug, Default)]
pub(super) struct VerifiedChains(Mutex<[HashSet<ChainDigest>; 2]>);

impl VerifiedChains {
    pub(super) fn knows(&self, chain: &ChainDigest) -> bool {
        let mut generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let [young, old] = &mut *generations;
        if young.contains(chain) {
            return true;
        }
        let known = old.contains(chain);
        drop(generations);
        if known {
            self.remember(*chain);
        }
        known
    }

    /// To be called for a chain whose path, signatures and purpose are good.
    pub(super) fn remember(&self, chain: ChainDigest) {
        let [young, old] = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if young.len() >= GENERATION {
            *old = std::mem::take(young);
        }
        young.insert(chain);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(certificates: &[&[u8]]) -> ChainDigest {
        let certificates: Vec<_> = certificates.iter().map(|der| CertificateDer::from(*der)).collect();
        ChainDigest::of(&certificates)
    }

    #[test]
    fn chains_differ_by_every_byte_and_cut() {
        let all = [&[&b"ab"[..]][..], &[b"a", b"b"], &[b"b", b"a"], &[b"ab", b""], &[b"ac"], &[]].map(chain);
        let different: HashSet<_> = all.iter().collect();
        assert_eq!(different.len(), all.len());
    }

    #[test]
    fn who_keeps_coming_stays_and_nobody_stays_for_ever() {
        let verified = VerifiedChains::default();
        let number = |n: usize| chain(&[&n.to_le_bytes()]);
        let (regular, once) = (chain(&[b"regular"]), chain(&[b"once"]));
        verified.remember(regular);
        verified.remember(once);
        for n in 0..3 * GENERATION {
            verified.remember(number(n));
            assert!(n % 1000 > 0 || verified.knows(&regular), "{n}");
        }
        assert!(!verified.knows(&once));
        assert!(verified.0.lock().unwrap().iter().map(HashSet::len).sum::<usize>() <= 2 * GENERATION);
    }
}
