//! A subject with two serialNumber attributes. The certificate generator keeps attributes by type and so cannot write one;
//! here the second is issued as a `title`, renamed in the signed bytes, and signed again.

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::SigningKey;

/// The attribute type that stands in for the second serialNumber: X.520 title.
pub(super) const TITLE: [u64; 4] = [2, 5, 4, 12];

const TITLE_DER: [u8; 5] = [0x06, 0x03, 0x55, 0x04, 0x0C];
const SERIAL_NUMBER_DER: [u8; 5] = [0x06, 0x03, 0x55, 0x04, 0x05];

/// The certificate as PEM, its subject's title turned into a serialNumber and the whole signed anew by `key`.
pub(super) fn with_title_as_serial_number(certificate: &[u8], key: &impl SigningKey) -> Result<String> {
    let (body, _) = value(certificate).context("a certificate is a DER sequence")?;
    let (_, signed_end) = value(body).context("its first part is the signed part")?;
    let mut signed = body[..signed_end].to_vec();
    let at = signed.windows(5).position(|window| window == TITLE_DER).context("the subject has no title")?;
    signed[at..at + 5].copy_from_slice(&SERIAL_NUMBER_DER);
    let (_, algorithm_length) = value(&body[signed_end..]).context("the signature algorithm follows")?;
    let algorithm = &body[signed_end..signed_end + algorithm_length];
    let mut bits = vec![0];
    bits.extend(key.sign(&signed)?);
    let content = [signed.as_slice(), algorithm, &tagged(0x03, &bits)].concat();
    Ok(pem(&tagged(0x30, &content)))
}

/// The content of the DER value that `bytes` begin with, and where the value ends.
fn value(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let first = *bytes.get(1)?;
    let (start, length) = match first {
        0..=0x7F => (2, usize::from(first)),
        _ => {
            let digits = usize::from(first & 0x7F);
            (2 + digits, bytes.get(2..2 + digits)?.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)))
        }
    };
    Some((bytes.get(start..start + length)?, start + length))
}

fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
    let digits: Vec<u8> = content.len().to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
    let mut bytes = vec![tag];
    if content.len() < 0x80 {
        bytes.push(content.len() as u8);
    } else {
        bytes.push(0x80 | digits.len() as u8);
        bytes.extend(digits);
    }
    bytes.extend(content);
    bytes
}

fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<String> =
        text.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}
