//! Step 12: the producer. Endpoints are tried in their order until one takes the connection; then the request is
//! streamed, and the answer, once it is known what it is, streamed back (rules §7).

use super::decide::Plan;
use super::envelope::Message;
use super::failure::Failure;
use super::heads::{Added, Returned, write_answer_head, write_request_head};
use super::{After, Call};
use crate::exchange::{Clocks, Exchange, ExchangeError, Pump, Recode};
use crate::http1::{Conn, Encoder, Framing, ResponseHead};
use crate::telemetry::metrics::{InFlight, ProducerFailure, ProducerMetrics};
use crate::telemetry::record::{CallRecord, Outcome};
use crate::upstream::{ConnectError, Endpoint, Permit, PoolKey, ProducerConn, connect};
use crate::worker::Callable;
use bytes::{Bytes, BytesMut};
use rivmesh_rivta::encoding::{self, Encoding};
use rivmesh_rivta::transcoder::Transcoder;
use rivmesh_rivta::{Fault, FaultScanner, FaultStep, rewrite};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

/// What the platform says about the caller.
pub(super) struct Said<'a> {
    pub caller: &'a str,
    pub original_consumer: &'a str,
    pub routing_history: &'a str,
}

/// The request as it goes to a producer.
struct Outgoing {
    /// What is known of the content; it opens the body.
    prefix: Bytes,
    /// The whole length, where the consumer announced one and the platform did not change the encoding.
    length: Option<u64>,
    /// How many bytes had been taken from the consumer for the prefix.
    taken: u64,
    encoding: Encoding,
    multipart: bool,
}

/// A connection to an endpoint, with the place that the call takes there.
struct Line {
    producer: ProducerConn,
    key: PoolKey,
    endpoint: Arc<Endpoint>,
    metrics: Arc<ProducerMetrics>,
    _place: Permit,
    _counted: InFlight,
}

/// Sends the request to the first endpoint that takes it, and relays the answer.
#[allow(clippy::too_many_arguments, reason = "the last step of the request path takes what all others found out")]
pub(super) async fn forward(
    call: &Call<'_>,
    consumer: &mut Conn,
    clocks: &mut Clocks,
    body: &mut Pump,
    message: Message,
    plan: &Plan<'_>,
    said: &Said<'_>,
    record: &mut CallRecord<'_>,
) -> Result<After, Failure> {
    if let Some(limit) = plan.max_message_bytes {
        body.limit_to(limit);
        if body.exceeds_limit() {
            return Err(Failure::too_large());
        }
    }
    let outgoing = prepare(call, body, message, plan)?;
    clocks.producer.wind(plan.timeout);
    let called = Instant::now();
    let result = exchange(call, consumer, clocks, body, &outgoing, plan, said, record).await;
    record.producer_duration.get_or_insert_with(|| called.elapsed());
    result
}

/// Rewrites the address element where the producer speaks the other profile, and works out the length.
fn prepare(call: &Call<'_>, body: &Pump, message: Message, plan: &Plan<'_>) -> Result<Outgoing, Failure> {
    let Message { prefix, root, envelope, encoding, multipart } = message;
    let before = prefix.len() as u64;
    let prefix = match plan.rewrite_to {
        None => prefix.freeze(),
        Some(profile) => {
            let envelope = rewrite(&prefix[root..], &envelope, profile)
                .map_err(|e| Failure::fault(Fault::platform(e), "rewrite"))?;
            let mut rewritten = BytesMut::with_capacity(root + envelope.len());
            rewritten.extend_from_slice(&prefix[..root]);
            rewritten.extend_from_slice(&envelope);
            rewritten.freeze()
        }
    };
    let length = match call.head.framing {
        Framing::Length(length) if encoding.is_utf8() => Some(length - before + prefix.len() as u64),
        _ => None,
    };
    debug_assert!(body.moved() > 0 || length == Some(0));
    Ok(Outgoing { prefix, length, taken: body.moved(), encoding, multipart })
}

