//! The platform's own SOAP faults: what they carry (TP 12, VP 8) and how they look on the wire.
//!
//! Tools parse these: the code comes first in `faultstring`, the platform that made the fault follows in brackets, and
//! `detailString` names contract, address and caller in a fixed order. A detail tells a caller what it sent and what went
//! wrong, and nothing that helps a stranger.

use crate::limits::{MAX_FAULT_DETAIL, MAX_FAULT_URL, MAX_FAULT_VALUE};
use crate::texts::Texts;
use crate::vp_code::VpCode;
use std::fmt::{Display, Write};

/// The `Content-Type` of a fault.
pub const CONTENT_TYPE: &str = "text/xml; charset=UTF-8";

/// A SOAP fault of the platform's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The code.
    pub code: VpCode,
    /// What the code's detail text is about; see [`Texts::detail`]. Fit for a log.
    pub detail: String,
}

impl Fault {
    /// VP001: the contract does not offer the request's profile, or the request has none that is known.
    pub fn profile_not_offered(contract: Option<&str>, address: &str, profile: &str) -> Self {
        Self::about(VpCode::Vp001, contract, address, None).and("profile", profile)
    }

    /// VP002. `reason` is an [`crate::IdentityError`] or a [`crate::CertHeaderError`].
    pub fn identity(reason: impl Display) -> Self {
        Self::because(VpCode::Vp002, reason)
    }

    /// VP003.
    pub const fn no_address() -> Self {
        Self { code: VpCode::Vp003, detail: String::new() }
    }

    /// VP004, with a hint if there is white space in the address: a caller cannot see that in a log of its own.
    pub fn no_route(contract: Option<&str>, address: &str) -> Self {
        let mut fault = Self::about(VpCode::Vp004, contract, address, None);
        if address.contains(char::is_whitespace) {
            fault.detail.push_str(". White space was found in the logical address: remove it, also before and after.");
        }
        fault
    }

    /// VP005. `profile` is the request's.
    pub fn profile_unreachable(contract: Option<&str>, address: &str, profile: &str) -> Self {
        Self::about(VpCode::Vp005, contract, address, None).and("profile", profile)
    }

    /// VP006.
    pub fn several_routes(contract: Option<&str>, address: &str) -> Self {
        Self::about(VpCode::Vp006, contract, address, None)
    }

    /// VP007.
    pub fn not_authorized(contract: Option<&str>, address: &str, consumer: &str) -> Self {
        Self::about(VpCode::Vp007, contract, address, Some(consumer))
    }

    /// VP007 for a consumer that is blocked altogether, before its message is read.
    pub fn blocked(consumer: &str) -> Self {
        Self { code: VpCode::Vp007, detail: String::new() }.and("senderId", consumer)
    }

    /// VP008.
    pub const fn no_table() -> Self {
        Self { code: VpCode::Vp008, detail: String::new() }
    }

    /// VP009. `status` is what the producer answered, if it did; it ends the detail as a token that tools look for.
    pub fn producer(url: &str, cause: impl Display, status: Option<u16>) -> Self {
        let mut detail = clipped(url, MAX_FAULT_URL);
        // Writing to a String cannot fail.
        let _ = write!(detail, " ({})", clipped(&cause.to_string(), MAX_FAULT_VALUE));
        if let Some(status) = status {
            let _ = write!(detail, "\nVP_PRODUCER_EXCEPTION_HTTP_STATUS={status}");
        }
        Self { code: VpCode::Vp009, detail }
    }

    /// VP010.
    pub fn no_usable_url(contract: Option<&str>, address: &str) -> Self {
        Self::about(VpCode::Vp010, contract, address, None)
    }

    /// VP011. `peer` is the network address or identity that is not allowed.
    pub fn peer_not_allowed(peer: impl Display) -> Self {
        Self::because(VpCode::Vp011, peer)
    }

