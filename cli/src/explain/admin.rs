//! Asks a running instance over its admin port.

use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rivmesh_dataplane::admin::{Explained, Question};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// For how long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(15);
/// The longest answer; an explanation is a few kilobytes.
const MAX_ANSWER: usize = 1 << 20;

/// Puts a question to the instance whose admin port is `admin` (`host:port`).
///
/// # Errors
/// When it cannot be reached, is not an admin port, or cannot answer; with the sentence that it gave.
pub(super) async fn ask(admin: &str, question: &Question) -> anyhow::Result<Explained> {
    let admin = admin.strip_prefix("http://").unwrap_or(admin).trim_end_matches('/');
    let both = async {
        let json = get(admin, &path(question, "json")?).await?;
        let text = get(admin, &path(question, "text")?).await?;
        let json = serde_json::from_str(&json).with_context(|| format!("{admin} did not answer in JSON"))?;
        Ok(Explained { json, text })
    };
    timeout(PATIENCE, both).await.with_context(|| format!("{admin} did not answer in {} s", PATIENCE.as_secs()))?
}

/// The instant is always named, so that both forms of the answer are about the same one.
fn path(question: &Question, form: &str) -> anyhow::Result<String> {
    let at = Timestamp::from_second(question.at)?.to_string();
    let fields = [
        ("consumer", &*question.consumer),
        ("contract", &*question.contract),
        ("address", &*question.address),
        ("profile", &*question.profile),
        ("at", &*at),
        ("format", form),
    ];
    let fields = fields.map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)));
    Ok(format!("/explain?{}", fields.join("&")))
}

async fn get(admin: &str, path: &str) -> anyhow::Result<String> {
    let stream = TcpStream::connect(admin).await;
    let stream =
        stream.with_context(|| format!("{admin} cannot be reached: is it the host:port of `admin.address`?"))?;
    let not_http = || format!("{admin} does not speak HTTP: is it the port of `admin.address`?");
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.with_context(not_http)?;
    // Its errors come out of the request, too.
    let connection = tokio::spawn(connection);
    let request = Request::get(path).header(header::HOST, admin).body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await.with_context(not_http)?;
    let status = response.status();
    let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
    let body = body.map_err(|error| anyhow::anyhow!("the answer of {admin} broke off: {error}"))?.to_bytes();
    connection.abort();
    let text = String::from_utf8_lossy(&body).into_owned();
    if status != StatusCode::OK {
        bail!("{admin} answers {}: {}", status.as_u16(), text.trim());
    }
    Ok(text)
}
