//! The command line, word for word: each `testdata/<case>.cmd` holds the arguments of `rivmesh`, and `<case>.out` what it
//! must print and its exit code. `UPDATE_GOLDEN=1 cargo test -p rivmesh --test golden` writes the answers anew; read the
//! difference before you commit it.

use std::path::{Path, PathBuf};
use std::process::Command;

fn testdata() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata")
}

/// Runs `rivmesh` in the directory of test data.
fn rivmesh(args: &[&str]) -> (String, String, Option<i32>) {
    let output = Command::new(env!("CARGO_BIN_EXE_rivmesh")).args(args).current_dir(testdata()).output();
    let output = output.expect("rivmesh can be started");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    (text(output.stdout), text(output.stderr), output.status.code())
}

#[test]
fn the_words_are_these() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut cases: Vec<PathBuf> = std::fs::read_dir(testdata())
        .expect("test data")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "cmd"))
        .collect();
    cases.sort();
    assert!(cases.len() >= 20, "only {} cases were found", cases.len());
    let mut wrong = Vec::new();
    for case in cases {
        let command = std::fs::read_to_string(&case).expect("a command");
        let (stdout, stderr, code) = rivmesh(&command.split_whitespace().collect::<Vec<_>>());
        let errors: String = stderr.lines().map(|line| format!("! {line}\n")).collect();
        let found = format!("{stdout}{errors}exit {}\n", code.expect("an exit code"));
        let file = case.with_extension("out");
        if update {
            std::fs::write(&file, &found).expect("written");
        }
        let expected = std::fs::read_to_string(&file).unwrap_or_default();
        if found != expected {
            wrong.push(format!("{}\nexpected:\n{expected}\nfound:\n{found}", case.display()));
        }
    }
    assert!(wrong.is_empty(), "{} cases differ:\n\n{}", wrong.len(), wrong.join("\n\n"));
}

#[test]
fn the_quickstart_has_no_errors() {
    let quickstart = "../../examples/quickstart";
    let units = format!("{quickstart}/hsaunits.xml");
    let (stdout, stderr, code) = rivmesh(&["analyze", quickstart, "--hsa-units", &units, "--at", "2026-06-01"]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{stdout}");
    assert!(stdout.contains("\n0 errors, 0 warnings, "), "{stdout}");
}
