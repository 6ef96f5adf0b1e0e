//! Apache CXF, the usual SOAP client of Java systems, with classes made from the WSDLs by Maven.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::official;
use crate::suite::{GREETING_CALLS, Made, OFFICIAL_CALLS, Place, Tally, build, installed, output};

const NAME: &str = "CXF";
/// The oldest Java that CXF 4 runs on.
const JAVA: u32 = 17;

pub(crate) fn run(place: &Place, tally: &mut Tally) -> Made {
    let built = match prepare(place) {
        Ok(built) => built,
        Err(reason) => {
            tally.skip(NAME, &[&GREETING_CALLS[..], &OFFICIAL_CALLS].concat(), &format!("{reason:#}"));
            return Made::nothing(NAME);
        }
    };
    let mut command = Command::new("java");
    // JAXB reads the file.encoding on older runtimes; the contract's texts are Swedish.
    command.args(["-Dfile.encoding=UTF-8", "-Dstdout.encoding=UTF-8", "-cp"]);
    command.arg(format!("{0}/classes:{0}/lib/*", built.display())).arg("io.rivmesh.clients.Main");
    let calls = place.describe_to(&mut command);
    if place.official.is_none() {
        tally.skip(NAME, &OFFICIAL_CALLS, official::MISSING);
    }
    tally.run(NAME, &mut command, &calls)
}

/// The folder with classes and libraries. Maven itself knows what has to be done anew.
fn prepare(place: &Place) -> Result<PathBuf> {
    ensure!(
        installed("java") && installed("mvn"),
        "Java or Maven is missing; install them with: apt-get install default-jdk-headless maven"
    );
    let version = java_version()?;
    ensure!(version >= JAVA, "Java {version} is too old; CXF needs {JAVA} or newer");
    let folder = place.work.join("cxf");
    let mut maven = Command::new("mvn");
    maven.args(["--batch-mode", "--quiet", "--file"]).arg(place.clients.join("cxf/pom.xml"));
    maven.arg(format!("-Doutput={}", folder.display()));
    if let Some(official) = &place.official {
        maven.arg(format!("-Dofficial={}", official.display()));
    }
    build(maven.arg("compile")).context("the client cannot be built")?;
    Ok(folder)
}

fn java_version() -> Result<u32> {
    let said = output(Command::new("java").arg("-version"))?;
    // Java prints its version to standard error: openjdk version "17.0.15" 2025-04-15
    let text = String::from_utf8_lossy(&said.stderr).into_owned();
    let quoted = text.split('"').nth(1).and_then(|version| version.split(['.', '-']).next()?.parse().ok());
    quoted.with_context(|| format!("java -version says {text:?}"))
}
