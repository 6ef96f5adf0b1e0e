//! Which chains some authorities have verified before, and by which path. A signature that was good stays good, and to
//! check those in a chain is the dearest part of a handshake after our own signature; consumers come again and again.
//! Dates and revocation are judged each time all the same.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::pki_types::CertificateDer;

/// After so many chains those are forgotten that have not come since as many before.
const GENERATION: usize = 5_000;

/// Where the certificates of a path stand in the chain that was sent, leaf first. The authority at its end is not part of it.
pub(super) type Places = Arc<[usize]>;

/// The name of a chain: a hash of every byte of it.
type ChainDigest = [u8; 32];

fn digest(chain: &[CertificateDer<'_>]) -> ChainDigest {
    let mut hasher = blake3::Hasher::new();
    for certificate in chain {
        // Lengths first, so that no other cut of the same bytes has the same digest.
        hasher.update(&(certificate.len() as u64).to_le_bytes());
        hasher.update(certificate);
    }
    hasher.finalize().into()
}

/// Chains that were verified, as many as two generations hold.
#[derive(Debug, Default)]
pub(super) struct VerifiedChains(Mutex<Generations>);

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<ChainDigest, Places>,
    old: HashMap<ChainDigest, Places>,
}

impl VerifiedChains {
    /// The path of a chain that was verified before.
    pub(super) fn path(&self, chain: &[CertificateDer<'_>]) -> Option<Places> {
        let digest = digest(chain);
        let mut chains = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(places) = chains.young.get(&digest) {
            return Some(places.clone());
        }
        let places = chains.old.get(&digest)?.clone();
        chains.insert(digest, places.clone());
        Some(places)
    }

    /// To be called for a chain whose path, signatures and purpose are good.
    pub(super) fn remember(&self, chain: &[CertificateDer<'_>], places: Places) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(digest(chain), places);
    }
}

impl Generations {
    fn insert(&mut self, chain: ChainDigest, places: Places) {
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(chain, places);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain<'a>(certificates: &[&'a [u8]]) -> Vec<CertificateDer<'a>> {
        certificates.iter().map(|der| CertificateDer::from(*der)).collect()
    }

    #[test]
    fn chains_differ_by_every_byte_and_cut() {
        let all = [&[&b"ab"[..]][..], &[b"a", b"b"], &[b"b", b"a"], &[b"ab", b""], &[b"ac"], &[]];
        let different: HashMap<_, _> = all.map(|certificates| (digest(&chain(certificates)), ())).into();
        assert_eq!(different.len(), all.len());
    }

    #[test]
    fn who_keeps_coming_stays_and_nobody_stays_for_ever() {
        let verified = VerifiedChains::default();
        let remember = |certificate: &[u8], place| verified.remember(&chain(&[certificate]), [place].into());
        let path = |certificate: &[u8]| verified.path(&chain(&[certificate]));
        remember(b"regular", 1);
        remember(b"once", 2);
        assert_eq!(path(b"once").as_deref(), Some(&[2][..]));
        for n in 0..3 * GENERATION {
            remember(&n.to_le_bytes(), 0);
            assert!(n % 1000 > 0 || path(b"regular").as_deref() == Some(&[1]), "{n}");
        }
        assert_eq!(path(b"once"), None);
        let chains = verified.0.lock().unwrap();
        assert!(chains.young.len() + chains.old.len() <= 2 * GENERATION);
    }
}
