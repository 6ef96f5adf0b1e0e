//! Names of contracts. The key is the payload namespace (`urn:riv:..:XResponder:2`); the specification's shorter form
//! (`urn:riv:..:X:2`) is accepted for it, unless a ServiceContract names exactly the shorter form (rules §5).

use crate::fold;

const RESPONDER: &str = "Responder";

/// The form with `Responder` of a URN that lacks it, or `None` when the URN is no such name.
pub(crate) fn with_responder(urn: &str) -> Option<String> {
    let (name, version) = urn.rsplit_once(':')?;
    let is_riv = name.get(..8).is_some_and(|start| fold::eq(start, "urn:riv:"));
    let is_version = !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit());
    let lacks = !name.ends_with(':') && !fold::ends_with(name, RESPONDER);
    (is_riv && is_version && lacks).then(|| format!("{name}{RESPONDER}:{version}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_riv_names_with_a_version_are_completed() {
        assert_eq!(with_responder("urn:riv:a:b:GetX:2").as_deref(), Some("urn:riv:a:b:GetXResponder:2"));
        for same in [
            "urn:riv:a:b:GetXResponder:2",
            "URN:RIV:a:b:GetXRESPONDER:2",
            "urn:other:GetX:2",
            "urn:riv:a:GetX",
            "urn:riv:a::2",
            "2",
        ] {
            assert_eq!(with_responder(same), None);
        }
    }
}
