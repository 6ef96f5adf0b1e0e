#![allow(clippy::unwrap_used)]
use rivmesh_table::handmade::*;
use rivmesh_table::*;
#[test]
fn write_seeds() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    for t in ["shard", "manifest"] {
        std::fs::create_dir_all(dir.join(t)).unwrap();
    }
    let route = |address: &str, contract: &str, profile: &str, urls: &[&str]| HandmadeRoute {
        contract: contract.to_owned(),
        address: address.to_owned(),
        profile: profile.to_owned(),
        urls: urls.iter().map(|u| (*u).to_owned()).collect(),
        producer_hsa_id: Some("SE1-P".to_owned()),
        object: "vägval-öst".to_owned(),
        ..HandmadeRoute::default()
    };
    let grant = |consumer: &str, address: &str, object: &str| HandmadeAuthorization {
        contract: "urn:riv:a:GetXResponder:1".to_owned(),
        address: address.to_owned(),
        consumer: consumer.to_owned(),
        object: object.to_owned(),
        ..HandmadeAuthorization::default()
    };
    let x = "urn:riv:a:GetXResponder:1";
    let all = Handmade {
        routes: vec![
            route("SE1-AAAA", x, "rivtabp21", &["https://a/x", "https://b/y"]),
            route("SE1-AAAB", x, "rivtabp20", &["https://a/x"]),
            route("SE1-AAAB", x, "rivtabp21", &[]),
            route("SE1-AAAB", x, "rivtabp21", &["https://c"]),
            route("*", x, "rivtabp21", &["https://d"]),
        ],
        authorizations: vec![
            grant("SE9-Å", "SE1-AAAA", "å"),
            grant("SE9-Ä", "SE1-AAAA", "ä"),
            grant("SE9-D", "*", "ö"),
        ],
        contracts: vec![
            HandmadeContract {
                urn: x.to_owned(),
                profiles: vec!["rivtabp21".to_owned()],
                legacy_addresses: true,
                ..HandmadeContract::default()
            },
            HandmadeContract { urn: "urn:riv:a:GetY:1".to_owned(), ..HandmadeContract::default() },
        ],
        hsa_tree: [("SE1-AAAA", Some("SE1-CCCC")), ("SE1-CCCC", None), ("SE1-AAAB", Some("SE1-CCCC"))]
            .into_iter()
            .collect::<HsaTree>(),
    };
    let (manifest, shards) = all.build();
    std::fs::write(dir.join("manifest/several"), manifest.encode()).unwrap();
    std::fs::write(dir.join("manifest/empty-table"), Manifest::default().encode()).unwrap();
    let mut e = manifest.encode();
    e.push(0);
    std::fs::write(dir.join("manifest/a-byte-too-many"), &e).unwrap();
    e.truncate(e.len() / 2);
    std::fs::write(dir.join("manifest/cut"), &e).unwrap();
    std::fs::write(dir.join("manifest/nothing"), []).unwrap();
    let mut nr = 0;
    for (slot, shard) in &manifest.slots {
        let bytes = &shards[&shard.digest];
        let seed = [&slot.number().to_le_bytes()[..], bytes].concat();
        let kind = format!("{:?}", slot.content()).to_lowercase();
        nr += 1;
        std::fs::write(dir.join(format!("shard/{kind}-{nr}")), &seed).unwrap();
        if slot.content() == SlotContent::Settings || nr == 1 {
            let mut cut = seed.clone();
            cut.truncate(seed.len() - 3);
            std::fs::write(dir.join(format!("shard/{kind}-cut")), cut).unwrap();
            let mut more = seed.clone();
            more.push(0);
            std::fs::write(dir.join(format!("shard/{kind}-a-byte-too-many")), more).unwrap();
            let mut other = seed.clone();
            other[0] ^= 1;
            std::fs::write(dir.join(format!("shard/{kind}-in-another-slot")), other).unwrap();
            let mut huge = seed;
            let at = huge.len().min(12);
            huge[at - 4..at].fill(0xff);
            std::fs::write(dir.join(format!("shard/{kind}-huge-count")), huge).unwrap();
        }
    }
    let mut mutated = 0u64;
    // every single byte of every seed, four ways
    for (slot, shard) in &manifest.slots {
        let bytes = &shards[&shard.digest];
        for at in 0..bytes.len() {
            for with in [0u8, 1, 0x7f, 0xff, b'*', bytes[at] ^ 1, bytes[at].wrapping_add(1)] {
                let mut data = [&slot.number().to_le_bytes()[..], bytes].concat();
                data[at + 2] = with;
                rivmesh_table::fuzzing::shard(&data);
                mutated += 1;
            }
        }
    }
    println!("{mutated}");
}
