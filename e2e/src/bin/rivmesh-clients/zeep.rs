//! zeep, the usual SOAP client of Python programs, in a virtual environment of its own with pinned versions.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::official;
use crate::suite::{GREETING_CALLS, Made, OFFICIAL_CALLS, Place, Tally, build, installed};

const NAME: &str = "zeep";

pub(crate) fn run(place: &Place, tally: &mut Tally) -> Made {
    let python = match prepare(place) {
        Ok(python) => python,
        Err(reason) => {
            tally.skip(NAME, &[&GREETING_CALLS[..], &OFFICIAL_CALLS].concat(), &format!("{reason:#}"));
            return Made::nothing(NAME);
        }
    };
    let mut command = Command::new(python);
    command.arg(place.clients.join("zeep/client.py"));
    let calls = place.describe_to(&mut command);
    if place.official.is_none() {
        tally.skip(NAME, &OFFICIAL_CALLS, official::MISSING);
    }
    tally.run(NAME, &mut command, &calls)
}

/// A Python that has zeep. Done anew only when the pinned versions changed.
fn prepare(place: &Place) -> Result<PathBuf> {
    let environment = place.work.join("zeep");
    let python = environment.join("bin/python");
    let pinned = place.clients.join("zeep/requirements.txt");
    let wanted = std::fs::read(&pinned).with_context(|| pinned.display().to_string())?;
    let stamp = environment.join("installed.txt");
    if std::fs::read(&stamp).is_ok_and(|installed| installed == wanted) && python.exists() {
        return Ok(python);
    }
    anyhow::ensure!(installed("python3"), "python3 is missing; install it with: apt-get install python3 python3-venv");
    build(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment))
        .context("no virtual environment (on Debian: apt-get install python3-venv)")?;
    let pip =
        ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:", "--requirement"];
    build(Command::new(&python).args(pip).arg(&pinned)).context("zeep cannot be fetched from PyPI")?;
    std::fs::write(&stamp, &wanted).with_context(|| stamp.display().to_string())?;
    Ok(python)
}
