//! The exact layout of the platform's own faults (rules §6).

use std::collections::BTreeMap;

use super::{Differences, shortened};
use crate::case::{Expect, Values};
use crate::consumer::Response;

/// The codes that blame the caller; all others blame a server, VP007 among them (rules §6).
const CLIENT_CODES: [&str; 9] = ["VP001", "VP002", "VP003", "VP004", "VP005", "VP011", "VP013", "VP015", "VP016"];

/// The codes that may be decided after a request has begun to reach a producer.
const PRODUCER_CODES: [&str; 3] = ["VP009", "VP015", "VP016"];

/// Whether a fault with `code` is decided before any producer is called.
pub fn decided_before_producer(code: &str) -> bool {
    !PRODUCER_CODES.contains(&code)
}

/// Whether the answer is a fault of ours with this code.
pub(super) fn compare(
    code: &str,
    expect: &Expect,
    response: &Response,
    platform_name: &str,
    differences: &mut Differences,
) {
    let head = &response.message.head;
    let fixed = BTreeMap::from([
        ("content-type".to_owned(), Some(Values::One("text/xml; charset=UTF-8".to_owned()))),
        ("x-skltp-correlation-id".to_owned(), Some(Values::One("<any>".to_owned()))),
        ("x-skltp-prt".to_owned(), None),
    ]);
    super::headers("header of the fault", &fixed, head, differences);
    let body = super::utf8(&response.message.body);
    let Some(parts) = FaultParts::parse(&body) else {
        return differences.note("fault", format!("the layout of rules §6 with {code}"), shortened(&body));
    };
    let side = if CLIENT_CODES.contains(&code) { "SOAP-ENV:Client" } else { "SOAP-ENV:Server" };
    differences.equal("faultcode", &side, &parts.code);
    let prefix = format!("{code} [{platform_name}] ");
    match parts.string.strip_prefix(&prefix) {
        None => differences.note("faultstring", format!("{prefix:?} first"), shortened(parts.string)),
        Some("") => differences.note("faultstring", "a text after the platform's name", "none"),
        Some(text) if expect.text.as_deref().is_some_and(|wanted| wanted != text) => {
            differences.note("text of the fault", expect.text.as_deref().unwrap_or_default(), text);
        }
        Some(_) => {}
    }
    let detail = unescaped(parts.detail);
    differences.contains("detail", &detail, &expect.detail, &expect.detail_lacks);
    if let Some(whole) = &expect.detail_is {
        differences.equal("detail", whole, &detail);
    }
}

fn unescaped(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&apos;", "'").replace("&amp;", "&")
}

struct FaultParts<'a> {
    code: &'a str,
    string: &'a str,
    detail: &'a str,
}

impl<'a> FaultParts<'a> {
    /// Takes the fault apart by its exact layout (rules §6); `None` when one byte of it differs.
    fn parse(body: &'a str) -> Option<Self> {
        let envelope = "<SOAP-ENV:Envelope xmlns:SOAP-ENV=\"http://schemas.xmlsoap.org/soap/envelope/\">";
        let rest = body.strip_prefix(envelope)?;
        let header = ["<SOAP-ENV:Header/>", "<SOAP-ENV:Header></SOAP-ENV:Header>"];
        let rest = header.iter().find_map(|header| rest.strip_prefix(header))?;
        let rest = rest.strip_prefix("<SOAP-ENV:Body><SOAP-ENV:Fault><faultcode>")?;
        let (code, rest) = rest.split_once("</faultcode><faultstring>")?;
        let (string, rest) = rest.split_once("</faultstring><detail>")?;
        let rest = rest.strip_suffix("</detail></SOAP-ENV:Fault></SOAP-ENV:Body></SOAP-ENV:Envelope>")?;
        let detail = match rest {
            "<detailString/>" => "",
            _ => rest.strip_prefix("<detailString>")?.strip_suffix("</detailString>")?,
        };
        (!detail.contains('<')).then_some(Self { code, string, detail })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_taken_apart_by_its_exact_layout() {
        let body = "<SOAP-ENV:Envelope xmlns:SOAP-ENV=\"http://schemas.xmlsoap.org/soap/envelope/\"><SOAP-ENV:Header/>\
            <SOAP-ENV:Body><SOAP-ENV:Fault><faultcode>SOAP-ENV:Client</faultcode><faultstring>VP004 [n] t</faultstring>\
            <detail><detailString>d</detailString></detail></SOAP-ENV:Fault></SOAP-ENV:Body></SOAP-ENV:Envelope>";
        let parts = FaultParts::parse(body).expect("the layout");
        assert_eq!((parts.code, parts.string, parts.detail), ("SOAP-ENV:Client", "VP004 [n] t", "d"));
        assert!(FaultParts::parse(&body.replace("<detail>", "<detail> ")).is_none());
        assert!(FaultParts::parse(&format!("<?xml version=\"1.0\"?>{body}")).is_none());
    }
}
