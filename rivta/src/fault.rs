//! Faults (API first; layout follows).
use crate::{texts::Texts, vp_code::VpCode};
/// A SOAP fault of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The code.
    pub code: VpCode,
    /// What the detail text speaks of; never personal data.
    pub detail: String,
}
impl Fault {
    /// The body: always HTTP 500 (but 413/429/503 where rules say so), `text/xml; charset=UTF-8`.
    pub fn to_soap(&self, _texts: &Texts, _platform_name: &str) -> Vec<u8> {
        unimplemented!()
    }
    /// VP001.
    pub fn profile_not_offered(_contract: Option<&str>, _address: &str, _profile: &str) -> Self {
        unimplemented!()
    }
    /// VP002; `reason` is the `IdentityError` or `CertHeaderError`.
    pub fn identity(_reason: impl std::fmt::Display) -> Self {
        unimplemented!()
    }
    /// VP003.
    pub fn no_address() -> Self {
        unimplemented!()
    }
    /// VP004, with the hint if there is white space in the address.
    pub fn no_route(_contract: Option<&str>, _address: &str) -> Self {
        unimplemented!()
    }
    /// VP005; `profile` is the request's.
    pub fn profile_unreachable(_contract: Option<&str>, _address: &str, _profile: &str) -> Self {
        unimplemented!()
    }
    /// VP006.
    pub fn several_routes(_contract: Option<&str>, _address: &str) -> Self {
        unimplemented!()
    }
    /// VP007.
    pub fn not_authorized(_contract: Option<&str>, _address: &str, _consumer: &str) -> Self {
        unimplemented!()
    }
    /// VP007 for a blocked consumer, before the envelope is read.
    pub fn blocked(_consumer: &str) -> Self {
        unimplemented!()
    }
    /// VP008.
    pub fn no_table() -> Self {
        unimplemented!()
    }
    /// VP009; `status` if the producer answered with one.
    pub fn producer(_url: &str, _cause: impl std::fmt::Display, _status: Option<u16>) -> Self {
        unimplemented!()
    }
    /// VP010.
    pub fn no_usable_url(_contract: Option<&str>, _address: &str) -> Self {
        unimplemented!()
    }
    /// VP011; `peer` is the address or identity that is not allowed.
    pub fn peer_not_allowed(_peer: impl std::fmt::Display) -> Self {
        unimplemented!()
    }
    /// VP012.
    pub fn platform(_reason: impl std::fmt::Display) -> Self {
        unimplemented!()
    }
    /// VP013; `reason` is the `Untrusted`.
    pub fn original_consumer(_reason: impl std::fmt::Display) -> Self {
        unimplemented!()
    }
    /// VP014.
    pub fn routing_loop() -> Self {
        unimplemented!()
    }
    /// VP015; `reason` is the `EnvelopeError`, `MultipartError`, `TranscodeError` or a sentence.
    pub fn unreadable(_reason: impl std::fmt::Display) -> Self {
        unimplemented!()
    }
    /// VP016.
    pub fn denied_by_producer(_contract: Option<&str>, _address: &str, _consumer: &str) -> Self {
        unimplemented!()
    }
}
