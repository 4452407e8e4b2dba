#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""run.py - asks every question of every engine, side by side, in rounds, on three file systems.

    run.py [WHAT...]    the rounds that are missing: of all cases, or of those that these words name
                        (w1, W1, or a program: append); then report.py writes the tables
    run.py --short      every program once with little to do, on the root file system; nothing is
                        recorded: that they work and their records are right, no timing
    run.py --list       the command lines, runs nothing
    --directory DIR     on the root file system, where the runs are (build/bench)
    --results FILE      instead of bench/results.jsonl; lib/ need not be committed then

Environment: ROUNDS=5 of each case; MINUTES=n begins no round after that time; SYSTEMS="root ext4
xfs"; ENGINES="commitlog lmdb" for an experiment; BUILD=build/release; ALLOW_SKIP=1.

A round runs each contestant of a case once, every other one backwards, and from pair to pair turned
by a third: nobody has always the same place, nor the same one before it. What
records its results runs once on a machine at a time.
One round that is not counted comes first, whenever a case is begun or taken up again. A round is
recorded when it has ended; one that lacks a contestant is run again as a whole.
Exit status 1 if a program is not there, failed, or a file system could not be had.
"""
import argparse
import contextlib
import datetime
import hashlib
import json
import os
import pathlib
import shlex
import sys
import tempfile
import time

import machines
import questions
import report
import results as store
import systems
from results import parts

BUILD = pathlib.Path(os.environ.get("BUILD", "build/release"))
LOGS = parts.ROOT / "build/bench/logs"
SKIPPED = 77
SHORT_LIMIT_S = 60
SLOW_S = 3


# ---- one run ------------------------------------------------------------------------------------

def program_of(case, run):
    if run.engine.startswith("rocketmq"):
        return [str(parts.ROOT / "bench/rocketmq/rocketmq"), case.program]
    return [str(parts.ROOT / BUILD / "bench" / case.program)]


def is_there(case, run):
    path = pathlib.Path(program_of(case, run)[0])
    jar = parts.ROOT / BUILD / "bench/rocketmq/rocketmq-bench.jar"
    return path.exists() and (not run.engine.startswith("rocketmq") or jar.exists())


class Failed(Exception):
    """Of one run; with what it said."""


class Skipped(Exception):
    """The program says that it cannot run here, and why."""


def parsed(text):
    try:
        lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    except ValueError as error:
        raise Failed(f"no JSON: {error}") from error
    if not lines:
        raise Failed("it printed no figures")
    return lines


def run_one(case, run, options, directory, limit_s):
    """The lines that the program printed, with what the machine did beside it."""
    command = [*program_of(case, run), *case.of_engine(run), *case.options, *run.options, *options,
               "--directory", str(directory)]
    LOGS.mkdir(parents=True, exist_ok=True)
    name = hashlib.sha256(f"{case.name} {run.name}".encode()).hexdigest()[:12]
    out, err = LOGS / f"{name}.out", LOGS / f"{name}.err"
    meanwhile = machines.Meanwhile()
    with out.open("wb") as out_file, err.open("wb") as err_file:
        status = parts.run(command, limit_s, out_file, err_file)
    others = meanwhile.percent()
    said = err.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    if status == SKIPPED:
        raise Skipped(said[-1] if said else "no reason given")
    if status != 0:
        words = "took too long" if status == 124 else f"status {status}"
        raise Failed("\n    ".join((words, *said[-3:], shlex.join(command))))
    lines = parsed(out.read_text(encoding="utf-8", errors="replace"))
    for path in (out, err):
        path.unlink()
    for line in lines:
        if "cpu_ns" in line and line.get("records"):
            line.setdefault("cpu_ns_each", line["cpu_ns"] / line["records"])
    return [{**line, **others} for line in lines]


def leave_nothing(directory):
    """A program that was killed has not removed what it made."""
    for path in directory.iterdir():
        if path.name.startswith("commitlog-"):
            systems.remove_tree(path)


# ---- rounds -------------------------------------------------------------------------------------

def turned(contestants, number):
    first = number // 2 * max(1, len(contestants) // 3) % len(contestants)
    order = contestants[first:] + contestants[:first]
    return order[::-1] if number % 2 else order


class Rounds:
    """Runs the missing rounds of one case on one file system."""

    def __init__(self, case, system, directory, bench):
        self.case, self.system, self.directory, self.bench = case, system, directory, bench
        self.runs = [run for run in case.runs if not bench.engines or run.engine in bench.engines
                     or not run.engine]
        self.failed = 0

    def one(self, number, options=()):
        """The lines of all contestants."""
        lines = []
        for run in turned(self.runs, number):
            os.sync()  # what the run before has left to write is not this one's
            try:
                found = run_one(self.case, run, options, self.directory, self.case.limit_s)
                lines += [{**line, "run": run.name, "command": self.case.expected(run)}
                          for line in found]
            except (Failed, Skipped) as error:
                self.failed += 1
                print(f"FAILED: {self.case.name}: {run.name}: {error}", flush=True)
            leave_nothing(self.directory)
        return lines

    def missing(self):
        done = set(store.complete_rounds(store.load(self.bench.results), self.case, self.system,
                                         self.bench.tree))
        return [number for number in range(self.bench.rounds) if number not in done]

    def said(self, lines):
        figure = self.case.figures[0]
        show = report.SHOWN[figure.unit]
        return ", ".join(f"{line['run']} {show(line[figure.field])}" for line in lines
                         if figure.field in line)

    def all(self):
        missing = self.missing()
        if not missing or not self.runs:
            return
        if self.bench.is_late():
            return
        print(f"{self.case.name} on {self.system}: {self.case.title}: a round not counted",
              flush=True)
        self.one(missing[0] - 1, self.case.warm)
        self.failed = 0  # who fails always fails below, too
        for number in missing:
            if self.bench.is_late():
                return
            begin = time.monotonic()
            lines = self.one(number)
            self.bench.record(self.case, self.system, number, self.directory, lines)
            print(f"{self.case.name} on {self.system} {number + 1}/{self.bench.rounds} "
                  f"({time.monotonic() - begin:.0f} s): {self.said(lines)}", flush=True)


class Bench:
    """What is the same for all cases."""

    def __init__(self, arguments):
        self.results = arguments.results or store.RESULTS
        self.directory = arguments.directory
        self.rounds = int(os.environ.get("ROUNDS", store.ROUNDS))
        minutes = float(os.environ.get("MINUTES", "0"))
        self.end = time.monotonic() + 60 * minutes if minutes else float("inf")
        self.engines = os.environ.get("ENGINES", "").split()
        self.tree = parts.tree_of_lib() or "uncommitted"
        self.machine = machines.machine(parts.ROOT / BUILD / "flags")

    def is_late(self):
        return time.monotonic() >= self.end

    def record(self, case, system, number, directory, lines):
        common = {"case": case.name, "system": system, "round": number, "tree": self.tree,
                  "date": datetime.date.today().isoformat(), "machine": self.machine,
                  "mount": systems.described(directory)}
        if (parts.tree_of_lib() or "uncommitted") != self.tree:
            sys.exit("lib/ has changed since this run began: the round is not recorded")
        if lines:
            store.record(self.results, case, system, number, self.tree,
                         [{**line, **common} for line in lines])

    def run_on(self, system, cases):
        """How many failures there were."""
        failed = 0
        room = systems.free_bytes(self.directory) // 2
        small = []
        for case in cases:
            if systems.image_bytes(system, case.disk_bytes) <= room:
                small.append(case)
                continue
            failed += 1
            print(f"skip: {case.name} on {system}: {case.disk_bytes // 2**20:,} MiB are more than "
                  f"half of what is free", flush=True)
        todo = [case for case in small if Rounds(case, system, None, self).missing()]
        if not todo or self.is_late():
            return failed
        try:
            with systems.system_at(system, self.directory,
                                   max(case.disk_bytes for case in todo)) as directory:
                for case in todo:
                    rounds = Rounds(case, system, directory, self)
                    rounds.all()
                    failed += rounds.failed
        except systems.Skip as reason:
            print(f"skip: {system}: {reason}", flush=True)
            failed += 1
        return failed


def not_there(cases):
    return sorted({" ".join(pathlib.Path(word).name for word in program_of(case, run))
                   for case in cases for run in case.runs if not is_there(case, run)})


def run_full(arguments, cases):
    if parts.tree_of_lib() is None and not arguments.results:
        sys.exit("lib/ or include/ differs from the last commit: commit first, or a row would name "
                 "a tree that nobody has")
    arguments.directory.mkdir(parents=True, exist_ok=True)
    bench = Bench(arguments)
    missing = not_there(cases)
    if missing:
        print(f"not built: {', '.join(missing)}", flush=True)
    cases = [case for case in cases if not not_there([case]) or
             (bench.engines and any(is_there(case, run) for run in case.runs
                                    if run.engine in bench.engines))]
    failed = len(missing)
    for system in os.environ.get("SYSTEMS", " ".join(questions.SYSTEMS)).split():
        failed += bench.run_on(system, [case for case in cases if system in case.systems])
    if failed:
        print(f"{failed} failed")
    return 1 if failed else 0


# ---- the short round ----------------------------------------------------------------------------

def kinds(cases):
    """A run of each program, engine and set of options; of many threads or queues one."""
    seen = set()
    for case in cases:
        for run in case.runs:
            words = {word for word in (*case.options, *run.options) if word.startswith("--")}
            several = "--threads" in run.options and "1" not in run.options
            key = (case.program, run.engine, several, *sorted(words - {"--threads"}))
            if run.engine.startswith("rocketmq"):
                key = (case.program, "rocketmq")  # a virtual machine takes its time to start
            if key not in seen:
                seen.add(key)
                yield case, run


def check_figures(case, lines):
    missing = [figure.field for figure in case.figures
               if any(figure.field not in line for line in lines)]
    if missing:
        raise Failed(f"it does not say {', '.join(missing)}")


def run_short(arguments, cases):
    arguments.directory.mkdir(parents=True, exist_ok=True)
    failed = done = skipped = 0
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="commitlog-short-", dir=arguments.directory) as below:
        directory = pathlib.Path(below)
        for case, run in kinds(cases):
            word, begun = f"{case.program}, {run.name}", time.monotonic()
            try:
                if run.engine.startswith("rocketmq") and not is_there(case, run):
                    raise Skipped("it is not built: make bench-rocketmq")
                lines = run_one(case, run, case.shortened(run), directory, SHORT_LIMIT_S)
                check_figures(case, lines)
                done += 1
            except Skipped as reason:
                skipped += 1
                print(f"skip: {word}: {reason}", flush=True)
            except (Failed, OSError) as error:
                failed += 1
                print(f"FAIL: {word}: {error}", flush=True)
            leave_nothing(directory)
            if time.monotonic() - begun > SLOW_S:
                print(f"{word}: {time.monotonic() - begun:.0f} s", flush=True)
    print(f"{done} programs, engines and options work, {skipped} skipped, {failed} failed "
          f"({time.monotonic() - begin:.0f} s)")
    bad = failed or (skipped and os.environ.get("ALLOW_SKIP") != "1")
    return 1 if bad or not done else 0


def main():
    parser = argparse.ArgumentParser(usage=__doc__, add_help=True)
    parser.add_argument("what", nargs="*")
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--directory", type=pathlib.Path, default=parts.ROOT / "build/bench")
    parser.add_argument("--results", type=pathlib.Path)
    arguments = parser.parse_args()
    try:
        cases = questions.select(arguments.what)
    except KeyError as word:
        sys.exit(f"nothing is called {word}; there are "
                 f"{' '.join(case.name for case in questions.CASES)}")
    if arguments.list:
        for case in cases:
            print(f"{case.name}: {case.title}", *(f"  {case.expected(run)}" for run in case.runs),
                  sep="\n")
        return 0
    parts.exit_at_sigterm()
    if arguments.short:
        return run_short(arguments, cases)
    alone = contextlib.nullcontext() if arguments.results else parts.only_one("commitlog-bench")
    systems.enter_namespace(os.environ.get("SYSTEMS", " ".join(questions.SYSTEMS)).split())
    with alone:
        return run_full(arguments, cases)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
