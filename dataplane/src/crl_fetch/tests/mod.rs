//! The fetcher between a server that misbehaves, a PKI of its own and a real directory.

mod disk;
mod server;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use rcgen::CertificateRevocationList;
use tempfile::TempDir;

use super::*;
use crate::tls::testing::{Authority, DAY, Leaf, NOW, Pki, TestClock, authority_params, crl, root};
use server::{Server, answer, ok, redirect};

/// For how long a condition is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

struct Bench {
    pki: Pki,
    ca: Authority,
    clock: TestClock,
    directory: TempDir,
    limits: Limits,
    pace: Pace,
    https_trust: Option<PathBuf>,
    proxy: Option<SocketAddr>,
}

impl Bench {
    fn new() -> Self {
        let (pki, ca) = (Pki::new(), root("Function CA v1"));
        pki.write("ca.pem", ca.pem());
        let limits = Limits { total: Duration::from_secs(5), bytes: 64 * 1024, ..Limits::default() };
        let tick = Duration::from_millis(20);
        let pace = Pace { interval: tick, floor: tick, retry: tick };
        let directory = tempfile::tempdir().unwrap();
        Self { pki, ca, clock: TestClock::new(), directory, limits, pace, https_trust: None, proxy: None }
    }

    /// Starts a fetcher of `ca.crl`.
    fn fetch(&self, url: &str) -> Running {
        self.fetch_all(&[(url, "ca.crl")])
    }

    fn fetch_all(&self, sources: &[(&str, &str)]) -> Running {
        let source = |(url, file): &(&str, &str)| format!("{url}={file}").parse().unwrap();
        let options = Options {
            sources: sources.iter().map(source).collect(),
            directory: self.directory.path().to_owned(),
            trust: vec![self.pki.path("ca.pem")],
            https_trust: self.https_trust.clone(),
            pace: self.pace,
        };
        let admin = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = self.proxy.map(|proxy| format!("http://us3r:s3cret@{proxy}")).unwrap_or_default();
        let proxies = Matcher::builder().all(proxy).build();
        Running(start_with(options, admin, self.clock.clock(), self.limits, proxies).unwrap())
    }

    fn crl(&self, number: u64) -> CertificateRevocationList {
        crl(&self.ca, number, 10, &[number])
    }

    fn put(&self, content: impl AsRef<[u8]>) {
        std::fs::write(self.directory.path().join("ca.crl"), content).unwrap();
    }

    fn on_disk(&self) -> Vec<u8> {
        std::fs::read(self.directory.path().join("ca.crl")).unwrap_or_default()
    }

    /// Names of all files in the directory.
    fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.directory.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

struct Running(Fetcher);

impl Running {
    /// Status and body of an admin page.
    fn get(&self, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.0.admin()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: admin\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    fn is_ready(&self) -> bool {
        self.get("/readyz").0 == 200
    }

    /// The value of a metric of a file; labels beside `file` as in the exposition, with a comma in front.
    fn metric(&self, name: &str, file: &str, labels: &str) -> Option<f64> {
        let (_, page) = self.get("/metrics");
        let start = format!("{name}{{file=\"{file}\"{labels}}} ");
        page.lines().find_map(|line| line.strip_prefix(&start)).map(|value| value.parse().unwrap())
    }

    fn failures(&self, reason: &str) -> f64 {
        let labels = format!(",reason=\"{reason}\"");
        self.metric("rivmesh_crl_fetch_failures_total", "ca.crl", &labels).unwrap_or_default()
    }

    /// Waits for two failures of a kind, so that at least one whole attempt began after now.
    async fn fails(&self, reason: &str) {
        let before = self.failures(reason);
        until(|| self.failures(reason) >= before + 2.0, || self.get("/metrics").1).await;
    }

    async fn becomes_ready(&self) {
        until(|| self.is_ready(), || self.get("/readyz").1).await;
    }
}

async fn until(condition: impl Fn() -> bool, told: impl Fn() -> String) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, waiting).await.is_ok(), "it did not come true:\n{}", told());
}

