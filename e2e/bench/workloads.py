"""The kinds of work that are measured: what the load generator is told, and what comes back."""
from dataclasses import dataclass

LARGE = 5 * 1024 * 1024


@dataclass(frozen=True)
class Work:
    title: str
    concurrency: int
    answer: int = 1500
    options: tuple = ()


WORKLOADS = {
    "w1-c1": Work("2 kB call, 1 connection", 1),
    "w1-c16": Work("2 kB call, 16 connections", 16),
    "w1-c64": Work("2 kB call, 64 connections", 64),
    "w1-c256": Work("2 kB call, 256 connections", 256),
    "w2-100k": Work("100 kB answer", 16, 100 * 1024),
    "w2-down5m": Work("5 MB answer", 4, LARGE),
    "w2-up5m": Work("5 MB request", 4, 1500, ("--size", str(LARGE))),
    "w3-tls13-full": Work("new TLS 1.3 connection for each call", 16, 1500, ("--fresh", "--tls", "1.3")),
    "w3-tls13-resume": Work("resumed TLS 1.3 connection for each call", 16, 1500, ("--fresh", "--resume", "--tls", "1.3")),
    "w3-tls12-full": Work("new TLS 1.2 connection for each call", 16, 1500, ("--fresh", "--tls", "1.2")),
    "w3-tls12-resume": Work("resumed TLS 1.2 connection for each call", 16, 1500, ("--fresh", "--resume", "--tls", "1.2")),
}
# Enough to notice a change in a few minutes: steady calls, a large body, handshakes.
QUICK = ("w1-c16", "w1-c64", "w2-100k", "w2-down5m", "w3-tls13-full")
# rivmesh routes by logical address; each leads to a producer URL with the wanted size of answer.
ADDRESS = {1500: "SE-BENCH-1500", 100 * 1024: "SE-BENCH-100K", LARGE: "SE-BENCH-5M"}
