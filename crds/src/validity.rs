//! Validity: whole Swedish days, or instants.
//!
//! A catalogue says "from 1 January to 31 December" and means whole days in Sweden (TAK 2): from 00:00 on the first to 24:00 on the last, in
//! Europe/Stockholm. The window is turned into UTC instants here, once, so that a dataplane needs no time zones and no push at midnight.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::limits::INSTANT_LENGTH;
use crate::schema;

/// The time zone in which days are counted.
pub const ZONE: &str = "Europe/Stockholm";

/// Pattern of a whole day, in the syntax that RE2 and JSON schema share.
pub const DAY_PATTERN: &str = "^[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}$";
/// Pattern of an RFC 3339 instant, in the syntax that RE2 and JSON schema share.
pub const INSTANT_PATTERN: &str =
    "^[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$";
/// What is wrong with an end that is neither.
pub const VALIDITY_FORM_RULE: &str =
    "write a day that exists, as 2026-01-31, or an RFC 3339 instant with its offset, as 2026-01-31T08:00:00+01:00";
/// What is wrong with ends in the wrong order.
pub const VALIDITY_ORDER_RULE: &str = "`from` is later than `to`, so nothing would ever be valid: swap them or correct one of them (days are whole and inclusive, instants are not)";

/// When something holds. An end that is left out is open.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[schemars(transform = schema::plain)]
#[x_kube(validation = schema::validity_is_in_order())]
pub struct Validity {
    /// First day, or first instant, at which it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::validity_end")]
    pub from: Option<String>,
    /// Last day on which it holds, to its end; or the instant at which it ceases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::validity_end")]
    pub to: Option<String>,
}

/// A validity as instants: Unix seconds UTC, half-open `[from, until)`; `None` is open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Window {
    /// First second that is inside.
    pub from: Option<i64>,
    /// First second that is outside again.
    pub until: Option<i64>,
}

impl Window {
    /// The window without ends.
    pub const ALWAYS: Self = Self { from: None, until: None };

    /// Is the instant (Unix seconds UTC) inside?
    pub fn contains(&self, now: i64) -> bool {
        self.from.is_none_or(|from| from <= now) && self.until.is_none_or(|until| now < until)
    }

    /// Is there an instant that is inside both?
    pub fn overlaps(&self, other: &Self) -> bool {
        let starts_before_end = |from: Option<i64>, until: Option<i64>| match (from, until) {
            (Some(from), Some(until)) => from < until,
            _ => true,
        };
        starts_before_end(self.from, other.until) && starts_before_end(other.from, self.until)
    }
}

/// Why a validity cannot be used. The row is refused with reason `InvalidValidity`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValidityError {
    /// An end is neither a day that exists nor an RFC 3339 instant.
    #[error("validity.{end} is \"{text}\": {VALIDITY_FORM_RULE}")]
    Unreadable {
        /// `from` or `to`.
        end: &'static str,
        /// What stood there, control characters escaped and cut to a sane length.
        text: String,
    },
    /// Nothing lies between the ends.
    #[error("validity: {VALIDITY_ORDER_RULE}")]
    Reversed,
}

/// Turns a validity into instants.
///
/// A day starts and ends at local midnight, so it has 23 or 25 hours where the clocks change. The fraction of a second in an instant is rounded
/// up, because the instant of a call is counted in whole seconds that have begun.
pub fn instants(validity: &Validity) -> Result<Window, ValidityError> {
    let from = validity.from.as_deref().map(|text| read("from", text)).transpose()?;
    let to = validity.to.as_deref().map(|text| read("to", text)).transpose()?;
    let window = Window { from: from.map(|(begins, _)| begins), until: to.map(|(_, ends)| ends) };
    match (window.from, window.until) {
        (Some(from), Some(until)) if until <= from => Err(ValidityError::Reversed),
        _ => Ok(window),
    }
}

