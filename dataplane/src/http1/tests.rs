//! What is accepted and what is refused, byte by byte. The refusals are the known ways to make two HTTP readers see
//! different messages.

use super::*;
use bytes::BytesMut;
use proptest::prelude::*;

fn request(text: &str) -> Result<Option<RequestHead>, HeadError> {
    parse_request(&mut BytesMut::from(text), 4096, 20)
}

fn refused(text: &str) -> u16 {
    request(text).expect_err(text).status()
}

#[test]
fn an_ordinary_request_is_read() {
    let text = "POST /vp/x?wsdl HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\nX-Y:  z \r\nConnection: Close\r\n\r\nbody";
    let mut input = BytesMut::from(text);
    let head = parse_request(&mut input, 4096, 20).expect("valid").expect("complete");
    assert_eq!((head.method.as_str(), head.path.as_str(), head.query.as_deref()), ("POST", "/vp/x", Some("wsdl")));
    assert_eq!((head.framing, head.close, head.http10), (Framing::Length(12), true, false));
    assert_eq!(head.fields.first("x-y"), Some(&b"z"[..]));
    assert_eq!(&input[..], b"body", "the body stays in the input");
}

#[test]
fn a_head_that_has_not_all_come_is_waited_for() {
    let text = "POST / HTTP/1.1\r\nHost: a\r\n\r\n";
    for end in 0..text.len() {
        assert!(request(&text[..end]).expect("a prefix is no error").is_none(), "{end}");
    }
    assert!(request(text).expect("valid").is_some());
}

#[test]
fn one_empty_line_before_the_request_is_skipped() {
    assert!(request("\r\nPOST / HTTP/1.1\r\nHost: a\r\n\r\n").expect("valid").is_some());
}

#[test]
fn the_target_may_be_a_url() {
    let head = request("POST https://h:1/p/q?x HTTP/1.1\r\nHost: h\r\n\r\n").expect("valid").expect("complete");
    assert_eq!((head.path.as_str(), head.query.as_deref()), ("/p/q", Some("x")));
    let head = request("POST https://h?/p HTTP/1.1\r\nHost: h\r\n\r\n").expect("valid").expect("complete");
    assert_eq!((head.path.as_str(), head.query.as_deref()), ("/", Some("/p")), "a slash in the query begins no path");
    for target in ["/p#q", "/<p>", "https:///p", "https://", "https://u@h/p", "h:443", "?p", "*?p"] {
        assert_eq!(refused(&format!("POST {target} HTTP/1.1\r\nHost: h\r\n\r\n")), 400, "{target}");
    }
}