#[allow(clippy::too_many_arguments, reason = "see `forward`")]
async fn exchange(
    call: &Call<'_>,
    consumer: &mut Conn,
    clocks: &mut Clocks,
    body: &mut Pump,
    outgoing: &Outgoing,
    plan: &Plan<'_>,
    said: &Said<'_>,
    record: &mut CallRecord<'_>,
) -> Result<After, Failure> {
    let mut failed = None;
    loop {
        let called = Instant::now();
        let mut line = open_line(call, plan, failed.as_ref(), record).await?;
        let internal = call.cx.settings.platform.upstream.internal.contains(&line.endpoint.host);
        let encoder = write_request(call, &mut line, outgoing, said, internal);
        encoder.append(&mut line.producer.conn.output, &outgoing.prefix);
        body.send_as(encoder);
        let limits = &call.cx.settings.platform.limits;
        let mut exchange = Exchange::new(consumer, &mut line.producer.conn, body, clocks, limits);
        let answer = match exchange.answer_head().await {
            Ok(answer) => answer,
            Err(error @ (ExchangeError::ProducerClosed | ExchangeError::ProducerBroke(_)))
                if plan.idempotent && failed.is_none() && body.is_taken() && body.moved() == outgoing.taken =>
            {
                tracing::debug!(%error, "an idempotent request is sent once more");
                body.rewind();
                failed = Some(count_failure(&line));
                record.retried = true;
                continue;
            }
            Err(error) => return Err(count(&line.metrics, Failure::before_answer(&error, &line.endpoint.name.url))),
        };
        let relayed = relay(call, exchange, answer, &line.endpoint, outgoing, called, record).await;
        let Relayed { after, reusable_for } = relayed.map_err(|failure| count(&line.metrics, failure))?;
        line.metrics.call_finished(called.elapsed());
        // Before the consumer has heard the end: its next call may need the place that this one had.
        give_back(call, line, reusable_for);
        finish(consumer, clocks).await?;
        return Ok(after);
    }
}

/// Frees a producer from a call: its place, and its connection for another call if it can carry one.
fn give_back(call: &Call<'_>, line: Line, reusable_for: Option<Duration>) {
    if let Some(peer_idle) = reusable_for {
        let platform = &call.cx.settings.platform;
        let idle = platform.timeouts.upstream_idle.min(peer_idle);
        let limit = platform.limits.idle_per_endpoint;
        call.cx.worker.pool.put(line.key, line.producer, idle, limit, &line.metrics);
    }
}

/// Writes what is left of the answer.
async fn finish(consumer: &mut Conn, clocks: &mut Clocks) -> Result<(), Failure> {
    poll_fn(|cx| match consumer.poll_drain(cx) {
        Poll::Ready(Ok(())) => Poll::Ready(Ok(())),
        Poll::Ready(Err(_)) => Poll::Ready(Err(Failure::ConsumerGone)),
        Poll::Pending => {
            let left = consumer.output.len() as u64;
            clocks.consumer.poll(cx, left).map(|()| Err(Failure::ConsumerGone))
        }
    })
    .await
}

fn count_failure(line: &Line) -> Arc<Endpoint> {
    line.metrics.failed(ProducerFailure::BrokeOff);
    line.endpoint.clone()
}

/// Counts a failure that was the producer's.
fn count(metrics: &ProducerMetrics, failure: Failure) -> Failure {
    if let Failure::Fault { producer: Some(kind), .. } | Failure::BrokeOff { kind, .. } = &failure {
        metrics.failed(*kind);
    }
    failure
}

fn write_request(call: &Call<'_>, line: &mut Line, outgoing: &Outgoing, said: &Said<'_>, internal: bool) -> Encoder {
    let upstream = &call.cx.settings.platform.upstream;
    let traceparent = call.trace.traceparent();
    let own_id = call.cx.settings.platform.hsa_id.as_str();
    let correlated = internal || upstream.correlation_id_to_external;
    let added = Added {
        original_consumer: said.original_consumer,
        routing_history: said.routing_history,
        correlation_id: correlated.then_some(call.correlation_id.as_str()),
        internal: internal.then_some((said.caller, own_id)),
        traceparent: &traceparent,
        tracestate: call.trace.tracestate(),
        user_agent: &upstream.user_agent,
        content_type: if outgoing.multipart { call.head.fields.first("content-type") } else { None },
    };
    let output = &mut line.producer.conn.output;
    write_request_head(output, outgoing.prefix.len(), &line.endpoint, call.head, outgoing.length, &added)
}

