//! The peek, by the rules of the envelope and the payload cases 45-57 of the behaviour list.
#![allow(clippy::unwrap_used, reason = "a helper of a test fails as a test does")]

mod common;

use common::{ADDRESSING, CONTRACT, REGISTRY, SOAP11, address, envelope, peek, peek_in_pieces};
use rivmesh_rivta::{Envelope, EnvelopeError, Profile, Scanner, Step};

const SOAP12: &str = "http://www.w3.org/2003/05/soap-envelope";
const REGISTRY2: &str = "urn:riv:infrastructure:itintegration:registry:2";

/// Reads the message whole and in pieces of every size up to 40; all must say the same.
fn read(message: &[u8]) -> Result<Envelope, EnvelopeError> {
    let whole = peek(message);
    for step in 1..=40 {
        assert_eq!(peek_in_pieces(message, step), whole, "by {step}: {}", String::from_utf8_lossy(message));
    }
    whole
}

/// Asserts address, profile and contract.
fn assert_reads(message: &str, expected: (Option<&str>, Option<Profile>, Option<&str>)) {
    let found = read(message.as_bytes()).unwrap_or_else(|error| panic!("{error}: {message}"));
    assert_eq!((address(&found), found.profile, found.contract.as_deref()), expected, "{message}");
}

/// Asserts an error whose text contains `expected`.
fn assert_refused(message: impl AsRef<[u8]>, expected: &str) {
    let message = message.as_ref();
    let error = read(message).expect_err(&format!("{:?}", String::from_utf8_lossy(message)));
    assert!(error.to_string().contains(expected), "{error}: {:?}", String::from_utf8_lossy(message));
}

const V20: Option<Profile> = Some(Profile::BasicProfile20);
const V21: Option<Profile> = Some(Profile::BasicProfile21);
const C: Option<&str> = Some(CONTRACT);

#[test]
fn case_45_the_namespace_may_be_declared_anywhere() {
    for message in [
        envelope("<r:LogicalAddress>R</r:LogicalAddress>"),
        envelope(&format!("<LogicalAddress xmlns='{REGISTRY}'>R</LogicalAddress>")),
        format!(
            "<Envelope xmlns='{SOAP11}'><Header><q:LogicalAddress xmlns:q='{REGISTRY}' q:x='1'>R</q:LogicalAddress></Header><Body><x:G xmlns:x='{CONTRACT}'/></Body></Envelope>"
        ),
        format!(
            "<s:Envelope xmlns:s='{SOAP11}'><s:Header xmlns:r='{REGISTRY}'><r:LogicalAddress>R</r:LogicalAddress></s:Header><s:Body xmlns:c='{CONTRACT}'><c:G></s:Body>"
        ),
        format!(
            "<s:Envelope xmlns:s='{SOAP12}'><s:Header><LogicalAddress xmlns='{REGISTRY}'>R</LogicalAddress></s:Header><s:Body><c:G xmlns:c='{CONTRACT}'>"
        ),
        format!(
            "<s:Envelope xmlns:s='{SOAP11}'><s:Header><LogicalAddress xmlns='{REGISTRY2}'>R</LogicalAddress></s:Header><s:Body><c:G xmlns:c='{CONTRACT}'>"
        ),
        format!(
            "<s:Envelope xmlns:s='http://schemas.xmlsoap.org/soap&#x2f;envelope/'><s:Header><LogicalAddress xmlns='urn:riv:itintegration:registry:&#49;'>R</LogicalAddress></s:Header><s:Body><c:G xmlns:c='{CONTRACT}'>"
        ),
    ] {
        assert_reads(&message, (Some("R"), V21, C));
    }
}

#[test]
fn case_46_the_address_of_profile_20() {
    assert_reads(&envelope("<a:To>R</a:To><a:Action>x</a:Action>"), (Some("R"), V20, C));
}

#[test]
fn the_logical_address_wins_wherever_it_stands() {
    assert_reads(&envelope("<r:LogicalAddress>L</r:LogicalAddress><a:To>T</a:To>"), (Some("L"), V21, C));
    assert_reads(&envelope("<a:To>T</a:To><r:LogicalAddress>L</r:LogicalAddress>"), (Some("L"), V21, C));
    assert_reads(&envelope("<a:To>T</a:To><r:LogicalAddress> </r:LogicalAddress>"), (None, V21, C));
}