/// Reads one end: when what it names begins and when that has ended. For an instant the two are the same.
fn read(end: &'static str, text: &str) -> Result<(i64, i64), ValidityError> {
    let unreadable =
        || ValidityError::Unreadable { end, text: text.escape_debug().take(INSTANT_LENGTH as usize).collect() };
    if text.starts_with('0') {
        return Err(unreadable());
    }
    if is_shaped(text, b"dddd-dd-dd") {
        let day: Date = text.parse().map_err(|_| unreadable())?;
        return Ok((midnight(Some(day)), midnight(day.tomorrow().ok())));
    }
    let (seconds, rest) = text.split_at_checked(19).ok_or_else(unreadable)?;
    let offset =
        rest.strip_prefix('.').map_or(rest, |fraction| fraction.trim_start_matches(|c: char| c.is_ascii_digit()));
    let fraction = rest.len() - offset.len();
    let is_instant = is_shaped(seconds, b"dddd-dd-ddTdd:dd:dd")
        && (fraction == 0 || (2..=10).contains(&fraction))
        && (offset == "Z" || is_offset(offset));
    if !is_instant {
        return Err(unreadable());
    }
    let instant: Timestamp = text.parse().map_err(|_| unreadable())?;
    let second = instant.as_second() + i64::from(instant.subsec_nanosecond() > 0);
    Ok((second, second))
}

/// Is this a numeric offset of less than a day? Longer ones exist on no clock, and an API server cannot compute with them.
fn is_offset(text: &str) -> bool {
    (is_shaped(text, b"+dd:dd") || is_shaped(text, b"-dd:dd")) && text[1..3] < *"24"
}

/// Local midnight at which the day begins. A day past the calendar of the library (the last of the year 9999, which people write for "for ever")
/// begins at the end of time.
fn midnight(day: Option<Date>) -> i64 {
    let zone = TimeZone::get(ZONE).expect("the zone is compiled in");
    day.and_then(|day| day.to_zoned(zone).ok())
        .map_or(Timestamp::MAX.as_second(), |start| start.timestamp().as_second())
}

