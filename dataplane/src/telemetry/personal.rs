//! Keeps Swedish personal identity numbers out of the log, whatever field they turn up in: the subject of a person's
//! certificate, a path, an address that is none.

use std::borrow::Cow;

/// What stands in place of a number.
const MASK: &str = "[personal identity number]";
/// Digits without a separator that every number has.
const SHORTEST_RUN: usize = 6;

/// `text` with each personal identity or coordination number in it masked.
///
/// A number is ten or twelve digits, with or without `-` or `+` before the last four, that begin with a date and end with
/// the right check digit (Luhn), and that touch no other letter or digit: HSA-ids and organisation numbers stay.
pub(crate) fn mask(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let mut masked: Option<String> = None;
    let mut copied = 0;
    let mut at = 0;
    while let Some(start) = long_run(bytes, at) {
        let end = run_end(bytes, start);
        let alone = !touches(bytes, start.checked_sub(1)) && !touches(bytes, Some(end));
        if alone && is_number(&bytes[start..end]) {
            let masked = masked.get_or_insert_default();
            masked.push_str(&text[copied..start]);
            masked.push_str(MASK);
            copied = end;
        }
        at = end;
    }
    match masked {
        Some(mut masked) => {
            masked.push_str(&text[copied..]);
            Cow::Owned(masked)
        }
        None => Cow::Borrowed(text),
    }
}

/// Where six digits or more begin to stand together, as they do in every number. Looks at each sixth byte only, since a run
/// of six cannot hide between: this is done to every text of every log line.
fn long_run(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from + SHORTEST_RUN - 1;
    while let Some(byte) = bytes.get(at) {
        if byte.is_ascii_digit() {
            let is_digit = |byte: &&u8| byte.is_ascii_digit();
            let start = at - bytes[from..at].iter().rev().take_while(is_digit).count();
            let end = at + bytes[at..].iter().take_while(is_digit).count();
            if end - start >= SHORTEST_RUN {
                return Some(start);
            }
            at = end;
        }
        at += SHORTEST_RUN;
    }
    None
}

/// The end of the digits that begin at `at`, a separator before exactly four last ones included.
fn run_end(bytes: &[u8], at: usize) -> usize {
    let digits = |from: usize| bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let end = at + digits(at);
    let joined = matches!(bytes.get(end), Some(b'-' | b'+')) && digits(end + 1) == 4;
    if joined && matches!(end - at, 6 | 8) { end + 5 } else { end }
}

fn touches(bytes: &[u8], at: Option<usize>) -> bool {
    // Letters beyond ASCII count as such by their first or last byte.
    at.and_then(|at| bytes.get(at)).is_some_and(|byte| byte.is_ascii_alphanumeric() || !byte.is_ascii())
}

fn is_number(run: &[u8]) -> bool {
    let mut digits = [0; 12];
    let mut count = 0;
    for byte in run.iter().filter(|byte| byte.is_ascii_digit()) {
        let Some(digit) = digits.get_mut(count) else { return false };
        *digit = byte - b'0';
        count += 1;
    }
    let ten = match count {
        10 => &digits[..10],
        12 if matches!(digits[..2], [1, 8 | 9] | [2, 0]) => &digits[2..],
        _ => return false,
    };
    let month = ten[2] * 10 + ten[3];
    let day = ten[4] * 10 + ten[5];
    // Coordination numbers have 60 added to the day.
    (1..=12).contains(&month) && matches!(day, 1..=31 | 61..=91) && luhn(ten)
}

fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .enumerate()
        .map(|(place, digit)| {
            let weighted = digit * if place % 2 == 0 { 2 } else { 1 };
            u32::from(weighted / 10 + weighted % 10)
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_masked_in_every_form() {
        // 191212121212 is the authorities' own example of a person.
        for number in ["191212121212", "19121212-1212", "121212-1212", "121212+1212", "1212121212"] {
            assert_eq!(mask(number), MASK, "{number}");
            let inside = format!("CN=Tolvan, serialNumber={number}, C=SE");
            assert_eq!(mask(&inside), format!("CN=Tolvan, serialNumber={MASK}, C=SE"));
        }
        assert_eq!(
            mask("197010632391 och 191212121212."),
            format!("{MASK} och {MASK}."),
            "a coordination number, and two"
        );
    }

    #[test]
    fn everything_else_stays() {
        for text in [
            "",
            "SE2321000016-1A2B",
            "232100-0016",
            "1912121212123",
            "191212121213",
            "191213121212",
            "x191212121212",
            "191212121212å",
            "å191212121212",
            "171212121212",
            "urn:riv:x:GetYResponder:2",
            "121212-12123",
            "4bf92f35-77b3-4da6-a3ce-929d0e0e4736",
        ] {
            assert_eq!(mask(text), text);
        }
    }
}
