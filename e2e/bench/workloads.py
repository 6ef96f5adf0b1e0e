"""The kinds of work that are measured: what the load generator is told, and what comes back."""
from dataclasses import dataclass

KIB = 1024
MIB = 1024 * KIB
LARGE = 5 * MIB


@dataclass(frozen=True)
class Work:
    title: str
    concurrency: int
    answer: int = 1500
    options: tuple = ()
    # The proxy alone on one core, loader and producer on the others: what it can do, not what it costs.
    pinned: bool = False
    # Open loop, at half of what nginx or HAProxy can do on all cores: how late answers come on an ordinary day.
    half: bool = False


def fresh(version, *more):
    return ("--fresh", *more, "--tls", version)


WORKLOADS = {
    "w1-c1": Work("2 kB call, 1 connection", 1),
    "w1-c16": Work("2 kB call, 16 connections", 16),
    "w1-c64": Work("2 kB call, 64 connections", 64),
    "w1-c256": Work("2 kB call, 256 connections", 256),
    "w2-100k": Work("100 kB answer", 16, 100 * KIB),
    "w2-down5m": Work("5 MB answer", 4, LARGE),
    "w2-up5m": Work("5 MB request", 4, 1500, ("--size", str(LARGE))),
    "w3-tls13-full": Work("new TLS 1.3 connection for each call", 16, 1500, fresh("1.3")),
    "w3-tls13-resume": Work("resumed TLS 1.3 connection for each call", 16, 1500, fresh("1.3", "--resume")),
    "w3-tls12-full": Work("new TLS 1.2 connection for each call", 16, 1500, fresh("1.2")),
    "w3-tls12-resume": Work("resumed TLS 1.2 connection for each call", 16, 1500, fresh("1.2", "--resume")),
    "h1-c64": Work("2 kB call, 64 connections, half load", 64, half=True),
    "p1-c16": Work("2 kB call, 16 connections, one core", 16, pinned=True),
    "p1-c64": Work("2 kB call, 64 connections, one core", 64, pinned=True),
    "p1-c256": Work("2 kB call, 256 connections, one core", 256, pinned=True),
}
# Enough to notice a change in a few minutes: steady calls, a large body, handshakes.
QUICK = ("w1-c16", "w1-c64", "w2-down5m", "w3-tls13-full", "h1-c64", "p1-c64")

# How cost grows; of rivmesh alone, since a peer has no rows and pays for the rest as the tables above say.
CONNECTIONS = (1, 4, 16, 64, 256, 1024, 4096)
BODIES = (1 * KIB, 10 * KIB, 100 * KIB, 1 * MIB, 10 * MIB, 50 * MIB)
# How many consumers keep a connection, while together they make so many calls a second.
CONSUMERS = (100, 1_000, 10_000)
CONSUMERS_RATE = 2_000
# Rows of a catalogue; addresses of one contract that has but one set.
ROWS = (1_000, 10_000, 100_000, 1_000_000)

# rivmesh routes by logical address; each leads to a producer URL with the wanted size of answer.
ANSWERS = sorted({1500, 100 * KIB, LARGE, *BODIES})


def address(answer):
    return f"SE-BENCH-{answer}"
