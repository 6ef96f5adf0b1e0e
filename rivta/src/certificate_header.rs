//! The client certificate in a header, for ingresses that must terminate TLS.
//!
//! Ingresses write it in three ways: PEM folded into one line, bare base64 of the DER (several with commas between), and
//! either of them URL-encoded. Nothing here says that a certificate is to be believed: the dataplane validates the chain.

use crate::limits::{MAX_CERTIFICATE_HEADER, MAX_HEADER_CERTIFICATES};
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use percent_encoding::percent_decode;
use std::borrow::Cow;
use thiserror::Error;
use x509_parser::prelude::{FromDer, X509Certificate};

/// Why a certificate header cannot be used: VP002.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CertHeaderError {
    /// Nothing in it.
    #[error("the certificate header is empty")]
    Empty,
    /// More than any chain needs.
    #[error("the certificate header is too large: at most {MAX_HEADER_CERTIFICATES} certificates")]
    TooLarge,
    /// Not one of the known forms.
    #[error("the certificate header has an unknown form: send PEM or the base64 of DER, URL-encoded if need be")]
    UnknownForm,
    /// The form is known, but what is in it is no certificate.
    #[error("the certificate header could not be parsed as a certificate")]
    NotACertificate,
}

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The certificates of a header value as DER, in their order: the client's own comes first.
///
/// # Errors
/// [`CertHeaderError`] as its variants say; also if there is anything besides certificates.
pub fn parse_certificate_header(value: &[u8]) -> Result<Vec<Vec<u8>>, CertHeaderError> {
    if value.len() > MAX_CERTIFICATE_HEADER {
        return Err(CertHeaderError::TooLarge);
    }
    // A plus sign is base64 here, never a space: those who URL-encode either escape it or mean it.
    let decoded: Cow<'_, [u8]> = percent_decode(value).into();
    let text = std::str::from_utf8(&decoded).map_err(|_| CertHeaderError::UnknownForm)?.trim();
    if text.is_empty() {
        return Err(CertHeaderError::Empty);
    }
    let bodies = if text.starts_with(BEGIN) { pem_bodies(text)? } else { text.split(',').collect() };
    if bodies.len() > MAX_HEADER_CERTIFICATES {
        return Err(CertHeaderError::TooLarge);
    }
    let is_pem = text.starts_with(BEGIN);
    bodies.into_iter().map(|body| certificate(body, is_pem)).collect()
}

/// What stands between the markers; only white space or a comma may stand between two certificates.
fn pem_bodies(text: &str) -> Result<Vec<&str>, CertHeaderError> {
    let mut bodies = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let inside = rest.strip_prefix(BEGIN).ok_or(CertHeaderError::UnknownForm)?;
        let (body, after) = inside.split_once(END).ok_or(CertHeaderError::UnknownForm)?;
        bodies.push(body);
        rest = after.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == ',');
    }
    Ok(bodies)
}

fn certificate(body: &str, is_pem: bool) -> Result<Vec<u8>, CertHeaderError> {
    let compact: String = body.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    // Text that is not base64 at all says that the ingress is set to another form; damage inside PEM does not.
    let not_base64 = if is_pem { CertHeaderError::NotACertificate } else { CertHeaderError::UnknownForm };
    let der = BASE64.decode(compact).map_err(|_| not_base64)?;
    match X509Certificate::from_der(&der) {
        Ok(([], _)) => Ok(der),
        _ => Err(CertHeaderError::NotACertificate),
    }
}
