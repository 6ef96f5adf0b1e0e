//! Instruction counts of a fixed set of calls, of compilation, decoding and look-ups, against those on record: the one
//! figure of performance that a noisy machine cannot blur. A simulated processor counts them; what starting and
//! stopping takes is the same in two runs of different length and cancels out.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use crate::bench::certificates;
use crate::process::{self, capture, command, root, target};
use crate::stage::Outcome;
use crate::test::release;
use crate::tools::{OPENSSL, VALGRIND};

/// The crates whose programs do the work, or have it done.
pub(crate) const PACKAGES: [&str; 2] = ["rivmesh-catalogue", "rivmesh-loadgen"];
/// By so many percent a count may grow before that is a failure.
const TOLERANCE: f64 = 3.0;
/// Functions that are remembered, so that one that grew can be named.
const REMEMBERED: usize = 60;
/// Where the stand-in for the producer listens, and the dataplane.
const PRODUCER: u16 = 18_460;
const PORT: u16 = 18_461;
const ADMIN: u16 = 18_462;

/// Nothing may depend on how slow the simulated processor is.
const TIMEOUTS: &str = "timeouts: {drainDelay: 1ms, handshake: 60s, connect: 60s, upstreamIdle: 600s}\n";
/// Where a call begins and ends; what is outside, such as handshakes and timers, comes at its own pace.
const REQUEST_PATH: &str = "*Connection::serve_calls*";

/// Instructions of one piece of work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Count {
    total: u64,
    /// Of the functions with the most of their own.
    functions: BTreeMap<String, u64>,
}

type Counts = BTreeMap<String, Count>;

/// What is on record: counts, and what they were made on.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    /// What chooses between several implementations of one function.
    machine: String,
    counts: Counts,
}

/// The counts on record.
fn record() -> PathBuf {
    root().join("e2e/bench/instructions.json")
}

/// Counts, and compares with the record; with `renew` writes it anew.
pub(crate) fn check(renew: bool) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    for tool in [VALGRIND, OPENSSL] {
        if tool.find().is_none() {
            outcome.skip(tool.missing());
            return Ok(outcome);
        }
    }
    let machine = machine()?;
    if renew {
        let renewed = Record { machine, counts: count()? };
        fs::write(record(), serde_json::to_string_pretty(&renewed)? + "\n")?;
        println!("written to {}", record().display());
        outcome.pass();
        return Ok(outcome);
    }
    let text = fs::read_to_string(record()).context("there is no record: cargo xtask bench --instructions --renew")?;
    let before: Record = serde_json::from_str(&text).context("the record cannot be read")?;
    if before.machine != machine {
        outcome.skip(format!("counts were made with {} and cannot be compared with {machine}", before.machine));
        return Ok(outcome);
    }
    for (work, count) in &count()? {
        match verdict(work, before.counts.get(work), count) {
            Ok(line) => {
                println!("{line}");
                outcome.pass();
            }
            Err(line) => outcome.fail(line),
        }
    }
    Ok(outcome)
}

