//! Who calls: the consumer's id from its certificate (TP 3), read from DER.
//!
//! The id is the subject attribute serialNumber (OID 2.5.4.5). It is never looked for in a printed name, where a common
//! name that contains `SERIALNUMBER=...` would pass for it.

use crate::hsa_id::is_acceptable_id;
use crate::limits::{MAX_ID, MAX_NAME_IN_LOG};
use thiserror::Error;
use x509_parser::asn1_rs::{Any, Class, Oid, Tag, oid};
use x509_parser::prelude::{FromDer, X509Certificate, X509Name};

/// Why a certificate tells no usable consumer: VP002.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum IdentityError {
    /// Not an X.509 certificate in DER.
    #[error("the client certificate cannot be read")]
    NotACertificate,
    /// The subject has no serialNumber.
    #[error(
        "the subject of the client certificate has no serialNumber (OID 2.5.4.5): use one that holds the HSA-id there"
    )]
    NoSerialNumber,
    /// The subject has more than one; choosing would be guessing.
    #[error("the subject of the client certificate has more than one serialNumber: use one that holds a single HSA-id")]
    SeveralSerialNumbers,
    /// The value is not text.
    #[error("the serialNumber in the client certificate is not text of a kind that can be read")]
    NotText,
    /// The value is text, but not an id.
    #[error("the serialNumber in the client certificate is not an id of 1-{MAX_ID} letters, digits, '-' and '_'")]
    NotAnId,
}

const SERIAL_NUMBER: Oid<'static> = oid!(2.5.4.5);

/// The consumer's id as it is spelt in the certificate.
///
/// # Errors
/// [`IdentityError`] unless the subject has exactly one serialNumber and it is 1-255 of `[0-9A-Za-z_-]`.
pub fn consumer_id(leaf_der: &[u8]) -> Result<String, IdentityError> {
    let (rest, certificate) = X509Certificate::from_der(leaf_der).map_err(|_| IdentityError::NotACertificate)?;
    if !rest.is_empty() {
        return Err(IdentityError::NotACertificate);
    }
    let mut found = certificate.subject().iter_by_oid(&SERIAL_NUMBER);
    let attribute = found.next().ok_or(IdentityError::NoSerialNumber)?;
    if found.next().is_some() {
        return Err(IdentityError::SeveralSerialNumbers);
    }
    let id = text(attribute.attr_value()).ok_or(IdentityError::NotText)?;
    if is_acceptable_id(&id) { Ok(id) } else { Err(IdentityError::NotAnId) }
}

/// What a log line says of a certificate. Bounded, on one line, without personal identity numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateSummary {
    /// The subject, such as `C=SE, O=Region, serialNumber=SE2321000016-1`.
    pub subject: String,
    /// The issuer in the same form.
    pub issuer: String,
    /// The certificate's serial number in hexadecimal.
    pub serial: String,
    /// Seconds since 1970 UTC.
    pub not_before: i64,
    /// Seconds since 1970 UTC.
    pub not_after: i64,
}

/// Describes a certificate for the log, also one that was refused; `None` if it cannot be read.
pub fn describe(leaf_der: &[u8]) -> Option<CertificateSummary> {
    let (_, certificate) = X509Certificate::from_der(leaf_der).ok()?;
    Some(CertificateSummary {
        subject: printed(certificate.subject()),
        issuer: printed(certificate.issuer()),
        serial: certificate.raw_serial().iter().take(32).map(|byte| format!("{byte:02x}")).collect(),
        not_before: certificate.validity().not_before.timestamp(),
        not_after: certificate.validity().not_after.timestamp(),
    })
}

/// The text of a directory string (RFC 5280 §4.1.2.4) or another string type that certificates use.
fn text(value: &Any<'_>) -> Option<String> {
    if value.class() != Class::Universal || value.header.is_constructed() {
        return None;
    }
    match value.tag() {
        Tag::Utf8String | Tag::PrintableString | Tag::NumericString | Tag::Ia5String | Tag::VisibleString => {
            std::str::from_utf8(value.data).ok().map(str::to_owned)
        }
        // T.61 in name, ISO-8859-1 in practice.
        Tag::TeletexString => Some(value.data.iter().map(|&byte| char::from(byte)).collect()),
        Tag::BmpString => {
            let (pairs, []) = value.data.as_chunks::<2>() else { return None };
            char::decode_utf16(pairs.iter().map(|&pair| u16::from_be_bytes(pair))).collect::<Result<_, _>>().ok()
        }
        Tag::UniversalString => {
            let (units, []) = value.data.as_chunks::<4>() else { return None };
            units.iter().map(|&unit| char::from_u32(u32::from_be_bytes(unit))).collect()
        }
        _ => None,
    }
}

