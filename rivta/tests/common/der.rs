//! Certificates put together by hand, with subjects that no tool would make.

/// Universal tags of the string types.
pub(crate) const UTF8: u8 = 0x0c;
pub(crate) const NUMERIC: u8 = 0x12;
pub(crate) const PRINTABLE: u8 = 0x13;
pub(crate) const TELETEX: u8 = 0x14;
pub(crate) const IA5: u8 = 0x16;
pub(crate) const UNIVERSAL: u8 = 0x1c;
pub(crate) const BMP: u8 = 0x1e;

const COUNTRY: &[u8] = &[0x55, 4, 6];
const COMMON_NAME: &[u8] = &[0x55, 4, 3];
const SERIAL_NUMBER: &[u8] = &[0x55, 4, 5];

pub(crate) fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    match content.len() {
        length @ 0..0x80 => out.push(length as u8),
        length @ 0x80..0x100 => out.extend([0x81, length as u8]),
        length => out.extend([0x82, (length >> 8) as u8, length as u8]),
    }
    out.extend_from_slice(content);
    out
}

fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    tlv(0x30, &parts.concat())
}

fn attribute(oid: &[u8], value: &[u8]) -> Vec<u8> {
    sequence(&[&tlv(0x06, oid), value])
}

/// One relative name of several attributes.
pub(crate) fn together(attributes: &[Vec<u8>]) -> Vec<u8> {
    tlv(0x31, &attributes.concat())
}

pub(crate) fn country() -> Vec<u8> {
    attribute(COUNTRY, &tlv(PRINTABLE, b"SE"))
}

pub(crate) fn common_name(text: &str) -> Vec<u8> {
    attribute(COMMON_NAME, &tlv(UTF8, text.as_bytes()))
}

pub(crate) fn serial_number(tag: u8, content: &[u8]) -> Vec<u8> {
    attribute(SERIAL_NUMBER, &tlv(tag, content))
}

/// The value of the attribute as DER, such as what follows `#` in a printed name.
pub(crate) fn serial_number_der(value: &[u8]) -> Vec<u8> {
    attribute(SERIAL_NUMBER, value)
}

/// A certificate with this subject, one relative name for each attribute. Its signature is nonsense.
pub(crate) fn certificate(subject: &[Vec<u8>]) -> Vec<u8> {
    let names: Vec<_> = subject.iter().map(|attribute| together(std::slice::from_ref(attribute))).collect();
    certificate_of(&names)
}

/// A certificate whose subject is made of these relative names.
pub(crate) fn certificate_of(relative_names: &[Vec<u8>]) -> Vec<u8> {
    let ed25519 = sequence(&[&tlv(0x06, &[0x2b, 0x65, 0x70])]);
    let issuer = sequence(&[&together(&[common_name("Test CA")])]);
    let validity = sequence(&[&tlv(0x17, b"260101000000Z"), &tlv(0x17, b"280101000000Z")]);
    let subject = tlv(0x30, &relative_names.concat());
    let key = sequence(&[&ed25519, &tlv(0x03, &[0; 33])]);
    let body = sequence(&[
        &tlv(0xa0, &tlv(0x02, &[2])),
        &tlv(0x02, &[0x0a, 0xbc]),
        &ed25519,
        &issuer,
        &validity,
        &subject,
        &key,
    ]);
    sequence(&[&body, &ed25519, &tlv(0x03, &[0; 65])])
}
