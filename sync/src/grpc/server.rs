//! The operator's service: one task per stream drives a [`ServerStream`]. Shards are packed on the blocking pool, one
//! at a time per stream and only as fast as the dataplane reads them.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use rivmesh_table::Environment;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::Instant;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::codegen::http;
use tonic::server::{Grpc, NamedService, StreamingService};
use tonic::transport::server::Connected;
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;

use crate::server::{Admission, Event, ServerStream, Shipment, Step};
use crate::{Published, deadline, limits, wire};

/// Names a stream among all that one service ever had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u64);

/// Keeps account of dataplanes. Called from the tasks of streams, so it must not block.
pub trait Observer: Send + Sync + 'static {
    /// Something became known about the dataplane at the other end of a stream.
    fn event(&self, stream: StreamId, event: Event);

    /// The stream has ended, for the reason given if it ended badly.
    fn closed(&self, stream: StreamId, reason: Option<String>);
}

/// Decides who may open a stream. Asked before a stream says anything, and again when it is old.
pub trait Gate: Send + Sync + 'static {
    /// Judges the bearer token that came with a stream, if one did.
    fn admit<'a>(&'a self, token: Option<&'a str>) -> Pinned<'a, Result<Admission, NotAdmitted>>;
}

/// Why a stream was not opened. The sentence is for the operator's log: what the peer is told helps no stranger.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NotAdmitted {
    /// The credentials are not good.
    #[error("{0}")]
    Denied(String),
    /// Nobody could judge them just now.
    #[error("{0}")]
    Unavailable(String),
}

/// Lets everybody in whom the transport has let in: for one process, and for peers that show a certificate. Who belongs to
/// another environment is still refused.
#[derive(Debug, Clone, Default)]
pub struct OpenGate {
    /// The environment that is served. None where environments are not told apart.
    pub environment: Option<Environment>,
}

impl Gate for OpenGate {
    fn admit<'a>(&'a self, _: Option<&'a str>) -> Pinned<'a, Result<Admission, NotAdmitted>> {
        let environment = self.environment.clone();
        Box::pin(std::future::ready(Ok(Admission { environment, ..Admission::default() })))
    }
}

/// The service.
#[derive(Clone)]
pub struct TableSync {
    published: watch::Receiver<Option<Arc<Published>>>,
    observer: Arc<dyn Observer>,
    gate: Arc<dyn Gate>,
    next_stream: Arc<AtomicU64>,
    places: Arc<Semaphore>,
}

impl TableSync {
    /// A service that offers what `published` holds, as soon as that is something, to whom `gate` lets in.
    pub fn new(
        published: watch::Receiver<Option<Arc<Published>>>,
        observer: Arc<dyn Observer>,
        gate: Arc<dyn Gate>,
    ) -> Self {
        let places = Arc::new(Semaphore::new(limits::MAX_STREAMS));
        Self { published, observer, gate, next_stream: Arc::default(), places }
    }

    async fn open(self, request: Request<Streaming<wire::ClientMessage>>) -> Result<Response<Outbound>, Status> {
        let full = |_| Status::resource_exhausted("this operator has as many streams as it can serve");
        let place = self.places.clone().try_acquire_owned().map_err(full)?;
        let token = bearer_token(&request);
        let admission = self.gate.admit(token.as_deref()).await.map_err(|reason| {
            tracing::warn!("a stream was not opened: {reason}");
            match reason {
                NotAdmitted::Denied(_) => Status::unauthenticated("the credentials of this dataplane are not accepted"),
                NotAdmitted::Unavailable(_) => Status::unavailable("credentials cannot be reviewed just now"),
            }
        })?;
        let (sender, outbound) = mpsc::channel(1);
        let stream = StreamId(self.next_stream.fetch_add(1, Ordering::Relaxed));
        let driver = Driver {
            inbound: request.into_inner(),
            outbound: sender,
            published: self.published,
            gate: self.gate,
            token,
            started: Instant::now(),
        };
        let observer = self.observer;
        tokio::spawn(async move {
            let reason = driver.run(stream, admission, observer.as_ref()).await.err();
            observer.closed(stream, reason);
            drop(place);
        });
        Ok(Response::new(ReceiverStream::new(outbound)))
    }
}

fn bearer_token<T>(request: &Request<T>) -> Option<String> {
    let value = request.metadata().get("authorization")?.to_str().ok()?;
    value.strip_prefix("Bearer ").map(|token| token.trim().to_owned())
}

