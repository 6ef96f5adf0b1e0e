//! Properties of the peek: it agrees with an independent parser on documents that are well-formed, never accepts what that
//! parser refuses, and holds its promises (see `fuzzing`) on documents that were damaged.
#![allow(clippy::unwrap_used, reason = "a helper of a test fails as a test does")]

mod common;

use common::{ADDRESSING, REGISTRY, SOAP11, peek};
use proptest::prelude::*;
use quick_xml::NsReader;
use quick_xml::events::Event;
use quick_xml::name::{Namespace, ResolveResult};
use rivmesh_rivta::{Profile, fuzzing};

/// Address, profile and contract, as an ordinary parser that reads the whole document finds them.
type Reading = (Option<String>, Option<Profile>, Option<String>);

/// The same question answered with quick-xml. `None`: not well-formed as far as that parser looks.
fn reference(message: &str) -> Option<Reading> {
    let mut reader = NsReader::from_str(message);
    let mut path: Vec<(String, String)> = Vec::new();
    let mut addresses: [Option<String>; 2] = [None, None];
    let is = |element: Option<&(String, String)>, namespace: &str, local: &str| {
        element.is_some_and(|(found, name)| found == namespace && name == local)
    };
    let contract = loop {
        let (namespace, event) = reader.read_resolved_event().ok()?;
        let namespace = match namespace {
            // It compares namespaces as they are spelt; the document means what they spell.
            ResolveResult::Bound(Namespace(uri)) => {
                let uri = uri.replace("\r\n", " ").replace(['\r', '\n', '\t'], " ");
                quick_xml::escape::unescape(&uri).ok()?.into_owned()
            }
            ResolveResult::Unbound => String::new(),
            ResolveResult::Unknown(_) => return None,
        };
        let in_envelope = is(path.first(), SOAP11, "Envelope");
        let slot = match path.as_slice() {
            [_, header, (namespace, local)] if in_envelope && is(Some(header), SOAP11, "Header") => {
                match (namespace.as_str(), local.as_str()) {
                    (REGISTRY, "LogicalAddress") => Some(0),
                    (ADDRESSING, "To") => Some(1),
                    _ => None,
                }
            }
            _ => None,
        };
        match event {
            Event::Start(ref tag) | Event::Empty(ref tag) => {
                for attribute in tag.attributes() {
                    attribute.ok()?;
                }
                let in_body = in_envelope && path.len() == 2 && is(path.get(1), SOAP11, "Body");
                let local = tag.local_name().into_inner().to_owned();
                let is_body = in_envelope && path.len() == 1 && namespace == SOAP11 && local == "Body";
                if in_body {
                    break Some(namespace);
                }
                if matches!(event, Event::Start(_)) {
                    path.push((namespace, local));
                } else if path.is_empty() || is_body {
                    break None;
                }
            }
            Event::End(_) => {
                let left = path.pop()?;
                if path.is_empty() || (in_envelope && path.len() == 1 && is(Some(&left), SOAP11, "Body")) {
                    break None;
                }
            }
            Event::Text(text) => push(&mut addresses, slot, &text.xml10_content()),
            Event::CData(text) => push(&mut addresses, slot, &text.xml10_content()),
            Event::GeneralRef(name) => {
                let character = match name.resolve_char_ref().ok()? {
                    Some(character) => character.to_string(),
                    None => quick_xml::escape::resolve_predefined_entity(&name)?.to_owned(),
                };
                push(&mut addresses, slot, &character);
            }
            Event::DocType(_) => return None,
            Event::Eof => return None,
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
        }
        if let Some(slot) = slot_of_open(&path) {
            addresses[slot].get_or_insert_default();
        }
    };
    let [logical, to] = addresses;
    let deciding =
        logical.map(|text| (text, Profile::BasicProfile21)).or_else(|| to.map(|text| (text, Profile::BasicProfile20)));
    let (text, profile) = deciding.unzip();
    Some((text.filter(|text| !text.trim().is_empty()), profile, contract))
}

fn push(addresses: &mut [Option<String>; 2], slot: Option<usize>, text: &str) {
    if let Some(slot) = slot {
        addresses[slot].get_or_insert_default().push_str(text);
    }
}

/// Whether the innermost open element is an address, and which.
fn slot_of_open(path: &[(String, String)]) -> Option<usize> {
    let [(soap, envelope), (_, header), (namespace, local)] = path else { return None };
    let in_header = soap == SOAP11 && envelope == "Envelope" && header == "Header";
    match (namespace.as_str(), local.as_str()) {
        (REGISTRY, "LogicalAddress") if in_header => Some(0),
        (ADDRESSING, "To") if in_header => Some(1),
        _ => None,
    }
}

fn space() -> impl Strategy<Value = &'static str> {
    prop_oneof![4 => Just(""), 1 => Just(" "), 1 => Just("\n  "), 1 => Just("<!-- c - c -->"), 1 => Just("<?pi x?>")]
}

/// Text in pieces, as it may stand in an address.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[A-Z0-9-]{1,8}",
        Just("<![CDATA[a<&]]>".to_owned()),
        Just("&#x41;&amp;".to_owned()),
        Just("<!--x-->".to_owned()),
        Just("<?p?>".to_owned()),
        Just(" ".to_owned()),
        Just("\r\n".to_owned()),
        Just("å\u{1f600}".to_owned()),
    ];
    prop::collection::vec(piece, 0..4).prop_map(|pieces| pieces.concat())
}

