//! The rewrite between the profiles: cases 77-82 of the behaviour list as far as they are pure, and their corners.
#![allow(clippy::unwrap_used, reason = "a helper of a test fails as a test does")]

mod common;

use common::{ADDRESSING, CONTRACT, REGISTRY, SOAP11, envelope, peek};
use rivmesh_rivta::{Profile, RewriteError, rewrite};

/// Rewrites to the other profile, checks that the result reads so, and returns it.
fn rewritten(message: &str) -> String {
    let before = peek(message.as_bytes()).unwrap();
    let to = before.profile.unwrap().other();
    let out = rewrite(message.as_bytes(), &before, to).unwrap();
    let after = peek(&out).unwrap();
    assert_eq!(after.profile, Some(to));
    assert_eq!((after.address, after.contract), (before.address, before.contract));
    String::from_utf8(out).unwrap()
}

/// In a message with this Header, the rewritten Header.
fn header(before: &str) -> String {
    let out = rewritten(&envelope(before));
    let (start, end) = (out.find("<e:Header>").unwrap() + 10, out.find("</e:Header>").unwrap());
    assert_eq!(envelope(&out[start..end]), out, "nothing outside the Header changes");
    out[start..end].to_owned()
}

#[test]
fn case_77_both_directions() {
    for (before, after) in [
        ("<a:To>R</a:To>", format!("<a:LogicalAddress xmlns:a=\"{REGISTRY}\">R</a:LogicalAddress>")),
        ("<r:LogicalAddress>R</r:LogicalAddress>", format!("<r:To xmlns:r=\"{ADDRESSING}\">R</r:To>")),
    ] {
        assert_eq!(header(before), after);
    }
}

#[test]
fn case_78_the_prefix_stays_and_the_elements_own_declaration_changes() {
    for (before, after) in [
        (format!("<To xmlns='{ADDRESSING}'>R</To>"), format!("<LogicalAddress xmlns='{REGISTRY}'>R</LogicalAddress>")),
        (
            format!("<q:LogicalAddress\n xmlns:q = \"{REGISTRY}\" x='1' >R</q:LogicalAddress >"),
            format!("<q:To\n xmlns:q = \"{ADDRESSING}\" x='1' >R</q:To>"),
        ),
        (
            format!("<q:LogicalAddress xmlns='urn:x' xmlns:q='{REGISTRY}' xmlns:qq='urn:y'>R</q:LogicalAddress>"),
            format!("<q:To xmlns='urn:x' xmlns:q='{ADDRESSING}' xmlns:qq='urn:y'>R</q:To>"),
        ),
        (
            "<a:To e:mustUnderstand='1'>R</a:To>".to_owned(),
            format!("<a:LogicalAddress xmlns:a=\"{REGISTRY}\" e:mustUnderstand='1'>R</a:LogicalAddress>"),
        ),
    ] {
        assert_eq!(header(&before), after);
    }
    let default = format!("<Envelope xmlns='{SOAP11}'><Header xmlns='{ADDRESSING}'><To>R</To></Header></Envelope>");
    let default = default
        .replace("<Header xmlns", "<h:Header xmlns:h='http://schemas.xmlsoap.org/soap/envelope/' xmlns")
        .replace("</Header>", "</h:Header>");
    assert!(rewritten(&default).contains(&format!("<LogicalAddress xmlns=\"{REGISTRY}\">R</LogicalAddress>")));
}

#[test]
fn attributes_in_the_elements_namespace_keep_their_meaning() {
    assert_eq!(
        header("<a:To a:IsReferenceParameter='true'>R</a:To>"),
        format!("<LogicalAddress xmlns=\"{REGISTRY}\" a:IsReferenceParameter='true'>R</LogicalAddress>")
    );
    assert_eq!(
        header(&format!("<q:To xmlns='urn:x' xmlns:q='{ADDRESSING}' type='q:T'>R</q:To>")),
        format!("<LogicalAddress xmlns='{REGISTRY}' xmlns:q='{ADDRESSING}' type='q:T'>R</LogicalAddress>")
    );
}

#[test]
fn case_82_the_text_and_everything_else_survive() {
    for text in ["<![CDATA[R]]>", "R<!-- c -->S", "&#82;&amp;", " R ", "R\r\n", "<?p i?>R"] {
        assert!(header(&format!("<a:To>{text}</a:To>")).contains(&format!(">{text}</")), "{text}");
    }
    let prolog = format!(
        "\u{feff}<?xml version='1.0'?>\r\n{}",
        envelope("<a:MessageID><![CDATA[<1>]]></a:MessageID><a:To>R</a:To>")
    );
    let out = rewritten(&prolog);
    assert!(
        out.starts_with("\u{feff}<?xml version='1.0'?>\r\n")
            && out.contains("<a:MessageID><![CDATA[<1>]]></a:MessageID>")
    );
}

#[test]
fn an_empty_element_is_rewritten_too() {
    let before = peek(envelope("<a:To/>").as_bytes()).unwrap();
    let out = rewrite(envelope("<a:To/>").as_bytes(), &before, Profile::BasicProfile21).unwrap();
    assert_eq!(String::from_utf8(out).unwrap(), envelope(&format!("<a:LogicalAddress xmlns:a=\"{REGISTRY}\"/>")));
}

#[test]
fn case_81_what_was_not_read_is_not_touched() {
    let message = [envelope("<a:To>R</a:To>").as_bytes(), b"\xff<broken"].concat();
    let found = peek(&message).unwrap();
    let out = rewrite(&message, &found, Profile::BasicProfile21).unwrap();
    assert!(out.ends_with(b"\xff<broken"));
}

#[test]
fn case_80_the_same_profile_changes_nothing() {
    let older = "<LogicalAddress xmlns='urn:riv:infrastructure:itintegration:registry:2'>R</LogicalAddress>";
    for text in [older, "<r:LogicalAddress>R</r:LogicalAddress><a:To>R</a:To>"] {
        let message = envelope(text);
        let found = peek(message.as_bytes()).unwrap();
        assert_eq!(rewrite(message.as_bytes(), &found, Profile::BasicProfile21).unwrap(), message.as_bytes());
    }
}

#[test]
fn what_cannot_be_rewritten() {
    let both = envelope("<r:LogicalAddress>R</r:LogicalAddress><a:To>R</a:To>");
    let found = peek(both.as_bytes()).unwrap();
    assert_eq!(rewrite(both.as_bytes(), &found, Profile::BasicProfile20), Err(RewriteError::BothAddresses));
    let none = format!("<e:Envelope xmlns:e='{SOAP11}'><e:Body><x xmlns='{CONTRACT}'/></e:Body></e:Envelope>");
    let found = peek(none.as_bytes()).unwrap();
    assert_eq!(rewrite(none.as_bytes(), &found, Profile::BasicProfile20), Err(RewriteError::NoAddress));
    let one = envelope("<a:To>R</a:To>");
    let found = peek(one.as_bytes()).unwrap();
    for other in ["", "short", &one.replace('<', "("), &"x".repeat(one.len())] {
        assert_eq!(rewrite(other.as_bytes(), &found, Profile::BasicProfile21), Err(RewriteError::OtherPrefix));
    }
}
