//! Answers of the platform's own: SOAP faults, sentences below SOAP, and what becomes of a request body that nobody
//! read.

use super::failure::Failure;
use super::heads::{OwnAnswer, write_own_answer};
use super::{After, Call};
use crate::exchange::{Clocks, Pump};
use crate::http1::Conn;
use crate::telemetry::record::{CallRecord, Outcome};
use bytes::BytesMut;
use std::future::poll_fn;
use std::task::Poll;

const TEXT: &str = "text/plain; charset=UTF-8";
const SOAP: &str = "text/xml; charset=UTF-8";
/// Most bytes of an unread request that are read and thrown away to keep the connection.
const MAX_DISCARD: u64 = 64 * 1024;

/// Answers a call that failed, as far as there is somebody to answer.
pub(super) async fn send(
    call: &Call<'_>,
    conn: &mut Conn,
    clocks: &mut Clocks,
    body: &mut Pump,
    failure: Failure,
    record: &mut CallRecord<'_>,
) -> After {
    let (status, content_type, content) = match failure {
        Failure::ConsumerGone => {
            record.outcome = Outcome::ConsumerAborted;
            return After::Cut;
        }
        Failure::BrokeOff { cause, .. } => {
            record.outcome = Outcome::ProducerBrokeOff { cause };
            return After::Cut;
        }
        Failure::Http { status, sentence } => {
            record.outcome = Outcome::HttpRefused;
            (status, TEXT, format!("{sentence}\n").into_bytes())
        }
        Failure::Fault { status, fault, kind, cause, .. } => {
            let settings = call.cx.settings;
            let soap = fault.to_soap(&settings.texts, &settings.platform.name);
            record.outcome = Outcome::Fault { code: fault.code, kind, cause };
            (status, SOAP, soap)
        }
    };
    record.status = status;
    record.bytes_out = content.len() as u64;
    if !call.head.expects_continue || body.moved() > 0 {
        discard(conn, body, clocks).await;
    }
    let close = call.closes(body);
    let own = OwnAnswer {
        status,
        content_type,
        correlation_id: Some(&call.correlation_id),
        close,
        http10: call.head.http10,
        is_head: call.head.method == "HEAD",
    };
    write_own_answer(&mut conn.output, &own, &content);
    let sent = poll_fn(|cx| match conn.poll_drain(cx) {
        Poll::Ready(result) => Poll::Ready(result.is_ok()),
        Poll::Pending => clocks.consumer.poll(cx, 0).map(|()| false),
    });
    match (sent.await, close) {
        (false, _) => After::Cut,
        (true, true) => After::Close,
        (true, false) => After::KeepAlive,
    }
}

/// Writes the answer to a request of which not even the head could be read.
pub(super) fn write_refusal(
    conn: &mut Conn,
    status: u16,
    sentence: impl std::fmt::Display,
    record: &mut CallRecord<'_>,
) {
    let content = format!("{sentence}\n");
    record.outcome = Outcome::HttpRefused;
    record.status = status;
    record.bytes_out = content.len() as u64;
    let own =
        OwnAnswer { status, content_type: TEXT, correlation_id: None, close: true, http10: false, is_head: false };
    write_own_answer(&mut conn.output, &own, content.as_bytes());
}

/// Reads the rest of a short request, so that the connection can carry the next. A long one costs the connection.
async fn discard(conn: &mut Conn, body: &mut Pump, clocks: &mut Clocks) {
    let mut rest = BytesMut::new();
    let limit = body.moved() + MAX_DISCARD;
    while !body.is_taken() && body.moved() < limit && !body.announces_more_than(limit) {
        rest.clear();
        let more = poll_fn(|cx| match body.poll_into(cx, conn, &mut rest) {
            Poll::Ready(result) => Poll::Ready(result.is_ok()),
            Poll::Pending => clocks.consumer.poll(cx, body.moved()).map(|()| false),
        });
        if !more.await {
            return;
        }
    }
}