#[test]
fn case_47_no_address() {
    for header in [
        "",
        "<r:LogicalAddress/>",
        "<r:LogicalAddress></r:LogicalAddress>",
        "<r:LogicalAddress> \n\t</r:LogicalAddress>",
        "<r:LogicalAddress><!-- R --><?r R?></r:LogicalAddress>",
        "<r:LogicalAddress>&#32;</r:LogicalAddress>",
    ] {
        let found = read(envelope(header).as_bytes()).unwrap();
        assert_eq!((found.address, found.contract.as_deref()), (None, C), "{header}");
    }
    for message in [
        format!("<e:Envelope xmlns:e='{SOAP11}'><e:Body><G xmlns='{CONTRACT}'/></e:Body></e:Envelope>"),
        format!(
            "<e:Envelope xmlns:e='{SOAP11}'><e:Body><G xmlns='{CONTRACT}'/></e:Body><e:Header><LogicalAddress xmlns='{REGISTRY}'>R</LogicalAddress></e:Header></e:Envelope>"
        ),
    ] {
        assert_reads(&message, (None, None, C));
    }
}

#[test]
fn only_direct_children_of_the_header_and_only_the_right_names_count() {
    for header in [
        "<r:x><r:LogicalAddress>R</r:LogicalAddress></r:x>",
        "<r:logicalAddress>R</r:logicalAddress>",
        "<LogicalAddress>R</LogicalAddress>",
        "<a:LogicalAddress>R</a:LogicalAddress>",
        "<r:To>R</r:To>",
        "<To xmlns='http://schemas.xmlsoap.org/ws/2004/08/addressing'>R</To>",
        "<a:ReplyTo><a:To>R</a:To></a:ReplyTo>",
    ] {
        assert_reads(&envelope(header), (None, None, C));
    }
    let beside = format!(
        "<e:Envelope xmlns:e='{SOAP11}'><LogicalAddress xmlns='{REGISTRY}'>R</LogicalAddress><e:Header/><e:Body><G xmlns='{CONTRACT}'/>"
    );
    assert_reads(&beside, (None, None, C));
    let foreign_header = format!(
        "<e:Envelope xmlns:e='{SOAP11}'><Header><LogicalAddress xmlns='{REGISTRY}'>R</LogicalAddress></Header><e:Body><G xmlns='{CONTRACT}'/>"
    );
    assert_reads(&foreign_header, (None, None, C));
}

#[test]
fn case_48_white_space_around_the_address_is_told() {
    for (text, outer) in
        [("R", false), (" R", true), ("R ", true), ("\nR\n", true), ("R&#9;", true), ("\u{a0}R", true), ("R S", false)]
    {
        let found = read(envelope(&format!("<r:LogicalAddress>{text}</r:LogicalAddress>")).as_bytes()).unwrap();
        let address = found.address.unwrap();
        assert_eq!(address.has_outer_whitespace, outer, "{text:?}");
        assert_eq!(address.text, text.replace("&#9;", "\t"));
    }
}

#[test]
fn the_address_may_come_in_pieces() {
    for (text, expected) in [
        ("SE<!-- a -->23<?p i?>21", "SE2321"),
        ("<![CDATA[SE]]>23<![CDATA[<&>]]>", "SE23<&>"),
        ("&#83;E&amp;&lt;", "SE&<"),
        ("å\u{1f600}", "å\u{1f600}"),
        ("a\r\nb", "a\nb"),
    ] {
        assert_reads(&envelope(&format!("<r:LogicalAddress>{text}</r:LogicalAddress>")), (Some(expected), V21, C));
    }
}

#[test]
fn an_ambiguous_address_is_refused() {
    let one = "<r:LogicalAddress>R</r:LogicalAddress>";
    assert_refused(envelope(&one.repeat(2)), "more than one LogicalAddress");
    assert_refused(
        envelope(&format!("{one}<LogicalAddress xmlns='{REGISTRY2}'>R</LogicalAddress>")),
        "more than one LogicalAddress",
    );
    assert_refused(envelope("<a:To>R</a:To><a:To>S</a:To>"), "more than one To");
    assert_refused(envelope("<r:LogicalAddress>R<b/></r:LogicalAddress>"), "holds other elements");
    let twice = format!(
        "<e:Envelope xmlns:e='{SOAP11}'><e:Header/><e:Header><LogicalAddress xmlns='{REGISTRY}'>R</LogicalAddress></e:Header><e:Body><G/>"
    );
    assert_refused(twice, "more than one Header");
}

