//! W3C Trace Context (`traceparent`, `tracestate`) of one call. The platform takes part in a trace: what it sends to the
//! producer names the caller's trace and a span of its own; without a usable `traceparent` it starts a trace. Pure: the
//! caller supplies the random bytes.

use super::hex::{self, HexText};
use std::fmt;

/// The most bytes of `tracestate` that are passed on; the recommendation asks for at least so many.
pub const MAX_TRACESTATE: usize = 512;
/// The most list members of a `tracestate`.
const MAX_MEMBERS: usize = 32;
/// The bytes of a `traceparent` of version 00: `00-<32 hex>-<16 hex>-<2 hex>`.
const PARENT_LENGTH: usize = 55;
/// The flag that says that the sender recorded the call.
const SAMPLED: u8 = 1;

/// A trace id: 16 bytes, not all zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceId([u8; 16]);

/// A span id: 8 bytes, not all zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanId([u8; 8]);

/// The trace context that goes to the producer and into the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace that the call belongs to.
    pub trace_id: TraceId,
    /// The platform's own span in it, new for each call.
    pub span_id: SpanId,
    /// The caller's span; `None` where the platform started the trace.
    pub parent: Option<SpanId>,
    flags: u8,
    tracestate: Option<String>,
}

impl TraceContext {
    /// Continues the trace that a request's `traceparent` values name, or starts one when there is none, more than one, or
    /// one that is not valid. `tracestate` counts only beside a valid `traceparent`. `random` are 24 fresh random bytes.
    ///
    /// A started trace is marked as sampled, since the platform does record it, in its log; a mark to the contrary would
    /// switch off tracing in producers that follow their caller.
    pub fn continue_or_start(traceparent: &[&[u8]], tracestate: &[&[u8]], random: [u8; 24]) -> Self {
        let (trace, span) = fresh_ids(random);
        let [single] = traceparent else { return Self::started(trace, span) };
        let Some((trace_id, parent, flags)) = parse_parent(single) else { return Self::started(trace, span) };
        Self { trace_id, span_id: span, parent: Some(parent), flags, tracestate: join_state(tracestate) }
    }

    fn started(trace_id: TraceId, span_id: SpanId) -> Self {
        Self { trace_id, span_id, parent: None, flags: SAMPLED, tracestate: None }
    }

    /// The `traceparent` that goes to the producer: version 00, this span as the parent.
    pub fn traceparent(&self) -> [u8; PARENT_LENGTH] {
        let mut text = *b"00-................................-................-..";
        hex::put(&mut text[3..35], &self.trace_id.0);
        hex::put(&mut text[36..52], &self.span_id.0);
        hex::put(&mut text[53..], &[self.flags]);
        text
    }

    /// The `tracestate` that goes to the producer, if any: the caller's, bounded by [`MAX_TRACESTATE`].
    pub fn tracestate(&self) -> Option<&str> {
        self.tracestate.as_deref()
    }
}

/// Random bytes as ids; the all-zero id, which is not valid, becomes one.
fn fresh_ids(random: [u8; 24]) -> (TraceId, SpanId) {
    let (mut trace, mut span) = ([0; 16], [0; 8]);
    trace.copy_from_slice(&random[..16]);
    span.copy_from_slice(&random[16..]);
    if trace == [0; 16] {
        trace[15] = 1;
    }
    if span == [0; 8] {
        span[7] = 1;
    }
    (TraceId(trace), SpanId(span))
}

/// Takes a `traceparent` apart (W3C Trace Context §3.2). A version above 00 is read as 00 with something behind it, as the
/// recommendation asks; of the flags only the one that version 00 knows is kept.
fn parse_parent(value: &[u8]) -> Option<(TraceId, SpanId, u8)> {
    let value = value.trim_ascii();
    if value.len() < PARENT_LENGTH || value[2] != b'-' || value[35] != b'-' || value[52] != b'-' {
        return None;
    }
    let [version] = digits::<1>(&value[..2])?;
    match version {
        0xff => return None,
        0 if value.len() > PARENT_LENGTH => return None,
        _ if value.len() > PARENT_LENGTH && value[PARENT_LENGTH] != b'-' => return None,
        _ => {}
    }
    let trace = digits::<16>(&value[3..35])?;
    let span = digits::<8>(&value[36..52])?;
    let [flags] = digits::<1>(&value[53..55])?;
    (trace != [0; 16] && span != [0; 8]).then_some((TraceId(trace), SpanId(span), flags & SAMPLED))
}

/// `N` bytes from `2 * N` lower-case hex digits.
fn digits<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Some(bytes)
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

/// Several `tracestate` headers are one list. Members are kept from the left, whole, as long as they fit; a list with a
/// member that is none at all is dropped whole.
fn join_state(values: &[&[u8]]) -> Option<String> {
    let mut joined = String::new();
    let mut members = 0;
    for member in values.iter().flat_map(|value| value.split(|byte| *byte == b',')) {
        let member = member.trim_ascii();
        if member.is_empty() {
            continue;
        }
        members += 1;
        if members > MAX_MEMBERS || !is_member(member) {
            return None;
        }
        let separator = usize::from(!joined.is_empty());
        if joined.len() + separator + member.len() > MAX_TRACESTATE {
            break;
        }
        if separator == 1 {
            joined.push(',');
        }
        joined.push_str(std::str::from_utf8(member).ok()?);
    }
    (!joined.is_empty()).then_some(joined)
}

