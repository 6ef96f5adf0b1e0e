//! `rivmesh call`: one synthetic call to a platform, as a consumer makes it. For monitoring, for the test of an
//! installation, and for a vendor who wonders what the platform has against the certificate or the message.

mod expect;
mod report;
mod target;
mod trouble;

use std::cell::Cell;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;
use clap::builder::{NonEmptyStringValueParser, PossibleValuesParser};
use http_body_util::Full;
use hyper::Request;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use rivmesh_dataplane::config::parse_duration;
use rivmesh_rivta::{Profile, consumer_id, describe};
use rustls::pki_types::ServerName;
use tokio::time::timeout;

use crate::consumer::{self, Phase, Target};
use crate::explain::PROFILES;
use crate::plain::plain;
use crate::{soap, tls};
use expect::Expected;
use report::{Report, Sent};
use target::Url;

/// Makes one call over mutual TLS and says what came back.
///
/// Exits with 0 if that was as expected, 1 if not, and 2 if the call could not be made.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The platform's address, as `https://platform.example:8443/`.
    #[arg(long, value_name = "URL")]
    url: Url,
    /// The client certificate with its chain (PEM): who calls.
    #[arg(long, value_name = "FILE")]
    cert: PathBuf,
    /// Its private key (PEM).
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The authorities (PEM) that the platform's certificate must come from.
    #[arg(long, value_name = "FILE")]
    ca: PathBuf,
    /// The name to find in the platform's certificate, where it is not the URL's host.
    #[arg(long, value_name = "NAME")]
    server_name: Option<String>,
    /// The contract: the namespace of the first element in the SOAP body.
    #[arg(long, value_name = "URN", value_parser = NonEmptyStringValueParser::new())]
    contract: String,
    /// The logical address.
    #[arg(long, value_name = "ID")]
    logical_address: String,
    /// The profile in which the message is written.
    #[arg(long, default_value = PROFILES[0], value_parser = PossibleValuesParser::new(PROFILES))]
    profile: String,
    /// What stands in the SOAP Body (XML); an empty element of the contract, if left out.
    #[arg(long, value_name = "FILE")]
    body: Option<PathBuf>,
    /// A header to send along, as `Name: value`; may be given several times.
    #[arg(long = "header", value_name = "HEADER", value_parser = parse_header)]
    headers: Vec<(HeaderName, HeaderValue)>,
    /// What should come back: ok, fault, a code as VP007, or any.
    #[arg(long, value_name = "WHAT", default_value = "ok")]
    expect: Expected,
    /// For how long the answer is waited for.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = parse_duration)]
    timeout: Duration,
    /// Print nothing but errors.
    #[arg(long, conflicts_with_all = ["json", "show_body"])]
    quiet: bool,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
    /// Print the answer's body, too. It may hold personal data.
    #[arg(long)]
    show_body: bool,
}

