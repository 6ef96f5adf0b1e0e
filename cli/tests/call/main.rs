//! `rivmesh call` against `rivmesh standalone`, as two processes: what it prints, and with what it exits.
#![allow(clippy::unwrap_used, reason = "a helper of a test fails as a test does")]

mod platform;
mod producer;

use std::net::TcpListener;
use std::process::Command;
use std::sync::LazyLock;

use platform::{ADDRESS, CONTRACT, Platform};
use serde_json::Value;

/// What a call came to.
struct Called {
    out: String,
    err: String,
    code: Option<i32>,
}

impl Platform {
    /// Calls as `name`; arguments that are given here come last and win.
    fn call(&self, name: &str, address: &str, more: &[&str]) -> Called {
        let file = |name: String| self.file(&name).display().to_string();
        let (cert, key, ca) = (file(format!("{name}.crt")), file(format!("{name}.key")), file("ca.pem".to_owned()));
        let url = self.url();
        let usual = [
            ("--url", url.as_str()),
            ("--cert", &cert),
            ("--key", &key),
            ("--ca", &ca),
            ("--contract", CONTRACT),
            ("--logical-address", address),
        ];
        let mut command = Command::new(env!("CARGO_BIN_EXE_rivmesh"));
        command.arg("call");
        for (option, value) in usual.iter().filter(|(option, _)| !more.contains(option)) {
            command.args([option, value]);
        }
        let output = command.args(more).output().expect("rivmesh can be started");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Called { out: text(output.stdout), err: text(output.stderr), code: output.status.code() }
    }
}

impl Called {
    /// Asserts the exit code, and that each part is in what was printed.
    #[track_caller]
    fn came(&self, code: i32, parts: &[&str]) {
        let Self { out, err, .. } = self;
        assert_eq!(self.code, Some(code), "{out}\n{err}");
        let printed = if code == 2 { err } else { out };
        parts.iter().for_each(|part| assert!(printed.contains(part), "{part:?} is not in:\n{printed}"));
    }
}

/// One for all tests; none of them changes it.
static PLATFORM: LazyLock<Platform> = LazyLock::new(Platform::start);

#[test]
fn a_call_that_is_answered() {
    let called = PLATFORM.call("journal", ADDRESS, &[]);
    called.came(
        0,
        &[
            "SE2329990001-JRN1 calls urn:riv:rivmesh:test:GetGreetingResponder:1 at SE2329990001-E100 in rivtabp21: POST https://localhost:",
            "\nanswer          HTTP 200, text/xml; charset=UTF-8, ",
            "\ncorrelation id  ",
            "\nserver          TLS 1.3, CN=platform, serialNumber=SE2329990001-RTP1, issued by CN=Test CA, valid until ",
            "\ntimes           connect ",
            "\nas expected     ok\n",
        ],
    );
    assert!(!called.out.contains("Envelope"), "no body unless it is asked for: {}", called.out);
    assert_eq!(called.err, "");
}

#[test]
fn the_message_is_what_a_consumer_sends() {
    let body = PLATFORM.file("body.xml");
    let content = format!("<GetGreeting xmlns=\"{CONTRACT}\"><name>Åsa</name></GetGreeting>");
    std::fs::write(&body, &content).unwrap();
    let headers =
        ["--header", "x-skltp-correlation-id: my-own", "--header", "X-Rivta-Acting-On-Behalf-Of-Hsaid: SE1-X"];
    let body = body.display().to_string();
    let called = PLATFORM.call("journal", ADDRESS, &[&headers[..], &["--show-body", "--body", &body]].concat());
    // The producer answers with what it was sent.
    called.came(0, &["correlation id  my-own\n", &content, "x-rivta-acting-on-behalf-of-hsaid: SE1-X"]);
    let called = PLATFORM.call("journal", ADDRESS, &["--show-body"]);
    called.came(
        0,
        &[
            "registry:1\">SE2329990001-E100</LogicalAddress>",
            &format!("<GetGreeting xmlns=\"{CONTRACT}\"></GetGreeting>"),
        ],
    );
    let called = PLATFORM.call("journal", ADDRESS, &["--show-body", "--profile", "rivtabp20"]);
    called.came(0, &[" in rivtabp20: ", "SE2329990001-E100</", "as expected"]);
}

#[test]
fn a_fault_is_unexpected_unless_it_was_expected() {
    let nowhere = "SE2329990001-E404";
    let unexpected = PLATFORM.call("journal", nowhere, &[]);
    unexpected.came(
        1,
        &[
            "\nanswer          HTTP 500",
            "\nfault           VP004 [call-test] ",
            "\nnot as expected VP004 instead of ok\n",
        ],
    );
    unexpected.came(1, &["\ndetail          No route found for serviceNamespace: urn:riv:rivmesh:test:GetGreetingResponder:1, receiverId: SE2329990001-E404"]);
    for (expected, code) in [("VP004", 0), ("fault", 0), ("any", 0), ("VP007", 1), ("ok", 1)] {
        PLATFORM.call("journal", nowhere, &["--expect", expected]).came(code, &["VP004"]);
        PLATFORM.call("newcomer", ADDRESS, &["--expect", expected]).came(
            if expected == "VP004" {
                1
            } else if expected == "VP007" {
                0
            } else {
                code
            },
            &["\nfault           VP007 [call-test] "],
        );
    }
    PLATFORM.call("journal", ADDRESS, &["--expect", "fault"]).came(1, &["not as expected ok instead of fault\n"]);
}

