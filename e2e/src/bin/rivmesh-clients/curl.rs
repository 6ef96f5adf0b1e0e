//! curl, the tool with which people try a platform out: both TLS versions, and a call without a certificate.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::suite::{Made, Place, Tally, installed, output};

const NAME: &str = "curl";
const CALLS: [&str; 3] = ["tls-1.2", "tls-1.3", "no-certificate"];
const REQUEST: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
    <soapenv:Envelope xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\"><soapenv:Header>\
    <LogicalAddress xmlns=\"urn:riv:itintegration:registry:1\">SE2321000131-GREETING</LogicalAddress></soapenv:Header>\
    <soapenv:Body><GetGreeting xmlns=\"urn:riv:rivmesh:demo:GetGreetingResponder:1\"><name>Tolvan</name></GetGreeting>\
    </soapenv:Body></soapenv:Envelope>";

pub(crate) fn run(place: &Place, tally: &mut Tally) -> Made {
    if !installed(NAME) {
        tally.skip(NAME, &CALLS, "curl is missing; install it with: apt-get install curl");
        return Made::nothing(NAME);
    }
    for (call, version) in [("tls-1.2", "1.2"), ("tls-1.3", "1.3")] {
        tally.judge(&format!("{NAME}: {call}"), call_with(place, version));
    }
    tally.judge(&format!("{NAME}: no-certificate"), without_certificate(place));
    Made::nothing(NAME)
}

fn call_with(place: &Place, version: &str) -> Result<()> {
    let request = place.work.join("curl-request.xml");
    std::fs::write(&request, REQUEST).with_context(|| request.display().to_string())?;
    let mut curl = curl(place, &request);
    curl.arg("--cert").arg(place.certificate()).arg("--key").arg(place.key());
    // Lowest and highest version: exactly this one.
    curl.args([&format!("--tlsv{version}"), "--tls-max", version, "--write-out", "\n%{http_code} %{content_type}"]);
    let output = output(&mut curl)?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "curl: {}", String::from_utf8_lossy(&output.stderr).trim());
    ensure!(said.contains("<greeting>Hej Tolvan Åström</greeting>"), "not the producer's answer: {said}");
    ensure!(said.ends_with("\n200 text/xml; charset=UTF-8"), "not 200 text/xml: {said}");
    Ok(())
}

fn without_certificate(place: &Place) -> Result<()> {
    let request = place.work.join("curl-request.xml");
    let output = output(&mut curl(place, &request))?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(!output.status.success() && said.is_empty(), "it was answered: {said}");
    Ok(())
}

fn curl(place: &Place, request: &Path) -> Command {
    let mut command = Command::new(NAME);
    let body = format!("@{}", PathBuf::from(request).display());
    command.args(["--silent", "--show-error", "--max-time", "30", "--noproxy", "*", "--cacert"]).arg(place.trust());
    command.args(["--header", "Content-Type: text/xml; charset=UTF-8", "--data-binary", &body]).arg(&place.url);
    command
}
