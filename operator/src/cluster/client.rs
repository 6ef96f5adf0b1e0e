//! The way to the API server, with every request counted by verb, resource and answer: what an operator costs its cluster
//! is one of its budgets.

use std::pin::Pin;
use std::task::{Context, Poll};

use anyhow::Context as _;
use kube::client::{Body, ClientBuilder};
use kube::{Client, Config};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use tonic::codegen::http::{Method, Request, Response, Uri};
use tower::{Layer, Service};

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
    let builder = ClientBuilder::try_from(config).context("the way to the API server cannot be used")?;
    Ok(builder.with_layer(&Counting { requests }).build())
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
    use super::*;

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
