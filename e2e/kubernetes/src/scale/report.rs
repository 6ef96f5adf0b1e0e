//! The report: what was measured, on what, and the tables.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use super::cost::{Cost, Memory};
use super::figures::{Figures, Report, quantile};
use super::machine::Setting;
use super::starts::Starts;
use super::status_writes::{Round, Way};

/// The page.
pub(super) fn page(report: &Report, setting: &Setting) -> String {
    let mut page = head(report, setting);
    if !report.sizes.is_empty() {
        let sizes = &report.sizes;
        for (title, rows) in [
            ("The catalogue", catalogue(sizes)),
            ("One change", changes(sizes)),
            ("Processor time of one change, in ms", processors(sizes)),
            ("Memory, in MiB: resident, and at its peak", memory(sizes)),
            ("Starts, in ms until ready", starts(sizes)),
            ("A whole catalogue at once", loads(sizes)),
        ] {
            section(&mut page, title, sizes, &rows);
        }
        page.push_str(&requests(sizes));
    }
    if !report.status_writes.is_empty() {
        page.push_str(&status_writes(&report.status_writes));
    }
    page
}

fn head(report: &Report, setting: &Setting) -> String {
    let Setting { day, cores, model, memory_gib, kernel, commit, kubernetes, etcd, quick } = setting;
    let foreign = report.sizes.iter().map(|size| size.changing.foreign).fold(0.0, f64::max);
    let kind = if *quick { "**Quick: fewer objects and changes than the budget speaks of.** " } else { "" };
    format!(
        "# From `kubectl apply` to routed traffic, {day}\n\n\
         {kind}{cores} cores ({model}), {memory_gib} GiB, Linux {kernel}; {kubernetes}, {etcd}; commit {commit}, release \
         profile.\nAll of it shares this machine: API server, etcd (without fsync), two replicas of the operator, two \
         dataplanes that follow\none replica each, kubectl, consumers and producers. The API server is built without \
         inlining, as for the tests. During\nthe changes, programs that are no part of this took at most {:.0} % of the \
         machine. Reproduce with `cargo xtask bench --scale`.\n",
        foreign * 100.0,
    )
}

type Row = (String, Vec<String>);

fn row<'f>(name: &str, sizes: &'f [Figures], cell: impl Fn(&'f Figures) -> String) -> Row {
    (name.to_owned(), sizes.iter().map(cell).collect())
}

fn section(page: &mut String, title: &str, sizes: &[Figures], rows: &[Row]) {
    let header: Vec<String> = sizes.iter().map(|size| format!("{} objects", number(size.objects))).collect();
    write!(page, "\n## {title}\n\n").expect("writing to a String cannot fail");
    table(page, &header, rows);
}

fn table(page: &mut String, header: &[String], rows: &[Row]) {
    let mut line = |name: &str, cells: &[String]| {
        writeln!(page, "| {name} | {} |", cells.join(" | ")).expect("writing to a String cannot fail");
    };
    line("", header);
    line("---", &vec!["---:".to_owned(); header.len()]);
    for (name, cells) in rows {
        line(name, cells);
    }
}

fn catalogue(sizes: &[Figures]) -> Vec<Row> {
    vec![
        row("routes", sizes, |size| number(size.routes)),
        row("authorisations", sizes, |size| number(size.authorizations)),
        row("rows in all", sizes, |size| number(size.routes + size.authorizations)),
    ]
}

