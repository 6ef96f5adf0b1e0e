//! One call over TLS with a client certificate: on a connection of its own, or on one that is kept.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use anyhow::Result;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use rivmesh_loadgen::tls::{TlsOptions, Version};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout_at;
use tokio_rustls::TlsConnector;

use super::account::{Answered, Failure, Stage};
use crate::objects::CONTRACT;

/// Longer than any answer may take.
const LIMIT: Duration = Duration::from_secs(30);
/// As many connections are kept at least, so that every pod of a platform has some.
const KEPT: usize = 16;
/// The name in the platform's certificate.
const PLATFORM: &str = "localhost";
const LARGEST_ANSWER: usize = 64 * 1024;

/// What a consumer shows, and whom it trusts.
#[derive(Debug, Clone)]
pub(crate) struct Identity(Arc<ClientConfig>);

impl Identity {
    /// The consumer with the certificate `name` of a PKI, who trusts the authorities in `trust`.
    pub(crate) fn new(pki: &Path, name: &str, trust: &Path) -> Result<Self> {
        let file = |suffix: &str| pki.join(format!("{name}.{suffix}"));
        let options = TlsOptions { ca: trust.to_owned(), cert: file("crt"), key: file("key"), tls: Version::Any };
        Ok(Self(Arc::new(options.client()?)))
    }
}

/// What is called, and who should answer.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) address: String,
    /// Names of producers.
    pub(crate) expected: Vec<&'static str>,
}

impl Call {
    fn request(&self, number: u64) -> Request<Full<Bytes>> {
        let body = format!(
            "<e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\"><e:Header><LogicalAddress \
             xmlns=\"urn:riv:itintegration:registry:1\">{}</LogicalAddress></e:Header><e:Body><GetThing \
             xmlns=\"{CONTRACT}\"><number>{number}</number></GetThing></e:Body></e:Envelope>",
            self.address
        );
        Request::post("/vp")
            .header(header::HOST, PLATFORM)
            .header(header::CONTENT_TYPE, "text/xml; charset=UTF-8")
            .body(Full::from(body))
            .expect("the parts of the request are well-formed")
    }
}

/// One try to get an answer, which is given up after [`LIMIT`].
#[derive(Debug, Clone, Copy)]
struct Attempt {
    began: Instant,
}

impl Attempt {
    /// What a stage comes to, if it does in time.
    async fn in_time<T>(self, stage: Stage, work: impl Future<Output = T>) -> Result<T, Failure> {
        let late = |_| self.failure(Stage::Late, format!("no answer within {} s, got to {stage:?}", LIMIT.as_secs()));
        timeout_at((self.began + LIMIT).into(), work).await.map_err(late)
    }

    fn failure(self, stage: Stage, what: String) -> Failure {
        Failure { stage, began: self.began, what }
    }
}

type Sender = SendRequest<Full<Bytes>>;

/// Connections that are kept between calls.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    idle: Mutex<VecDeque<Kept>>,
    open: Arc<AtomicUsize>,
    /// Connections of an earlier generation are not used again.
    generation: AtomicU64,
}

#[derive(Debug)]
struct Kept {
    sender: Sender,
    generation: u64,
    _counted: Counted,
}

/// Counts an open connection for as long as it lives.
#[derive(Debug)]
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Pool {
    fn idle(&self) -> MutexGuard<'_, VecDeque<Kept>> {
        self.idle.lock().expect("no thread panics while it holds the lock")
    }

    /// The connection that has been idle the longest. None when a new one should be made.
    fn take(&self) -> Option<Kept> {
        if self.open.load(Ordering::Relaxed) < KEPT {
            return None;
        }
        let generation = self.generation.load(Ordering::Relaxed);
        self.idle().pop_front().filter(|kept| kept.generation == generation)
    }

    async fn open(&self, target: SocketAddr, identity: &Identity, attempt: Attempt) -> Result<Kept, Failure> {
        let generation = self.generation.load(Ordering::Relaxed);
        let sender = connect(target, identity, attempt).await?;
        self.open.fetch_add(1, Ordering::Relaxed);
        Ok(Kept { sender, generation, _counted: Counted(self.open.clone()) })
    }

    /// Uses none of the present connections again.
    pub(crate) fn forget(&self) {
        self.generation.fetch_add(1, Ordering::Relaxed);
        self.idle().clear();
    }
}

