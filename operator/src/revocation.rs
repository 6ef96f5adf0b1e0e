//! Which changes take a right away. Those are compiled at once: everything else may wait for a burst to end, but a
//! revoked consumer should not be let in for a second longer because somebody else was editing.

use std::collections::BTreeSet;

use rivmesh_crds::CallAuthorizationSpec;
use rivmesh_table::Spec;

/// Whether replacing `before` by `after` may take a right away. It never misses one; it may see one where there is
/// none, such as a validity that was made longer.
pub(crate) fn revokes(before: &Spec, after: Option<&Spec>) -> bool {
    let Spec::CallAuthorization(before) = before else { return false };
    let Some(Spec::CallAuthorization(after)) = after else { return true };
    let lost = |lists: fn(&CallAuthorizationSpec) -> &Vec<String>| {
        let kept: BTreeSet<String> = lists(after).iter().map(|item| item.to_ascii_lowercase()).collect();
        lists(before).iter().any(|item| !kept.contains(&item.to_ascii_lowercase()))
    };
    (after.suspend && !before.suspend)
        || before.validity != after.validity
        || before.filters != after.filters
        || lost(|spec| &spec.consumers)
        || lost(|spec| &spec.service_contracts)
        || lost(|spec| &spec.logical_addresses)
}

#[cfg(test)]
mod tests {
    use rivmesh_crds::Validity;

    use super::*;

    fn grant() -> CallAuthorizationSpec {
        CallAuthorizationSpec {
            consumers: vec!["SE1-A".to_owned(), "SE1-B".to_owned()],
            service_contracts: vec!["urn:riv:x:XResponder:1".to_owned()],
            logical_addresses: vec!["*".to_owned()],
            validity: None,
            agreement: None,
            filters: Vec::new(),
            suspend: false,
        }
    }

    fn change(change: impl FnOnce(&mut CallAuthorizationSpec)) -> bool {
        let mut after = grant();
        change(&mut after);
        revokes(&Spec::CallAuthorization(grant()), Some(&Spec::CallAuthorization(after)))
    }

    #[test]
    fn whatever_may_take_a_right_away_is_a_revocation() {
        assert!(revokes(&Spec::CallAuthorization(grant()), None));
        assert!(change(|spec| spec.suspend = true));
        assert!(change(|spec| drop(spec.consumers.pop())));
        assert!(change(|spec| spec.service_contracts[0].push('x')));
        assert!(change(|spec| spec.logical_addresses[0] = "SE1-E".to_owned()));
        assert!(change(|spec| spec.validity = Some(Validity { from: None, to: Some("2026-01-01".to_owned()) })));
    }

    #[test]
    fn a_new_right_or_another_spelling_is_none() {
        assert!(!change(|_| {}));
        assert!(!change(|spec| spec.consumers.push("SE1-C".to_owned())));
        assert!(!change(|spec| spec.consumers[0] = "se1-a".to_owned()));
        assert!(!change(|spec| spec.agreement = Some("dnr 1".to_owned())));
    }

    #[test]
    fn only_authorisations_are_rights() {
        let contract = serde_json::from_str(r#"{"urn": "urn:riv:x:XResponder:1"}"#).expect("a good spec");
        assert!(!revokes(&Spec::ServiceContract(contract), None));
    }
}
