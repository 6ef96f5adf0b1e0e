//! The two machines against each other and against a peer that does not keep to the protocol.

mod support;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rivmesh_sync::wire::{self, client_message, server_message};
use rivmesh_sync::{Action, Admission, Client, Event, Identity, PodIdentity, Published, ServerStream, Step, limits};
use rivmesh_table::{Digest, FORMAT, SlotRef, Table};
use support::pair::{Pair, START};
use support::{Publisher, environment};

fn manifest_of(steps: &[Step]) -> wire::Manifest {
    let manifest = steps.iter().find_map(|step| match step {
        Step::Send(wire::ServerMessage { kind: Some(server_message::Kind::Manifest(manifest)) }) => Some(manifest),
        _ => None,
    });
    manifest.cloned().expect("a manifest is sent")
}

fn say(kind: client_message::Kind) -> wire::ClientMessage {
    wire::ClientMessage { kind: Some(kind) }
}

fn hello() -> wire::ClientMessage {
    Client::new(Identity::named("pod")).connected(&Table::empty())
}

fn bytes(digest: Digest) -> Bytes {
    Bytes::copy_from_slice(digest.as_bytes())
}

#[test]
fn a_new_dataplane_gets_the_whole_table() {
    let mut publisher = Publisher::new();
    let published = publisher.publish_route("E001", 1);
    let pair = Pair::new(Some(published.clone()), Table::empty()).connect();
    assert_eq!(pair.table.digest(), published.digest());
    let expected = [
        Event::Hello { pod: "pod-1".to_owned(), applied: None },
        Event::Applied { digest: published.digest(), epoch: 1 },
    ];
    assert_eq!(pair.events, expected);
    assert_eq!(pair.closed, None);
}

#[test]
fn a_stream_waits_for_the_first_table() {
    let mut pair = Pair::new(None, Table::empty()).connect();
    assert!(pair.sent.is_empty());
    let published = Publisher::new().publish_route("E001", 1);
    pair.publish(published.clone(), START);
    assert_eq!(pair.table.digest(), published.digest());
}

#[test]
fn a_dataplane_that_is_up_to_date_is_told_so_and_sent_nothing_more() {
    let mut publisher = Publisher::new();
    let published = publisher.publish_route("E001", 1);
    let pair = Pair::new(Some(published.clone()), publisher.table()).connect();
    assert_eq!(pair.sent.len(), 1);
    assert_eq!(pair.events.last(), Some(&Event::Applied { digest: published.digest(), epoch: 1 }));
}

#[test]
fn another_replica_that_compiled_the_same_objects_transfers_nothing() {
    let mut one = Publisher::new();
    one.publish_route("E001", 1);
    one.publish_route("E201", 1);
    let mut other = Publisher::new();
    other.compiler.upsert(support::route("E201", 1));
    let published = other.publish_route("E001", 1);
    let pair = Pair::new(Some(published), one.table()).connect();
    assert_eq!(pair.shards_sent(), Vec::<&wire::Shard>::new());
    assert!(matches!(pair.events[1], Event::Applied { epoch: 1, .. }));
}

#[test]
fn a_change_travels_as_patches_on_what_is_held() {
    let mut publisher = Publisher::new();
    for number in 100..150 {
        publisher.compiler.upsert(support::route(&format!("E{number}00"), 1));
    }
    // These fifty share a slot, whose shard is then worth a patch.
    for number in 0..50 {
        publisher.compiler.upsert(support::route(&format!("F0{number:02}"), 1));
    }
    let first = publisher.publish();
    let mut pair = Pair::new(Some(first.clone()), Table::empty()).connect();
    let whole: usize = pair.shards_sent().iter().map(|shard| shard.data.len()).sum();
    pair.sent.clear();

    let second = publisher.publish_route("F007", 2);
    pair.publish(second.clone(), START);
    assert_eq!(pair.table.digest(), second.digest());
    let manifest = pair.manifests_sent()[0];
    assert_eq!(manifest.base, bytes(first.digest()));
    assert!(manifest.data.len() < 150, "{} bytes", manifest.data.len());
    let shards = pair.shards_sent();
    assert_eq!(shards.len(), 1);
    assert!(!shards[0].base.is_empty());
    assert!(shards[0].data.len() * 5 < whole, "{} of {whole} bytes", shards[0].data.len());
}

