//! Real SOAP clients call through the real binary: zeep, Apache CXF and curl, each with a client certificate over mutual
//! TLS. What they are made of lies in `e2e/clients`; here a platform is set up for them, they are built and run, and what
//! they say, and what the producers received, is judged.
//!
//! A client that cannot be had on this machine is skipped, counted and explained. The last line is the plain tally.

mod curl;
mod cxf;
mod official;
mod received;
mod suite;
mod zeep;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use rivmesh_e2e::fixture::{Setting, World};
use rivmesh_e2e::script::{Answer, Script};

use crate::suite::{Place, Tally};

fn main() -> Result<ExitCode> {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let clients = project.join("clients");
    let world = World::start(&Setting::load(&clients, "setting")?)?;
    let answers = answers(&clients.join("answers.yaml"))?;
    let place = Place {
        url: format!("https://localhost:{}/vp", world.scene.port("consumers")?.port()),
        pki: world.scene.pki.directory().to_owned(),
        official: official::schemas(project.parent().context("the project lies in no checkout")?)?,
        work: work_directory()?,
        clients,
    };
    println!("calls go to {}; what is built lies in {}", place.url, place.work.display());
    let mut tally = Tally::default();
    for suite in [zeep::run, cxf::run, curl::run] {
        for (name, producer) in &world.scene.producers {
            producer.set_script(Script::Always(Box::new(answers[name].clone())));
        }
        let made = suite(&place, &mut tally);
        for check in received::CHECKS.iter().filter(|check| made.contains(check.call)) {
            let name = format!("{}: {}", made.client, check.what);
            tally.judge(&name, (check.judge)(&world.scene.producers[check.producer].received()));
        }
    }
    println!("{tally}");
    Ok(if tally.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn answers(path: &Path) -> Result<BTreeMap<String, Answer>> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    serde_saphyr::from_str(&text).map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))
}

/// `clients` in cargo's target directory, which is two levels above this program.
fn work_directory() -> Result<PathBuf> {
    let program = std::env::current_exe().context("this program does not know where it lies")?;
    let target = program.ancestors().nth(2).context("this program does not lie in a target directory")?;
    let work = target.join("clients");
    std::fs::create_dir_all(&work).with_context(|| work.display().to_string())?;
    Ok(work)
}