/// Makes the call, and prints what came of it.
pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let files = tls::Files { certificate: args.cert.clone(), key: args.key.clone(), authorities: args.ca.clone() };
    let tls = tls::client(&files)?;
    let message = message(&args)?;
    let sent = sent(&args, message.len())?;
    let is_told = !args.quiet && !args.json;
    if is_told {
        println!("{sent}");
    }
    let name = args.server_name.as_deref().unwrap_or_else(|| args.url.host());
    let server_name = ServerName::try_from(name.to_owned())
        .with_context(|| format!("\"{}\" cannot be the name of a server", name.escape_debug()))?;
    let target = Target { host: args.url.host(), port: args.url.port(), server_name, tls: &tls };
    let phase = Cell::new(Phase::Connecting);
    let call = consumer::call(&target, request(&args, message)?, &phase);
    let problem = match timeout(args.timeout, call).await {
        Ok(Ok(answer)) => {
            let report = Report::of(&sent, &args.expect, &answer, args.show_body);
            let mut out = std::io::stdout().lock();
            if args.json {
                serde_json::to_writer_pretty(&mut out, &report)?;
                writeln!(out)?;
            } else if is_told {
                write!(out, "{report}")?;
            }
            return Ok(if report.as_expected { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        Ok(Err(failure)) => trouble::explain(&failure, tls.shown.get().as_deref(), name),
        Err(_) => trouble::gave_up(phase.get(), args.timeout),
    };
    if args.json {
        println!("{:#}", serde_json::json!({ "sent": sent, "error": plain(&problem), "asExpected": false }));
        return Ok(ExitCode::from(2));
    }
    anyhow::bail!("{}", plain(&problem))
}

/// Who calls what, and a note where the certificate cannot be good.
fn sent(args: &Args, bytes: usize) -> anyhow::Result<Sent> {
    let chain = tls::certificates(&args.cert)?;
    let leaf = describe(&chain[0]).with_context(|| format!("{} holds no proper certificate", args.cert.display()))?;
    let now = Timestamp::now().as_second();
    let instant = |seconds| Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX);
    if now > leaf.not_after {
        eprintln!("note: {} expired {}", args.cert.display(), instant(leaf.not_after));
    } else if now < leaf.not_before {
        eprintln!("note: {} is not valid before {}", args.cert.display(), instant(leaf.not_before));
    }
    Ok(Sent {
        url: args.url.to_string(),
        consumer: consumer_id(&chain[0]).ok(),
        certificate: leaf.subject,
        contract: args.contract.clone(),
        logical_address: args.logical_address.clone(),
        profile: args.profile.clone(),
        bytes,
    })
}

fn message(args: &Args) -> anyhow::Result<String> {
    let content = match &args.body {
        Some(file) => {
            std::fs::read_to_string(file).with_context(|| format!("{} cannot be read as UTF-8", file.display()))?
        }
        None => {
            let name = soap::interaction(&args.contract);
            ensure!(
                soap::is_name(name),
                "\"{}\" in the contract cannot be the name of an element: give the Body's content with --body FILE",
                name.escape_debug()
            );
            soap::request(&args.contract, "")
        }
    };
    let profile = Profile::from_name(&args.profile).context("the profile is unknown")?;
    Ok(soap::envelope(profile, &args.logical_address, &content))
}

fn request(args: &Args, message: String) -> anyhow::Result<Request<Full<Bytes>>> {
    let mut headers = HeaderMap::new();
    headers.insert(header::HOST, HeaderValue::from_str(args.url.authority())?);
    headers.insert(header::USER_AGENT, HeaderValue::from_static(concat!("rivmesh/", env!("CARGO_PKG_VERSION"))));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/xml; charset=UTF-8"));
    headers.insert("SOAPAction", HeaderValue::from_static("\"\""));
    // The caller's own take the place of ours, and may come twice.
    args.headers.iter().for_each(|(name, _)| drop(headers.remove(name)));
    for (name, value) in &args.headers {
        headers.append(name, value.clone());
    }
    let mut request = Request::post(args.url.target()).body(Full::new(Bytes::from(message)))?;
    *request.headers_mut() = headers;
    Ok(request)
}

/// What frames the message is not the caller's to choose.
fn parse_header(text: &str) -> Result<(HeaderName, HeaderValue), String> {
    let (name, value) = text.split_once(':').ok_or("write it as 'Name: value'")?;
    let name: HeaderName =
        name.trim().parse().map_err(|_| "its name has characters that no header's has".to_owned())?;
    if [header::HOST, header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::CONNECTION].contains(&name) {
        return Err(format!("{name} is set by the message itself"));
    }
    let value = value.trim().parse().map_err(|_| "its value has characters that no header's has".to_owned())?;
    Ok((name, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_a_name_and_a_value() {
        let (name, value) = parse_header("X-Rivta-Acting-On-Behalf-Of-Hsaid:  SE1:x ").unwrap();
        assert_eq!((name.as_str(), value.as_bytes()), ("x-rivta-acting-on-behalf-of-hsaid", &b"SE1:x"[..]));
        for (text, part) in [
            ("no colon", "'Name: value'"),
            (": x", "its name"),
            ("a b: x", "its name"),
            ("a: x\r\nb: y", "its value"),
            ("content-length: 5", "set by the message"),
            ("Transfer-Encoding: chunked", "set by the message"),
            ("Host: x", "set by the message"),
        ] {
            let error = parse_header(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
