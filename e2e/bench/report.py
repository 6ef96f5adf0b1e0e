"""Turns results into a page that a person reads: first the figure that counts, then the rest."""
import datetime
import json
import os
import pathlib
import re
import statistics
import subprocess

from measure import foreign_percent
from workloads import WORKLOADS

# The budget of the architecture: CPU for each call against the better of the two.
OTHERS = ("nginx", "haproxy")
BUDGET = 0.65


def median(values):
    return statistics.median(values) if values else float("nan")


class Results:
    def __init__(self, path):
        self.runs, self.starts, self.failed = {}, {}, []
        for line in pathlib.Path(path).read_text().splitlines():
            record = json.loads(line)
            if record["kind"] == "run":
                by_peer = self.runs.setdefault(record["workload"], {})
                by_peer.setdefault(record["peer"], []).append(record["result"])
            elif record["kind"] == "start":
                self.starts.setdefault(record["peer"], []).append(record)
            elif record["kind"] == "failed":
                self.failed.append(f"{record['workload']} {record['peer']}")
        found = {peer for by_peer in self.runs.values() for peer in by_peer}
        order = ("rivmesh", *OTHERS)
        self.proxies = [peer for peer in order if peer in found] + sorted(found - {*order, "direct"})

    def all(self, work, peer, figure):
        return [figure(result) for result in self.runs[work].get(peer, [])]

    def table(self, title, figure, form, peers=None):
        peers = peers or self.proxies
        lines = [f"## {title}", "", "| work | " + " | ".join(peers) + " |", "|---" * (len(peers) + 1) + "|"]
        for work in self.runs:
            cells = [form.format(median(self.all(work, peer, figure))) for peer in peers]
            lines.append(f"| {WORKLOADS[work].title} | " + " | ".join(cells) + " |")
        return lines + [""]


def cpu_us(result):
    return (result["procs"].get("proxy") or {}).get("us_per_req", float("nan"))


def rss_mib(result):
    return (result["procs"].get("proxy") or {}).get("rss_kb", 0) / 1024


def ratios(results):
    others = [peer for peer in OTHERS if peer in results.proxies]
    lines = ["## The ratio that counts", ""]
    if "rivmesh" not in results.proxies or not others:
        return lines + ["There is none: rivmesh and at least one of nginx and haproxy must have been measured.", ""]
    lines += [
        f"rivmesh's CPU time for each call divided by that of the better of {' and '.join(others)} in this run. It does the",
        f"whole job (envelope, route, authorisation, revocation, a log line for each call), they pass through. Budget: {BUDGET}.",
        "",
        "| work | ratio | rivmesh us | best other us | spread of rivmesh over the rounds |",
        "|---|---|---|---|---|",
    ]
    for work in results.runs:
        own = results.all(work, "rivmesh", cpu_us)
        best = min((median(results.all(work, peer, cpu_us)) for peer in others), default=float("nan"))
        spread = (max(own) - min(own)) / median(own) * 100 if own else float("nan")
        cells = f"{median(own) / best:.2f} | {median(own):.1f} | {best:.1f} | {spread:.0f} %"
        lines.append(f"| {WORKLOADS[work].title} | {cells} |")
    return lines + [""]


def starts(results):
    if not results.starts:
        return []
    lines = ["## Start and idle memory", "", "| peer | ms to the first answer | resident MiB |", "|---|---|---|"]
    for peer, records in results.starts.items():
        ready, memory = (median([record[key] for record in records]) for key in ("start_ms", "rss_kb"))
        lines.append(f"| {peer} | {ready:.0f} | {memory / 1024:.0f} |")
    return lines + [""]


def version(command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return re.search(r"\d+\.\d+\.\d+\S*", done.stdout + done.stderr)


def provenance(results, today):
    info = pathlib.Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*: (.*)", info)
    path = os.environ["PATH"] + ":/usr/sbin"
    os.environ["PATH"] = path
    versions = []
    for peer, command in {"nginx": ["nginx", "-v"], "haproxy": ["haproxy", "-v"]}.items():
        if peer in results.proxies and (found := version(command)):
            versions.append(f"{peer} {found[0]}")
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    results_flat = [result for by_peer in results.runs.values() for runs in by_peer.values() for result in runs]
    errors = sum(result["errors"] for result in results_flat)
    noise = max((foreign_percent(result) for result in results_flat), default=0)
    rounds = max((len(runs) for by_peer in results.runs.values() for runs in by_peer.values()), default=0)
    lines = [
        f"# rivmesh beside {' and '.join(versions) or 'nobody'}, {today}",
        "",
        f"{os.cpu_count()} cores ({model[1] if model else 'unknown'}), loopback, commit {commit.stdout.strip() or 'unknown'}. Loader,",
        "proxy and producer share the cores, so the proxy's CPU time for each call, kernel included, is the figure; calls per",
        f"second are what was left over. Medians of {rounds} interleaved rounds. {errors} failed calls. Other programs took at",
        f"most {noise:.0f} % of the machine during a run. Compare ratios, never numbers from different runs.",
        "",
    ]
    if results.failed:
        lines += ["Gave no result: " + ", ".join(results.failed) + ".", ""]
    return lines


def page(path):
    results = Results(path)
    everybody = [*results.proxies, "direct"] if any("direct" in peers for peers in results.runs.values()) else None
    lines = provenance(results, datetime.date.today().isoformat()) + ratios(results)
    lines += results.table("CPU microseconds of the proxy for each call", cpu_us, "{:.1f}")
    lines += results.table("Calls per second", lambda result: result["rps"], "{:.0f}", everybody)
    lines += results.table("p99 in microseconds, saturated", lambda result: result["p99_us"], "{:.0f}", everybody)
    lines += results.table("Resident MiB after the run", rss_mib, "{:.0f}")
    return "\n".join(lines + starts(results))
