//! What several tests need: messages, a way to read them in pieces, and certificates made by hand.
#![allow(dead_code, reason = "each test file uses its own part")]

pub(crate) mod der;

use rivmesh_rivta::{Envelope, EnvelopeError, Scanner, Step};

pub(crate) const SOAP11: &str = "http://schemas.xmlsoap.org/soap/envelope/";
pub(crate) const REGISTRY: &str = "urn:riv:itintegration:registry:1";
pub(crate) const ADDRESSING: &str = "http://www.w3.org/2005/08/addressing";
pub(crate) const CONTRACT: &str = "urn:riv:test:GetThingResponder:1";

/// An envelope with this Header content and a Body with one element of [`CONTRACT`].
pub(crate) fn envelope(header: &str) -> String {
    format!(
        "<e:Envelope xmlns:e=\"{SOAP11}\" xmlns:r=\"{REGISTRY}\" xmlns:a=\"{ADDRESSING}\"><e:Header>{header}</e:Header>\
         <e:Body><GetThing xmlns=\"{CONTRACT}\"><id>1</id></GetThing></e:Body></e:Envelope>"
    )
}

/// Reads a complete message at once.
pub(crate) fn peek(message: &[u8]) -> Result<Envelope, EnvelopeError> {
    match Scanner::new().advance(message, true)? {
        Step::Found(envelope) => Ok(envelope),
        Step::NeedMore => panic!("a complete message must have an answer"),
    }
}

/// Reads a message that arrives `step` bytes at a time.
pub(crate) fn peek_in_pieces(message: &[u8], step: usize) -> Result<Envelope, EnvelopeError> {
    let mut scanner = Scanner::new();
    for end in (0..message.len()).step_by(step) {
        if let Step::Found(envelope) = scanner.advance(&message[..end], false)? {
            return Ok(envelope);
        }
    }
    match scanner.advance(message, true)? {
        Step::Found(envelope) => Ok(envelope),
        Step::NeedMore => panic!("a complete message must have an answer"),
    }
}

/// The address text, if there is one.
pub(crate) fn address(envelope: &Envelope) -> Option<&str> {
    envelope.address.as_ref().map(|address| address.text.as_str())
}
