//! The table store on a real directory: what it survives, and what it refuses to believe.

mod support;

use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rivmesh_sync::disk::{Directory, Files, Store};
use rivmesh_table::{Digest, FORMAT, OLDEST_FORMAT, Table};
use support::{Publisher, environment, route};
use tempfile::TempDir;

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn open(directory: &TempDir) -> Store<Directory> {
    Store::new(Directory::open(directory.path()).expect("usable"))
}

fn tables() -> [Table; 3] {
    let mut publisher = Publisher::new();
    [1, 2, 3].map(|generation| {
        publisher.publish_route("E001", generation);
        publisher.publish_route("E901", 1);
        publisher.table()
    })
}

fn loaded(directory: &TempDir) -> Option<Digest> {
    open(directory).load(None).expect("whole").map(|stored| stored.table.digest())
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("readable");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8")).collect();
    names.sort();
    names
}

#[test]
fn a_saved_table_is_loaded_and_replaces_the_one_before() {
    let directory = tempfile::tempdir().expect("a directory");
    let [first, second, _] = tables();
    assert!(open(&directory).load(None).expect("empty").is_none());
    let mut store = open(&directory);
    store.save(&first, at(1_000)).expect("saved");
    let stored = open(&directory).load(None).expect("whole").expect("saved");
    assert_eq!((stored.table.digest(), stored.saved), (first.digest(), at(1_000)));
    store.save(&second, at(2_000)).expect("saved");
    assert_eq!(loaded(&directory), Some(second.digest()));
}

#[test]
fn only_what_the_table_needs_is_kept() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut store = open(&directory);
    for table in &tables() {
        store.save(table, at(0)).expect("saved");
        fs::write(directory.path().join("unfinished"), "left by a crash").expect("written");
    }
    let [.., last] = tables();
    fs::remove_file(directory.path().join("unfinished")).expect("removed");
    let shards = last.manifest().slots.values().map(|shard| format!("shard-{}", shard.digest));
    let mut expected: Vec<String> = shards.chain(["manifest".to_owned()]).collect();
    expected.sort();
    assert_eq!(names(directory.path()), expected);
}

#[test]
fn a_shard_that_is_there_already_is_not_written_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let [first, second, _] = tables();
    open(&directory).save(&first, at(0)).expect("saved");
    let shared = first.manifest().slots.iter().find(|(slot, shard)| second.manifest().slots.get(slot) == Some(shard));
    let path = directory.path().join(format!("shard-{}", shared.expect("one stays").1.digest));
    let mut store = open(&directory);
    store.load(None).expect("whole");
    let before = fs::metadata(&path).and_then(|metadata| metadata.modified()).expect("there");
    let inode = |path: &Path| std::os::unix::fs::MetadataExt::ino(&fs::metadata(path).expect("there"));
    let before_inode = inode(&path);
    store.save(&second, at(0)).expect("saved");
    assert_eq!(fs::metadata(&path).and_then(|metadata| metadata.modified()).expect("there"), before);
    assert_eq!(inode(&path), before_inode);
}

#[test]
fn a_shard_that_somebody_removed_is_written_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let [first, second, _] = tables();
    let mut store = open(&directory);
    store.save(&first, at(0)).expect("saved");
    for name in names(directory.path()) {
        fs::remove_file(directory.path().join(name)).expect("removed");
    }
    store.save(&second, at(0)).expect("saved");
    assert_eq!(loaded(&directory), Some(second.digest()));
}

#[test]
fn a_table_of_another_environment_is_not_loaded_and_the_next_save_replaces_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut publisher = Publisher::of(Some(environment("test")), FORMAT);
    publisher.publish_route("E001", 1);
    open(&directory).save(&publisher.table(), at(0)).expect("saved");
    for ours in [None, Some("test"), Some("Test")] {
        let ours = ours.map(environment);
        assert!(open(&directory).load(ours.as_ref()).expect("it is ours").is_some(), "{ours:?}");
    }
    let ours = environment("production");
    let mut store = open(&directory);
    let error = store.load(Some(&ours)).expect_err("it is another's").to_string();
    for words in ["environment test", "belongs to production", "environments never mix", "is ignored until"] {
        assert!(error.contains(words), "{error}");
    }
    let mut publisher = Publisher::of(Some(ours.clone()), FORMAT);
    publisher.publish_route("E001", 1);
    store.save(&publisher.table(), at(0)).expect("saved");
    let stored = open(&directory).load(Some(&ours)).expect("it is ours").expect("saved");
    assert_eq!(stored.table.digest(), publisher.table().digest());
}

