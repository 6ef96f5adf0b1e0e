//! Who calls: subjects as authorities write them, and subjects as nobody should (cases 13-18 of the behaviour list).
#![allow(clippy::unwrap_used, reason = "a helper of a test fails as a test does")]

mod common;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use common::der::{
    self, BMP, IA5, NUMERIC, PRINTABLE, TELETEX, UNIVERSAL, UTF8, certificate, common_name, country, serial_number,
};
use rivmesh_rivta::{CertHeaderError, IdentityError, consumer_id, describe, parse_certificate_header};

const ID: &str = "SE2321000016-A1B2";

fn good() -> Vec<u8> {
    certificate(&[country(), common_name("system"), serial_number(PRINTABLE, ID.as_bytes())])
}

#[test]
fn every_string_type_is_read() {
    let utf16: Vec<u8> = ID.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let utf32: Vec<u8> = ID.chars().flat_map(|c| u32::from(c).to_be_bytes()).collect();
    for (tag, content) in [
        (PRINTABLE, ID.as_bytes()),
        (UTF8, ID.as_bytes()),
        (IA5, ID.as_bytes()),
        (TELETEX, ID.as_bytes()),
        (BMP, &utf16),
        (UNIVERSAL, &utf32),
    ] {
        assert_eq!(consumer_id(&certificate(&[serial_number(tag, content)])).as_deref(), Ok(ID), "tag {tag:#x}");
    }
    assert_eq!(consumer_id(&certificate(&[serial_number(NUMERIC, b"5565594230")])).as_deref(), Ok("5565594230"));
}

#[test]
fn case_17_a_common_name_never_passes_for_the_serial_number() {
    for name in ["SERIALNUMBER=evil", "x, serialNumber=evil", "x/2.5.4.5=evil", "x\0, SERIALNUMBER=evil"] {
        assert_eq!(consumer_id(&certificate(&[common_name(name)])), Err(IdentityError::NoSerialNumber), "{name}");
        let real = certificate(&[common_name(name), serial_number(UTF8, ID.as_bytes()), common_name(name)]);
        assert_eq!(consumer_id(&real).as_deref(), Ok(ID), "{name}");
    }
}

#[test]
fn case_18_the_hex_form_of_a_printed_name_is_the_value_that_is_read() {
    // What a printed name shows as 2.5.4.5=#1314...: a PrintableString of 20 characters.
    let printed = "13145453544e4d54323332313030303135362d423032";
    let value: Vec<u8> = printed
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect();
    assert_eq!(consumer_id(&certificate(&[der::serial_number_der(&value)])).as_deref(), Ok("TSTNMT2321000156-B02"));
}

#[test]
fn exactly_one_serial_number() {
    let one = || serial_number(UTF8, ID.as_bytes());
    assert_eq!(consumer_id(&certificate(&[country()])), Err(IdentityError::NoSerialNumber));
    assert_eq!(consumer_id(&certificate(&[])), Err(IdentityError::NoSerialNumber));
    assert_eq!(consumer_id(&certificate(&[one(), one()])), Err(IdentityError::SeveralSerialNumbers));
    let multi_valued = |attributes: &[Vec<u8>]| der::certificate_of(&[der::together(attributes)]);
    assert_eq!(consumer_id(&multi_valued(&[one(), one()])), Err(IdentityError::SeveralSerialNumbers));
    assert_eq!(consumer_id(&multi_valued(&[common_name("x"), one()])).as_deref(), Ok(ID));
}

#[test]
fn values_that_are_not_ids() {
    for (tag, content, expected) in [
        (UTF8, &b""[..], IdentityError::NotAnId),
        (UTF8, b" SE1-1", IdentityError::NotAnId),
        (UTF8, b"SE1-1\0", IdentityError::NotAnId),
        (UTF8, b"*", IdentityError::NotAnId),
        (UTF8, b"a,b", IdentityError::NotAnId),
        (UTF8, b"#1314", IdentityError::NotAnId),
        (UTF8, "SE1-å".as_bytes(), IdentityError::NotAnId),
        (TELETEX, b"SE1-\xe5", IdentityError::NotAnId),
        (UTF8, b"SE1-\xe5", IdentityError::NotText),
        (PRINTABLE, b"\xff", IdentityError::NotText),
        (BMP, b"\0S\0", IdentityError::NotText),
        (BMP, b"\xd8\0", IdentityError::NotText),
        (UNIVERSAL, b"\0\x11\0\0", IdentityError::NotText),
        (0x04, b"SE1-1", IdentityError::NotText),
        (0x02, b"1", IdentityError::NotText),
        (0x8c, b"SE1-1", IdentityError::NotText),
        (UTF8, &[b'x'; 256], IdentityError::NotAnId),
    ] {
        assert_eq!(consumer_id(&certificate(&[serial_number(tag, content)])), Err(expected), "{tag:#x} {content:?}");
    }
}

