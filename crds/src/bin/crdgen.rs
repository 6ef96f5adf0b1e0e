//! Writes the CustomResourceDefinitions to `crds/yaml` and to the chart that installs them, or checks with `--check` that
//! the committed ones are current.

use std::path::Path;
use std::process::ExitCode;

use rivmesh_crds::manifest;

/// Where the same files lie, below the crate's own directory. A chart may read nothing outside its own folder.
const DIRECTORIES: [&str; 2] = ["yaml", "../charts/rivmesh-crds/files"];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let each: fn(&Path) -> Result<(), String> = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => |directory| {
            manifest::write(directory).map_err(|error| format!("cannot write {}: {error}", directory.display()))
        },
        ["--check"] => |directory| manifest::check(directory).map_err(|stale| stale.to_string()),
        _ => |_| Err("usage: crdgen [--check]".to_owned()),
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    match DIRECTORIES.iter().try_for_each(|directory| each(&root.join(directory))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("{sentence}");
            ExitCode::FAILURE
        }
    }
}
