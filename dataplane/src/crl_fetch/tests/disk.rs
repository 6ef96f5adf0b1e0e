//! What happens on disk: several fetchers in one directory, readers beside them, and no space left.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::*;
use crate::crl_fetch::store::{Authorities, read, replace, sweep};

#[tokio::test]
async fn two_fetchers_in_one_directory_keep_the_newer_list() {
    let bench = Bench::new();
    let (behind, ahead) = (Server::plain().await, Server::plain().await);
    behind.say("/", ok(bench.crl(4).der()));
    let newer = bench.crl(5).der().to_vec();
    ahead.say("/", ok(&newer));
    let (one, other) = (bench.fetch(&behind.url("/")), bench.fetch(&ahead.url("/")));
    one.fails("older").await;
    assert_eq!(bench.on_disk(), newer);
    other.becomes_ready().await;
    assert_eq!(other.failures("older"), 0.0);
    assert!(one.is_ready(), "the other's list is as good as its own");
    assert_eq!(bench.files(), ["ca.crl"]);
}

/// Writers offer editions in every order while a reader looks: it never sees half a list, nor an older one than before.
#[test]
fn readers_see_whole_lists_that_only_get_newer() {
    let bench = Bench::new();
    let authorities = Authorities::read(&[bench.pki.path("ca.pem")]).unwrap();
    let lists: Vec<Vec<u8>> = (1..=28).map(|number| bench.crl(number).der().to_vec()).collect();
    let file = bench.directory.path().join("ca.crl");
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let (mut newest, mut seen) = (0, 0);
            while !done.load(Ordering::Relaxed) {
                let Some(held) = read(&file, &authorities).expect("a whole list") else { continue };
                let this_update = held.editions[0].this_update;
                assert!(this_update >= newest, "it became older");
                newest = this_update;
                seen += 1;
            }
            seen
        });
        let writer = |step: usize| {
            let (lists, file, authorities) = (&lists, &file, &authorities);
            move || {
                for n in 0..lists.len() {
                    // A step without a common factor meets each of the 28 editions once. Many are refused as too old.
                    let list = Content::from(&*lists[n * step % lists.len()]);
                    let _ = replace(file, &list, authorities);
                }
            }
        };
        let writers = [5, 9, 13].map(|step| scope.spawn(writer(step)));
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        done.store(true, Ordering::Relaxed);
        assert!(reader.join().unwrap() > 0);
    });
    assert_eq!(bench.on_disk(), lists[27]);
    assert_eq!(bench.files(), ["ca.crl"]);
}

/// A list is judged under the lock, by what is on disk then and not by what was there when the download began.
#[test]
fn who_waits_for_another_fetcher_judges_by_its_list() {
    let bench = Bench::new();
    let authorities = Authorities::read(&[bench.pki.path("ca.pem")]).unwrap();
    let file = bench.directory.path().join("ca.crl");
    let (older, newer) = (bench.crl(4).der().to_vec(), bench.crl(5).der().to_vec());
    let other = std::fs::File::open(bench.directory.path()).unwrap();
    other.lock().unwrap();
    let directory = format!(":{} ", other.metadata().unwrap().ino());
    thread::scope(|scope| {
        let waiting = scope.spawn(|| replace(&file, &older.as_slice().into(), &authorities));
        let is_blocked = |locks: String| locks.lines().any(|line| line.contains("->") && line.contains(&directory));
        while !waiting.is_finished() && !is_blocked(std::fs::read_to_string("/proc/locks").unwrap()) {
            thread::yield_now();
        }
        std::fs::write(&file, &newer).unwrap();
        other.unlock().unwrap();
        assert_eq!(waiting.join().unwrap().unwrap_err().label(), "older");
    });
    assert_eq!(bench.on_disk(), newer);
}

