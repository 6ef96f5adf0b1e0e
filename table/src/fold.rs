//! ASCII-folded names. HSA-ids and contract URNs compare without regard to ASCII case and keep their spelling, so
//! every comparison and every hash in this crate goes through here. The hash decides which slot a row lies in: it is
//! part of the shard format and may only change together with the format number.

use std::cmp::Ordering;

const MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;

/// Hash of the folded bytes: the same for `se2321-ABC` and `SE2321-abc`, on every machine and in every build.
pub(crate) fn hash(name: &[u8]) -> u64 {
    let (words, rest) = name.as_chunks::<8>();
    let mut state = mix(MULTIPLIER, name.len() as u64);
    for word in words {
        state = mix(state, lower(u64::from_le_bytes(*word)));
    }
    if !rest.is_empty() {
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        state = mix(state, lower(u64::from_le_bytes(last)));
    }
    mix(state, MULTIPLIER)
}

fn mix(state: u64, word: u64) -> u64 {
    let product = u128::from(state ^ word) * u128::from(MULTIPLIER | 1);
    (product as u64) ^ ((product >> 64) as u64).rotate_left(29)
}

/// Lower-cases the ASCII letters among eight bytes at once; other bytes, also those of UTF-8 sequences, stay.
fn lower(word: u64) -> u64 {
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let low_bits = word & !HIGH;
    let from_a = low_bits + (0x80 - u64::from(b'A')) * 0x0101_0101_0101_0101;
    let past_z = low_bits + (0x7f - u64::from(b'Z')) * 0x0101_0101_0101_0101;
    let upper = from_a & !past_z & !word & HIGH;
    word | (upper >> 2)
}

/// Whether two names are one name.
pub(crate) fn eq(a: &str, b: &str) -> bool {
    same(a.as_bytes(), b.as_bytes())
}

/// The same for names as bytes. Nearly all callers spell a name as the catalogue does, which is quickly seen.
pub(crate) fn same(a: &[u8], b: &[u8]) -> bool {
    a == b || a.eq_ignore_ascii_case(b)
}

/// The order of names in shards: by folded bytes. Sorted neighbours begin alike, and what is the same byte for byte is passed
/// over eight at a time.
pub(crate) fn cmp(a: &str, b: &str) -> Ordering {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let words = a.as_chunks::<8>().0.iter().zip(b.as_chunks::<8>().0);
    let same = 8 * words.take_while(|(a, b)| a == b).count();
    let fold = |byte: &u8| byte.to_ascii_lowercase();
    a[same..].iter().map(fold).cmp(b[same..].iter().map(fold))
}

/// Whether `name` ends with `suffix`, folded.
pub(crate) fn ends_with(name: &str, suffix: &str) -> bool {
    let (name, suffix) = (name.as_bytes(), suffix.as_bytes());
    name.len() >= suffix.len() && name[name.len() - suffix.len()..].eq_ignore_ascii_case(suffix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_every_byte_like_std() {
        for byte in 0..=255u8 {
            let word = u64::from_le_bytes([byte; 8]);
            assert_eq!(lower(word), u64::from_le_bytes([byte.to_ascii_lowercase(); 8]), "byte {byte:#x}");
        }
    }

    #[test]
    fn hash_ignores_case_and_nothing_else() {
        assert_eq!(hash(b"SE2321000131-E000000000001"), hash(b"se2321000131-e000000000001"));
        assert_ne!(hash(b"SE2321000131-E000000000001"), hash(b"SE2321000131-E000000000002"));
        assert_ne!(hash(b"a"), hash(b"a\0"));
        assert_ne!(hash(b""), hash(b"\0"));
    }

    #[test]
    fn order_is_that_of_the_folded_bytes() {
        let names = [
            "",
            "a",
            "A",
            "abcdefgh",
            "ABCDEFGH",
            "abcdefghi",
            "abcdefgz",
            "abcdefg_",
            "SE2321000016-1",
            "se2321000016-ä",
        ];
        for a in names {
            for b in names {
                assert_eq!(cmp(a, b), a.to_ascii_lowercase().cmp(&b.to_ascii_lowercase()), "{a} {b}");
            }
        }
    }

    #[test]
    fn hash_is_part_of_the_format() {
        // A change here moves rows between slots: raise the format number with it.
        assert_eq!(hash(b"SE2321000131-E0000000000"), hash(b"se2321000131-e0000000000"));
        assert_eq!(format!("{:016x}", hash(b"*")), HASH_OF_STAR);
    }

    const HASH_OF_STAR: &str = "60a458f6dc30d43e";

    #[test]
    fn hash_spreads_consecutive_ids() {
        let mut used = [0u32; 1024];
        for n in 0..102_400 {
            used[(hash(format!("SE2321000131-E{n:010}").as_bytes()) % 1024) as usize] += 1;
        }
        let (least, most) = (used.iter().min().copied(), used.iter().max().copied());
        assert!(least > Some(50) && most < Some(160), "{least:?} {most:?}");
    }
}
