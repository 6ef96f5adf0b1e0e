//! Replays the inputs that fuzzing collected, so that a finding stays found on the stable toolchain too.
#![allow(clippy::unwrap_used, reason = "a helper of a test fails as a test does")]

use rivmesh_dataplane::fuzzing::{TARGETS, Target};
use std::path::Path;

#[test]
fn every_committed_input_still_holds() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    for Target { name: target, check } in TARGETS {
        let mut replayed = 0;
        for entry in
            std::fs::read_dir(corpora.join(target)).unwrap_or_else(|error| panic!("corpus of {target}: {error}"))
        {
            let path = entry.unwrap().path();
            let data = std::fs::read(&path).unwrap();
            if std::panic::catch_unwind(|| check(&data)).is_err() {
                panic!("{}", path.display());
            }
            replayed += 1;
        }
        assert!(replayed >= 5, "the corpus of {target} holds only {replayed} inputs");
    }
}
