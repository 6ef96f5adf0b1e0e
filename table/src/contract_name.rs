//! Names of contracts. The key is the payload namespace (`urn:riv:..:XResponder:2`); the specification's shorter form
//! (`urn:riv:..:X:2`) is accepted for it, unless a ServiceContract names exactly the shorter form (rules §5).

use std::borrow::Cow;

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

/// The contract that `urn` means, where `is_declared` tells whether a ServiceContract names exactly this URN.
pub(crate) fn resolve(urn: &str, is_declared: impl FnOnce(&str) -> bool) -> Cow<'_, str> {
    match with_responder(urn) {
        Some(longer) if !is_declared(urn) => Cow::Owned(longer),
        _ => Cow::Borrowed(urn),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_riv_names_with_a_version_are_completed() {
        let completed = |urn| resolve(urn, |_| false).into_owned();
        assert_eq!(completed("urn:riv:a:b:GetX:2"), "urn:riv:a:b:GetXResponder:2");
        for same in [
            "urn:riv:a:b:GetXResponder:2",
            "URN:RIV:a:b:GetXRESPONDER:2",
            "urn:other:GetX:2",
            "urn:riv:a:GetX",
            "urn:riv:a::2",
            "2",
        ] {
            assert_eq!(completed(same), same);
        }
    }

    #[test]
    fn a_declared_short_name_is_itself() {
        assert_eq!(resolve("urn:riv:a:GetX:2", |_| true), "urn:riv:a:GetX:2");
    }
}
