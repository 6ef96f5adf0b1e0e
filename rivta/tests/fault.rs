//! The faults on the wire, and what is recognised as a fault of a producer.
#![allow(clippy::unwrap_used, reason = "a helper of a test fails as a test does")]

mod common;

use rivmesh_rivta::{Fault, FaultScanner, FaultSide, FaultStep, Texts, VpCode, find_soap_fault};

fn soap(fault: &Fault, texts: &Texts) -> String {
    String::from_utf8(fault.to_soap(texts, "region")).unwrap()
}

/// The text of an element without attributes.
fn element<'a>(xml: &'a str, name: &str) -> &'a str {
    let start = xml.find(&format!("<{name}>")).unwrap() + name.len() + 2;
    &xml[start..xml.find(&format!("</{name}>")).unwrap()]
}

#[test]
fn the_layout_is_the_one_that_tools_parse() {
    let texts = Texts::english().with_properties(b"VP007=No <right>\nVP007_DETAILS=Missing for %s & so on").unwrap();
    assert_eq!(
        soap(&Fault::not_authorized(Some("urn:c"), "R&D", "SE1"), &texts),
        "<SOAP-ENV:Envelope xmlns:SOAP-ENV=\"http://schemas.xmlsoap.org/soap/envelope/\"><SOAP-ENV:Header/><SOAP-ENV:Body>\
         <SOAP-ENV:Fault><faultcode>SOAP-ENV:Server</faultcode><faultstring>VP007 [region] No &lt;right&gt;</faultstring>\
         <detail><detailString>Missing for serviceNamespace: urn:c, receiverId: R&amp;D, senderId: SE1 &amp; so on</detailString></detail>\
         </SOAP-ENV:Fault></SOAP-ENV:Body></SOAP-ENV:Envelope>"
    );
}

#[test]
fn every_constructor_has_its_code_and_detail() {
    let (contract, address) = (Some("urn:c"), "R");
    for (fault, code, detail) in [
        (
            Fault::profile_not_offered(contract, address, "rivtabp20"),
            "VP001",
            "serviceNamespace: urn:c, receiverId: R, profile: rivtabp20",
        ),
        (Fault::identity("no serialNumber"), "VP002", "no serialNumber"),
        (Fault::no_address(), "VP003", ""),
        (Fault::no_route(contract, address), "VP004", "serviceNamespace: urn:c, receiverId: R"),
        (Fault::no_route(None, address), "VP004", "serviceNamespace: null, receiverId: R"),
        (
            Fault::profile_unreachable(contract, address, "rivtabp21"),
            "VP005",
            "serviceNamespace: urn:c, receiverId: R, profile: rivtabp21",
        ),
        (Fault::several_routes(contract, address), "VP006", "serviceNamespace: urn:c, receiverId: R"),
        (Fault::not_authorized(contract, address, "S"), "VP007", "serviceNamespace: urn:c, receiverId: R, senderId: S"),
        (Fault::blocked("S"), "VP007", "senderId: S"),
        (Fault::no_table(), "VP008", ""),
        (Fault::producer("https://p/x", "connection refused", None), "VP009", "https://p/x (connection refused)"),
        (
            Fault::producer("https://p/x", "bad status", Some(503)),
            "VP009",
            "https://p/x (bad status)\nVP_PRODUCER_EXCEPTION_HTTP_STATUS=503",
        ),
        (Fault::no_usable_url(contract, address), "VP010", "serviceNamespace: urn:c, receiverId: R"),
        (Fault::peer_not_allowed("10.1.1.1"), "VP011", "10.1.1.1"),
        (Fault::platform("no room"), "VP012", "no room"),
        (Fault::original_consumer("not trusted"), "VP013", "not trusted"),
        (Fault::routing_loop(), "VP014", ""),
        (Fault::unreadable("no XML"), "VP015", "no XML"),
        (
            Fault::denied_by_producer(contract, address, "S"),
            "VP016",
            "serviceNamespace: urn:c, receiverId: R, senderId: S",
        ),
    ] {
        assert_eq!((fault.code.as_str(), fault.detail.as_str()), (code, detail));
        let xml = soap(&fault, &Texts::swedish());
        assert!(element(&xml, "faultstring").starts_with(&format!("{code} [region] ")), "{xml}");
        assert!(element(&xml, "detailString").contains(detail), "{xml}");
        let side = if fault.code.fault_side() == FaultSide::Client { "SOAP-ENV:Client" } else { "SOAP-ENV:Server" };
        assert_eq!(element(&xml, "faultcode"), side);
        assert!(!xml.contains("%s"), "{xml}");
    }
    assert_eq!(element(&soap(&Fault::routing_loop(), &Texts::swedish()), "detailString"), "");
}

#[test]
fn case_48_white_space_in_the_address_is_hinted_at() {
    for (address, hinted) in [("R", false), (" R", true), ("R\n", true), ("R S", true), ("R\u{a0}", true)] {
        assert_eq!(Fault::no_route(Some("c"), address).detail.contains("White space was found"), hinted, "{address:?}");
    }
}

#[test]
fn our_own_fault_is_well_formed_and_recognised_whatever_a_caller_sent() {
    let nasty = "<&>\"']]>\u{0}\u{1b}[31m\u{ffff}\r\n\u{85}å";
    for fault in [
        Fault::no_route(Some(nasty), nasty),
        Fault::producer(nasty, nasty, Some(1)),
        Fault::unreadable(nasty),
        Fault { code: VpCode::Vp012, detail: nasty.into() },
    ] {
        let body = fault.to_soap(&Texts::english(), nasty);
        let text = std::str::from_utf8(&body).unwrap();
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
        let mut reader = quick_xml::Reader::from_str(text);
        while !matches!(reader.read_event().unwrap(), quick_xml::events::Event::Eof) {}
        assert!(find_soap_fault(&body).is_some());
    }
}

