//! The steps of one case, in their order, on a running platform.

use std::collections::{BTreeMap, HashMap};
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::call::call;
use crate::case::{AdminGet, Case, Expect, ProducerExpect, Request, Run, Signal, Step};
use crate::check::{self, Differences, Observed};
use crate::consumer::Connection;
use crate::content::{ANSWER, Content};
use crate::fixture::World;
use crate::http::latin1;
use crate::platform::binary;
use crate::producer::Producer;
use crate::script::Script;

const PATIENCE: Duration = Duration::from_secs(10);
/// How long a log line or a producer's record may lag behind the answer that the consumer has read.
const LAG: Duration = Duration::from_secs(3);
/// The pause between two attempts at something that takes effect in a moment.
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(50);

/// What came of a call, and its connection if it can be used again.
type Called = (Observed, Option<Connection>);

/// What the steps of a case share.
struct Course<'a> {
    world: &'a mut World,
    kept: HashMap<String, Connection>,
    background: HashMap<String, Receiver<Result<Called>>>,
    /// Where the log stood when the case began.
    mark: usize,
    /// How many requests each producer had when the call began.
    received_before: BTreeMap<String, usize>,
    /// How long what follows from an answer is waited for.
    lag: Duration,
}

/// Runs all steps of `case`; gives every difference from what was expected. An error is one of the suite or of a process
/// that does not run, not a broken rule.
pub(super) fn run(world: &mut World, case: &Case) -> Result<Vec<String>> {
    for producer in world.scene.producers.values() {
        producer.set_script(Script::Ordinary);
    }
    let mark = world.platform.output().mark();
    let mut course = Course {
        world,
        kept: HashMap::new(),
        background: HashMap::new(),
        mark,
        received_before: BTreeMap::new(),
        lag: LAG,
    };
    let steps = case.steps();
    let count = steps.len();
    for (index, step) in steps.iter().enumerate() {
        let differences = course.step(step).with_context(|| format!("step {}", index + 1))?;
        if !differences.is_empty() {
            let place = if count > 1 { format!("step {}: ", index + 1) } else { String::new() };
            return Ok(differences.into_iter().map(|difference| format!("{place}{difference}")).collect());
        }
    }
    if case.next_call {
        let differences = course.ordinary_call()?;
        return Ok(differences.into_iter().map(|difference| format!("next call: {difference}")).collect());
    }
    Ok(Vec::new())
}