/// The simulator, the C library, and those features of the processor that it passes on.
fn machine() -> Result<String> {
    const FEATURES: [&str; 9] = ["aes", "avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "pclmulqdq", "rdrand"];
    let first_line = |program: &str, argument: &str| -> Result<String> {
        let (_, text, _) = capture(command(program).arg(argument))?;
        Ok(text.lines().next().unwrap_or_default().to_owned())
    };
    let info = fs::read_to_string("/proc/cpuinfo")?;
    let flags = info.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
    let has = |feature: &&&str| flags.split(' ').any(|flag| flag == **feature);
    let features: Vec<_> = FEATURES.iter().filter(has).copied().collect();
    // `ldd (Debian GLIBC 2.36-9) 2.36`: which patches a distribution has put in does not matter.
    let libc = first_line("ldd", "--version")?.rsplit(' ').next().map_or_else(String::new, |v| format!("libc {v}"));
    Ok([first_line("valgrind", "--version")?, libc, features.join(" ")].join(", "))
}

/// A line about a count, as an error when it grew too much.
fn verdict(work: &str, before: Option<&Count>, now: &Count) -> Result<String, String> {
    let Some(before) = before else { return Err(format!("{work} is not on record: renew it")) };
    let change = (now.total as f64 / before.total as f64 - 1.0) * 100.0;
    let line = format!("{work:<9} {:>12} instructions, {change:+.1} % of those on record", now.total);
    if change <= TOLERANCE {
        let hint =
            if change < -TOLERANCE { "; put it on record: cargo xtask bench --instructions --renew" } else { "" };
        return Ok(line + hint);
    }
    let grown = |(name, after): (&String, &u64)| {
        let before = before.functions.get(name).copied().unwrap_or(0);
        (after.saturating_sub(before), name.clone())
    };
    let mut grown: Vec<_> = now.functions.iter().map(grown).collect();
    grown.sort_unstable_by(|one, other| other.cmp(one));
    let names: Vec<_> = grown.iter().take(5).map(|(by, name)| format!("{name} (+{by})")).collect();
    Err(format!("{line}, more than {TOLERANCE} %. What grew most: {}", names.join(", ")))
}

fn count() -> Result<Counts> {
    let work = target().join("bench/instructions");
    fs::create_dir_all(&work)?;
    let mut counts = Counts::new();
    for (name, once, more) in [("compile", 1, 3), ("decode", 1, 11), ("look-up", 1, 11)] {
        let run = |times: u64| {
            let mut fixed = simulated(&work, None, &release().join("fixed-work"));
            fixed.args([name, &times.to_string()]);
            let (status, _, errors) = capture(&mut fixed)?;
            ensure!(status.success(), "{errors}");
            read(&work)
        };
        counts.insert(name.to_owned(), difference(&run(once)?, &run(more)?, more - once));
    }
    let calls = Calls::prepare(&work)?;
    let (few, many) = (100, 500);
    let call = difference(&calls.run(few)?, &calls.run(many)?, many - few);
    ensure!(call.total > 0, "nothing was counted in {REQUEST_PATH}: it has another name by now");
    counts.insert("call".to_owned(), call);
    Ok(counts)
}

/// A program of which what `within` calls is counted, or everything.
fn simulated(work: &Path, within: Option<&str>, program: &Path) -> std::process::Command {
    // What an earlier run has left must not be taken for this one's.
    let _ = fs::remove_file(work.join("callgrind.out"));
    let mut valgrind = command("valgrind");
    valgrind.arg("--tool=callgrind").arg(format!("--callgrind-out-file={}", work.join("callgrind.out").display()));
    valgrind.args(within.map(|function| format!("--toggle-collect={function}")));
    valgrind.arg(program);
    valgrind
}

/// What of a run with more of the work was the work, for one of it.
fn difference(few: &Count, many: &Count, more: u64) -> Count {
    let each = |many: u64, few: u64| many.saturating_sub(few) / more;
    let functions = many.functions.iter();
    let mut functions: Vec<_> = functions
        .map(|(name, count)| (each(*count, few.functions.get(name).copied().unwrap_or(0)), name.clone()))
        .collect();
    functions.sort_unstable_by(|one, other| other.cmp(one));
    functions.truncate(REMEMBERED);
    let functions = functions.into_iter().map(|(count, name)| (name, count)).collect();
    Count { total: each(many.total, few.total), functions }
}

/// The counts of the last run.
fn read(work: &Path) -> Result<Count> {
    let mut annotate = command("callgrind_annotate");
    annotate.args(["--threshold=100", "--show-percs=no"]).arg(work.join("callgrind.out"));
    let (status, text, errors) = capture(&mut annotate)?;
    ensure!(status.success(), "callgrind_annotate: {errors}");
    parse(&text)
}

/// `1,234  file:function [object]`, one for each function, after a line with the total.
fn parse(text: &str) -> Result<Count> {
    let mut total = None;
    let mut functions = BTreeMap::new();
    for line in text.lines() {
        let Some((count, what)) = line.trim().split_once("  ") else { continue };
        let Ok(count) = count.replace(',', "").parse::<u64>() else { continue };
        let what = what.trim();
        if what == "PROGRAM TOTALS" {
            total = Some(count);
        } else if let Some((_, function)) = what.split_once(':') {
            // What calls itself is printed as several, and what has no name by its address.
            let function = function.split(" [").next().unwrap_or_default().split('\'').next().unwrap_or_default();
            let function = if function.starts_with("0x") { "without a name" } else { function };
            *functions.entry(function.to_owned()).or_default() += count;
        }
    }
    Ok(Count { total: total.context("callgrind_annotate told no total")?, functions })
}

/// A dataplane on the simulated processor, and calls to it one after the other.
struct Calls {
    work: PathBuf,
    certificates: PathBuf,
}

impl Calls {
    fn prepare(work: &Path) -> Result<Self> {
        let certs = target().join("bench/certs");
        certificates(&root().join("e2e/bench"), &certs)?;
        let template = fs::read_to_string(root().join("e2e/bench/peers/rivmesh/platform.yaml.in"))?;
        let (certs_text, work_text) = (certs.display().to_string(), work.display().to_string());
        let settings = [("PORT", PORT.to_string()), ("ADMIN_PORT", ADMIN.to_string()), ("CORES", "1".to_owned())]
            .into_iter()
            .chain([("CERTS", certs_text), ("WORK", work_text)])
            .fold(template, |text, (name, value)| text.replace(&format!("{{{{{name}}}}}"), &value));
        fs::write(work.join("platform.yaml"), settings + TIMEOUTS)?;
        let mut save = command(release().join("tables"));
        save.args(["save", "--rows", "1000", "--answers", "1500", "--producer-port", &PRODUCER.to_string()]);
        process::run(save.arg(work.join("table")))?;
        Ok(Self { work: work.to_owned(), certificates: certs })
    }

    /// So many calls on one connection.
    fn run(&self, calls: u64) -> Result<Count> {
        let identity = |of: &str| {
            let file = |name: &str| self.certificates.join(name).display().to_string();
            let (cert, key) = (file(&format!("{of}.chain.pem")), file(&format!("{of}.key")));
            ["--ca".to_owned(), file("ca.pem"), "--cert".to_owned(), cert, "--key".to_owned(), key]
        };
        let mut backend = command(release().join("backend"));
        backend.args(["--listen", &format!("127.0.0.1:{PRODUCER}")]).args(identity("backend"));
        let _backend = Running(backend.spawn()?);
        let mut dataplane = simulated(&self.work, Some(REQUEST_PATH), &release().join("rivmesh-dataplane"));
        dataplane.arg("--config").arg(self.work.join("platform.yaml"));
        let log = fs::File::create(self.work.join("output.log"))?;
        let mut dataplane = Running(dataplane.stdout(log.try_clone()?).stderr(log).spawn()?);
        let mut load = command(release().join("loadgen"));
        load.args(["--url", &format!("https://localhost:{PORT}/vp"), "--connect", &format!("127.0.0.1:{PORT}")]);
        load.args(identity("consumer")).args(["--logical-address", "SE-BENCH-1500", "--expect-len", "1500"]);
        load.args(["--wait", "60", "--timeout", "60", "-c", "1", "-n", &calls.to_string()]);
        let (status, output, errors) = capture(&mut load)?;
        ensure!(status.success() && output.contains("errors 0"), "{output}{errors}");
        dataplane.end()?;
        read(&self.work)
    }
}

/// A process that does not outlive its run.
struct Running(std::process::Child);

impl Running {
    /// Asks it to end, and waits until it has; it ends by itself at the latest when its drain is over.
    fn end(&mut self) -> Result<()> {
        process::run(command("kill").arg(self.0.id().to_string()))?;
        let status = self.0.wait().context("waiting for the dataplane")?;
        ensure!(status.success(), "the dataplane failed ({status}); its output is in output.log");
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(total: u64, functions: &[(&str, u64)]) -> Count {
        Count { total, functions: functions.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect() }
    }

    #[test]
    fn counts_are_read_as_they_are_printed() {
        let text = "Profile data file\n1,300  PROGRAM TOTALS\n\n1,000  ???:a::b [/x/y]\n  200  ./string/mem.S:copy [libc]\n    1  ???:a::b'2 [/x/y]\n";
        assert_eq!(parse(text).unwrap(), count(1300, &[("a::b", 1001), ("copy", 200)]));
    }

    #[test]
    fn starting_and_stopping_cancels_out() {
        let (few, many) = (count(1_100, &[("a", 100), ("start", 900)]), count(1_500, &[("a", 500), ("start", 900)]));
        assert_eq!(difference(&few, &many, 4), count(100, &[("a", 100), ("start", 0)]));
    }

    #[test]
    fn growth_is_a_failure_that_names_the_function() {
        let before = count(1000, &[("a", 600), ("b", 400)]);
        assert!(verdict("call", Some(&before), &count(1029, &[("a", 629), ("b", 400)])).is_ok());
        let grown = verdict("call", Some(&before), &count(1100, &[("a", 600), ("b", 500)])).unwrap_err();
        assert!(grown.contains("+10.0 %") && grown.contains("What grew most: b (+100)"), "{grown}");
        assert!(verdict("call", None, &before).is_err());
        assert!(verdict("call", Some(&before), &count(900, &[])).unwrap().contains("put it on record"));
    }
}
