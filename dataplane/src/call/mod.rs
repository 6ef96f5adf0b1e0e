//! The request path. [`serve`] takes one request from a consumer's connection, has it decided and forwarded, answers,
//! and logs. The order of checks is the order in which callers of a RIV-TA platform expect errors: the first that fails
//! answers.

mod answer;
mod decide;
mod envelope;
mod failure;
mod forward;
mod heads;

use crate::caller::{self, Identity};
use crate::control::Phase;
use crate::exchange::{Clocks, Pump};
use crate::http1::{Conn, RequestHead};
use crate::settings::{ListenerRuntime, Settings};
use crate::telemetry::metrics::ListenerMetrics;
use crate::telemetry::record::{CallRecord, Origin, Outcome};
use crate::telemetry::trace::TraceContext;
use crate::worker::Worker;
pub(crate) use failure::Failure;
use heads::names;
pub(crate) use heads::names::{INSTANCE_ID, SENDER_ID};
use rivmesh_rivta::{Fault, OriginalConsumer, VpCode};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

/// What a connection brings to each of its calls.
pub(crate) struct Context<'a> {
    pub worker: &'a Worker,
    pub settings: &'a Settings,
    pub listener: &'a ListenerRuntime,
    pub metrics: &'a Arc<ListenerMetrics>,
    pub origin: &'a Origin,
    pub identity: &'a Identity,
    /// When the connection is too old to carry another call.
    pub ends_at: Instant,
}

/// What is to become of the consumer's connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    /// It can carry another call.
    KeepAlive,
    /// It is closed in an orderly way.
    Close,
    /// It is cut, because its answer cannot be completed.
    Cut,
}

/// What all the steps of one call need.
struct Call<'a> {
    cx: &'a Context<'a>,
    head: &'a RequestHead,
    correlation_id: String,
    trace: TraceContext,
}

/// Serves one call whose head has been read.
pub(crate) async fn serve(cx: &Context<'_>, conn: &mut Conn, clocks: &mut Clocks, head: RequestHead) -> After {
    let began = Instant::now();
    let shared = &cx.worker.shared;
    let in_flight = cx.metrics.call_in_flight();
    let call = Call::new(cx, &head);
    let mut record = call.start_record();
    let mut body = Pump::new(head.framing, cx.settings.platform.limits.message_bytes as u64);
    clocks.consumer.wind(cx.settings.platform.timeouts.body_idle, cx.settings.platform.timeouts.message);

    let result = call.run(conn, clocks, &mut body, &mut record).await;
    let after = match result {
        // A consumer that was told that it may send another request is not closed upon.
        Ok(_) if !body.is_taken() => After::Close,
        Ok(after) => after,
        Err(failure) => answer::send(&call, conn, clocks, &mut body, failure, &mut record).await,
    };
    record.bytes_in = body.moved();
    record.duration = began.elapsed();
    drop(in_flight);
    cx.metrics.call(&record);
    if matches!(record.outcome, Outcome::Fault { code: VpCode::Vp004, .. }) {
        shared.metrics.unrouted(&record.consumer);
    }
    cx.worker.log.call(&record);
    after
}

/// Answers and logs a request whose head could not be used; the connection has to be closed after it.
pub(crate) fn refuse_head(cx: &Context<'_>, conn: &mut Conn, status: u16, sentence: impl std::fmt::Display) {
    let mut record = CallRecord::new(cx.origin, SystemTime::now());
    answer::write_refusal(conn, status, sentence, &mut record);
    cx.metrics.call(&record);
    cx.worker.log.call(&record);
}

impl<'a> Call<'a> {
    fn new(cx: &'a Context<'a>, head: &'a RequestHead) -> Self {
        let random: [u8; 40] = rand::random();
        let (for_id, for_trace) = random.split_at(16);
        let kept = rivmesh_rivta::correlation_id(head.fields.first(names::CORRELATION_ID));
        let correlation_id = kept.map_or_else(|| new_uuid(for_id), str::to_owned);
        let parents: Vec<&[u8]> = head.fields.all("traceparent").collect();
        let states: Vec<&[u8]> = head.fields.all("tracestate").collect();
        let trace = TraceContext::continue_or_start(&parents, &states, for_trace.try_into().expect("40 - 16 = 24"));
        Self { cx, head, correlation_id, trace }
    }

