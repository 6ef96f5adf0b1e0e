//! One bounded download over HTTP: limits for connecting, for the whole and for the size, few redirects and none from
//! https to http, and a conditional request where the server has given something to ask with. What comes back is bytes
//! and not yet believed.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_util::task::AbortOnDropHandle;
use tower::ServiceExt;
use url::{Position, Url};

use super::failure::Failure;
use super::source::shown;

/// The most redirects that are followed.
const REDIRECTS: usize = 3;
/// The longest head of an answer.
const MAX_HEAD: usize = 64 * 1024;
const USER_AGENT: &str = concat!("rivmesh-crl-fetcher/", env!("CARGO_PKG_VERSION"));

/// What a download may cost.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// For a connection, over all addresses of the host.
    pub(super) connect: Duration,
    /// For the whole, redirects included.
    pub(super) total: Duration,
    /// For the body.
    pub(super) bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        // The largest national list is some megabytes, and a slow line still brings that in a minute.
        Self { connect: Duration::from_secs(10), total: Duration::from_secs(120), bytes: 64 << 20 }
    }
}

/// How to reach servers.
#[derive(Debug, Clone)]
pub(super) struct Client {
    pub(super) limits: Limits,
    /// Proxies on the way out, as the usual environment variables name them.
    pub(super) proxies: Arc<Matcher>,
    /// Whom to trust on https; without it there is no https.
    pub(super) tls: Option<Arc<ClientConfig>>,
}

/// What a server gave along with an answer, to ask whether there is a newer one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Validators {
    /// Whose answer it was, after redirects.
    url: Url,
    etag: Option<HeaderValue>,
    last_modified: Option<HeaderValue>,
}

/// What came back.
#[derive(Debug)]
pub(super) enum Answer {
    /// There is nothing newer than what the validators are from.
    NotModified,
    /// This is there.
    Content(Bytes, Validators),
}

impl Client {
    /// Downloads what is at `url`, unless it is what `known` came with.
    pub(super) async fn get(&self, url: &Url, known: Option<&Validators>) -> Result<Answer, Failure> {
        let total = self.limits.total;
        tokio::time::timeout(total, self.follow(url, known)).await.unwrap_or(Err(Failure::Timeout(total)))
    }

    async fn follow(&self, url: &Url, known: Option<&Validators>) -> Result<Answer, Failure> {
        let mut url = url.clone();
        for _ in 0..=REDIRECTS {
            let known = known.filter(|known| known.url == url);
            let (response, _connection) = self.ask(&url, known).await?;
            match response.status() {
                StatusCode::OK => return self.content(response, url).await,
                StatusCode::NOT_MODIFIED if known.is_some() => return Ok(Answer::NotModified),
                StatusCode::MOVED_PERMANENTLY
                | StatusCode::FOUND
                | StatusCode::SEE_OTHER
                | StatusCode::TEMPORARY_REDIRECT
                | StatusCode::PERMANENT_REDIRECT => {
                    url = target(&url, response.headers().get(header::LOCATION)).map_err(Failure::Redirect)?;
                }
                other => return Err(Failure::Status(other.as_u16())),
            }
        }
        Err(Failure::Redirect(format!("more than {REDIRECTS} times, last to {}", shown(&url))))
    }

    async fn content(&self, response: Response<Incoming>, url: Url) -> Result<Answer, Failure> {
        let validator = |name: HeaderName| response.headers().get(name).cloned();
        let validators =
            Validators { url, etag: validator(header::ETAG), last_modified: validator(header::LAST_MODIFIED) };
        let limit = self.limits.bytes;
        match Limited::new(response.into_body(), limit).collect().await {
            Ok(body) => Ok(Answer::Content(body.to_bytes(), validators)),
            Err(error) if error.is::<LengthLimitError>() => Err(Failure::TooLarge(limit)),
            Err(error) => Err(Failure::BrokeOff(chain(&*error))),
        }
    }

    /// Sends one request on a connection of its own, which lasts as long as the handle.
    async fn ask(
        &self,
        url: &Url,
        known: Option<&Validators>,
    ) -> Result<(Response<Incoming>, AbortOnDropHandle<()>), Failure> {
        let uri = url.as_str().parse::<Uri>().map_err(|error| Failure::Connect(error.to_string()))?;
        let proxy = self.proxies.intercept(&uri);
        if let Some(proxy) = &proxy
            && proxy.uri().scheme_str() != Some("http")
        {
            return Err(Failure::Connect("the proxy's URL must begin with http://".to_owned()));
        }
        let connecting = |error: &dyn Error| Failure::Connect(chain(error));
        if url.scheme() != "https" {
            let place = proxy.as_ref().map_or(&uri, |proxy| proxy.uri());
            let stream = self.connector().oneshot(place.clone()).await.map_err(|error| connecting(&error))?;
            let mut request = request(url, known, proxy.is_some())?;
            if let Some(authorization) = proxy.as_ref().and_then(|proxy| proxy.basic_auth()) {
                request.headers_mut().insert(header::PROXY_AUTHORIZATION, authorization.clone());
            }
            return exchange(stream, request).await;
        }
        let Some(tls) = &self.tls else {
            return Err(Failure::Redirect(format!("to {}, and https needs --https-trust", shown(url))));
        };
        let stream = match proxy {
            None => self.connector().oneshot(uri).await.map_err(|error| connecting(&error))?,
            Some(proxy) => {
                let mut tunnel = Tunnel::new(proxy.uri().clone(), self.connector());
                if let Some(authorization) = proxy.basic_auth() {
                    tunnel = tunnel.with_auth(authorization.clone());
                }
                tunnel.oneshot(uri).await.map_err(|error| connecting(&error))?
            }
        };
        let stream = secure(tls.clone(), url, stream.into_inner()).await?;
        exchange(TokioIo::new(stream), request(url, known, false)?).await
    }