#[test]
fn a_base_that_the_operator_no_longer_keeps_means_whole_shards() {
    let mut publisher = Publisher::new();
    publisher.publish_route("E001", 1);
    let old = publisher.table();
    for generation in 2..(3 + limits::KEPT_MANIFESTS as i64) {
        publisher.publish_route("E001", generation);
    }
    let pair = Pair::new(publisher.latest.clone(), old).connect();
    assert!(pair.shards_sent().iter().all(|shard| shard.base.is_empty()));
    assert!(pair.manifests_sent()[0].base.is_empty());
    assert_eq!(pair.table.digest(), publisher.latest.as_ref().map(|latest| latest.digest()).expect("published"));
}

#[test]
fn tables_published_during_a_transfer_coalesce_to_the_newest() {
    let mut publisher = Publisher::new();
    let first = publisher.publish_route("E001", 1);
    let mut server = ServerStream::new(Some(first.clone()), Admission::default(), START);
    let steps = server.message(hello(), START);
    assert_eq!(manifest_of(&steps).epoch, 1);
    for generation in 2..5 {
        let steps = server.published(publisher.publish_route("E001", generation), START);
        assert!(steps.is_empty(), "one manifest is in flight: {steps:?}");
    }
    let applied = wire::Applied { digest: bytes(first.digest()) };
    let steps = server.message(say(client_message::Kind::Applied(applied)), START);
    let next = manifest_of(&steps);
    assert_eq!(next.epoch, 4);
    assert_eq!(next.base, bytes(first.digest()));
}

#[test]
fn a_stream_finishes_the_transfer_that_it_began_although_newer_tables_appear() {
    let mut publisher = Publisher::new();
    let first = publisher.publish_route("E001", 1);
    let mut server = ServerStream::new(Some(first), Admission::default(), START);
    let mut client = Client::new(Identity::named("pod"));
    let table = Table::empty();
    let hello = client.connected(&table);
    let steps = server.message(hello, START);
    let Step::Send(manifest) = &steps[1] else { panic!("{steps:?}") };
    let actions = client.message(manifest.clone(), &table, START);
    let Action::Send(need) = &actions[0] else { panic!("{actions:?}") };
    for generation in 2..20 {
        server.published(publisher.publish_route("E001", generation), START);
    }
    let steps = server.message(need.clone(), START);
    let Step::Transfer(shipment) = &steps[0] else { panic!("{steps:?}") };
    assert!(shipment.message(0).is_some());
}

/// A table whose one shard has the digest that the manifest names, and nonsense for content.
fn nonsense(publisher: &mut Publisher) -> Arc<Published> {
    let mut manifest = publisher.compiler.compile().manifest;
    let garbage = Bytes::from_static(b"RVMR but not really a shard");
    let (&slot, _) = manifest.slots.iter().next().expect("a shard");
    let digest = Digest::of(&garbage);
    manifest.slots.insert(slot, SlotRef { digest, len: garbage.len() as u32 });
    publisher.shards.insert(digest, garbage);
    publisher.publish_as(&manifest)
}

#[test]
fn a_refused_table_leaves_the_old_one_and_names_the_place() {
    let mut publisher = Publisher::new();
    let good = publisher.publish_route("E001", 1);
    let mut pair = Pair::new(Some(good.clone()), Table::empty()).connect();
    let bad = nonsense(&mut publisher);
    pair.publish(bad.clone(), START);
    assert_eq!(pair.table.digest(), good.digest());
    let slot = *good.manifest().slots.keys().next().expect("a shard");
    let Some(Event::Rejected { digest, epoch: 2, slot: Some(named), reason, .. }) = pair.events.last() else {
        panic!("{:?}", pair.events)
    };
    assert_eq!((*digest, *named), (bad.digest(), slot));
    assert!(!reason.is_empty());
    assert_eq!(pair.refusals[0].slot, Some(slot));

    let mended = publisher.publish_route("E001", 2);
    pair.publish(mended.clone(), START);
    assert_eq!(pair.table.digest(), mended.digest());
}