/// Has the text this shape? `d` stands for a digit, anything else for itself.
fn is_shaped(text: &str, shape: &[u8]) -> bool {
    text.len() == shape.len()
        && text.bytes().zip(shape).all(|(byte, &want)| if want == b'd' { byte.is_ascii_digit() } else { byte == want })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(from: Option<&str>, to: Option<&str>) -> Result<Window, ValidityError> {
        instants(&Validity { from: from.map(str::to_owned), to: to.map(str::to_owned) })
    }

    fn utc(text: &str) -> Option<i64> {
        Some(text.parse::<Timestamp>().unwrap().as_second())
    }

    #[test]
    fn a_day_is_whole_and_inclusive_in_sweden() {
        let summer = window(Some("2026-07-01"), Some("2026-07-01")).unwrap();
        assert_eq!(summer, Window { from: utc("2026-06-30T22:00:00Z"), until: utc("2026-07-01T22:00:00Z") });
        let winter = window(Some("2026-01-01"), Some("2026-12-31")).unwrap();
        assert_eq!(winter, Window { from: utc("2025-12-31T23:00:00Z"), until: utc("2026-12-31T23:00:00Z") });
    }

    #[test]
    fn the_first_and_last_instants_of_a_day() {
        let day = window(Some("2026-07-01"), Some("2026-07-01")).unwrap();
        for (instant, inside) in [
            ("2026-06-30T23:59:59+02:00", false),
            ("2026-07-01T00:00:00+02:00", true),
            ("2026-07-01T23:59:59+02:00", true),
            ("2026-07-02T00:00:00+02:00", false),
        ] {
            assert_eq!(day.contains(utc(instant).unwrap()), inside, "{instant}");
        }
    }

    #[test]
    fn days_on_which_the_clocks_change_have_23_and_25_hours() {
        for (day, hours) in [("2026-03-29", 23), ("2026-10-25", 25), ("2026-03-28", 24), ("2026-10-26", 24)] {
            let window = window(Some(day), Some(day)).unwrap();
            assert_eq!(window.until.unwrap() - window.from.unwrap(), hours * 3600, "{day}");
        }
    }

    #[test]
    fn ends_may_be_open() {
        assert_eq!(window(None, None).unwrap(), Window::ALWAYS);
        let from = window(Some("2026-01-01"), None).unwrap();
        assert_eq!(from, Window { from: utc("2025-12-31T23:00:00Z"), until: None });
        let to = window(None, Some("2026-01-01")).unwrap();
        assert_eq!(to, Window { from: None, until: utc("2026-01-01T23:00:00Z") });
        assert!(Window::ALWAYS.contains(i64::MIN) && Window::ALWAYS.contains(i64::MAX));
        assert!(from.contains(i64::MAX) && !from.contains(0) && to.contains(0) && !to.contains(i64::MAX));
    }

    #[test]
    fn the_last_day_of_the_calendar_is_for_ever() {
        let window = window(Some("2026-01-01"), Some("9999-12-31")).unwrap();
        assert_eq!(window.until, Some(Timestamp::MAX.as_second()));
    }

    #[test]
    fn instants_are_taken_to_the_second() {
        let cut = window(Some("2026-01-01T08:00:00+01:00"), Some("2026-01-01T08:00:01Z")).unwrap();
        assert_eq!(cut, Window { from: utc("2026-01-01T07:00:00Z"), until: utc("2026-01-01T08:00:01Z") });
        let fraction = window(Some("2026-01-01T08:00:00.000000001Z"), Some("2026-01-01T08:00:01.000Z")).unwrap_err();
        assert_eq!(fraction, ValidityError::Reversed, "both round to the same second");
        let fraction = window(Some("2026-01-01T08:00:00.5Z"), None).unwrap();
        assert_eq!(fraction.from, utc("2026-01-01T08:00:01Z"));
    }

    #[test]
    fn a_day_and_an_instant_may_be_mixed() {
        let mixed = window(Some("2026-07-01"), Some("2026-07-01T00:00:01+02:00")).unwrap();
        assert_eq!(mixed.until.unwrap() - mixed.from.unwrap(), 1);
        assert_eq!(window(Some("2026-07-01"), Some("2026-07-01T00:00:00+02:00")), Err(ValidityError::Reversed));
    }

    #[test]
    fn reversed_ends_are_refused() {
        assert_eq!(window(Some("2026-07-02"), Some("2026-07-01")), Err(ValidityError::Reversed));
        let instant = "2026-07-01T00:00:00Z";
        assert_eq!(
            window(Some(instant), Some(instant)),
            Err(ValidityError::Reversed),
            "an empty window grants nothing"
        );
    }

    #[test]
    fn what_is_no_day_and_no_instant_is_refused() {
        for text in [
            "",
            "2026",
            "2026-02-30",
            "2026-13-01",
            "26-01-01",
            "2026-1-1",
            "2026/01/01",
            " 2026-01-01",
            "2026-01-01 ",
            "20260101",
            "2026-01-01T08:00:00",
            "2026-01-01 08:00:00Z",
            "2026-01-01T08:00Z",
            "2026-01-01t08:00:00Z",
            "2026-01-01T08:00:00z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T08:00:00.Z",
            "2026-01-01T08:00:00.1234567890Z",
            "2026-01-01T08:00:00+0100",
            "2026-01-01T08:00:00+01",
            "2026-01-01T08:00:00Z[UTC]",
            "-026-01-01",
            "2026-01-01T08:00:0åZ",
            "idag",
        ] {
            let error = window(Some(text), None).unwrap_err();
            assert!(matches!(error, ValidityError::Unreadable { end: "from", .. }), "{text:?}: {error}");
            assert!(window(None, Some(text)).unwrap_err().to_string().starts_with("validity.to is \""), "{text:?}");
        }
    }

    #[test]
    fn windows_overlap_only_where_they_share_an_instant() {
        let window = |from, until| Window { from, until };
        let year = window(Some(0), Some(10));
        assert!(year.overlaps(&window(Some(9), None)) && window(Some(9), None).overlaps(&year));
        assert!(!year.overlaps(&window(Some(10), None)) && !window(Some(10), None).overlaps(&year));
        assert!(year.overlaps(&Window::ALWAYS) && Window::ALWAYS.overlaps(&Window::ALWAYS));
        assert!(!window(None, Some(0)).overlaps(&year));
    }
}