#[test]
fn the_same_list_is_not_written_again() {
    let bench = Bench::new();
    let authorities = Authorities::read(&[bench.pki.path("ca.pem")]).unwrap();
    let (file, list) = (bench.directory.path().join("ca.crl"), Content::from(&**bench.crl(1).der()));
    assert!(replace(&file, &list, &authorities).unwrap().1);
    let before = std::fs::metadata(&file).unwrap().modified().unwrap();
    assert!(!replace(&file, &list, &authorities).unwrap().1);
    assert_eq!(std::fs::metadata(&file).unwrap().modified().unwrap(), before);
}

#[test]
fn what_a_killed_process_left_is_swept_away() {
    let bench = Bench::new();
    let path = |name: &str| bench.directory.path().join(name);
    for name in [".crl-old.unfinished", ".crl-new.unfinished", "ca.crl"] {
        std::fs::write(path(name), "x").unwrap();
    }
    let long_ago = SystemTime::now() - Duration::from_secs(2 * 3600);
    for name in [".crl-old.unfinished", "ca.crl"] {
        std::fs::File::options().write(true).open(path(name)).unwrap().set_modified(long_ago).unwrap();
    }
    sweep(bench.directory.path(), SystemTime::now()).unwrap();
    assert_eq!(bench.files(), [".crl-new.unfinished", "ca.crl"], "another fetcher may be writing the new one");
}

#[test]
fn a_write_that_fails_leaves_nothing_behind() {
    let bench = Bench::new();
    let authorities = Authorities::read(&[bench.pki.path("ca.pem")]).unwrap();
    // The name is too long for the rename at the very end.
    let file = bench.directory.path().join("x".repeat(256));
    let failure = replace(&file, &(&**bench.crl(1).der()).into(), &authorities).unwrap_err();
    assert_eq!(failure.label(), "write", "{failure}");
    assert_eq!(bench.files(), [""; 0]);
}

#[tokio::test]
async fn without_space_the_last_good_list_stays() {
    let bench = Bench::new();
    let Some(full) = Full::make(bench.directory.path()) else {
        eprintln!("root without the right to mount: no directory can be made that is closed to it");
        return;
    };
    let good = bench.crl(1).der().to_vec();
    bench.put(&good);
    full.fill();
    let server = Server::plain().await;
    // Larger than what a file system may still find room for in a page that is there already.
    server.say("/", ok(crl(&bench.ca, 2, 10, &(1..1000).collect::<Vec<_>>()).der()));
    let running = bench.fetch(&server.url("/"));
    running.fails("write").await;
    assert_eq!(bench.on_disk(), good);
    assert!(running.is_ready());
    let files = bench.files();
    assert!(files.iter().all(|name| !name.ends_with("unfinished")), "{files:?}");
    full.relieve();
    until(|| bench.on_disk() != good, || running.get("/metrics").1).await;
    drop(running);
}

/// A directory without space: a small file system in memory where we may mount one, else a directory that may not be
/// written in.
struct Full {
    directory: PathBuf,
    is_mounted: bool,
}

impl Full {
    fn make(directory: &Path) -> Option<Self> {
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=256k", "rivmesh-test"]).arg(directory).output();
        let is_mounted = mount.is_ok_and(|mount| mount.status.success());
        let is_root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
        (is_mounted || !is_root).then(|| Self { directory: directory.to_owned(), is_mounted })
    }

    fn fill(&self) {
        if self.is_mounted {
            // Ends with the error that there is no space left.
            let filled = std::fs::write(self.directory.join("filler"), vec![0; 1 << 20]);
            assert_eq!(filled.unwrap_err().kind(), std::io::ErrorKind::StorageFull);
        } else {
            self.set_mode(0o555);
        }
    }

    fn relieve(&self) {
        if self.is_mounted {
            std::fs::remove_file(self.directory.join("filler")).unwrap();
        } else {
            self.set_mode(0o755);
        }
    }

    fn set_mode(&self, mode: u32) {
        std::fs::set_permissions(&self.directory, std::fs::Permissions::from_mode(mode)).unwrap();
    }
}

impl Drop for Full {
    fn drop(&mut self) {
        if self.is_mounted {
            let _ = Command::new("umount").args(["-l"]).arg(&self.directory).output();
        } else {
            self.set_mode(0o755);
        }
    }
}
