"""The goals of the proxy beside what was measured: the first table of a report."""
from results import PEERS, SMALL, cpu_us, median


def rps(result):
    return result["rps"]


def p99(result):
    return result["p99_us"]


def at_most(value, limit):
    return None if value is None else value <= limit


def row(goal, value, met, form="{:.2f}"):
    if value is None:
        return f"| {goal} | not measured | |"
    return f"| {goal} | {form.format(value)} | {'met' if met else '**missed**'} |"


def ratios(results):
    for connections in (16, 64, 256):
        value = results.ratio(f"w1-c{connections}", SMALL, cpu_us)
        yield row(f"2 kB call, {connections} connections: CPU over the better of nginx and HAProxy, at most 0.65",
                  value, at_most(value, 0.65))  # fmt: skip
    for connections in (16, 64, 256):
        value = results.ratio(f"p1-c{connections}", SMALL, rps, max)
        yield row(f"2 kB call, {connections} connections, one core: calls a second over theirs, at least 1.4",
                  value, value is not None and value >= 1.4)  # fmt: skip
    value = results.ratio("h1-c64", PEERS, p99)
    yield row("half load: p99 over that of the best peer, at most 1", value, at_most(value, 1))
    for work, what, limit in (
        ("w2-down5m", "5 MB answer: CPU over the best peer", 0.85),
        ("w2-up5m", "5 MB request: CPU over the best peer", 0.75),
        ("w3-tls13-full", "a new TLS 1.3 connection for each call: CPU over the best peer", 0.5),
        ("w3-tls13-resume", "a resumed TLS 1.3 connection for each call: CPU over the best peer", 0.5),
    ):
        value = results.ratio(work, PEERS, cpu_us)
        yield row(f"{what}, at most {limit}", value, at_most(value, limit))


def memory(results):
    for count in (1_000, 10_000):
        each = {record["peer"]: record["kb_each"] for record in results.of("idle") if record["connections"] == count}
        value = each["rivmesh"] / each["nginx"] if {"rivmesh", "nginx"} <= each.keys() else None
        yield row(f"{count} idle connections: memory of each over nginx's, at most 1", value, at_most(value, 1))


def pushes(results):
    late = {every: median([record["result"]["p999_us"] for record in results.of("push") if record["every"] == every])
            for every in (0, 1)}  # fmt: skip
    came = median([record["pushes_per_s"] for record in results.of("push") if record["every"]])
    value = late[1] / late[0] if came >= 0.9 else None
    yield row("a push each second at a million rows, by an operator that takes what calls leave over: p99.9 over that without, "
              "at most 1.1", value, at_most(value, 1.1))  # fmt: skip


def streams(results):
    found = results.of("streams")
    last = found[-1] if found else {}
    value = last.get("max_ms")
    yield row("200 streams, two of dataplanes, a million rows, a change each second: the latest of 60 applied everywhere, below 1,500 ms",
              value, value is not None and value < 1500, "{:.0f} ms")  # fmt: skip
    value = last.get("cores")
    yield row("the operator meanwhile, cores, below 1", value, value is not None and value < 1)


def starts(results):
    for rows, limit in ((0, 100), (1_000_000, 300)):
        found = [record["start_ms"] for record in results.of("own-start") if record["rows"] == rows]
        value = median(found) if found else None
        yield row(f"start to first answer with {rows} rows on disk, below {limit} ms", value,
                  at_most(value, limit), "{:.0f} ms")  # fmt: skip


def threads(results):
    found = [record["ticks"] for record in results.of("threads") if sum(record["ticks"])]
    value = max(found[-1]) / (sum(found[-1]) / len(found[-1])) if found else None
    yield row("4 long connections on 4 threads: the busiest over the mean, at most 2", value, at_most(value, 2))


def table(results):
    lines = ["## The goals", "", "| goal | measured | |", "|---|---|---|"]
    for part in (ratios, memory, pushes, streams, starts, threads):
        lines += part(results)
    return lines + [""]
