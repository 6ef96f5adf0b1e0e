//! A whole control plane on a directory, with dataplanes on its pipe.

mod support;

use std::sync::Arc;

use rivmesh_crds::{ConditionStatus, ConditionType, Reason};
use rivmesh_operator::ledger::Snapshot;
use rivmesh_operator::notice::Notice;
use rivmesh_operator::{ControlPlane, Options};
use rivmesh_sync::Identity;
use rivmesh_sync::feed::Source;
use rivmesh_sync::wire::{self, client_message, server_message};
use rivmesh_table::{CompileOptions, Environment, OLDEST_FORMAT};
use support::{Dataplane, route, route_id, soon, write};
use tempfile::TempDir;

struct World {
    manifests: TempDir,
    state: TempDir,
    store: TempDir,
}

impl World {
    fn new() -> Self {
        let directory = || tempfile::tempdir().expect("a directory");
        Self { manifests: directory(), state: directory(), store: directory() }
    }

    fn write(&self, name: &str, content: &str) {
        write(self.manifests.path(), name, content);
    }

    fn remove(&self, name: &str) {
        std::fs::remove_file(self.manifests.path().join(name)).expect("removed");
    }

    fn start(&self) -> ControlPlane {
        self.start_in(None)
    }

    fn start_in(&self, environment: Option<Environment>) -> ControlPlane {
        let (manifests, state) = (self.manifests.path().to_owned(), Some(self.state.path().to_owned()));
        let compile = CompileOptions { environment, ..CompileOptions::default() };
        let (control_plane, _) =
            ControlPlane::start(Options { manifests, state, compile, ..Options::default() }).expect("starts");
        control_plane
    }

    fn dataplane(&self, control_plane: &ControlPlane) -> Dataplane {
        Dataplane::start(control_plane.connector(), Some(self.store.path().to_owned()))
    }
}

async fn until(control_plane: &ControlPlane, what: &str, is_it: impl FnMut(&Arc<Snapshot>) -> bool) -> Arc<Snapshot> {
    let mut snapshots = control_plane.snapshots();
    soon(what, async { snapshots.wait_for(is_it).await.expect("it runs").clone() }).await
}

/// Status and reason of an object's condition.
fn condition(control_plane: &ControlPlane, name: &str, condition: ConditionType) -> Option<(ConditionStatus, String)> {
    let object = control_plane.object(&route_id(name))?;
    let found = object.status.conditions.into_iter().find(|found| found.is(condition))?;
    Some((found.status, found.reason))
}

async fn until_condition(
    control_plane: &ControlPlane,
    name: &str,
    which: ConditionType,
    status: ConditionStatus,
    reason: Reason,
) {
    let wanted = Some((status, reason.as_str().to_owned()));
    until(control_plane, reason.as_str(), |_| condition(control_plane, name, which) == wanted).await;
}

#[tokio::test]
async fn manifests_become_a_table_and_edits_follow() {
    let world = World::new();
    world.write("a.yaml", &route("a", 1, "https://one.example/x"));
    let control_plane = world.start();
    let dataplane = world.dataplane(&control_plane);
    dataplane.until_url("https://one.example/x").await;
    until_condition(&control_plane, "a", ConditionType::Ready, ConditionStatus::True, Reason::Ready).await;

    world.write("a.yaml", &route("a", 1, "https://two.example/x"));
    dataplane.until_url("https://two.example/x").await;
    until(&control_plane, "generation 2", |_| {
        control_plane.object(&route_id("a")).is_some_and(|object| object.generation == 2)
    })
    .await;

    world.write("b.yaml", &route("b", 2, "https://two.example/x"));
    dataplane.until_table("three routes", |table| table.manifest().counts.routes == 3).await;
    world.remove("a.yaml");
    dataplane.until_table("two routes", |table| table.manifest().counts.routes == 2).await;
    until(&control_plane, "its end", |snapshot| snapshot.objects == 1 && snapshot.not_ready == 0).await;
    dataplane.stop().await;
}

