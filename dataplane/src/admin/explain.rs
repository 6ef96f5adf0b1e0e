//! `/explain`: what would become of a call, and why. The question comes as a query string; the answer is the table's own,
//! so that it cannot differ from what the request path decides.

use super::{JSON, Sources, TEXT, response};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Response, StatusCode};
use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use std::time::SystemTime;

/// The longest query string.
const MAX_QUERY: usize = 4096;
/// The longest value in it; no id or contract is longer.
const MAX_VALUE: usize = 255;
/// The profile of a call when the question names none.
const USUAL_PROFILE: &str = "rivtabp21";

/// A call to be explained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// HSA-id of the caller.
    pub consumer: String,
    /// Payload namespace.
    pub contract: String,
    /// Logical address.
    pub address: String,
    /// Profile of the request.
    pub profile: String,
    /// When, in Unix seconds.
    pub at: i64,
}

/// An explanation in both forms that can be asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Explained {
    /// For programs.
    pub json: serde_json::Value,
    /// For people, as the command line shows it.
    pub text: String,
}

/// Answers `/explain`.
pub(super) fn answer(query: &str, sources: &Sources) -> Response<Full<Bytes>> {
    let (question, form) = match parse(query, SystemTime::now()) {
        Ok(parsed) => parsed,
        Err(sentence) => return response(StatusCode::BAD_REQUEST, TEXT, sentence + "\n"),
    };
    match ((sources.explain)(&question), form) {
        (Ok(explained), Form::Text) => response(StatusCode::OK, TEXT, explained.text),
        (Ok(explained), Form::Json) => response(StatusCode::OK, JSON, format!("{:#}\n", explained.json)),
        (Err(sentence), _) => response(StatusCode::SERVICE_UNAVAILABLE, TEXT, sentence + "\n"),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Json,
    Text,
}

fn parse(query: &str, now: SystemTime) -> Result<(Question, Form), String> {
    if query.len() > MAX_QUERY {
        return Err(format!("The question is longer than {MAX_QUERY} characters."));
    }
    let [mut consumer, mut contract, mut address, mut profile, mut at, mut form] = [const { None::<String> }; 6];
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let place = match name {
            "consumer" => &mut consumer,
            "contract" => &mut contract,
            "address" => &mut address,
            "profile" => &mut profile,
            "at" => &mut at,
            "format" => &mut form,
            _ => return Err("Ask with consumer, contract and address; profile, at and format may be added.".to_owned()),
        };
        if place.replace(decode(name, value)?).is_some() {
            return Err(format!("{name} is given twice."));
        }
    }
    let needed = |name: &str, value: Option<String>| {
        let value = value.filter(|value| !value.is_empty());
        value.ok_or_else(|| format!("{name} is missing: ask with ?consumer=...&contract=...&address=..."))
    };
    let form = match form.as_deref() {
        None | Some("json") => Form::Json,
        Some("text") => Form::Text,
        Some(_) => return Err("format is json or text.".to_owned()),
    };
    let question = Question {
        consumer: needed("consumer", consumer)?,
        contract: needed("contract", contract)?,
        address: needed("address", address)?,
        profile: profile.unwrap_or_else(|| USUAL_PROFILE.to_owned()),
        at: instant(at.as_deref(), now)?,
    };
    Ok((question, form))
}

fn decode(name: &str, value: &str) -> Result<String, String> {
    let spaced = value.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8().map_err(|_| format!("{name} is not UTF-8."))?;
    if decoded.len() > MAX_VALUE {
        return Err(format!("{name} is longer than {MAX_VALUE} characters."));
    }
    Ok(decoded.into_owned())
}

fn instant(at: Option<&str>, now: SystemTime) -> Result<i64, String> {
    match at {
        None => Ok(Timestamp::try_from(now).map_or(0, Timestamp::as_second)),
        // A plus sign of an offset that was not encoded has become a space.
        Some(text) => match text.replace(' ', "+").parse::<Timestamp>() {
            Ok(at) => Ok(at.as_second()),
            Err(_) => Err("at is an instant such as 2026-01-31T12:00:00Z or 2026-01-31T12:00:00+01:00.".to_owned()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1000)
    }

    #[test]
    fn a_question_is_read() {
        let (question, form) =
            parse("consumer=SE1-C&contract=urn%3Ariv%3Ax%3A1&address=a+b%C3%A5", now()).expect("valid");
        let expected = Question {
            consumer: "SE1-C".into(),
            contract: "urn:riv:x:1".into(),
            address: "a bå".into(),
            profile: "rivtabp21".into(),
            at: 1000,
        };
        assert_eq!((question, form), (expected, Form::Json));
    }

    #[test]
    fn all_can_be_said() {
        let all = "consumer=c&contract=k&address=*&profile=rivtabp20&format=text&at=";
        for at in ["1970-01-01T01:00:00Z", "1970-01-01T02:00:00%2B01:00", "1970-01-01T02:00:00+01:00"] {
            let (question, form) = parse(&format!("{all}{at}"), now()).expect(at);
            assert_eq!((question.profile.as_str(), question.at, form), ("rivtabp20", 3600, Form::Text), "{at}");
        }
    }

    #[test]
    fn what_cannot_be_read_gets_a_sentence() {
        let long = format!("consumer={}", "x".repeat(MAX_VALUE + 1));
        let longer = "x".repeat(MAX_QUERY + 1);
        for (query, sentence) in [
            ("", "consumer is missing"),
            ("consumer=a&contract=b&address=", "address is missing"),
            ("consumer=a&consumer=b", "consumer is given twice"),
            ("consumer=a&secret=b", "Ask with consumer"),
            ("consumer=%ff", "not UTF-8"),
            ("consumer=a&contract=b&address=c&at=yesterday", "at is an instant"),
            ("consumer=a&contract=b&address=c&format=xml", "format is"),
            (&long, "longer than 255"),
            (&longer, "longer than 4096"),
        ] {
            let error = parse(query, now()).expect_err(query);
            assert!(error.contains(sentence), "{query}: {error}");
        }
    }
}