#[test]
fn case_49_what_cannot_be_read() {
    assert_refused("", "empty");
    assert_refused(" \r\n\t", "empty");
    assert_refused("\u{feff}", "empty");
    assert_refused("<Soap", "ends before");
    assert_refused("{\"a\": 1}", "not XML");
    assert_refused("\0<\0a", "not XML");
}

#[test]
fn malformed_before_the_contract() {
    for (header, expected) in [
        ("<x:y/>", "prefix that is not declared"),
        ("<r:y x:z='1'/>", "prefix that is not declared"),
        ("<r:y></r:z>", "end tag"),
        ("<r:y></r:y>x</e:Head>", "end tag"),
        ("<r:y>&nbsp;</r:y>", "undefined entity"),
        ("<r:y z='&nbsp;'/>", "undefined entity"),
        ("<r:y>\u{1}</r:y>", "character"),
        ("<r:y>&#1;</r:y>", "undefined entity"),
        ("<r:y z='\u{ffff}'/>", "character"),
        ("<r:y>]]></r:y>", "not well-formed"),
        ("<r:y z='<'/>", "not well-formed"),
        ("<r:y z=1/>", "not well-formed"),
        ("<r:y z/>", "not well-formed"),
        ("<r:y z='1'w='2'/>", "not well-formed"),
        ("<r:y z='1' z='2'/>", "stands twice"),
        ("<y xmlns:p='u' xmlns:q='u' p:z='1' q:z='2'/>", "stands twice"),
        ("<y xmlns:p='u' xmlns:q='&#117;' p:z='1' q:z='2'/>", "stands twice"),
        ("<y xmlns='u' xmlns='v'/>", "stands twice"),
        ("<y xmlns:p=''/>", "declaration that is not allowed"),
        ("<y xmlns:xmlns='u'/>", "declaration that is not allowed"),
        ("<y xmlns:xml='u'/>", "declaration that is not allowed"),
        ("<xmlns:y/>", "prefix that is not declared"),
        ("<1y/>", "name"),
        ("<a:b:c/>", "name"),
        ("<:c/>", "name"),
        ("< c/>", "name"),
        ("<!-- a -- b -->", "not well-formed"),
        ("<!ELEMENT a>", "not well-formed"),
        ("<?xml version='1.0'?>", "not well-formed"),
        ("<? x?>", "not well-formed"),
    ] {
        assert_refused(envelope(header), expected);
    }
    assert_refused(b"<a>\xe5</a>", "encoding");
    assert_refused(b"<a b='\xc3\x28'/>", "encoding");
    for declaration in [
        "<?xml?>",
        "<?xml encoding='UTF-8'?>",
        "<?xml version='2.0'?>",
        "<?xml version='1.0' standalone='maybe'?>",
        "<?XML version='1.0'?>",
    ] {
        assert_refused(format!("{declaration}{}", envelope("")), "not well-formed");
    }
    assert_refused(format!(" <?xml version='1.0'?>{}", envelope("")), "not well-formed");
}

#[test]
fn nothing_behind_the_bodys_first_tag_is_read() {
    let head = envelope("<r:LogicalAddress>R</r:LogicalAddress>");
    let cut = head.find("<id>").unwrap();
    for rest in [&b""[..], b"<a></b>", b"\xff\0<!DOCTYPE", b"&nope;"] {
        let message = [&head.as_bytes()[..cut], rest].concat();
        let found = read(&message).unwrap();
        assert_eq!((address(&found), found.contract.as_deref()), (Some("R"), C));
    }
    let mut scanner = Scanner::new();
    assert_eq!(scanner.advance(&head.as_bytes()[..cut - 1], false), Ok(Step::NeedMore));
    let found = scanner.advance(&head.as_bytes()[..cut], false).unwrap();
    assert!(matches!(found, Step::Found(_)));
    assert_eq!(scanner.advance(head.as_bytes(), true), Ok(found), "asking again gives the same answer");
}

