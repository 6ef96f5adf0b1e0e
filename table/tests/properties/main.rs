//! What must hold for every catalogue: the order of events leaves no trace, an incremental compilation is a full one,
//! the table answers as the rules written out naively do, and broken shards break nothing.

mod model;
mod world;

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;
use rivmesh_table::{
    Compilation, CompileOptions, Compiler, Decision, Digest, Lookup, Manifest, Object, ObjectId, Query, RouteError,
    RowLimits, SlotRef, Switches, Table, Verdict,
};

use model::{Answer, Model};
use world::{Event, Question};

fn compiler(max_rows: RowLimits) -> Compiler {
    let mut compiler = Compiler::new(CompileOptions { max_rows, ..CompileOptions::default() });
    compiler.set_hsa_tree(world::hsa_tree());
    compiler
}

fn compile(objects: Vec<Object>, max_rows: RowLimits) -> (Compiler, Compilation) {
    let mut compiler = compiler(max_rows);
    objects.into_iter().for_each(|object| compiler.upsert(object));
    let compilation = compiler.compile();
    (compiler, compilation)
}

fn table(compilation: &Compilation) -> Table {
    assemble(&compilation.manifest, &compilation.shards).expect("we compiled it ourselves")
}

fn assemble(manifest: &Manifest, shards: &BTreeMap<Digest, Bytes>) -> Result<Table, rivmesh_table::TableError> {
    Table::assemble(manifest, None, &mut |digest| shards.get(&digest).cloned())
}

fn verdicts(compiler: &Compiler) -> BTreeMap<ObjectId, Verdict> {
    compiler.verdicts().map(|verdict| (verdict.id.clone(), verdict)).collect()
}

fn limits() -> impl Strategy<Value = RowLimits> {
    prop_oneof![
        3 => Just(RowLimits::default()),
        1 => (1u64..12, 1u64..12).prop_map(|(per_namespace, total)| RowLimits { per_namespace, total }),
    ]
}

fn switches() -> impl Strategy<Value = Switches> {
    let lookup = || any::<(bool, bool)>().prop_map(|(hierarchy, default)| Lookup { hierarchy, default });
    (lookup(), lookup()).prop_map(|(routing, authorization)| Switches { routing, authorization })
}

fn query(question: &Question) -> Query<'static> {
    let Question { consumer, contract, address, profile, now } = *question;
    Query { consumer, contract, address, profile, now }
}