#[test]
fn a_table_that_an_earlier_version_saved_is_loaded() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut publisher = Publisher::of(Some(environment("test")), FORMAT);
    publisher.publish_route("E001", 1);
    let table = publisher.table_in(OLDEST_FORMAT);
    open(&directory).save(&table, at(0)).expect("saved");
    // It does not say of which environment it is.
    let stored = open(&directory).load(Some(&environment("production"))).expect("whole").expect("saved");
    assert_eq!(stored.table.digest(), table.digest());
}

#[test]
fn every_kind_of_damage_is_noticed_and_the_next_save_mends_it() {
    let [table, ..] = tables();
    let directory = tempfile::tempdir().expect("a directory");
    open(&directory).save(&table, at(0)).expect("saved");
    let path = directory.path();
    for name in names(path) {
        let file = path.join(&name);
        let content = fs::read(&file).expect("readable");
        let damages: [(&str, Option<Vec<u8>>); 6] = [
            ("gone", None),
            ("empty", Some(Vec::new())),
            ("cut", Some(content[..content.len() - 1].to_vec())),
            ("longer", Some([&content[..], b"x"].concat())),
            ("zeroes", Some(vec![0; content.len()])),
            ("one bit", Some(content.iter().enumerate().map(|(at, byte)| byte ^ u8::from(at == 30)).collect())),
        ];
        for (damage, bytes) in damages {
            match bytes {
                Some(bytes) => fs::write(&file, bytes).expect("written"),
                None => fs::remove_file(&file).expect("removed"),
            }
            let mut store = open(&directory);
            match store.load(None) {
                Ok(None) => assert_eq!((&*name, damage), ("manifest", "gone")),
                Ok(Some(_)) => panic!("{name} {damage} went unnoticed"),
                Err(error) => {
                    let error = error.to_string();
                    assert!(error.contains(&name) && error.contains("is ignored until"), "{name} {damage}: {error}");
                }
            }
            store.save(&table, at(0)).expect("saved");
            assert_eq!(loaded(&directory), Some(table.digest()), "{name} {damage}");
        }
    }
}

#[test]
fn every_bit_of_the_manifest_counts() {
    let [table, ..] = tables();
    let directory = tempfile::tempdir().expect("a directory");
    open(&directory).save(&table, at(0)).expect("saved");
    let file = directory.path().join("manifest");
    let content = fs::read(&file).expect("readable");
    for position in 0..content.len() {
        let mut damaged = content.clone();
        damaged[position] ^= 1;
        fs::write(&file, damaged).expect("written");
        assert!(open(&directory).load(None).is_err(), "byte {position}");
    }
}

/// A directory on a disk of so many bytes, of which single files cannot be read and nothing can be synced if a test says so.
struct Disk {
    directory: Directory,
    bytes: usize,
    unreadable: Option<&'static str>,
    syncs: AtomicUsize,
}

/// A disk that holds a directory and has room for so many bytes more.
fn disk(directory: &TempDir, room: usize) -> Disk {
    let directory = Directory::open(directory.path()).expect("usable");
    let bytes = used(&directory, "") + room;
    Disk { directory, bytes, unreadable: None, syncs: AtomicUsize::new(usize::MAX) }
}

/// The bytes of all files but one.
fn used(directory: &Directory, but: &str) -> usize {
    let names = directory.list().expect("readable");
    names.iter().filter(|name| *name != but).map(|name| directory.read(name).expect("readable").len()).sum()
}

impl Files for Disk {
    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        if self.unreadable == Some(name) {
            return Err(io::Error::other("a bad block"));
        }
        self.directory.read(name)
    }

    fn write(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let room = self.bytes.saturating_sub(used(&self.directory, name));
        self.directory.write(name, &content[..content.len().min(room)])?;
        if content.len() > room { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.directory.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.directory.remove(name)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.directory.list()
    }

    fn sync(&self) -> io::Result<()> {
        let left = self.syncs.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        left.map_err(|_| io::Error::other("a bad controller"))?;
        self.directory.sync()
    }
}