#[test]
fn what_is_not_a_certificate() {
    let certificate = good();
    for broken in [&b""[..], b"x", &certificate[..certificate.len() - 1], &[&certificate[..], b"\0"].concat()] {
        assert_eq!(consumer_id(broken), Err(IdentityError::NotACertificate));
    }
    assert_eq!(describe(b"x"), None);
}

#[test]
fn a_certificate_is_described_without_personal_numbers() {
    let summary =
        describe(&certificate(&[country(), common_name("Tolvan\n191212121212"), serial_number(UTF8, b"191212121212")]))
            .unwrap();
    assert_eq!(summary.subject, "C=SE, CN=Tolvan\\u{a}***, serialNumber=***");
    assert_eq!(summary.issuer, "CN=Test CA");
    assert_eq!(summary.serial, "0abc");
    assert_eq!((summary.not_before, summary.not_after), (1_767_225_600, 1_830_297_600));
    assert_eq!(describe(&good()).unwrap().subject, format!("C=SE, CN=system, serialNumber={ID}"));
    let long = describe(&certificate(&vec![common_name(&"x".repeat(200)); 20])).unwrap();
    assert!(long.subject.chars().count() < 600 && long.subject.ends_with('…'));
}

fn pem(der: &[u8], separator: &str) -> String {
    let body = BASE64_STANDARD
        .encode(der)
        .as_bytes()
        .chunks(64)
        .map(|line| String::from_utf8_lossy(line).into_owned())
        .collect::<Vec<_>>();
    format!("-----BEGIN CERTIFICATE-----{separator}{}{separator}-----END CERTIFICATE-----", body.join(separator))
}

fn percent_encoded(text: &str) -> String {
    text.bytes()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02x}") })
        .collect()
}

#[test]
fn cases_13_to_15_the_forms_of_a_certificate_header() {
    let (leaf, issuer) = (good(), certificate(&[common_name("issuer")]));
    let base64 = BASE64_STANDARD.encode(&leaf);
    let single = [
        pem(&leaf, "\n"),
        pem(&leaf, " "),
        pem(&leaf, "\t"),
        pem(&leaf, ""),
        pem(&leaf, "\r\n "),
        base64.clone(),
        base64.trim_end_matches('=').to_owned(),
        format!(" {base64} "),
    ];
    for value in single.iter().cloned().chain(single.iter().map(|value| percent_encoded(value))) {
        assert_eq!(parse_certificate_header(value.as_bytes()).as_ref(), Ok(&vec![leaf.clone()]), "{value}");
    }
    let other = BASE64_STANDARD.encode(&issuer);
    for value in [
        format!("{base64},{other}"),
        format!("{base64}, {other}"),
        pem(&leaf, " ") + &pem(&issuer, " "),
        pem(&leaf, "") + "," + &pem(&issuer, ""),
        percent_encoded(&format!("{}\n{}\n", pem(&leaf, "\n"), pem(&issuer, "\n"))),
    ] {
        assert_eq!(
            parse_certificate_header(value.as_bytes()).as_ref(),
            Ok(&vec![leaf.clone(), issuer.clone()]),
            "{value}"
        );
    }
}

#[test]
fn case_16_what_is_not_a_certificate_header() {
    let base64 = BASE64_STANDARD.encode(good());
    for (value, expected) in [
        ("".to_owned(), CertHeaderError::Empty),
        ("  ".to_owned(), CertHeaderError::Empty),
        ("Subject=\"CN=x\"".to_owned(), CertHeaderError::UnknownForm),
        ("-----BEGIN CERTIFICATE----- MIIB".to_owned(), CertHeaderError::UnknownForm),
        (pem(&good(), " ") + "x", CertHeaderError::UnknownForm),
        (
            "-----BEGIN CERTIFICATE----- !garbage! -----END CERTIFICATE-----".to_owned(),
            CertHeaderError::NotACertificate,
        ),
        ("-----BEGIN CERTIFICATE----------END CERTIFICATE-----".to_owned(), CertHeaderError::NotACertificate),
        ("MIIB".to_owned(), CertHeaderError::NotACertificate),
        (format!("{base64},"), CertHeaderError::NotACertificate),
        (BASE64_STANDARD.encode([&good()[..], b"\0"].concat()), CertHeaderError::NotACertificate),
        ([base64.as_str(); 11].join(","), CertHeaderError::TooLarge),
        ("x".repeat(70_000), CertHeaderError::TooLarge),
    ] {
        assert_eq!(parse_certificate_header(value.as_bytes()), Err(expected), "{value:.60}");
    }
    assert_eq!(parse_certificate_header(b"\xff"), Err(CertHeaderError::UnknownForm));
}
