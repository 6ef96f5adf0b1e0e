//! Compares what happened with what a case expects, and says every difference in a sentence: expected this, got that.

mod fault;
mod log;

use std::time::Duration;

use crate::case::{Ending, Expect, Headers, ProducerExpect, Values};
use crate::consumer::Response;
use crate::http::{Framing, Head, latin1};
use crate::matcher::matches;
use crate::producer::Received;
use crate::wire::Broken;

pub use fault::decided_before_producer;
pub use log::log_line_matches;

/// What a consumer saw.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    /// The answers, in order; what came of the last one before it broke off.
    pub responses: Vec<Response>,
    /// Why there was no whole answer (or no further one).
    pub broken: Option<Broken>,
    /// How the connection ended after the answers, if that was watched.
    pub ending: Option<Broken>,
    /// Whether the TLS handshake itself failed.
    pub handshake_failed: bool,
    /// Whether the session was resumed.
    pub resumed: Option<bool>,
    /// From the first byte sent to the last received.
    pub took: Duration,
    /// The body that was sent.
    pub sent_body: Vec<u8>,
}

/// Collects differences.
#[derive(Debug, Default)]
pub struct Differences(Vec<String>);

impl Differences {
    /// Notes that `what` was not as expected.
    pub fn note(&mut self, what: &str, expected: impl std::fmt::Display, got: impl std::fmt::Display) {
        self.0.push(format!("{what}: expected {expected}, got {got}"));
    }

    fn equal<T: PartialEq + std::fmt::Debug>(&mut self, what: &str, expected: &T, got: &T) {
        if expected != got {
            self.note(what, format!("{expected:?}"), format!("{got:?}"));
        }
    }

    /// Notes every part that `text` lacks of `wanted`, or has of `unwanted`.
    pub fn contains(&mut self, what: &str, text: &str, wanted: &[String], unwanted: &[String]) {
        for part in wanted.iter().filter(|part| !text.contains(part.as_str())) {
            self.note(what, format!("{part:?} in it"), shortened(text));
        }
        for part in unwanted.iter().filter(|part| text.contains(part.as_str())) {
            self.note(what, format!("no {part:?} in it"), shortened(text));
        }
    }

    /// Whether nothing differed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds what another comparison found.
    pub fn append(&mut self, mut other: Self) {
        self.0.append(&mut other.0);
    }

    /// All differences, as sentences.
    pub fn into_sentences(self) -> Vec<String> {
        self.0
    }
}

/// At most the first 600 characters, quoted.
pub fn shortened(text: &str) -> String {
    match text.char_indices().nth(600) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}... ({} bytes)", &text[..end], text.len()),
    }
}

/// Whether the outcome of a request is as expected, as far as the consumer sees it.
pub fn outcome(expect: &Expect, observed: &Observed, platform_name: &str, differences: &mut Differences) {
    refusal(expect, observed, differences);
    let needs_answer = expect.status.is_some() || expect.code.is_some();
    match observed.responses.first() {
        Some(response) if response.status != 0 => {
            answer(expect, response, platform_name, differences);
            following(expect, observed, platform_name, differences);
        }
        _ if needs_answer => differences.note("answer", wanted(expect), broken(observed)),
        _ => {}
    }
    if let Some(ending) = expect.connection {
        connection(ending, observed, differences);
    } else if expect.refused.is_none() && needs_answer && observed.broken.is_some() {
        differences.note("answer", "a whole one", broken(observed));
    }
    if let Some(resumed) = expect.resumed {
        differences.equal("TLS session resumed", &Some(resumed), &observed.resumed);
    }
    let took = observed.took.as_millis();
    if let Some(least) = expect.at_least_ms.filter(|least| took < u128::from(*least)) {
        differences.note("time", format!("at least {least} ms"), format!("{took} ms"));
    }
    if let Some(most) = expect.at_most_ms.filter(|most| took > u128::from(*most)) {
        differences.note("time", format!("at most {most} ms"), format!("{took} ms"));
    }
}

