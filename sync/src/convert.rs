//! From what the wire can carry to what this crate means. Everything that a peer sends passes here, so that the rest
//! deals in digests and slots that are well-formed.

use bytes::Bytes;
use rivmesh_table::{Digest, Environment, NoEnvironment, SlotId};

/// The digest in a message.
///
/// # Errors
/// The sentence for the peer when these are not 16 bytes.
pub(crate) fn digest(bytes: &[u8]) -> Result<Digest, String> {
    let bytes = <[u8; 16]>::try_from(bytes).map_err(|_| format!("a digest has 16 bytes, not {}", bytes.len()))?;
    Ok(Digest::from_bytes(bytes))
}

/// The digest in a field that may be empty.
///
/// # Errors
/// The sentence for the peer when these are neither 0 nor 16 bytes.
pub(crate) fn optional_digest(bytes: &[u8]) -> Result<Option<Digest>, String> {
    if bytes.is_empty() { Ok(None) } else { digest(bytes).map(Some) }
}

/// The slot in a message.
///
/// # Errors
/// The sentence for the peer when there is no such slot.
pub(crate) fn slot(number: u32) -> Result<SlotId, String> {
    u16::try_from(number).ok().and_then(SlotId::new).ok_or_else(|| format!("there is no slot {number}"))
}

/// The environment in a message, which may be empty.
///
/// # Errors
/// The sentence for the peer when this is not how an environment is named.
pub(crate) fn environment(text: &str) -> Result<Option<Environment>, String> {
    let unusable = |error: NoEnvironment| format!("the environment of the dataplane cannot be compared: {error}");
    if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(unusable) }
}

/// A digest as a message carries it.
pub(crate) fn to_wire(digest: Digest) -> Bytes {
    Bytes::copy_from_slice(digest.as_bytes())
}

/// An optional digest as a message carries it.
pub(crate) fn optional_to_wire(digest: Option<Digest>) -> Bytes {
    digest.map(to_wire).unwrap_or_default()
}

/// A peer's free text, safe for a log and bounded: control characters escaped, cut at a character boundary.
pub(crate) fn printable(text: &str, longest: usize) -> String {
    let mut out = String::new();
    for character in text.chars() {
        let before = out.len();
        if character.is_control() {
            out.extend(character.escape_default());
        } else {
            out.push(character);
        }
        if out.len() > longest {
            out.truncate(before);
            break;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sixteen_bytes_are_a_digest() {
        assert!(digest(&[1; 16]).is_ok());
        assert!(digest(&[1; 15]).is_err());
        assert_eq!(optional_digest(&[]), Ok(None));
        assert!(optional_digest(&[0]).is_err());
        assert!(slot(u32::MAX).is_err());
    }

    #[test]
    fn an_environment_that_cannot_be_compared_is_told() {
        assert_eq!(environment(""), Ok(None));
        assert_eq!(environment("test").map(|name| name.map(String::from)), Ok(Some("test".to_owned())));
        assert!(environment(&"x".repeat(64)).is_err_and(|words| words.contains("1 to 63 bytes")));
    }

    #[test]
    fn text_of_a_peer_is_bounded_and_cannot_forge_log_lines() {
        assert_eq!(printable("row 3\nERROR forged", 100), "row 3\\nERROR forged");
        assert_eq!(printable("åäö", 5), "åä");
    }
}