#[tokio::test]
async fn a_good_list_is_there_for_everybody_to_read() {
    let bench = Bench::new();
    let server = Server::plain().await;
    let (der, pem) = (bench.crl(1).der().to_vec(), bench.crl(2).pem().unwrap());
    server.say("/ca.crl?x=1", ok(&der));
    let running = bench.fetch(&server.url("/ca.crl?x=1"));
    running.becomes_ready().await;
    assert_eq!(bench.on_disk(), der);
    let about = std::fs::metadata(bench.directory.path().join("ca.crl")).unwrap();
    assert_eq!(about.permissions().mode() & 0o7777, 0o644);

    server.say("/ca.crl?x=1", ok(&pem));
    let metric = |name| running.metric(name, "ca.crl", "");
    until(|| metric("rivmesh_crl_fetch_bytes") == Some(pem.len() as f64), || running.get("/metrics").1).await;
    assert_eq!(bench.on_disk(), pem.as_bytes());
    assert_eq!(metric("rivmesh_crl_fetch_present"), Some(1.0));
    assert_eq!(metric("rivmesh_crl_fetch_failing"), Some(0.0));
    assert_eq!(metric("rivmesh_crl_fetch_last_success_timestamp_seconds"), Some(NOW as f64));
    assert_eq!(metric("rivmesh_crl_fetch_next_update_in_seconds"), Some((9 * DAY) as f64));
    assert_eq!(bench.files(), ["ca.crl"]);
    assert_eq!(running.get("/livez"), (200, "ok\n".to_owned()));
    assert_eq!(running.get("/other").0, 404);
}

#[tokio::test]
async fn several_lists_in_one_file_stay_together() {
    let bench = Bench::new();
    let other = root("Other CA");
    bench.pki.write("ca.pem", format!("{}{}", bench.ca.pem(), other.pem()));
    let both = [bench.crl(1).pem().unwrap(), crl(&other, 1, 5, &[]).pem().unwrap()].concat();
    let server = Server::plain().await;
    server.say("/", ok(&both));
    let running = bench.fetch(&server.url("/"));
    running.becomes_ready().await;
    assert_eq!(bench.on_disk(), both.as_bytes());
    let left = running.metric("rivmesh_crl_fetch_next_update_in_seconds", "ca.crl", "");
    assert_eq!(left, Some((4 * DAY) as f64), "the earliest counts");

    server.say("/", ok(bench.crl(2).pem().unwrap()));
    running.fails("other_list").await;
    assert_eq!(bench.on_disk(), both.as_bytes());
    assert_eq!(running.metric("rivmesh_crl_fetch_failing", "ca.crl", ""), Some(1.0));

    server.say("/", ok(&both));
    let failing = || running.metric("rivmesh_crl_fetch_failing", "ca.crl", "");
    until(|| failing() == Some(0.0), || running.get("/metrics").1).await;
}

