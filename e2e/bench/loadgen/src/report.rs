//! What one run of the load generator says: a JSON line for the driver, a few lines for people.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::load::Measured;
use crate::processes::{Machine, Usage};

/// Where a curve of latencies is drawn.
const SHARES: [f64; 21] = [
    0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99, 0.995, 0.998, 0.999,
    0.9999,
];

/// The result of one run. Times in the unit that the name ends with.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the names are those of the JSON and say what they are")]
pub struct Report {
    pub label: String,
    pub concurrency: usize,
    pub held: u64,
    pub seconds: f64,
    pub ok: u64,
    pub errors: u64,
    pub error_classes: BTreeMap<String, u64>,
    pub rps: f64,
    pub mb_in_s: f64,
    pub mean_us: f64,
    pub p50_us: f64,
    pub p90_us: f64,
    pub p99_us: f64,
    pub p999_us: f64,
    pub max_us: f64,
    /// Share of the requests, and the microseconds within which they were answered.
    pub quantiles: Vec<(f64, f64)>,
    pub handshakes: u64,
    pub resumed: u64,
    pub handshake_p50_us: f64,
    pub handshake_p99_us: f64,
    pub tls: String,
    pub loadgen_us_per_req: f64,
    pub machine_busy_s: f64,
    pub machine_idle_s: f64,
    pub machine_steal_s: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready_ms: Option<f64>,
    /// `None` for a process that is gone.
    pub procs: BTreeMap<String, Option<Process>>,
}

/// What a watched process and its children used during the run.
#[derive(Clone, Copy, Debug, Serialize)]
#[expect(missing_docs, reason = "the names are those of the JSON and say what they are")]
pub struct Process {
    pub cpu_s: f64,
    pub user_s: f64,
    pub sys_s: f64,
    pub us_per_req: f64,
    pub rss_kb: u64,
    pub pss_kb: u64,
    pub hwm_kb: u64,
    pub threads: u64,
}

impl Process {
    /// The difference of two readings around `requests` requests.
    #[must_use]
    pub fn between(before: &Usage, after: &Usage, requests: u64) -> Self {
        let (user_s, sys_s) = (after.user_s - before.user_s, after.sys_s - before.sys_s);
        Self {
            cpu_s: user_s + sys_s,
            user_s,
            sys_s,
            us_per_req: per_request_us(user_s + sys_s, requests),
            rss_kb: after.rss_kb,
            pss_kb: after.pss_kb,
            hwm_kb: after.hwm_kb,
            threads: after.threads,
        }
    }
}

/// Seconds as microseconds for each request; 0 without requests.
#[must_use]
pub fn per_request_us(seconds: f64, requests: u64) -> f64 {
    if requests == 0 { 0.0 } else { seconds * 1e6 / requests as f64 }
}

impl Report {
    /// Puts together what workers, loader and machine did in `seconds`; `procs` are added by the caller.
    #[must_use]
    pub fn new(measured: &Measured, seconds: f64, own_cpu_s: f64, machine: Machine) -> Self {
        let (latency, handshake) = (&measured.latency, &measured.handshake);
        let ok = latency.samples();
        Self {
            label: String::new(),
            concurrency: 0,
            held: 0,
            seconds,
            ok,
            errors: measured.errors.values().sum(),
            error_classes: measured.errors.clone(),
            rps: ok as f64 / seconds,
            mb_in_s: measured.bytes_in as f64 / seconds / 1e6,
            mean_us: latency.mean_us(),
            p50_us: latency.quantile_us(0.5),
            p90_us: latency.quantile_us(0.9),
            p99_us: latency.quantile_us(0.99),
            p999_us: latency.quantile_us(0.999),
            max_us: latency.max_us(),
            quantiles: SHARES.iter().map(|share| (*share, latency.quantile_us(*share))).collect(),
            handshakes: handshake.samples(),
            resumed: measured.resumed,
            handshake_p50_us: handshake.quantile_us(0.5),
            handshake_p99_us: handshake.quantile_us(0.99),
            tls: measured.negotiated.clone(),
            loadgen_us_per_req: per_request_us(own_cpu_s, ok),
            machine_busy_s: machine.busy_s,
            machine_idle_s: machine.idle_s,
            machine_steal_s: machine.steal_s,
            ready_ms: None,
            procs: BTreeMap::new(),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} c={} {:.0} req/s", self.label, self.concurrency, self.rps)?;
        write!(f, "  p50 {:.0} p99 {:.0} max {:.0} us", self.p50_us, self.p99_us, self.max_us)?;
        write!(f, "  ok {} errors {}  {}", self.ok, self.errors, self.tls)?;
        for (kind, count) in &self.error_classes {
            write!(f, "\n  {count} x {kind}")?;
        }
        for (name, process) in &self.procs {
            match process {
                Some(p) => write!(f, "\n  {name}: {:.1} us/req, rss {} MiB", p.us_per_req, p.rss_kb / 1024)?,
                None => write!(f, "\n  {name}: the process is gone")?,
            }
        }
        if let Some(ready) = self.ready_ms {
            write!(f, "\n  ready after {ready:.0} ms")?;
        }
        Ok(())
    }
}
