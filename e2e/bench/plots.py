"""Plots beside the tables: latency, cost of a call, and how cost grows."""
import pathlib

import matplotlib

matplotlib.use("svg")
# The same figures give the same file.
matplotlib.rcParams["svg.hashsalt"] = "rivmesh"

import matplotlib.pyplot as plt  # noqa: E402
from results import cpu_us, median  # noqa: E402
from workloads import CONSUMERS_RATE, WORKLOADS  # noqa: E402

GROWTH = {
    "connections": "connections",
    "consumers": f"connections, at {CONSUMERS_RATE} calls a second in all",
    "answer": "bytes of the answer",
    "request": "bytes of the request",
    "rows": "routes, and as many authorisations",
    "one-set": "addresses of the contract that is called, at one producer",
    "threads": "worker threads",
}


def save(figure, directory, name):
    path = pathlib.Path(directory, f"{name}.svg")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
    return path.name


def latency(results, directory):
    """How late answers come at half load, up to the last ten-thousandth."""
    if not results.runs.get("h1-c64"):
        return None
    figure, axes = plt.subplots(figsize=(8, 4))
    for peer in [*results.proxies, "direct"]:
        runs = results.runs["h1-c64"].get(peer, [])
        if not runs:
            continue
        shares = [share for share, _ in runs[0]["quantiles"]]
        late = [median([run["quantiles"][at][1] for run in runs]) for at in range(len(shares))]
        axes.plot([1 / (1 - share) for share in shares], late, label=peer, linewidth=2 if peer == "rivmesh" else 1)
    axes.set(xscale="log", yscale="log", xlabel="one call in so many is later", ylabel="microseconds",
             title=WORKLOADS["h1-c64"].title)  # fmt: skip
    axes.grid(alpha=0.3)
    axes.legend()
    return save(figure, directory, "latency")


def cost(results, directory):
    """CPU of the proxy for each call as a ratio to rivmesh's, so that all kinds of work fit one picture."""
    works = results.titles(lambda work: not work.pinned and not work.half)
    works = [work for work in works if results.all(work, "rivmesh", cpu_us)]
    if not works:
        return None
    figure, axes = plt.subplots(figsize=(8, 0.6 * len(works) + 1.5))
    height = 0.8 / len(results.proxies)
    for number, peer in enumerate(results.proxies):
        widths = [results.median(work, peer, cpu_us) / results.median(work, "rivmesh", cpu_us) for work in works]
        axes.barh([at + number * height for at in range(len(works))], widths, height, label=peer)
    axes.set_yticks([at + 0.4 - height / 2 for at in range(len(works))], [WORKLOADS[work].title for work in works])
    axes.set(xlabel="CPU for each call, rivmesh = 1")
    axes.invert_yaxis()
    axes.grid(alpha=0.3, axis="x")
    axes.legend()
    return save(figure, directory, "cost")


def growth(results, directory):
    names = []
    for by, label in GROWTH.items():
        points = {}
        for record in results.of("growth"):
            if record["by"] == by:
                points.setdefault(record["at"], []).append(cpu_us(record["result"]))
        if len(points) < 2:
            continue
        at = sorted(points)
        figure, axes = plt.subplots(figsize=(6, 3.5))
        axes.plot(at, [median(points[value]) for value in at], marker="o")
        axes.set(xlabel=label, ylabel="CPU microseconds for each call")
        if by not in ("answer", "request"):
            axes.set_ylim(0, None)
        if by != "threads":
            axes.set_xscale("log")
        if by in ("answer", "request"):
            axes.set_yscale("log")
        axes.grid(alpha=0.3)
        names.append(save(figure, directory, f"growth-{by}"))
    return names


def draw(results, directory):
    """Draws what there are figures for; the names of the files."""
    pathlib.Path(directory).mkdir(parents=True, exist_ok=True)
    drawn = [latency(results, directory), cost(results, directory), *growth(results, directory)]
    return [name for name in drawn if name]
