//! Reading a request only as far as the first child of its Body: transfer coding, character encoding and MIME packaging
//! are taken off as the bytes come, the scanner looks at what is left, and everything read so far is kept, because all of
//! it is forwarded.

use super::failure::Failure;
use crate::exchange::{Clocks, Pump, Recode, request_error};
use crate::http1::{Conn, RequestHead};
use bytes::BytesMut;
use rivmesh_rivta::encoding::{self, Encoding};
use rivmesh_rivta::multipart::{RootFinder, RootStep};
use rivmesh_rivta::transcoder::Transcoder;
use rivmesh_rivta::{Envelope, Fault, Scanner, Step};
use std::future::poll_fn;
use std::task::Poll;

/// A request whose envelope has been understood and whose rest has not been read.
pub(super) struct Message {
    /// Content read so far, as UTF-8 where it was something else.
    pub prefix: BytesMut,
    /// Where the SOAP envelope starts in `prefix`: after the MIME head of a multipart message.
    pub root: usize,
    pub envelope: Envelope,
    /// What the consumer wrote in; the answer goes back in the same.
    pub encoding: Encoding,
    /// Whether the message is a MIME package, whose Content-Type is forwarded unchanged.
    pub multipart: bool,
}

/// Reads until the envelope is understood, or more than `peek_limit` bytes have come without that.
pub(super) async fn read(
    conn: &mut Conn,
    head: &RequestHead,
    body: &mut Pump,
    clocks: &mut Clocks,
    peek_limit: usize,
) -> Result<Message, Failure> {
    if let Some(coding) = head.fields.first("content-encoding")
        && !coding.trim_ascii().eq_ignore_ascii_case(b"identity")
    {
        return Err(unreadable("the request is compressed: send it without Content-Encoding"));
    }
    if body.exceeds_limit() {
        return Err(Failure::too_large());
    }
    let content_type = head.fields.first("content-type");
    let mut package = match content_type {
        Some(value) => RootFinder::for_content_type(value).map_err(unreadable)?,
        None => None,
    };
    let multipart = package.is_some();
    if head.expects_continue && conn.input.is_empty() {
        conn.output.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
    }

    let mut prefix = BytesMut::new();
    let mut detected = None;
    let mut scanner = Scanner::new();
    loop {
        let more = fill(conn, body, clocks, &mut prefix).await?;
        let encoding = match detected {
            Some(encoding) => encoding,
            None => match encoding::detect(content_type, &prefix, !more) {
                None => continue,
                Some(encoding) => {
                    if !encoding.is_utf8() {
                        to_utf8(&mut prefix, body, encoding, more)?;
                    }
                    *detected.insert(encoding)
                }
            },
        };
        let root = match &mut package {
            None => Some((0..prefix.len(), !more)),
            Some(finder) => match finder.advance(&prefix, !more).map_err(unreadable)? {
                RootStep::NeedMore => None,
                RootStep::Found { body, complete } => Some((body, complete)),
            },
        };
        if let Some((root, ended)) = root {
            let seen = root.end.min(root.start + peek_limit);
            let step = scanner.advance(&prefix[root.start..seen], ended && seen == root.end).map_err(unreadable)?;
            if let Step::Found(envelope) = step {
                return Ok(Message { prefix, root: root.start, envelope, encoding, multipart });
            }
        }
        if prefix.len() > peek_limit {
            return Err(unreadable("the SOAP Header is larger than this platform reads"));
        }
        if !more {
            return Err(unreadable("the message ends before its Body begins"));
        }
    }
}

/// Converts what has been read so far, and makes sure that the rest is converted too.
fn to_utf8(prefix: &mut BytesMut, body: &mut Pump, encoding: Encoding, more: bool) -> Result<(), Failure> {
    let mut transcoder = Transcoder::new(encoding, Encoding::UTF_8);
    let mut converted = Vec::with_capacity(prefix.len());
    transcoder.push(prefix, !more, &mut converted).map_err(unreadable)?;
    *prefix = BytesMut::from(converted.as_slice());
    if more {
        body.convert(Recode::Converted(Box::new(transcoder)));
    }
    Ok(())
}

/// Takes more of the request's content. Returns whether even more may follow.
async fn fill(conn: &mut Conn, body: &mut Pump, clocks: &mut Clocks, prefix: &mut BytesMut) -> Result<bool, Failure> {
    poll_fn(|cx| {
        // An interim answer that cannot be sent shows again when the body does not come.
        if let Poll::Ready(Err(_)) = conn.poll_drain(cx) {
            return Poll::Ready(Err(Failure::ConsumerGone));
        }
        match body.poll_into(cx, conn, prefix) {
            Poll::Ready(result) => {
                clocks.consumer.stop();
                Poll::Ready(result.map_err(|e| Failure::before_answer(&request_error(e), "")))
            }
            Poll::Pending => clocks.consumer.poll(cx, body.moved()).map(|()| Err(Failure::stalled())),
        }
    })
    .await
}

fn unreadable(reason: impl std::fmt::Display) -> Failure {
    Failure::fault(Fault::unreadable(reason), "envelope")
}
