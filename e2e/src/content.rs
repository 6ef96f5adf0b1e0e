//! The bytes a case sends, answers or expects, written in YAML so that a person can read them: plain text, or text that is
//! repeated, encoded, prefixed with a byte order mark or given in hexadecimal. The SOAP envelopes of ordinary calls are
//! built here too, by one template, so that a case names only what it is about.

use serde::Deserialize;

/// Bytes as a case file writes them.
#[derive(Debug, Clone, Deserialize, PartialEq, Eq)]
#[serde(untagged)]
pub enum Content {
    /// UTF-8 text, taken as it stands.
    Text(String),
    /// Text that has to be built.
    Built(Built),
}

/// Content that is easier to describe than to write out: `before`, then `text` repeated, then `after`.
#[derive(Debug, Clone, Default, Deserialize, PartialEq, Eq)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Built {
    /// What stands first.
    pub before: String,
    /// The repeated part.
    pub text: String,
    /// How many times `text` stands there (default 1).
    pub times: Option<usize>,
    /// What stands last.
    pub after: String,
    /// How the characters become bytes.
    pub encoding: Encoding,
    /// Whether a byte order mark comes first.
    pub bom: bool,
    /// Bytes in hexadecimal after everything else; for what no text encoding can say.
    pub hex: String,
}

/// A text encoding that consumers and producers use.
#[derive(Debug, Clone, Copy, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Encoding {
    /// UTF-8.
    #[default]
    Utf8,
    /// ISO-8859-1; characters beyond U+00FF become `?`.
    Latin1,
    /// UTF-16, low byte first.
    Utf16le,
    /// UTF-16, high byte first.
    Utf16be,
}

impl Encoding {
    /// The bytes of `text` in this encoding, without a byte order mark.
    pub fn encode(self, text: &str) -> Vec<u8> {
        match self {
            Self::Utf8 => text.as_bytes().to_vec(),
            Self::Latin1 => text.chars().map(|c| u8::try_from(c).unwrap_or(b'?')).collect(),
            Self::Utf16le => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
            Self::Utf16be => text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
        }
    }

    fn byte_order_mark(self) -> &'static [u8] {
        match self {
            Self::Utf8 => b"\xEF\xBB\xBF",
            Self::Latin1 => b"",
            Self::Utf16le => b"\xFF\xFE",
            Self::Utf16be => b"\xFE\xFF",
        }
    }
}

impl Content {
    /// The bytes this content stands for. Malformed hexadecimal digits are skipped.
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Text(text) => text.as_bytes().to_vec(),
            Self::Built(built) => built.bytes(),
        }
    }
}

impl Built {
    fn bytes(&self) -> Vec<u8> {
        let text = format!("{}{}{}", self.before, self.text.repeat(self.times.unwrap_or(1)), self.after);
        let mut bytes = if self.bom { self.encoding.byte_order_mark().to_vec() } else { Vec::new() };
        bytes.extend(self.encoding.encode(&text));
        let digits: Vec<u8> = self.hex.bytes().filter(u8::is_ascii_hexdigit).collect();
        bytes.extend(digits.chunks_exact(2).map(|pair| {
            let value = |digit: u8| char::from(digit).to_digit(16).map_or(0, |v| v as u8);
            value(pair[0]) << 4 | value(pair[1])
        }));
        bytes
    }
}

/// What a RIV-TA envelope of an ordinary call is made of.
#[derive(Debug, Clone)]
pub struct Envelope<'a> {
    /// `rivtabp21` (LogicalAddress) or `rivtabp20` (WS-Addressing To).
    pub profile: &'a str,
    /// The logical address.
    pub address: &'a str,
    /// The namespace of the Body's first child.
    pub contract: &'a str,
    /// XML inside the Body's first child.
    pub payload: &'a str,
}

impl Envelope<'_> {
    /// The envelope as text, with an XML declaration that names `encoding`.
    pub fn text(&self, encoding: &str) -> String {
        let (namespace, element) = match self.profile {
            "rivtabp20" => ("http://www.w3.org/2005/08/addressing", "To"),
            _ => ("urn:riv:itintegration:registry:1", "LogicalAddress"),
        };
        let Self { address, contract, payload, .. } = self;
        format!(
            "<?xml version=\"1.0\" encoding=\"{encoding}\"?>\n\
             <soapenv:Envelope xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\" xmlns:a=\"{namespace}\" \
             xmlns:c=\"{contract}\"><soapenv:Header><a:{element}>{address}</a:{element}></soapenv:Header>\
             <soapenv:Body><c:GetThing>{payload}</c:GetThing></soapenv:Body></soapenv:Envelope>"
        )
    }
}

/// What a scripted producer answers when the case does not say otherwise.
pub const ANSWER: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
    <soapenv:Envelope xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\"><soapenv:Header/><soapenv:Body>\
    <GetThingResponse xmlns=\"urn:riv:test:GetThingResponder:1\"><thing>a thing</thing></GetThingResponse>\
    </soapenv:Body></soapenv:Envelope>";

/// A SOAP 1.1 fault as a producer of its own would send it, with a personal identity number where real ones leak them.
pub const PRODUCER_FAULT: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
    <s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Body><s:Fault><faultcode>s:Server</faultcode>\
    <faultstring>Patient 191212121212 not found</faultstring></s:Fault></s:Body></s:Envelope>";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_content_repeats_encodes_and_marks() {
        let built: Content = serde_json::from_str(
            r#"{"before":"<","text":"å","times":2,"encoding":"utf16le","bom":true,"hex":"00 ff"}"#,
        )
        .expect("valid");
        assert_eq!(built.bytes(), [0xFF, 0xFE, b'<', 0, 0xE5, 0, 0xE5, 0, 0x00, 0xFF]);
    }

    #[test]
    fn the_envelope_carries_the_element_of_its_profile() {
        let envelope = |profile| Envelope { profile, address: "A", contract: "urn:x", payload: "" }.text("UTF-8");
        assert!(envelope("rivtabp20").contains("<a:To>A</a:To>"));
        assert!(envelope("rivtabp21").contains("<a:LogicalAddress>A</a:LogicalAddress>"));
    }
}
