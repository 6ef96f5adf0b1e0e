//! The peek: reads the head of a SOAP message as it arrives, up to the first element in its Body and no further.
//!
//! Routing needs three things: the logical address, the profile that follows from where it stands, and the contract,
//! which is the namespace of that first element (TP 10, rules for VP003 and VP015). SOAP 1.1 is what the profiles demand;
//! a SOAP 1.2 envelope is read the same way, because callers that send one have always been routed.

use crate::profile::Profile;
use crate::xml::{Known, Place as TextPlace, Span, Token, Tokenizer, XmlError, decode_into};
use thiserror::Error;

/// The logical address of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The text as it stands, white space and all, with CDATA and character references read; never blank.
    pub text: String,
    /// White space stands before or after it. The caller must see that: it is VP004, never trimmed away.
    pub has_outer_whitespace: bool,
}

/// What the head of a message tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// `None` if missing or blank: VP003.
    pub address: Option<Address>,
    /// The profile of the element that decides the address, also if it is blank; `None` without such an element.
    pub profile: Option<Profile>,
    /// Namespace of the Body's first child element; `Some("")` if it has none, `None` if there is no such element.
    pub contract: Option<String>,
    /// Where the address stands, for the rewrite.
    pub(crate) element: Option<AddressElement>,
}

/// Where the deciding address element stands in the prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AddressElement {
    pub(crate) start_tag: Span,
    /// `None` if the element is written as one empty tag.
    pub(crate) end_tag: Option<Span>,
    /// An address element of the other profile stands beside it.
    pub(crate) beside_other: bool,
}

/// What [`Scanner::advance`] knows so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The bytes so far are fine, but do not tell yet.
    NeedMore,
    /// All that routing needs. The rest of the message has not been looked at.
    Found(Envelope),
}

