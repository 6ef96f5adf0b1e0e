//! The way to the API server, with every request counted by verb, resource and answer: what an operator costs its cluster
//! is one of its budgets. No request waits for ever, for a node that lost power answers nothing, not even that it is gone.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::Context as _;
use kube::client::{Body, ClientBuilder};
use kube::{Client, Config};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use tonic::codegen::http::{Method, Request, Response, Uri};
use tower::timeout::{Timeout, TimeoutLayer};
use tower::{Layer, Service};

/// How long the API server may take to begin an answer; that to a watch begins at once.
const ANSWER: Duration = Duration::from_secs(30);
/// How long it may be silent in the middle of one: kube's watchers give up a watch after 295 s, and say why.
const SILENCE: Duration = Duration::from_secs(300);

/// Requests by what they asked for and what was answered.
pub(crate) type Requests = Family<Labels, Counter>;

/// What a request was.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Labels {
    pub(crate) verb: &'static str,
    pub(crate) resource: String,
    pub(crate) code: String,
}

/// A client from the pod's ServiceAccount, or from the kubeconfig of whoever starts the operator by hand.
///
/// # Errors
/// When there is neither, or it cannot be used.
pub(crate) async fn connect(requests: Requests) -> anyhow::Result<Client> {
    let config = Config::infer().await.context(
        "no way to a Kubernetes API server: run in a pod with a ServiceAccount, set KUBECONFIG, or give --manifests",
    )?;
    let builder = ClientBuilder::try_from(bounded(config)).context("the way to the API server cannot be used")?;
    Ok(layered(builder, requests).build())
}

fn bounded(config: Config) -> Config {
    let mut config = config;
    config.read_timeout = Some(SILENCE);
    // The time that a connection waited for its next request is no silence.
    config.reset_reader_on_write = true;
    // Whoever asks tries again and says so. The client would sleep for minutes and say nothing.
    config.default_retry = false;
    config
}

fn layered<S>(builder: ClientBuilder<S>, requests: Requests) -> ClientBuilder<Counted<Timeout<S>>> {
    builder.with_layer(&TimeoutLayer::new(ANSWER)).with_layer(&Counting { requests })
}

#[derive(Clone)]
struct Counting {
    requests: Requests,
}

impl<S> Layer<S> for Counting {
    type Service = Counted<S>;

    fn layer(&self, inner: S) -> Counted<S> {
        Counted { inner, requests: self.requests.clone() }
    }
}

#[derive(Clone)]
struct Counted<S> {
    inner: S,
    requests: Requests,
}

impl<S, B> Service<Request<Body>> for Counted<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Future: Send + 'static,
    S::Error: Send,
    B: Send,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (verb, resource) = (verb(request.method(), request.uri()), resource(request.uri().path()));
        let (requests, answer) = (self.requests.clone(), self.inner.call(request));
        Box::pin(async move {
            let answer = answer.await;
            let code = answer.as_ref().map_or_else(|_| "none".to_owned(), |answer| answer.status().as_str().to_owned());
            requests.get_or_create(&Labels { verb, resource, code }).inc();
            answer
        })
    }
}

fn verb(method: &Method, uri: &Uri) -> &'static str {
    let is_watch = uri.query().is_some_and(|query| query.split('&').any(|pair| pair == "watch=true"));
    match *method {
        Method::GET if is_watch => "watch",
        Method::GET => "get",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "other",
    }
}