#[test]
fn a_refused_table_is_offered_again_later_and_whole() {
    let mut publisher = Publisher::new();
    let good = publisher.publish_route("E001", 1);
    let mut pair = Pair::new(Some(good), Table::empty()).connect();
    let bad = nonsense(&mut publisher);
    pair.publish(bad, START);
    pair.sent.clear();
    let mut waits = Vec::new();
    let mut now = START;
    for _ in 0..7 {
        let deadline = pair.server.deadline().expect("another offer is due");
        assert!(pair.server.tick(deadline - Duration::from_millis(1)).is_empty());
        waits.push((deadline - now).as_secs());
        now = deadline;
        let steps = pair.server.tick(now);
        pair.follow(steps, now);
    }
    assert_eq!(waits, [30, 60, 120, 240, 480, 600, 600]);
    assert!(pair.manifests_sent()[0].base.is_empty());
    assert!(pair.shards_sent().iter().all(|shard| shard.base.is_empty()));
}

#[test]
fn a_silent_dataplane_is_named_and_then_given_up() {
    let published = Publisher::new().publish_route("E001", 1);
    let mut server = ServerStream::new(Some(published), Admission::default(), START);
    server.message(hello(), START);
    assert_eq!(server.deadline(), Some(limits::SILENT_AFTER));
    assert!(server.tick(limits::SILENT_AFTER - Duration::from_millis(1)).is_empty());
    let steps = server.tick(limits::SILENT_AFTER);
    assert!(matches!(steps[..], [Step::Tell(Event::Silent { epoch: 1 })]), "{steps:?}");
    assert!(server.tick(limits::SILENT_AFTER + Duration::from_secs(1)).is_empty(), "named once");
    assert_eq!(server.deadline(), Some(limits::GIVE_UP_AFTER));
    assert!(matches!(server.tick(limits::GIVE_UP_AFTER)[..], [Step::Close(_)]));
}

#[test]
fn an_operator_that_stalls_loses_its_stream() {
    let published = Publisher::new().publish_route("E001", 1);
    let mut server = ServerStream::new(Some(published), Admission::default(), START);
    let mut client = Client::new(Identity::named("pod"));
    let table = Table::empty();
    let steps = server.message(client.connected(&table), START);
    assert_eq!(client.deadline(), None, "an operator may take its time before the first table");
    let Step::Send(manifest) = &steps[1] else { panic!("{steps:?}") };
    client.message(manifest.clone(), &table, START);
    let deadline = client.deadline().expect("shards are awaited");
    assert!(client.tick(deadline - Duration::from_millis(1)).is_none());
    assert!(matches!(client.tick(deadline), Some(Action::Disconnect(_))));
}

#[test]
fn a_dataplane_that_breaks_the_protocol_loses_its_stream() {
    let published = Publisher::new().publish_route("E001", 1);
    let digest = bytes(published.digest());
    let (&slot, shard) = published.manifest().slots.iter().next().expect("a shard");
    let want = wire::Want { slot: u32::from(slot.number()), digest: bytes(shard.digest), base: Bytes::new() };
    let need = |wants| say(client_message::Kind::Need(wire::Need { digest: digest.clone(), wants }));
    let applied = |digest| say(client_message::Kind::Applied(wire::Applied { digest }));
    let rejected = wire::Rejected { digest: digest.clone(), slot: Some(70_000), row: None, reason: String::new() };
    let cases: Vec<(&str, Vec<wire::ClientMessage>)> = vec![
        ("nothing", vec![wire::ClientMessage { kind: None }]),
        ("no hello first", vec![applied(digest.clone())]),
        ("two hellos", vec![hello(), hello()]),
        ("an odd digest", vec![hello(), applied(Bytes::from_static(b"short"))]),
        ("another digest", vec![hello(), applied(bytes(Digest::of(b"other")))]),
        ("applied twice", vec![hello(), applied(digest.clone()), applied(digest.clone())]),
        ("no such slot", vec![hello(), need(vec![wire::Want { slot: 9_999, ..want.clone() }])]),
        (
            "another shard",
            vec![hello(), need(vec![wire::Want { digest: bytes(Digest::of(b"other")), ..want.clone() }])],
        ),
        ("a shard twice", vec![hello(), need(vec![want.clone(), want.clone()])]),
        ("needs twice", vec![hello(), need(vec![want.clone()]), need(vec![want])]),
        ("a slot that is none", vec![hello(), say(client_message::Kind::Rejected(rejected))]),
    ];
    for (name, messages) in cases {
        let mut server = ServerStream::new(Some(published.clone()), Admission::default(), START);
        let steps: Vec<Step> = messages.into_iter().flat_map(|message| server.message(message, START)).collect();
        assert!(matches!(steps.last(), Some(Step::Close(_))), "{name}: {steps:?}");
    }
}

