//! A consumer's connection from accept to close: handshake, identity, one call after the other, and all the reasons to
//! end it: idleness, age, a certificate that is no longer good, a platform that is about to stop.

use crate::call::{self, After, Context};
use crate::caller::Identity;
use crate::control::{Phase, Signal};
use crate::exchange::{Clocks, IdleClock, ProducerClock};
use crate::http1::{Conn, RequestHead, Transport, parse_request};
use crate::settings::{ListenerRuntime, Settings};
use crate::telemetry::log::RefusedHandshake;
use crate::telemetry::metrics::ListenerMetrics;
use crate::telemetry::record::{Origin, TlsVersion};
use crate::tls::{self, Refusal, ServerTls, Standing};
use crate::worker::Worker;
use rustls::HandshakeKind;
use rustls_pki_types::{CertificateDer, UnixTime};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsAcceptor;

/// A verdict that holds longer than so many seconds need not be timed: no connection idles that long.
const LONG_STANDING: i64 = 366 * 24 * 3600;
/// How long a handshake may take a place among those that are worked on; then it goes on without one.
const HANDSHAKE_PLACE: Duration = Duration::from_secs(1);
/// How long a connection that is being closed may send nothing.
const LINGER: Duration = Duration::from_secs(2);

/// Serves a connection from its first byte to its last.
pub(crate) async fn serve(worker: &Worker, tcp: TcpStream, peer: SocketAddr, name: &Arc<str>) {
    let settings = worker.shared.settings.load_full();
    let Some(listener) = settings.listener(name).cloned() else { return };
    let metrics = worker.shared.metrics.listener(name);
    let Some(_place) = worker.shared.connections.enter(settings.platform.limits.connections) else {
        let overload =
            Refused { reason: Some("overload"), refusal: None, error: "too many connections are open".to_owned() };
        report(worker, &metrics, name, peer, &overload);
        return;
    };
    let _open = metrics.connection_opened();
    let accepted = match &listener.tls {
        None => Ok((Conn::new(Transport::Plain(tcp)), None)),
        Some(server) => handshake(worker, &settings, server, &metrics, tcp).await,
    };
    match accepted {
        Err(None) => {}
        Err(Some(refused)) => report(worker, &metrics, name, peer, &refused),
        Ok((conn, standing)) => {
            let mut connection = Connection::new(worker, settings, listener, metrics, conn, standing, peer, name);
            if connection.serve_calls().await == After::Close {
                connection.close().await;
            }
        }
    }
}

/// Why there is no connection.
struct Refused {
    /// One of the log's words, where the refusal itself does not say it.
    reason: Option<&'static str>,
    refusal: Option<Refusal>,
    error: String,
}

/// Makes the TLS handshake; `Err(None)` for a peer that left before it began. The consumer's certificate is judged by it, and once more here, because rustls does not ask
/// its verifier about a resumed session.
async fn handshake(
    worker: &Worker,
    settings: &Settings,
    server: &ServerTls,
    metrics: &ListenerMetrics,
    tcp: TcpStream,
) -> Result<(Conn, Option<Standing>), Option<Refused>> {
    let limit = settings.platform.timeouts.handshake;
    let accept = async {
        // Load balancers probe by opening and closing a connection: where no byte came, nothing was refused.
        if !matches!(tcp.peek(&mut [0]).await, Ok(1)) {
            return Err(None);
        }
        let place = worker.shared.handshakes.acquire().await;
        let mut handshake = pin!(TlsAcceptor::from(server.config.clone()).accept(tcp));
        // A place is for work. Who lets us wait loses it, or a few silent peers would keep everybody else out.
        let accepted = match timeout(HANDSHAKE_PLACE, &mut handshake).await {
            Ok(accepted) => accepted,
            Err(_) => {
                drop(place);
                handshake.await
            }
        };
        accepted.map_err(|e| {
            Some(Refused { reason: None, refusal: Some(tls::explain_handshake(&e)), error: e.to_string() })
        })
    };
    let late = |_| {
        let error = format!("the handshake was not finished within {limit:?}");
        Err(Some(Refused { reason: Some("timeout"), refusal: None, error }))
    };
    let stream = timeout(limit, accept).await.unwrap_or_else(late)?;
    let session = stream.get_ref().1;
    let chain = session.peer_certificates().unwrap_or_default();
    let standing = server.recheck(chain, UnixTime::now()).map_err(|refusal| {
        let error = refusal.to_string();
        Some(Refused { reason: None, refusal: Some(refusal), error })
    })?;
    metrics.handshake(version(session), session.handshake_kind() == Some(HandshakeKind::Resumed));
    Ok((Conn::new(Transport::Tls(Box::new(stream.into()))), Some(standing)))
}