/// A table of one route, and one of so many that it has shard after shard.
fn small_and_large() -> [Table; 2] {
    let mut publisher = Publisher::new();
    publisher.publish_route("E001", 1);
    let small = publisher.table();
    for unit in 0..10 {
        publisher.compiler.upsert(route(&format!("E{unit}01"), 2));
    }
    publisher.publish();
    let large = publisher.table();
    assert!(large.manifest().slots.len() > 5, "{:?}", large.manifest().slots);
    [small, large]
}

/// The bytes of the shards of `table` that `other` does not have.
fn own_bytes(table: &Table, other: &Table) -> usize {
    let shared: Vec<Digest> = other.manifest().slots.values().map(|shard| shard.digest).collect();
    let own = table.manifest().slots.values().filter(|shard| !shared.contains(&shard.digest));
    own.map(|shard| shard.len as usize).sum()
}

#[test]
fn a_full_disk_is_told_and_keeps_the_table_before_and_nothing_else() {
    let directory = tempfile::tempdir().expect("a directory");
    let [small, large] = small_and_large();
    open(&directory).save(&small, at(0)).expect("saved");
    let before = names(directory.path());

    let room = own_bytes(&large, &small) - 1;
    let mut store = Store::new(disk(&directory, room));
    store.load(None).expect("whole");
    for attempt in ["the first", "the next"] {
        let error = store.save(&large, at(0)).expect_err("full").to_string();
        assert!(error.contains("could not write shard-") && error.contains("served from memory"), "{error}");
        assert_eq!(names(directory.path()), before, "after {attempt}, what is left would keep the disk full");
        assert_eq!(loaded(&directory), Some(small.digest()), "after {attempt}");
    }
}

#[test]
fn a_smaller_table_finds_the_room_that_a_larger_one_did_not() {
    let directory = tempfile::tempdir().expect("a directory");
    let [small, large] = small_and_large();
    let [.., third] = tables();
    let room = own_bytes(&large, &small) - 1;
    let mut store = Store::new(disk(&directory, room));
    store.save(&large, at(0)).expect_err("full");
    assert_eq!(names(directory.path()), Vec::<String>::new(), "nothing was on disk before");
    for table in [&small, &third, &small] {
        store.save(table, at(0)).expect("there is room");
        store.save(&large, at(0)).expect_err("full");
        assert_eq!(loaded(&directory), Some(table.digest()));
    }
}

#[test]
fn a_damaged_table_is_not_in_the_way_of_a_new_one() {
    let directory = tempfile::tempdir().expect("a directory");
    let [small, large] = small_and_large();
    open(&directory).save(&large, at(0)).expect("saved");
    fs::write(directory.path().join("manifest"), "torn").expect("written");
    let mut store = Store::new(disk(&directory, 0));
    store.load(None).expect_err("damaged");
    store.save(&small, at(0)).expect_err("full");
    store.save(&small, at(0)).expect("there is room where the damaged one was");
    assert_eq!(loaded(&directory), Some(small.digest()));
}

#[test]
fn a_table_that_cannot_be_read_just_now_is_not_touched() {
    let directory = tempfile::tempdir().expect("a directory");
    let [small, large] = small_and_large();
    open(&directory).save(&small, at(0)).expect("saved");
    let mut store = Store::new(Disk { unreadable: Some("manifest"), ..disk(&directory, 0) });
    store.load(None).expect_err("unreadable");
    store.save(&large, at(0)).expect_err("full");
    assert_eq!(loaded(&directory), Some(small.digest()), "it can be read again");
}

#[test]
fn the_table_before_stays_whole_until_it_is_certain_that_it_was_replaced() {
    let directory = tempfile::tempdir().expect("a directory");
    let [first, second, _] = tables();
    let [_, large] = small_and_large();
    open(&directory).save(&first, at(0)).expect("saved");
    let manifest = fs::read(directory.path().join("manifest")).expect("readable");
    // Its shards are safe, and whether the manifest of the second was put in place is not.
    let mut store = Store::new(Disk { syncs: AtomicUsize::new(1), ..disk(&directory, 10_000) });
    let error = store.save(&second, at(0)).expect_err("not synced").to_string();
    assert!(error.contains("could not sync"), "{error}");
    store.save(&large, at(0)).expect_err("not synced");
    assert_eq!(loaded(&directory), Some(second.digest()));
    // A crash undoes it.
    fs::write(directory.path().join("manifest"), manifest).expect("written");
    assert_eq!(loaded(&directory), Some(first.digest()));
}
