//! What a call should come to, and whether it did.

use std::fmt;
use std::str::FromStr;

use hyper::StatusCode;

use crate::soap::Fault;

/// What should come back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expected {
    /// HTTP 2xx, and no fault.
    Ok,
    /// A SOAP fault, whoever made it.
    Fault,
    /// A platform's fault with this code.
    Code(String),
    /// Any HTTP answer.
    Any,
}

impl Expected {
    pub(super) fn is_met(&self, status: StatusCode, fault: Option<&Fault>) -> bool {
        match self {
            Self::Ok => status.is_success() && fault.is_none(),
            Self::Fault => fault.is_some(),
            Self::Code(code) => fault.and_then(Fault::vp_code) == Some(code),
            Self::Any => true,
        }
    }
}

/// What came back, in the same words where there is one.
pub(super) fn came(status: StatusCode, fault: Option<&Fault>) -> String {
    match fault {
        Some(fault) => fault.vp_code().unwrap_or("fault").to_owned(),
        None if status.is_success() => "ok".to_owned(),
        None => format!("HTTP {}", status.as_u16()),
    }
}

impl FromStr for Expected {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.to_ascii_uppercase();
        let is_code = |digits: &str| digits.len() == 3 && digits.bytes().all(|byte| byte.is_ascii_digit());
        match text.as_str() {
            "OK" => Ok(Self::Ok),
            "FAULT" => Ok(Self::Fault),
            "ANY" => Ok(Self::Any),
            code if code.strip_prefix("VP").is_some_and(is_code) => Ok(Self::Code(text)),
            _ => Err("write ok, fault, any, or a code as VP007".to_owned()),
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "ok",
            Self::Fault => "fault",
            Self::Code(code) => code,
            Self::Any => "any",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_judged_by_what_was_expected() {
        let fault = |text: &str| Some(Fault { text: text.to_owned(), ..Fault::default() });
        for (status, fault, found, met) in [
            (200, None, "ok", "ok any"),
            (202, None, "ok", "ok any"),
            (500, fault("VP007 [n] No."), "VP007", "fault VP007 any"),
            (200, fault("VP007 [n] No."), "VP007", "fault VP007 any"),
            (500, fault("Broken"), "fault", "fault any"),
            (500, None, "HTTP 500", "any"),
            (404, None, "HTTP 404", "any"),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(came(status, fault.as_ref()), found);
            for word in ["ok", "fault", "vp007", "VP004", "any"] {
                let expected: Expected = word.parse().unwrap();
                let is_met = met.split(' ').any(|one| one.eq_ignore_ascii_case(word));
                assert_eq!(expected.is_met(status, fault.as_ref()), is_met, "{found} for {word}");
            }
        }
    }

    #[test]
    fn other_words_are_refused() {
        for word in ["", "VP", "VP7", "VP0070", "VPabc", "200", "yes"] {
            assert!(word.parse::<Expected>().is_err(), "{word}");
        }
        assert_eq!("vp004".parse::<Expected>().unwrap().to_string(), "VP004");
    }
}
