//! Whether lists that have come over the network may take the place of those on disk. Their signatures are right, but
//! whoever stands in between can still replay an old list, on which a certificate is not revoked yet, or hand out the
//! list of another authority. A list past its nextUpdate is taken if it is newer: how old is too old is for the proxy to say.

use std::fmt;

use super::failure::instant;
use crate::tls::Edition;

/// Why lists may not replace those on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// One of them is older than its edition on disk; what the two are.
    Older { held: String, offered: String },
    /// The list of this issuer that is on disk is not among them.
    OtherList { issuer: String },
}

/// Judges lists that are `offered` by those that are `held` on disk, each of which has been verified.
pub(super) fn judge(held: &[Edition], offered: &[Edition]) -> Result<(), Refusal> {
    for held in held {
        let same = offered.iter().filter(|offered| offered.is_of_same_list(held));
        let Some(newest) = same.max_by(|a, b| a.order().cmp(&b.order())) else {
            return Err(Refusal::OtherList { issuer: held.issuer_name() });
        };
        if newest.order() < held.order() {
            return Err(Refusal::Older { held: about(held), offered: about(newest) });
        }
    }
    Ok(())
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Older { held, offered } => write!(
                f,
                "what its server sends is older ({offered}) than the list on disk ({held}): a cache on the way, or an \
                 attack; the one on disk stays"
            ),
            Self::OtherList { issuer } => write!(
                f,
                "what its server sends lacks the list of {issuer} that is on disk (or is about others of its \
                 certificates): if this source has moved on to another list, delete the file"
            ),
        }
    }
}

/// What tells an edition from others.
fn about(edition: &Edition) -> String {
    let made = instant(edition.this_update);
    match &edition.number {
        Some(number) => format!("number {number} of {made}"),
        None => format!("of {made}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::CrlScope;

    fn edition(issuer: u8, this_update: i64, number: Option<u64>) -> Edition {
        Edition {
            issuer: vec![issuer],
            scope: CrlScope::EVERYTHING,
            this_update,
            next_update: this_update + 10,
            number: number.map(Into::into),
        }
    }

    fn partial(this_update: i64) -> Edition {
        let scope = CrlScope { authorities: false, ..CrlScope::EVERYTHING };
        Edition { scope, ..edition(1, this_update, None) }
    }

    #[test]
    fn only_the_same_list_and_no_older_one_may_follow() {
        let one = |this_update, number| vec![edition(1, this_update, number)];
        let two = edition(2, 5, None);
        for (about, held, offered, expected) in [
            ("nothing is held", vec![], one(1, None), "ok"),
            ("the same", one(5, Some(3)), one(5, Some(3)), "ok"),
            ("newer", one(5, Some(3)), one(6, Some(4)), "ok"),
            ("newer, counting anew", one(5, Some(3)), one(6, Some(1)), "ok"),
            ("newer by its number only", one(5, Some(3)), one(5, Some(400)), "ok"),
            ("newer, without a number", one(5, Some(3)), one(6, None), "ok"),
            ("older", one(5, Some(3)), one(4, Some(2)), "older"),
            ("older, with a higher number", one(5, Some(3)), one(4, Some(9)), "older"),
            ("older by its number only", one(5, Some(300)), one(5, Some(4)), "older"),
            ("of the same time, its number lost", one(5, Some(3)), one(5, None), "older"),
            ("another issuer's", one(5, None), vec![edition(2, 9, None)], "other"),
            ("of fewer certificates", one(5, None), vec![partial(9)], "other"),
            ("of more certificates", vec![partial(5)], one(9, None), "other"),
            ("one more", one(5, None), vec![two.clone(), edition(1, 6, None)], "ok"),
            ("one less", vec![edition(1, 5, None), two.clone()], one(6, None), "other"),
            ("two editions, the newest counts", one(5, None), [one(4, None), one(6, None)].concat(), "ok"),
            (
                "one of two older",
                vec![edition(1, 5, None), two],
                vec![edition(1, 6, None), edition(2, 4, None)],
                "older",
            ),
        ] {
            let found = match judge(&held, &offered) {
                Ok(()) => "ok",
                Err(Refusal::Older { .. }) => "older",
                Err(Refusal::OtherList { .. }) => "other",
            };
            assert_eq!(found, expected, "{about}");
        }
    }

    #[test]
    fn a_refusal_tells_both_editions() {
        let refusal = judge(&[edition(1, 86_400, Some(3))], &[edition(1, 0, None)]).unwrap_err().to_string();
        assert!(refusal.contains("older (of 1970-01-01T00:00:00Z)"), "{refusal}");
        assert!(refusal.contains("on disk (number 3 of 1970-01-02T00:00:00Z)"), "{refusal}");
    }
}