/// The resource in a path, with its subresource: `routingentries/status`.
fn resource(path: &str) -> String {
    let mut parts = path.trim_matches('/').split('/').peekable();
    // /api/v1/... or /apis/group/version/...
    match parts.next() {
        Some("api") => drop(parts.next()),
        Some("apis") => drop(parts.nth(1)),
        _ => return "other".to_owned(),
    }
    let mut rest: Vec<&str> = parts.collect();
    if rest.first() == Some(&"namespaces") && rest.len() > 2 {
        rest.drain(..2);
    }
    match rest[..] {
        [resource] | [resource, _] => resource.to_owned(),
        [resource, _, subresource, ..] => format!("{resource}/{subresource}"),
        [] => "other".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::time::{Instant, timeout};

    use super::*;

    /// More than anything here may take.
    const LONG: Duration = Duration::from_secs(3600);

    /// A server that gives each request the next of these answers.
    async fn server(answers: &'static [&'static str]) -> Config {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let uri = format!("http://{}", listener.local_addr().expect("bound")).parse().expect("a URI");
        tokio::spawn(async move {
            let mut answers = answers.iter();
            while let Ok((mut socket, _)) = listener.accept().await {
                let mut request = Vec::new();
                while socket.read_buf(&mut request).await.is_ok_and(|read| read > 0) {
                    if request.ends_with(b"\r\n\r\n") {
                        request.clear();
                        let answer = answers.next().copied().unwrap_or_default();
                        socket.write_all(answer.as_bytes()).await.expect("the client reads");
                    }
                }
            }
        });
        Config::new(uri)
    }

    async fn ask(client: &Client) -> Result<String, kube::Error> {
        let request = Request::get("/api/v1/namespaces/tak/secrets/a").body(Vec::new()).expect("a request");
        timeout(LONG, client.request_text(request)).await.expect("it hangs")
    }

    fn counted(requests: &Requests, code: &str) -> u64 {
        let labels = Labels { verb: "get", resource: "secrets".to_owned(), code: code.to_owned() };
        requests.get_or_create(&labels).get()
    }

    #[tokio::test]
    async fn a_refusal_is_told_at_once_to_whoever_asked() {
        let answers = &[
            "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        ];
        let requests = Requests::default();
        let builder = ClientBuilder::try_from(bounded(server(answers).await)).expect("usable");
        let client = layered(builder, requests.clone()).build();
        let refused = ask(&client).await;
        assert!(matches!(&refused, Err(kube::Error::Api(status)) if status.code == 503), "{refused:?}");
        assert_eq!(ask(&client).await.expect("the next answer"), "ok");
        assert_eq!((counted(&requests, "503"), counted(&requests, "200")), (1, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_stops_in_the_middle_ends() {
        let answers = &["HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\no"];
        let builder = ClientBuilder::try_from(bounded(server(answers).await)).expect("usable");
        let client = layered(builder, Requests::default()).build();
        let start = Instant::now();
        ask(&client).await.expect_err("half an answer");
        assert_eq!(start.elapsed().as_secs(), SILENCE.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_does_not_begin_is_not_waited_for() {
        let silent = tower::service_fn(|_: Request<Body>| std::future::pending::<Result<Response<Body>, Infallible>>());
        let requests = Requests::default();
        let client = layered(ClientBuilder::new(silent, "tak"), requests.clone()).build();
        let start = Instant::now();
        let error = ask(&client).await.expect_err("no answer");
        assert_eq!(start.elapsed().as_secs(), ANSWER.as_secs());
        assert!(super::super::describe(&error).contains("timed out"), "{error:?}");
        assert_eq!(counted(&requests, "none"), 1);
    }

    #[test]
    fn requests_are_named_by_what_they_are_about() {
        for (method, uri, named) in [
            (Method::GET, "/apis/rivmesh.io/v1alpha1/routingentries?limit=5", ("get", "routingentries")),
            (
                Method::GET,
                "/apis/rivmesh.io/v1alpha1/namespaces/tak/routingentries?watch=true&timeoutSeconds=9",
                ("watch", "routingentries"),
            ),
            (
                Method::PATCH,
                "/apis/rivmesh.io/v1alpha1/namespaces/tak/routingentries/a/status?force=true",
                ("patch", "routingentries/status"),
            ),
            (Method::PUT, "/apis/coordination.k8s.io/v1/namespaces/tak/leases/a", ("update", "leases")),
            (Method::GET, "/api/v1/namespaces/tak/secrets/a", ("get", "secrets")),
            (Method::GET, "/api/v1/namespaces/tak", ("get", "namespaces")),
            (Method::POST, "/apis/authentication.k8s.io/v1/tokenreviews", ("create", "tokenreviews")),
            (Method::DELETE, "/version", ("delete", "other")),
        ] {
            let uri: Uri = uri.parse().expect("a URI");
            assert_eq!((verb(&method, &uri), &*resource(uri.path())), named, "{uri}");
        }
    }
}
