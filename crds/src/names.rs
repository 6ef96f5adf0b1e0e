//! What ids, URNs and profiles may look like: one test and one sentence for each.
//!
//! The API server applies the same patterns by CEL and answers with the same sentences; the compiler applies these functions, because a
//! standalone platform has no API server. Real catalogues break the HSA-id syntax often, so only TAK's own character classes are required here.

use crate::limits;

/// The logical address that stands for every address without a route or grant of its own.
pub const DEFAULT_ADDRESS: &str = "*";

/// Pattern of an HSA-id or of a logical address other than `*`, in the syntax that RE2 and JSON schema share.
pub const ID_PATTERN: &str = "^[0-9A-Za-z_-]{1,255}$";
/// Pattern of a service contract's URN: TAK's own character class.
pub const URN_PATTERN: &str = "^[0-9A-Za-z_.:-]{1,255}$";
/// Pattern of a profile name: visible ASCII, thus without white space.
pub const PROFILE_PATTERN: &str = "^[!-~]{1,255}$";

/// What is wrong with a text that [`is_logical_address`] refuses.
pub const LOGICAL_ADDRESS_RULE: &str = "a logical address is 1 to 255 letters A-Z, digits, \"_\" and \"-\" (as SE2321000131-E000000000001), or \"*\" alone for the default: remove spaces and other characters";
/// What is wrong with a text that [`is_id`] refuses.
pub const ID_RULE: &str = "an HSA-id is 1 to 255 letters A-Z, digits, \"_\" and \"-\" (as SE5565594230-B9P): remove spaces and other characters";
/// What is wrong with `*` in the place of a consumer.
pub const CONSUMER_STAR_RULE: &str = "\"*\" is an address, never a consumer: name each consumer by its HSA-id";
/// What is wrong with a text that [`is_contract_urn`] refuses.
pub const URN_RULE: &str = "a service contract is the payload namespace, 1 to 255 letters A-Z, digits, \"_\", \".\", \":\" and \"-\" (as urn:riv:clinicalprocess:healthcond:description:GetCareDocumentationResponder:2): remove spaces and other characters";
/// What is wrong with a text that [`is_profile`] refuses.
pub const PROFILE_RULE: &str = "a profile is 1 to 255 visible ASCII characters without white space: write rivtabp20, rivtabp21 or the name that your catalogue uses";

/// Is this an acceptable HSA-id (of a consumer or a service component)? `*` is not.
pub fn is_id(text: &str) -> bool {
    within(text, limits::ID_LENGTH, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

/// Is this an acceptable logical address: an id, or exactly `*`?
pub fn is_logical_address(text: &str) -> bool {
    text == DEFAULT_ADDRESS || is_id(text)
}

/// Is this an acceptable service contract URN? Seven of 237 in a real catalogue do not end in `Responder:N`, so that is not asked for.
pub fn is_contract_urn(text: &str) -> bool {
    within(text, limits::URN_LENGTH, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b':' | b'-'))
}

/// Is this an acceptable profile name? Names other than `rivtabp20` and `rivtabp21` exist in real data.
pub fn is_profile(text: &str) -> bool {
    within(text, limits::PROFILE_LENGTH, |byte| byte.is_ascii_graphic())
}

fn within(text: &str, longest: u32, allowed: fn(u8) -> bool) -> bool {
    (1..=longest as usize).contains(&text.len()) && text.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_take_real_data_and_refuse_the_rest() {
        for good in ["SE2321000131-E000000000001", "5565594230", "se_1-x", "SE", &"A".repeat(255)] {
            assert!(is_id(good), "{good}");
        }
        for bad in ["", "*", "SE 1", "SE1\n", "SE1\u{2028}", "åäö", "SE.1", &"A".repeat(256)] {
            assert!(!is_id(bad), "{bad:?}");
        }
    }

    #[test]
    fn the_star_is_an_address_alone_only() {
        assert!(is_logical_address("*"));
        assert!(!is_logical_address("SE-1*"));
        assert!(!is_logical_address("**"));
    }

    #[test]
    fn urns_and_profiles() {
        assert!(is_contract_urn("urn:riv:crm:scheduling:MakeBookingResponder:1"));
        assert!(!is_contract_urn("urn:riv:crm scheduling"));
        assert!(!is_contract_urn(""));
        assert!(is_profile("RIVEN13606"));
        assert!(!is_profile("rivta bp21"));
        assert!(!is_profile(""));
    }
}