#[tokio::test]
async fn a_broken_file_is_told_and_harms_nothing() {
    let world = World::new();
    world.write("a.yaml", &route("a", 1, "https://one.example/x"));
    let control_plane = world.start();
    let mut notices = control_plane.notices();
    let dataplane = world.dataplane(&control_plane);
    dataplane.until_url("https://one.example/x").await;
    world.write("a.yaml", "apiVersion: rivmesh.io/v1alpha1\nkind: RoutingEntry\nmetadata: {name: a}\nspec: {\n");
    let snapshot = until(&control_plane, "a problem", |snapshot| !snapshot.problems.is_empty()).await;
    assert!(snapshot.problems[0].to_string().starts_with("a.yaml:"), "{:?}", snapshot.problems);
    assert_eq!(dataplane.url().as_deref(), Some("https://one.example/x"));

    world.write("a.yaml", &route("a", 1, "https://two.example/x"));
    dataplane.until_url("https://two.example/x").await;
    until(&control_plane, "mended", |snapshot| snapshot.problems.is_empty()).await;
    let mut lines = Vec::new();
    while let Ok(notice) = notices.try_recv() {
        lines.push(notice.to_string());
    }
    assert!(lines.iter().any(|line| line.starts_with("mended: a.yaml:")), "{lines:#?}");
    dataplane.stop().await;
}

#[tokio::test]
async fn a_dataplane_without_an_operator_serves_from_disk() {
    let world = World::new();
    world.write("a.yaml", &route("a", 1, "https://one.example/x"));
    let control_plane = world.start();
    let dataplane = world.dataplane(&control_plane);
    dataplane.until_url("https://one.example/x").await;
    dataplane.stop().await;
    let connector = control_plane.connector();
    drop(control_plane);

    let dataplane = Dataplane::start(connector, Some(world.store.path().to_owned()));
    let status = dataplane.until("an error", |status| status.last_error.is_some()).await;
    assert_eq!(dataplane.url().as_deref(), Some("https://one.example/x"));
    assert_eq!(status.source, Source::Disk);
    assert!(!status.connected && !status.operator_answered && status.since.is_some());
    dataplane.stop().await;
}

#[tokio::test]
async fn a_dataplane_with_the_right_table_on_disk_is_confirmed() {
    let world = World::new();
    world.write("a.yaml", &route("a", 1, "https://one.example/x"));
    let control_plane = world.start();
    let dataplane = world.dataplane(&control_plane);
    dataplane.until_url("https://one.example/x").await;
    dataplane.stop().await;
    let dataplane = world.dataplane(&control_plane);
    let status = dataplane.until("an answer", |status| status.operator_answered).await;
    assert_eq!(status.source, Source::Operator);
    dataplane.stop().await;
}

#[tokio::test]
async fn an_object_without_a_dataplane_waits_for_one_and_stays_in_force_without() {
    let world = World::new();
    world.write("a.yaml", &route("a", 1, "https://one.example/x"));
    let control_plane = world.start();
    let (programmed, unknown) = (ConditionType::Programmed, ConditionStatus::Unknown);
    until_condition(&control_plane, "a", programmed, unknown, Reason::NoDataplane).await;
    let dataplane = world.dataplane(&control_plane);
    until_condition(&control_plane, "a", programmed, ConditionStatus::True, Reason::Programmed).await;
    dataplane.stop().await;
    until(&control_plane, "no dataplane", |snapshot| snapshot.dataplanes.is_empty()).await;
    assert_eq!(condition(&control_plane, "a", programmed), Some((ConditionStatus::True, "Programmed".to_owned())));

    // Another judgement of the same generation does not take it back either.
    let contract = "apiVersion: rivmesh.io/v1alpha1\nkind: ServiceContract\nmetadata: {name: x}\nspec: {urn: 'urn:riv:x:XResponder:1'}\n";
    world.write("x.yaml", contract);
    let resolved = ConditionType::ResolvedRefs;
    until_condition(&control_plane, "a", resolved, ConditionStatus::True, Reason::ResolvedRefs).await;
    assert_eq!(condition(&control_plane, "a", programmed), Some((ConditionStatus::True, "Programmed".to_owned())));
}

