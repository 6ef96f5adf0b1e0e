#!/usr/bin/env python3
"""Measures TLS proxies side by side; README.md says how to read the numbers.

  run.py measure --bin DIR --certs DIR --work DIR --out FILE --peers a,b [--quick]
  run.py report FILE --to FOLDER [--reports FOLDER [--record NAME]]
"""
import argparse
import pathlib

from measure import Measurement
from workloads import QUICK, WORKLOADS


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    path = lambda text: pathlib.Path(text).resolve()
    measure = commands.add_parser("measure")
    measure.add_argument("--bin", type=path, required=True, help="folder with rivmesh-dataplane, tables, loadgen and backend")
    measure.add_argument("--certs", type=path, required=True, help="folder made by gen-certs.sh")
    measure.add_argument("--work", type=path, required=True, help="scratch folder")
    measure.add_argument("--out", type=path, required=True, help="results, one JSON per line, appended")
    measure.add_argument("--envoy", default="envoy", help="the envoy binary")
    measure.add_argument("--peers", required=True, help="comma list of names in peers/peers.json")
    measure.add_argument("--workloads", help="comma list; default: " + ",".join(WORKLOADS))
    measure.add_argument("--backend", default="127.0.0.1:19443", help="where the producer stand-in listens")
    measure.add_argument("--quick", action="store_true", help="fewer kinds of work, shorter runs")
    measure.add_argument("--rounds", type=int, help="default 5, quick 3")
    measure.add_argument("--starts", type=int, help="how often each start is measured; default 3, quick 1")
    measure.add_argument("--duration", type=float, help="measured seconds of a run; default 3")
    measure.add_argument("--warmup", type=float, help="seconds before that; default 1")
    measure.add_argument("--max-foreign", type=float, default=0,
                         help="repeat a run in which other programs took more than this share of the CPU (percent)")  # fmt: skip
    measure.add_argument("--wait-minutes", type=float, default=60, help="how long to wait for a quiet machine, in all")
    report = commands.add_parser("report")
    report.add_argument("results", type=path)
    report.add_argument("--to", type=path, required=True, help="folder for page, plots and figures")
    report.add_argument("--tables", type=path, help="what the benchmark of the tables printed")
    report.add_argument("--reports", type=path, help="folder of the reports on record, the last of which is compared with")
    report.add_argument("--record", help="keep it in --reports as TODAY-RECORD")
    return parser.parse_args()


def defaults(options):
    quick = options.quick
    options.only = options.workloads is not None
    options.rounds = options.rounds or (3 if quick else 5)
    options.workloads = options.workloads or ",".join(QUICK if quick else WORKLOADS)
    options.starts = (1 if quick else 3) if options.starts is None else options.starts
    options.duration = options.duration or 3
    options.warmup = options.warmup or 1
    return options


def main():
    options = arguments()
    if options.command == "measure":
        Measurement(defaults(options)).run()
        return
    # Only here: whoever measures needs no plots.
    import report

    report.write(options.results, options.to, options.tables, options.reports, options.record)


if __name__ == "__main__":
    main()
