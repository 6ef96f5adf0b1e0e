//! Our HTTP/1.1 beside hyper's: whatever we accept hyper accepts too, and understands in the same way. So no message can
//! mean one thing to the platform and another to a careful reader behind it. The reverse does not hold, on purpose; what
//! we refuse although hyper takes it is listed in [`only_hyper_accepts`].

use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use proptest::prelude::*;
use rivmesh_dataplane::http1::{BodyError, Decoder, Framing, parse_request, parse_response};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

const MAX_HEAD: usize = 8 * 1024;
const MAX_FIELDS: usize = 50;

/// A request as one of the two understood it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Understood {
    method: String,
    path: String,
    query: Option<String>,
    fields: usize,
    body: Vec<u8>,
}

/// An answer as one of the two understood it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Answered {
    status: u16,
    fields: usize,
    body: Vec<u8>,
}

/// Takes a body from the front of `input`, after which nothing comes any more.
fn body(framing: Framing, input: &mut BytesMut) -> Result<Vec<u8>, BodyError> {
    let mut decoder = Decoder::new(framing);
    let mut content = Vec::new();
    loop {
        let piece = decoder.peek(input, 1000)?;
        let taken = piece.len();
        content.extend_from_slice(piece);
        if taken > 0 {
            decoder.consume(input, taken);
        } else if decoder.is_done() {
            return Ok(content);
        } else {
            decoder.end_of_input(true)?;
        }
    }
}

/// The requests that we accept, up to the first that we refuse or that is cut off.
fn requests_by_us(wire: &[u8]) -> Vec<Understood> {
    let mut input = BytesMut::from(wire);
    let mut understood = Vec::new();
    while let Ok(Some(head)) = parse_request(&mut input, MAX_HEAD, MAX_FIELDS) {
        let Ok(body) = body(head.framing, &mut input) else { break };
        let fields = head.fields.iter().count();
        // hyper hands the connection over after a CONNECT; we answer 405 and go on.
        let last = head.close || head.method == "CONNECT";
        understood.push(Understood { method: head.method, path: head.path, query: head.query, fields, body });
        if last {
            break;
        }
    }
    understood
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, future)
}

/// The requests that hyper accepts.
fn requests_by_hyper(wire: &[u8]) -> Vec<Understood> {
    run(async {
        let understood = Rc::new(RefCell::new(Vec::new()));
        let seen = understood.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let seen = seen.clone();
            async move {
                let (head, body) = request.into_parts();
                if let Ok(body) = body.collect().await {
                    seen.borrow_mut().push(Understood {
                        method: head.method.to_string(),
                        path: head.uri.path().to_owned(),
                        query: head.uri.query().map(str::to_owned),
                        fields: head.headers.len(),
                        body: body.to_bytes().to_vec(),
                    });
                }
                Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
            }
        });
        let (mut client, server) = duplex(64 * 1024);
        let mut hyper = hyper::server::conn::http1::Builder::new();
        let serving = hyper.half_close(true).serve_connection(TokioIo::new(server), service);
        let talking = async {
            client.write_all(wire).await.expect("the pipe holds it");
            // A server that refuses closes its side before we close ours.
            let _ = client.shutdown().await;
            let mut answers = Vec::new();
            let _ = client.read_to_end(&mut answers).await;
        };
        // A refusal ends the connection with an error; what was understood before it counts.
        let _ = tokio::join!(serving, talking);
        understood.take()
    })
}

/// The answer that we accept; interim answers before it are passed over.
fn answer_by_us(wire: &[u8]) -> Option<Answered> {
    let mut input = BytesMut::from(wire);
    loop {
        let head = parse_response(&mut input, MAX_HEAD, MAX_FIELDS).ok()??;
        if !head.is_interim() {
            let body = body(head.framing, &mut input).ok()?;
            return Some(Answered { status: head.status, fields: head.fields.iter().count(), body });
        }
    }
}

/// The answer to a POST that hyper accepts.
fn answer_by_hyper(wire: &[u8]) -> Option<Answered> {
    run(async {
        let (client, mut server) = duplex(64 * 1024);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(client)).await.ok()?;
        tokio::task::spawn_local(connection);
        let request = Request::post("/").header("host", "a").body(Empty::<Bytes>::new()).expect("a request");
        let talking = async {
            let mut request = [0; 1024];
            let _ = server.read(&mut request).await;
            server.write_all(wire).await.expect("the pipe holds it");
            let _ = server.shutdown().await;
            server
        };
        let (answer, _server) = tokio::join!(sender.send_request(request), talking);
        let (head, body) = answer.ok()?.into_parts();
        let body = body.collect().await.ok()?.to_bytes().to_vec();
        Some(Answered { status: head.status.as_u16(), fields: head.headers.len(), body })
    })
}