fn answer(decision: &Decision<'_>) -> Answer {
    Answer {
        route: match &decision.route {
            Ok(route) => {
                let object = format!("{}/{}", route.owner.namespace, route.owner.name);
                Some((object, route.profile.to_lowercase()))
            }
            Err(RouteError::None) => None,
            Err(error) => panic!("the compiler let it happen: {error}"),
        },
        authorized: decision.authorization.is_ok(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_order_of_objects_gives_the_same_bytes(
        (objects, shuffled) in world::objects().prop_flat_map(|o| (Just(o.clone()), Just(o).prop_shuffle())),
        max_rows in limits(),
    ) {
        let (one, first) = compile(objects, max_rows);
        let (other, second) = compile(shuffled, max_rows);
        prop_assert_eq!(first.manifest.encode(), second.manifest.encode());
        prop_assert_eq!(first.shards, second.shards);
        prop_assert_eq!(verdicts(&one), verdicts(&other));
    }

    #[test]
    fn an_incremental_compilation_is_a_full_one(events in world::events(), max_rows in limits()) {
        let mut incremental = compiler(max_rows);
        let mut objects = BTreeMap::new();
        let mut shards = BTreeMap::new();
        let mut told = BTreeMap::new();
        let mut held = Table::empty();
        for event in events.into_iter().chain([Event::Compile]) {
            match event {
                Event::Upsert(object) => {
                    objects.insert(object.id.clone(), (*object).clone());
                    incremental.upsert(*object);
                }
                Event::Remove(id) => {
                    objects.remove(&id);
                    incremental.remove(&id);
                }
                Event::Compile => {
                    let Compilation { manifest, shards: new, changed } = incremental.compile();
                    shards.extend(new);
                    let now = verdicts(&incremental);
                    let differ = now.iter().filter(|(id, verdict)| told.get(*id) != Some(*verdict));
                    for (id, _) in differ {
                        prop_assert!(changed.contains(id), "{} got another verdict unnoticed", id);
                    }
                    told = now;
                    held = Table::assemble(&manifest, Some(&held), &mut |digest| shards.get(&digest).cloned())
                        .expect("we compiled it ourselves");
                }
            }
        }
        let (full, compilation) = compile(objects.into_values().collect(), max_rows);
        prop_assert_eq!(&compilation.manifest, held.manifest());
        prop_assert_eq!(verdicts(&full), told);
        for (slot, shard) in &compilation.manifest.slots {
            prop_assert_eq!(held.shard(*slot), compilation.shards.get(&shard.digest));
        }
    }

    #[test]
    fn counts_are_what_the_table_holds(objects in world::objects(), max_rows in limits()) {
        let (compiler, compilation) = compile(objects, max_rows);
        let table = table(&compilation);
        prop_assert_eq!(compilation.manifest.counts.routes, table.routes().count() as u64);
        prop_assert_eq!(compilation.manifest.counts.authorizations, table.authorizations().count() as u64);
        prop_assert_eq!(compilation.manifest.counts.contracts, table.contracts().count() as u64);
        for verdict in compiler.verdicts() {
            prop_assert!(verdict.rows.programmed + verdict.rows.rejected <= verdict.rows.total);
            prop_assert!(verdict.errors.len() <= rivmesh_crds::limits::ROW_ERRORS as usize);
            prop_assert_eq!(verdict.rows.rejected == 0, verdict.errors.is_empty() || verdict.rows.total == 0);
        }
    }

    #[test]
    fn a_manifest_survives_its_bytes(objects in world::objects()) {
        let (_, compilation) = compile(objects, RowLimits::default());
        prop_assert_eq!(Manifest::decode(&compilation.manifest.encode()), Ok(compilation.manifest));
    }

    #[test]
    fn a_broken_shard_breaks_nothing(
        objects in world::objects(),
        questions in world::questions(),
        which in any::<prop::sample::Index>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), damage()), 1..4),
    ) {
        let (_, compilation) = compile(objects, RowLimits::default());
        let Compilation { mut manifest, mut shards, .. } = compilation;
        let slot = *which.get(&manifest.slots.keys().copied().collect::<Vec<_>>());
        let mut bytes = shards[&manifest.slots[&slot].digest].to_vec();
        for (place, damage) in damage {
            damage.apply(&mut bytes, place);
        }
        let size = bytes.len();
        let shard = SlotRef { digest: Digest::of(&bytes), len: size as u32 };
        shards.insert(shard.digest, bytes.into());
        manifest.slots.insert(slot, shard);
        let whole: usize = manifest.slots.values().map(|shard| shard.len as usize).sum();
        if let Ok(table) = assemble(&manifest, &shards) {
            prop_assert!(table.size() < 200_000 + 100 * whole, "{} bytes from {}", table.size(), whole);
            for question in &questions {
                let _ = table.decide(&query(question), &Switches::default());
                let _ = table.explain(&query(question), &Switches::default()).to_string();
            }
            let _ = (table.routes().count(), table.authorizations().count(), table.contracts().count());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_table_answers_like_the_model(
        objects in world::objects(),
        questions in world::questions(),
        switches in switches(),
    ) {
        let model = Model::new(&objects);
        let (_, compilation) = compile(objects, RowLimits::default());
        let table = table(&compilation);
        for question in &questions {
            let query = query(question);
            let decision = table.decide(&query, &switches);
            prop_assert_eq!(answer(&decision), model.ask(question, &switches), "{:?}", question);
            let explanation = table.explain(&query, &switches);
            let (_, routing, authorization) = table.decide_and_trail(&query, &switches);
            let trails = (routing, authorization);
            prop_assert_eq!((explanation.routing.trail, explanation.authorization.trail), trails);
        }
    }
}

/// What happens to bytes on their way.
#[derive(Debug, Clone)]
enum Damage {
    Set(u8),
    SetFour(u32),
    Cut,
    Insert(u8),
    Remove,
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        4 => any::<u8>().prop_map(Damage::Set),
        4 => prop_oneof![Just(u32::MAX), Just(0), 0u32..300, any::<u32>()].prop_map(Damage::SetFour),
        1 => Just(Damage::Cut),
        1 => any::<u8>().prop_map(Damage::Insert),
        1 => Just(Damage::Remove),
    ]
}

impl Damage {
    fn apply(self, bytes: &mut Vec<u8>, place: prop::sample::Index) {
        if bytes.is_empty() {
            return;
        }
        let at = place.index(bytes.len());
        match self {
            Self::Set(byte) => bytes[at] = byte,
            Self::SetFour(value) => {
                bytes.iter_mut().skip(at).zip(value.to_le_bytes()).for_each(|(byte, new)| *byte = new);
            }
            Self::Cut => bytes.truncate(at),
            Self::Insert(byte) => bytes.insert(at, byte),
            Self::Remove => {
                bytes.remove(at);
            }
        }
    }
}