#[tokio::test]
async fn a_refusal_by_a_dataplane_reaches_the_objects_that_wait_for_it() {
    let world = World::new();
    world.write("a.yaml", &route("a", 1, "https://one.example/x"));
    let control_plane = world.start();
    let mut notices = control_plane.notices();
    let mut stream = soon("a stream", control_plane.connector().open()).await.expect("opens");
    let say = |kind| wire::ClientMessage { kind: Some(kind) };
    let hello = wire::Hello { pod: "old-pod".to_owned(), oldest_format: 1, newest_format: 1, ..Default::default() };
    stream.send(say(client_message::Kind::Hello(hello))).await.expect("sent");
    let message = soon("a manifest", stream.receive()).await.expect("received").expect("not ended");
    let Some(server_message::Kind::Manifest(manifest)) = message.kind else { panic!("{message:?}") };
    let reason = "row is not sorted".to_owned();
    let rejected = wire::Rejected { digest: manifest.digest, slot: Some(7), row: Some(3), reason };
    stream.send(say(client_message::Kind::Rejected(rejected))).await.expect("sent");

    until_condition(&control_plane, "a", ConditionType::Programmed, ConditionStatus::False, Reason::Rejected).await;
    let object = control_plane.object(&route_id("a")).expect("known");
    let found = object.status.conditions.iter().find(|found| found.is(ConditionType::Programmed)).expect("there");
    for words in ["old-pod refused table", "at slot 7, row 3: row is not sorted", "still serves no table"] {
        assert!(found.message.contains(words), "{}", found.message);
    }
    assert_eq!(object.status.rows.programmed, 0);
    let told = soon("a notice", async {
        loop {
            if let Notice::Refused { refused, .. } = notices.recv().await.expect("it runs") {
                return refused;
            }
        }
    })
    .await;
    assert_eq!((told.row, told.epoch), (Some(3), 1));

    world.write("a.yaml", &route("a", 1, "https://two.example/x"));
    let message = soon("a manifest", stream.receive()).await.expect("received").expect("not ended");
    let Some(server_message::Kind::Manifest(manifest)) = message.kind else { panic!("{message:?}") };
    let applied = wire::Applied { digest: manifest.digest };
    stream.send(say(client_message::Kind::Applied(applied))).await.expect("sent");
    until_condition(&control_plane, "a", ConditionType::Ready, ConditionStatus::True, Reason::Ready).await;
}

#[tokio::test]
async fn a_dataplane_that_reads_an_older_format_counts_like_any_other() {
    let world = World::new();
    world.write("a.yaml", &route("a", 1, "https://one.example/x"));
    let control_plane = world.start_in(Some("test".parse().expect("a name")));
    let dataplane = world.dataplane(&control_plane);
    until_condition(&control_plane, "a", ConditionType::Programmed, ConditionStatus::True, Reason::Programmed).await;

    let mut old = soon("a stream", control_plane.connector().open()).await.expect("opens");
    let say = |kind| wire::ClientMessage { kind: Some(kind) };
    let formats = OLDEST_FORMAT..=OLDEST_FORMAT;
    let hello = wire::Hello {
        pod: "old-pod".to_owned(),
        oldest_format: *formats.start(),
        newest_format: *formats.end(),
        ..Default::default()
    };
    old.send(say(client_message::Kind::Hello(hello))).await.expect("sent");
    world.write("a.yaml", &route("a", 1, "https://two.example/x"));
    for url in ["https://one.example/x", "https://two.example/x"] {
        let message = soon("a manifest", old.receive()).await.expect("received").expect("not ended");
        let Some(server_message::Kind::Manifest(manifest)) = message.kind else { panic!("{message:?}") };
        dataplane.until_url(url).await;
        let called = dataplane.table().manifest().digest_in(OLDEST_FORMAT);
        assert_eq!(manifest.digest, called.as_bytes().as_slice(), "the same table in its own words");
        if url == "https://two.example/x" {
            assert_ne!(
                condition(&control_plane, "a", ConditionType::Programmed).map(|(status, _)| status),
                Some(ConditionStatus::True),
                "the old one is waited for"
            );
        }
        let applied = wire::Applied { digest: manifest.digest };
        old.send(say(client_message::Kind::Applied(applied))).await.expect("sent");
    }
    until_condition(&control_plane, "a", ConditionType::Ready, ConditionStatus::True, Reason::Ready).await;
    let snapshot = control_plane.snapshots().borrow().clone();
    let published = snapshot.published.expect("published").digest;
    let applied: Vec<_> = snapshot.dataplanes.iter().map(|dataplane| dataplane.applied).collect();
    assert_eq!(applied, [Some(published); 2], "both have the one table that is published");
    dataplane.stop().await;
}

#[tokio::test]
async fn a_table_is_for_one_environment_and_nobody_in_another_gets_it() {
    let world = World::new();
    world.write("a.yaml", &route("a", 1, "https://one.example/x"));
    let control_plane = world.start_in(Some("production".parse().expect("a name")));
    let named = |name: &str| Identity { environment: Some(name.parse().expect("a name")), ..Identity::named(name) };
    let ours = Dataplane::start_as(named("Production"), control_plane.connector(), None);
    ours.until_url("https://one.example/x").await;
    let environment = ours.table().manifest().environment.clone();
    assert_eq!(environment.map(String::from).as_deref(), Some("production"));
    ours.stop().await;

    let other = Dataplane::start_as(named("test"), control_plane.connector(), None);
    let status = other.until("a refusal", |status| status.last_error.is_some()).await;
    let words = status.last_error.expect("there is one");
    assert!(words.contains("serves environment production") && words.contains("belongs to test"), "{words}");
    assert!(other.table().is_empty());
    other.stop().await;
}

