"""Runs every kind of work against every peer, interleaved, so that a noisy moment hits them alike."""
import json
import os
import pathlib
import subprocess
import time

from peers import HERE, Peer
from workloads import WORKLOADS


def foreign_percent(result):
    """Share of the machine that was neither idle nor used by loader, proxy or producer."""
    used = result["loadgen_us_per_req"] * result["ok"] / 1e6
    used += sum((process or {}).get("cpu_s", 0) for process in result["procs"].values())
    busy = result["machine_busy_s"] + result["machine_steal_s"]
    return (busy - used) / ((busy + result["machine_idle_s"]) or 1) * 100


def machine_ticks():
    with open("/proc/stat", encoding="ascii") as stat:
        ticks = [int(word) for word in stat.readline().split()[1:9]]
    return sum(ticks) - ticks[3] - ticks[4], sum(ticks)


def wait_for_quiet(limit, until):
    """Waits until other programs leave the machine alone (share of CPU in percent), `until` at the latest."""
    while True:
        before = machine_ticks()
        time.sleep(1)
        after = machine_ticks()
        busy = (after[0] - before[0]) / max(after[1] - before[1], 1) * 100
        if busy <= limit or time.time() > until:
            return
        time.sleep(5)


class Measurement:
    def __init__(self, options):
        self.options = options
        specs = json.loads((HERE / "peers" / "peers.json").read_text())
        self.peers = [Peer(name, specs[name], options) for name in options.peers.split(",")]
        self.until = time.time() + options.wait_minutes * 60
        self.out = open(options.out, "a", encoding="utf-8")

    def put(self, **record):
        self.out.write(json.dumps({"time": round(time.time()), **record}) + "\n")
        self.out.flush()

    def settle(self):
        if self.options.max_foreign:
            wait_for_quiet(self.options.max_foreign, self.until)

    def run(self):
        options = self.options
        backend = subprocess.Popen([
            f"{options.bin}/backend", "--listen", options.backend, "--ca", f"{options.certs}/ca.pem",
            "--cert", f"{options.certs}/backend.chain.pem", "--key", f"{options.certs}/backend.key",
        ])  # fmt: skip
        try:
            self.starts()
            for peer in self.peers:
                peer.start()
            for round_number in range(options.rounds):
                for work in options.workloads.split(","):
                    for peer in self.peers:
                        self.one(round_number, work, peer, backend.pid)
        finally:
            for peer in self.peers:
                peer.stop()
            backend.terminate()
            backend.wait()

    def starts(self):
        for _ in range(self.options.starts):
            for peer in self.peers:
                if peer.direct:
                    continue
                self.settle()
                ready_ms = peer.start()
                time.sleep(1)
                self.put(kind="start", peer=peer.name, start_ms=round(ready_ms, 1), **peer.memory_kb())
                print(f"start {peer.name} {ready_ms:.0f} ms", flush=True)
                peer.stop()

    def one(self, round_number, name, peer, backend_pid):
        options, work = self.options, WORKLOADS[name]
        result_file = pathlib.Path(f"{options.out}.tmp")
        command = peer.load(work.answer) + list(work.options) + [
            "-c", str(work.concurrency), "-d", str(options.duration), "-w", str(options.warmup),
            "--expect-len", str(work.answer), "--label", f"{name} {peer.name}", "--json", str(result_file),
            "--pid", f"backend={backend_pid}",
        ]  # fmt: skip
        if peer.process:
            command += ["--pid", f"proxy={peer.process.pid}"]
        for attempt in range(3):
            result_file.unlink(missing_ok=True)
            self.settle()
            subprocess.run(command, check=False)
            if not result_file.exists():
                self.put(kind="failed", peer=peer.name, workload=name, round=round_number)
                return
            result = json.loads(result_file.read_text())
            result_file.unlink()
            share = foreign_percent(result)
            again = options.max_foreign and share > options.max_foreign and attempt < 2 and time.time() < self.until
            kind = "disturbed" if again else "run"
            self.put(kind=kind, peer=peer.name, workload=name, round=round_number, foreign=round(share, 1), result=result)
            if not again:
                return
