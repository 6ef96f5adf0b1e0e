//! Lower-case hexadecimal, as ids and digests are written. Log lines have several, so it takes no memory of its own.

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Writes `bytes` into `text`, which is twice as long, as hex digits.
pub(crate) fn put(text: &mut [u8], bytes: &[u8]) {
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}

/// The hex digits of an id or a digest.
pub(crate) struct HexText {
    text: [u8; 32],
    length: usize,
}

impl HexText {
    /// Those of at most 16 `bytes`.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let mut text = [0; 32];
        put(&mut text, bytes);
        Self { text, length: 2 * bytes.len().min(16) }
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text[..self.length]).unwrap_or_default()
    }
}
