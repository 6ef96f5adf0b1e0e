//! Who really asks, when a platform calls on behalf of another's consumer (TP 4-6).
//!
//! The first platform of a chain writes the header from the certificate; a later one believes it only from platforms that
//! it trusts. The value is information for the producer and the log, never a ground for routing or authorisation.

use thiserror::Error;

/// What to do with a header from a caller that is not a trusted platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UntrustedPolicy {
    /// Refuse the call with VP013.
    #[default]
    Reject,
    /// Replace the value by the caller's id and report it: for the time of a cut-over.
    Report,
}

/// The value of `x-rivta-original-serviceconsumer-hsaid` towards the producer, and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OriginalConsumer {
    /// No header, or a blank one from a trusted platform: the caller is the original consumer.
    Caller(String),
    /// A trusted platform's header, unchanged.
    Forwarded(String),
    /// The header of a caller that is not trusted was replaced by the caller's id: a security event.
    Replaced(String),
}

impl OriginalConsumer {
    /// The value to send.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Caller(id) | Self::Forwarded(id) | Self::Replaced(id) => id,
        }
    }
}

/// Why the header was not believed: VP013.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Untrusted {
    /// The caller is not among the trusted platforms. Besides the fault this is a security event, "possible intrusion".
    #[error("the caller is not a trusted platform: only those may set the original consumer")]
    Caller,
    /// More than one value, or one with a comma.
    #[error("the original consumer is given more than once: send the header once, with one id")]
    SeveralValues,
    /// The value cannot be an id.
    #[error("the original consumer holds characters other than visible ASCII: send one id")]
    NotAnId,
}

/// Decides what the producer is told about the original consumer.
///
/// `incoming` are the values of all headers of that name. A blank one counts as present for the trust check.
///
/// # Errors
/// [`Untrusted`] as its variants say; never because of trust when `policy` is [`UntrustedPolicy::Report`].
pub fn original_consumer(
    incoming: &[&[u8]],
    caller: &str,
    trusted: bool,
    policy: UntrustedPolicy,
) -> Result<OriginalConsumer, Untrusted> {
    let Some((first, more)) = incoming.split_first() else { return Ok(OriginalConsumer::Caller(caller.to_owned())) };
    if !trusted {
        return match policy {
            UntrustedPolicy::Reject => Err(Untrusted::Caller),
            UntrustedPolicy::Report => Ok(OriginalConsumer::Replaced(caller.to_owned())),
        };
    }
    if !more.is_empty() || first.contains(&b',') {
        return Err(Untrusted::SeveralValues);
    }
    let value = first.trim_ascii();
    if value.is_empty() {
        return Ok(OriginalConsumer::Caller(caller.to_owned()));
    }
    match std::str::from_utf8(value) {
        Ok(id) if value.iter().all(u8::is_ascii_graphic) => Ok(OriginalConsumer::Forwarded(id.to_owned())),
        _ => Err(Untrusted::NotAnId),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use OriginalConsumer::*;
    use UntrustedPolicy::*;

    fn decide(incoming: &[&[u8]], trusted: bool, policy: UntrustedPolicy) -> Result<OriginalConsumer, Untrusted> {
        original_consumer(incoming, "caller", trusted, policy)
    }

    #[test]
    fn without_the_header_the_caller_is_the_original_consumer() {
        for trusted in [true, false] {
            assert_eq!(decide(&[], trusted, Reject), Ok(Caller("caller".into())));
        }
    }

    #[test]
    fn a_trusted_platform_is_believed() {
        assert_eq!(decide(&[b"SE1-O"], true, Reject), Ok(Forwarded("SE1-O".into())));
        assert_eq!(decide(&[b"  "], true, Reject), Ok(Caller("caller".into())));
        assert_eq!(decide(&[b"A", b"A"], true, Report), Err(Untrusted::SeveralValues));
        assert_eq!(decide(&[b"A,B"], true, Report), Err(Untrusted::SeveralValues));
        for odd in [&b"\xc3\xa5"[..], b"\xff", b"A B", b"A\x01"] {
            assert_eq!(decide(&[odd], true, Report), Err(Untrusted::NotAnId), "{odd:?}");
        }
    }

    #[test]
    fn nobody_else_is() {
        for incoming in [&[&b"SE1-O"[..]][..], &[b""], &[b"caller"], &[b"A", b"B"], &[b"\xff"]] {
            assert_eq!(decide(incoming, false, Reject), Err(Untrusted::Caller), "{incoming:?}");
            assert_eq!(decide(incoming, false, Report), Ok(Replaced("caller".into())), "{incoming:?}");
        }
    }
}