/// Elements that do not matter, nested.
fn noise() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("<n/>".to_owned()),
        Just("<r:Other a='1' r:b=\"&lt;'\">x</r:Other>".to_owned()),
        Just("<a:MessageID xmlns:q='urn:q' q:z='>'><![CDATA[<a:To>no</a:To>]]></a:MessageID>".to_owned()),
        Just("<LogicalAddress>no</LogicalAddress>".to_owned()),
    ];
    leaf.prop_recursive(4, 16, 3, |inner| {
        (prop::collection::vec(inner, 0..3), prop_oneof![Just("x"), Just("e:Body"), Just("a:To"), Just("r:r")])
            .prop_map(|(children, name)| {
                // Not an address where it stands alone: wrapped once more.
                format!("<w xmlns='urn:w'><{name} xmlns='urn:x'>{}</{name}></w>", children.concat())
            })
    })
}

fn address_element() -> impl Strategy<Value = String> {
    (text(), 0..4).prop_map(|(text, form)| match form {
        0 => format!("<r:LogicalAddress>{text}</r:LogicalAddress>"),
        1 => format!("<LogicalAddress xmlns='{REGISTRY}' e:actor=\"\">{text}</LogicalAddress >"),
        2 => format!("<a:To\n>{text}</a:To>"),
        _ => format!("<t:To xmlns:t=\"{ADDRESSING}\" t:x='t:y'>{text}</t:To>"),
    })
}

/// Well-formed SOAP with at most one address element of each kind.
fn document() -> impl Strategy<Value = String> {
    let header = (space(), prop::option::of(address_element()), noise(), prop::option::of(address_element()), space())
        .prop_map(|(before, first, noise, second, after)| {
            let same_kind = |a: &String, b: &String| a.contains(":To") == b.contains(":To");
            let second = second.filter(|second| first.as_ref().is_none_or(|first| !same_kind(first, second)));
            format!(
                "<e:Header>{before}{}{noise}{}{after}</e:Header>",
                first.unwrap_or_default(),
                second.unwrap_or_default()
            )
        });
    let body = prop_oneof![
        Just("<e:Body/>"),
        Just("<e:Body>text</e:Body>"),
        Just("<e:Body><G xmlns='urn:c&#58;1'><x/></G></e:Body>"),
        Just("<e:Body><!-- c --><G/></e:Body>"),
        Just("<e:Body><c:G xmlns:c='urn:c'/></e:Body>"),
        Just(""),
    ];
    (space(), prop::option::of(header), space(), body, space()).prop_map(|(prolog, header, between, body, after)| {
        format!(
            "{prolog}<e:Envelope xmlns:e='{SOAP11}' xmlns:r='{REGISTRY}' xmlns:a='{ADDRESSING}'>{}{between}{body}{after}</e:Envelope>",
            header.unwrap_or_default()
        )
    })
}

/// Bytes that a failing test shows as text.
#[derive(Clone)]
struct Damaged(Vec<u8>);

impl std::fmt::Debug for Damaged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(&self.0))
    }
}

/// A document with a few bytes changed, removed, doubled or inserted.
fn damaged() -> impl Strategy<Value = Damaged> {
    let edit =
        (any::<prop::sample::Index>(), 0..4, prop::sample::select(b"<>/\"'&;=:!-[]? \nxa\0\xff".to_vec()), 1..20usize);
    (document(), prop::collection::vec(edit, 1..4)).prop_map(|(document, edits)| {
        let mut bytes = document.into_bytes();
        for (index, kind, byte, length) in edits {
            let at = index.index(bytes.len());
            let end = bytes.len().min(at + length);
            match kind {
                0 => bytes[at] = byte,
                1 => drop(bytes.drain(at..end.min(bytes.len() - 1).max(at))),
                2 => {
                    let copy = bytes[at..end].to_vec();
                    bytes.splice(at..at, copy);
                }
                _ => bytes.insert(at, byte),
            }
        }
        Damaged(bytes)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_peek_reads_what_a_full_parser_reads(document in document()) {
        let found = peek(document.as_bytes()).unwrap();
        let found = (found.address.map(|address| address.text), found.profile, found.contract);
        prop_assert_eq!(Some(found), reference(&document));
    }

    #[test]
    fn the_peek_accepts_nothing_that_a_full_parser_refuses_or_reads_differently(Damaged(document) in damaged()) {
        if let (Ok(text), Ok(found)) = (std::str::from_utf8(&document), peek(&document)) {
            let found = (found.address.map(|address| address.text), found.profile, found.contract);
            prop_assert_eq!(Some(found), reference(text));
        }
    }

    #[test]
    fn what_holds_for_any_bytes_holds_for_damaged_documents(Damaged(document) in damaged()) {
        fuzzing::envelope_peek(&document);
        fuzzing::rewrite(&document);
    }

    #[test]
    fn a_rewritten_document_reads_as_the_other_profile(document in document()) {
        fuzzing::rewrite(document.as_bytes());
    }

    #[test]
    fn every_cut_of_a_document_gives_the_same_answer(document in document(), at in any::<prop::sample::Index>()) {
        let at = at.index(document.len());
        let mut scanner = rivmesh_rivta::Scanner::new();
        let first = scanner.advance(&document.as_bytes()[..at], false);
        let answer = match first {
            Ok(rivmesh_rivta::Step::NeedMore) => scanner.advance(document.as_bytes(), true),
            decided => decided,
        };
        prop_assert_eq!(answer, peek(document.as_bytes()).map(rivmesh_rivta::Step::Found));
    }
}
