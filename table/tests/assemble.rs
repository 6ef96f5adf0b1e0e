//! A table is assembled from what is verified, or not at all.

use std::collections::BTreeMap;

use bytes::Bytes;
use rivmesh_table::handmade::{Handmade, HandmadeAuthorization, HandmadeContract, HandmadeRoute};
use rivmesh_table::{
    Digest, FORMAT, FORMATS, HsaTree, Manifest, OLDEST_FORMAT, Query, SlotContent, SlotId, SlotRef, Switches, Table,
    TableError, UnknownFormat,
};

type Shards = BTreeMap<Digest, Bytes>;

fn built(url: &str) -> (Manifest, Shards) {
    let route = |address: &str| HandmadeRoute {
        contract: "urn:riv:a:GetXResponder:1".to_owned(),
        address: address.to_owned(),
        profile: "rivtabp21".to_owned(),
        urls: vec![if address == "SE1-AAAA" { url.to_owned() } else { "https://b".to_owned() }, String::new()],
        producer_hsa_id: Some("SE1-P".to_owned()),
        object: "vägval-öst".to_owned(),
        ..HandmadeRoute::default()
    };
    let authorization = |address: &str, consumer: &str, object: &str| HandmadeAuthorization {
        contract: "urn:riv:a:GetXResponder:1".to_owned(),
        address: address.to_owned(),
        consumer: consumer.to_owned(),
        object: object.to_owned(),
        ..HandmadeAuthorization::default()
    };
    Handmade {
        routes: vec![route("SE1-AAAA"), route("SE2-BBBB"), route("*")],
        authorizations: vec![
            authorization("SE1-AAAB", "SE9-Å", "å"),
            authorization("SE1-AAAB", "SE9-Ä", "ä"),
            authorization("SE1-AAAB", "SE9-D", "ö"),
            authorization("SE1-AAAC", "SE9-D", "ö"),
        ],
        contracts: vec![HandmadeContract {
            urn: "urn:riv:a:GetXResponder:1".to_owned(),
            profiles: vec!["rivtabp21".to_owned()],
            ..HandmadeContract::default()
        }],
        hsa_tree: [("SE1-AAAA", Some("SE1-CCCC"))].into_iter().collect::<HsaTree>(),
    }
    .build()
}

fn assemble(manifest: &Manifest, shards: &Shards) -> Result<Table, TableError> {
    Table::assemble(manifest, None, &mut |digest| shards.get(&digest).cloned())
}

fn slot_of(manifest: &Manifest, content: SlotContent) -> SlotId {
    *manifest.slots.keys().find(|slot| slot.content() == content).expect("the table has such a shard")
}

/// Puts other bytes into a slot, honestly named.
fn replace(manifest: &mut Manifest, shards: &mut Shards, slot: SlotId, bytes: Vec<u8>) {
    let shard = SlotRef { digest: Digest::of(&bytes), len: bytes.len() as u32 };
    shards.insert(shard.digest, bytes.into());
    manifest.slots.insert(slot, shard);
}

#[test]
fn unchanged_shards_are_taken_over_and_only_the_others_fetched() {
    let (manifest, shards) = built("https://a");
    let table = assemble(&manifest, &shards).expect("it is good");
    assert_eq!(Table::missing(&manifest, None).len(), manifest.slots.len());
    assert_eq!(Table::missing(&manifest, Some(&table)), []);
    assert_eq!(table.digest(), manifest.digest());

    let (next, next_shards) = built("https://other");
    let missing = Table::missing(&next, Some(&table));
    assert_eq!(missing.len(), 1);
    let mut fetched = Vec::new();
    let next_table = Table::assemble(&next, Some(&table), &mut |digest| {
        fetched.push(digest);
        next_shards.get(&digest).cloned()
    })
    .expect("it is good");
    assert_eq!(fetched, [next.slots[&missing[0]].digest]);
    assert_eq!(next_table.shard(missing[0]), next_shards.get(&fetched[0]));
    assert!(!next_table.is_empty() && Table::empty().is_empty());
}

