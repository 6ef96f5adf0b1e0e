//! `rivmesh producer` as a process, called by `rivmesh call` without a platform in between.

use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};

use super::PLATFORM;

struct Producer {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
    url: String,
}

impl Producer {
    fn start() -> Self {
        let file = |name: &str| PLATFORM.file(name).display().to_string();
        let mut process = Command::new(env!("CARGO_BIN_EXE_rivmesh"))
            .args(["producer", "--listen", "127.0.0.1:0", "--name", "A & B"])
            .args(["--cert", &file("platform.crt"), "--key", &file("platform.key"), "--ca", &file("ca.pem")])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let first = lines.next().unwrap().unwrap();
        let port = first.strip_prefix("A & B answers at 127.0.0.1:").unwrap_or_else(|| panic!("{first}"));
        let url = format!("https://localhost:{port}/greeting");
        Self { process, lines, url }
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_producer_greets_and_tells_how_the_call_came() {
    let mut producer = Producer::start();
    let url = producer.url.clone();
    let contract = "urn:riv:rivmesh:demo:GetGreetingResponder:1";
    let header = "x-rivta-routing-history: SE1#SE2";
    let more = ["--url", &url, "--contract", contract, "--header", header, "--show-body"];
    let called = PLATFORM.call("journal", "SE1", &more);
    called.came(0, &["Hello stranger, this is A &amp; B ("]);
    let told = producer.lines.next().unwrap().unwrap();
    assert_eq!(told, "/greeting called by SE2329990001-JRN1 for -, by way of SE1#SE2 -> 200");
}

#[test]
fn a_producer_lets_nobody_in_that_its_authorities_do_not_know() {
    let producer = Producer::start();
    let url = producer.url.clone();
    PLATFORM.call("stranger", "SE1", &["--url", &url]).came(2, &["refuses the client certificate"]);
}

#[test]
fn a_producer_ends_when_it_is_told_to() {
    let mut producer = Producer::start();
    let kill = Command::new("kill").arg(producer.process.id().to_string()).status().unwrap();
    assert!(kill.success());
    assert!(producer.process.wait().unwrap().success());
}
