//! How long a change takes from `kubectl apply` to the first call that is routed by it, and what that costs, at a hundred
//! objects and at ten thousand with a million rows. Everything is as it is shipped, two replicas of the operator and two
//! dataplanes, but they are processes of this machine beside a real API server. Nothing is judged: figures are reported.

mod caller;
mod catalogue;
mod change;
mod cost;
mod figures;
mod installation;
mod load;
mod machine;
mod relay;
mod report;
mod starts;
mod status_writes;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;

use self::cost::Totals;
use self::figures::{Figures, Report};
use self::installation::Installation;
use crate::api::world::World;
use crate::suite::Tally;

/// What to measure.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Fewer objects and changes: enough to see a regression, not to publish.
    #[arg(long)]
    quick: bool,
    /// Where the report is written.
    #[arg(long, value_name = "FILE")]
    report: PathBuf,
    /// Keep the report as TODAY-NAME.md too.
    #[arg(long, value_name = "NAME", requires = "record_in")]
    record: Option<String>,
    /// The directory for that.
    #[arg(long, value_name = "DIR")]
    record_in: Option<PathBuf>,
}

/// How much of everything.
struct Plan {
    /// Objects of the catalogue, one measurement each.
    sizes: [usize; 2],
    /// Changes that are followed to the first call.
    changes: usize,
    /// Changes that are followed to `kubectl wait`.
    waits: usize,
    /// Starts of each kind.
    starts: usize,
    /// How long the cost of doing nothing is measured.
    rest: Duration,
    /// Objects whose statuses are written in each way.
    statuses: usize,
}

const WHOLE: Plan =
    Plan { sizes: [100, 10_000], changes: 100, waits: 20, starts: 3, rest: Duration::from_secs(60), statuses: 3333 };

const QUICK: Plan =
    Plan { sizes: [100, 1000], changes: 20, waits: 5, starts: 1, rest: Duration::from_secs(10), statuses: 300 };

/// Measures everything and writes the report.
pub(crate) async fn run(programs: &Path, options: &Options) -> Result<Tally> {
    let plan = if options.quick { QUICK } else { WHOLE };
    let (mut tally, mut report) = (Tally::default(), Report::default());
    for objects in plan.sizes {
        tally
            .judge(&format!("{objects} objects"), async {
                report.sizes.push(measure(programs, objects, &plan).await?);
                Ok(())
            })
            .await;
    }
    tally
        .judge("ways to write a status", async {
            let world = World::start(programs).await?;
            report.status_writes = status_writes::compare(&world, plan.statuses).await?;
            Ok(())
        })
        .await;
    let setting = machine::describe(programs, options.quick);
    let text = report::page(&report, &setting);
    println!("\n{text}");
    write(&options.report, &text)?;
    if let (Some(name), Some(directory), true) = (&options.record, &options.record_in, tally.is_good()) {
        write(&directory.join(format!("{}-{name}.md", setting.day)), &text)?;
    }
    Ok(tally)
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("the report cannot be written to {}", path.display()))?;
    println!("written to {}", path.display());
    Ok(())
}

/// One size of the catalogue, from an empty cluster on.
async fn measure(programs: &Path, objects: usize, plan: &Plan) -> Result<Figures> {
    let world = World::start(programs).await?;
    let catalogue = catalogue::make(objects, plan.changes, &world.url("one"))?;
    let mut installation = Installation::start(&world).await?;

    let before = Totals::now(&installation).await?;
    let load = load::load(&installation, &catalogue.objects).await?;
    let loading = Totals::now(&installation).await?.since(&before);

    println!("      at rest for {} s", plan.rest.as_secs());
    let before = Totals::now(&installation).await?;
    tokio::time::sleep(plan.rest).await;
    let rest = Totals::now(&installation).await?.since(&before);

    let routes = catalogue.changeable;
    let before = Totals::now(&installation).await?;
    let changes = change::follow_to_calls(&installation, &routes, plan.changes)?;
    let changing = Totals::now(&installation).await?.since(&before);
    let waits = change::follow_to_wait(&installation, &routes, plan.changes, plan.waits)?;
    let memory = cost::memory(&installation).await?;

    let starts = starts::measure(&mut installation, plan.starts).await?;
    let leader = installation.leader();
    Ok(Figures {
        objects: leader.metric("rivmesh_operator_objects", "")?,
        routes: leader.metric("rivmesh_operator_table_rows", "\"routes\"")?,
        authorizations: leader.metric("rivmesh_operator_table_rows", "\"authorizations\"")?,
        load,
        loading,
        rest,
        changes,
        changing,
        waits,
        memory,
        starts,
    })
}