fn changes(sizes: &[Figures]) -> Vec<Row> {
    let pushed = |size: &Figures, q| quantile(&size.changes.pushed, q).unwrap_or_default() as f64 / 2000.0;
    vec![
        row("changes", sizes, |size| size.changes.from_start.len().to_string()),
        row("start of `kubectl apply` to routed at both dataplanes, ms", sizes, |size| {
            spread(&size.changes.from_start)
        }),
        row("return of `kubectl apply` to the same, ms", sizes, |size| spread(&size.changes.from_return)),
        row("`kubectl apply` itself, ms", sizes, |size| spread(&size.changes.kubectl)),
        row("start of `kubectl apply` to the end of `kubectl wait`, ms", sizes, |size| spread(&size.waits)),
        row("pushed to each dataplane, kB (p50 / max)", sizes, |size| {
            format!("{:.1} / {:.1}", pushed(size, 0.5), pushed(size, 1.0))
        }),
        row("calls meanwhile, all answered", sizes, |size| number(size.changes.calls as f64)),
    ]
}

fn processors(sizes: &[Figures]) -> Vec<Row> {
    let names: BTreeSet<&String> = sizes.iter().flat_map(|size| size.changing.processors.keys()).collect();
    let each = |size: &Figures, name: &str| {
        let seconds = size.changing.processors.get(name).copied().unwrap_or_default();
        format!("{:.1}", seconds * 1000.0 / size.changes.from_start.len().max(1) as f64)
    };
    names.into_iter().map(|name| row(name, sizes, |size| each(size, name))).collect()
}

fn memory(sizes: &[Figures]) -> Vec<Row> {
    let cell = |memory: &Memory| format!("{} / {}", memory.resident / 1024, memory.peak / 1024);
    let names: BTreeSet<&String> = sizes.iter().flat_map(|size| size.memory.keys()).collect();
    let mut rows: Vec<Row> = names
        .into_iter()
        .map(|name| row(name, sizes, |size| size.memory.get(name).map_or_else(String::new, cell)))
        .collect();
    rows.extend([
        row("an operator just started", sizes, |size| cell(&size.starts.operator.memory)),
        row("a dataplane just started, from an operator", sizes, |size| cell(&size.starts.from_operator.memory)),
        row("a dataplane just started, from disk", sizes, |size| cell(&size.starts.from_disk.memory)),
    ]);
    rows
}

fn starts(sizes: &[Figures]) -> Vec<Row> {
    let each = |all: &[Duration]| all.iter().map(|one| milliseconds(*one)).collect::<Vec<_>>().join(", ");
    let pushed = |starts: &Starts| number(starts.pushed as f64 / 1000.0);
    vec![
        row("operator, from the API server", sizes, |size| each(&size.starts.operator.took)),
        row("its processor time", sizes, |size| each(&size.starts.operator.worked)),
        row("dataplane with an empty disk", sizes, |size| each(&size.starts.from_operator.took)),
        row("its processor time", sizes, |size| each(&size.starts.from_operator.worked)),
        row("pushed to it, kB", sizes, |size| pushed(&size.starts.from_operator)),
        row("dataplane with its table on disk, operator answering", sizes, |size| each(&size.starts.from_disk.took)),
        row("its processor time", sizes, |size| each(&size.starts.from_disk.worked)),
        row("pushed to it, kB", sizes, |size| pushed(&size.starts.from_disk)),
    ]
}

fn loads(sizes: &[Figures]) -> Vec<Row> {
    let seconds = |took: Duration| format!("{:.1}", took.as_secs_f64());
    let processor =
        |size: &Figures, name: &str| format!("{:.1}", size.loading.processors.get(name).copied().unwrap_or_default());
    let mut rows = vec![
        row("applied by the API, s", sizes, |size| seconds(size.load.applied)),
        row("all routed at both dataplanes, s", sizes, |size| seconds(size.load.routed)),
        row("all statuses written, s", sizes, |size| seconds(size.load.told)),
        row("pushed to each dataplane, kB", sizes, |size| number(size.loading.pushed as f64 / 2000.0)),
    ];
    for name in ["operator-a", "operator-b", "proxy-a", "proxy-b", "kube-apiserver", "etcd"] {
        rows.push(row(&format!("processor time of {name}, s"), sizes, |size| processor(size, name)));
    }
    rows
}

