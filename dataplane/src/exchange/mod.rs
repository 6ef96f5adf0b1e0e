//! One request and its answer between two connections, streamed both ways at once with back-pressure. Everything is
//! polled from one task, so a consumer that goes away is seen while the producer thinks, a producer that answers before
//! the request ends is heard, and neither side can make this one hold more than a few buffers of a message.

mod clock;
mod pump;

pub(crate) use clock::{IdleClock, ProducerClock};
pub(crate) use pump::{Pump, PumpError, Recode, Waiting};

use crate::config::Limits;
use crate::http1::{BodyError, Conn, HeadError, ResponseHead, parse_response};
use bytes::BytesMut;
use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};
use thiserror::Error;

/// Most interim answers (1xx) that a producer may send before the real one.
const MAX_INTERIM: u8 = 16;
/// Most bytes of a following request that are read while an answer is awaited.
const MAX_READ_AHEAD: usize = 16 * 1024;

/// Why an exchange ended without its answer. Whose fault it was decides what the consumer hears.
#[derive(Debug, Error)]
pub(crate) enum ExchangeError {
    #[error("the consumer went away")]
    ConsumerGone,
    #[error("the consumer neither sent nor read for too long")]
    ConsumerStalled,
    #[error("the request is larger than allowed")]
    RequestTooLarge,
    #[error("the request body is malformed: {0}")]
    RequestMalformed(String),
    #[error("no complete answer came in time")]
    ProducerTimedOut,
    #[error("the connection was closed without an answer")]
    ProducerClosed,
    #[error("the connection broke off: {0}")]
    ProducerBroke(io::Error),
    #[error("the answer is not valid HTTP: {0}")]
    AnswerHead(HeadError),
    #[error("the answer broke off: {0}")]
    AnswerBody(String),
}

/// The clocks of a call, kept by the consumer's connection so that a call allocates no timer.
pub(crate) struct Clocks {
    /// What is left of the producer's time.
    pub producer: ProducerClock,
    /// How long the consumer has done nothing.
    pub consumer: IdleClock,
}

/// An exchange under way.
pub(crate) struct Exchange<'a> {
    pub consumer: &'a mut Conn,
    pub producer: &'a mut Conn,
    /// The request body, towards the producer.
    pub request: &'a mut Pump,
    clocks: &'a mut Clocks,
    limits: &'a Limits,
    request_failed: Option<io::Error>,
    interim: u8,
}

impl<'a> Exchange<'a> {
    /// Starts an exchange: what stands in the producer's output buffer is the head and first part of the request.
    pub(crate) fn new(
        consumer: &'a mut Conn,
        producer: &'a mut Conn,
        request: &'a mut Pump,
        clocks: &'a mut Clocks,
        limits: &'a Limits,
    ) -> Self {
        Self { consumer, producer, request, clocks, limits, request_failed: None, interim: 0 }
    }

    /// Whether the whole request has left for the producer.
    pub(crate) fn request_sent(&self) -> bool {
        self.request.is_finished() && self.request_failed.is_none()
    }

    /// Sends the request until the head of the answer has come.
    pub(crate) async fn answer_head(&mut self) -> Result<ResponseHead, ExchangeError> {
        poll_fn(|cx| {
            let waiting = match self.poll_request(cx) {
                Poll::Ready(Err(e)) => return Poll::Ready(Err(e)),
                Poll::Ready(Ok(())) => Waiting::OnSink,
                Poll::Pending => self.request.waiting(),
            };
            if let Poll::Ready(head) = self.poll_answer_head(cx) {
                return Poll::Ready(head);
            }
            self.poll_clocks(cx, waiting == Waiting::OnSource, self.request.moved())
        })
        .await
    }

    /// Reads more of the answer's body into `prefix`. Returns whether more may follow.
    pub(crate) async fn answer_prefix(
        &mut self,
        answer: &mut Pump,
        prefix: &mut BytesMut,
    ) -> Result<bool, ExchangeError> {
        poll_fn(|cx| {
            if let Poll::Ready(Err(e)) = self.poll_request(cx) {
                return Poll::Ready(Err(e));
            }
            match answer.poll_into(cx, self.producer, prefix) {
                Poll::Ready(result) => Poll::Ready(result.map_err(answer_error)),
                Poll::Pending => self.poll_clocks(cx, false, 0),
            }
        })
        .await
    }

