//! Instants as people write and read them on a command line.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use rivmesh_crds::validity::ZONE;

/// An RFC 3339 instant, or a day, which stands for its noon in Sweden: validity counts in whole Swedish days, so any
/// moment of the day but its edges answers the same.
pub(crate) fn parse(text: &str) -> Result<Timestamp, String> {
    let day = || text.parse::<Date>().ok().filter(|_| text.len() == "2026-01-31".len());
    let noon = || {
        let zone = TimeZone::get(ZONE).ok()?;
        Some(day()?.at(12, 0, 0, 0).to_zoned(zone).ok()?.timestamp())
    };
    let wrong = || "write a day, as 2026-01-31, or an instant with its offset, as 2026-01-31T08:00:00+01:00".to_owned();
    text.parse().ok().or_else(noon).ok_or_else(wrong)
}

/// An instant in Swedish time.
pub(crate) fn show(at: Timestamp) -> String {
    let zone = TimeZone::get(ZONE).unwrap_or(TimeZone::UTC);
    at.to_zoned(zone).strftime("%Y-%m-%d %H:%M:%S%:z").to_string()
}

#[cfg(test)]
mod tests {
    use super::{parse, show};

    #[test]
    fn a_day_is_its_noon_in_sweden() {
        for (text, instant) in [
            ("2026-01-31", "2026-01-31T11:00:00Z"),
            ("2026-07-01", "2026-07-01T10:00:00Z"),
            ("2026-07-01T08:00:00+02:00", "2026-07-01T06:00:00Z"),
        ] {
            assert_eq!(parse(text).map(|at| at.to_string()).as_deref(), Ok(instant), "{text}");
        }
    }

    #[test]
    fn an_instant_is_shown_with_its_offset() {
        let at = "2026-07-01T06:00:00Z".parse().unwrap();
        assert_eq!(show(at), "2026-07-01 08:00:00+02:00");
        assert_eq!(parse(&show(at)), Ok(at));
    }

    #[test]
    fn what_is_neither_is_refused() {
        for text in ["", "today", "2026-02-30", "2026-07-01T08:00:00", "20260701", "2026-07-01 08:00"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