#[tokio::test]
async fn nothing_bad_takes_the_place_of_a_good_list() {
    let bench = Bench::new();
    let good = bench.crl(5).der().to_vec();
    bench.put(&good);
    let newer = bench.crl(6).der().to_vec();
    let mut unreadable = newer.clone();
    unreadable.truncate(newer.len() - 1);
    let mut tampered = newer.clone();
    let last = tampered.len() - 1;
    tampered[last] ^= 1;
    let huge = vec![0x30; bench.limits.bytes + 1];
    let not_a_signer = {
        let mut params = authority_params("Not for lists");
        params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
        let key = rcgen::KeyPair::generate().unwrap();
        // rcgen keeps to the rule too, so another issuer of the same name and key makes the list.
        let twin = rcgen::KeyPair::from_pem(&key.serialize_pem()).unwrap();
        let authority = Authority::self_signed(params, key).unwrap();
        bench.pki.write("ca.pem", format!("{}{}", bench.ca.pem(), authority.pem()));
        Authority::self_signed(authority_params("Not for lists"), twin).unwrap()
    };
    let cut = |body: &[u8]| {
        let mut answer = ok(body);
        answer.truncate(answer.len() - 20);
        answer
    };
    let without_length = |body: &[u8]| [b"HTTP/1.0 200 OK\r\n\r\n", body].concat();
    for (about, answer, reason) in [
        ("an impostor's", ok(crl(&root("Function CA v1"), 6, 10, &[]).der()), "wrong_signer"),
        ("a stranger's", ok(crl(&root("Nobody"), 6, 10, &[]).der()), "wrong_signer"),
        ("of one who may not sign lists", ok(crl(&not_a_signer, 6, 10, &[]).der()), "wrong_signer"),
        ("tampered with", ok(&tampered), "wrong_signer"),
        ("older", ok(bench.crl(4).der()), "older"),
        ("older, as PEM", ok(bench.crl(4).pem().unwrap()), "older"),
        ("cut on its way", cut(&newer), "broke_off"),
        ("cut without a length", without_length(&unreadable), "unreadable"),
        ("empty", ok(""), "unreadable"),
        ("a page for people", ok("<html>Moved</html>"), "unreadable"),
        ("larger than allowed", ok(&huge), "too_large"),
        ("larger than allowed, without a length", without_length(&huge), "too_large"),
        ("an error", answer("503 Service Unavailable", "", &newer), "status"),
        ("not modified since never", answer("304 Not Modified", "", b""), "status"),
        ("not HTTP", b"220 ftp.example ready\r\n".to_vec(), "broke_off"),
        ("nothing at all", Vec::new(), "broke_off"),
        ("a loop", redirect("/"), "redirect"),
        ("elsewhere, without trust for https", redirect("https://127.0.0.1:1/"), "redirect"),
        ("elsewhere, by another protocol", redirect("ldap://127.0.0.1/"), "redirect"),
    ] {
        let server = Server::plain().await;
        server.say("/", answer);
        let running = bench.fetch(&server.url("/"));
        running.fails(reason).await;
        assert_eq!(bench.on_disk(), good, "{about}");
        assert_eq!(bench.files(), ["ca.crl"], "{about}");
        assert!(running.is_ready(), "{about}: the last good list is there");
    }
}

#[tokio::test]
async fn a_server_that_hangs_is_given_up() {
    let mut bench = Bench::new();
    bench.limits.total = Duration::from_millis(100);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let running = bench.fetch(&format!("http://{}/", silent.local_addr().unwrap()));
    running.fails("timeout").await;
    assert_eq!(running.metric("rivmesh_crl_fetch_failing", "ca.crl", ""), Some(1.0), "it never succeeded");
    let (status, body) = running.get("/readyz");
    assert_eq!((status, body.as_str()), (503, "ca.crl: it was not there in 0.1 s\n"));
}

#[tokio::test]
async fn redirects_are_followed_three_times() {
    let bench = Bench::new();
    let server = Server::plain().await;
    let list = bench.crl(1).der().to_vec();
    for (from, to) in [("/0", "/1"), ("/1", "2"), ("/2", &server.url("/3"))] {
        server.say(from, redirect(to));
    }
    server.say("/3", ok(&list));
    server.say("/more", redirect("/0"));
    let running = bench.fetch_all(&[(&server.url("/0"), "ca.crl"), (&server.url("/more"), "other.crl")]);
    until(|| bench.on_disk() == list, || running.get("/metrics").1).await;
    let told = || running.get("/readyz").1;
    until(|| told().starts_with("other.crl: its server sends us elsewhere: more than 3 times"), told).await;
    assert_eq!(running.get("/readyz").0, 503, "the other list is missing");
}

#[tokio::test]
async fn a_server_that_is_down_is_tried_until_it_is_up() {
    let bench = Bench::new();
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let running = bench.fetch(&format!("http://{address}/"));
    running.fails("connect").await;
    let (status, body) = running.get("/readyz");
    assert_eq!(status, 503);
    assert!(body.starts_with("ca.crl: its server cannot be reached: ") && body.ends_with('\n'), "{body}");
    let server = Server::at(address).await;
    let list = bench.crl(1).der().to_vec();
    server.say("/", ok(&list));
    running.becomes_ready().await;
    assert_eq!(bench.on_disk(), list);
}

