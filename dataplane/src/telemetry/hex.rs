//! Lower-case hexadecimal, as ids and digests are written. Log lines have several, so it is written in one piece.

use std::fmt;

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Writes `bytes` into `text`, which is twice as long, as hex digits.
pub(crate) fn put(text: &mut [u8], bytes: &[u8]) {
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}

/// `bytes` as hex digits.
pub(crate) fn text(bytes: &[u8]) -> String {
    let mut text = vec![0; 2 * bytes.len()];
    put(&mut text, bytes);
    String::from_utf8(text).unwrap_or_default()
}

/// Writes at most 16 `bytes` as hex digits.
pub(crate) fn write(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    let mut text = [0; 32];
    put(&mut text, bytes);
    f.write_str(std::str::from_utf8(&text[..2 * bytes.len().min(16)]).map_err(|_| fmt::Error)?)
}