/// Mostly the first of several texts, sometimes another.
fn mostly(usual: &'static str, strange: &'static [&'static str]) -> BoxedStrategy<&'static str> {
    prop_oneof![8 => Just(usual), 2 => prop::sample::select(strange)].boxed()
}

/// Header lines that have to do with framing, and some that look as if they had.
const TELLING: &[&str] = &[
    "Content-Length: 5",
    "Content-Length: 0",
    "content-length:5",
    "Content-Length: 05",
    "Content-Length: +5",
    "Content-Length: 5, 5",
    "Content-Length: 5 5",
    "Content-Length: 0x5",
    "Content-Length: ",
    "Content-Length : 5",
    "Content-Length: 18446744073709551617",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: Chunked ",
    "Transfer-Encoding: \tchunked",
    "Transfer-Encoding: identity",
    "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding: chunked, gzip",
    "Transfer-Encoding: chunked, chunked",
    "Transfer-Encoding: xchunked",
    "Transfer-Encoding:\u{b}chunked",
    "Transfer_Encoding: chunked",
    "Connection: close",
    "Connection: keep-alive",
    "Connection: Content-Length",
    "Expect: 100-continue",
    "Host: b",
    "Upgrade: h2c",
    "X-A: b",
    "X-A:",
    "X-A: \u{e5}",
    " folded: c",
    "\tfolded",
    "no colon",
    ": no name",
    "X A: b",
    "X-A: b\rX-B: c",
    "X-A: b\0c",
];

/// Chunks and what looks like chunks.
const CHUNKS: &[&str] = &[
    "5\r\nhello\r\n",
    "005\r\nhello\r\n",
    "5;a=b\r\nhello\r\n",
    "5 ;a=\"b\"\r\nhello\r\n",
    "5 \r\nhello\r\n",
    "5\t\r\nhello\r\n",
    "5\u{c};x\r\nhello\r\n",
    "5\nhello\r\n",
    "5\r\nhello\n",
    "5\r\nhelloo\r\n",
    "5\r\nhell\r\n",
    "+5\r\nhello\r\n",
    "0x5\r\nhello\r\n",
    "5;a\rb\r\nhello\r\n",
    "5;a\nb\r\nhello\r\n",
    "10000000000000005\r\nhello\r\n",
    "0\r\n\r\n",
    "0\r\nX: y\r\n\r\n",
    "0\r\nX y\r\n\r\n",
    "0\r\n folded\r\n\r\n",
    "0\n\n",
    "00\r\n\r\n",
    "\r\n",
];

const TARGETS: &[&str] = &[
    "/",
    "*",
    "/a?b=c?d",
    "http://h/p",
    "http://h",
    "http://h?a/b",
    "http://h:1/p?q",
    "https:///p",
    "http://",
    "h:443",
    "",
    "/a#b",
    "//a",
    "/\u{e5}",
    "/a%zz",
    "/a b",
    "/?",
    "/<\">",
    "?a",
    "http:/a",
    "HTTP://h/p",
];

fn content() -> BoxedStrategy<String> {
    prop_oneof![
        Just(String::new()),
        Just("hello".to_owned()),
        Just("5\r\nhello\r\n0\r\n\r\n".to_owned()),
        prop::collection::vec(prop::sample::select(CHUNKS), 1..4).prop_map(|chunks| chunks.concat()),
        prop::collection::vec(prop::sample::select(CHUNKS), 0..3).prop_map(|chunks| chunks.concat() + "0\r\n\r\n"),
    ]
    .boxed()
}

fn fields() -> BoxedStrategy<Vec<&'static str>> {
    prop_oneof![
        2 => Just(vec!["Content-Length: 5"]),
        2 => Just(vec!["Transfer-Encoding: chunked"]),
        3 => prop::collection::vec(prop::sample::select(TELLING), 0..4),
    ]
    .boxed()
}

fn line_end() -> BoxedStrategy<&'static str> {
    mostly("\r\n", &["\n", "\r", "\r\r\n", "\r\n "])
}

fn request() -> BoxedStrategy<String> {
    let start = (
        mostly("", &["\r\n", "\n", "\r\n\r\n", " "]),
        mostly("POST", &["GET", "HEAD", "OPTIONS", "CONNECT", "post", "P\u{e5}ST", "", "X-Y", "PO ST"]),
        mostly(" ", &["  ", "\t", ""]),
        mostly("/vp", TARGETS),
        mostly(" HTTP/1.1", &[" HTTP/1.0", " HTTP/2.0", " HTTP/1.2", " http/1.1", "", " HTTP/1.1 ", "  HTTP/1.1"]),
    );
    let host = mostly("Host: a", &["host:a", "Host: ", "X: y", "Host: a\r\nHost: a"]);
    (start, host, fields(), line_end(), line_end(), content())
        .prop_map(|((before, method, gap, target, version), host, fields, end, last, content)| {
            let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
            format!("{before}{method}{gap}{target}{version}{end}{host}\r\n{fields}{last}{content}")
        })
        .boxed()
}

