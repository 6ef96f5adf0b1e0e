//! Operators and dataplanes of two versions, as during an upgrade: the one before wrote and read format 1 alone. Whoever
//! meets whom, a table gets across, is known as one publication, and costs no shard that is held already.

mod support;

use std::ops::RangeInclusive;
use std::sync::Arc;

use bytes::Bytes;
use rivmesh_sync::wire::{self, client_message};
use rivmesh_sync::{Admission, Client, Event, Identity, Incomplete, Published, ServerStream, Step};
use rivmesh_table::{Digest, FORMAT, FORMATS, Manifest, OLDEST_FORMAT, Table, UnknownFormat};
use support::pair::{Pair, START};
use support::{Publisher, environment};

/// What the version before reads and writes.
const BEFORE: RangeInclusive<u32> = OLDEST_FORMAT..=OLDEST_FORMAT;

fn operator(format: u32) -> Publisher {
    Publisher::of(Some(environment("test")), format)
}

/// A dataplane of the same environment.
fn dataplane(formats: RangeInclusive<u32>) -> Client {
    Client::reading(Identity { environment: Some(environment("test")), ..Identity::named("pod-1") }, formats)
}

fn pair(formats: RangeInclusive<u32>, published: &Arc<Published>, table: Table) -> Pair {
    Pair::of(dataplane(formats), Some(published.clone()), table).connect()
}

fn hello(oldest_format: u32, newest_format: u32, applied: Option<Digest>) -> wire::ClientMessage {
    let applied = applied.map(|digest| Bytes::copy_from_slice(digest.as_bytes())).unwrap_or_default();
    let hello = wire::Hello { pod: "pod".to_owned(), oldest_format, newest_format, applied, ..wire::Hello::default() };
    wire::ClientMessage { kind: Some(client_message::Kind::Hello(hello)) }
}

