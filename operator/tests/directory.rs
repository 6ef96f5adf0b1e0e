//! A directory of manifests as editors, checkouts and Kubernetes volumes treat it. Time is given, so nothing waits.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::time::Duration;

use rivmesh_operator::source::directory::Directory;
use rivmesh_operator::source::{Batch, Change};
use tempfile::TempDir;

/// Longer than anything needs to settle.
const A_WHILE: Duration = Duration::from_secs(1);

struct World {
    root: TempDir,
    directory: Directory,
    now: Duration,
}

impl World {
    fn new(files: &[(&str, &str)]) -> Self {
        let root = tempfile::tempdir().expect("a directory");
        let directory = Directory::new(root.path(), Vec::new());
        let world = Self { root, directory, now: Duration::ZERO };
        files.iter().for_each(|(name, content)| world.write(name, content));
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn write(&self, name: &str, content: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("has one")).expect("created");
        fs::write(path, content).expect("written");
    }

    /// Looks now and again until everything has settled, and gives what was told meanwhile.
    fn settle(&mut self) -> Told {
        let mut told = Told::default();
        for _ in 0..3 {
            told.add(self.directory.look(self.now));
            self.now += A_WHILE;
        }
        told
    }
}

/// What was told, in words.
#[derive(Debug, Default)]
struct Told {
    changes: Vec<String>,
    problems: Vec<String>,
    urgent: bool,
    batches: usize,
}

impl Told {
    fn add(&mut self, batch: Option<Batch>) {
        let Some(batch) = batch else { return };
        self.batches += 1;
        self.urgent |= batch.urgent;
        self.problems = batch.problems.iter().map(ToString::to_string).collect();
        self.changes.extend(batch.changes.into_iter().map(|change| match change {
            Change::Upsert(object) => {
                let path = object.path.expect("files have paths");
                format!("+{} {} g{} from {path}", object.id.kind, object.id, object.generation)
            }
            Change::Remove(id) => format!("-{} {id}", id.kind),
            Change::Undecodable { id, .. } => panic!("a directory keeps what {id} last was"),
            Change::HsaTree(tree) => format!("tree of {}", tree.len()),
        }));
    }
}

fn contract(name: &str, timeout: &str) -> String {
    format!(
        "apiVersion: rivmesh.io/v1alpha1\nkind: ServiceContract\nmetadata:\n  name: {name}\nspec:\n  \
         urn: urn:riv:{name}:XResponder:1\n  timeout: {timeout}\n"
    )
}

fn grant(consumers: &str) -> String {
    format!(
        "apiVersion: rivmesh.io/v1alpha1\nkind: CallAuthorization\nmetadata: {{name: grant}}\nspec:\n  \
         consumers: {consumers}\n  serviceContracts: ['urn:riv:x:XResponder:1']\n  logicalAddresses: ['*']\n"
    )
}

#[test]
fn the_first_look_tells_everything_and_the_next_nothing() {
    let both = format!("{}---\n{}", contract("b", "1s"), contract("c", "1s"));
    let mut world = World::new(&[("a.yaml", &contract("a", "1s")), ("sub/bc.yml", &both), ("notes.txt", "x")]);
    let told = world.settle();
    let expected = ["a g1 from a.yaml", "b g1 from sub/bc.yml", "c g1 from sub/bc.yml"];
    assert_eq!(told.changes, expected.map(|rest| format!("+ServiceContract default/{rest}")));
    assert_eq!((told.batches, told.problems), (1, vec![]));
    assert_eq!(world.settle().batches, 0);
}

