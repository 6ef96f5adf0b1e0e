"""Runs every kind of work against every peer, interleaved, so that a noisy moment hits them alike."""
import json
import os
import pathlib
import statistics
import subprocess
import time

import own
from peers import HERE, Peer, other_cores
from workloads import WORKLOADS

# Idle connections whose memory is measured.
IDLE = (1_000, 10_000)


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
    """One run of the whole: its peers, the producer stand-in, and the file of results."""

    def __init__(self, options):
        self.options = options
        self.specs = json.loads((HERE / "peers" / "peers.json").read_text())
        self.names = options.peers.split(",")
        self.until = time.time() + options.wait_minutes * 60
        self.out = open(options.out, "a", encoding="utf-8")
        self.backend = None
        # Calls a second that each peer did in closed loops, by kind of work: what half load is half of.
        self.seen = {}
        self.rate = None

    def put(self, **record):
        self.out.write(json.dumps({"time": round(time.time()), **record}) + "\n")
        self.out.flush()

    def settle(self):
        if self.options.max_foreign:
            wait_for_quiet(self.options.max_foreign, self.until)

    def peer(self, name, **how):
        return Peer(name, self.specs[name], self.options, **how)

    def run(self):
        options = self.options
        self.backend = subprocess.Popen([
            f"{options.bin}/backend", "--listen", options.backend, "--ca", f"{options.certs}/ca.pem",
            "--cert", f"{options.certs}/backend.chain.pem", "--key", f"{options.certs}/backend.key",
        ])  # fmt: skip
        try:
            works = options.workloads.split(",")
            self.starts()
            self.rounds([work for work in works if not WORKLOADS[work].pinned], pinned=False)
            self.rounds([work for work in works if WORKLOADS[work].pinned], pinned=True)
            if not options.quick and not options.only:
                self.idle()
                own.run(self)
        finally:
            self.backend.terminate()
            self.backend.wait()

    def starts(self):
        for _ in range(self.options.starts):
            for name in self.names:
                with self.peer(name) as peer:
                    if peer.direct:
                        continue
                    self.settle()
                    ready_ms = peer.start()
                    time.sleep(1)
                    self.put(kind="start", peer=name, start_ms=round(ready_ms, 1), **peer.memory_kb())
                    print(f"start {name} {ready_ms:.0f} ms", flush=True)

    def rounds(self, works, pinned):
        if not works:
            return
        everywhere = os.sched_getaffinity(0)
        if pinned:
            if not other_cores():
                print("SKIP work on one core: there is no second one for loader and producer")
                return
            os.sched_setaffinity(self.backend.pid, other_cores())
        peers = [self.peer(name, pinned=pinned) for name in self.names]
        try:
            for peer in peers:
                peer.start()
            for number in range(self.options.rounds):
                for work in works:
                    for peer in peers:
                        self.one(number, work, peer)
        finally:
            for peer in peers:
                peer.stop()
            os.sched_setaffinity(self.backend.pid, everywhere)

    def half_load(self):
        """Half of the calls a second that the better of nginx and HAProxy has done on all cores, where that is known."""
        if self.rate is None:
            done = self.seen.get("w1-c64", {})
            best = max((statistics.median(done[peer]) for peer in ("nginx", "haproxy") if peer in done), default=0)
            self.rate = best / 2
        return self.rate

    def one(self, number, name, peer):
        work = WORKLOADS[name]
        extra = list(work.options)
        if work.half:
            rate = self.half_load()
            if not rate:
                return
            extra += ["--rate", f"{rate:.0f}"]
        result = self.load(peer, name, number, work.answer, work.concurrency, extra)
        if result and not work.half and not work.pinned:
            self.seen.setdefault(name, {}).setdefault(peer.name, []).append(result["rps"])

    def load(self, peer, name, number, answer, concurrency, extra, kind="run", after=dict, **more):
        """One run of the load generator; its result, which is also written down as a record of this kind, with what `after` says."""
        options = self.options
        result_file = pathlib.Path(f"{options.out}.tmp")
        # Thousands of connections are not made within a warm-up; in an open loop they are there before it.
        warmup = options.warmup if "--rate" in extra else max(options.warmup, concurrency / 300)
        command = peer.load(answer) + list(extra) + [
            "-c", str(concurrency), "-d", str(options.duration), "-w", str(warmup),
            "--expect-len", str(answer), "--label", f"{name} {peer.name}", "--json", str(result_file),
            "--pid", f"backend={self.backend.pid}",
        ]  # fmt: skip
        if peer.process:
            command += ["--pid", f"proxy={peer.process.pid}"]
        for attempt in range(3):
            result_file.unlink(missing_ok=True)
            peer.forget_log()
            self.settle()
            subprocess.run(command, check=False)
            if not result_file.exists():
                self.put(kind="failed", peer=peer.name, workload=name, round=number)
                return None
            result = json.loads(result_file.read_text())
            result_file.unlink()
            share = foreign_percent(result)
            again = options.max_foreign and share > options.max_foreign and attempt < 2 and time.time() < self.until
            self.put(kind="disturbed" if again else kind, peer=peer.name, workload=name, round=number,
                     foreign=round(share, 1), result=result, **more, **after())  # fmt: skip
            if not again:
                return result

    def idle(self):
        """What a connection that has made one call and idles takes of the proxy's memory."""
        for count in IDLE:
            for name in self.names:
                with self.peer(name) as peer:
                    if not peer.direct and count <= peer.spec.get("most_connections", count):
                        self.idle_at(peer, count)

    def idle_at(self, peer, count):
        peer.start()
        before = peer.memory_kb()
        command = peer.load(1500) + ["--hold", "-c", str(count), "-w", "1", "-d", "600", "--timeout", "60"]
        holder = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        try:
            if not self.connected(peer, count):
                self.put(kind="failed", peer=peer.name, workload=f"idle {count}", round=0)
                return
            # The producer's connections are idle too by now, and closed by whoever closes them.
            time.sleep(6)
            each = (peer.memory_kb()["pss_kb"] - before["pss_kb"]) / count
            self.put(kind="idle", peer=peer.name, connections=count, kb_each=round(each, 2))
            print(f"idle {peer.name} {count} connections, {each:.1f} kB each", flush=True)
        finally:
            holder.terminate()
            holder.wait()

    def connected(self, peer, count):
        """Waits until so many connections of consumers are established at the proxy."""
        port = f":{int(peer.values['PORT']):04X}"
        until = time.time() + 180
        while time.time() < until:
            with open("/proc/net/tcp", encoding="ascii") as table:
                rows = (line.split() for line in table)
                if sum(row[1].endswith(port) and row[3] == "01" for row in rows) >= count:
                    return True
            time.sleep(0.5)
        return False