    fn connector(&self) -> HttpConnector {
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_connect_timeout(Some(self.limits.connect));
        connector
    }
}

async fn secure(
    tls: Arc<ClientConfig>,
    url: &Url,
    stream: TcpStream,
) -> Result<tokio_rustls::client::TlsStream<TcpStream>, Failure> {
    let host = url.host_str().unwrap_or_default();
    let host = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    let name = ServerName::try_from(host.to_owned()).map_err(|error| Failure::Tls(error.to_string()))?;
    TlsConnector::from(tls).connect(name, stream).await.map_err(|error| Failure::Tls(error.to_string()))
}

/// Whole URLs are for proxies; their user and fragment are not.
fn request(url: &Url, known: Option<&Validators>, whole: bool) -> Result<Request<Empty<Bytes>>, Failure> {
    let path = &url[Position::BeforePath..Position::AfterQuery];
    let host = &url[Position::BeforeHost..Position::AfterPort];
    let target = if whole { format!("{}://{host}{path}", url.scheme()) } else { path.to_owned() };
    let mut request = Request::get(target)
        .header(header::HOST, host)
        .header(header::USER_AGENT, USER_AGENT)
        .header(header::ACCEPT, "application/pkix-crl, */*;q=0.5")
        .header(header::CONNECTION, "close")
        .body(Empty::new())
        .map_err(|error| Failure::Connect(error.to_string()))?;
    if let Some(known) = known {
        let mut add = |name, value: &Option<HeaderValue>| add(request.headers_mut(), name, value);
        add(header::IF_NONE_MATCH, &known.etag);
        add(header::IF_MODIFIED_SINCE, &known.last_modified);
    }
    Ok(request)
}

fn add(headers: &mut HeaderMap, name: HeaderName, value: &Option<HeaderValue>) {
    if let Some(value) = value {
        headers.insert(name, value.clone());
    }
}

async fn exchange<T>(
    io: T,
    request: Request<Empty<Bytes>>,
) -> Result<(Response<Incoming>, AbortOnDropHandle<()>), Failure>
where
    T: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let broke_off = |error: hyper::Error| Failure::BrokeOff(chain(&error));
    let mut http = hyper::client::conn::http1::Builder::new();
    let (mut sender, connection) = http.max_buf_size(MAX_HEAD).handshake(io).await.map_err(broke_off)?;
    // Its errors come out of the request and the body, too.
    let connection = AbortOnDropHandle::new(tokio::spawn(async move { drop(connection.await) }));
    let response = sender.send_request(request).await.map_err(broke_off)?;
    Ok((response, connection))
}

/// Where a redirect leads, as a URL that may be followed; why not, as a sentence without its subject.
fn target(from: &Url, location: Option<&HeaderValue>) -> Result<Url, String> {
    let location = location.and_then(|location| location.to_str().ok()).ok_or("without saying where")?;
    let mut to = from.join(location).map_err(|error| format!("to what is no URL ({error})"))?;
    // A user in it would be of no use, and a fragment is not for servers.
    let _ = (to.set_username(""), to.set_password(None));
    to.set_fragment(None);
    match (from.scheme(), to.scheme()) {
        ("https", "http") => Err(format!("from https to {}, which is not followed", shown(&to))),
        (_, "http" | "https") if to.has_host() => Ok(to),
        (_, scheme) => Err(format!("to a {scheme} URL")),
    }
}

/// An error with what caused it.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Some errors repeat their cause.
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_leads_to_http_or_https_and_never_down() {
        for (from, location, expected) in [
            ("http://a.example/x/y.crl", "z.crl", Ok("http://a.example/x/z.crl")),
            ("http://a.example/x/y.crl", "/z.crl?a=b", Ok("http://a.example/z.crl?a=b")),
            ("http://a.example/y.crl", "//b.example/z.crl", Ok("http://b.example/z.crl")),
            ("http://a.example/y.crl", "https://b.example/z.crl", Ok("https://b.example/z.crl")),
            ("https://a.example/y.crl", "https://u:p@b.example:8443/z.crl#f", Ok("https://b.example:8443/z.crl")),
            ("https://a.example/y.crl", "http://b.example/z.crl?s3cret", Err("from https to http://b.example/z.crl,")),
            ("http://a.example/y.crl", "ldap://b.example/z?s3cret", Err("to a ldap URL")),
            ("http://a.example/y.crl", "file:///etc/passwd", Err("to a file URL")),
            ("http://a.example/y.crl", "http://", Err("to what is no URL")),
        ] {
            let found = target(&from.parse().unwrap(), Some(&HeaderValue::from_static(location)));
            match (found, expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found.as_str(), expected, "{location}"),
                (Err(found), Err(part)) => assert!(found.contains(part) && !found.contains("s3cret"), "{found}"),
                (found, _) => panic!("{from} -> {location}: {found:?}"),
            }
        }
        assert_eq!(target(&"http://a.example/".parse().unwrap(), None).unwrap_err(), "without saying where");
    }
}
