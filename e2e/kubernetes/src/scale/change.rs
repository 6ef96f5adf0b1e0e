//! One change after the other, each a real `kubectl apply -f` of one RoutingEntry whose producer's URL is another one,
//! followed to the first call that is answered by the producer that it names, or to what `kubectl wait` says.

use std::path::PathBuf;
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};

use super::caller::Caller;
use super::catalogue::Changeable;
use super::installation::Installation;

const REPORT_EVERY: usize = 10;
/// Between two changes that are followed to their status: a person makes one now and then, and replicas of the operator
/// report what follows in quick succession less often.
const PAUSE: Duration = Duration::from_secs(4);
/// The producer that every route leads to at first, and the one that a change names.
const PRODUCERS: [&str; 2] = ["one", "two"];

/// Changes that were followed to calls.
#[derive(Debug, Clone, Default)]
pub(super) struct Changes {
    /// How long kubectl ran.
    pub(super) kubectl: Vec<Duration>,
    /// From before kubectl was started to the first answer of the new producer, at the dataplane that was last.
    pub(super) from_start: Vec<Duration>,
    /// The same from when kubectl had returned.
    pub(super) from_return: Vec<Duration>,
    /// Bytes that the operators sent to both dataplanes in that time.
    pub(super) pushed: Vec<u64>,
    /// Calls that were made, all of them answered.
    pub(super) calls: usize,
}

/// The next change in turn: its manifest is in a file, and its producer is another one than before.
struct Next<'r> {
    route: &'r Changeable,
    producer: &'static str,
    file: PathBuf,
}

/// The first changes, each followed to the calls at both dataplanes.
pub(super) fn follow_to_calls(installation: &Installation<'_>, routes: &[Changeable], count: usize) -> Result<Changes> {
    let mut callers: Vec<Caller<'_>> = installation.pairs().iter().map(|pair| Caller::new(&pair.dataplane)).collect();
    let mut changes = Changes::default();
    for number in 0..count {
        let next = next(installation, routes, number)?;
        // The route as it was, on connections that are open already.
        let before = PRODUCERS[usize::from(next.producer == PRODUCERS[0])];
        for caller in &mut callers {
            caller.until_answer_of(before, next.route)?;
        }
        let pushed = installation.pushed();
        let began = Instant::now();
        let (returned, routed) = scope(|scope| -> Result<(Instant, Instant)> {
            let answers: Vec<_> = callers
                .iter_mut()
                .map(|caller| scope.spawn(|| caller.until_answer_of(next.producer, next.route)))
                .collect();
            apply(installation, &next)?;
            let (returned, mut last) = (Instant::now(), began);
            for answer in answers {
                let answer = answer.join().map_err(|_| anyhow!("a caller panicked"))?;
                last = last.max(answer?);
            }
            Ok((returned, last))
        })
        .with_context(|| format!("change {number}"))?;
        changes.kubectl.push(returned - began);
        changes.from_start.push(routed - began);
        changes.from_return.push(routed.saturating_duration_since(returned));
        changes.pushed.push(installation.pushed() - pushed);
        if (number + 1) % REPORT_EVERY == 0 {
            println!("      {} of {count} changes routed", number + 1);
        }
    }
    changes.calls = callers.iter().map(|caller| caller.calls).sum();
    Ok(changes)
}

/// Further changes, beginning with number `first`, each followed to what `kubectl wait` says: from before `kubectl apply`
/// was started.
pub(super) fn follow_to_wait(
    installation: &Installation<'_>,
    routes: &[Changeable],
    first: usize,
    count: usize,
) -> Result<Vec<Duration>> {
    let mut waits = Vec::new();
    for number in first..first + count {
        let next = next(installation, routes, number)?;
        sleep(PAUSE);
        let began = Instant::now();
        apply(installation, &next)?;
        let object = format!("routingentry/{}", next.route.name);
        let wait = ["wait", "--for=condition=Programmed", &object, "--timeout=60s", "-n", &installation.namespace.name];
        installation.world().kubectl(&wait)?;
        waits.push(began.elapsed());
    }
    println!("      {count} changes waited for");
    Ok(waits)
}

/// Every route is changed once before any is changed back.
fn next<'r>(installation: &Installation<'_>, routes: &'r [Changeable], number: usize) -> Result<Next<'r>> {
    let route = &routes[number % routes.len()];
    let producer = PRODUCERS[(number / routes.len() + 1) % 2];
    let file = installation.world().directory.join("change.json");
    let manifest = route.leading_to(&installation.world().url(producer));
    std::fs::write(&file, serde_json::to_vec_pretty(&manifest)?)?;
    Ok(Next { route, producer, file })
}

fn apply(installation: &Installation<'_>, next: &Next<'_>) -> Result<()> {
    let file = next.file.display().to_string();
    installation.world().kubectl(&["apply", "-n", &installation.namespace.name, "-f", &file]).map(drop)
}
