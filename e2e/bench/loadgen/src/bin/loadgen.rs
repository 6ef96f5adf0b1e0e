//! Load over HTTP/1.1 and mutual TLS: how many, how fast, and what it cost the watched processes.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use rivmesh_loadgen::load::{Job, Load, wait_ready};
use rivmesh_loadgen::processes::{self, Machine, Usage};
use rivmesh_loadgen::report::{Process, Report};
use rivmesh_loadgen::{soap, tls};
use rustls::pki_types::ServerName;

/// How long it may take to open all connections, where that comes first.
const OPENED_WITHIN: Duration = Duration::from_secs(180);

#[derive(Parser)]
#[command(about)]
struct Options {
    /// https://HOST:PORT/PATH
    #[arg(long)]
    url: String,
    /// Connect to this address instead of to the URL's host.
    #[arg(long)]
    connect: Option<String>,
    #[command(flatten)]
    tls: tls::TlsOptions,
    /// Connections, one request at a time on each.
    #[arg(short, long, default_value_t = 1)]
    concurrency: usize,
    /// Measured seconds.
    #[arg(short, long, default_value_t = 10.0)]
    duration: f64,
    /// Seconds before that.
    #[arg(short, long, default_value_t = 2.0)]
    warmup: f64,
    /// Stop after so many requests, without warm-up, instead of after a duration.
    #[arg(short = 'n', long)]
    requests: Option<u64>,
    /// Loader threads.
    #[arg(short, long, default_value_t = 1)]
    threads: usize,
    /// A new connection for each request.
    #[arg(long)]
    fresh: bool,
    /// With --fresh: resume TLS sessions.
    #[arg(long)]
    resume: bool,
    /// One request on each connection, which then idles until the end; the duration begins when all have made theirs.
    #[arg(long, conflicts_with_all = ["fresh", "rate", "requests"])]
    hold: bool,
    /// Open loop: so many requests a second in all, latency from the intended start.
    #[arg(long)]
    rate: Option<f64>,
    /// Size of the request's body.
    #[arg(long, default_value_t = 2048)]
    size: usize,
    #[arg(long, default_value = "SE0000000002-PROD")]
    logical_address: String,
    #[arg(long, default_value = "urn:riv:bench:benchResponder:1")]
    contract: String,
    /// The wanted HTTP status.
    #[arg(long, default_value_t = 200)]
    expect: u16,
    /// The wanted length of the response's body.
    #[arg(long)]
    expect_len: Option<u64>,
    /// Seconds for one request.
    #[arg(long, default_value_t = 30.0)]
    timeout: f64,
    /// First retry for so many seconds until one request succeeds.
    #[arg(long)]
    wait: Option<f64>,
    /// Watch CPU and memory of this process and its children: NAME=PID.
    #[arg(long, value_parser = named_pid)]
    pid: Vec<(String, u32)>,
    #[arg(long, default_value = "")]
    label: String,
    /// Append the result to this file as one JSON line.
    #[arg(long)]
    json: Option<PathBuf>,
}

fn named_pid(text: &str) -> Result<(String, u32)> {
    let (name, pid) = text.split_once('=').context("NAME=PID is wanted")?;
    Ok((name.to_owned(), pid.parse()?))
}

fn main() -> Result<ExitCode> {
    let options = Options::parse();
    let job = job(&options)?;
    let ready = match options.wait {
        None => None,
        Some(seconds) => match wait_ready(&job, Duration::from_secs_f64(seconds))? {
            None => bail!("no success within {seconds} s"),
            ready => ready,
        },
    };
    let mut report = measure(&options, job)?;
    report.ready_ms = ready.map(|took| took.as_secs_f64() * 1000.0);
    println!("{report}");
    if let Some(path) = &options.json {
        let context = || path.display().to_string();
        let mut file = OpenOptions::new().create(true).append(true).open(path).with_context(context)?;
        writeln!(file, "{}", serde_json::to_string(&report)?).with_context(context)?;
    }
    Ok(if report.ok + report.held == 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn job(options: &Options) -> Result<Job> {
    let rest = options.url.strip_prefix("https://").context("the URL must begin with https://")?;
    let (authority, path) = rest.find('/').map_or((rest, "/"), |slash| rest.split_at(slash));
    let (host, port) = authority.rsplit_once(':').unwrap_or((authority, "443"));
    let target = options.connect.clone().unwrap_or_else(|| format!("{host}:{port}"));
    let body = soap::request(&options.contract, &options.logical_address, options.size);
    let mut request = format!(
        "POST {path} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: loadgen\r\n\
         Content-Type: text/xml; charset=UTF-8\r\nSOAPAction: \"{}\"\r\nContent-Length: {}\r\n{}\r\n",
        options.contract,
        body.len(),
        if options.fresh { "Connection: close\r\n" } else { "" },
    )
    .into_bytes();
    request.extend_from_slice(&body);
    Ok(Job {
        address: address(&target)?,
        name: ServerName::try_from(host.to_owned())?,
        tls: options.tls.client()?,
        request,
        fresh: options.fresh,
        resume: options.resume,
        hold: options.hold,
        expect: options.expect,
        expect_length: options.expect_len,
        timeout: Duration::from_secs_f64(options.timeout),
        rate: options.rate,
        limit: options.requests,
    })
}

fn address(target: &str) -> Result<SocketAddr> {
    let all = target.to_socket_addrs().with_context(|| target.to_owned())?;
    all.min_by_key(SocketAddr::is_ipv6).with_context(|| format!("{target} has no address"))
}

/// One reading of everything that is watched.
struct Reading {
    at: Instant,
    own_cpu_s: f64,
    machine: Machine,
    procs: BTreeMap<String, Option<Usage>>,
}

impl Reading {
    fn now(pids: &[(String, u32)]) -> Self {
        Self {
            procs: pids.iter().map(|(name, pid)| (name.clone(), processes::usage(*pid))).collect(),
            own_cpu_s: processes::own_cpu_s(),
            machine: processes::machine(),
            at: Instant::now(),
        }
    }
}

/// Waits until all connections are open.
fn until_open(load: &Load, options: &Options) -> Result<()> {
    let until = Instant::now() + OPENED_WITHIN;
    while load.open() < options.concurrency as u64 {
        ensure!(Instant::now() < until, "{} of {} connections are open", load.open(), options.concurrency);
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

fn measure(options: &Options, job: Job) -> Result<Report> {
    let mut before = Reading::now(&options.pid);
    let load = Load::start(job, options.concurrency, options.threads);
    let mut after = None;
    if options.requests.is_none() {
        if options.hold || options.rate.is_some() {
            until_open(&load, options)?;
        }
        thread::sleep(Duration::from_secs_f64(options.warmup));
        before = Reading::now(&options.pid);
        load.measure();
        thread::sleep(Duration::from_secs_f64(options.duration));
        after = Some(Reading::now(&options.pid));
        load.stop();
    }
    let held = if options.hold { load.open() } else { 0 };
    let measured = load.join()?;
    let after = after.unwrap_or_else(|| Reading::now(&options.pid));
    let seconds = after.at.duration_since(before.at).as_secs_f64();
    let mut report =
        Report::new(&measured, seconds, after.own_cpu_s - before.own_cpu_s, after.machine - before.machine);
    report.held = held;
    report.label.clone_from(&options.label);
    report.concurrency = options.concurrency;
    for (name, usage) in &after.procs {
        let process = before.procs[name].zip(*usage).map(|(b, a)| Process::between(&b, &a, report.ok));
        report.procs.insert(name.clone(), process);
    }
    Ok(report)
}
