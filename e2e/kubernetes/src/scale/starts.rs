//! How long a process of the installation takes from its start to its readiness, and how much memory it takes to get there.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::cost::{Memory, memory_of, seconds};
use super::installation::Installation;

/// How long a dataplane may take to end; it still writes its table then.
const END: Duration = Duration::from_secs(60);

/// Starts of one kind.
#[derive(Debug, Clone, Default)]
pub(super) struct Starts {
    /// From the start of the process to `/readyz`.
    pub(super) took: Vec<Duration>,
    /// Its processor time until then.
    pub(super) worked: Vec<Duration>,
    /// Bytes that the operator sent meanwhile; of the last start.
    pub(super) pushed: u64,
    /// Memory as soon as it was ready; of the last start.
    pub(super) memory: Memory,
}

/// Starts of all kinds.
#[derive(Debug, Clone, Default)]
pub(super) struct AllStarts {
    /// A replica of the operator, which reads the catalogue from the API server.
    pub(super) operator: Starts,
    /// A dataplane with an empty disk.
    pub(super) from_operator: Starts,
    /// A dataplane that has its table on disk, while an operator answers.
    pub(super) from_disk: Starts,
}

/// Starts the replica that does not lead, and its dataplane, so many times.
pub(super) async fn measure(installation: &mut Installation<'_>, times: usize) -> Result<AllStarts> {
    let mut starts = AllStarts::default();
    let (namespace, pair) = installation.spare();
    for _ in 0..times {
        pair.operator.platform.kill();
        let began = Instant::now();
        pair.restart_operator(namespace)?;
        starts.operator.add(began, 0, pair.operator.platform.id())?;

        pair.dataplane.platform.kill();
        let (pushed, began) = (pair.relay.sent(), Instant::now());
        pair.dataplane = namespace.emptied_dataplane(pair.proxy, &pair.operator)?;
        pair.dataplane.platform.wait_ready()?;
        starts.from_operator.add(began, pair.relay.sent() - pushed, pair.dataplane.platform.id())?;

        pair.dataplane.platform.terminate()?;
        let ended = pair.dataplane.platform.wait_exit(END).context("the dataplane does not end")?;
        ensure!(ended.success(), "the dataplane ended with {ended}");
        let (pushed, began) = (pair.relay.sent(), Instant::now());
        pair.dataplane = namespace.restarted_dataplane(pair.proxy, &pair.operator)?;
        pair.dataplane.platform.wait_ready()?;
        starts.from_disk.add(began, pair.relay.sent() - pushed, pair.dataplane.platform.id())?;
    }
    println!("      operator and dataplane started {times} times each");
    Ok(starts)
}

impl Starts {
    fn add(&mut self, began: Instant, pushed: u64, id: u32) -> Result<()> {
        self.took.push(began.elapsed());
        self.worked.push(Duration::from_secs_f64(seconds(id)?));
        self.pushed = pushed;
        self.memory = memory_of(id)?;
        Ok(())
    }
}