/// Makes one call and judges its answer.
pub(crate) async fn call_once(
    target: SocketAddr,
    identity: &Identity,
    call: &Call,
    number: u64,
    pool: Option<&Pool>,
) -> Result<Answered, Failure> {
    let attempt = Attempt { began: Instant::now() };
    let answered = match pool {
        Some(pool) => on_a_kept_connection(target, identity, call, number, pool, attempt).await?,
        None => on_its_own_connection(target, identity, call, number, attempt).await?,
    };
    Ok(Answered { took: attempt.began.elapsed(), ..answered })
}

async fn on_its_own_connection(
    target: SocketAddr,
    identity: &Identity,
    call: &Call,
    number: u64,
    attempt: Attempt,
) -> Result<Answered, Failure> {
    let mut sender = connect(target, identity, attempt).await?;
    let mut request = call.request(number);
    request.headers_mut().insert(header::CONNECTION, header::HeaderValue::from_static("close"));
    let answer = attempt.in_time(Stage::Exchange, sender.send_request(request)).await?;
    let answer = answer.map_err(|error| attempt.failure(Stage::Exchange, describe(&error)))?;
    let (by, text) = judge(answer, call, number, attempt).await?;
    Ok(Answered { by, text, took: Duration::ZERO, found_closed: 0 })
}

async fn on_a_kept_connection(
    target: SocketAddr,
    identity: &Identity,
    call: &Call,
    number: u64,
    pool: &Pool,
    attempt: Attempt,
) -> Result<Answered, Failure> {
    let mut request = call.request(number);
    let mut found_closed = 0;
    loop {
        let mut kept = match pool.take() {
            Some(kept) => kept,
            None => pool.open(target, identity, attempt).await?,
        };
        match attempt.in_time(Stage::Exchange, kept.sender.try_send_request(request)).await? {
            Ok(answer) => {
                let (by, text) = judge(answer, call, number, attempt).await?;
                if attempt.in_time(Stage::Exchange, kept.sender.ready()).await?.is_ok() {
                    pool.idle().push_back(kept);
                }
                return Ok(Answered { by, text, took: Duration::ZERO, found_closed });
            }
            Err(mut error) => {
                // Only when nothing has been written does the request come back.
                let Some(unsent) = error.take_message() else {
                    return Err(attempt.failure(Stage::Exchange, describe(error.error())));
                };
                found_closed += 1;
                request = unsent;
            }
        }
    }
}

async fn connect(target: SocketAddr, identity: &Identity, attempt: Attempt) -> Result<Sender, Failure> {
    let tcp = attempt.in_time(Stage::Connect, TcpStream::connect(target)).await?;
    let tcp = tcp.map_err(|error| attempt.failure(Stage::Connect, error.to_string()))?;
    tcp.set_nodelay(true).map_err(|error| attempt.failure(Stage::Connect, error.to_string()))?;
    let name = ServerName::try_from(PLATFORM).expect("the platform's name is a host name");
    let tls = attempt.in_time(Stage::Handshake, TlsConnector::from(identity.0.clone()).connect(name, tcp)).await?;
    let tls = tls.map_err(|error| attempt.failure(Stage::Handshake, error.to_string()))?;
    let (sender, connection) = http1::handshake(TokioIo::new(tls))
        .await
        .map_err(|error| attempt.failure(Stage::Handshake, describe(&error)))?;
    // How it ends shows in the calls on it.
    tokio::spawn(connection);
    Ok(sender)
}

/// Who answered and what, if it is one of the expected, and to this call.
async fn judge(
    answer: hyper::Response<hyper::body::Incoming>,
    call: &Call,
    number: u64,
    attempt: Attempt,
) -> Result<(&'static str, String), Failure> {
    let status = answer.status();
    let body = attempt.in_time(Stage::Exchange, Limited::new(answer.into_body(), LARGEST_ANSWER).collect()).await?;
    let body =
        body.map_err(|error| attempt.failure(Stage::Exchange, format!("within the answer: {error}")))?.to_bytes();
    let text = String::from_utf8_lossy(&body);
    let from = |producer: &&&'static str| text.contains(&format!("<from>{producer}</from>"));
    let wrong = |why: &str| {
        attempt.failure(Stage::Answer, format!("{why}: {status} {}", text.chars().take(600).collect::<String>()))
    };
    if status != StatusCode::OK {
        return Err(wrong("refused"));
    }
    if !text.contains(&format!("<number>{number}</number>")) {
        return Err(wrong("an answer to another call"));
    }
    match call.expected.iter().find(from) {
        Some(by) => Ok((by, text.into_owned())),
        None => Err(wrong("from the wrong producer")),
    }
}

/// An error with its causes: hyper's own text does not tell them.
fn describe(error: &hyper::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        text += &format!(": {next}");
        cause = next.source();
    }
    text
}