/// Serves streams on every connection that `incoming` accepts, until `shutdown`; streams that are open then end.
///
/// # Errors
/// When the transport fails as a whole; a connection that fails harms only itself.
pub async fn serve<I, IO>(
    service: TableSync,
    incoming: I,
    shutdown: impl Future<Output = ()>,
) -> Result<(), tonic::transport::Error>
where
    I: Stream<Item = io::Result<IO>>,
    IO: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
{
    let server = tonic::transport::Server::builder()
        .http2_keepalive_interval(Some(super::KEEP_ALIVE))
        .http2_keepalive_timeout(Some(super::KEEP_ALIVE_TIMEOUT))
        .max_concurrent_streams(8);
    // Streams live as long as their dataplanes, so a graceful end would wait for ever: drop the server instead.
    tokio::select! {
        outcome = server.serve_with_incoming(service, incoming) => outcome,
        () = shutdown => Ok(()),
    }
}

type Outbound = ReceiverStream<Result<wire::ServerMessage, Status>>;
/// A future that a trait object gives.
pub type Pinned<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

impl NamedService for TableSync {
    const NAME: &'static str = "rivmesh.sync.v1alpha1.TableSync";
}

impl tower::Service<http::Request<Body>> for TableSync {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pinned<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        if request.uri().path() != super::METHOD {
            let unknown = Status::unimplemented("this port serves rivmesh routing tables and nothing else");
            return Box::pin(std::future::ready(Ok(unknown.into_http())));
        }
        let service = Subscribe(self.clone());
        Box::pin(async move {
            let mut grpc = Grpc::new(ProstCodec::default())
                .max_decoding_message_size(limits::MAX_CLIENT_MESSAGE_BYTES)
                .max_encoding_message_size(limits::MAX_SERVER_MESSAGE_BYTES);
            Ok(grpc.streaming(service, request).await)
        })
    }
}

struct Subscribe(TableSync);

impl StreamingService<wire::ClientMessage> for Subscribe {
    type Response = wire::ServerMessage;
    type ResponseStream = Outbound;
    type Future = Pinned<'static, Result<Response<Outbound>, Status>>;

    fn call(&mut self, request: Request<Streaming<wire::ClientMessage>>) -> Self::Future {
        Box::pin(self.0.clone().open(request))
    }
}

/// What drives one stream.
struct Driver {
    inbound: Streaming<wire::ClientMessage>,
    outbound: mpsc::Sender<Result<wire::ServerMessage, Status>>,
    published: watch::Receiver<Option<Arc<Published>>>,
    gate: Arc<dyn Gate>,
    token: Option<String>,
    started: Instant,
}

impl Driver {
    /// Until the dataplane goes, or must go.
    async fn run(mut self, stream: StreamId, admission: Admission, observer: &dyn Observer) -> Result<(), String> {
        let latest = self.published.borrow_and_update().clone();
        let mut machine = ServerStream::new(latest, admission, self.now());
        loop {
            let deadline = machine.deadline().map(|at| self.started + at);
            let steps = tokio::select! {
                message = self.inbound.message() => match message {
                    Ok(Some(message)) => machine.message(message, self.now()),
                    Ok(None) => return Ok(()),
                    Err(status) => return Err(status.message().to_owned()),
                },
                changed = self.published.changed() => {
                    changed.map_err(|_| "the operator is stopping".to_owned())?;
                    let latest = self.published.borrow_and_update().clone();
                    latest.map_or_else(Vec::new, |latest| machine.published(latest, self.now()))
                },
                () = deadline::reached(deadline) => machine.tick(self.now()),
            };
            let mut steps = VecDeque::from(steps);
            while let Some(step) = steps.pop_front() {
                match step {
                    Step::Send(message) => self.send(message).await?,
                    Step::Transfer(shipment) => self.ship(shipment).await?,
                    Step::Tell(event) => observer.event(stream, event),
                    Step::Review => {
                        let reviewed = self.gate.admit(self.token.as_deref()).await;
                        let could_judge = !matches!(reviewed, Err(NotAdmitted::Unavailable(_)));
                        steps.extend(machine.reviewed(could_judge, self.now()));
                    }
                    Step::Retire => return Ok(()),
                    Step::Close(reason) => {
                        // The peer may be gone; then nobody reads why.
                        let _ = self.outbound.try_send(Err(Status::failed_precondition(reason.clone())));
                        return Err(reason);
                    }
                }
            }
        }
    }

    async fn ship(&self, shipment: Shipment) -> Result<(), String> {
        let shipment = Arc::new(shipment);
        for index in 0..shipment.len() {
            let packing = Arc::clone(&shipment);
            let packed = tokio::task::spawn_blocking(move || packing.message(index)).await;
            let message = packed.map_err(|error| format!("a shard could not be packed: {error}"))?;
            if let Some(message) = message {
                self.send(message).await?;
            }
        }
        Ok(())
    }

    async fn send(&self, message: wire::ServerMessage) -> Result<(), String> {
        match tokio::time::timeout(limits::GIVE_UP_AFTER, self.outbound.send(Ok(message))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err("the dataplane has gone".to_owned()),
            Err(_) => Err(format!("the dataplane read nothing for {} s", limits::GIVE_UP_AFTER.as_secs())),
        }
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }
}