fn last_applied(pair: &Pair) -> Option<Digest> {
    match pair.events.last() {
        Some(Event::Applied { digest, .. }) => Some(*digest),
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_dataplane_gets_the_newest_format_that_it_reads() {
    for written in FORMATS {
        for read in FORMATS {
            let mut operator = operator(written);
            let published = operator.publish_route("E001", 1);
            let mut pair = pair(OLDEST_FORMAT..=read, &published, Table::empty());
            let expected = written.min(read);
            assert_eq!(pair.table.manifest().format, expected, "written {written}, read {read}");
            assert_eq!(pair.table.manifest().environment.is_some(), expected == FORMAT);
            // However the dataplane calls it, it is one publication.
            assert_eq!(last_applied(&pair), Some(published.digest()));
            let next = operator.publish_route("E201", 1);
            pair.sent.clear();
            pair.publish(next.clone(), START);
            assert_eq!(last_applied(&pair), Some(next.digest()));
            let offer = pair.manifests_sent()[0];
            assert_eq!(offer.base, published.manifest().digest_in(expected).as_bytes().as_slice(), "a patch");
            assert_eq!((pair.closed, pair.refusals), (None, vec![]), "written {written}, read {read}");
        }
    }
}

#[test]
fn a_refusal_names_the_publication_whatever_format_was_sent() {
    let mut operator = operator(FORMAT);
    let mut bad = operator.publish_route("E001", 1).manifest().clone();
    bad.counts.routes += 1;
    let bad = operator.publish_as(&bad);
    for formats in [BEFORE, FORMATS] {
        let mut pair = pair(formats, &bad, Table::empty());
        let Some(Event::Rejected { digest, epoch: 2, .. }) = pair.events.last() else { panic!("{:?}", pair.events) };
        assert_eq!(*digest, bad.digest());
        // It waits before it is offered again, and does not come by another name meanwhile.
        pair.sent.clear();
        assert!(pair.server.tick(START).is_empty() && pair.server.deadline().is_some());
        pair.publish(bad.clone(), START);
        assert_eq!(pair.sent, []);
    }
}

#[test]
fn a_dataplane_goes_from_a_new_operator_to_an_old_one_and_back_without_a_shard() {
    let (mut new, mut old) = (operator(FORMAT), operator(OLDEST_FORMAT));
    let (by_new, by_old) = (new.publish_route("E001", 1), old.publish_route("E001", 1));
    assert_eq!(by_old.digest(), by_new.manifest().digest_in(OLDEST_FORMAT));

    let at_new = pair(FORMATS, &by_new, Table::empty());
    assert_eq!(at_new.table.digest(), by_new.digest());

    // The old operator does not know what is served, and sends the list again, but nothing else.
    let at_old = at_new.reconnect(by_old.clone());
    assert_eq!(at_old.table.digest(), by_old.digest());
    assert_eq!((at_old.manifests_sent().len(), at_old.shards_sent().len()), (1, 0));
    assert_eq!(last_applied(&at_old), Some(by_old.digest()));

    // The new one does: it is its own table, of which it says in a few bytes how it is written now.
    let at_new = at_old.reconnect(by_new.clone());
    assert_eq!(at_new.table.digest(), by_new.digest());
    let Some(Event::Hello { applied, .. }) = at_new.events.first() else { panic!("{:?}", at_new.events) };
    assert_eq!(*applied, Some(by_new.digest()));
    let offer = at_new.manifests_sent()[0];
    assert_eq!(offer.base, by_old.digest().as_bytes().as_slice());
    assert!(offer.data.len() < 100, "{} bytes", offer.data.len());
    assert_eq!((at_new.manifests_sent().len(), at_new.shards_sent().len()), (1, 0));

    // Two replicas of one version transfer nothing at all.
    let mut other = operator(FORMAT);
    let at_other = at_new.reconnect(other.publish_route("E001", 1));
    assert_eq!((at_other.manifests_sent()[0].data.len(), at_other.shards_sent().len()), (0, 0));

    // What changes at the old operator meanwhile arrives there as at any other.
    let mut at_old = at_other.reconnect(by_old);
    let next = old.publish_route("E001", 2);
    at_old.publish(next.clone(), START);
    assert_eq!((at_old.table.digest(), at_old.refusals, at_old.closed), (next.digest(), vec![], None));
}

#[test]
fn an_old_dataplane_at_a_new_operator_holds_what_it_would_hold_at_an_old_one() {
    let (mut new, mut old) = (operator(FORMAT), operator(OLDEST_FORMAT));
    let (by_new, by_old) = (new.publish_route("E001", 1), old.publish_route("E001", 1));
    let pair = pair(BEFORE, &by_old, Table::empty()).reconnect(by_new.clone());
    assert_eq!(pair.table.digest(), by_old.digest());
    assert_eq!((pair.manifests_sent()[0].data.len(), pair.shards_sent().len()), (0, 0), "it is up to date");
    assert_eq!(last_applied(&pair), Some(by_new.digest()));
}

#[test]
fn a_dataplane_that_an_upgrade_restarted_takes_its_old_table_along() {
    let mut operator = operator(FORMAT);
    operator.publish_route("E001", 1);
    // An earlier table of this operator, saved in format 1 by the dataplane before the restart.
    let saved = operator.table_in(OLDEST_FORMAT);
    let published = operator.publish_route("E201", 1);
    let pair = pair(FORMATS, &published, saved);
    assert_eq!(pair.table.digest(), published.digest());
    assert!(!pair.manifests_sent()[0].base.is_empty(), "the manifest is a patch on one of another format");
    assert_eq!(pair.shards_sent().len(), 1, "the shard that is new");
}

#[test]
fn where_nobody_reads_what_is_written_the_older_side_is_named() {
    let published = operator(FORMAT).publish_route("E001", 1);
    for (oldest, newest, older) in [(3, 9, "upgrade this operator"), (0, 0, "upgrade the dataplane")] {
        let mut server = ServerStream::new(Some(published.clone()), Admission::default(), START);
        let steps = server.message(hello(oldest, newest, None), START);
        let [Step::Tell(Event::Hello { .. }), Step::Close(reason)] = &steps[..] else { panic!("{steps:?}") };
        for words in ["writes table formats 1 to 2", &format!("reads {oldest} to {newest}"), older] {
            assert!(reason.contains(words), "{reason}");
        }
    }
}

#[test]
fn a_format_that_was_not_asked_for_is_refused() {
    // This operator ignores what the dataplane said of itself.
    let published = operator(FORMAT).publish_route("E001", 1);
    let mut server = ServerStream::new(Some(published), Admission::default(), START);
    let steps = server.message(hello(OLDEST_FORMAT, FORMAT, None), START);
    let Some(Step::Send(offer)) = steps.last() else { panic!("{steps:?}") };
    let mut client = dataplane(BEFORE);
    client.connected(&Table::empty());
    let actions = client.message(offer.clone(), &Table::empty(), START);
    let words = format!("{actions:?}");
    assert!(words.contains("the table has format 2, and this dataplane reads 1 to 1"), "{words}");
}

#[test]
fn a_digest_that_nobody_here_published_stays_what_it_is() {
    let published = operator(FORMAT).publish_route("E001", 1);
    let foreign = Digest::of(b"of another operator");
    let mut server = ServerStream::new(Some(published), Admission::default(), START);
    let steps = server.message(hello(1, 2, Some(foreign)), START);
    let Step::Tell(Event::Hello { applied, .. }) = &steps[0] else { panic!("{steps:?}") };
    assert_eq!(*applied, Some(foreign));
}

#[test]
fn a_table_in_a_format_that_nobody_reads_is_not_published() {
    let manifest = Manifest { format: FORMAT + 1, ..Manifest::default() };
    let error = Published::new(manifest, &std::collections::BTreeMap::new(), None).expect_err("unknown");
    assert_eq!(error, Incomplete::Format(UnknownFormat(FORMAT + 1)));
}