#[test]
fn what_two_readers_could_understand_differently_is_refused() {
    let cases = [
        ("both lengths", "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n"),
        ("both lengths, other order", "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n"),
        ("two different lengths", "Content-Length: 3\r\nContent-Length: 4\r\n"),
        ("two equal lengths", "Content-Length: 3\r\nContent-Length: 3\r\n"),
        ("a list of lengths", "Content-Length: 3, 3\r\n"),
        ("a signed length", "Content-Length: +3\r\n"),
        ("a negative length", "Content-Length: -3\r\n"),
        ("a hexadecimal length", "Content-Length: 0x3\r\n"),
        ("an empty length", "Content-Length:\r\n"),
        ("a length over all bounds", "Content-Length: 99999999999999999999\r\n"),
        ("a length with a space inside", "Content-Length: 1 2\r\n"),
        ("an unknown coding", "Transfer-Encoding: gzip\r\n"),
        ("a coding after chunked", "Transfer-Encoding: chunked, gzip\r\n"),
        ("chunked twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
        ("chunked with a parameter", "Transfer-Encoding: chunked;q=1\r\n"),
        ("identity", "Transfer-Encoding: identity\r\n"),
        ("a folded field", "X-A: b\r\n c\r\n"),
        ("a field folded with a tab", "X-A: b\r\n\tc\r\n"),
        ("a bare line feed", "X-A: b\nX-B: c\r\n"),
        ("a bare carriage return", "X-A: b\rX-B: c\r\n"),
        ("a space before the colon", "Content-Length : 3\r\n"),
        ("a space before the name", " X-A: b\r\n"),
        ("an empty name", ": b\r\n"),
        ("a NUL in a value", "X-A: b\0c\r\n"),
        ("a line without a colon", "X-A\r\n"),
        ("a second host", "Host: b\r\n"),
    ];
    for (what, fields) in cases {
        assert_eq!(refused(&format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")), 400, "{what}");
    }
    assert_eq!(refused("POST / HTTP/1.1\r\nX-A: b\r\n\r\n"), 400, "no host");
    assert_eq!(refused("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), 400, "chunks in HTTP/1.0");
    assert_eq!(refused("POST / HTTP/2.0\r\nHost: a\r\n\r\n"), 505);
    assert_eq!(refused("POST  / HTTP/1.1\r\nHost: a\r\n\r\n"), 400, "two spaces");
    assert_eq!(refused("POST / HTTP/1.1\r\nHost: a\r\nExpect: 200-ok\r\n\r\n"), 417);
    assert_eq!(refused("GARBAGE\r\n\r\n"), 400);
    assert_eq!(refused("PO ST / HTTP/1.1\r\nHost: a\r\n\r\n"), 400, "a method of two words is not a version");
    assert_eq!(refused(" garbage"), 400, "what is wrong already is not waited for");
}

#[test]
fn large_heads_are_refused_before_they_are_complete() {
    let long = format!("POST / HTTP/1.1\r\nHost: a\r\nX: {}", "y".repeat(5000));
    assert_eq!(refused(&long), 431);
    let many = "X: y\r\n".repeat(30);
    assert_eq!(refused(&format!("POST / HTTP/1.1\r\nHost: a\r\n{many}\r\n")), 431);
}

fn response(text: &str) -> Result<Option<ResponseHead>, HeadError> {
    parse_response(&mut BytesMut::from(text), 4096, 20)
}

#[test]
fn answers_are_framed_by_the_rules() {
    let framing = |text: &str| {
        let head = response(text).expect("valid").expect("complete");
        (head.status, head.framing, head.close)
    };
    assert_eq!(framing("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"), (200, Framing::Length(5), false));
    assert_eq!(framing("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), (200, Framing::Chunked, false));
    assert_eq!(framing("HTTP/1.1 200 OK\r\n\r\n"), (200, Framing::UntilClose, true));
    assert_eq!(framing("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n"), (200, Framing::Length(5), true));
    assert_eq!(framing("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n"), (204, Framing::Length(0), false));
    assert_eq!(framing("HTTP/1.1 100 Continue\r\n\r\n"), (100, Framing::Length(0), false));
    for bad in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        "HTTP/1.1 101 Switching\r\n\r\n",
        "HTTP/1.1 99 Low\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 5\n\n",
        "<html>\r\n\r\n",
    ] {
        assert!(response(bad).is_err(), "{bad}");
    }
}

/// Decodes `wire`, given in pieces that end at `cuts`.
fn decode(framing: Framing, wire: &[u8], cuts: &[usize]) -> Result<(Vec<u8>, bool, usize), BodyError> {
    let mut decoder = Decoder::new(framing);
    let (mut input, mut content, mut given) = (BytesMut::new(), Vec::new(), 0);
    for cut in cuts.iter().copied().chain([wire.len()]) {
        input.extend_from_slice(&wire[given..cut.max(given)]);
        given = cut.max(given);
        loop {
            let piece = decoder.peek(&mut input, 7)?.to_vec();
            if piece.is_empty() {
                break;
            }
            content.extend_from_slice(&piece);
            decoder.consume(&mut input, piece.len());
        }
    }
    Ok((content, decoder.is_done(), input.len()))
}

#[test]
fn chunks_are_taken_apart_wherever_they_are_cut() {
    let wire = b"4\r\nWiki\r\n5;name=\"v\"\r\npedia\r\n0000E\r\n in\r\n\r\nchunks.\r\n0\r\nTrailer: x\r\n\r\nNEXT";
    for cut in 0..wire.len() {
        let decoded = decode(Framing::Chunked, wire, &[cut]).expect("valid");
        assert_eq!(decoded, (b"Wikipedia in\r\n\r\nchunks.".to_vec(), true, 4), "cut at {cut}");
    }
}

#[test]
fn broken_chunks_are_refused() {
    for wire in [
        &b"x\r\n"[..],
        b"\r\n",
        b"-1\r\n",
        b"+1\r\nA\r\n",
        b"0x1\r\nA\r\n",
        b"1 1\r\nA\r\n",
        b"1\nA\r\n",
        b"1\r\nAB\r\n",
        b"1\r\nA\nB",
        b"ffffffffffffffff\r\n",
        b"1;\rx\r\nA\r\n",
    ] {
        assert_eq!(decode(Framing::Chunked, wire, &[]), Err(BodyError::Chunked), "{:?}", String::from_utf8_lossy(wire));
    }
    let endless = [&b"1;"[..], &vec![b'x'; 300]].concat();
    assert_eq!(decode(Framing::Chunked, &endless, &[]), Err(BodyError::Chunked), "an endless extension");
    let bomb = [&b"0\r\n"[..], &b"X: y\r\n".repeat(2000)].concat();
    assert_eq!(decode(Framing::Chunked, &bomb, &[]), Err(BodyError::Chunked), "endless trailers");
}

#[test]
fn trailers_are_bounded_to_the_byte_and_must_be_fields() {
    let trailers = |lines: &[&str]| {
        let wire = lines.iter().fold("0\r\n".to_owned(), |wire, line| wire + line + "\r\n");
        decode(Framing::Chunked, wire.as_bytes(), &[]).map(|(_, done, _)| done)
    };
    let field = |bytes: usize| format!("X:{}", "y".repeat(bytes - 4));
    assert_eq!(trailers(&[&field(8192), ""]), Ok(true));
    assert_eq!(trailers(&[&field(8192), "X:y", ""]), Err(BodyError::Chunked), "not one byte is left");
    assert_eq!(trailers(&[&field(8193), ""]), Err(BodyError::Chunked));
    assert_eq!(trailers(&[&field(8194), ""]), Err(BodyError::Chunked));
    assert_eq!(trailers(&[&field(8191), "X:y", ""]), Err(BodyError::Chunked), "one byte is left");
    for line in ["no field", " X: folded", "X Y: z", ": z", "X: a\rb", "X: a\0"] {
        assert_eq!(trailers(&[line, ""]), Err(BodyError::Chunked), "{line:?}");
    }
}

#[test]
fn an_early_end_is_told_from_an_end() {
    let ends = |framing, wire: &[u8]| {
        let mut decoder = Decoder::new(framing);
        let mut input = BytesMut::from(wire);
        let here = decoder.peek(&mut input, 100).expect("valid").len();
        decoder.consume(&mut input, here);
        decoder.end_of_input(true)
    };
    assert_eq!(ends(Framing::Length(3), b"ab"), Err(BodyError::Truncated));
    assert_eq!(ends(Framing::Length(2), b"ab"), Ok(()));
    assert_eq!(ends(Framing::Chunked, b"2\r\nab"), Err(BodyError::Truncated));
    assert_eq!(ends(Framing::UntilClose, b"ab"), Ok(()));
    let cut_off = Decoder::new(Framing::UntilClose).end_of_input(false);
    assert_eq!(cut_off, Err(BodyError::Truncated), "anybody can close TCP under TLS");
}

proptest! {
    #[test]
    fn what_the_encoder_writes_the_decoder_reads(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..8),
        cut in 0usize..400,
    ) {
        let mut wire = BytesMut::new();
        for piece in &pieces {
            Encoder::Chunked.append(&mut wire, piece);
        }
        Encoder::Chunked.finish(&mut wire);
        let cut = cut.min(wire.len());
        prop_assert_eq!(decode(Framing::Chunked, &wire, &[cut]), Ok((pieces.concat(), true, 0)));
    }

    #[test]
    fn no_bytes_make_the_parsers_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse_request(&mut BytesMut::from(&bytes[..]), 200, 10);
        let _ = parse_response(&mut BytesMut::from(&bytes[..]), 200, 10);
        let _ = decode(Framing::Chunked, &bytes, &[]);
    }
}
