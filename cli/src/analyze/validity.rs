//! Objects whose validity is over, ends soon, or has not begun. A validity that cannot be read, or in which nothing
//! lies, is refused and told by the object's verdict.

use rivmesh_crds::{Validity, instants};
use rivmesh_table::Spec;

use super::check::{Check, Remark};
use crate::catalogue::Catalogue;

/// How many days ahead an end is told.
const SOON: i64 = 30;
const DAY: i64 = 24 * 60 * 60;

/// Judges validity at `now`, in Unix seconds.
pub(super) fn check(catalogue: &Catalogue, now: i64) -> impl Iterator<Item = Remark> + '_ {
    catalogue.objects.values().filter_map(move |object| {
        let validity = match &object.spec {
            Spec::RoutingEntry(spec) if !spec.suspend => spec.validity.as_ref(),
            Spec::CallAuthorization(spec) if !spec.suspend => spec.validity.as_ref(),
            Spec::RoutingEntry(_) | Spec::CallAuthorization(_) | Spec::ServiceContract(_) => None,
        };
        let (check, message) = judge(validity?, now)?;
        Some(Remark { check, object: object.id.clone(), message })
    })
}

fn judge(validity: &Validity, now: i64) -> Option<(Check, String)> {
    let window = instants(validity).ok()?;
    let written = |end: &Option<String>| end.clone().unwrap_or_default();
    let (from, to) = (written(&validity.from), written(&validity.to));
    if window.until.is_some_and(|until| until <= now) {
        let message = format!("was valid to {to}, so none of its rows counts any more: renew it or delete it");
        return Some((Check::Expired, message));
    }
    if window.until.is_some_and(|until| until <= now + SOON * DAY) {
        let message = format!("is valid to {to}, which is less than {SOON} days away: renew it in time");
        return Some((Check::ExpiresSoon, message));
    }
    let is_future = window.from.is_some_and(|from| now < from);
    is_future.then(|| (Check::NotYetValid, format!("is valid from {from}, and none of its rows counts before")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(instant: &str, from: Option<&str>, to: Option<&str>) -> Option<Check> {
        let now: jiff::Timestamp = instant.parse().expect("an instant");
        let validity = Validity { from: from.map(str::to_owned), to: to.map(str::to_owned) };
        judge(&validity, now.as_second()).map(|(check, _)| check)
    }

    #[test]
    fn the_last_day_is_whole_and_swedish() {
        let until = |instant| at(instant, None, Some("2026-06-30"));
        assert_eq!(until("2026-06-30T21:59:59Z"), Some(Check::ExpiresSoon));
        assert_eq!(until("2026-06-30T22:00:00Z"), Some(Check::Expired));
        assert_eq!(until("2026-05-31T22:00:00Z"), Some(Check::ExpiresSoon));
        assert_eq!(until("2026-05-31T21:59:59Z"), None);
    }

    #[test]
    fn what_lies_ahead_is_told_and_what_is_open_is_not() {
        let now = "2026-06-30T10:00:00Z";
        assert_eq!(at(now, Some("2026-07-01"), None), Some(Check::NotYetValid));
        assert_eq!(at(now, Some("2026-06-30"), None), None);
        assert_eq!(at(now, None, None), None);
        assert_eq!(at(now, Some("2026-07-02"), Some("2026-07-01")), None, "its verdict tells that");
    }
}
