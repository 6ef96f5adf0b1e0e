"""What is measured of rivmesh alone: how its cost grows, what a table push does to calls, how fast it starts with the
catalogue of a nation, how soon hundreds of streams have a change, and whether few long connections use all threads."""
import json
import os
import subprocess
import time

from workloads import BODIES, CONNECTIONS, CONSUMERS, CONSUMERS_RATE, ROWS

NATION = 1_000_000
PUSHER = "127.0.0.1:18451"
STREAMS = 200


def run(measurement):
    if "rivmesh" not in measurement.names:
        return
    starts(measurement)
    threads(measurement)
    growth(measurement)
    pushes(measurement)
    streams(measurement)


def starts(measurement):
    """From the start of the process to its first answer, with tables of both sizes on disk."""
    for rows in (0, NATION):
        with measurement.peer("rivmesh", rows=rows) as peer:
            peer.prepare()
            for _ in range(5):
                measurement.settle()
                ready_ms = peer.launch()
                measurement.put(kind="own-start", rows=rows, start_ms=round(ready_ms, 1), **peer.memory_kb())
                peer.stop()
        print(f"start with {rows} rows {ready_ms:.0f} ms", flush=True)


def threads(measurement):
    """Four long connections on four threads: how much each thread has to do."""
    with measurement.peer("rivmesh", threads=4) as peer:
        peer.start()
        before = peer.thread_ticks("worker-")
        measurement.load(peer, "threads", 0, 1500, 4, [], kind="long", by="threads", at=4)
        after = peer.thread_ticks("worker-")
    ticks = sorted(after[name] - before.get(name, 0) for name in after)
    measurement.put(kind="threads", ticks=ticks)


def growth(measurement):
    """The cost of a call as connections, bodies, cores, rows and the addresses of one contract grow."""
    number = measurement.options.rounds
    with measurement.peer("rivmesh") as peer:
        peer.start()
        for _ in range(number):
            for connections in CONNECTIONS:
                measurement.load(peer, "growth", 0, 1500, connections, [], kind="growth", by="connections", at=connections)
            for body in BODIES:
                measurement.load(peer, "growth", 0, body, 4, [], kind="growth", by="answer", at=body)
                size = ("--size", str(body))
                measurement.load(peer, "growth", 0, 1500, 4, size, kind="growth", by="request", at=body)
    # One of its own, since the memory of ten thousand connections is not given back at once.
    with measurement.peer("rivmesh") as peer:
        peer.start()
        for connections in (at for at in CONSUMERS for _ in range(number)):
            rate = ("--rate", str(CONSUMERS_RATE))
            measurement.load(peer, "growth", 0, 1500, connections, rate, kind="growth", by="consumers", at=connections)
    for cores in range(1, (os.cpu_count() or 1) + 1):
        with measurement.peer("rivmesh", threads=cores) as peer:
            peer.start()
            for _ in range(number):
                measurement.load(peer, "growth", 0, 1500, 64, [], kind="growth", by="threads", at=cores)
    for by, at in ((by, at) for by in ("rows", "one-set") for at in ROWS):
        with measurement.peer("rivmesh", **{by.replace("-", "_"): at}) as peer:
            peer.start()
            for _ in range(number):
                measurement.load(peer, "growth", 0, 1500, 64, [], kind="growth", by=by, at=at)


def pushes(measurement):
    """A million rows from an operator's stream: calls at half load while nothing is pushed, and with a push each second."""
    values = measurement.peer("rivmesh").values
    rate = measurement.half_load()
    if not rate:
        print("SKIP pushes: without nginx or HAProxy nobody says what half load is")
        return
    for every in (None, 1):
        command = serve(values, *(["--every", str(every)] if every else []))
        pusher = subprocess.Popen(command, stdout=subprocess.DEVNULL, preexec_fn=give_way)
        peer = measurement.peer("rivmesh")
        try:
            peer.start(*follow(values))
            # The stored table has no rows: until the pushed one has arrived.
            until = time.time() + 60
            while peer.installed() < 2:
                if time.time() > until:
                    raise SystemExit("the pushed table has not arrived within a minute")
                time.sleep(0.5)
            for number in range(measurement.options.rounds):
                before, began = peer.installed(), time.monotonic()
                seen = lambda: {"pushes_per_s": (peer.installed() - before) / (time.monotonic() - began)}
                measurement.load(peer, "push" if every else "no-push", number, 1500, 64, ["--rate", f"{rate:.0f}"],
                                 kind="push", every=every or 0, memory=peer.memory_kb(), after=seen)  # fmt: skip
        finally:
            peer.stop()
            pusher.terminate()
            pusher.wait()


def give_way():
    """An operator runs elsewhere; here it takes what calls leave over. Niceness is not enough: a process that is not done goes
    on for milliseconds, however nice it is."""
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def streams(measurement):
    """An operator with a million rows and 200 streams that acknowledge, two of them of dataplanes: a change each second."""
    dataplanes = [measurement.peer("rivmesh", rows=NATION, number=number) for number in range(2)]
    others = measurement.peer("rivmesh", rows=NATION, number=2)
    for peer in (*dataplanes, others):
        peer.prepare()
    values = others.values
    pusher = subprocess.Popen(serve(values, "--every", "1", "--streams", str(STREAMS)), stdout=subprocess.PIPE, text=True)
    follower = None
    try:
        for peer in dataplanes:
            peer.launch(*follow(values))
        count = str(STREAMS - len(dataplanes))
        follower = subprocess.Popen([f"{values['BIN']}/tables", "follow", "--streams", count, *follow(values), f"{others.work}/table"])
        printed = pusher.communicate(timeout=600)[0]
        if not printed:
            raise SystemExit(f"the operator of {STREAMS} streams ended without figures")
        measured = json.loads(printed)
        measurement.put(kind="streams", **measured)
        print(f"{STREAMS} streams: applied everywhere after {measured['p50_ms']} ms, at most {measured['max_ms']} ms", flush=True)
    finally:
        for peer in dataplanes:
            peer.stop()
        for process in filter(None, (follower, pusher)):
            process.kill()
            process.wait()


def serve(values, *more):
    """An operator without a cluster."""
    return [
        f"{values['BIN']}/tables", "serve", "--rows", str(NATION), "--producer-port", values["BACKEND_PORT"],
        "--answers", values["ANSWERS"], "--listen", PUSHER, "--cert", f"{values['CERTS']}/backend.chain.pem",
        "--key", f"{values['CERTS']}/backend.key", *more,
    ]  # fmt: skip


def follow(values):
    """What tells a dataplane to follow it."""
    return ["--operator", PUSHER, "--operator-ca", f"{values['CERTS']}/ca.pem", "--operator-name", "localhost"]
