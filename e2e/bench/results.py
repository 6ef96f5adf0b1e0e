"""The results of a run as figures: medians over the rounds, by kind of work and peer."""
import json
import pathlib
import statistics

from workloads import WORKLOADS

# nginx and HAProxy are what our budget for small calls is measured against, Envoy also for large bodies and handshakes.
SMALL = ("nginx", "haproxy")
PEERS = ("nginx", "haproxy", "envoy")


def median(values):
    return statistics.median(values) if values else float("nan")


def cpu_us(result):
    return (result["procs"].get("proxy") or {}).get("us_per_req", float("nan"))


def rss_mib(result):
    return (result["procs"].get("proxy") or {}).get("rss_kb", 0) / 1024


class Results:
    def __init__(self, path):
        self.records = [json.loads(line) for line in pathlib.Path(path).read_text().splitlines()]
        self.runs = {}
        for record in self.of("run"):
            self.runs.setdefault(record["workload"], {}).setdefault(record["peer"], []).append(record["result"])
        found = {peer for by_peer in self.runs.values() for peer in by_peer}
        self.proxies = [peer for peer in ("rivmesh", *PEERS) if peer in found]
        self.has_direct = "direct" in found

    def of(self, kind):
        return [record for record in self.records if record["kind"] == kind]

    def all(self, work, peer, figure):
        return [figure(result) for result in self.runs.get(work, {}).get(peer, [])]

    def median(self, work, peer, figure):
        return median(self.all(work, peer, figure))

    def best(self, work, peers, figure, better=min):
        """The best median of these peers; None where nobody was measured."""
        found = [self.median(work, peer, figure) for peer in peers if self.runs.get(work, {}).get(peer)]
        return better(found) if found else None

    def ratio(self, work, peers, figure, better=min):
        """rivmesh's median over the best of these peers'."""
        best = self.best(work, peers, figure, better)
        own = self.all(work, "rivmesh", figure)
        return median(own) / best if best and own else None

    def titles(self, select):
        return [work for work in self.runs if select(WORKLOADS[work])]