    fn start_record(&self) -> CallRecord<'_> {
        CallRecord {
            method: &self.head.method,
            path: &self.head.path,
            correlation_id: &self.correlation_id,
            trace_id: Some(self.trace.trace_id),
            span_id: Some(self.trace.span_id),
            parent_span: self.trace.parent,
            original_consumer_in: self.text_of(names::ORIGINAL_CONSUMER),
            acting_on_behalf_of: self.text_of(names::ACTING_ON_BEHALF_OF),
            ..CallRecord::new(self.cx.origin, SystemTime::now())
        }
    }

    fn text_of(&self, name: &str) -> Option<Cow<'_, str>> {
        self.head.fields.first(name).map(String::from_utf8_lossy)
    }

    /// Whether the consumer's connection ends after this call.
    fn closes(&self, body: &Pump) -> bool {
        self.head.close
            || Instant::now() >= self.cx.ends_at
            || !body.is_taken()
            || self.cx.worker.shared.signal.borrow().phase != Phase::Running
    }

    /// The life of a request, in the order of rules §4; returns what the consumer was told about its connection.
    async fn run(
        &self,
        conn: &mut Conn,
        clocks: &mut Clocks,
        body: &mut Pump,
        record: &mut CallRecord<'_>,
    ) -> Result<After, Failure> {
        let Context { worker, settings, listener, identity, .. } = *self.cx;
        let platform = &settings.platform;

        // 1. HTTP: the head was judged when it was read; what is left is where and how.
        admit_target(listener, self.head)?;

        // 2. Overload of this pod.
        let limit = platform.limits.requests_in_flight;
        let _place = worker.shared.calls.enter(limit).ok_or_else(Failure::overload)?;

        // 3. Who calls.
        let caller = caller::identify(listener, identity, self.head, platform.hsa_id.as_str())?;
        record.consumer = caller.id.clone();
        if platform.blocked_consumers.contains(&caller.id) {
            return Err(Failure::fault(Fault::blocked(&caller.id), "blocked"));
        }

        // 4. Loops between platforms.
        let earlier: Vec<&[u8]> = self.head.fields.all(names::ROUTING_HISTORY).collect();
        let history = rivmesh_rivta::routing_history(&earlier, &caller.id, platform.hsa_id.as_str(), caller.internal)
            .map_err(|_| Failure::fault(Fault::routing_loop(), "loop"))?;

        // 5. The envelope, and no more of the message than that.
        let message = envelope::read(conn, self.head, body, clocks, platform.limits.peek_bytes).await?;
        record.contract.clone_from(&message.envelope.contract);
        record.profile_in = message.envelope.profile.map(|p| p.as_str());
        if let Some(address) = &message.envelope.address {
            record.address = Some(address.text.clone());
            record.address_whitespace = address.has_outer_whitespace;
        }

        // 6. May the caller speak for another consumer?
        let claimed: Vec<&[u8]> = self.head.fields.all(names::ORIGINAL_CONSUMER).collect();
        let trusted = caller.internal || platform.trusted_platforms.contains(&caller.id);
        let original =
            rivmesh_rivta::original_consumer(&claimed, &caller.id, trusted, platform.untrusted_original_consumer)
                .map_err(|e| {
                    record.untrusted_original_consumer = true;
                    Failure::fault(Fault::original_consumer(e), "original-consumer")
                })?;
        record.untrusted_original_consumer = matches!(original, OriginalConsumer::Replaced(_));
        record.original_consumer_out = Some(original.as_str().to_owned());

        // 7.-11. The table decides: route, then authorisation, then profile.
        let table = worker.shared.table.load_full();
        let plan = decide::decide(&table, platform, &caller, &message, record)?;

        // 12. The producer.
        let said =
            forward::Said { caller: &caller.id, original_consumer: original.as_str(), routing_history: &history };
        forward::forward(self, conn, clocks, body, message, &plan, &said, record).await
    }
}

/// Path and method (rules §1): any path unless the listener lists prefixes, POST only.
fn admit_target(listener: &ListenerRuntime, head: &RequestHead) -> Result<(), Failure> {
    if !listener.config.serves_path(&head.path) {
        return Err(Failure::Http { status: 404, sentence: "This platform serves no such path." });
    }
    if head.method == "GET" && asks_for_wsdl(head.query.as_deref()) {
        return Err(Failure::Http { status: 404, sentence: "This platform holds no WSDL for this path." });
    }
    if head.method != "POST" {
        return Err(Failure::Http { status: 405, sentence: "Service contracts are called with POST." });
    }
    Ok(())
}

fn asks_for_wsdl(query: Option<&str>) -> bool {
    let mut names = query.unwrap_or_default().split('&').map(|p| p.split_once('=').map_or(p, |(name, _)| name));
    names.any(|name| name.eq_ignore_ascii_case("wsdl") || name.eq_ignore_ascii_case("xsd"))
}

fn new_uuid(random: &[u8]) -> String {
    let id = uuid::Builder::from_random_bytes(random.try_into().expect("16 bytes")).into_uuid();
    id.hyphenated().encode_lower(&mut uuid::Uuid::encode_buffer()).to_owned()
}
