//! `rivmesh explain --admin`: a running instance and the manifests that it runs on answer alike.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rivmesh_dataplane::admin::{Admin, Explained, PlatformInfo, Question, Sources, serve};
use rivmesh_dataplane::ready::Readiness;
use rivmesh_dataplane::telemetry::metrics::Metrics;
use rivmesh_operator::source::Change;
use rivmesh_operator::source::directory::Directory;
use rivmesh_table::{CompileOptions, Compiler, Query, Switches, Table};

const MANIFESTS: &str = "manifests/usable";

fn testdata() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata")
}

/// The admin port of an instance that has loaded the manifests.
fn instance() -> Admin {
    let batch = Directory::new(testdata().join(MANIFESTS), Vec::new()).look(Duration::ZERO).expect("manifests");
    let mut compiler = Compiler::new(CompileOptions::default());
    for change in batch.changes {
        let Change::Upsert(object) = change else { panic!("{change:?}") };
        compiler.upsert(*object);
    }
    let compilation = compiler.compile();
    let mut fetch = |digest| compilation.shards.get(&digest).cloned();
    let table = Table::assemble(&compilation.manifest, None, &mut fetch).expect("a table");
    admin(move |question| {
        let Question { consumer, contract, address, profile, at } = question;
        let query = Query { consumer, contract, address, profile, now: *at };
        let explanation = table.explain(&query, &Switches::default());
        Ok(Explained { json: serde_json::to_value(&explanation).expect("JSON"), text: explanation.to_string() })
    })
}

fn admin(explain: impl Fn(&Question) -> Result<Explained, String> + Send + Sync + 'static) -> Admin {
    let sources = Sources {
        platform: Box::new(PlatformInfo::default),
        readiness: Readiness::new(),
        metrics: Arc::new(Metrics::new()),
        explain: Box::new(explain),
        control_plane: None,
    };
    serve(TcpListener::bind("127.0.0.1:0").expect("a port"), sources).expect("an admin port")
}

/// What `rivmesh explain` prints, and its exit code.
fn explain(args: &[&str]) -> (String, String, Option<i32>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rivmesh"));
    let output = command.arg("explain").args(args).current_dir(testdata()).output().expect("rivmesh can be started");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr), output.status.code())
}

fn question<'a>(consumer: &'a str, address: &'a str) -> Vec<&'a str> {
    let contract = "urn:riv:clinicalprocess:healthcond:description:GetCareDocumentationResponder:2";
    vec!["--consumer", consumer, "--contract", contract, "--address", address, "--at", "2026-06-01T12:00:00+02:00"]
}

#[test]
fn an_instance_and_its_manifests_say_the_same() {
    let instance = instance();
    let address = instance.address().to_string();
    for (consumer, receiver, code) in [
        ("SE2329990001-JRN1", "SE2329990001-E100", 0),
        ("SE2329990001-JRN1", " SE2329990001-E100+&=", 1),
        ("SE5599990003-NEW1", "SE2329990001-E100", 1),
    ] {
        for form in [&[][..], &["--json"]] {
            let ask = |whom: [&str; 2]| explain(&[&question(consumer, receiver)[..], &whom, form].concat());
            let from_manifests = ask(["--manifests", MANIFESTS]);
            let from_instance = ask(["--admin", &address]);
            assert_eq!(from_manifests, from_instance);
            assert_eq!(from_instance.2, Some(code), "{}", from_instance.1);
            assert!(from_instance.0.contains(receiver), "{}", from_instance.0);
        }
    }
}

#[test]
fn an_instance_that_cannot_answer_says_why() {
    let instance = admin(|_| Err("No routing table has been loaded yet.".to_owned()));
    let address = format!("http://{}/", instance.address());
    let (stdout, stderr, code) = explain(&[&question("A", "B")[..], &["--admin", &address]].concat());
    assert_eq!((stdout.as_str(), code), ("", Some(2)));
    assert!(stderr.ends_with("answers 503: No routing table has been loaded yet.\n"), "{stderr}");
}

#[test]
fn where_nobody_listens_the_port_is_doubted() {
    let closed = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").to_string();
    let (_, stderr, code) = explain(&[&question("A", "B")[..], &["--admin", &closed]].concat());
    assert_eq!(code, Some(2));
    assert!(stderr.contains(&format!("{closed} cannot be reached")), "{stderr}");
}
