//! The root part of MTOM messages, whole and in pieces.
#![allow(clippy::unwrap_used, reason = "a helper of a test fails as a test does")]

mod common;

use rivmesh_rivta::multipart::{MultipartError, RootFinder, RootStep};

const TYPE: &str = "multipart/related; type=\"application/xop+xml\"; boundary=\"b-1\"";

fn finder(content_type: &str) -> RootFinder {
    RootFinder::for_content_type(content_type.as_bytes()).unwrap().unwrap()
}

/// The root part's body; also checks that every way of cutting the message gives it.
fn root(content_type: &str, message: &[u8]) -> Result<String, MultipartError> {
    let whole = finder(content_type).advance(message, true).map(|step| match step {
        RootStep::Found { body, complete: true } => String::from_utf8_lossy(&message[body]).into_owned(),
        other => panic!("{other:?}"),
    });
    for step in 1..=50 {
        let mut finder = finder(content_type);
        let mut seen = 0;
        let mut ends = (0..message.len()).step_by(step).map(|end| (end, false)).chain([(message.len(), true)]);
        let pieces = loop {
            let Some((end, last)) = ends.next() else { panic!("no answer") };
            match finder.advance(&message[..end], last) {
                Ok(RootStep::NeedMore) => assert!(!last),
                Ok(RootStep::Found { body, complete }) => {
                    assert!(body.end >= seen && body.end <= end, "what was given stays given");
                    seen = body.end;
                    if complete {
                        break Ok(String::from_utf8_lossy(&message[body]).into_owned());
                    }
                    assert!(!last);
                }
                Err(error) => break Err(error),
            }
        };
        assert_eq!(pieces, whole, "by {step}");
    }
    whole
}

#[test]
fn the_first_part_is_the_root() {
    for message in [
        "--b-1\r\nContent-Type: application/xop+xml\r\n\r\n<a/>\r\n--b-1\r\n\r\nattachment\r\n--b-1--\r\n",
        "preamble --b-1\r\n--b-1 \t\r\n\r\n<a/>\r\n--b-1--",
        "\r\n--b-1\r\nX: y\r\n folded\r\nContent-Transfer-Encoding: 8BIT\r\n\r\n<a/>\r\n--b-1--\r\nepilogue",
        "--b-1\n\n<a/>\n--b-1--\n",
        "--b-1\r\n\r\n<a/>",
    ] {
        assert_eq!(root(TYPE, message.as_bytes()).as_deref(), Ok("<a/>"), "{message:?}");
    }
}

#[test]
fn what_only_looks_like_a_delimiter_belongs_to_the_part() {
    for body in
        ["x--b-1\r\ny", "--b-12\r\ny", "\r\n--b-1x\r\n", "--b-1 x\r\n", "--b-1-\r\n", "\r\n\r\n", "", "\r", "--b-"]
    {
        let message = format!("--b-1\r\n\r\nx{body}\r\n--b-1--");
        assert_eq!(root(TYPE, message.as_bytes()), Ok(format!("x{body}")), "{body:?}");
    }
    assert_eq!(root(TYPE, b"--b-1\r\n\r\n\r\n--b-1--").as_deref(), Ok(""));
    assert_eq!(root(TYPE, b"--b-1\r\n\r\n--b-1--").as_deref(), Ok(""));
}

#[test]
fn the_start_parameter_names_the_root() {
    let content_type = format!("{TYPE}; start=\"<root@x>\"");
    let message =
        b"--b-1\r\nContent-ID: <att@x>\r\n\r\n<wrong/>\r\n--b-1\r\ncontent-id:\r\n <root@x>\r\n\r\n<a/>\r\n--b-1--\r\n";
    assert_eq!(root(&content_type, message).as_deref(), Ok("<a/>"));
    assert_eq!(root(&format!("{TYPE}; start=root@x"), message).as_deref(), Ok("<a/>"));
    assert_eq!(root(&format!("{TYPE}; start=\"<other@x>\""), message), Err(MultipartError::NoRoot));
    let late = format!("{}--b-1\r\nContent-ID: <root@x>\r\n\r\n<a/>", "--b-1\r\n\r\n\r\n".repeat(17));
    assert_eq!(root(&content_type, late.as_bytes()), Err(MultipartError::TooManyParts));
}

#[test]
fn what_has_no_root() {
    for message in [
        &b""[..],
        b"<a/>",
        b"--b-1",
        b"--b-1\r\n",
        b"--b-1\r\nContent-Type: x\r\n",
        b"--b-1--\r\n",
        b"--b-2\r\n\r\n<a/>",
    ] {
        assert_eq!(root(TYPE, message), Err(MultipartError::NoRoot), "{message:?}");
    }
    let packed = b"--b-1\r\nContent-Transfer-Encoding: base64\r\n\r\nPGEvPg==\r\n--b-1--";
    assert_eq!(root(TYPE, packed), Err(MultipartError::TransferEncoding));
    let endless = [&b"--b-1\r\n"[..], &b"X: y\r\n".repeat(2000)].concat();
    assert_eq!(root(TYPE, &endless), Err(MultipartError::PartHeaders));
}

#[test]
fn content_types() {
    for other in ["", "text/xml", "multipart/form-data; boundary=x", "application/xop+xml"] {
        assert!(RootFinder::for_content_type(other.as_bytes()).unwrap().is_none(), "{other}");
    }
    let long = format!("multipart/related; boundary={}", "x".repeat(71));
    for broken in [
        "multipart/related",
        "multipart/related; boundary=",
        "Multipart/Related; boundary=a; boundary=b",
        "multipart/related; boundary=\"a \"",
        "multipart/related; boundary=\"a\tb\"",
        long.as_str(),
    ] {
        assert_eq!(RootFinder::for_content_type(broken.as_bytes()).unwrap_err(), MultipartError::Boundary, "{broken}");
    }
}