/// Whether `member` is `key=value` in the characters that the recommendation allows (§3.3.1).
fn is_member(member: &[u8]) -> bool {
    let Some(equals) = member.iter().position(|byte| *byte == b'=') else { return false };
    let (key, value) = (&member[..equals], &member[equals + 1..]);
    let key_byte = |b: &u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/' | b'@');
    let value_byte = |b: &u8| matches!(b, 0x20..=0x7e) && *b != b'=';
    (1..=256).contains(&key.len())
        && key.iter().all(key_byte)
        && (1..=256).contains(&value.len())
        && value.iter().all(value_byte)
}

impl TraceId {
    /// As 32 hex digits.
    pub(crate) fn hex(&self) -> HexText {
        HexText::of(&self.0)
    }
}

impl SpanId {
    /// As 16 hex digits.
    pub(crate) fn hex(&self) -> HexText {
        HexText::of(&self.0)
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.hex().as_str())
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.hex().as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const RANDOM: [u8; 24] = [0xab; 24];

    fn with(parent: &str, state: &[&[u8]]) -> TraceContext {
        TraceContext::continue_or_start(&[parent.as_bytes()], state, RANDOM)
    }

    fn text(context: &TraceContext) -> String {
        String::from_utf8(context.traceparent().to_vec()).expect("ASCII")
    }

    #[test]
    fn a_valid_parent_is_continued_with_a_span_of_our_own() {
        let context = with(PARENT, &[b"rojo=00f067aa0ba902b7, congo=t61rcWkgMzE"]);
        assert_eq!(text(&context), "00-4bf92f3577b34da6a3ce929d0e0e4736-abababababababab-01");
        assert_eq!(context.parent.map(|p| p.to_string()).as_deref(), Some("00f067aa0ba902b7"));
        assert_eq!(context.tracestate(), Some("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"));
    }

    #[test]
    fn only_the_sampled_flag_is_kept() {
        assert!(text(&with(&PARENT.replace("-01", "-ff"), &[])).ends_with("-01"));
        assert!(text(&with(&PARENT.replace("-01", "-02"), &[])).ends_with("-00"));
    }

    #[test]
    fn a_later_version_is_read_as_far_as_it_is_known() {
        let later = PARENT.replacen("00-", "cc-", 1);
        assert!(with(&later, &[]).parent.is_some());
        assert!(with(&format!("{later}-what-comes"), &[]).parent.is_some());
        assert!(with(&format!("{later}what-comes"), &[]).parent.is_none());
    }

    #[test]
    fn anything_else_starts_a_trace() {
        let broken = [
            String::new(),
            PARENT.to_uppercase(),
            PARENT.replacen("00-", "ff-", 1),
            PARENT.replacen("00-", "0g-", 1),
            PARENT.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            PARENT.replace("00f067aa0ba902b7", &"0".repeat(16)),
            PARENT.replace("-01", "_01"),
            PARENT.replace("-01", "-1"),
            format!("{PARENT}-more"),
            format!("{PARENT}\u{e5}"),
        ];
        for parent in broken {
            let context = with(&parent, &[b"a=b"]);
            assert_eq!(context.parent, None, "{parent}");
            assert_eq!(context.tracestate(), None, "tracestate without a valid traceparent: {parent}");
            assert_eq!(text(&context), format!("00-{}-{}-01", "ab".repeat(16), "ab".repeat(8)));
        }
        let twice = TraceContext::continue_or_start(&[PARENT.as_bytes(), PARENT.as_bytes()], &[], RANDOM);
        assert_eq!(twice.parent, None);
        assert_eq!(TraceContext::continue_or_start(&[], &[b"a=b"], RANDOM).parent, None);
    }

    #[test]
    fn ids_are_never_all_zero() {
        let context = TraceContext::continue_or_start(&[], &[], [0; 24]);
        assert_eq!(text(&context), format!("00-{}1-{}1-01", "0".repeat(31), "0".repeat(15)));
    }

    #[test]
    fn tracestate_is_bounded_by_whole_members() {
        let member = format!("key={}", "v".repeat(196));
        let list = [member.as_str(); 3].join(",");
        assert_eq!(with(PARENT, &[list.as_bytes()]).tracestate(), Some([member.as_str(); 2].join(",").as_str()));
        let exact = format!("k={},l={}", "v".repeat(253), "v".repeat(254));
        assert_eq!(exact.len(), MAX_TRACESTATE);
        assert_eq!(with(PARENT, &[exact.as_bytes()]).tracestate(), Some(exact.as_str()));
        assert_eq!(with(PARENT, &[["a=1"; 33].join(",").as_bytes()]).tracestate(), None);
    }

    #[test]
    fn a_tracestate_that_is_none_is_dropped() {
        for state in [&b"novalue"[..], b"a=b,\r\nX-Evil: 1", b"a=\xff", b"A=b", b"=b", b"a=", b" , "] {
            assert_eq!(with(PARENT, &[state]).tracestate(), None, "{state:?}");
        }
        assert_eq!(with(PARENT, &[b"a=b", b"", b"c=d"]).tracestate(), Some("a=b,c=d"));
    }
}