#[test]
fn a_program_gets_json_or_only_the_exit_code() {
    let called = PLATFORM.call("newcomer", ADDRESS, &["--json"]);
    assert_eq!((called.code, called.err.as_str()), (Some(1), ""));
    let report: Value = serde_json::from_str(&called.out).unwrap();
    assert_eq!(report["sent"]["consumer"], "SE5599990003-NEW1");
    assert_eq!((&report["status"], &report["fault"]["vpCode"]), (&500.into(), &"VP007".into()));
    assert_eq!(
        (&report["expected"], &report["came"], &report["asExpected"]),
        (&"ok".into(), &"VP007".into(), &false.into())
    );
    assert_eq!(report["tls"], "TLS 1.3");
    let times = &report["milliseconds"];
    let [first, total] = ["firstByte", "total"].map(|name| times[name].as_f64().unwrap());
    assert!(0.0 < first && first < total, "{times}");
    assert_eq!(report.get("body"), None);

    let called =
        PLATFORM.call("journal", ADDRESS, &["--json", "--ca", &PLATFORM.file("stranger.crt").display().to_string()]);
    let report: Value = serde_json::from_str(&called.out).unwrap();
    assert_eq!(called.code, Some(2));
    assert!(report["error"].as_str().unwrap().contains("look at --ca"), "{report}");

    for (name, code) in [("journal", 0), ("newcomer", 1)] {
        let called = PLATFORM.call(name, ADDRESS, &["--quiet"]);
        assert_eq!((called.out.as_str(), called.err.as_str(), called.code), ("", "", Some(code)));
    }
}

#[test]
fn a_server_that_cannot_be_trusted() {
    let stranger = PLATFORM.file("stranger.crt").display().to_string();
    PLATFORM.call("journal", ADDRESS, &["--ca", &stranger]).came(
        2,
        &[
            "the server's certificate is not accepted: no authority in --ca has issued it",
            "It is CN=platform, serialNumber=SE2329990001-RTP1, issued by CN=Test CA",
        ],
    );
    PLATFORM
        .call("journal", ADDRESS, &["--server-name", "other.example"])
        .came(2, &["it is not for the name other.example", "It is CN=platform"]);
    // Another way to the same server, and the right name for it.
    let url = PLATFORM.url().replace("localhost", "127.0.0.1");
    PLATFORM.call("journal", ADDRESS, &["--url", &url]).came(2, &["it is not for the name 127.0.0.1"]);
    PLATFORM.call("journal", ADDRESS, &["--url", &url, "--server-name", "localhost"]).came(0, &["as expected"]);
}

#[test]
fn a_client_certificate_that_is_refused() {
    let log = "the platform's log has the reason";
    PLATFORM.call("stranger", ADDRESS, &[]).came(
        2,
        &["the platform refuses the client certificate: it does not trust the authority (TLS alert unknown_ca)", log],
    );
    PLATFORM
        .call("revoked", ADDRESS, &[])
        .came(2, &["the platform refuses the client certificate: it is revoked (TLS alert certificate_revoked)", log]);
    let expired = PLATFORM.call("expired", ADDRESS, &[]);
    expired.came(2, &["has expired", "(TLS alert certificate_expired)", "expired.crt expired 2021-01-01T00:00:00Z"]);
}

#[test]
fn nobody_there() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("https://localhost:{closed}/");
    PLATFORM.call("journal", ADDRESS, &["--url", &url]).came(2, &["no connection", "nothing listens there"]);

    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://localhost:{}/", silent.local_addr().unwrap().port());
    let called = PLATFORM.call("journal", ADDRESS, &["--url", &url, "--timeout", "300ms"]);
    called.came(2, &["given up after 0.3 s (--timeout): the TLS handshake did not end"]);

    let url = format!("https://localhost:{}/", PLATFORM.producer.port());
    PLATFORM.call("journal", ADDRESS, &["--url", &url]).came(2, &["does not speak TLS"]);
}

#[test]
fn what_cannot_be_a_call_is_told_before_it_is_made() {
    let newcomers = PLATFORM.file("newcomer.key").display().to_string();
    PLATFORM
        .call("journal", ADDRESS, &["--key", &newcomers])
        .came(2, &["newcomer.key is not the key of the first certificate in "]);
    PLATFORM.call("gone", ADDRESS, &[]).came(2, &["gone.crt cannot be read"]);
    PLATFORM.call("journal", ADDRESS, &["--url", "http://localhost/"]).came(2, &["it must begin with https://"]);
    PLATFORM.call("journal", ADDRESS, &["--expect", "VP7"]).came(2, &["write ok, fault, any, or a code as VP007"]);
    PLATFORM
        .call("journal", ADDRESS, &["--contract", "urn:x y:1"])
        .came(2, &["give the Body's content with --body FILE"]);
    PLATFORM.call("journal", ADDRESS, &["--body", "gone.xml"]).came(2, &["gone.xml cannot be read"]);
    PLATFORM.call("journal", ADDRESS, &["--header", "Content-Length: 1"]).came(2, &["set by the message itself"]);
}