/// A connection to the first endpoint that has a free place and takes one. Endpoints that refused a moment ago are
/// passed over while there is another, and so is the one where this call has `failed` before.
async fn open_line(
    call: &Call<'_>,
    plan: &Plan<'_>,
    failed: Option<&Arc<Endpoint>>,
    record: &mut CallRecord<'_>,
) -> Result<Line, Failure> {
    let worker = call.cx.worker;
    let settings = call.cx.settings;
    let mut refusal = None;
    let is_passed_over = |e: &Endpoint| e.is_skipped() || failed.is_some_and(|failed| failed.name.url == e.name.url);
    let known: Vec<_> = plan.endpoints.iter().map(|e| (e, worker.endpoint(e.url))).collect();
    let all_passed_over = known.iter().all(|(_, e)| e.as_ref().is_none_or(|e| is_passed_over(&e.endpoint)));
    for (route, callable) in known {
        let Some(Callable { endpoint, metrics }) = callable else {
            let why = "its URL cannot be called".to_owned();
            refusal.get_or_insert_with(|| Failure::producer(route.url, ProducerFailure::Name, why, None));
            continue;
        };
        if is_passed_over(&endpoint) && !all_passed_over {
            continue;
        }
        let internal = settings.platform.upstream.internal.contains(&endpoint.host);
        if !endpoint.tls && !internal {
            let why = "plain http is allowed to internal producers only".to_owned();
            refusal.get_or_insert_with(|| Failure::producer(route.url, ProducerFailure::Name, why, None));
            continue;
        }
        record.endpoint = Some(endpoint.name.clone());
        let limit = route.max_in_flight.unwrap_or_else(|| settings.platform.upstream.max_in_flight.get());
        let Some(place) = endpoint.acquire(limit) else {
            metrics.failed(ProducerFailure::AtLimit);
            let why = format!("it has {limit} calls in flight already, which is its limit");
            refusal.get_or_insert_with(|| Failure::producer(route.url, ProducerFailure::AtLimit, why, None));
            continue;
        };
        let tls = endpoint.tls.then(|| settings.upstream.select(&endpoint.host, endpoint.port));
        let key = PoolKey { host: endpoint.host.clone(), port: endpoint.port, identity: tls.map(|tls| tls.identity) };
        let counted = metrics.call_in_flight();
        if failed.is_none()
            && let Some(producer) = worker.pool.take(&key).await
        {
            metrics.connection_reused();
            return Ok(Line { producer, key, endpoint, metrics, _place: place, _counted: counted });
        }
        match connect(&endpoint, tls, &worker.resolver, settings.platform.timeouts.connect).await {
            Ok(conn) => {
                endpoint.unskip();
                let producer = ProducerConn { conn, _counted: metrics.connection_opened() };
                return Ok(Line { producer, key, endpoint, metrics, _place: place, _counted: counted });
            }
            Err(error) => {
                endpoint.skip(settings.platform.timeouts.skip_refused);
                let kind = match error {
                    ConnectError::Lookup(_) => ProducerFailure::Name,
                    ConnectError::Tcp(_) => ProducerFailure::Connect,
                    ConnectError::TimedOut(_) => ProducerFailure::ConnectTimeout,
                    ConnectError::Tls(_) | ConnectError::Expired | ConnectError::Name => ProducerFailure::Tls,
                };
                refusal = Some(count(&metrics, Failure::producer(route.url, kind, error.to_string(), None)));
            }
        }
    }
    Err(refusal.unwrap_or_else(|| Failure::fault(Fault::platform("the route has no endpoint"), "endpoint")))
}

/// What becomes of the two connections of an answer that the producer has given whole.
struct Relayed {
    /// What the consumer was told about its connection.
    after: After,
    /// For how long the producer lets its connection idle, if it can be used again.
    reusable_for: Option<Duration>,
}

/// Tells what the answer is, and relays it if it may be.
async fn relay(
    call: &Call<'_>,
    mut exchange: Exchange<'_>,
    answer: ResponseHead,
    endpoint: &Endpoint,
    outgoing: &Outgoing,
    called: Instant,
    record: &mut CallRecord<'_>,
) -> Result<Relayed, Failure> {
    let url = &endpoint.name.url;
    let peek_limit = call.cx.settings.platform.limits.peek_bytes;
    let mut pump = Pump::new(answer.framing, u64::MAX);
    let mut prefix = BytesMut::new();

    // The head is held until it is clear that an answer follows, and which.
    let status = match answer.status {
        403 => {
            let contract = record.contract.as_deref();
            let address = record.address.as_deref().unwrap_or_default();
            let fault = Fault::denied_by_producer(contract, address, &record.consumer);
            return Err(Failure::fault(fault, "denied"));
        }
        200..=299 => {
            read_prefix(&mut exchange, &mut pump, &mut prefix, url).await?;
            if prefix.is_empty() {
                let why = "it answered without a body".to_owned();
                return Err(Failure::producer(url, ProducerFailure::BadAnswer, why, Some(answer.status)));
            }
            answer.status
        }
        400..=599 => {
            let faultcode = read_fault(&mut exchange, &mut pump, &mut prefix, peek_limit, url).await?;
            let Some(faultcode) = faultcode else {
                let why = "it answered with a status that is not relayed".to_owned();
                return Err(Failure::producer(url, ProducerFailure::BadAnswer, why, Some(answer.status)));
            };
            record.outcome = Outcome::ProducerFault { faultcode };
            500
        }
        other => {
            let why = "it answered with a status that is not relayed".to_owned();
            return Err(Failure::producer(url, ProducerFailure::BadAnswer, why, Some(other)));
        }
    };
    let producer_duration = called.elapsed();
    record.producer_duration = Some(producer_duration);
    record.status = status;

    let own = own_encoding(&mut exchange, &mut pump, &mut prefix, &answer, outgoing.encoding, url).await?;
    let back = Back::of(&answer, own, outgoing.encoding);
    let framing = if back.recode.is_untouched() { answer.framing } else { Framing::Chunked };
    // HTTP/1.0 knows no chunks: only the close tells where a body of unknown length ends.
    let unframed = call.head.http10 && !matches!(framing, Framing::Length(_));
    let close = unframed || call.closes(exchange.request);
    let returned = Returned {
        status,
        correlation_id: &call.correlation_id,
        producer_ms: producer_duration.as_millis() as u64,
        close,
        http10: call.head.http10,
        content_type: back.content_type.as_deref(),
    };
    let output = &mut exchange.consumer.output;
    let before = output.len();
    let encoder = write_answer_head(output, prefix.len(), &answer, framing, &returned);
    pump.convert(back.recode);
    pump.send_as(encoder);
    if let Err(error) = pump.push(&prefix, output) {
        // Nothing of it has left.
        output.truncate(before);
        let why = format!("its answer has {error}");
        return Err(Failure::producer(url, ProducerFailure::BadAnswer, why, Some(answer.status)));
    }
    let relayed = exchange.relay_answer(&mut pump).await;
    record.bytes_out = pump.moved();
    relayed.map_err(Failure::after_answer_began)?;

    let reusable = exchange.request_sent() && !answer.close;
    let after = if close { After::Close } else { After::KeepAlive };
    Ok(Relayed { after, reusable_for: reusable.then(|| announced_idle(&answer)) })
}