/// The messages of an honest transfer to an empty dataplane: the manifest, then the shards.
fn honest(published: &Arc<Published>) -> (wire::Manifest, Vec<wire::Shard>) {
    let pair = Pair::new(Some(published.clone()), Table::empty()).connect();
    (pair.manifests_sent()[0].clone(), pair.shards_sent().into_iter().cloned().collect())
}

#[test]
fn a_dataplane_refuses_whatever_is_not_what_the_digests_say() {
    let mut publisher = Publisher::new();
    publisher.publish_route("E001", 1);
    let published = publisher.publish_route("E901", 1);
    let (manifest, shards) = honest(&published);
    let send = |manifest: wire::Manifest| wire::ServerMessage { kind: Some(server_message::Kind::Manifest(manifest)) };
    let flip = |data: &Bytes| {
        let mut data = data.to_vec();
        *data.last_mut().expect("not empty") ^= 1;
        Bytes::from(data)
    };

    let refused_manifests = [
        ("its length", wire::Manifest { length: manifest.length + 1, ..manifest.clone() }),
        ("a length beyond all bounds", wire::Manifest { length: u32::MAX, ..manifest.clone() }),
        ("its digest", wire::Manifest { digest: bytes(Digest::of(b"other")), ..manifest.clone() }),
        ("its bytes", wire::Manifest { data: flip(&manifest.data), ..manifest.clone() }),
        ("no bytes", wire::Manifest { data: Bytes::new(), ..manifest.clone() }),
        ("a base that is not held", wire::Manifest { base: bytes(Digest::of(b"other")), ..manifest.clone() }),
    ];
    for (name, manifest) in refused_manifests {
        let mut client = Client::new(Identity::named("pod"));
        client.connected(&Table::empty());
        let actions = client.message(send(manifest), &Table::empty(), START);
        assert!(matches!(actions[..], [Action::Send(_), Action::Refused(_)]), "{name}: {actions:?}");
    }

    let (first, rest) = shards.split_first().expect("two shards");
    let broken_shards = [
        ("its bytes", wire::Shard { data: flip(&first.data), ..first.clone() }),
        ("no bytes", wire::Shard { data: Bytes::new(), ..first.clone() }),
        ("other bytes", wire::Shard { data: rest[0].data.clone(), ..first.clone() }),
    ];
    for (name, shard) in broken_shards {
        let mut client = Client::new(Identity::named("pod"));
        let table = Table::empty();
        client.connected(&table);
        client.message(send(manifest.clone()), &table, START);
        let all = std::iter::once(&shard).chain(rest);
        let mut actions: Vec<Action> = all.flat_map(|shard| client.message(ship(shard), &table, START)).collect();
        let Some(Action::Assemble(transfer)) = actions.pop() else { panic!("{name}: {actions:?}") };
        let refusal = transfer.assemble(&table).expect_err(name);
        let told = refusal.to_string();
        assert!(refusal.slot.is_some() && told.matches("slot").count() == 1, "{name}: {told}");
        assert!(client.assembled(&Err(refusal)).is_some());
    }

    let protocol_breaks = [
        ("not wanted", wire::Shard { digest: bytes(Digest::of(b"other")), ..first.clone() }),
        ("a base not offered", wire::Shard { base: bytes(Digest::of(b"other")), ..first.clone() }),
        ("too long", wire::Shard { data: vec![0; 1 << 20].into(), ..first.clone() }),
    ];
    for (name, shard) in protocol_breaks {
        let mut client = Client::new(Identity::named("pod"));
        client.connected(&Table::empty());
        client.message(send(manifest.clone()), &Table::empty(), START);
        let actions = client.message(ship(&shard), &Table::empty(), START);
        assert!(matches!(actions[..], [Action::Disconnect(_)]), "{name}: {actions:?}");
    }
}

