//! What an HSA-id looks like, and what is accepted in its place.
//!
//! Real ids in catalogues and certificates break the syntax often, so the platform accepts the lenient form everywhere
//! and only warns about ids that are not HSA-ids. Ids compare without regard to ASCII case and keep their spelling.

use crate::limits::MAX_ID;

/// True for an id that the platform accepts: 1-255 of `[0-9A-Za-z_-]`.
pub fn is_acceptable_id(id: &str) -> bool {
    (1..=MAX_ID).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// True for the proper form: `SE`, a 10-digit organisation number (or `16` and that number), a hyphen and at least one
/// letter or digit; at most 31 characters in all.
pub fn is_hsa_id(id: &str) -> bool {
    let Some((organisation, suffix)) = id.get(2..).and_then(|rest| rest.split_once('-')) else { return false };
    let number = match organisation.len() {
        12 => organisation.strip_prefix("16"),
        10 => Some(organisation),
        _ => None,
    };
    id.len() <= 31
        && id[..2].eq_ignore_ascii_case("SE")
        && number.is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_digit()))
        && !suffix.is_empty()
        && suffix.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// True if both spell the same id: equal but for ASCII letter case.
pub fn same_id(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hsa_ids_are_told_from_what_is_merely_accepted() {
        for proper in ["SE2321000016-1hz5", "SE165565594230-1000", "se5565594230-B9P", "SE2321000131-S000000000099"] {
            assert!(is_hsa_id(proper) && is_acceptable_id(proper), "{proper}");
        }
        for lenient in [
            "TSTNMT2321000156-B02",
            "HSASERVICES-106J",
            "NTjP_T_SERVICES_SE165565594230-10BR",
            "5565594230",
            "SE2321000016",
            "SE2321000016-",
            "SE175565594230-1000",
            "SE2321000016-a_b",
            "SE2321000016-12345678901234567890",
        ] {
            assert!(!is_hsa_id(lenient) && is_acceptable_id(lenient), "{lenient}");
        }
        for refused in ["", " SE2321000016-1", "SE2321000016-å", "*", "a#b", "a,b", "a.b", &"x".repeat(256)] {
            assert!(!is_hsa_id(refused) && !is_acceptable_id(refused), "{refused}");
        }
        assert!(is_acceptable_id(&"x".repeat(255)));
        assert!(!is_hsa_id("å2321000016-1"));
    }

    #[test]
    fn case_does_not_tell_ids_apart() {
        assert!(same_id("SE2321000016-1HZ5", "se2321000016-1hz5"));
        assert!(!same_id("SE2321000016-1", "SE2321000016-2"));
    }
}
