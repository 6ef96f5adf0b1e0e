//! The timeout of a contract, written as Go and Kubernetes write durations (`29s`, `1m30s`, `1.5s`).
//!
//! The API server reads the same text with CEL's `duration()`, so the grammar is Go's, narrowed to the units that make sense for a call.

use crate::limits::{TIMEOUT_LENGTH, TIMEOUT_MAX_MS, TIMEOUT_MIN_MS};

/// Pattern of a timeout, in the syntax that RE2 and JSON schema share.
pub const TIMEOUT_PATTERN: &str = "^([0-9]+([.][0-9]+)?(h|ms|m|s))+$";
/// What is wrong with a text that is not a duration.
pub const TIMEOUT_FORM_RULE: &str = "a timeout is a number with a unit, h, m, s or ms: write 29s, 1m30s or 1500ms";
/// What is wrong with a duration that is too short or too long.
pub const TIMEOUT_RANGE_RULE: &str = "a timeout is between 100ms and 10m: choose one within these bounds";

/// Why a timeout cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimeoutError {
    /// Not a duration.
    #[error("{TIMEOUT_FORM_RULE}")]
    Form,
    /// Outside [`TIMEOUT_MIN_MS`]..=[`TIMEOUT_MAX_MS`].
    #[error("{TIMEOUT_RANGE_RULE}")]
    Range,
}

/// Reads a timeout and returns it in milliseconds, rounded down.
pub fn timeout_ms(text: &str) -> Result<u32, TimeoutError> {
    if text.is_empty() || text.len() > TIMEOUT_LENGTH as usize {
        return Err(TimeoutError::Form);
    }
    let mut nanos: u128 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let (part, after) = part(rest).ok_or(TimeoutError::Form)?;
        nanos += part;
        rest = after;
    }
    match u32::try_from(nanos / 1_000_000) {
        Ok(ms)
            if (TIMEOUT_MIN_MS..=TIMEOUT_MAX_MS).contains(&ms) && nanos <= u128::from(TIMEOUT_MAX_MS) * 1_000_000 =>
        {
            Ok(ms)
        }
        _ => Err(TimeoutError::Range),
    }
}

/// One `<number><unit>` at the start of the text, in nanoseconds, and what follows it. The caller bounds the length, so nothing overflows.
fn part(text: &str) -> Option<(u128, &str)> {
    let (whole, rest) = digits(text)?;
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => digits(rest)?,
        None => ("", rest),
    };
    let (unit, rest) = [("ms", 1_000_000u128), ("h", 3_600_000_000_000), ("m", 60_000_000_000), ("s", 1_000_000_000)]
        .into_iter()
        .find_map(|(name, nanos)| rest.strip_prefix(name).map(|rest| (nanos, rest)))?;
    let number: u128 = format!("{whole}{fraction}").parse().ok()?;
    Some((number * unit / 10u128.pow(fraction.len() as u32), rest))
}

/// The digits, at least one, at the start of the text, and what follows them.
fn digits(text: &str) -> Option<(&str, &str)> {
    let end = text.bytes().take_while(u8::is_ascii_digit).count();
    (end > 0).then(|| text.split_at(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_go_durations() {
        for (text, ms) in [
            ("29s", 29_000),
            ("1m30s", 90_000),
            ("1500ms", 1500),
            ("1.5s", 1500),
            ("100ms", 100),
            ("10m", 600_000),
            ("0.1s", 100),
            ("0h29s", 29_000),
        ] {
            assert_eq!(timeout_ms(text), Ok(ms), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_duration() {
        for text in
            ["", "29", "s", "29 s", "29sec", "-29s", "1.s", ".5s", "1d", "29S", "29s ", "1us", "00000000000000029s"]
        {
            assert_eq!(timeout_ms(text), Err(TimeoutError::Form), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_out_of_bounds() {
        for text in ["99ms", "0s", "0.0999s", "10m1ms", "600.001s", "600.0000001s", "1h", "99999999999999h"] {
            assert_eq!(timeout_ms(text), Err(TimeoutError::Range), "{text}");
        }
    }
}