fn ship(shard: &wire::Shard) -> wire::ServerMessage {
    wire::ServerMessage { kind: Some(server_message::Kind::Shard(shard.clone())) }
}

#[test]
fn an_operator_that_speaks_out_of_turn_loses_its_stream() {
    let published = Publisher::new().publish_route("E001", 1);
    let (manifest, shards) = honest(&published);
    let manifest = wire::ServerMessage { kind: Some(server_message::Kind::Manifest(manifest)) };
    let table = Table::empty();
    let mut client = Client::new(Identity::named("pod"));
    client.connected(&table);
    assert!(matches!(client.message(ship(&shards[0]), &table, START)[..], [Action::Disconnect(_)]), "no shard yet");
    assert!(matches!(client.message(manifest.clone(), &table, START)[..], [Action::Send(_)]));
    assert!(matches!(client.message(manifest, &table, START)[..], [Action::Disconnect(_)]), "one in flight");
}

#[test]
fn the_words_of_a_dataplane_reach_a_log_bounded_and_harmless() {
    let published = Publisher::new().publish_route("E001", 1);
    let digest = bytes(published.digest());
    let mut server = ServerStream::new(Some(published), Admission::default(), START);
    let name = "pod\nforged ".repeat(100);
    let hello = wire::Hello { pod: name, oldest_format: FORMAT, newest_format: FORMAT, ..wire::Hello::default() };
    let steps = server.message(say(client_message::Kind::Hello(hello)), START);
    let Step::Tell(Event::Hello { pod, .. }) = &steps[0] else { panic!("{steps:?}") };
    assert!(pod.len() <= limits::MAX_POD_NAME && !pod.contains('\n'));
    let rejected = wire::Rejected { digest, slot: None, row: None, reason: "x\r\n".repeat(10_000) };
    let steps = server.message(say(client_message::Kind::Rejected(rejected)), START);
    let Step::Tell(Event::Rejected { reason, .. }) = &steps[0] else { panic!("{steps:?}") };
    assert!(reason.len() <= limits::MAX_REASON && !reason.contains('\n'));
}

#[test]
fn a_manifest_that_names_a_shard_nobody_gave_is_not_published() {
    let mut publisher = Publisher::new();
    publisher.compiler.upsert(support::route("E001", 1));
    let manifest = publisher.compiler.compile().manifest;
    let error = Published::new(manifest, &std::collections::BTreeMap::new(), None).expect_err("no shard");
    assert!(error.to_string().contains("was not given"), "{error}");
}

/// What a stream says to a hello of this identity.
fn greeted(admission: Admission, identity: Identity) -> Vec<Step> {
    let published = Publisher::new().publish_route("E001", 1);
    let mut server = ServerStream::new(Some(published), admission, START);
    server.message(Client::new(identity).connected(&Table::empty()), START)
}

#[test]
fn credentials_of_one_pod_do_not_serve_another() {
    let pod = |name: &str, uid: &str| PodIdentity { name: name.to_owned(), uid: uid.to_owned() };
    let identity = |pod: &str, pod_uid: &str| Identity { pod_uid: pod_uid.to_owned(), ..Identity::named(pod) };
    let admitted = |pod| Admission { pod: Some(pod), ..Admission::default() };
    for (credentials, said, is_good) in [
        (pod("a", "1"), identity("a", "1"), true),
        (pod("a", "1"), identity("b", "1"), false),
        (pod("a", "1"), identity("a", "2"), false),
        (pod("a", "1"), identity("a", ""), false),
    ] {
        let steps = greeted(admitted(credentials), said.clone());
        assert_eq!(!matches!(steps[..], [Step::Close(_)]), is_good, "{said:?}: {steps:?}");
    }
}

