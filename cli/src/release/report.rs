//! What is told of a held table: what would go, since when everything waits, and what to type.

use std::fmt::Write;
use std::time::Duration;

use rivmesh_operator::cluster::guard_record::{Hold, Record, config_map_name};
use rivmesh_table::Counts;

use super::guards::{Guard, Outcome, Scope, Why};
use crate::instant;
use crate::plain::plain;

/// What a guard holds, or that it holds nothing.
pub(super) fn shown(guard: &Guard, scope: &Scope) -> String {
    let namespace = &scope.namespace;
    let Some(hold) = &guard.record.hold else {
        return format!("{} in namespace {namespace} holds nothing back.{}\n", guard.name, in_force(&guard.record));
    };
    let mut text = format!(
        "{} in namespace {namespace} holds table {} back, since {}.\n\n{}\n",
        guard.name,
        hold.digest,
        instant::show(hold.since),
        table(&guard.record.baseline.map(|baseline| baseline.counts).unwrap_or_default(), &hold.counts),
    );
    let _ = write!(text, "{}", gone(hold));
    let _ = write!(
        text,
        "The table before stays in use. Every change since then waits, revoked authorisations too.\n\
         If the rows are gone by mistake, restore the objects: the hold then ends by itself.\n\
         If they are meant to be gone, release the table:\n\n  {}\n",
        command(guard, hold, scope)
    );
    if let Some(release) = &guard.record.release {
        let _ = writeln!(text, "\nA release is written down that the operator has not taken up: {}", plain(release));
    }
    text
}

/// That a table is being released.
pub(super) fn releasing(guard: &Guard, hold: &Hold) -> String {
    let before = guard.record.baseline.map(|baseline| baseline.counts).unwrap_or_default();
    format!("releasing table {} of {}:\n\n{}", hold.digest, guard.name, table(&before, &hold.counts))
}

/// What came of it.
pub(super) fn outcome(outcome: &Outcome, guard: &Guard, scope: &Scope, limit: Duration) -> String {
    let (name, namespace) = (&guard.name, &scope.namespace);
    match outcome {
        Outcome::Published => {
            "It is published, and on its way to the dataplanes: `kubectl get tak` shows what is programmed.".to_owned()
        }
        Outcome::Over(record) => format!("Nothing is held back any more.{}", in_force(record)),
        Outcome::Overtaken(hold) => format!(
            "It was not released: the catalogue has changed meanwhile, and table {} is held instead. Look at that one:\n\n  {}",
            hold.digest,
            show_command(guard, scope)
        ),
        Outcome::Waiting(why) => {
            let why = match why {
                Why::Unanswered(problem) => problem.clone(),
                Why::NoLeader(None) => format!("no operator leads; see `kubectl get pods -n {namespace}`"),
                Why::NoLeader(Some((holder, at))) => format!(
                    "no operator leads since {holder} did at {}; see `kubectl get pods -n {namespace}`",
                    instant::show(*at)
                ),
                Why::Unknown(holder) => format!(
                    "{holder} leads and has not said why; see `kubectl logs -n {namespace} {holder}`, and whether it may \
                     patch ConfigMap {}",
                    config_map_name(name)
                ),
            };
            format!(
                "The release is written down and was not taken up within {} s: {why}. It counts as soon as an operator of \
                 {name} reads it.",
                limit.as_secs_f64()
            )
        }
    }
}

/// Counts before and after, kind by kind.
fn table(before: &Counts, after: &Counts) -> String {
    let kinds = [
        ("routes", before.routes, after.routes),
        ("authorisations", before.authorizations, after.authorizations),
        ("contracts with settings", before.contracts, after.contracts),
        ("HSA units", before.hsa_units, after.hsa_units),
    ];
    let mut text = format!("{:<24}{:>10}{:>10}\n", "", "in force", "held");
    for (what, before, after) in kinds {
        let change = match (before.checked_sub(after), after.checked_sub(before)) {
            (Some(0), _) => String::new(),
            (Some(fewer), _) => format!("   {fewer} fewer"),
            (None, more) => format!("   {} more", more.unwrap_or_default()),
        };
        let _ = writeln!(text, "{what:<24}{before:>10}{after:>10}{change}");
    }
    text
}

fn gone(hold: &Hold) -> String {
    if hold.gone.is_empty() {
        return "Which objects are gone is not known: the operator was started after they went.\n\n".to_owned();
    }
    let names: Vec<_> = hold.gone.iter().map(|name| plain(name)).collect();
    let more = hold.gone_in_all.saturating_sub(names.len());
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("Gone: {}{more}\n\n", names.join(", "))
}

fn in_force(record: &Record) -> String {
    let Some(baseline) = &record.baseline else { return " It has published no table yet.".to_owned() };
    let Counts { routes, authorizations, contracts, hsa_units } = baseline.counts;
    format!(
        " In force: {routes} routes, {authorizations} authorisations, {contracts} contracts with settings, {hsa_units} HSA \
         units."
    )
}

fn command(guard: &Guard, hold: &Hold, scope: &Scope) -> String {
    format!("{} {}", show_command(guard, scope), hold.digest)
}

fn show_command(guard: &Guard, scope: &Scope) -> String {
    format!("rivmesh release --namespace {} --name {}", scope.namespace, guard.name)
}