    /// VP012. `reason` is a [`crate::RewriteError`], or says what the platform is short of.
    pub fn platform(reason: impl Display) -> Self {
        Self::because(VpCode::Vp012, reason)
    }

    /// VP013. `reason` is an [`crate::Untrusted`].
    pub fn original_consumer(reason: impl Display) -> Self {
        Self::because(VpCode::Vp013, reason)
    }

    /// VP014.
    pub const fn routing_loop() -> Self {
        Self { code: VpCode::Vp014, detail: String::new() }
    }

    /// VP015. `reason` is the error of the peek, the multipart reader or the transcoder, or a sentence.
    pub fn unreadable(reason: impl Display) -> Self {
        Self::because(VpCode::Vp015, reason)
    }

    /// VP016.
    pub fn denied_by_producer(contract: Option<&str>, address: &str, consumer: &str) -> Self {
        Self::about(VpCode::Vp016, contract, address, Some(consumer))
    }

    fn because(code: VpCode, reason: impl Display) -> Self {
        Self { code, detail: clipped(&reason.to_string(), MAX_FAULT_VALUE) }
    }

    fn about(code: VpCode, contract: Option<&str>, address: &str, consumer: Option<&str>) -> Self {
        let mut fault = Self { code, detail: String::new() };
        // An envelope without a contract has always been told as "null".
        fault = fault.and("serviceNamespace", contract.unwrap_or("null")).and("receiverId", address);
        match consumer {
            Some(consumer) => fault.and("senderId", consumer),
            None => fault,
        }
    }

    fn and(mut self, name: &str, value: &str) -> Self {
        let separator = if self.detail.is_empty() { "" } else { ", " };
        // Writing to a String cannot fail.
        let _ = write!(self.detail, "{separator}{name}: {}", clipped(value, MAX_FAULT_VALUE));
        self
    }

    /// The fault as the body of an answer; send it with [`CONTENT_TYPE`] and, but for the limits of HTTP, status 500.
    pub fn to_soap(&self, texts: &Texts, platform_name: &str) -> Vec<u8> {
        let mut body = String::with_capacity(1024);
        body.push_str(concat!(
            r#"<SOAP-ENV:Envelope xmlns:SOAP-ENV="http://schemas.xmlsoap.org/soap/envelope/">"#,
            "<SOAP-ENV:Header/><SOAP-ENV:Body><SOAP-ENV:Fault><faultcode>SOAP-ENV:",
        ));
        body.push_str(self.code.fault_side().as_str());
        body.push_str("</faultcode><faultstring>");
        body.push_str(self.code.as_str());
        body.push_str(" [");
        push_escaped(&mut body, platform_name, MAX_FAULT_VALUE);
        body.push_str("] ");
        push_escaped(&mut body, texts.user(self.code), MAX_FAULT_DETAIL);
        body.push_str("</faultstring><detail><detailString>");
        push_escaped(&mut body, &texts.detail(self.code, &self.detail), MAX_FAULT_DETAIL);
        body.push_str("</detailString></detail></SOAP-ENV:Fault></SOAP-ENV:Body></SOAP-ENV:Envelope>");
        body.into_bytes()
    }
}

/// At most `limit` characters, none of them a control character.
fn clipped(text: &str, limit: usize) -> String {
    let mut clipped: String = text.chars().take(limit).map(harmless).collect();
    if text.chars().nth(limit).is_some() {
        clipped.push('…');
    }
    clipped
}

/// Control characters cannot stand in XML, and would do harm in terminals that show a log.
fn harmless(c: char) -> char {
    let allowed = !c.is_control() && !matches!(c, '\u{fffe}' | '\u{ffff}');
    if allowed { c } else { char::REPLACEMENT_CHARACTER }
}

/// Appends at most `limit` characters as XML text. Line feeds stay: one stands before the token of VP009.
fn push_escaped(out: &mut String, text: &str, limit: usize) {
    for c in text.chars().take(limit) {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '\n' | '\t' => out.push(c),
            other => out.push(harmless(other)),
        }
    }
}