/// Why a request cannot be read: VP015.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum EnvelopeError {
    /// Not XML that the platform reads.
    #[error(transparent)]
    Xml(#[from] XmlError),
    /// Two address elements of the same profile, whichever came first would be a guess.
    #[error("the SOAP header holds more than one {0} element: send one")]
    SecondAddress(&'static str),
    /// Two Headers; a producer might read another than the platform does.
    #[error("the SOAP envelope holds more than one Header: send one")]
    SecondHeader,
    /// The address holds an element.
    #[error("the {0} element holds other elements: it must hold the logical address as text only")]
    ElementInAddress(&'static str),
}

/// Reads the head of one message.
///
/// Feed it the *whole* prefix received so far, again and again as it grows; it goes on where it stopped. However the
/// bytes are cut, the answer is the same. Memory is bounded by [`crate::limits`]; bound the prefix yourself.
#[derive(Debug)]
pub struct Scanner {
    tokens: Tokenizer,
    place: Place,
    /// The namespace of the envelope, if it is one.
    soap: Known,
    header_seen: bool,
    to: Option<Candidate>,
    logical_address: Option<Candidate>,
    answer: Option<Envelope>,
}

/// Where in the envelope the reader stands; what is nested deeper, or is not SOAP, does not change it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Document,
    NotSoap,
    Envelope,
    Header,
    Address(Profile),
    Body,
}

/// An address element.
#[derive(Debug)]
struct Candidate {
    start_tag: Span,
    end_tag: Option<Span>,
    text: String,
}

impl Default for Scanner {
    fn default() -> Self {
        Self::new()
    }
}

impl Scanner {
    /// At the beginning of a message.
    pub fn new() -> Self {
        Self {
            tokens: Tokenizer::new(),
            place: Place::Document,
            soap: Known::None,
            header_seen: false,
            to: None,
            logical_address: None,
            answer: None,
        }
    }

    /// Reads on in `prefix`, all bytes of the message (in UTF-8) received so far. `end`: there are no more.
    ///
    /// With `end` the answer is never [`Step::NeedMore`]. After [`Step::Found`] it stays the same; an error is final.
    ///
    /// # Errors
    /// [`EnvelopeError`] if the message is malformed before the Body's first child, ends there, or has two addresses.
    pub fn advance(&mut self, prefix: &[u8], end: bool) -> Result<Step, EnvelopeError> {
        if let Some(answer) = &self.answer {
            return Ok(Step::Found(answer.clone()));
        }
        while let Some(token) = self.tokens.next(prefix, end)? {
            let found = match token {
                Token::Start => self.start(prefix)?,
                Token::End => self.end(),
                Token::Text | Token::CData => {
                    self.text(prefix, token);
                    None
                }
            };
            if let Some(Contract(contract)) = found {
                let envelope = self.envelope(contract);
                self.answer = Some(envelope.clone());
                return Ok(Step::Found(envelope));
            }
        }
        Ok(Step::NeedMore)
    }

    fn start(&mut self, prefix: &[u8]) -> Result<Option<Contract>, EnvelopeError> {
        let tag = self.tokens.tag();
        let (known, empty) = (tag.namespace.known, tag.empty);
        let level = self.tokens.depth() + usize::from(empty);
        let local = tag.local.of(prefix);
        let entered = match (self.place, level) {
            (Place::Document, 1) => {
                let is_envelope = local == b"Envelope" && matches!(known, Known::Soap11 | Known::Soap12);
                self.soap = known;
                if empty {
                    return Ok(Some(Contract(None)));
                }
                if is_envelope { Place::Envelope } else { Place::NotSoap }
            }
            (Place::Envelope, 2) if known == self.soap && local == b"Header" => {
                if std::mem::replace(&mut self.header_seen, true) {
                    return Err(EnvelopeError::SecondHeader);
                }
                Place::Header
            }
            (Place::Envelope, 2) if known == self.soap && local == b"Body" => {
                if empty {
                    return Ok(Some(Contract(None)));
                }
                Place::Body
            }
            (Place::Header, 3) => match address_profile(known, local) {
                Some(profile) => self.address(profile)?,
                None => return Ok(None),
            },
            (Place::Address(profile), _) => return Err(EnvelopeError::ElementInAddress(profile.address_element())),
            (Place::Body, _) => return Ok(Some(Contract(Some(tag.namespace.uri(prefix))))),
            _ => return Ok(None),
        };
        if !empty {
            self.place = entered;
        }
        Ok(None)
    }

    fn address(&mut self, profile: Profile) -> Result<Place, EnvelopeError> {
        let start_tag = self.tokens.span();
        let slot = self.candidate(profile);
        if slot.is_some() {
            return Err(EnvelopeError::SecondAddress(profile.address_element()));
        }
        *slot = Some(Candidate { start_tag, end_tag: None, text: String::new() });
        Ok(Place::Address(profile))
    }

    fn end(&mut self) -> Option<Contract> {
        match (self.place, self.tokens.depth()) {
            (Place::Address(profile), _) => {
                let span = self.tokens.span();
                if let Some(candidate) = self.candidate(profile) {
                    candidate.end_tag = Some(span);
                }
                self.place = Place::Header;
            }
            (Place::Header, 1) => self.place = Place::Envelope,
            (Place::Body, 1) | (_, 0) => return Some(Contract(None)),
            _ => {}
        }
        None
    }

    fn text(&mut self, prefix: &[u8], token: Token) {
        let Place::Address(profile) = self.place else { return };
        let place = if token == Token::CData { TextPlace::CData } else { TextPlace::Content };
        let span = self.tokens.span();
        if let Some(candidate) = self.candidate(profile) {
            decode_into(&mut candidate.text, span.of(prefix), place);
        }
    }

    const fn candidate(&mut self, profile: Profile) -> &mut Option<Candidate> {
        match profile {
            Profile::BasicProfile20 => &mut self.to,
            Profile::BasicProfile21 => &mut self.logical_address,
        }
    }

    /// `LogicalAddress` decides wherever it stands, even if it is blank.
    fn envelope(&mut self, contract: Option<String>) -> Envelope {
        let beside_other = self.to.is_some() && self.logical_address.is_some();
        let deciding = match (self.logical_address.take(), self.to.take()) {
            (Some(candidate), _) => Some((Profile::BasicProfile21, candidate)),
            (None, Some(candidate)) => Some((Profile::BasicProfile20, candidate)),
            (None, None) => None,
        };
        let Some((profile, Candidate { start_tag, end_tag, text })) = deciding else {
            return Envelope { address: None, profile: None, contract, element: None };
        };
        let trimmed = text.trim();
        let has_outer_whitespace = trimmed.len() < text.len();
        Envelope {
            address: (!trimmed.is_empty()).then_some(Address { text, has_outer_whitespace }),
            profile: Some(profile),
            contract,
            element: Some(AddressElement { start_tag, end_tag, beside_other }),
        }
    }
}

/// The contract has been read, or it is certain that there is none: the peek ends.
struct Contract(Option<String>);

/// The profile whose address element this is. The second registry namespace is that of older registry contracts.
fn address_profile(namespace: Known, local: &[u8]) -> Option<Profile> {
    match (namespace, local) {
        (Known::Registry1 | Known::Registry2, b"LogicalAddress") => Some(Profile::BasicProfile21),
        (Known::Addressing, b"To") => Some(Profile::BasicProfile20),
        _ => None,
    }
}
