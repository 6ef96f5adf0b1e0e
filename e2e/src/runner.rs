//! Runs cases: those that share a fixture run one after the other on one platform, fixtures run side by side, and a case
//! that changes its platform gets one of its own.

mod steps;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Context, Result};

use crate::case::{Case, Loaded, load};
use crate::fixture::{Setting, World};
use crate::report::{Outcome, Report};
use crate::rules::Index;

/// How many fixtures run at the same time. Most of a run is waiting for time-outs, not computing.
const SIDE_BY_SIDE: usize = 4;

/// What to run.
#[derive(Debug, Clone)]
pub struct Options {
    /// The suite's directory, with the cases' folders, `fixtures/`, `rules.yaml` and `not-applicable.yaml`.
    pub directory: PathBuf,
    /// Only cases whose name contains this; rules without a case are not complained about then.
    pub filter: Option<String>,
}

/// The cases of one platform.
struct Group {
    setting: Setting,
    cases: Vec<Loaded>,
}

/// Runs the suite, and tells `progress` about every case that has ended.
pub fn run(options: &Options, progress: &(dyn Fn(&Outcome) + Sync)) -> Result<Report> {
    let all = load(&options.directory)?;
    let index = Index::load(&options.directory)?;
    let gaps = if options.filter.is_some() { Vec::new() } else { index.gaps(&all) };
    let chosen = |case: &Loaded| options.filter.as_ref().is_none_or(|filter| case.name.contains(filter));
    let cases: Vec<Loaded> = all.into_iter().filter(chosen).collect();
    anyhow::ensure!(!cases.is_empty(), "no case has {:?} in its name", options.filter.as_deref().unwrap_or_default());
    let groups = group(&options.directory.join("fixtures"), cases)?;
    let next = AtomicUsize::new(0);
    let outcomes = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE.min(groups.len()) {
            scope.spawn(|| {
                while let Some(group) = groups.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let done = run_group(group, progress);
                    outcomes.lock().expect("no thread panics while it holds the lock").extend(done);
                }
            });
        }
    });
    let mut outcomes = outcomes.into_inner().expect("no thread panics while it holds the lock");
    outcomes.sort_by(|a, b| a.case.name.cmp(&b.case.name));
    Ok(Report { index, outcomes, gaps })
}

/// Shared groups first, largest first, so that the machine is not left waiting for one long group at the end.
fn group(fixtures: &Path, cases: Vec<Loaded>) -> Result<Vec<Group>> {
    let mut shared: BTreeMap<String, Group> = BTreeMap::new();
    let mut single = Vec::new();
    for loaded in cases {
        let name = loaded.case.fixture.clone();
        let setting = || Setting::load(fixtures, &name).with_context(|| loaded.name.clone());
        match &loaded.case.given {
            Some(given) => {
                let setting = setting()?.extended_by(given.clone());
                single.push(Group { setting, cases: vec![loaded] });
            }
            None if loaded.case.alone => single.push(Group { setting: setting()?, cases: vec![loaded] }),
            None => match shared.get_mut(&name) {
                Some(group) => group.cases.push(loaded),
                None => {
                    let setting = setting()?;
                    shared.insert(name.clone(), Group { setting, cases: vec![loaded] });
                }
            },
        }
    }
    let mut groups: Vec<Group> = shared.into_values().collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.cases.len()));
    groups.extend(single);
    Ok(groups)
}

fn run_group(group: &Group, progress: &(dyn Fn(&Outcome) + Sync)) -> Vec<Outcome> {
    let mut world: Option<World> = None;
    let mut outcomes = Vec::new();
    for case in &group.cases {
        let started = Instant::now();
        let differences = run_case(&mut world, &group.setting, case).unwrap_or_else(|error| vec![format!("{error:#}")]);
        let outcome = Outcome { case: case.clone(), differences, took: started.elapsed() };
        progress(&outcome);
        outcomes.push(outcome);
    }
    outcomes
}

fn run_case(world: &mut Option<World>, setting: &Setting, loaded: &Loaded) -> Result<Vec<String>> {
    if world.as_mut().is_some_and(|world| !world.platform.is_running()) {
        *world = None;
    }
    let world = match world {
        Some(world) => world,
        None => world.insert(World::start(setting)?),
    };
    let case: Case = serde_json::from_value(world.scene.variables.fill_value(&loaded.source)?)?;
    let mut differences = steps::run(world, &case)?;
    if !world.platform.is_running() && !case.alone && case.given.is_none() {
        differences.push(format!("the platform has ended:\n{}", world.platform.transcript()));
    }
    Ok(match (case.must_fail, differences.is_empty()) {
        (true, true) => vec!["a wrong expectation went unnoticed: the suite proves nothing".to_owned()],
        (true, false) => Vec::new(),
        (false, _) => differences,
    })
}
