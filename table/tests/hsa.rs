//! HSA unit files: what is read from them, what is passed over, and what is refused.

use rivmesh_table::{HsaError, HsaTree, Warning};

fn unit(id: &str, name: &str) -> String {
    format!("<hsaUnit><hsaIdentity>{id}</hsaIdentity><DN>{name}</DN><name>A name</name></hsaUnit>")
}

fn file(units: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<FileGetHsaUnitsResponse xmlns=\"urn:riv:hsa:HsaWsResponder:3\">\
         <startDate>x</startDate><hsaUnits>{units}</hsaUnits></FileGetHsaUnitsResponse>"
    )
}

fn parse(files: &[&str]) -> Result<(HsaTree, Vec<Warning>), HsaError> {
    HsaTree::parse(&files.iter().map(|file| file.as_bytes()).collect::<Vec<_>>())
}

fn parents(tree: &HsaTree) -> Vec<(&str, Option<&str>)> {
    tree.units().collect()
}

fn read(units: &str) -> HsaTree {
    let (tree, warnings) = parse(&[&file(units)]).expect("the file is good");
    assert_eq!(warnings, []);
    tree
}

#[test]
fn the_nearest_unit_above_is_the_parent() {
    let units = [
        unit("SE", "c=SE"),
        unit("SE1-ORG", "o=Region,c=SE"),
        unit("SE1-VC", "ou=Vårdcentral,ou=Primärvård,o=Region,c=SE"),
        unit("SE1-ROOM", "ou=Rum,ou=Vårdcentral,ou=Primärvård,o=Region,c=SE"),
        unit("SE2-LONELY", "o=Annan,c=NO"),
    ];
    assert_eq!(
        parents(&read(&units.concat())),
        [
            ("SE", None),
            ("SE1-ORG", Some("SE")),
            ("SE1-ROOM", Some("SE1-VC")),
            ("SE1-VC", Some("SE1-ORG")),
            ("SE2-LONELY", None)
        ]
    );
}

#[test]
fn case_blanks_and_escaped_commas_do_not_break_the_tree() {
    let units = [
        unit("se1-Org", "O=REGION ÖST, C=se"),
        unit("SE1-A", r"ou=Hjärta\, lunga och kärl , o=Region Öst,c=SE"),
        unit("SE1-B", r"ou=Mottagning,OU=hjärta\, lunga och kärl,o=region öst, c=SE"),
        unit("SE1-C", r"ou=Bakåt\\,o=region öst,c=SE"),
    ];
    assert_eq!(
        parents(&read(&units.concat())),
        [("SE1-A", Some("se1-Org")), ("SE1-B", Some("SE1-A")), ("SE1-C", Some("se1-Org")), ("se1-Org", None)]
    );
}

#[test]
fn namespaces_prefixes_references_and_cdata_are_read() {
    let xml = "<x:R xmlns:x=\"urn:y\"><x:hsaUnit a=\"b\"><!-- c --><x:orgNo/><x:hsaIdentity> SE1-A </x:hsaIdentity>\
               <x:DN>o=A &amp; <![CDATA[B]]>&#44;c=SE</x:DN><x:name/><x:name></x:name><x:nested><x:DN>o=wrong</x:DN>\
               </x:nested></x:hsaUnit></x:R>";
    let (tree, warnings) = parse(&[xml]).expect("the file is good");
    assert_eq!((parents(&tree), warnings), (vec![("SE1-A", None)], vec![]));
    let below = [xml, &file(&unit("SE1-B", "ou=B,o=a &amp; b,c=se"))];
    assert_eq!(parents(&parse(&below).expect("good").0)[1], ("SE1-B", Some("SE1-A")));
}

#[test]
fn later_files_override_by_name() {
    let first = file(&[unit("SE1-OLD", "o=A,c=SE"), unit("SE1-UNIT", "ou=U,o=A,c=SE")].concat());
    let second = file(&unit("SE1-NEW", "O=a,C=se"));
    let (tree, warnings) = parse(&[&first, &second]).expect("good");
    assert_eq!(warnings, []);
    assert_eq!(parents(&tree), [("SE1-NEW", None), ("SE1-UNIT", Some("SE1-NEW"))]);
}

#[test]
fn unusable_units_are_passed_over_with_a_word() {
    let units = [
        "<hsaUnit><DN>o=A,c=SE</DN><name>n</name></hsaUnit>".to_owned(),
        unit("  ", "o=B,c=SE"),
        "<hsaUnit><hsaIdentity>SE1-C</hsaIdentity><name>n</name></hsaUnit>".to_owned(),
        "<hsaUnit><hsaIdentity>SE1-D</hsaIdentity><DN>o=D,c=SE</DN></hsaUnit>".to_owned(),
        unit("SE1 E", "o=E,c=SE"),
        unit("SE1-GOOD", "o=G,c=SE"),
    ];
    let (tree, warnings) = parse(&[&file(&units.concat())]).expect("good");
    assert_eq!(parents(&tree), [("SE1-GOOD", None)]);
    let told: Vec<String> = warnings.iter().map(Warning::to_string).collect();
    for (told, expected) in told.iter().zip(["no hsaIdentity", "no hsaIdentity", "no DN", "no name", "'SE1 E'"]) {
        assert!(told.starts_with("file 1, byte ") && told.contains(expected), "{told}");
    }
    assert_eq!(told.len(), 5);
}

#[test]
fn an_id_at_two_places_counts_at_the_later_one() {
    let units = [unit("SE1-A", "o=A,c=SE"), unit("SE1-B", "o=B,c=SE"), unit("se1-b", "ou=B,o=A,c=SE")];
    let (tree, warnings) = parse(&[&file(&units.concat())]).expect("good");
    assert_eq!(parents(&tree), [("SE1-A", None), ("se1-b", Some("SE1-A"))]);
    assert!(warnings[0].message.contains("stands at two places"), "{}", warnings[0]);
}

#[test]
fn a_broken_file_gives_no_tree_and_says_where() {
    let twice = file(&[unit("SE1-A", "o=A,c=SE"), unit("SE1-B", "O=a, c=SE")].concat());
    let deep = format!("{}{}", "<a>".repeat(65), "</a>".repeat(65));
    let long = file(&unit("SE1-A", &format!("o={}", "a".repeat(4096))));
    let whole = file(&unit("SE1-A", "o=A"));
    let cut = whole.split_inclusive("</hsaIdentity>").next().expect("the first part");
    for (xml, expected) in [
        (twice.as_str(), "units SE1-A and SE1-B have the same DN 'O=a, c=SE' in one file"),
        ("<!DOCTYPE a [<!ENTITY e \"x\">]><a>&e;</a>", "has a DTD"),
        ("<a>&e;</a>", "unknown entity"),
        ("<a></b>", "is not well-formed"),
        ("<a", "is not well-formed"),
        (cut, "ends too early"),
        ("", "ends too early"),
        ("   ", "ends too early"),
        (deep.as_str(), "nested deeper"),
        (long.as_str(), "more than 4096 bytes"),
    ] {
        let error = parse(&[&file(""), xml]).expect_err(expected);
        assert!(error.to_string().starts_with("HSA unit file 2, byte "), "{error}");
        assert!(error.reason.contains(expected), "{error}");
    }
    let latin = HsaTree::parse(&[b"<a>V\xe5rd</a>"]).expect_err("not UTF-8");
    assert_eq!((latin.offset, latin.reason.as_str()), (4, "is not UTF-8: convert the file"));
}