/// What requests are counted for, and by what the count is divided.
fn costs(size: &Figures) -> [(&'static str, &Cost, f64); 3] {
    let Figures { loading, changing, rest, changes, .. } = size;
    [
        ("load", loading, 1.0),
        ("each change", changing, changes.from_start.len().max(1) as f64),
        ("at rest, each minute", rest, rest.seconds / 60.0),
    ]
}

fn requests(sizes: &[Figures]) -> String {
    let mut names: BTreeSet<&String> = BTreeSet::new();
    let mut header = Vec::new();
    for size in sizes {
        for (title, cost, _) in costs(size) {
            header.push(format!("{} objects: {title}", number(size.objects)));
            names.extend(cost.requests.keys());
        }
    }
    let cell = |cost: &Cost, name: &str, divisor: f64| match cost.requests.get(name) {
        None => String::new(),
        Some(count) if divisor == 1.0 => number(*count),
        Some(count) => format!("{:.2}", count / divisor),
    };
    let cells = |name: &str| -> Vec<String> {
        sizes.iter().flat_map(costs).map(|(_, cost, divisor)| cell(cost, name, divisor)).collect()
    };
    let rows: Vec<Row> = names.into_iter().map(|name| (name.clone(), cells(name))).collect();
    let mut page = String::from("\n## Requests of both replicas to the API server\n\n");
    table(&mut page, &header, &rows);
    page
}

fn status_writes(ways: &[Way]) -> String {
    let objects = ways[0].rounds.first().map_or(0, |round| round.writes);
    let mut page = format!(
        "\n## Ways to write a status\n\n\
         Objects of each way: {}, with no operator running; each status written {} times, the ways in turn; 8 requests at \
         a\ntime; every write names the version that it is about. Three figures are the three rounds.\n\n",
        number(objects as f64),
        ways[0].rounds.len(),
    );
    let header: Vec<String> = ways.iter().map(|way| way.name.to_owned()).collect();
    let figure = |name: &str, figure: fn(&Round) -> f64, digits: usize| -> Row {
        let cell = |way: &Way| {
            let rounds: Vec<String> = way.rounds.iter().map(|round| format!("{:.digits$}", figure(round))).collect();
            rounds.join(", ")
        };
        (name.to_owned(), ways.iter().map(cell).collect())
    };
    let promise = |name: &str, is_so: fn(&Way) -> bool| -> Row {
        (name.to_owned(), ways.iter().map(|way| if is_so(way) { "yes" } else { "no" }.to_owned()).collect())
    };
    let rows = [
        figure("writes a second", |round| round.writes as f64 / round.took.as_secs_f64(), 0),
        figure("API server, ms of processor time a write", |round| each(round, round.server), 2),
        figure("etcd, ms of processor time a write", |round| each(round, round.etcd), 2),
        figure("client, ms of processor time a write", |round| each(round, round.client), 2),
        promise("owns fields of the status only", |way| way.guarantees.owns_status_only),
        promise("refuses a version that is not the latest", |way| way.guarantees.refuses_stale),
        promise("keeps another controller's condition unasked", |way| way.guarantees.keeps_others),
    ];
    table(&mut page, &header, &rows);
    page
}

fn each(round: &Round, seconds: f64) -> f64 {
    seconds * 1000.0 / round.writes.max(1) as f64
}

/// p50, p99 and the longest, in milliseconds.
fn spread(durations: &[Duration]) -> String {
    let at = |q| quantile(durations, q).map_or_else(|| "-".to_owned(), milliseconds);
    format!("{} / {} / {}", at(0.5), at(0.99), at(1.0))
}

fn milliseconds(duration: Duration) -> String {
    number(duration.as_secs_f64() * 1000.0)
}

/// A whole number with its thousands apart.
fn number(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::scale::change::Changes;
    use crate::scale::status_writes::Guarantees;

    fn setting() -> Setting {
        let text = |text: &str| text.to_owned();
        Setting {
            day: text("2026-01-31"),
            cores: 2,
            model: text("Some CPU"),
            memory_gib: 24,
            kernel: text("6.18"),
            commit: text("abc1234"),
            kubernetes: text("Kubernetes v1.37.1"),
            etcd: text("etcd 3.7"),
            quick: false,
        }
    }

    fn cost(seconds: f64, patches: f64) -> Cost {
        Cost {
            seconds,
            processors: BTreeMap::from([("etcd".to_owned(), seconds / 10.0)]),
            requests: BTreeMap::from([("patch leases".to_owned(), patches)]),
            pushed: 2_468_000,
            foreign: 0.25,
        }
    }

    fn figures(objects: f64) -> Figures {
        let ms = |all: &[u64]| all.iter().map(|ms| Duration::from_millis(*ms)).collect::<Vec<_>>();
        Figures {
            objects,
            routes: objects * 60.0,
            authorizations: objects * 40.0,
            loading: cost(100.0, 7.0),
            changing: cost(2.0, 6.0),
            rest: cost(30.0, 3.0),
            changes: Changes {
                kubectl: ms(&[100, 110, 120, 130]),
                from_start: ms(&[1300, 300, 310, 320]),
                from_return: ms(&[1170, 180, 200, 210]),
                pushed: vec![2000, 4000, 6000, 8000],
                calls: 12_345,
            },
            waits: ms(&[900]),
            memory: BTreeMap::from([("etcd".to_owned(), Memory { resident: 2048, peak: 4096 })]),
            ..Figures::default()
        }
    }

    #[test]
    fn the_report_says_what_was_measured() {
        let page = page(&Report { sizes: vec![figures(100.0), figures(10_000.0)], ..Report::default() }, &setting());
        for line in [
            "# From `kubectl apply` to routed traffic, 2026-01-31",
            "the changes, programs that are no part of this took at most 25 % of the machine. Reproduce with `cargo xtask \
             bench --scale`.",
            "|  | 100 objects | 10,000 objects |",
            "| rows in all | 10,000 | 1,000,000 |",
            "| start of `kubectl apply` to routed at both dataplanes, ms | 310 / 1,300 / 1,300 | 310 / 1,300 / 1,300 |",
            "| pushed to each dataplane, kB (p50 / max) | 2.0 / 4.0 | 2.0 / 4.0 |",
            "| etcd | 50.0 | 50.0 |",
            "| etcd | 2 / 4 | 2 / 4 |",
            "| patch leases | 7 | 1.50 | 6.00 | 7 | 1.50 | 6.00 |",
        ] {
            assert!(page.lines().any(|found| found == line), "{line}\n{page}");
        }
        assert!(!page.contains("Quick") && !page.contains("Ways to write"), "{page}");
    }

    #[test]
    fn ways_to_write_a_status_stand_beside_each_other() {
        let round =
            |seconds| Round { writes: 100, took: Duration::from_secs(seconds), server: 0.2, etcd: 0.05, client: 0.1 };
        let way = |name, keeps_others| Way {
            name,
            rounds: vec![round(1), round(2)],
            guarantees: Guarantees { owns_status_only: true, keeps_others, refuses_stale: true },
        };
        let status_writes = vec![way("server-side apply", true), way("update", false)];
        let report = Report { status_writes, ..Report::default() };
        let page = page(&report, &Setting { quick: true, ..setting() });
        for line in [
            "|  | server-side apply | update |",
            "| writes a second | 100, 50 | 100, 50 |",
            "| API server, ms of processor time a write | 2.00, 2.00 | 2.00, 2.00 |",
            "| keeps another controller's condition unasked | yes | no |",
        ] {
            assert!(page.lines().any(|found| found == line), "{line}\n{page}");
        }
        assert!(page.contains("Quick") && !page.contains("One change"), "{page}");
    }
}
