//! The environment that something belongs to. Environments never mix: a dataplane of production must not route by a
//! catalogue that was written for tests, nor the other way round. Operator, dataplane and table each name theirs, and the
//! rule by which they are compared is here, once.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest name of an environment, in bytes.
pub const MAX_ENVIRONMENT: usize = 63;

/// The name of an environment, as `production`: 1 to 63 bytes, without control characters and without white space at its
/// ends, so that two names that look the same are the same. It is shown as it was written; case does not matter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Environment(String);

/// A text names no environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "an environment is named by 1 to {MAX_ENVIRONMENT} bytes, without control characters and without white space at the \
     ends: write, for example, production"
)]
pub struct NoEnvironment;

impl Environment {
    /// The name as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the same environment; case does not matter.
    pub fn is(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }

    /// The two, if both are named and differ: what belongs to one must not be used with the other. Whoever names none
    /// comes from a version that did not, or from where environments are not told apart.
    pub fn clash<'e>(one: Option<&'e Self>, other: Option<&'e Self>) -> Option<(&'e Self, &'e Self)> {
        one.zip(other).filter(|(one, other)| !one.is(other))
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Environment {
    type Error = NoEnvironment;

    fn try_from(text: String) -> Result<Self, NoEnvironment> {
        let is_name = (1..=MAX_ENVIRONMENT).contains(&text.len())
            && text.trim().len() == text.len()
            && !text.chars().any(char::is_control);
        if is_name { Ok(Self(text)) } else { Err(NoEnvironment) }
    }
}

impl FromStr for Environment {
    type Err = NoEnvironment;

    fn from_str(text: &str) -> Result<Self, NoEnvironment> {
        // Judged before it is copied: it may come from a peer.
        if text.len() > MAX_ENVIRONMENT { Err(NoEnvironment) } else { text.to_owned().try_into() }
    }
}

impl From<Environment> for String {
    fn from(environment: Environment) -> Self {
        environment.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_short_and_looks_like_what_it_is() {
        for good in ["production", "acceptance test 2", "utbildningsmiljö", "x", &"x".repeat(63)] {
            assert_eq!(good.parse::<Environment>().expect(good).to_string(), good);
        }
        for bad in ["", " ", "test ", "\ttest", "te\nst", "te\u{7f}st", "te\u{85}st", &"x".repeat(64), &"ö".repeat(32)]
        {
            assert_eq!(bad.parse::<Environment>(), Err(NoEnvironment), "{bad:?}");
        }
    }

    #[test]
    fn only_two_names_that_differ_clash() {
        let named = |name: &str| -> Option<Environment> { (!name.is_empty()).then(|| name.parse().expect("a name")) };
        for (one, other, clash) in [
            ("production", "production", false),
            ("production", "Production", false),
            ("production", "test", true),
            ("production", "prod", true),
            ("production", "", false),
            ("", "production", false),
            ("", "", false),
        ] {
            let (one, other) = (named(one), named(other));
            assert_eq!(Environment::clash(one.as_ref(), other.as_ref()).is_some(), clash, "{one:?} and {other:?}");
        }
    }
}
