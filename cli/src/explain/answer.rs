//! What the caller would get, summed up from an explanation in JSON: the one form that manifests and a running instance
//! both give.

use std::fmt;

use anyhow::Context;
use rivmesh_rivta::{Profile, VpCode};
use serde_json::Value;

/// What becomes of the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// It goes to a producer.
    Allowed,
    /// It is answered with this code, for this reason.
    Refused(VpCode, &'static str),
}

impl Answer {
    /// Reads the outcomes in the order in which a call is checked (rules §4): the route, the authorisation, the profile.
    ///
    /// # Errors
    /// When the explanation has other words than this version knows.
    pub(super) fn of(explanation: &Value) -> anyhow::Result<Self> {
        let outcome = |search: &str| {
            let outcome = &explanation[search]["outcome"];
            let word = outcome.as_str().or_else(|| outcome.as_object()?.keys().next().map(String::as_str));
            word.with_context(|| format!("the answer says nothing about {search}: ask with the version that answers"))
        };
        let (routing, authorization) = (outcome("routing")?, outcome("authorization")?);
        Ok(match (routing, authorization) {
            ("noRoute", _) => Self::Refused(VpCode::Vp004, "there is no route for this contract and address"),
            ("severalRoutes", _) => Self::Refused(VpCode::Vp006, "several routes match"),
            ("noUsableUrl", _) => Self::Refused(VpCode::Vp010, "the route has no URL"),
            ("routed", "notAuthorized") => {
                Self::Refused(VpCode::Vp007, "there is a route, but the consumer may not call here")
            }
            ("routed", "authorized") if !is_reachable(explanation) => {
                Self::Refused(VpCode::Vp005, "the producer's profile cannot be reached from the request's")
            }
            ("routed", "authorized") => Self::Allowed,
            (routing, authorization) => anyhow::bail!(
                "the answer has unknown words ({routing}, {authorization}): ask with the version that answers"
            ),
        })
    }
}

/// Whether the request can be had in the producer's profile: both must be ones that can be rewritten.
fn is_reachable(explanation: &Value) -> bool {
    let profile = explanation["routing"]["outcome"]["routed"]["profile"].as_str();
    profile.is_some_and(|profile| Profile::from_name(profile).is_some())
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Allowed => f.write_str("The call is allowed."),
            Self::Refused(code, reason) => write!(f, "The call is answered with {}: {reason}.", code.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn answer(routing: &Value, authorization: &Value) -> String {
        let explanation = json!({"routing": {"outcome": routing}, "authorization": {"outcome": authorization}});
        Answer::of(&explanation).map_or_else(|error| error.to_string(), |answer| answer.to_string())
    }

    #[test]
    fn the_first_check_that_fails_answers() {
        let routed = || json!({"routed": {"profile": "RIVTABP20"}});
        let cases = [
            (json!("noRoute"), json!("notAuthorized"), "VP004"),
            (json!("severalRoutes"), json!({"authorized": {}}), "VP006"),
            (json!({"noUsableUrl": {"object": "a/b"}}), json!("notAuthorized"), "VP010"),
            (routed(), json!("notAuthorized"), "VP007"),
            (json!({"routed": {"profile": "RIVEN13606"}}), json!({"authorized": {}}), "VP005"),
            (json!({"routed": {"profile": "RIVEN13606"}}), json!("notAuthorized"), "VP007"),
            (routed(), json!({"authorized": {}}), "The call is allowed."),
        ];
        for (routing, authorization, expected) in cases {
            let text = answer(&routing, &authorization);
            assert!(text.contains(expected), "{expected}: {text}");
        }
    }

    #[test]
    fn words_of_another_version_are_not_guessed() {
        assert!(answer(&json!("perhaps"), &json!("notAuthorized")).contains("unknown words"));
        assert!(answer(&Value::Null, &json!("notAuthorized")).contains("nothing about routing"));
    }
}