#[tokio::test]
async fn a_list_from_before_is_good_at_once_and_a_damaged_one_is_replaced() {
    let bench = Bench::new();
    let list = bench.crl(3).der().to_vec();
    bench.put(&list);
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut patient = bench.fetch(&format!("http://{address}/"));
    patient.becomes_ready().await;
    drop(patient);

    // What has no verified list in it does not count, whatever it says.
    bench.put(crl(&root("Function CA v1"), 9, 10, &[]).der());
    patient = bench.fetch(&format!("http://{address}/"));
    patient.fails("connect").await;
    assert!(!patient.is_ready());
    let server = Server::at(address).await;
    server.say("/", ok(&list));
    patient.becomes_ready().await;
    assert_eq!(bench.on_disk(), list);

    // It may be lost while we run, too.
    drop(server);
    std::fs::remove_file(bench.directory.path().join("ca.crl")).unwrap();
    until(|| !patient.is_ready(), || patient.get("/metrics").1).await;
}

#[tokio::test]
async fn a_list_past_its_next_update_is_taken_if_it_is_newer() {
    let bench = Bench::new();
    bench.clock.set(NOW + 20 * DAY);
    let server = Server::plain().await;
    let list = bench.crl(2).der().to_vec();
    server.say("/", ok(&list));
    bench.put(bench.crl(1).der());
    let running = bench.fetch(&server.url("/"));
    until(|| bench.on_disk() == list, || running.get("/metrics").1).await;
    let left = || running.metric("rivmesh_crl_fetch_next_update_in_seconds", "ca.crl", "");
    until(|| left() == Some(-((11 * DAY) as f64)), || running.get("/metrics").1).await;
    assert!(running.is_ready(), "how old is too old is for the proxy to say");
}

#[tokio::test]
async fn a_list_that_is_known_is_asked_for_conditionally() {
    let bench = Bench::new();
    let server = Server::plain().await;
    let headers = "ETag: \"one\"\r\nLast-Modified: Mon, 01 Jun 2026 00:00:00 GMT\r\n";
    let list = bench.crl(1).der().to_vec();
    server.say("/here", answer("200 OK", headers, &list));
    server.say("/", redirect("/here"));
    let running = bench.fetch(&server.url("/"));
    let conditional = || server.asked().iter().filter(|head| head.contains("if-none-match: \"one\"\r\n")).count();
    until(|| conditional() >= 2, || format!("{:?}", server.asked())).await;
    let asked = server.asked();
    assert!(!asked[0].contains("if-none-match") && !asked[1].contains("if-none-match"), "{asked:?}");
    let is_to_its_origin = |head: &&String| head.contains("if-none-match") && !head.starts_with("GET /here ");
    assert_eq!(asked.iter().find(is_to_its_origin), None, "the first server has given no such tag");
    assert!(asked[3].contains("if-modified-since: Mon, 01 Jun 2026 00:00:00 GMT\r\n"), "{asked:?}");
    assert_eq!(running.failures("status"), 0.0);

    // Whoever changes the file is not left with it.
    bench.put("");
    until(|| bench.on_disk() == list, || format!("{:?}", server.asked())).await;
}

#[tokio::test]
async fn https_is_trusted_by_its_own_authorities() {
    let mut bench = Bench::new();
    let web = root("Web CA");
    bench.pki.leaf("web", &web, &Leaf::server(1, "localhost"), &[]);
    bench.https_trust = Some(bench.pki.write("web.pem", web.pem()));
    let server = Server::tls(&bench.pki, "web").await;
    let list = bench.crl(1).der().to_vec();
    server.say("/", ok(&list));
    let port = server.address.port();
    let running = bench.fetch(&format!("https://localhost:{port}/"));
    running.becomes_ready().await;
    assert_eq!(bench.on_disk(), list);
    drop(running);

    // From plain HTTP one may be sent there, not back.
    let plain = Server::plain().await;
    plain.say("/", redirect(&format!("https://localhost:{port}/")));
    plain.say("/back", redirect("/there"));
    server.say("/down", redirect(&plain.url("/back")));
    std::fs::remove_file(bench.directory.path().join("ca.crl")).unwrap();
    let running = bench.fetch(&plain.url("/"));
    running.becomes_ready().await;
    drop(running);
    bench.fetch(&format!("https://localhost:{port}/down")).fails("redirect").await;
    assert!(plain.asked().iter().all(|head| !head.starts_with("GET /back")));

    bench.fetch(&format!("https://127.0.0.1:{port}/")).fails("tls").await;
    bench.https_trust = Some(bench.pki.path("ca.pem"));
    bench.fetch(&format!("https://localhost:{port}/")).fails("tls").await;
}