#[tokio::test]
async fn a_table_that_shrank_too_much_is_held_until_it_is_released() {
    let world = World::new();
    world.write("a.yaml", &route("a", 200, "https://one.example/x"));
    world.write("b.yaml", &route("b", 10, "https://one.example/x"));
    let control_plane = world.start();
    let dataplane = world.dataplane(&control_plane);
    dataplane.until_table("all routes", |table| table.manifest().counts.routes == 210).await;

    world.remove("a.yaml");
    let snapshot = until(&control_plane, "a held table", |snapshot| snapshot.held.is_some()).await;
    let held = snapshot.held.clone().expect("held");
    let words = held.to_string();
    for part in [&*held.digest.to_string(), "10 routes instead of 210", "RoutingEntry default/a", "revocations too"] {
        assert!(words.contains(part), "{words}");
    }
    // What is held waits, and an edit beside it waits with it.
    world.write("c.yaml", &route("c", 1, "https://one.example/x"));
    until_condition(&control_plane, "c", ConditionType::Programmed, ConditionStatus::False, Reason::Held).await;
    assert_eq!(dataplane.table().manifest().counts.routes, 210);

    let snapshot = until(&control_plane, "the newer table", |snapshot| {
        snapshot.held.as_ref().is_some_and(|now| now.digest != held.digest)
    })
    .await;
    let release = world.state.path().join("release");
    assert!(held.release.contains(&release.display().to_string()), "{}", held.release);
    std::fs::write(&release, snapshot.held.as_ref().expect("held").digest.to_string()).expect("written");
    dataplane.until_table("the small table", |table| table.manifest().counts.routes == 11).await;
    until(&control_plane, "no held table", |snapshot| snapshot.held.is_none()).await;
    assert!(!release.exists());
    dataplane.stop().await;
}

#[tokio::test]
async fn a_held_table_is_released_by_its_digest_or_by_mending_it() {
    let world = World::new();
    world.write("a.yaml", &route("a", 200, "https://one.example/x"));
    let control_plane = world.start();
    until(&control_plane, "the table", |snapshot| snapshot.published.is_some()).await;
    world.remove("a.yaml");
    until(&control_plane, "a held table", |snapshot| snapshot.held.is_some()).await;
    world.write("a.yaml", &route("a", 200, "https://one.example/x"));
    until(&control_plane, "mended", |snapshot| snapshot.held.is_none() && snapshot.not_ready == 1).await;

    world.remove("a.yaml");
    let snapshot = until(&control_plane, "a held table", |snapshot| snapshot.held.is_some()).await;
    control_plane.release(snapshot.held.as_ref().expect("held").digest);
    until(&control_plane, "released", |snapshot| {
        snapshot.held.is_none() && snapshot.published.is_some_and(|published| published.counts.routes == 0)
    })
    .await;
}

#[tokio::test]
async fn a_restart_over_an_emptied_directory_publishes_nothing() {
    let world = World::new();
    world.write("a.yaml", &route("a", 200, "https://one.example/x"));
    let control_plane = world.start();
    let dataplane = world.dataplane(&control_plane);
    dataplane.until_url("https://one.example/x").await;
    dataplane.stop().await;
    drop(control_plane);

    world.remove("a.yaml");
    let control_plane = world.start();
    let snapshot = until(&control_plane, "a held table", |snapshot| snapshot.held.is_some()).await;
    assert_eq!(snapshot.published, None);
    let dataplane = world.dataplane(&control_plane);
    dataplane.until("a connection", |status| status.connected).await;
    assert_eq!(dataplane.url().as_deref(), Some("https://one.example/x"));

    world.write("a.yaml", &route("a", 200, "https://two.example/x"));
    dataplane.until_url("https://two.example/x").await;
    dataplane.stop().await;
}

#[tokio::test]
async fn an_empty_directory_is_an_empty_table() {
    let world = World::new();
    let control_plane = world.start();
    let dataplane = world.dataplane(&control_plane);
    let status = dataplane.until("an answer", |status| status.operator_answered).await;
    assert_eq!(status.source, Source::Operator);
    assert!(dataplane.table().is_empty());
    world.write("a.yaml", &route("a", 1, "https://one.example/x"));
    dataplane.until_url("https://one.example/x").await;
    dataplane.stop().await;
}

#[tokio::test]
async fn a_directory_that_is_not_there_stops_the_start() {
    let error = ControlPlane::start(Options { manifests: "/does/not/exist".into(), ..Options::default() });
    let error = format!("{:#}", error.expect_err("no directory"));
    assert!(error.contains("the manifests in /does/not/exist cannot be read"), "{error}");
}
