#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""run.py - the mini-broker beside RocketMQ's own broker, loaded by RocketMQ's own benchmark.

    run.py [NAME...]        the rounds that are missing, of all cases or those named (a case of
                            cases.py or a kind: send, latency, consume, backlog, start); then the
                            table and plots of bench/BROKER.md
    run.py --table          only these
    run.py --list           the cases
    --directory DIR         where the stores are (build/bench/broker)
    --results FILE          instead of bench/broker/results.jsonl

Environment: ROUNDS=5, WARM=30 and SECONDS=20 of each run, MINUTES=n begins no run after that time,
BINARY=build/release/mini-broker.

The servers take turns, and who begins changes from round to round. A result names the trees of lib/
and examples/mini-broker it is about; on others it is run again.
"""
import argparse
import datetime
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

import cases
import servers

sys.path.append(str(servers.ROOT / "tools/check"))
import parts  # noqa: E402

RESULTS = servers.ROOT / "bench/broker/results.jsonl"
KEY = ("case", "engine", "round", "tree")


def tree():
    """Of what is measured, or None while it differs from the last commit."""
    if parts.git("status", "--porcelain", "--", "lib", "include", "examples/mini-broker"):
        return None
    return "+".join(parts.git("rev-parse", "--short=12", f"HEAD:{path}")
                    for path in ("lib", "examples/mini-broker"))


def cpu_name():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        return next(line.split(":")[1].strip() for line in file if line.startswith("model name"))


def fresh(path):
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(path)
    return path


def quiet():
    """What was written before is on the disk and not in the page cache."""
    subprocess.run(["sync"], check=True)
    with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as file:
        file.write("3\n")


def one(case, name, directory, warm_s, counted_s):
    import loads  # pylint: disable=import-outside-toplevel  not needed for the table
    quiet()
    engine = servers.SERVERS[name](os.path.join(directory, "server"), case.flush)
    home = fresh(os.path.join(directory, "client"))
    try:
        engine.start()
        servers.make_topic(engine, home)
        figures = loads.KINDS[case.kind](engine, case, home, warm_s, counted_s)
        figures["rss_mib"] = engine.rss() / 1024
    finally:
        engine.stop()
        shutil.rmtree(directory, ignore_errors=True)
    return figures


def run(arguments, chosen):
    now = tree()
    if now is None and not arguments.results:
        sys.exit("lib/, include/ or examples/mini-broker/ differs from the last commit: commit "
                 "first, or a row would name a tree that nobody has")
    path = arguments.results or RESULTS
    rounds, warm_s, counted_s = (int(os.environ.get(name, otherwise)) for name, otherwise in
                                 (("ROUNDS", "5"), ("WARM", "30"), ("SECONDS", "20")))
    minutes = float(os.environ.get("MINUTES", "0"))
    until = time.monotonic() + 60 * minutes if minutes else float("inf")
    servers.prepare()
    common = {"tree": now or "uncommitted", "cpu": cpu_name(), "warm_s": warm_s,
              "java": " ".join(servers.BROKER_JAVA), "date": datetime.date.today().isoformat()}
    for number in range(rounds):
        for case in chosen:
            for name in sorted(servers.SERVERS, reverse=number % 2 == 1):
                key = {"case": case.name, "engine": name, "round": number, "tree": common["tree"]}
                done = parts.load(path)
                if any(all(row[k] == key[k] for k in KEY) for row in done):
                    continue
                if time.monotonic() > until:
                    return
                row = {**common, **key, **one(case, name, arguments.directory, warm_s, counted_s)}
                print(json.dumps(row), flush=True)
                parts.save(path, [*done, row])


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("what", nargs="*")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--directory", default=str(servers.ROOT / "build/bench/broker"))
    parser.add_argument("--results", type=pathlib.Path)
    arguments = parser.parse_args()
    try:
        chosen = cases.named(arguments.what)
    except KeyError as words:
        sys.exit(f"nothing is called {words}; there are "
                 f"{' '.join(case.name for case in cases.CASES)}")
    if arguments.list:
        print("\n".join(case.name for case in chosen))
        return
    if not arguments.table:
        parts.exit_at_sigterm()
        with parts.only_one("commitlog-bench"):
            run(arguments, chosen)
    if not arguments.results:
        import report  # pylint: disable=import-outside-toplevel  needs matplotlib
        report.write(parts.load(RESULTS), tree())


if __name__ == "__main__":
    main()