fn report(worker: &Worker, metrics: &ListenerMetrics, listener: &Arc<str>, peer: SocketAddr, refused: &Refused) {
    let mut line = RefusedHandshake::new(listener.clone(), peer, refused.refusal.as_ref(), &refused.error);
    line.reason = refused.reason.unwrap_or(line.reason);
    metrics.handshake_refused(line.reason);
    worker.shared.log.refused_handshake(line);
}

fn version(session: &rustls::ServerConnection) -> Option<TlsVersion> {
    match session.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_2) => Some(TlsVersion::V1_2),
        Some(rustls::ProtocolVersion::TLSv1_3) => Some(TlsVersion::V1_3),
        _ => None,
    }
}

/// An established connection.
struct Connection<'a> {
    worker: &'a Worker,
    settings: Arc<Settings>,
    listener: Arc<ListenerRuntime>,
    metrics: Arc<ListenerMetrics>,
    conn: Conn,
    origin: Origin,
    identity: Identity,
    /// The verdict on the peer's certificate; without TLS there is none.
    standing: Option<Standing>,
    /// When that has to be renewed.
    stands_until: Instant,
    clocks: Clocks,
    signal: watch::Receiver<Signal>,
    /// From when on the next answer is the last.
    ends_at: Instant,
}

/// Why waiting for a request ended.
enum Waited {
    Input,
    Closed,
    TimedOut,
    Signal,
}

impl<'a> Connection<'a> {
    #[allow(clippy::too_many_arguments, reason = "everything that is known about a connection when it begins")]
    fn new(
        worker: &'a Worker,
        settings: Arc<Settings>,
        listener: Arc<ListenerRuntime>,
        metrics: Arc<ListenerMetrics>,
        conn: Conn,
        standing: Option<Standing>,
        peer: SocketAddr,
        listener_name: &Arc<str>,
    ) -> Self {
        let identity = Identity::of(&listener, certificates(&conn), peer);
        let tls = conn.transport().session().and_then(version);
        let origin = Origin::new(listener_name.clone(), peer, tls);
        // Spread over 40 % of the age, so that connections that began together do not end together.
        let age = settings.platform.timeouts.connection_age.mul_f64(0.8 + 0.4 * rand::random::<f64>());
        let ends_at = Instant::now() + age;
        let clocks = Clocks { producer: ProducerClock::new(), consumer: IdleClock::new() };
        let signal = worker.shared.signal.clone();
        let stands_until = end_of(standing);
        Self {
            worker,
            settings,
            listener,
            metrics,
            conn,
            origin,
            identity,
            standing,
            stands_until,
            clocks,
            signal,
            ends_at,
        }
    }

    async fn serve_calls(&mut self) -> After {
        loop {
            let head = match self.next_head().await {
                Ok(head) => head,
                Err(after) => return after,
            };
            self.refresh();
            if !self.still_stands() {
                return After::Close;
            }
            let context = Context {
                worker: self.worker,
                settings: &self.settings,
                listener: &self.listener,
                metrics: &self.metrics,
                origin: &self.origin,
                identity: &self.identity,
                ends_at: self.ends_at.into_std(),
            };
            match call::serve(&context, &mut self.conn, &mut self.clocks, head).await {
                After::KeepAlive => {}
                After::Close => return After::Close,
                After::Cut => {
                    self.conn.break_off();
                    return After::Cut;
                }
            }
        }
    }

    /// The head of the next request, or what becomes of the connection when none comes.
    async fn next_head(&mut self) -> Result<RequestHead, After> {
        let (mut head_due, mut idle_until) = (None, None);
        loop {
            let limits = &self.settings.platform.limits;
            match parse_request(&mut self.conn.input, limits.head_bytes, limits.header_count) {
                Ok(Some(head)) => return Ok(head),
                Ok(None) => {}
                Err(error) => return Err(self.refuse(error.status(), error)),
            }
            let timeouts = &self.settings.platform.timeouts;
            let idle = self.conn.input.is_empty();
            let deadline = if idle {
                self.conn.release_buffers();
                let now = Instant::now();
                // A clock that was set back lets a verdict hold longer than was thought.
                if now >= self.stands_until {
                    self.stands_until = end_of(self.standing);
                }
                // Line ends between requests are no sign of life.
                let idle_until = *idle_until.get_or_insert(now + timeouts.keep_alive);
                // Not its age: whoever is just writing the next request would lose it. That one is answered, and closes.
                idle_until.min(self.stands_until)
            } else {
                *head_due.get_or_insert_with(|| Instant::now() + timeouts.head)
            };
            match self.wait(deadline).await {
                Waited::Input => {}
                Waited::Closed => return Err(After::Cut),
                Waited::TimedOut if idle => return Err(After::Close),
                Waited::TimedOut => {
                    return Err(self.refuse(408, "the head of the request did not come in time"));
                }
                Waited::Signal => {
                    self.refresh();
                    if idle && (self.signal.borrow().phase == Phase::Closing || !self.still_stands()) {
                        return Err(After::Close);
                    }
                }
            }
        }
    }