fn wanted(expect: &Expect) -> String {
    let status = expect.status.map_or_else(String::new, |status| format!("status {status} "));
    format!("{status}{}", expect.code.as_deref().unwrap_or_default()).trim().to_owned()
}

fn broken(observed: &Observed) -> String {
    let when = if observed.handshake_failed { "in the TLS handshake: " } else { "" };
    observed.broken.as_ref().map_or_else(|| "nothing".to_owned(), |broken| format!("{when}{broken}"))
}

fn refusal(expect: &Expect, observed: &Observed, differences: &mut Differences) {
    let Some(alert) = &expect.refused else { return };
    let refused = observed.responses.is_empty();
    match &observed.broken {
        Some(Broken::Alert(name)) if refused && name.contains(alert.as_str()) => {}
        // A reset that overtakes the alert still is a refusal, but only the alert can be asked for by name.
        Some(Broken::Reset | Broken::Truncated(_)) if refused && alert.is_empty() => {}
        _ if refused => differences.note("handshake", format!("the alert {alert:?}"), broken(observed)),
        _ => differences.note("handshake", "a refusal", format!("status {}", observed.responses[0].status)),
    }
}

fn following(expect: &Expect, observed: &Observed, platform_name: &str, differences: &mut Differences) {
    let mut expect = expect;
    let mut index = 1;
    while let Some(next) = &expect.next {
        match observed.responses.get(index) {
            Some(response) if response.status != 0 => answer(next, response, platform_name, differences),
            _ => differences.note(&format!("answer {}", index + 1), wanted(next), broken(observed)),
        }
        expect = next;
        index += 1;
    }
}

/// Whether a connection ended, or did not, as expected.
pub fn connection(ending: Ending, observed: &Observed, differences: &mut Differences) {
    let seen = observed.broken.as_ref().or(observed.ending.as_ref());
    let in_answer = observed.broken.is_some();
    let right = match (ending, seen) {
        (Ending::Open, Some(Broken::Silent)) => !in_answer,
        (Ending::Closed, Some(Broken::Closed)) => !in_answer,
        (Ending::NoAnswer, Some(Broken::Closed)) => in_answer,
        (Ending::Unanswered, Some(broken)) => in_answer && *broken != Broken::Silent,
        (Ending::Finished, Some(broken)) => *broken != Broken::Silent,
        (Ending::Aborted, Some(Broken::Truncated(_) | Broken::Reset)) => in_answer,
        _ => false,
    };
    if !right {
        let got = seen.map_or_else(|| "nobody looked".to_owned(), ToString::to_string);
        let place = if in_answer { "instead of a whole answer" } else { "after the answer" };
        differences.note("connection", format!("{ending:?}"), format!("{got} ({place})"));
    }
}

fn answer(expect: &Expect, response: &Response, platform_name: &str, differences: &mut Differences) {
    let body = latin1(&response.message.body);
    let fault_status = expect.code.as_ref().map(|_| 500);
    if let Some(status) = expect.status.or(fault_status)
        && status != response.status
    {
        differences.note("status", status, format!("{} with {}", response.status, shortened(&body)));
    }
    headers("header of the answer", &expect.headers, &response.message.head, differences);
    if let Some(code) = &expect.code {
        fault::compare(code, expect, response, platform_name, differences);
    }
    if let Some(expected) = &expect.body
        && expected.bytes() != response.message.body
    {
        differences.note("body", shortened(&latin1(&expected.bytes())), shortened(&body));
    }
    if let Some(length) = expect.body_bytes {
        differences.equal("length of the body", &length, &response.message.body.len());
    }
    differences.contains("body", &utf8(&response.message.body), &expect.body_contains, &expect.body_lacks);
    if let Some(interim) = &expect.interim {
        differences.equal("interim answers", interim, &response.interim);
    }
    if expect.sentence {
        let content_type = response.message.head.value("content-type").unwrap_or("none").to_ascii_lowercase();
        if !content_type.starts_with("text/plain") {
            differences.note("content type", "text/plain", content_type);
        }
        let text = utf8(&response.message.body);
        if text.trim().is_empty() || text.trim().lines().count() != 1 || text.contains('<') {
            differences.note("body", "one sentence", shortened(&text));
        }
    }
}

