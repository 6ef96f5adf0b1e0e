//! Bytes on the wire: zstd, whole or as a patch on bytes that the other side holds already. A changed shard differs
//! in a few rows from the one before it, so with that one as a raw dictionary little more than the difference travels.

use bytes::Bytes;
use thiserror::Error;
use zstd::zstd_safe::{self, CCtx, CParameter, DCtx, DParameter};

/// zstd's default: whole shards are compressed for every operator start, so this must be cheap.
const LEVEL_WHOLE: i32 = 3;
/// A patch is small work, done once and sent to every dataplane.
const LEVEL_PATCH: i32 = 9;
/// The largest window in either direction: 128 MiB, a base and a shard of the greatest length.
const MAX_WINDOW_LOG: u32 = 27;
const MIN_WINDOW_LOG: u32 = 10;
/// From this reach on (1 MiB) the ordinary match finder forgets parts of the base, and the long-distance one helps.
const LONG_REACH_LOG: u32 = 20;

/// The compressed bytes were not what they were said to be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum PatchError {
    /// The frame announces another length than the manifest did.
    #[error("it unpacks to {found} bytes, but the manifest says {expected}")]
    Length {
        /// What the frame says; nothing when it says nothing readable.
        found: String,
        /// What the manifest says.
        expected: usize,
    },
    /// zstd could not unpack it.
    #[error("it cannot be unpacked ({0}); the base may not be the one that it was packed against")]
    Corrupt(&'static str),
}

/// Compresses `bytes`, as a patch on `base` where there is one.
pub(crate) fn pack(bytes: &[u8], base: Option<&[u8]>) -> Bytes {
    let mut context = CCtx::create();
    let level = if base.is_some() { LEVEL_PATCH } else { LEVEL_WHOLE };
    let window_log = window_log(bytes.len() + base.map_or(0, <[u8]>::len));
    let settings = [
        CParameter::CompressionLevel(level),
        CParameter::WindowLog(window_log),
        CParameter::EnableLongDistanceMatching(base.is_some() && window_log > LONG_REACH_LOG),
        CParameter::ContentSizeFlag(true),
    ];
    for setting in settings {
        context.set_parameter(setting).expect("these settings are within zstd's bounds");
    }
    if let Some(base) = base {
        context.ref_prefix(base).expect("a fresh context takes a prefix");
    }
    let mut out = Vec::with_capacity(zstd_safe::compress_bound(bytes.len()));
    context.compress2(&mut out, bytes).expect("the buffer has zstd's own bound");
    // What is packed is kept, and the bound is many times what a patch takes.
    out.into_boxed_slice().into()
}

/// Undoes [`pack`]. Never allocates more than `length` bytes for the result.
///
/// # Errors
/// When the result is not exactly `length` bytes long, or `data` was not packed against `base`.
pub(crate) fn unpack(data: &[u8], base: Option<&[u8]>, length: usize) -> Result<Vec<u8>, PatchError> {
    let announced = zstd_safe::get_frame_content_size(data).ok().flatten();
    if announced != Some(length as u64) {
        let found = announced.map_or_else(|| "an unknown number of".to_owned(), |size| size.to_string());
        return Err(PatchError::Length { found, expected: length });
    }
    let mut context = DCtx::create();
    let corrupt = |code| PatchError::Corrupt(zstd_safe::get_error_name(code));
    context.set_parameter(DParameter::WindowLogMax(MAX_WINDOW_LOG)).map_err(corrupt)?;
    if let Some(base) = base {
        context.ref_prefix(base).map_err(corrupt)?;
    }
    let mut out = Vec::with_capacity(length);
    context.decompress(&mut out, data).map_err(corrupt)?;
    if out.len() != length {
        return Err(PatchError::Length { found: out.len().to_string(), expected: length });
    }
    Ok(out)
}

/// The longest that [`pack`] makes of `length` bytes.
pub(crate) fn packed_bound(length: usize) -> usize {
    zstd_safe::compress_bound(length)
}

/// The window must reach back over the whole base, or the far end of it could not be referred to.
fn window_log(reach: usize) -> u32 {
    (usize::BITS - reach.leading_zeros()).clamp(MIN_WINDOW_LOG, MAX_WINDOW_LOG)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(count: u32) -> Vec<u8> {
        // Incompressible by itself: only a base can make it small.
        let mut state = 0x9E37_79B9_u32;
        (0..count * 4)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .collect()
    }

    #[test]
    fn whole_bytes_come_back() {
        for bytes in [Vec::new(), vec![7], rows(10_000)] {
            assert_eq!(unpack(&pack(&bytes, None), None, bytes.len()), Ok(bytes));
        }
    }

    #[test]
    fn a_patch_on_the_version_before_is_small() {
        let base = rows(30_000);
        let mut bytes = base.clone();
        bytes.splice(60_000..60_000, b"one more row".iter().copied());
        let patch = pack(&bytes, Some(&base));
        assert!(patch.len() < 200, "{} bytes", patch.len());
        assert_eq!(unpack(&patch, Some(&base), bytes.len()), Ok(bytes));
    }

    #[test]
    fn a_patch_reaches_the_far_end_of_a_large_base() {
        let base = rows(2_000_000);
        let mut bytes = base.clone();
        bytes[7_000_000] ^= 1;
        let patch = pack(&bytes, Some(&base));
        assert!(patch.len() < 100_000, "{} bytes", patch.len());
        assert_eq!(unpack(&patch, Some(&base), bytes.len()), Ok(bytes));
    }

    #[test]
    fn a_patch_does_not_apply_to_another_base() {
        let base = rows(1_000);
        let patch = pack(&rows(1_001), Some(&base));
        assert_ne!(unpack(&patch, Some(&base[1..]), 4_004), Ok(rows(1_001)));
        assert!(unpack(&patch, None, 4_004).is_err());
    }

    #[test]
    fn a_bomb_is_refused_before_it_is_unpacked() {
        let bomb = pack(&vec![0; 1 << 20], None);
        let error = unpack(&bomb, None, 10).expect_err("too long");
        assert_eq!(error.to_string(), "it unpacks to 1048576 bytes, but the manifest says 10");
        assert!(unpack(&[], None, 0).is_err());
    }

    #[test]
    fn damaged_bytes_never_panic() {
        let bytes = rows(500);
        let packed = pack(&bytes, None);
        for position in 0..packed.len() {
            let mut damaged = packed.to_vec();
            damaged[position] ^= 0x40;
            let _ = unpack(&damaged, None, bytes.len());
            let _ = unpack(&packed[..position], None, bytes.len());
        }
    }
}
