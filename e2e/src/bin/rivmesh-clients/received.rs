//! What a client cannot see: that the producer got what the client sent, and what it must get by the rules.

use anyhow::{Context, Result, ensure};
use rivmesh_e2e::producer::Received;

/// The pattern of which attachments are made, as in the clients and in `answers.yaml`.
const PATTERN: &[u8] = b"\x00\xff\x80\r\n--not the boundary\r\n\x01";
const TIMES: usize = 40_000;

/// One look at what a producer received after a call.
pub(crate) struct Check {
    /// The call that it belongs to.
    pub(crate) call: &'static str,
    pub(crate) producer: &'static str,
    pub(crate) what: &'static str,
    pub(crate) judge: fn(&[Received]) -> Result<()>,
}

/// All of them.
pub(crate) const CHECKS: [Check; 3] = [
    Check {
        call: "ordinary-call",
        producer: "greeting",
        what: "the producer learns who called",
        judge: consumer_is_named,
    },
    Check {
        call: "mtom",
        producer: "mtom",
        what: "the producer gets the attachment if one was sent",
        judge: attachment_is_whole,
    },
    Check {
        call: "official-ping",
        producer: "ping",
        what: "the producer of Basic Profile 2.1 gets a LogicalAddress",
        judge: address_is_rewritten,
    },
];

fn only(received: &[Received]) -> Result<&Received> {
    let first = received.first().context("the producer received nothing")?;
    ensure!(received.len() == 1, "the producer received {} requests for one call", received.len());
    Ok(first)
}

fn consumer_is_named(received: &[Received]) -> Result<()> {
    let request = only(received)?;
    let consumer = request.head.value("x-rivta-original-serviceconsumer-hsaid");
    ensure!(consumer == Some("SE5565594230-B9P"), "x-rivta-original-serviceconsumer-hsaid is {consumer:?}");
    ensure!(request.with_certificate, "the platform showed no certificate");
    Ok(())
}

/// zeep sends none; CXF's must arrive byte for byte.
fn attachment_is_whole(received: &[Received]) -> Result<()> {
    let request = only(received)?;
    let content_type = request.head.value("content-type").unwrap_or_default();
    if !content_type.starts_with("multipart/related") {
        return Ok(());
    }
    let attachment = PATTERN.repeat(TIMES);
    let found = request.body.windows(PATTERN.len()).position(|window| window == PATTERN).context("no attachment")?;
    let rest = &request.body[found..];
    ensure!(rest.len() > attachment.len() && rest[..attachment.len()] == attachment, "the attachment was changed");
    ensure!(rest[attachment.len()..].starts_with(b"\r\n--"), "the attachment has no end");
    Ok(())
}

fn address_is_rewritten(received: &[Received]) -> Result<()> {
    let body = String::from_utf8_lossy(&only(received)?.body).into_owned();
    ensure!(
        body.contains("LogicalAddress") && body.contains("urn:riv:itintegration:registry:1"),
        "no LogicalAddress: {body}"
    );
    ensure!(body.contains(">SE2321000131-PING<"), "the address is gone: {body}");
    ensure!(body.contains("hej"), "the payload is gone: {body}");
    Ok(())
}