fn utf8(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn headers(what: &str, expected: &Headers, head: &Head, differences: &mut Differences) {
    for (name, values) in expected {
        let got: Vec<&str> = head.values(name).collect();
        let patterns: &[String] = match values {
            None => &[],
            Some(Values::One(pattern)) => std::slice::from_ref(pattern),
            Some(Values::Several(patterns)) => patterns,
        };
        let right = got.len() == patterns.len() && patterns.iter().zip(&got).all(|(p, value)| matches(p, value));
        if !right {
            differences.note(&format!("{what} {name}"), format!("{patterns:?}"), format!("{got:?}"));
        }
    }
}

/// Whether a producer received what it should have.
pub fn received(
    name: &str,
    expect: &ProducerExpect,
    received: &[Received],
    sent_body: &[u8],
    differences: &mut Differences,
) {
    if let Some(count) = expect.count {
        differences.equal(&format!("requests at {name}"), &count, &received.len());
    }
    if let Some(connections) = expect.connections {
        let mut numbers: Vec<usize> = received.iter().map(|request| request.connection).collect();
        numbers.sort_unstable();
        numbers.dedup();
        differences.equal(&format!("connections to {name}"), &connections, &numbers.len());
    }
    match received.last() {
        Some(last) => request(name, expect, last, sent_body, differences),
        None if expect.count != Some(0) => differences.note(name, "a request", "none"),
        None => {}
    }
}

fn request(name: &str, expect: &ProducerExpect, last: &Received, sent: &[u8], differences: &mut Differences) {
    let mut parts = last.head.start_line.split(' ');
    let (method, target) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    if let Some(wanted) = expect.method.as_deref().filter(|wanted| *wanted != method) {
        differences.note(&format!("method at {name}"), wanted, method);
    }
    if let Some(wanted) = expect.target.as_deref().filter(|wanted| *wanted != target) {
        differences.note(&format!("target at {name}"), wanted, target);
    }
    headers(&format!("header at {name}:"), &expect.headers, &last.head, differences);
    let body = utf8(&last.body);
    let exact = expect.body.as_ref().map(crate::content::Content::bytes);
    if let Some(wanted) = exact.as_deref().or_else(|| expect.body_same.then_some(sent))
        && wanted != last.body
    {
        differences.note(&format!("body at {name}"), shortened(&utf8(wanted)), shortened(&body));
    }
    differences.contains(&format!("body at {name}"), &body, &expect.body_contains, &expect.body_lacks);
    let framing = match last.framing {
        Framing::Length(_) => "length",
        Framing::Chunked => "chunked",
        Framing::Nothing | Framing::UntilClose => "nothing",
    };
    if let Some(wanted) = expect.framing.as_deref().filter(|wanted| *wanted != framing) {
        differences.note(&format!("framing at {name}"), wanted, framing);
    }
    if let Some(wanted) = &expect.trailers {
        differences.equal(&format!("trailers at {name}"), wanted, &last.trailers);
    }
    for (what, wanted, got) in [
        ("whole request", expect.complete, last.complete),
        ("hung up", expect.abandoned, last.abandoned),
        ("client certificate", expect.with_certificate, last.with_certificate),
    ] {
        if let Some(wanted) = wanted.filter(|wanted| *wanted != got) {
            differences.note(&format!("{what} at {name}"), wanted, got);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_noticed() {
        let expect = Expect { status: Some(200), ..Expect::default() };
        let mut response = Response { status: 500, ..Response::default() };
        let observed = |response: &Response| Observed { responses: vec![response.clone()], ..Observed::default() };
        let mut differences = Differences::default();
        outcome(&expect, &observed(&response), "n", &mut differences);
        assert_eq!(differences.into_sentences().len(), 1);
        response.status = 200;
        let mut differences = Differences::default();
        outcome(&expect, &observed(&response), "n", &mut differences);
        assert!(differences.into_sentences().is_empty());
    }
}