#[test]
fn environments_never_mix() {
    let named = |name: &str| (!name.is_empty()).then(|| environment(name));
    let admission = |ours: &str| Admission { environment: named(ours), ..Admission::default() };
    let identity = |theirs: &str| Identity { environment: named(theirs), ..Identity::named("a") };
    for (ours, theirs, is_good) in [
        ("production", "production", true),
        ("production", "Production", true),
        ("production", "test", false),
        ("test", "production", false),
        ("test", "", true),
        ("", "test", true),
    ] {
        let steps = greeted(admission(ours), identity(theirs));
        assert_eq!(!matches!(steps[..], [Step::Close(_)]), is_good, "{ours} and {theirs}: {steps:?}");
        if let [Step::Close(reason)] = &steps[..] {
            assert!(reason.contains(ours) && reason.contains(theirs), "{reason}");
        }
    }
}

#[test]
fn a_table_of_another_environment_is_refused_whoever_offers_it() {
    let named = |name: &str| (!name.is_empty()).then(|| environment(name));
    for (ours, theirs, is_good) in [
        ("production", "production", true),
        ("production", "PRODUCTION", true),
        ("production", "test", false),
        ("test", "production", false),
        ("production", "", true),
        ("", "test", true),
    ] {
        let published = Publisher::of(named(theirs), FORMAT).publish_route("E001", 1);
        let client = Client::new(Identity { environment: named(ours), ..Identity::named("a") });
        // This stream tells no environments apart, as an operator that is set up wrongly.
        let pair = Pair::of(client, Some(published.clone()), Table::empty()).connect();
        assert_eq!(!pair.table.is_empty(), is_good, "{ours} and {theirs}: {:?}", pair.events);
        assert_eq!(pair.closed, None);
        if is_good {
            continue;
        }
        assert_eq!(pair.shards_sent(), Vec::<&wire::Shard>::new(), "nothing of it is fetched");
        let Some(Event::Rejected { digest, reason, .. }) = pair.events.last() else { panic!("{:?}", pair.events) };
        assert_eq!(*digest, published.digest());
        for words in [&*format!("environment {theirs}"), &format!("belongs to {ours}"), "environments never mix"] {
            assert!(reason.contains(words), "{reason}");
        }
        assert_eq!(pair.refusals[0].reason, *reason, "both sides know why");
    }
}

#[test]
fn a_dataplane_that_has_a_table_of_its_own_keeps_it_when_it_is_offered_one_of_another_environment() {
    let identity = Identity { environment: Some(environment("production")), ..Identity::named("a") };
    let good = Publisher::of(identity.environment.clone(), FORMAT).publish_route("E001", 1);
    let bad = Publisher::of(Some(environment("test")), FORMAT).publish_route("E001", 1);
    let pair = Pair::of(Client::new(identity), Some(good.clone()), Table::empty()).connect();
    // Its content is the same, but that is not for the dataplane to rely on.
    let pair = pair.reconnect(bad);
    assert_eq!((pair.table.digest(), pair.refusals.len()), (good.digest(), 1));
}

#[test]
fn an_old_stream_ends_in_peace_once_its_credentials_can_be_judged() {
    let longest = Duration::from_secs(1800);
    let admission = Admission { longest: Some(longest), ..Admission::default() };
    let mut server = ServerStream::new(None, admission, START);
    server.message(hello(), START);
    assert_eq!(server.deadline(), Some(longest));
    assert!(server.tick(longest - Duration::from_millis(1)).is_empty());
    assert!(matches!(server.tick(longest)[..], [Step::Review]));
    assert!(server.tick(longest).is_empty(), "asked once");
    assert!(server.reviewed(false, longest).is_empty(), "a good stream stays while nobody can judge it");
    let again = longest + limits::REVIEW_AGAIN;
    assert_eq!(server.deadline(), Some(again));
    assert!(matches!(server.tick(again)[..], [Step::Review]));
    assert!(matches!(server.reviewed(true, again)[..], [Step::Retire]));
}