#[test]
fn case_50_well_formed_but_not_soap_has_no_address() {
    for message in [
        "<a/>".to_owned(),
        "<?xml version='1.0'?><!-- c --><html><body>&amp;</body></html>\n".to_owned(),
        format!(
            "<Envelope><Header><LogicalAddress xmlns='{REGISTRY}'>R</LogicalAddress></Header><Body><a/></Body></Envelope>"
        ),
        format!("<LogicalAddress xmlns='{REGISTRY}'>R</LogicalAddress>"),
        format!("<e:envelope xmlns:e='{SOAP11}'><e:Header><To xmlns='{ADDRESSING}'>R</To></e:Header></e:envelope>"),
    ] {
        assert_reads(&message, (None, None, None));
    }
    assert_refused("<a><b></a>", "end tag");
}

#[test]
fn case_51_an_empty_body_has_no_contract() {
    let header = format!("<e:Header><To xmlns='{ADDRESSING}'>R</To></e:Header>");
    for body in ["<e:Body/>", "<e:Body></e:Body>", "<e:Body> text <!-- c --></e:Body>", ""] {
        let message = format!("<e:Envelope xmlns:e='{SOAP11}'>{header}{body}</e:Envelope>");
        assert_reads(&message, (Some("R"), V20, None));
    }
    let unqualified = format!("<e:Envelope xmlns:e='{SOAP11}'>{header}<e:Body><G/></e:Body></e:Envelope>");
    assert_reads(&unqualified, (Some("R"), V20, Some("")));
    let undeclared =
        format!("<e:Envelope xmlns:e='{SOAP11}' xmlns='u'>{header}<e:Body><G xmlns=''/></e:Body></e:Envelope>");
    assert_reads(&undeclared, (Some("R"), V20, Some("")));
}

#[test]
fn cases_53_and_55_declarations_and_byte_order_marks_do_not_disturb() {
    let message = envelope("<r:LogicalAddress>R</r:LogicalAddress>");
    for before in [
        "\u{feff}",
        "\u{feff}<?xml version='1.0'?>",
        "<?xml version=\"1.0\" encoding=\"UTF-16\" standalone='no' ?>\r\n",
        "<?xml version='1.1'?>",
        "\n<!-- c -->\n<?x y?>",
    ] {
        assert_reads(&format!("{before}{message}"), (Some("R"), V21, C));
    }
}

#[test]
fn case_57_any_doctype_is_refused() {
    let message = envelope("<r:LogicalAddress>&x;</r:LogicalAddress>");
    for doctype in ["<!DOCTYPE e>", "<!DOCTYPE e [<!ENTITY x 'R'>]>", "<!DOCTYPE e SYSTEM 'file:///etc/passwd'>"] {
        assert_refused(format!("{doctype}{message}"), "DOCTYPE");
    }
}

#[test]
fn depth_attributes_and_namespaces_are_bounded() {
    let nested = |depth: usize| envelope(&format!("{}{}", "<x>".repeat(depth), "</x>".repeat(depth)));
    assert!(peek(nested(62).as_bytes()).is_ok());
    assert_refused(nested(63), "nested deeper than 64");
    let attributes =
        |count: usize| envelope(&format!("<x {}/>", (0..count).map(|n| format!("a{n}='' ")).collect::<String>()));
    assert!(peek(attributes(64).as_bytes()).is_ok());
    assert_refused(attributes(65), "more than 64 attributes");
    let declarations = |count: usize| (0..count).map(|n| format!("xmlns:n{n}='u' ")).collect::<String>();
    let namespaces = |last| envelope(&format!("<x {}><x {}/></x>", declarations(62), declarations(last)));
    assert!(peek(namespaces(63).as_bytes()).is_ok());
    assert_refused(namespaces(64), "more than 128 namespace");
}

#[test]
fn scopes_end_with_their_element() {
    let inner = format!("<x xmlns:q='{REGISTRY}'/><q:LogicalAddress>R</q:LogicalAddress>");
    assert_refused(envelope(&inner), "prefix that is not declared");
    let shadowed = "<x xmlns:r='urn:x'><y xmlns:r='urn:y'/></x><r:LogicalAddress>R</r:LogicalAddress>";
    assert_reads(&envelope(shadowed), (Some("R"), V21, C));
}
