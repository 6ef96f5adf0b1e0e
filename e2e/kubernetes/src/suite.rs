//! Test cases that run one after the other against one cluster, since several of them break it on purpose. Each prints a
//! line; the last line of a run is the plain tally that whoever called reads.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Result;
use futures::future::LocalBoxFuture;

/// Longer than anything takes when nothing is broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A case: its name, and what it does in a world `W`.
pub(crate) struct Case<W> {
    pub(crate) name: &'static str,
    pub(crate) run: for<'a> fn(&'a W) -> LocalBoxFuture<'a, Result<()>>,
}

/// Makes a [`Case`] of an async function of the same name.
macro_rules! cases {
    ($($function:path),* $(,)?) => {
        vec![$($crate::suite::Case {
            name: stringify!($function),
            run: |world| Box::pin($function(world)),
        }),*]
    };
}
pub(crate) use cases;

/// What came of a run.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    passed: u32,
    failed: u32,
    skipped: u32,
    /// How long each case took.
    took: BTreeMap<String, Duration>,
}

impl Tally {
    /// Runs one case and prints what came of it; whether it passed.
    pub(crate) async fn judge(&mut self, name: &str, case: impl Future<Output = Result<()>>) -> bool {
        println!("----  {name}");
        let start = Instant::now();
        let outcome = case.await;
        let took = start.elapsed();
        let passed = outcome.is_ok();
        match outcome {
            Ok(()) => {
                self.passed += 1;
                println!("ok    {name}  {:.1} s", took.as_secs_f64());
            }
            Err(error) => {
                self.failed += 1;
                println!("FAIL  {name}: {}", one_line(&format!("{error:#}")));
                println!("{error:#}");
            }
        }
        self.took.insert(name.to_owned(), took);
        passed
    }

    /// Counts a case that cannot run here, and says why.
    pub(crate) fn skip(&mut self, name: &str, why: &str) {
        self.skipped += 1;
        println!("SKIP  {name}: {why}");
    }

    /// Whether nothing has failed.
    pub(crate) fn is_good(&self) -> bool {
        self.failed == 0
    }

    /// The closing line, after the slowest cases.
    pub(crate) fn print(&self) {
        let mut slowest: Vec<_> = self.took.iter().collect();
        slowest.sort_by_key(|(_, took)| std::cmp::Reverse(**took));
        println!("slowest:");
        for (name, took) in slowest.iter().take(8) {
            println!("{:>8.1} s  {name}", took.as_secs_f64());
        }
        println!("{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped);
    }
}

fn one_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

/// Waits until `attempt` gives something; says what for and what it last saw if that takes longer than `limit`.
pub(crate) async fn until<T>(what: &str, limit: Duration, mut attempt: impl AsyncFnMut() -> Result<T>) -> Result<T> {
    let end = Instant::now() + limit;
    loop {
        match attempt().await {
            Ok(found) => return Ok(found),
            Err(error) if Instant::now() > end => {
                return Err(error.context(format!("not within {} s: {what}", limit.as_secs())));
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}