#[test]
fn a_table_in_another_format_has_the_same_shards() {
    let (manifest, shards) = built("https://a");
    let manifest = Manifest { environment: Some("test".parse().expect("a name")), ..manifest };
    let table = assemble(&manifest, &shards).expect("it is good");
    for format in FORMATS {
        let other = Manifest::decode(&manifest.encode_in(format)).expect("it is good");
        assert_eq!(Table::missing(&other, Some(&table)), []);
        let other = Table::assemble(&other, Some(&table), &mut |_| None).expect("nothing is missing");
        assert_eq!(other.digest(), manifest.digest_in(format));
    }
}

#[test]
fn what_is_missing_cut_or_changed_is_named() {
    let (manifest, shards) = built("https://a");
    let slot = slot_of(&manifest, SlotContent::Rows);
    let digest = manifest.slots[&slot].digest;

    let mut without = shards.clone();
    without.remove(&digest);
    assert_eq!(assemble(&manifest, &without).err(), Some(TableError::Missing { slot, digest }));

    let mut cut = shards.clone();
    let whole = shards[&digest].clone();
    cut.insert(digest, whole.slice(1..));
    let expected = whole.len() as u32;
    let found = whole.len() - 1;
    assert_eq!(assemble(&manifest, &cut).err(), Some(TableError::Length { slot, expected, found }));

    let mut changed = shards;
    let mut bytes = whole.to_vec();
    bytes[40] ^= 1;
    let found = Digest::of(&bytes);
    changed.insert(digest, bytes.into());
    assert_eq!(assemble(&manifest, &changed).err(), Some(TableError::Digest { slot, expected: digest, found }));
}

#[test]
fn the_first_of_many_faults_is_named() {
    let route = |number| HandmadeRoute {
        contract: "urn:riv:a:GetXResponder:1".to_owned(),
        address: format!("SE{number}-A"),
        profile: "rivtabp21".to_owned(),
        urls: vec!["https://a".to_owned()],
        ..HandmadeRoute::default()
    };
    let (manifest, mut shards) = Handmade { routes: (0..2_000).map(route).collect(), ..Handmade::default() }.build();
    let slots: Vec<SlotId> = manifest.slots.keys().copied().collect();
    assert!(slots.len() > 500, "{} shards are too few for several threads", slots.len());
    let (first, second) = (slots[200], slots[400]);
    shards.remove(&manifest.slots[&second].digest);
    let digest = manifest.slots[&first].digest;
    shards.insert(digest, shards[&digest].slice(1..));
    let found = assemble(&manifest, &shards).err();
    assert!(matches!(found, Some(TableError::Length { slot, .. }) if slot == first), "{found:?}");
}

#[test]
fn another_format_and_wrong_counts_are_refused() {
    let (mut manifest, shards) = built("https://a");
    for unknown in [OLDEST_FORMAT - 1, FORMAT + 1] {
        manifest.format = unknown;
        assert_eq!(assemble(&manifest, &shards).err(), Some(TableError::Format(UnknownFormat(unknown))));
    }
    let (mut manifest, shards) = built("https://a");
    manifest.counts.routes += 1;
    assert!(matches!(assemble(&manifest, &shards), Err(TableError::Counts { .. })));
}

#[test]
fn a_shard_in_another_slot_would_never_be_found_and_is_refused() {
    for content in [SlotContent::Rows, SlotContent::Hsa] {
        let (mut manifest, shards) = built("https://a");
        let mut of_content = SlotId::all().filter(|slot| slot.content() == content);
        let from = slot_of(&manifest, content);
        let to = of_content.find(|slot| !manifest.slots.contains_key(slot)).expect("an empty slot");
        let shard = manifest.slots.remove(&from).expect("it is there");
        manifest.slots.insert(to, shard);
        let error = assemble(&manifest, &shards).expect_err("nobody would look there");
        assert!(error.to_string().contains("belongs in another slot"), "{error}");
    }
}