    /// Relays the answer's body until the producer has done its part; its head and first part stand in the consumer's
    /// output buffer, where its last part stands afterwards.
    pub(crate) async fn relay_answer(&mut self, answer: &mut Pump) -> Result<(), ExchangeError> {
        poll_fn(|cx| {
            // Once the answer flows, a request that cannot be sent on no longer matters.
            if let Poll::Ready(Err(e)) = self.poll_request(cx)
                && matches!(e, ExchangeError::ConsumerGone)
            {
                return Poll::Ready(Err(e));
            }
            match answer.poll_take(cx, self.producer, self.consumer) {
                Poll::Ready(Ok(())) => Poll::Ready(Ok(())),
                Poll::Ready(Err(e)) => Poll::Ready(Err(answer_error(e))),
                Poll::Pending => self.poll_clocks(cx, answer.waiting() == Waiting::OnSink, answer.moved()),
            }
        })
        .await
    }

    /// Moves the request on; once it is sent, watches whether the consumer is still there.
    fn poll_request(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ExchangeError>> {
        if self.request_failed.is_none() && !self.request.is_finished() {
            match self.request.poll(cx, self.consumer, self.producer) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) => {}
                // The producer may have answered before it stopped reading: keep its error until that is known.
                Poll::Ready(Err(PumpError::Sink(e))) => self.request_failed = Some(e),
                Poll::Ready(Err(e)) => return Poll::Ready(Err(request_error(e))),
            }
        }
        while self.consumer.input.len() < MAX_READ_AHEAD {
            match self.consumer.poll_fill(cx) {
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Err(ExchangeError::ConsumerGone)),
                Poll::Ready(Ok(_)) => {}
                Poll::Pending => break,
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_answer_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<ResponseHead, ExchangeError>> {
        loop {
            match parse_response(&mut self.producer.input, self.limits.head_bytes, self.limits.header_count) {
                Err(e) => return Poll::Ready(Err(ExchangeError::AnswerHead(e))),
                Ok(Some(head)) if head.is_interim() => {
                    self.interim += 1;
                    if self.interim > MAX_INTERIM {
                        let endless = HeadError::Malformed("more interim answers than a real one needs");
                        return Poll::Ready(Err(ExchangeError::AnswerHead(endless)));
                    }
                    continue;
                }
                Ok(Some(head)) => return Poll::Ready(Ok(head)),
                Ok(None) => {}
            }
            match self.producer.poll_fill(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(0)) => {
                    let why =
                        self.request_failed.take().map_or(ExchangeError::ProducerClosed, ExchangeError::ProducerBroke);
                    return Poll::Ready(Err(why));
                }
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(e)) => return Poll::Ready(Err(ExchangeError::ProducerBroke(e))),
            }
        }
    }

    /// Lets the clock of whoever is waited for run, and stops the other.
    fn poll_clocks<T>(
        &mut self,
        cx: &mut Context<'_>,
        consumers_turn: bool,
        moved: u64,
    ) -> Poll<Result<T, ExchangeError>> {
        if consumers_turn {
            self.clocks.producer.pause();
            return self.clocks.consumer.poll(cx, moved).map(|()| Err(ExchangeError::ConsumerStalled));
        }
        self.clocks.consumer.stop();
        self.clocks.producer.poll(cx).map(|()| Err(ExchangeError::ProducerTimedOut))
    }
}

/// What an error of the request's pump means; the producer's side of it is judged elsewhere.
pub(crate) fn request_error(error: PumpError) -> ExchangeError {
    match error {
        PumpError::Source(_) | PumpError::Body(BodyError::Truncated) => ExchangeError::ConsumerGone,
        PumpError::Sink(e) => ExchangeError::ProducerBroke(e),
        PumpError::Body(e) => ExchangeError::RequestMalformed(e.to_string()),
        PumpError::Encoding(e) => ExchangeError::RequestMalformed(e.to_string()),
        PumpError::TooLarge => ExchangeError::RequestTooLarge,
    }
}

fn answer_error(error: PumpError) -> ExchangeError {
    match error {
        PumpError::Sink(_) => ExchangeError::ConsumerGone,
        PumpError::Source(e) => ExchangeError::ProducerBroke(e),
        PumpError::Body(e) => ExchangeError::AnswerBody(e.to_string()),
        PumpError::Encoding(e) => ExchangeError::AnswerBody(e.to_string()),
        PumpError::TooLarge => ExchangeError::AnswerBody("it is larger than allowed".to_owned()),
    }
}