async fn read_prefix(
    exchange: &mut Exchange<'_>,
    pump: &mut Pump,
    prefix: &mut BytesMut,
    url: &str,
) -> Result<bool, Failure> {
    exchange.answer_prefix(pump, prefix).await.map_err(|e| Failure::before_answer(&e, url))
}

/// Reads an error answer as far as it takes to know whether it is a SOAP fault, and returns its faultcode.
async fn read_fault(
    exchange: &mut Exchange<'_>,
    pump: &mut Pump,
    prefix: &mut BytesMut,
    limit: usize,
    url: &str,
) -> Result<Option<String>, Failure> {
    let mut scanner = FaultScanner::new();
    loop {
        let more = read_prefix(exchange, pump, prefix, url).await?;
        match scanner.advance(prefix, !more) {
            FaultStep::Fault(fault) => return Ok(Some(fault.faultcode)),
            FaultStep::NotAFault => return Ok(None),
            FaultStep::NeedMore if !more || prefix.len() > limit => return Ok(None),
            FaultStep::NeedMore => {}
        }
    }
}

/// The encoding that an answer comes in, of which no more is read than it takes to know; what goes to a consumer of UTF-8 as
/// it is may be in any.
async fn own_encoding(
    exchange: &mut Exchange<'_>,
    pump: &mut Pump,
    prefix: &mut BytesMut,
    answer: &ResponseHead,
    wanted: Encoding,
    url: &str,
) -> Result<Encoding, Failure> {
    if wanted.is_utf8() {
        return Ok(Encoding::UTF_8);
    }
    let content_type = answer.fields.first("content-type");
    loop {
        if let Some(encoding) = encoding::detect(content_type, prefix, pump.is_taken()) {
            return Ok(encoding);
        }
        read_prefix(exchange, pump, prefix, url).await?;
    }
}

/// How the answer's content goes back: as it is, or in the encoding that the request came in.
struct Back {
    recode: Recode,
    content_type: Option<String>,
}

impl Back {
    /// Of an answer that comes in the encoding `own`, to a request in `encoding`.
    fn of(answer: &ResponseHead, own: Encoding, encoding: Encoding) -> Self {
        let content_type = answer.fields.first("content-type").unwrap_or(b"text/xml");
        let is_package = content_type.len() >= 9 && content_type[..9].eq_ignore_ascii_case(b"multipart");
        if encoding.is_utf8() || is_package || own == encoding {
            return Self { recode: Recode::Untouched, content_type: None };
        }
        let transcoder = Transcoder::new(own, encoding);
        Self {
            recode: Recode::Converted(Box::new(transcoder)),
            content_type: Some(format!("text/xml; charset={}", encoding.label())),
        }
    }
}

/// The idle time in the producer's `Keep-Alive: timeout=N`, less a second for the way.
fn announced_idle(answer: &ResponseHead) -> Duration {
    let parameters = answer.fields.first("keep-alive").and_then(|value| std::str::from_utf8(value).ok());
    let seconds = parameters.and_then(|p| {
        let timeout = p.split(',').find_map(|parameter| parameter.trim().strip_prefix("timeout="))?;
        timeout.trim().parse::<u64>().ok()
    });
    seconds.map_or(Duration::MAX, |s| Duration::from_secs(s.saturating_sub(1)))
}