#[test]
fn a_shard_of_another_kind_is_refused() {
    let (mut manifest, mut shards) = built("https://a");
    let settings = shards[&manifest.slots[&SlotId::SETTINGS].digest].to_vec();
    let slot = slot_of(&manifest, SlotContent::Rows);
    replace(&mut manifest, &mut shards, slot, settings);
    let error = assemble(&manifest, &shards).expect_err("settings are no rows");
    assert_eq!(error.to_string(), format!("slot {slot}: magic: these are not such bytes at all"));
}

#[test]
fn rows_out_of_order_and_groups_that_overlap_are_refused() {
    let (manifest, shards) = built("https://a");
    let is_it = |slot: &&SlotId| {
        let bytes = &shards[&manifest.slots[*slot].digest];
        bytes.windows(8).any(|bytes| bytes == b"SE1-AAAC")
    };
    let slot = *manifest.slots.keys().find(is_it).expect("it has a shard");
    let bytes = shards[&manifest.slots[&slot].digest].to_vec();
    let refusal = |at: usize, old: [u8; 6], new: [u8; 6]| {
        let (mut manifest, mut shards, mut bytes) = (manifest.clone(), shards.clone(), bytes.clone());
        let place = &mut bytes[at..at + 6];
        assert_eq!(place, old, "the shard is laid out differently: correct the test");
        place.copy_from_slice(&new);
        replace(&mut manifest, &mut shards, slot, bytes);
        assemble(&manifest, &shards).expect_err("it is wrong").to_string()
    };
    // Four authorisations of three addresses end the shard: ends, contracts, consumers, grants, two bytes each.
    let consumers = bytes.len() - 16;
    let error = refusal(consumers, [0, 0, 1, 0, 2, 0], [1, 0, 0, 0, 2, 0]);
    assert_eq!(error, format!("slot {slot}: authorizations, row 1: is out of order"));
    let error = refusal(consumers, [0, 0, 1, 0, 2, 0], [0, 0, 2, 0, 1, 0]);
    assert_eq!(error, format!("slot {slot}: authorizations, row 2: is out of order"));
    let error = refusal(consumers, [0, 0, 1, 0, 2, 0], [0, 0, 1, 0, 3, 0]);
    assert_eq!(error, format!("slot {slot}: authorizations, row 2: points past the end"));
    let ends = bytes.len() - 24 - 6;
    let error = refusal(ends, [0, 0, 3, 0, 4, 0], [3, 0, 1, 0, 4, 0]);
    assert_eq!(error, format!("slot {slot}: authorizations, row 1: ends before it begins"));
    let error = refusal(ends, [0, 0, 3, 0, 4, 0], [0, 0, 3, 0, 3, 0]);
    assert_eq!(error, format!("slot {slot}: authorizations: the groups do not fill the rows"));
    let names = bytes.windows(16).position(|bytes| bytes == b"SE1-AAABSE1-AAAC").expect("neighbours in order");
    let error = refusal(names + 10, *b"1-AAAC", *b"1-AAAB");
    assert_eq!(error, format!("slot {slot}: addresses, row 2: is out of order"));
    let error = refusal(names + 6, *b"ABSE1-", *b"A\xc3\xa5E1-");
    assert_eq!(error, format!("slot {slot}: addresses, row 1: cuts a character in two"));
}