fn answer() -> BoxedStrategy<String> {
    let start = (
        mostly(
            "",
            &["HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 102 \r\nX: y\r\n\r\n", "\r\n", "HTTP/1.1 101 S\r\n\r\n"],
        ),
        mostly("HTTP/1.1", &["HTTP/1.0", "HTTP/2.0", "http/1.1", "HTTP/1", "ICY"]),
        mostly(
            " 200 OK",
            &[" 200 ", " 200", " 204 No", " 304 N", " 205 R", " 500 \u{e5}", " 99 X", " 1000 X", " 2x0 X"],
        ),
    );
    (start, fields(), line_end(), line_end(), content())
        .prop_map(|((before, version, status), fields, end, last, content)| {
            let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
            format!("{before}{version}{status}{end}{fields}{last}{content}")
        })
        .boxed()
}

/// Changes a few bytes.
fn damaged(text: BoxedStrategy<String>) -> BoxedStrategy<Vec<u8>> {
    let byte = prop_oneof![prop::sample::select(&b"\r\n \t:;,0159afx\0"[..]), any::<u8>()];
    let damage = (any::<prop::sample::Index>(), 0..3_u8, byte);
    (text, prop_oneof![1 => Just(vec![]), 2 => prop::collection::vec(damage, 1..4)])
        .prop_map(|(text, damages)| {
            let mut bytes = text.into_bytes();
            for (place, kind, byte) in damages {
                if bytes.is_empty() {
                    break;
                }
                let place = place.index(bytes.len());
                match kind {
                    0 => bytes[place] = byte,
                    1 => bytes.insert(place, byte),
                    _ => drop(bytes.remove(place)),
                }
            }
            bytes
        })
        .boxed()
}

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(4000))]

    #[test]
    fn requests_that_we_accept_mean_the_same_to_hyper(wires in prop::collection::vec(damaged(request()), 1..3)) {
        let wire = wires.concat();
        let (ours, theirs) = (requests_by_us(&wire), requests_by_hyper(&wire));
        prop_assert!(theirs.starts_with(&ours), "{:?}\nwe: {ours:?}\nhyper: {theirs:?}", String::from_utf8_lossy(&wire));
    }

    #[test]
    fn answers_that_we_accept_mean_the_same_to_hyper(wire in damaged(answer())) {
        if let Some(ours) = answer_by_us(&wire) {
            prop_assert_eq!(answer_by_hyper(&wire), Some(ours), "{:?}", String::from_utf8_lossy(&wire));
        }
    }

    #[test]
    fn chunks_that_we_accept_mean_the_same_to_hyper(
        pieces in prop::collection::vec(prop_oneof![
            3 => prop::sample::select(CHUNKS).prop_map(str::to_owned),
            1 => "[0-9a-fA-Fx;= \t\r\n\"]{1,6}",
        ], 1..6),
    ) {
        let wire = format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{}", pieces.concat());
        let (ours, theirs) = (requests_by_us(wire.as_bytes()), requests_by_hyper(wire.as_bytes()));
        prop_assert!(theirs.starts_with(&ours), "{wire:?}\nwe: {ours:?}\nhyper: {theirs:?}");
    }
}

#[test]
fn both_accept_what_is_ordinary() {
    let wire = b"POST /a?b HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello\
        POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n0\r\nX: y\r\n\r\n";
    let ours = requests_by_us(wire);
    assert_eq!(ours.iter().map(|request| request.body.as_slice()).collect::<Vec<_>>(), [&b"hello"[..], b"abc"]);
    assert_eq!(requests_by_hyper(wire), ours);
    let wire = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nX: y\r\n\r\nuntil the end";
    let ours = answer_by_us(wire).expect("valid");
    assert_eq!((ours.status, ours.fields, ours.body.as_slice()), (200, 1, &b"until the end"[..]));
    assert_eq!(answer_by_hyper(wire), Some(ours));
}

#[test]
fn only_hyper_accepts() {
    let wires = [
        ("equal lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello"),
        ("a coding before chunked", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
        (
            "a coding and a length",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
        ),
        ("lines that end with a bare line feed", "POST / HTTP/1.1\nHost: a\n\n"),
        ("no host", "POST / HTTP/1.1\r\nX: y\r\n\r\n"),
        ("two hosts", "POST / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
        ("another expectation", "POST / HTTP/1.1\r\nHost: a\r\nExpect: 200-ok\r\n\r\n"),
        ("a target that is a host", "POST h:443 HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("a target with a fragment", "POST /a#b HTTP/1.1\r\nHost: a\r\n\r\n"),
    ];
    for (what, wire) in wires {
        let accepted = (requests_by_us(wire.as_bytes()).len(), requests_by_hyper(wire.as_bytes()).len());
        assert_eq!(accepted, (0, 1), "{what}");
    }
}