#[test]
fn details_are_bounded_and_keep_their_token() {
    let long = "x".repeat(1_000_000);
    for fault in
        [Fault::no_route(Some(&long), &long), Fault::producer(&long, &long, Some(500)), Fault::unreadable(&long)]
    {
        assert!(fault.detail.len() < 4000);
    }
    assert!(Fault::producer(&long, &long, Some(500)).detail.ends_with("\nVP_PRODUCER_EXCEPTION_HTTP_STATUS=500"));
    let by_hand = Fault { code: VpCode::Vp009, detail: long };
    assert!(by_hand.to_soap(&Texts::english(), "p").len() < 10_000);
}

#[test]
fn texts_are_replaced_by_a_properties_file() {
    let file = b"# ours\nVP004=Inget v\xe4gval\nVP004_DETAILS=No route %s (%s)\nother.key=1\nVP017=x\n";
    let texts = Texts::swedish().with_properties(file).unwrap();
    assert_eq!(texts.user(VpCode::Vp004), "Inget vägval");
    assert_eq!(texts.detail(VpCode::Vp004, "X %s"), "No route X %s (%s)");
    assert_eq!(texts.user(VpCode::Vp005), Texts::swedish().user(VpCode::Vp005));
    for (file, expected) in [
        (&b""[..], "holds none of the keys"),
        (b"other=1", "holds none of the keys"),
        (b"a=b\nVP001=\\u12", "line 2"),
        (&[b'x'; 300_000], "larger than"),
        (&[&b"VP001="[..], &[b'x'; 3000]].concat(), "VP001 is longer than"),
    ] {
        let error = Texts::swedish().with_properties(file).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn every_code_has_its_own_text_in_both_languages() {
    let (swedish, english) = (Texts::swedish(), Texts::english());
    for code in VpCode::ALL {
        assert_ne!(swedish.user(code), english.user(code), "{code}");
        assert!(VpCode::ALL.into_iter().filter(|other| swedish.user(*other) == swedish.user(code)).count() == 1);
        assert!(swedish.user(code).ends_with('.') && english.user(code).ends_with('.'));
    }
}

/// What the scanner says about an answer that comes byte by byte.
fn fault_in_pieces(body: &[u8]) -> Option<String> {
    let mut scanner = FaultScanner::new();
    for end in 0..=body.len() {
        match scanner.advance(&body[..end], end == body.len()) {
            FaultStep::NeedMore => assert!(end < body.len(), "no answer at the end"),
            FaultStep::NotAFault => return None,
            FaultStep::Fault(fault) => return Some(fault.faultcode),
        }
    }
    None
}

#[test]
fn producers_faults_are_told_from_other_bodies() {
    const ENVELOPE: &str = "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\">";
    let in_body = |content: &str| format!("{ENVELOPE}<s:Body>{content}</s:Body></s:Envelope>");
    let plain = "<s:Fault><faultcode>s:Server</faultcode><faultstring>191212121212</faultstring></s:Fault>";
    for (body, faultcode) in [
        (in_body(plain), Some("s:Server")),
        (
            format!(
                "\u{feff}<?xml version='1.0'?>{ENVELOPE}<s:Header><x><y>z</y></x><s:Body/></s:Header><s:Body> {plain}"
            ),
            Some("s:Server"),
        ),
        (format!("{ENVELOPE}<s:Header/><s:Body>{plain}"), Some("s:Server")),
        (in_body("<s:Fault><faultcode> <![CDATA[s:]]>&#67;lient </faultcode>"), Some("s:Client")),
        (in_body("<s:Fault><faultcode>191212 å<x/></faultcode>"), Some("191212??")),
        (in_body("<s:Fault/>"), Some("")),
        (in_body("<s:Fault></s:Fault>"), Some("")),
        (in_body("<s:Fault><faultcode/></s:Fault>"), Some("")),
        (in_body("<s:Fault><detail/></s:Fault>"), Some("")),
        (format!("{ENVELOPE}<s:Body><s:Fault><faultcode>s:Ser"), Some("")),
        (format!("{ENVELOPE}<s:Body><s:Fault>"), Some("")),
        (format!("{ENVELOPE}<s:Body><s:Fault><broken"), Some("")),
        (in_body("<x/><s:Fault/>"), None),
        (in_body("<x><s:Fault/></x>"), None),
        (in_body("<Fault/>"), None),
        (in_body(""), None),
        (format!("{ENVELOPE}<s:Body/>"), None),
        (format!("{ENVELOPE}<s:Header><s:Fault/></s:Header></s:Envelope>"), None),
        (format!("<!DOCTYPE x>{}", in_body(plain)), None),
        (in_body(plain).replace("schemas.xmlsoap.org/soap/envelope/", "www.w3.org/2003/05/soap-envelope"), None),
        ("<html><body>Error</body></html>".to_owned(), None),
        (String::new(), None),
        ("Internal error".to_owned(), None),
    ] {
        assert_eq!(find_soap_fault(body.as_bytes()).map(|f| f.faultcode).as_deref(), faultcode, "{body}");
        assert_eq!(fault_in_pieces(body.as_bytes()).as_deref(), faultcode, "{body}");
    }
    let long = in_body(&format!("<s:Fault><faultcode>{}</faultcode>", "x".repeat(1000)));
    assert_eq!(find_soap_fault(long.as_bytes()).unwrap().faultcode.len(), 64);
}