#[test]
fn every_cut_and_every_claim_of_more_is_refused() {
    for content in [SlotContent::Rows, SlotContent::Hsa, SlotContent::Settings] {
        let (manifest, shards) = built("https://a");
        let slot = slot_of(&manifest, content);
        let bytes = shards[&manifest.slots[&slot].digest].to_vec();
        let refusal = |bytes: Vec<u8>| {
            let (mut manifest, mut shards) = (manifest.clone(), shards.clone());
            replace(&mut manifest, &mut shards, slot, bytes);
            assemble(&manifest, &shards).err()
        };
        for end in 0..bytes.len() {
            assert!(refusal(bytes[..end].to_vec()).is_some(), "{content:?} cut at {end}");
        }
        assert!(refusal([bytes.as_slice(), &[0]].concat()).is_some(), "{content:?} with a byte too many");
        // The first thing in a shard, after four bytes of magic, is how many names follow.
        let mut claim = bytes.clone();
        claim[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
        let error = refusal(claim).expect("so many names are not there").to_string();
        assert!(error.contains("claims more items than there are bytes left"), "{error}");
    }
}

#[test]
fn whatever_one_byte_is_changed_to_nothing_panics() {
    let (manifest, shards) = built("https://a");
    let values = || (0..12).chain([0x20, 0x7f, 0x80, 0xc3, 0xff]);
    let mut readable = 0;
    for slot in manifest.slots.keys().copied() {
        let bytes = shards[&manifest.slots[&slot].digest].to_vec();
        for (at, value) in (0..bytes.len()).flat_map(|at| values().map(move |value| (at, value))) {
            let mut changed = bytes.clone();
            changed[at] = value;
            let (mut manifest, mut shards) = (manifest.clone(), shards.clone());
            replace(&mut manifest, &mut shards, slot, changed);
            if let Ok(table) = assemble(&manifest, &shards) {
                read_everything(&table);
                readable += 1;
            }
        }
    }
    assert!(readable > 1_000, "only {readable} were readable: the test tests nothing");
}

fn read_everything(table: &Table) {
    let urls = table.routes().flat_map(|row| row.endpoints).map(|endpoint| endpoint.url.len()).sum::<usize>();
    let rows = table.routes().map(|row| row.owner.name.len() + row.producer_hsa_id.map_or(0, str::len)).sum::<usize>();
    let rights = table.authorizations().map(|row| row.consumer.len() + row.owner.name.len()).sum::<usize>();
    let settings = table.contracts().map(|contract| contract.profiles().count() + contract.owner().name.len());
    assert!(urls + rows + rights + settings.sum::<usize>() < 10_000);
    for address in ["SE1-AAAA", "SE1-AAAB", "SE9"] {
        let contract = "urn:riv:a:GetXResponder:1";
        let query = Query { consumer: "SE9-D", contract, address, profile: "rivtabp21", now: 0 };
        assert!(table.explain(&query, &Switches::default()).to_string().len() < 10_000);
    }
}

#[test]
fn more_names_than_an_index_holds_are_found_too() {
    let consumers: Vec<String> = (0..70_000).map(|n| format!("SE9-{n:05}")).collect();
    let authorization = |consumer: &String| HandmadeAuthorization {
        contract: "urn:riv:a:GetXResponder:1".to_owned(),
        address: "SE1-AAAA".to_owned(),
        consumer: consumer.clone(),
        ..HandmadeAuthorization::default()
    };
    let authorizations = consumers.iter().map(authorization).collect();
    let (mut manifest, mut shards) = Handmade { authorizations, ..Handmade::default() }.build();
    let table = assemble(&manifest, &shards).expect("it is good");
    let is_authorized = |consumer: &str| {
        let contract = "urn:riv:a:GetXResponder:1";
        let query = Query { consumer, contract, address: "se1-aaaa", profile: "rivtabp21", now: 0 };
        table.decide(&query, &Switches::default()).authorization.is_ok()
    };
    for consumer in ["SE9-00000", "se9-00001", "SE9-65535", "SE9-65536", "SE9-69999"] {
        assert!(is_authorized(consumer), "{consumer}");
    }
    for stranger in ["", "SE8", "SE9-0000", "SE9-70000", "SE9-99999"] {
        assert!(!is_authorized(stranger), "{stranger}");
    }

    // A column of so many names has four bytes for each row; the one of two for each row's grant ends the shard.
    let slot = slot_of(&manifest, SlotContent::Rows);
    let mut bytes = shards[&manifest.slots[&slot].digest].to_vec();
    let last = bytes.len() - 2 * consumers.len() - 4;
    assert_eq!(bytes[last..last + 4], 69_999u32.to_le_bytes(), "the shard is laid out differently: correct the test");
    bytes[last..last + 4].copy_from_slice(&70_000u32.to_le_bytes());
    replace(&mut manifest, &mut shards, slot, bytes);
    let error = assemble(&manifest, &shards).expect_err("there is no such name").to_string();
    assert_eq!(error, format!("slot {slot}: authorizations, row 69999: points past the end"));
}