#[test]
fn edits_additions_and_deletions_are_told() {
    let mut world = World::new(&[("a.yaml", &contract("a", "1s")), ("b.yaml", &contract("b", "1s"))]);
    world.settle();
    world.write("a.yaml", &contract("a", "2s"));
    world.write("c.json", r#"{"apiVersion":"rivmesh.io/v1alpha1","kind":"ServiceContract","metadata":{"name":"c"},"spec":{"urn":"urn:riv:c:XResponder:1"}}"#);
    fs::remove_file(world.path("b.yaml")).expect("removed");
    let mut told = world.settle();
    told.changes.sort();
    let expected = [
        "+ServiceContract default/a g2 from a.yaml",
        "+ServiceContract default/c g1 from c.json",
        "-ServiceContract default/b",
    ];
    assert_eq!(told.changes, expected);
    assert!(!told.urgent);
}

#[test]
fn a_file_that_is_written_again_with_the_same_content_is_no_change() {
    let mut world = World::new(&[("a.yaml", &contract("a", "1s"))]);
    world.settle();
    world.write("a.yaml", &format!("# a comment\n{}", contract("a", "1s")));
    assert!(world.settle().changes.is_empty());
}

#[test]
fn a_file_is_read_when_it_has_stopped_changing() {
    let mut world = World::new(&[("a.yaml", &contract("a", "1s"))]);
    world.settle();
    world.write("a.yaml", "");
    assert!(world.directory.look(world.now).is_none(), "an editor may be in the middle of it");
    let due = world.directory.due().expect("it must be looked at again soon");
    assert!(due - world.now < Duration::from_millis(100), "{due:?}");
    world.write("a.yaml", &contract("a", "2s"));
    assert!(world.directory.look(due).is_none(), "it changed again");
    assert_eq!(world.settle().changes, ["+ServiceContract default/a g2 from a.yaml"]);
}

#[test]
fn a_file_that_is_replaced_by_way_of_a_gap_was_never_gone() {
    let mut world = World::new(&[("a.yaml", &contract("a", "1s"))]);
    world.settle();
    fs::rename(world.path("a.yaml"), world.path("a.yaml~")).expect("renamed");
    assert!(world.directory.look(world.now).is_none());
    world.write("a.yaml", &contract("a", "2s"));
    assert_eq!(world.settle().changes, ["+ServiceContract default/a g2 from a.yaml"]);

    world.write(".a.yaml.swp", &contract("a", "3s"));
    fs::rename(world.path(".a.yaml.swp"), world.path("a.yaml")).expect("renamed over it");
    assert_eq!(world.settle().changes, ["+ServiceContract default/a g3 from a.yaml"]);
}

#[test]
fn the_link_swap_of_a_kubernetes_volume_is_a_change() {
    let mut world = World::new(&[("..v1/a.yaml", &contract("a", "1s")), ("..v2/a.yaml", &contract("a", "2s"))]);
    symlink("..v1", world.path("..data")).expect("linked");
    symlink("..data/a.yaml", world.path("a.yaml")).expect("linked");
    assert_eq!(world.settle().changes, ["+ServiceContract default/a g1 from a.yaml"]);
    symlink("..v2", world.path("..data_tmp")).expect("linked");
    fs::rename(world.path("..data_tmp"), world.path("..data")).expect("swapped");
    assert_eq!(world.settle().changes, ["+ServiceContract default/a g2 from a.yaml"]);
}

#[test]
fn a_broken_file_is_told_with_file_line_and_reason_and_keeps_what_it_held() {
    let mut world = World::new(&[("a.yaml", &contract("a", "1s")), ("b.yaml", &contract("b", "1s"))]);
    world.settle();
    world.write("a.yaml", &contract("a", "2s").replace("spec:", "spec: ["));
    world.write("b.yaml", &contract("b", "2s"));
    let told = world.settle();
    assert_eq!(told.changes, ["+ServiceContract default/b g2 from b.yaml"]);
    assert_eq!(told.problems.len(), 1, "{told:?}");
    assert!(told.problems[0].starts_with("a.yaml:"), "{told:?}");

    world.write("a.yaml", &contract("a", "3s"));
    let told = world.settle();
    assert_eq!(told.changes, ["+ServiceContract default/a g2 from a.yaml"]);
    assert!(told.problems.is_empty());
}

#[test]
fn a_refused_object_keeps_its_last_good_version_and_its_neighbours_go_on() {
    let both = |a: &str, b: &str| format!("{}---\n{}", contract("a", a), contract("b", b));
    let mut world = World::new(&[("ab.yaml", &both("1s", "1s"))]);
    world.settle();
    world.write("ab.yaml", &both("soon", "2s"));
    let told = world.settle();
    assert_eq!(told.changes, ["+ServiceContract default/b g2 from ab.yaml"]);
    assert_eq!(told.problems.len(), 1, "{told:?}");
    let problem = &told.problems[0];
    assert!(problem.starts_with("ab.yaml:7: ServiceContract default/a: spec.timeout: "), "{problem}");
    assert!(problem.ends_with("; the version from before stays in use"), "{problem}");
}

#[test]
fn no_object_is_removed_while_a_part_of_its_file_cannot_be_read() {
    let all = format!("{}---\n{}---\n{}", contract("a", "1s"), contract("b", "1s"), contract("c", "1s"));
    let mut world = World::new(&[("abc.yaml", &all)]);
    world.settle();
    world.write("abc.yaml", &format!("{}---\nkind: [\n", contract("a", "2s")));
    assert_eq!(world.settle().changes, ["+ServiceContract default/a g2 from abc.yaml"]);
    world.write("abc.yaml", &contract("a", "2s"));
    assert_eq!(world.settle().changes, ["-ServiceContract default/b", "-ServiceContract default/c"]);
}

#[test]
fn an_object_that_was_never_good_is_only_told() {
    let mut world = World::new(&[("a.yaml", &contract("a", "soon"))]);
    let told = world.settle();
    assert!(told.changes.is_empty());
    assert!(!told.problems[0].contains("stays in use"), "{told:?}");
}

#[test]
fn of_two_files_with_one_object_the_first_by_path_has_it() {
    let mut world = World::new(&[("b.yaml", &contract("x", "2s"))]);
    world.settle();
    world.write("a.yaml", &contract("x", "1s"));
    let told = world.settle();
    assert_eq!(told.changes, ["+ServiceContract default/x g2 from a.yaml"]);
    let problem = "b.yaml:1: ServiceContract default/x: a.yaml already holds this object and is the one in use";
    assert!(told.problems[0].starts_with(problem), "{told:?}");

    fs::remove_file(world.path("a.yaml")).expect("removed");
    let told = world.settle();
    assert_eq!(told.changes, ["+ServiceContract default/x g3 from b.yaml"]);
    assert!(told.problems.is_empty());
}

#[test]
fn an_object_that_moves_to_another_file_is_the_same_generation() {
    let mut world = World::new(&[("b.yaml", &contract("x", "1s"))]);
    world.settle();
    fs::rename(world.path("b.yaml"), world.path("c.yaml")).expect("renamed");
    let told = world.settle();
    assert_eq!(told.changes, ["+ServiceContract default/x g1 from c.yaml"]);
}

#[test]
fn an_object_that_stands_twice_in_one_file_is_told() {
    let mut world = World::new(&[("a.yaml", &format!("{}---\n{}", contract("x", "1s"), contract("x", "2s")))]);
    let told = world.settle();
    assert_eq!(told.changes.len(), 1);
    assert!(
        told.problems[0].starts_with("a.yaml:9: ServiceContract default/x: this object stands already"),
        "{told:?}"
    );
}

#[test]
fn what_is_none_of_ours_is_told_and_passed_over() {
    let mut world = World::new(&[("a.yaml", "apiVersion: v1\nkind: ConfigMap\n"), ("b.yaml", "just: text\n")]);
    let told = world.settle();
    let expected = [
        "a.yaml:1: ConfigMap of v1 is none of ours and is passed over",
        "b.yaml:1: this is not a manifest: the field apiVersion is missing",
    ];
    assert_eq!(told.problems, expected);
}

#[test]
fn a_lost_right_is_urgent_and_a_new_one_is_not() {
    let mut world = World::new(&[("g.yaml", &grant("[SE1-A, SE1-B]"))]);
    assert!(!world.settle().urgent);
    world.write("g.yaml", &grant("[SE1-A, SE1-B, SE1-C]"));
    assert!(!world.settle().urgent);
    world.write("g.yaml", &grant("[SE1-A, SE1-C]"));
    assert!(world.settle().urgent);
    fs::remove_file(world.path("g.yaml")).expect("removed");
    assert!(world.settle().urgent);
}

#[test]
fn a_directory_that_goes_away_takes_nothing_with_it() {
    let mut world = World::new(&[("sub/a.yaml", &contract("a", "1s"))]);
    world.settle();
    let elsewhere = tempfile::tempdir().expect("a directory");
    let away = elsewhere.path().join("away");
    fs::rename(world.root.path(), &away).expect("moved");
    let told = world.settle();
    assert!(told.changes.is_empty());
    assert!(told.problems[0].contains("cannot be read"), "{told:?}");
    fs::rename(&away, world.root.path()).expect("moved back");
    let told = world.settle();
    assert_eq!((told.changes, told.problems), (vec![], vec![]));
}

#[test]
fn a_manifest_that_cannot_be_looked_at_is_not_deleted() {
    let mut world = World::new(&[("a.yaml", &contract("a", "1s")), ("b.yaml", &contract("b", "1s"))]);
    world.settle();
    fs::remove_file(world.path("a.yaml")).expect("removed");
    symlink("a.yaml", world.path("a.yaml")).expect("a link that leads to itself");
    let told = world.settle();
    assert!(told.changes.is_empty(), "{told:?}");
    assert!(told.problems[0].starts_with("a.yaml: cannot be read"), "{told:?}");
    fs::remove_file(world.path("a.yaml")).expect("removed");
    let told = world.settle();
    assert_eq!((told.changes, told.problems), (vec!["-ServiceContract default/a".to_owned()], vec![]));
}

#[test]
fn manifests_behind_a_link_that_cannot_be_followed_are_not_deleted() {
    let mut world = World::new(&[("b.yaml", &contract("b", "1s")), (".v1/a.yaml", &contract("a", "1s"))]);
    symlink(".v1", world.path("sub")).expect("linked");
    assert_eq!(world.settle().changes.len(), 2);
    fs::remove_file(world.path("sub")).expect("removed");
    symlink("sub", world.path("sub")).expect("a link that leads to itself");
    let told = world.settle();
    assert!(told.changes.is_empty() && told.problems[0].starts_with("sub: cannot be read"), "{told:?}");
}

#[test]
fn nothing_is_told_before_the_first_complete_read() {
    let mut directory = Directory::new("/does/not/exist", Vec::new());
    assert!(directory.look(Duration::ZERO).is_none());
    let obstacle = directory.obstacle().expect("there is one");
    assert!(obstacle.to_string().contains("/does/not/exist: cannot be read"), "{obstacle}");
}

#[test]
fn files_that_are_not_text_or_too_large_are_told() {
    let mut world = World::new(&[]);
    fs::write(world.path("a.yaml"), b"# fine\nname: \xff\n").expect("written");
    let large = fs::File::create(world.path("b.yaml")).expect("created");
    large.set_len(17 << 20).expect("sparse");
    let told = world.settle();
    let expected = ["a.yaml:2: is not UTF-8: convert the file", "b.yaml:1: is longer than 16777216 bytes: split it"];
    assert_eq!(told.problems, expected);
}

#[test]
fn unit_files_are_read_when_they_change_and_the_old_tree_outlives_a_bad_one() {
    let unit =
        |id: &str| format!("<hsaUnit><hsaIdentity>{id}</hsaIdentity><DN>ou={id},c=SE</DN><name>x</name></hsaUnit>");
    let file = |units: &str| format!("<HsaUnitsResponse><hsaUnits>{units}</hsaUnits></HsaUnitsResponse>");
    let root = tempfile::tempdir().expect("a directory");
    let path = root.path().join("hsaunits.xml");
    fs::write(&path, file(&unit("SE1-A"))).expect("written");
    let directory = Directory::new(root.path(), vec![path.clone()]);
    let mut world = World { root, directory, now: Duration::ZERO };
    assert_eq!(world.settle().changes, ["tree of 1"]);
    fs::write(&path, file(&format!("{}{}", unit("SE1-A"), unit("SE1-B")))).expect("written");
    assert_eq!(world.settle().changes, ["tree of 2"]);
    fs::write(&path, "<HsaUnitsResponse>").expect("written");
    let told = world.settle();
    assert!(told.changes.is_empty());
    assert!(told.problems[0].contains("hsaunits.xml: byte ") && told.problems[0].contains("stays in use"), "{told:?}");
    fs::remove_file(&path).expect("removed");
    let told = world.settle();
    assert!(told.changes.is_empty() && told.problems[0].contains("cannot be read"), "{told:?}");
}

#[test]
fn what_was_read_before_the_first_read_was_complete_is_told_with_it() {
    let root = tempfile::tempdir().expect("a directory");
    let manifest = "apiVersion: rivmesh.io/v1alpha1\nkind: ServiceContract\nmetadata: {name: a}\n\
                    spec: {urn: \"urn:riv:test:AResponder:1\"}\n";
    fs::write(root.path().join("a.yaml"), manifest).expect("written");
    let too_deep = (0..40).fold(root.path().join("deep"), |path, _| path.join("x"));
    fs::create_dir_all(&too_deep).expect("made");
    let mut directory = Directory::new(root.path(), Vec::new());
    assert!(directory.look(Duration::ZERO).is_none(), "a folder that is not read may hold anything");
    fs::remove_dir_all(root.path().join("deep")).expect("removed");
    let batch = directory.look(Duration::from_secs(10)).expect("now it is complete");
    assert_eq!(batch.changes.len(), 1, "{batch:?}");
}
