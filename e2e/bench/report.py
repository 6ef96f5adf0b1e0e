"""Turns results into a page that a person reads: the goals, then the figures, then how they grow."""
import datetime
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import goals
import plots
from measure import foreign_percent
from results import PEERS, Results, cpu_us, median, rss_mib
from workloads import WORKLOADS


def table(results, title, figure, form, select, peers=None):
    works = results.titles(select)
    if not works:
        return []
    peers = peers or results.proxies
    lines = [f"## {title}", "", "| work | " + " | ".join(peers) + " |", "|---" * (len(peers) + 1) + "|"]
    for work in works:
        cells = [form.format(results.median(work, peer, figure)) for peer in peers]
        lines.append(f"| {WORKLOADS[work].title} | " + " | ".join(cells) + " |")
    return lines + [""]


def tables(results):
    everybody = [*results.proxies, "direct"] if results.has_direct else results.proxies
    closed = lambda work: not work.pinned and not work.half
    lines = table(results, "CPU microseconds of the proxy for each call", cpu_us, "{:.1f}", closed)
    lines += table(results, "Calls per second, on one core", lambda result: result["rps"], "{:.0f}", lambda work: work.pinned, everybody)
    for name, figure in (("p50", "p50_us"), ("p99", "p99_us"), ("p99.9", "p999_us")):
        title = f"{name} in microseconds at half load"
        lines += table(results, title, lambda result, figure=figure: result[figure], "{:.0f}", lambda work: work.half, everybody)
    lines += table(results, "p99 in microseconds, saturated", lambda result: result["p99_us"], "{:.0f}", closed, everybody)
    return lines + table(results, "Resident MiB after the run", rss_mib, "{:.0f}", closed)


def starts(results):
    records = results.of("start")
    if not records:
        return []
    lines = ["## Start and idle memory", "", "| peer | ms to the first answer | resident MiB |", "|---|---|---|"]
    for peer in results.proxies:
        ready, memory = (median([record[key] for record in records if record["peer"] == peer]) for key in ("start_ms", "rss_kb"))
        lines.append(f"| {peer} | {ready:.0f} | {memory / 1024:.0f} |")
    idle = results.of("idle")
    if idle:
        lines += ["", "| peer | idle connections | kB of each |", "|---|---|---|"]
        lines += [f"| {record['peer']} | {record['connections']} | {record['kb_each']:.1f} |" for record in idle]
    return lines + [""]


def growth(results):
    records = results.of("growth")
    if not records:
        return []
    lines = ["## How cost grows", "", "| by | at | CPU us for each call | p99 us | resident MiB | failed calls |", "|---|---|---|---|---|---|"]
    for by, label in plots.GROWTH.items():
        for at in sorted({record["at"] for record in records if record["by"] == by}):
            found = [record["result"] for record in records if record["by"] == by and record["at"] == at]
            cells = [median([figure(result) for result in found]) for figure in (cpu_us, lambda r: r["p99_us"], rss_mib)]
            failed = sum(result["errors"] for result in found)
            lines.append(f"| {label} | {at} | {cells[0]:.1f} | {cells[1]:.0f} | {cells[2]:.0f} | {failed} |")
    return lines + [""]


def summary(results):
    """What a later report compares with: ratios to the best peer, which carry over, roughly."""
    found = {}
    for work in results.titles(lambda work: not work.half and not work.pinned):
        ratio = results.ratio(work, PEERS, cpu_us)
        if ratio:
            found[work] = round(ratio, 3)
    return found


def compared(results, reports):
    """The last report on record beside this one."""
    earlier = sorted(pathlib.Path(reports).glob("*/figures.json")) if reports else []
    if not earlier:
        return []
    before, now = json.loads(earlier[-1].read_text()), summary(results)
    lines = [f"## Beside {earlier[-1].parent.name}", "", "CPU for each call over that of the best peer in the same run.", "",
             "| work | then | now |", "|---|---|---|"]  # fmt: skip
    lines += [f"| {WORKLOADS[work].title} | {before[work]:.2f} | {now[work]:.2f} |" for work in now if work in before]
    return lines + [""]


def version(command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return re.search(r"\d+\.\d+\.\d+[^\s/]*", done.stdout + done.stderr)


def provenance(results, today):
    info = pathlib.Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*: (.*)", info)
    os.environ["PATH"] += ":/usr/sbin"
    versions = []
    envoy = pathlib.Path(sys.executable).parent / "envoy"
    for peer, command in {"nginx": ["nginx", "-v"], "haproxy": ["haproxy", "-v"], "envoy": [str(envoy), "--version"]}.items():
        if peer in results.proxies:
            found = version(command)
            versions.append(f"{peer} {found[0]}" if found else peer)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    flat = [result for by_peer in results.runs.values() for runs in by_peer.values() for result in runs]
    errors = sum(result["errors"] for result in flat)
    noise = max((foreign_percent(result) for result in flat), default=0)
    rounds = max((len(runs) for by_peer in results.runs.values() for runs in by_peer.values()), default=0)
    lines = [
        f"# rivmesh beside {', '.join(versions) or 'nobody'}, {today}",
        "",
        f"{os.cpu_count()} cores ({model[1] if model else 'unknown'}), loopback, commit {commit.stdout.strip() or 'unknown'}, dist",
        "profile. Loader, proxy and producer share the cores, so the proxy's CPU time for each call, kernel included, is the",
        f"figure. Medians of {rounds} interleaved rounds. {errors} failed calls. Other programs took at most {noise:.0f} % of the",
        "machine during a run. Compare ratios, never numbers from different runs. rivmesh does the whole job (envelope, route,",
        "authorisation, revocation, a log line for each call); the others pass calls through.",
        "",
    ]
    failed = [f"{record['workload']} {record['peer']}" for record in results.of("failed")]
    if failed:
        lines += ["Gave no result: " + ", ".join(failed) + ".", ""]
    return lines


def page(results, figures, measured_tables, reports):
    lines = provenance(results, datetime.date.today().isoformat()) + goals.table(results) + compared(results, reports)
    lines += [f"![{name}]({name})" for name in figures] + [""] + tables(results) + starts(results) + growth(results)
    if measured_tables and measured_tables.exists():
        lines += ["## Tables of a nation", "", "```", *measured_tables.read_text().rstrip().splitlines(), "```", ""]
    return "\n".join(lines)


def write(path, directory, measured_tables=None, reports=None, record=None):
    """Writes the page, its plots and its figures into a folder; with `record` also among the reports."""
    results = Results(path)
    directory = pathlib.Path(directory)
    figures = plots.draw(results, directory)
    text = page(results, figures, measured_tables, reports)
    (directory / "README.md").write_text(text)
    (directory / "figures.json").write_text(json.dumps(summary(results), indent=2) + "\n")
    print(text)
    if record:
        kept = pathlib.Path(reports) / f"{datetime.date.today().isoformat()}-{record}"
        shutil.copytree(directory, kept, dirs_exist_ok=True)
        directory = kept
    print(f"written to {directory}")