impl Course<'_> {
    fn step(&mut self, step: &Step) -> Result<Vec<String>> {
        let mark = if step.restart { 0 } else { self.world.platform.output().mark() };
        self.prepare(step)?;
        self.count_received();
        let mut differences = Differences::default();
        if let Some(name) = &step.background {
            self.begin(name, step.request.clone().unwrap_or_default(), step.expect.clone().unwrap_or_default());
        } else if let Some(request) = &step.request {
            let expect = step.expect.clone().unwrap_or_default();
            for _ in 0..step.repeat.unwrap_or(1) {
                self.call_until(request, &expect, step.within_ms, &mut differences)?;
            }
        }
        for (name, count) in &step.await_producer {
            let received = self.producer(name)?.wait_received(PATIENCE, |received| received.len() >= *count);
            if received.len() < *count {
                differences.note(&format!("requests at {name}"), count, received.len());
            }
        }
        if let Some(name) = &step.join {
            let receiver = self.background.remove(name).with_context(|| format!("nothing runs as {name}"))?;
            let (observed, _) = receiver.recv_timeout(3 * PATIENCE).context("the background call hangs")??;
            self.compare(&step.expect.clone().unwrap_or_default(), &observed, self.mark, &mut differences);
        }
        for (name, ending) in &step.ends {
            let connection = self.kept.get_mut(name).with_context(|| format!("no connection is kept as {name}"))?;
            let observed = Observed { ending: Some(connection.ending(PATIENCE)), ..Observed::default() };
            check::connection(*ending, &observed, &mut differences);
        }
        self.compare_lines(&step.log, mark, LAG, &mut differences);
        if let Some(bound) = &step.log_at_most {
            let lines = self.world.platform.output().since(self.mark);
            let count = lines.iter().filter(|line| check::log_line_matches(&bound.fields, line)).count();
            if count > bound.count {
                differences.note("log lines", format!("at most {}", bound.count), count);
            }
        }
        if let Some(get) = &step.get {
            self.get_until(get, step.within_ms, &mut differences)?;
        }
        if let Some(run) = &step.run {
            run_command(self.world, run, &mut differences)?;
        }
        if let Some(wanted) = step.exits {
            let status = self.world.platform.wait_exit(PATIENCE).and_then(|status| status.code());
            if status != Some(wanted) {
                differences.note("exit status", wanted, format!("{status:?}"));
            }
        }
        Ok(differences.into_sentences())
    }

    fn count_received(&mut self) {
        let producers = self.world.scene.producers.iter();
        self.received_before = producers.map(|(name, producer)| (name.clone(), producer.received().len())).collect();
    }

    fn prepare(&mut self, step: &Step) -> Result<()> {
        if let Some(script) = &step.producer {
            self.producer("p1")?.set_script(script.clone());
        }
        for (name, script) in &step.producers {
            self.producer(name)?.set_script(script.clone());
        }
        for name in &step.refuse_connections {
            self.producer(name)?.refuse_connections();
        }
        for name in &step.appear {
            self.producer(name)?.appear()?;
        }
        for name in &step.drop_connections {
            self.producer(name)?.drop_connections();
        }
        if step.pause_ms > 0 {
            self.world.platform.output().wait(self.mark, Duration::from_millis(step.pause_ms), |_| false);
        }
        if let Some(patch) = &step.config {
            self.world.change_config(patch)?;
        }
        for (name, content) in &step.write {
            self.world.replace(name, &content.bytes())?;
        }
        for (to, from) in &step.copy {
            let bytes = std::fs::read(self.world.root().join(from)).with_context(|| format!("cannot read {from}"))?;
            self.world.replace(to, &bytes)?;
        }
        for name in &step.remove {
            std::fs::remove_file(self.world.root().join(name)).with_context(|| format!("cannot remove {name}"))?;
        }
        for (name, seconds) in &step.issue {
            self.world.scene.pki.issue_short_lived(name, *seconds)?;
        }
        match step.signal {
            Some(Signal::Term) => self.world.platform.terminate()?,
            Some(Signal::Kill) => self.world.platform.kill(),
            None => {}
        }
        if step.restart {
            self.world.restart()?;
            self.mark = 0;
        }
        Ok(())
    }

    fn producer(&self, name: &str) -> Result<&Producer> {
        self.world.scene.producers.get(name).with_context(|| format!("no producer is named {name}"))
    }

    fn begin(&mut self, name: &str, request: Request, expect: Expect) {
        let (sender, receiver) = channel();
        let scene = self.world.scene.clone();
        let kept = request.connection.as_ref().and_then(|connection| self.kept.remove(connection));
        std::thread::spawn(move || {
            // Nobody receives when the case has failed before; then nobody wants to know.
            let _ = sender.send(call(&scene, &request, &expect, kept));
        });
        self.background.insert(name.to_owned(), receiver);
    }

    fn call_until(
        &mut self,
        request: &Request,
        expect: &Expect,
        within_ms: Option<u64>,
        differences: &mut Differences,
    ) -> Result<()> {
        let until = within_ms.map(|limit| Instant::now() + Duration::from_millis(limit));
        // Where the next attempt may be the right one, this one is not waited for.
        self.lag = if until.is_some() { BETWEEN_ATTEMPTS } else { LAG };
        loop {
            let mut found = Differences::default();
            let mark = self.world.platform.output().mark();
            self.count_received();
            let kept = request.connection.as_ref().and_then(|name| self.kept.remove(name));
            let (observed, connection) = call(&self.world.scene, request, expect, kept)?;
            if let (Some(name), Some(connection)) = (&request.connection, connection) {
                self.kept.insert(name.clone(), connection);
            }
            self.compare(expect, &observed, mark, &mut found);
            if found.is_empty() || until.is_none_or(|until| Instant::now() > until) {
                differences.append(found);
                return Ok(());
            }
            self.world.platform.output().wait(mark, BETWEEN_ATTEMPTS, |_| false);
        }
    }

    fn compare(&self, expect: &Expect, observed: &Observed, mark: usize, differences: &mut Differences) {
        let name = self.world.scene.variables.get("platform-name").unwrap_or_default();
        check::outcome(expect, observed, name, differences);
        // What goes with the right answer need not be waited for when it was another.
        let lag = if differences.is_empty() { self.lag } else { Duration::ZERO };
        for (name, wanted) in expect.producer.iter().map(|wanted| ("p1", wanted)).chain(named(&expect.producers)) {
            let Some(producer) = self.world.scene.producers.get(name) else {
                differences.note("producers", name, "none of that name");
                continue;
            };
            let compare = |received: &[_]| {
                let mut found = Differences::default();
                check::received(name, wanted, received, &observed.sent_body, &mut found);
                found
            };
            let received = producer.wait_received(lag, |received| compare(received).is_empty());
            differences.append(compare(&received));
        }
        if expect.code.as_deref().is_some_and(check::decided_before_producer) {
            for (name, producer) in &self.world.scene.producers {
                let said = expect.producers.contains_key(name) || (name == "p1" && expect.producer.is_some());
                let before = self.received_before.get(name).copied().unwrap_or_default();
                let count = producer.received().len().saturating_sub(before);
                if count > 0 && !said {
                    differences.note(&format!("requests at {name}"), "none, the platform refused the call", count);
                }
            }
        }
        self.compare_log(expect, observed, mark, lag, differences);
    }

    fn compare_log(
        &self,
        expect: &Expect,
        observed: &Observed,
        mark: usize,
        lag: Duration,
        differences: &mut Differences,
    ) {
        let lines = self.compare_lines(&expect.log, mark, lag, differences);
        if let Some(wanted) = expect.log_count {
            let id = observed.responses.first().and_then(|answer| answer.message.head.value("x-skltp-correlation-id"));
            let about_call = BTreeMap::from([("trace.id".to_owned(), id.unwrap_or_default().into())]);
            let count = lines.iter().filter(|line| check::log_line_matches(&about_call, line)).count();
            if wanted != count {
                differences.note("log lines about this call", wanted, count);
            }
        }
        for text in &expect.log_lacks {
            for line in lines.iter().filter(|line| line.contains(text.as_str())) {
                differences.note("log", format!("no {text:?}"), line);
            }
        }
    }

    /// Waits for the wanted log lines; gives all lines from `mark` on.
    fn compare_lines(
        &self,
        wanted: &[BTreeMap<String, serde_json::Value>],
        mark: usize,
        lag: Duration,
        differences: &mut Differences,
    ) -> Vec<String> {
        let missing = |lines: &[String]| -> Vec<BTreeMap<String, serde_json::Value>> {
            let absent = |fields: &&BTreeMap<_, _>| !lines.iter().any(|line| check::log_line_matches(fields, line));
            wanted.iter().filter(absent).cloned().collect()
        };
        let lines = self.world.platform.output().wait(mark, lag, |lines| missing(lines).is_empty());
        for fields in missing(&lines) {
            let wanted = serde_json::to_string(&fields).unwrap_or_default();
            differences.note("log", format!("a line with {wanted}"), format!("\n    {}", lines.join("\n    ")));
        }
        lines
    }

    fn get_until(&self, get: &AdminGet, within_ms: Option<u64>, differences: &mut Differences) -> Result<()> {
        let until = within_ms.map(|limit| Instant::now() + Duration::from_millis(limit));
        loop {
            let mut found = Differences::default();
            let response = self.world.platform.admin_get(&get.path)?;
            if let Some(status) = get.status.filter(|status| *status != response.status) {
                found.note(&format!("status of {}", get.path), status, response.status);
            }
            found.contains(&get.path, &latin1(&response.message.body), &get.contains, &get.lacks);
            if found.is_empty() || until.is_none_or(|until| Instant::now() > until) {
                differences.append(found);
                return Ok(());
            }
            let output = self.world.platform.output();
            output.wait(output.mark(), BETWEEN_ATTEMPTS, |_| false);
        }
    }

    /// The call that must succeed whatever happened before: on the producer's pool as it was left.
    fn ordinary_call(&mut self) -> Result<Vec<String>> {
        for producer in self.world.scene.producers.values() {
            producer.set_script(Script::Ordinary);
        }
        let request = Request { payload: Content::Text("<c:id>the next call</c:id>".to_owned()), ..Request::default() };
        let body = Content::Text(ANSWER.to_owned());
        let expect = Expect { status: Some(200), body: Some(body), ..Expect::default() };
        let mut differences = Differences::default();
        self.call_until(&request, &expect, None, &mut differences)?;
        // What is left of an abandoned request may still arrive, but never as a whole one.
        let sent = request.body_bytes();
        let whole = self.producer("p1")?.wait_received(LAG, |all| all.iter().any(|one| one.complete));
        for other in whole.iter().filter(|one| one.complete && one.body != sent) {
            differences.note("requests at p1", "the next call only", format!("{:?}", other.head));
        }
        Ok(differences.into_sentences())
    }
}

fn named(expectations: &BTreeMap<String, ProducerExpect>) -> impl Iterator<Item = (&str, &ProducerExpect)> {
    expectations.iter().map(|(name, wanted)| (name.as_str(), wanted))
}

fn run_command(world: &World, run: &Run, differences: &mut Differences) -> Result<()> {
    let output = Command::new(binary("rivmesh")?).args(&run.arguments).current_dir(world.root()).output()?;
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.code() != Some(run.status) {
        differences.note("exit status", run.status, format!("{} with {text}", output.status));
    }
    differences.contains("printed text", &text, &run.contains, &run.lacks);
    Ok(())
}
