"""A proxy under measurement: its configuration filled in, its process started and stopped, its memory and threads read."""
import os
import pathlib
import signal
import subprocess
import time
import urllib.request

from workloads import ANSWERS, address

HERE = pathlib.Path(__file__).resolve().parent
# Where a pinned proxy runs; everything else runs beside it.
PROXY_CORE = 0


def other_cores():
    return sorted(os.sched_getaffinity(0) - {PROXY_CORE})


class Peer:
    """One proxy from peers.json. `direct` is no proxy: loader and producer without anything between."""

    def __init__(self, name, spec, options, pinned=False, rows=0, one_set=0, threads=None, number=0):
        host, port = options.backend.rsplit(":", 1)
        self.name = name
        self.spec = spec
        self.direct = spec.get("direct", False)
        self.pinned = pinned
        self.process = None
        # A second one beside the first has a folder and ports of its own.
        self.work = pathlib.Path(options.work, f"{name}-{number}" if number else name)
        # Not in the folder of its settings, which it may watch: it would be woken by every line that it writes.
        self.log = pathlib.Path(options.work, f"{self.work.name}.log")
        self.values = {
            "PORT": port if self.direct else str(spec["port"] + 20 * number),
            "ADMIN_PORT": str(18450 + 20 * number),
            "WORK": str(self.work),
            "CERTS": str(options.certs),
            "BACKEND": options.backend,
            "BACKEND_HOST": host,
            "BACKEND_PORT": port,
            "BIN": str(options.bin),
            "ENVOY": str(options.envoy),
            "ANSWERS": ",".join(map(str, ANSWERS)),
            "ROWS": str(rows),
            "ONE_SET": str(one_set),
            "CORES": str(threads or (1 if pinned else os.cpu_count())),
        }

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def prepare(self):
        """Everything that has to be there before a start and is not part of it."""
        if self.direct:
            return
        self.work.mkdir(parents=True, exist_ok=True)
        for template in self.spec["templates"]:
            source = HERE / "peers" / template
            text = source.read_text()
            for name, value in self.values.items():
                text = text.replace("{{%s}}" % name, value)
            (self.work / source.name.removesuffix(".in")).write_text(text)
        if "prepare" in self.spec:
            subprocess.run(self.command("prepare"), check=True, stdout=subprocess.DEVNULL)

    def command(self, which):
        return [word.format(**self.values) for word in self.spec[which]]

    def start(self, *more):
        """Prepares and starts the proxy, and returns how many milliseconds passed until it carried a call."""
        if self.direct:
            return 0.0
        self.prepare()
        return self.launch(*more)

    def launch(self, *more):
        path = os.environ["PATH"] + ":/usr/sbin:/usr/local/sbin"
        pin = ["taskset", "-c", str(PROXY_CORE)] if self.pinned else []
        self.forget_log()
        begin = time.monotonic()
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [*pin, *self.command("cmd"), *more], stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.work,
                env={**os.environ, "PATH": path},
            )  # fmt: skip
        probe = subprocess.run(self.load(1500) + ["-n", "1", "--wait", "30"], capture_output=True, text=True, check=False)
        if probe.returncode:
            self.stop()
            tail = self.log.read_text(errors="replace")[-2000:]
            raise SystemExit(f"{self.name} does not carry calls: {probe.stdout}{probe.stderr}\n{tail}")
        return (time.monotonic() - begin) * 1000

    def forget_log(self):
        """Empties the log: a line for each call of an hour would fill the disk."""
        if not self.direct:
            self.log.write_bytes(b"")

    def stop(self):
        if not self.process:
            return
        # What is measured is over: nobody needs an orderly end, which may take as long as connections idle.
        self.process.send_signal(signal.SIGKILL if self.name == "rivmesh" else signal.SIGTERM)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def load(self, answer):
        """The load generator's command for answers of this size, as far as it depends on the proxy."""
        certs, port = self.values["CERTS"], self.values["PORT"]
        pin = ["taskset", "-c", ",".join(map(str, other_cores()))] if self.pinned and other_cores() else []
        return pin + [
            f"{self.values['BIN']}/loadgen", "--url", f"https://localhost:{port}/vp/size={answer}",
            "--connect", f"127.0.0.1:{port}", "--ca", f"{certs}/ca.pem", "--cert", f"{certs}/consumer.chain.pem",
            "--key", f"{certs}/consumer.key", "--logical-address", address(answer),
        ]  # fmt: skip

    def processes(self):
        """The process and its children, for as long as they live."""
        todo = [self.process.pid] if self.process else []
        for pid in todo:
            for children in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
                todo += [int(child) for child in children.read_text().split()]
        return todo

    def installed(self):
        """How many tables rivmesh has taken so far."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.values['ADMIN_PORT']}/metrics", timeout=10) as page:
            lines = page.read().decode().splitlines()
        return next(int(line.split()[-1]) for line in lines if line.startswith("rivmesh_tables_installed_total "))

    def memory_kb(self):
        """Resident and proportional memory of the process and its children."""
        total = {"rss_kb": 0, "pss_kb": 0}
        for pid in self.processes():
            for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                for kind in ("Rss", "Pss"):
                    if line.startswith(kind + ":"):
                        total[kind.lower() + "_kb"] += int(line.split()[1])
        return total

    def thread_ticks(self, prefix):
        """Processor time of each thread whose name begins so, in clock ticks."""
        ticks = {}
        for pid in self.processes():
            for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
                name, rest = (task / "stat").read_text().split("(", 1)[1].rsplit(")", 1)
                if name.startswith(prefix):
                    fields = rest.split()
                    ticks[f"{name} {task.name}"] = int(fields[11]) + int(fields[12])
        return ticks
