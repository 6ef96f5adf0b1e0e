//! How a call can end without the producer's answer. The variant says whose fault it was and what the consumer gets.

use crate::exchange::ExchangeError;
use crate::telemetry::metrics::ProducerFailure;
use rivmesh_rivta::Fault;

/// Why a call did not end with a relayed answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Refused below SOAP: a plain-text answer of one sentence.
    Http { status: u16, sentence: &'static str },
    /// A SOAP fault of ours; `kind` is a word for logs, `cause` a sentence without anybody's data, `producer` the
    /// producer's part in it.
    Fault { status: u16, fault: Fault, kind: &'static str, cause: String, producer: Option<ProducerFailure> },
    /// Nobody is left to answer.
    ConsumerGone,
    /// The answer had begun and cannot be completed: the connection is cut, so that nobody takes it for whole.
    BrokeOff { kind: ProducerFailure, cause: String },
}

impl Failure {
    /// A SOAP fault with the status that WS-I Basic Profile 1.1 R1126 demands.
    pub(crate) fn fault(fault: Fault, kind: &'static str) -> Self {
        Self::Fault { status: 500, fault, kind, cause: String::new(), producer: None }
    }

    /// VP009 for the endpoint `url`.
    pub(crate) fn producer(url: &str, kind: ProducerFailure, cause: String, status: Option<u16>) -> Self {
        let fault = Fault::producer(url, &cause, status);
        Self::Fault { status: 500, fault, kind: kind.as_str(), cause, producer: Some(kind) }
    }

    /// This pod has more calls in flight than it may.
    pub(crate) fn overload() -> Self {
        let cause = "more calls are in flight than this instance may have".to_owned();
        Self::Fault { status: 503, fault: Fault::platform(&cause), kind: "overload", cause, producer: None }
    }

    /// The message is over the limit: HTTP says it with 413, SOAP with VP015.
    pub(crate) fn too_large() -> Self {
        let fault = Fault::unreadable("the message is larger than this platform accepts");
        Self::Fault { status: 413, fault, kind: "size", cause: String::new(), producer: None }
    }

    /// The consumer stopped sending its request.
    pub(crate) fn stalled() -> Self {
        Self::Http { status: 408, sentence: "The rest of the request did not come in time." }
    }

    /// What an error before the first byte of the answer means for the consumer.
    pub(crate) fn before_answer(error: &ExchangeError, url: &str) -> Self {
        match error {
            ExchangeError::ConsumerGone => Self::ConsumerGone,
            ExchangeError::ConsumerStalled => Self::stalled(),
            ExchangeError::RequestTooLarge => Self::too_large(),
            ExchangeError::RequestMalformed(why) => Self::fault(Fault::unreadable(why), "body"),
            ExchangeError::ProducerTimedOut
            | ExchangeError::ProducerClosed
            | ExchangeError::ProducerBroke(_)
            | ExchangeError::AnswerHead(_)
            | ExchangeError::AnswerBody(_) => Self::producer(url, producer_failure(error), error.to_string(), None),
        }
    }

    /// What an error after the first byte of the answer means: there is no way to tell the consumer but to break off.
    pub(crate) fn after_answer_began(error: ExchangeError) -> Self {
        match error {
            ExchangeError::ConsumerGone | ExchangeError::ConsumerStalled => Self::ConsumerGone,
            other => Self::BrokeOff { kind: producer_failure(&other), cause: other.to_string() },
        }
    }
}

/// The producer's part in an error, for metrics and logs.
fn producer_failure(error: &ExchangeError) -> ProducerFailure {
    match error {
        ExchangeError::ProducerTimedOut => ProducerFailure::Timeout,
        ExchangeError::AnswerHead(_) | ExchangeError::AnswerBody(_) => ProducerFailure::BadAnswer,
        _ => ProducerFailure::BrokeOff,
    }
}