/// A name in the order of the certificate, cut at [`MAX_NAME_IN_LOG`] characters.
fn printed(name: &X509Name<'_>) -> String {
    let mut printed = String::new();
    for attribute in name.iter_attributes() {
        if !printed.is_empty() {
            printed.push_str(", ");
        }
        let oid = attribute.attr_type().to_id_string();
        printed.push_str(short_name(&oid));
        printed.push('=');
        match text(attribute.attr_value()) {
            Some(value) => push_escaped(&mut printed, &without_personal_numbers(&value)),
            None => printed.push('?'),
        }
        if printed.len() > MAX_NAME_IN_LOG {
            return printed.chars().take(MAX_NAME_IN_LOG).chain(['…']).collect();
        }
    }
    printed
}

fn short_name(oid: &str) -> &str {
    match oid {
        "2.5.4.3" => "CN",
        "2.5.4.4" => "SN",
        "2.5.4.5" => "serialNumber",
        "2.5.4.6" => "C",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        "2.5.4.42" => "GN",
        "2.5.4.97" => "organizationIdentifier",
        other => other,
    }
}

/// Escapes what would make one attribute look like two, and control characters.
fn push_escaped(out: &mut String, value: &str) {
    for c in value.chars() {
        match c {
            ',' | '=' | '\\' | '"' => out.extend(['\\', c]),
            c if c.is_control() => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
}

/// Hides what may be a personal identity number: 12 digits that begin with a century of birth, or 10, with or without
/// a hyphen before the last four. Organisation numbers have a month above 12, and HSA-ids letters in front.
fn without_personal_numbers(value: &str) -> String {
    let mut masked = String::with_capacity(value.len());
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '-' | '+');
    let mut rest = value;
    while !rest.is_empty() {
        let word_length = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(word_length);
        masked.push_str(if is_personal_number(word) { "***" } else { word });
        let gap_length = after.find(is_part).unwrap_or(after.len());
        masked.push_str(&after[..gap_length]);
        rest = &after[gap_length..];
    }
    masked
}

fn is_personal_number(word: &str) -> bool {
    let digits: Vec<u8> = word.bytes().filter(u8::is_ascii_digit).map(|digit| digit - b'0').collect();
    let separators: Vec<(usize, u8)> = word.bytes().enumerate().filter(|(_, b)| !b.is_ascii_digit()).collect();
    let well_separated = match separators[..] {
        [] => true,
        [(at, b'-' | b'+')] => at + 5 == word.len(),
        _ => false,
    };
    let date = match digits[..] {
        [1, 8 | 9, ..] | [2, 0, ..] if digits.len() == 12 => &digits[4..8],
        _ if digits.len() == 10 => &digits[2..6],
        _ => return false,
    };
    let month = date[0] * 10 + date[1];
    // 61-91 are the days of co-ordination numbers.
    let day = date[2] * 10 + date[3];
    well_separated && (1..=12).contains(&month) && ((1..=31).contains(&day) || (61..=91).contains(&day))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn personal_numbers_are_hidden_and_other_numbers_are_not() {
        for personal in ["191212121212", "19121212-1212", "121212-1212", "1212121212", "200001619999", "121212+1212"] {
            assert_eq!(without_personal_numbers(&format!("Tolvan {personal}, x")), "Tolvan ***, x");
        }
        for other in [
            "SE2321000016-1hz5",
            "232100-0016",
            "2321000016",
            "165565594230",
            "5565594230",
            "19121212121212",
            "1912121212-12",
        ] {
            assert_eq!(without_personal_numbers(other), other);
        }
    }

    #[test]
    fn printed_values_cannot_pass_for_more_than_they_are() {
        let mut out = String::new();
        push_escaped(&mut out, "a, serialNumber=x\n\u{9b}");
        assert_eq!(out, "a\\, serialNumber\\=x\\u{a}\\u{9b}");
    }
}
