//! SOAP as a consumer of a platform writes and reads it: one message in either profile, and the fault in an answer.

use quick_xml::events::Event;
use quick_xml::name::{Namespace, ResolveResult};
use quick_xml::{NsReader, escape};
use rivmesh_rivta::Profile;

const ENVELOPE: &str = "http://schemas.xmlsoap.org/soap/envelope/";
/// The longest text of a fault that is kept, in bytes.
const MAX_TEXT: usize = 4096;

/// The interaction that a contract is about, as `GetGreeting` in `urn:riv:rivmesh:demo:GetGreetingResponder:1`. It is also
/// the name of the request's element.
pub(crate) fn interaction(contract: &str) -> &str {
    let responder = contract.rsplit(':').nth(1).unwrap_or(contract);
    responder.strip_suffix("Responder").unwrap_or(responder)
}

/// A request to a logical address, with `content` in its Body.
pub(crate) fn envelope(profile: Profile, address: &str, content: &str) -> String {
    let (name, namespace) = (profile.address_element(), profile.address_namespace());
    let address = escape::escape(address);
    format!(
        "<soap:Envelope xmlns:soap=\"{ENVELOPE}\">\
         <soap:Header><{name} xmlns=\"{namespace}\">{address}</{name}></soap:Header>\
         <soap:Body>{content}</soap:Body></soap:Envelope>"
    )
}

/// The element of a contract's request with `inside` (XML) in it.
pub(crate) fn request(contract: &str, inside: &str) -> String {
    let name = interaction(contract);
    format!("<{name} xmlns=\"{}\">{inside}</{name}>", escape::escape(contract))
}

/// Whether a text can be an element's name.
pub(crate) fn is_name(text: &str) -> bool {
    let is_first = |c: char| c.is_alphabetic() || c == '_';
    let is_other = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    text.starts_with(is_first) && text.chars().all(is_other)
}

/// A SOAP 1.1 Fault.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Fault {
    /// The faultcode, as `soap:Client`.
    pub code: String,
    /// The faultstring.
    pub text: String,
    /// All text in the detail.
    pub detail: String,
}

impl Fault {
    /// The fault in an answer; `None` if that is something else.
    pub(crate) fn find(answer: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(answer);
        let mut reader = NsReader::from_str(&text);
        let mut path: Vec<(bool, String)> = Vec::new();
        let mut fault: Option<Self> = None;
        loop {
            let (namespace, event) = match reader.read_resolved_event() {
                Ok(read) => read,
                // What has been read so far may be a fault all the same.
                Err(_) => return fault,
            };
            let piece = match event {
                Event::Start(start) => {
                    let is_soap = namespace == ResolveResult::Bound(Namespace(ENVELOPE));
                    path.push((is_soap, start.local_name().as_ref().to_owned()));
                    match path.as_slice() {
                        [(true, envelope)] if envelope == "Envelope" => {}
                        [_, (true, part)] if part == "Body" || part == "Header" => {}
                        [_, (true, header), ..] if header == "Header" => {}
                        [_, _, (true, name)] if name == "Fault" => fault = Some(Self::default()),
                        _ if fault.is_some() => {}
                        _ => return None,
                    }
                    continue;
                }
                Event::End(_) => {
                    path.pop();
                    continue;
                }
                Event::Eof => return fault,
                Event::Text(text) => text.to_string(),
                Event::CData(text) => text.to_string(),
                Event::GeneralRef(reference) => match reference.resolve_char_ref() {
                    Ok(Some(char)) => char.to_string(),
                    _ => escape::resolve_predefined_entity(&reference).unwrap_or("?").to_owned(),
                },
                _ => continue,
            };
            let (Some(fault), Some((_, place))) = (&mut fault, path.get(3)) else { continue };
            let text = match place.as_str() {
                "faultcode" => &mut fault.code,
                "faultstring" => &mut fault.text,
                _ => &mut fault.detail,
            };
            if text.len() + piece.len() <= MAX_TEXT {
                text.push_str(&piece);
            }
        }
    }

    /// The VP code that it begins with, if a platform made it.
    pub(crate) fn vp_code(&self) -> Option<&str> {
        let code = self.text.trim_start().split(' ').next()?;
        let is_code = code.len() == 5 && code.starts_with("VP") && code[2..].bytes().all(|byte| byte.is_ascii_digit());
        is_code.then_some(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTRACT: &str = "urn:riv:rivmesh:demo:GetGreetingResponder:1";

    #[test]
    fn the_element_of_a_contract_is_named_by_its_interaction() {
        assert_eq!(interaction(CONTRACT), "GetGreeting");
        assert_eq!(interaction("urn:riv:a:GetGreeting:1"), "GetGreeting");
        assert_eq!(request(CONTRACT, ""), format!("<GetGreeting xmlns=\"{CONTRACT}\"></GetGreeting>"));
        for (text, expected) in
            [("GetGreeting", true), ("HämtaVård-2.1_x", true), ("", false), ("2x", false), ("a b", false)]
        {
            assert_eq!(is_name(text), expected, "{text}");
        }
    }

    #[test]
    fn an_address_cannot_break_out_of_its_element() {
        let text = envelope(Profile::BasicProfile21, "SE1</LogicalAddress><x>&", "<a/>");
        assert!(text.contains("registry:1\">SE1&lt;/LogicalAddress&gt;&lt;x&gt;&amp;</LogicalAddress>"), "{text}");
        let text = envelope(Profile::BasicProfile20, "SE1", "<a/>");
        assert!(text.contains("<To xmlns=\"http://www.w3.org/2005/08/addressing\">SE1</To>"), "{text}");
    }

    fn in_body(content: &str) -> String {
        format!(
            "<?xml version=\"1.0\"?><s:Envelope xmlns:s=\"{ENVELOPE}\"><s:Header><x/></s:Header><s:Body>{content}</s:Body></s:Envelope>"
        )
    }

    #[test]
    fn a_fault_is_told_from_other_answers() {
        let fault = in_body(
            "<s:Fault><faultcode>s:Client</faultcode><faultstring>VP007 [n] Not &lt;you&#62; <![CDATA[& them]]></faultstring>\
             <detail><d>serviceNamespace: x</d></detail></s:Fault>",
        );
        let found = Fault::find(fault.as_bytes()).unwrap();
        assert_eq!(found.vp_code(), Some("VP007"));
        assert_eq!(found.code, "s:Client");
        assert_eq!(found.text, "VP007 [n] Not <you> & them");
        assert_eq!(found.detail, "serviceNamespace: x");
        for other in
            ["", "<html/>", "no XML", &in_body("<Fault xmlns=\"urn:x\"/>"), &in_body("<a><s:Fault></s:Fault></a>")]
        {
            assert_eq!(Fault::find(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn a_producers_fault_has_no_code_of_ours() {
        for text in ["Something went wrong", "VP 007", "VP0070 x", "VPabc", ""] {
            assert_eq!(Fault { text: text.to_owned(), ..Fault::default() }.vp_code(), None, "{text}");
        }
        let whole = in_body("<s:Fault><faultstring>VP009 x</faultstring></s:Fault>");
        let cut = &whole[..whole.find("</faultstring>").unwrap()];
        assert_eq!(
            Fault::find(cut.as_bytes()).and_then(|fault| fault.vp_code().map(str::to_owned)).as_deref(),
            Some("VP009")
        );
        let endless = in_body(&format!("<s:Fault><faultstring>a{}</faultstring></s:Fault>", " &amp;".repeat(MAX_TEXT)));
        assert!(Fault::find(endless.as_bytes()).unwrap().text.len() <= MAX_TEXT);
    }
}
