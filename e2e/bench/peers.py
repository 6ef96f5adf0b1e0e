"""A proxy under measurement: its configuration filled in, its process started and stopped, its memory read."""
import os
import pathlib
import signal
import subprocess
import time

from workloads import ADDRESS

HERE = pathlib.Path(__file__).resolve().parent


class Peer:
    """One proxy from peers.json. `direct` is no proxy: loader and producer without anything between."""

    def __init__(self, name, spec, options):
        host, port = options.backend.rsplit(":", 1)
        self.name = name
        self.spec = spec
        self.direct = spec.get("direct", False)
        self.process = None
        self.work = pathlib.Path(options.work, name)
        self.values = {
            "PORT": port if self.direct else str(spec["port"]),
            "WORK": str(self.work),
            "CERTS": str(options.certs),
            "BACKEND": options.backend,
            "BACKEND_HOST": host,
            "BACKEND_PORT": port,
            "BIN": str(options.bin),
            "RIVMESH": str(options.rivmesh),
        }

    def start(self):
        """Starts the proxy and returns how many milliseconds passed until it carried a call."""
        if self.direct:
            return 0.0
        self.work.mkdir(parents=True, exist_ok=True)
        self.write_configuration()
        command = [word.format(**self.values) for word in self.spec["cmd"]]
        path = os.environ["PATH"] + ":/usr/sbin:/usr/local/sbin"
        begin = time.monotonic()
        with open(self.work / "output.log", "wb") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.work, env={**os.environ, "PATH": path}
            )
        probe = subprocess.run(self.load(1500) + ["-n", "1", "--wait", "20"], capture_output=True, text=True, check=False)
        if probe.returncode:
            self.stop()
            tail = (self.work / "output.log").read_text(errors="replace")[-2000:]
            raise SystemExit(f"{self.name} does not carry calls: {probe.stdout}{probe.stderr}\n{tail}")
        return (time.monotonic() - begin) * 1000

    def write_configuration(self):
        for template in self.spec["templates"]:
            source = HERE / "peers" / template
            text = source.read_text()
            for name, value in self.values.items():
                text = text.replace("{{%s}}" % name, value)
            # Manifests are read from a directory, which must hold nothing else.
            directory = self.work / "manifests" if source.name.startswith("manifests") else self.work
            directory.mkdir(exist_ok=True)
            (directory / source.name.removesuffix(".in")).write_text(text)

    def stop(self):
        if not self.process:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def load(self, answer):
        """The load generator's command for answers of this size, as far as it depends on the proxy."""
        certs, port = self.values["CERTS"], self.values["PORT"]
        return [
            f"{self.values['BIN']}/loadgen", "--url", f"https://localhost:{port}/vp/size={answer}",
            "--connect", f"127.0.0.1:{port}", "--ca", f"{certs}/ca.pem", "--cert", f"{certs}/consumer.chain.pem",
            "--key", f"{certs}/consumer.key", "--logical-address", ADDRESS[answer],
        ]  # fmt: skip

    def memory_kb(self):
        """Resident and proportional memory of the process and its children."""
        total = {"rss_kb": 0, "pss_kb": 0}
        todo = [self.process.pid] if self.process else []
        while todo:
            pid = todo.pop()
            for children in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
                todo += [int(child) for child in children.read_text().split()]
            for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                for kind in ("Rss", "Pss"):
                    if line.startswith(kind + ":"):
                        total[kind.lower() + "_kb"] += int(line.split()[1])
        return total
