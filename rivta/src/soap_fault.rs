//! Tells a producer's SOAP 1.1 Fault from any other body (TP 14): a Fault is relayed, other failures become VP009.
//!
//! Only its faultcode is read, for the log. Its text may hold a personal identity number and is left alone.

use crate::limits::MAX_FAULTCODE;
use crate::xml::{Known, Place as TextPlace, Token, Tokenizer, decode_into};

/// A producer's SOAP 1.1 Fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducerFault {
    /// Its faultcode, such as `soap:Server`: at most [`MAX_FAULTCODE`] characters, those that do not belong in one
    /// replaced by `?`. Empty if there is none.
    pub faultcode: String,
}

/// What [`FaultScanner::advance`] knows so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FaultStep {
    /// The bytes so far do not tell yet.
    NeedMore,
    /// The body is not a SOAP 1.1 Fault.
    NotAFault,
    /// It is one; relay the body unchanged.
    Fault(ProducerFault),
}

/// Reads the head of a producer's answer, in UTF-8. Use it as [`crate::Scanner`]: the whole prefix each time.
#[derive(Debug)]
pub struct FaultScanner {
    tokens: Tokenizer,
    place: Place,
    faultcode: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Document,
    Envelope,
    /// In a child of the envelope other than the Body.
    Header,
    Body,
    Fault,
    Faultcode,
    /// All is known.
    Answered(bool),
}

impl Default for FaultScanner {
    fn default() -> Self {
        Self::new()
    }
}

impl FaultScanner {
    /// At the beginning of an answer.
    pub fn new() -> Self {
        Self { tokens: Tokenizer::new(), place: Place::Document, faultcode: String::new() }
    }

    /// Reads on in `prefix`, all bytes of the answer so far. `end`: there are no more, or no more will be looked at;
    /// then the answer is never [`FaultStep::NeedMore`].
    pub fn advance(&mut self, prefix: &[u8], end: bool) -> FaultStep {
        loop {
            if let Place::Answered(is_fault) = self.place {
                return if is_fault { self.fault() } else { FaultStep::NotAFault };
            }
            self.place = match self.tokens.next(prefix, end) {
                Ok(Some(token)) => self.after(prefix, token),
                Ok(None) => return FaultStep::NeedMore,
                // Whatever is wrong behind the Fault's start tag, the body is the producer's Fault and goes on as it is.
                Err(_) => Place::Answered(matches!(self.place, Place::Fault | Place::Faultcode)),
            };
        }
    }

    fn after(&mut self, prefix: &[u8], token: Token) -> Place {
        match token {
            Token::Start => {
                let tag = self.tokens.tag();
                let soap = tag.namespace.known == Known::Soap11;
                let entered = match (self.place, tag.local.of(prefix)) {
                    (Place::Document, b"Envelope") if soap => Place::Envelope,
                    (Place::Envelope, b"Body") if soap => Place::Body,
                    (Place::Envelope, _) => Place::Header,
                    (Place::Header, _) => Place::Header,
                    (Place::Body, b"Fault") if soap => Place::Fault,
                    (Place::Fault, b"faultcode") => Place::Faultcode,
                    (Place::Fault | Place::Faultcode, _) => return Place::Answered(true),
                    _ => return Place::Answered(false),
                };
                match (tag.empty, entered) {
                    (false, entered) => entered,
                    (true, Place::Header) => self.place,
                    (true, entered) => Place::Answered(matches!(entered, Place::Fault | Place::Faultcode)),
                }
            }
            Token::End => match (self.place, self.tokens.depth()) {
                (Place::Header, 1) => Place::Envelope,
                (Place::Header, _) => Place::Header,
                (place, _) => Place::Answered(matches!(place, Place::Fault | Place::Faultcode)),
            },
            Token::Text | Token::CData => {
                if self.place == Place::Faultcode {
                    let place = if token == Token::CData { TextPlace::CData } else { TextPlace::Content };
                    decode_into(&mut self.faultcode, self.tokens.span().of(prefix), place);
                }
                self.place
            }
        }
    }

    fn fault(&self) -> FaultStep {
        let safe = |c: char| if c.is_ascii_alphanumeric() || matches!(c, ':' | '.' | '-' | '_') { c } else { '?' };
        FaultStep::Fault(ProducerFault {
            faultcode: self.faultcode.trim().chars().take(MAX_FAULTCODE).map(safe).collect(),
        })
    }
}

/// Looks once at a bounded beginning of a producer's answer. `None`: not a SOAP 1.1 Fault.
pub fn find_soap_fault(prefix: &[u8]) -> Option<ProducerFault> {
    match FaultScanner::new().advance(prefix, true) {
        FaultStep::Fault(fault) => Some(fault),
        FaultStep::NeedMore | FaultStep::NotAFault => None,
    }
}