    async fn wait(&mut self, deadline: Instant) -> Waited {
        let conn = &mut self.conn;
        tokio::select! {
            biased;
            read = poll_fn(|cx| conn.poll_fill(cx)) => match read {
                Ok(0) | Err(_) => Waited::Closed,
                Ok(_) => Waited::Input,
            },
            changed = self.signal.changed() => {
                // The sender lives as long as the process; without it there is nothing left to serve for.
                if changed.is_err() { Waited::Closed } else { Waited::Signal }
            }
            () = tokio::time::sleep_until(deadline) => Waited::TimedOut,
        }
    }

    /// Takes over new settings, as far as they concern this connection.
    fn refresh(&mut self) {
        let settings = self.worker.shared.settings.load();
        if Arc::ptr_eq(&settings, &self.settings) {
            return;
        }
        self.settings = Arc::clone(&settings);
        let Some(listener) = self.settings.listener(&self.origin.listener) else { return };
        if !Arc::ptr_eq(listener, &self.listener) {
            self.listener = listener.clone();
            self.identity = Identity::of(&self.listener, certificates(&self.conn), self.origin.peer);
        }
    }

    /// Whether the peer's certificate is still good: in time, not revoked, and of an authority that is still trusted.
    fn still_stands(&mut self) -> bool {
        let Some(server) = &self.listener.tls else { return true };
        let Some(standing) = &self.standing else {
            let error = "the connection was opened before its listener asked for certificates".to_owned();
            let refused = Refused { reason: Some("no-certificate"), refusal: None, error };
            report(self.worker, &self.metrics, &self.origin.listener, self.origin.peer, &refused);
            return false;
        };
        match server.clients.renew(standing, certificates(&self.conn), UnixTime::now()) {
            Ok(same) if same == *standing => true,
            Ok(renewed) => {
                self.standing = Some(renewed);
                self.stands_until = end_of(self.standing);
                true
            }
            Err(refusal) => {
                let error = "the certificate of an open connection is no longer good".to_owned();
                let refused = Refused { reason: None, refusal: Some(refusal), error };
                report(self.worker, &self.metrics, &self.origin.listener, self.origin.peer, &refused);
                false
            }
        }
    }

    /// Answers a request whose head cannot be used.
    fn refuse(&mut self, status: u16, sentence: impl std::fmt::Display) -> After {
        let context = Context {
            worker: self.worker,
            settings: &self.settings,
            listener: &self.listener,
            metrics: &self.metrics,
            origin: &self.origin,
            identity: &self.identity,
            ends_at: self.ends_at.into_std(),
        };
        call::refuse_head(&context, &mut self.conn, status, sentence);
        After::Close
    }

    /// Sends what is left to send, says goodbye, and reads on as long as the consumer sends, within the limits of a
    /// message: many send all of a request before they listen, and a reset would tear the answer out of their hands.
    async fn close(&mut self) {
        let conn = &mut self.conn;
        let platform = &self.settings.platform;
        let goodbye = async {
            if poll_fn(|cx| conn.poll_drain(cx)).await.is_err() || poll_fn(|cx| conn.poll_shutdown(cx)).await.is_err() {
                return;
            }
            let mut discarded = 0;
            while discarded < platform.limits.message_bytes {
                conn.input.clear();
                match timeout(LINGER, poll_fn(|cx| conn.poll_fill(cx))).await {
                    Err(_) | Ok(Ok(0) | Err(_)) => return,
                    Ok(Ok(n)) => discarded += n,
                }
            }
        };
        // Whether it was said in time or not, the connection ends now.
        let _ = timeout(platform.timeouts.body_idle, goodbye).await;
    }
}

fn certificates(conn: &Conn) -> &[CertificateDer<'static>] {
    conn.transport().session().and_then(|session| session.peer_certificates()).unwrap_or_default()
}

/// When a verdict on the peer's certificate has to be renewed.
fn end_of(standing: Option<Standing>) -> Instant {
    let now = UnixTime::now().as_secs();
    let left = standing.map_or(LONG_STANDING, |standing| standing.until.saturating_sub_unsigned(now));
    Instant::now() + Duration::from_secs(left.clamp(0, LONG_STANDING).unsigned_abs())
}
