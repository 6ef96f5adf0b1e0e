//! The correlation id that ties one call's log lines together across platforms (`x-skltp-correlation-id`).

use crate::limits::MAX_CORRELATION_ID;

/// The caller's correlation id if it may be kept: 1-128 visible ASCII characters. `None` means that the platform makes
/// one of its own (a UUID).
pub fn correlation_id(incoming: Option<&[u8]>) -> Option<&str> {
    let value = incoming?;
    let keep = (1..=MAX_CORRELATION_ID).contains(&value.len()) && value.iter().all(u8::is_ascii_graphic);
    keep.then(|| std::str::from_utf8(value).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_short_visible_ascii_is_kept() {
        let longest = [b'x'; 128];
        for kept in [&b"a"[..], b"7b1e-4f", b"!~", &longest] {
            assert_eq!(correlation_id(Some(kept)).map(str::as_bytes), Some(kept));
        }
        for dropped in
            [None, Some(&b""[..]), Some(b" "), Some(b"a b"), Some(b"a\x7f"), Some("å".as_bytes()), Some(&[b'x'; 129])]
        {
            assert_eq!(correlation_id(dropped), None);
        }
    }
}
