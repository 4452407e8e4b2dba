#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""run.py - the mini-broker beside RocketMQ's own broker, loaded by RocketMQ's own benchmark.

    run.py [NAME...]        the rounds that are missing, of all cases or those named (a case of
                            cases.py or a kind: send, memory, latency, consume, backlog, start);
                            then the table and plots of bench/BROKER.md
    run.py --table          only these
    run.py --list           the cases
    --directory DIR         where a directory for the stores is made (build/bench/broker)
    --results FILE          instead of bench/broker/results.jsonl; the tree need not be committed
                            then, and no table is written

Environment: ROUNDS=5, WARM=30 and SECONDS=20 of each run, MINUTES=n begins no run after that time,
BINARY=build/release/mini-broker.

The servers take turns, and who begins changes from round to round. A result names what it is about:
the trees of lib/, include/ and examples/mini-broker, a hash of the settings, which is of this
program, and the times; with others it is run again. A run that fails is told, its logs are kept
beside the stores as failed-..., and the next one begins; exit status 1 at the end.
"""
import argparse
import datetime
import hashlib
import json
import os
import pathlib
import shutil
import signal
import sys
import tempfile
import time

import cases
import loads
import report
import servers

sys.path.append(str(servers.ROOT / "tools/check"))
import machines  # noqa: E402  of bench/
import parts  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
RESULTS = HERE / "results.jsonl"
KEY = ("case", "engine", "round", *report.VERSION)


def settings():
    """A name for what decides what is measured, and how; not how it is shown."""
    paths = [*HERE.glob("*.py"), *HERE.glob("*.java"), servers.ROOT / "tests/broker/engines.py"]
    paths = [path for path in paths if path.name not in ("report.py", "drawings.py")]
    whole = hashlib.sha256()
    for path in sorted(paths):
        whole.update(path.read_bytes())
    return whole.hexdigest()[:12]


def at_hand():
    return {"tree": parts.tree_of("include", "examples/mini-broker") or "uncommitted",
            "settings": settings()}


def one(case, name, directory, warm_s, counted_s):
    """The figures of one run. Its logs are left, its store is not."""
    servers.quiet()
    meanwhile = machines.Meanwhile()
    engine = servers.SERVERS[name](os.path.join(directory, "server"), case)
    home = os.path.join(directory, "client")
    os.makedirs(home)
    try:
        with servers.limited(warm_s + counted_s + loads.SLACK_S[case.kind]):
            engine.start()
            servers.make_topic(engine, home)
            figures = loads.KINDS[case.kind](engine, case, home, warm_s, counted_s)
            servers.require_alive(engine)
    finally:
        engine.stop()
        shutil.rmtree(engine.store, ignore_errors=True)
    return {**figures, **meanwhile.percent()}


class Bench:
    """What is the same for all runs."""

    def __init__(self, arguments, below):
        self.path = arguments.results or RESULTS
        self.kept, self.below = pathlib.Path(arguments.directory), pathlib.Path(below)
        self.rounds, self.warm_s, self.counted_s = (
            int(os.environ.get(name, otherwise)) for name, otherwise in
            (("ROUNDS", cases.ROUNDS), ("WARM", 30), ("SECONDS", 20)))
        minutes = float(os.environ.get("MINUTES", "0"))
        self.end = time.monotonic() + 60 * minutes if minutes else float("inf")
        self.at_hand = at_hand()
        self.machine = machines.machine(servers.binary_given().parent / "flags")

    def keys(self, chosen):
        """Of all runs, in their order."""
        for number in range(self.rounds):
            for case in chosen:
                for name in sorted(servers.SERVERS, reverse=number % 2 == 1):
                    yield case, {"case": case.name, "engine": name, "round": number,
                                 **self.at_hand, "warm_s": self.warm_s,
                                 "counted_s": self.counted_s}

    def is_done(self, key):
        return any(all(row.get(name) == key[name] for name in KEY) for row in parts.load(self.path))

    def tried(self, case, key):
        """The figures of one run, or None if it failed."""
        directory = self.below / "run"
        directory.mkdir()
        try:
            return one(case, key["engine"], directory, self.warm_s, self.counted_s)
        except Exception as error:  # pylint: disable=broad-except  the others are run
            kept = self.kept / f"failed-{case.name}-{key['engine']}-{key['round']}"
            shutil.rmtree(kept, ignore_errors=True)
            directory.rename(kept)
            words = error if isinstance(error, servers.Failed) else repr(error)
            print(f"FAILED: {kept.name.removeprefix('failed-')}: {words}; logs: {kept}", flush=True)
            return None
        finally:
            shutil.rmtree(directory, ignore_errors=True)

    def record(self, key, figures):
        if at_hand() != self.at_hand:
            sys.exit("the trees or the settings have changed since this run began: it is not "
                     "recorded")
        row = {**key, **figures, "machine": self.machine, "java": " ".join(servers.BROKER_JAVA),
               "date": datetime.date.today().isoformat()}
        print(json.dumps(row), flush=True)
        # Read again: what others have added meanwhile stays.
        parts.save(self.path, [*parts.load(self.path), row])

    def run(self, chosen):
        """How many failed."""
        failed = 0
        for case, key in self.keys(chosen):
            if self.is_done(key):
                continue
            if time.monotonic() > self.end:
                break
            figures = self.tried(case, key)
            if figures is None:
                failed += 1
            else:
                self.record(key, figures)
        return failed


def run(arguments, chosen):
    if at_hand()["tree"] == "uncommitted" and not arguments.results:
        sys.exit("lib/, include/ or examples/mini-broker/ differs from the last commit: commit "
                 "first, or a row would name a tree that nobody has")
    taken = servers.taken_ports()
    if taken:
        sys.exit(f"somebody listens at {', '.join(str(port) for port in taken)}: left over?")
    os.makedirs(arguments.directory, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="broker-", dir=arguments.directory,
                                     ignore_cleanup_errors=True) as below:
        servers.prepare(below)
        failed = Bench(arguments, below).run(chosen)
    if failed:
        print(f"{failed} failed")
    return 1 if failed else 0


def exit_at_hangup():
    """As at SIGTERM, but for nohup."""
    if signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:
        signal.signal(signal.SIGHUP, lambda *_: sys.exit(129))


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("what", nargs="*")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--directory", type=os.path.abspath,
                        default=servers.ROOT / "build/bench/broker")
    parser.add_argument("--results", type=pathlib.Path)
    arguments = parser.parse_args()
    try:
        chosen = cases.named(arguments.what)
    except KeyError as words:
        sys.exit(f"nothing is called {words}; there are "
                 f"{' '.join(case.name for case in cases.CASES)}")
    if arguments.list:
        print("\n".join(case.name for case in chosen))
        return 0
    status = 0
    if not arguments.table:
        parts.exit_at_sigterm()
        exit_at_hangup()
        with parts.only_one("commitlog-bench"):
            status = run(arguments, chosen)
    if not arguments.results:
        report.write(parts.load(RESULTS), at_hand())
    return status


if __name__ == "__main__":
    sys.exit(main())
