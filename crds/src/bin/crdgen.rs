//! Writes the CustomResourceDefinitions to `crds/yaml`, or checks with `--check` that the committed ones are current.

use std::path::Path;
use std::process::ExitCode;

use rivmesh_crds::manifest;

fn main() -> ExitCode {
    let directory = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/yaml"));
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let outcome = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => manifest::write(directory).map_err(|error| format!("cannot write {}: {error}", directory.display())),
        ["--check"] => manifest::check(directory).map_err(|stale| stale.to_string()),
        _ => Err("usage: crdgen [--check]".to_owned()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("{sentence}");
            ExitCode::FAILURE
        }
    }
}