#[tokio::test]
async fn a_proxy_on_the_way_out_is_asked_for_the_whole_url() {
    let mut bench = Bench::new();
    let proxy = Server::plain().await;
    let list = bench.crl(1).der().to_vec();
    proxy.say("http://crl.example:8080/ca.crl?q", ok(&list));
    bench.proxy = Some(proxy.address);
    let running = bench.fetch("http://crl.example:8080/ca.crl?q");
    running.becomes_ready().await;
    assert_eq!(bench.on_disk(), list);
    let asked = proxy.asked()[0].to_ascii_lowercase();
    assert!(
        asked.contains("\r\nhost: crl.example:8080\r\n") && asked.contains("\r\nproxy-authorization: basic "),
        "{asked}"
    );
    drop(running);

    // https goes through it as a tunnel, which this one does not dig.
    bench.https_trust = Some(bench.pki.path("ca.pem"));
    std::fs::remove_file(bench.directory.path().join("ca.crl")).unwrap();
    let running = bench.fetch("https://crl.example/");
    running.fails("connect").await;
    assert!(proxy.asked().iter().any(|head| head.starts_with("CONNECT crl.example:443 ")), "{:?}", proxy.asked());
    assert!(!running.get("/readyz").1.contains("s3cret"));
}

#[tokio::test]
async fn authorities_are_read_anew() {
    let bench = Bench::new();
    let successor = root("Function CA v2");
    let server = Server::plain().await;
    server.say("/", ok(crl(&successor, 1, 10, &[]).der()));
    let running = bench.fetch(&server.url("/"));
    running.fails("wrong_signer").await;
    let (_, told) = running.get("/readyz");
    assert!(
        told.starts_with("ca.crl: the content is a list of CN=Function CA v2, which is not in --trust: "),
        "{told}"
    );
    bench.pki.write("ca.pem", format!("{}{}", bench.ca.pem(), successor.pem()));
    running.becomes_ready().await;
    bench.pki.write("ca.pem", "");
    running.fails("trust").await;
}

#[tokio::test]
async fn the_page_about_it_has_every_metric() {
    let bench = Bench::new();
    let running = bench.fetch("http://127.0.0.1:1/");
    let documented = include_str!("../../../../docs/src/how-to/crl-fetcher.md");
    let (_, exposition) = running.get("/metrics");
    let kinds: Vec<_> = exposition.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    assert_eq!(kinds.len(), 6);
    for line in kinds {
        let row = match line.split_once(' ').unwrap() {
            (name, "counter") => format!("| `{name}_total` | counter | "),
            (name, kind) => format!("| `{name}` | {kind} | "),
        };
        assert!(documented.contains(&row), "{row}");
    }
}

#[test]
fn what_cannot_come_right_is_an_error_at_start() {
    let bench = Bench::new();
    let options = Options {
        sources: vec!["http://a.example/=ca.crl".parse().unwrap()],
        directory: bench.directory.path().to_owned(),
        trust: vec![bench.pki.path("ca.pem")],
        https_trust: None,
        pace: bench.pace,
    };
    assert!(check(&options).is_ok());
    let with = |change: &dyn Fn(&mut Options)| {
        let mut options = options.clone();
        change(&mut options);
        check(&options).unwrap_err().to_string()
    };
    let twice = ["http://a.example/=ca.crl", "http://b.example/=ca.crl"].map(|text| text.parse().unwrap());
    assert!(with(&|o| o.sources = twice.to_vec()).contains("two sources have the file ca.crl"));
    assert!(with(&|o| o.sources = vec!["https://a.example/=b.crl".parse().unwrap()]).contains("give --https-trust"));
    assert!(with(&|o| o.sources.clear()).contains("--source"));
    assert!(with(&|o| o.trust.clear()).contains("--trust"));
    assert!(with(&|o| o.trust.push(bench.pki.path("gone.pem"))).contains("gone.pem: cannot be read"));
    assert!(with(&|o| o.https_trust = Some(bench.pki.path("gone.pem"))).contains("gone.pem: cannot be read"));
    assert!(with(&|o| o.directory = bench.pki.path("gone")).contains("is not a directory"));
}
