//! The table store on a real directory: what it survives, and what it refuses to believe.

mod support;

use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rivmesh_sync::disk::{Directory, Files, Store};
use rivmesh_table::{Digest, FORMAT, OLDEST_FORMAT, Table};
use support::{Publisher, environment};
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

/// A directory on a disk that can be full.
struct Disk {
    directory: Directory,
    full: AtomicBool,
}

impl Files for Disk {
    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        self.directory.read(name)
    }

    fn write(&self, name: &str, content: &[u8]) -> io::Result<()> {
        if self.full.load(Ordering::Relaxed) {
            self.directory.write(name, &content[..content.len() / 2])?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.directory.write(name, content)
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
        self.directory.sync()
    }
}

#[test]
fn a_full_disk_is_told_and_keeps_the_table_before() {
    let directory = tempfile::tempdir().expect("a directory");
    let disk = || Disk { directory: Directory::open(directory.path()).expect("usable"), full: AtomicBool::new(false) };
    let [first, second, _] = tables();
    Store::new(disk()).save(&first, at(0)).expect("saved");

    let full = disk();
    full.full.store(true, Ordering::Relaxed);
    let mut store = Store::new(full);
    store.load(None).expect("whole");
    let error = store.save(&second, at(0)).expect_err("full").to_string();
    assert!(error.contains("could not write shard-") && error.contains("served from memory"), "{error}");
    assert!(!names(directory.path()).contains(&"unfinished".to_owned()), "half a file would keep the disk full");
    assert_eq!(loaded(&directory), Some(first.digest()));
}
