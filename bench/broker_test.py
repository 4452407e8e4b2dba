#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""broker_test.py - of bench/broker: that figures are read right, that a run that fails is one run
that fails, and that the page says what is true.

Without Java and without a broker: from lines of the official programs, results and servers that
were made up. Takes a second.
"""
import argparse
import contextlib
import io
import os
import pathlib
import socket
import sys
import tempfile
import unittest
from unittest import mock

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent / "broker"))
import cases  # noqa: E402
import loads  # noqa: E402
import report  # noqa: E402
import run as runner  # noqa: E402
import servers  # noqa: E402
from run import parts  # noqa: E402

NOW = {"tree": "t2", "settings": "s2"}
NEW, OLD = ("t2", "s2", 30, 20), ("t1", "s1", 30, 20)
MACHINE = {"cpu": "a CPU", "cpus": 2, "memory_gib": 1.0, "kernel": "Linux"}
FIELDS = {field for _, _, columns in report.TABLES.values() for _, field, _ in columns}
WINDOW = ("Current Time: 2026-11-29 08:49:09,123 | Send TPS: {} | Max RT(ms): 176 | "
          "Average RT(ms): {:>7} | Send Failed: {} | Response Failed: {}\n")
CONSUMED = ("Current Time: 2026-11-29 08:49:09,123 | Consume TPS: {} | AVG(B2C) RT(ms): {:>7} | "
            "AVG(S2C) RT(ms):   1.000 | MAX(B2C) RT(ms): 3 | MAX(S2C) RT(ms): 3\n")


# ---- what the official programs print -----------------------------------------------------------

class Process:
    """A producer that prints a line each ten seconds."""

    def __init__(self, lines):
        self.lines, self.now = lines, 0

    @property
    def stdout(self):
        while self.lines:
            self.now += 10
            yield self.lines.pop(0)


def windows(*lines, warm_s=0, counted_s=10):
    process = Process(list(lines))
    with mock.patch.multiple(loads, require_alive=mock.DEFAULT, cpu_s=lambda _: 0.5,
                             memory=lambda _: {}), \
            mock.patch.object(loads.time, "monotonic", lambda: process.now):
        return loads.Windows(process, None, warm_s, counted_s).figures()


class Figures(unittest.TestCase):
    def test_lines_are_read(self):
        self.assertEqual(loads.figures_of(loads.SENT, WINDOW.format(12448, "0.080", 1, 2)),
                         [12448, 0.08, 1, 2])
        self.assertEqual(loads.figures_of(loads.CONSUMED, CONSUMED.format(7, "2.500")), [7, 2.5])
        self.assertIsNone(loads.SENT.search("topic: bench threadCount: 8\n"))

    def test_a_window_without_a_message_counts_but_has_no_mean(self):
        found = windows("topic: bench\n", WINDOW.format(500, "9.000", 0, 0),
                        WINDOW.format(100, "2.000", 0, 0), WINDOW.format(0, "NaN", 0, 0),
                        counted_s=20)
        self.assertEqual((found["per_s"], found["mean_ms"], found["seconds"]), (50, 2, 20))

    def test_failures_are_those_since_the_windows_began(self):
        found = windows(WINDOW.format(1, "1.000", 3, 4), WINDOW.format(1, "1.000", 5, 5))
        self.assertEqual(found["failed"], 3)

    def test_the_warm_time_does_not_count(self):
        lines = [WINDOW.format(each, "1.000", 0, 0) for each in (1, 2, 3, 4, 5)]
        self.assertEqual(windows(*lines, warm_s=20, counted_s=10)["per_s"], 3)

    def test_nothing_that_was_sent_is_a_failure(self):
        with self.assertRaisesRegex(servers.Failed, "no window has a message"):
            windows(WINDOW.format(0, "NaN", 0, 0), WINDOW.format(0, "NaN", 8, 0))

    def test_a_client_that_ends_is_a_failure_and_is_quoted(self):
        with self.assertRaisesRegex(servers.Failed, "the client ended: no route"):
            windows(WINDOW.format(1, "1.000", 0, 0), "no route to it\n")

    def test_processor_time_is_that_until_all_is_consumed(self):
        # The last message is in the first of the nine seconds that end at 12: between 3 and 4.
        made = [(100, 1, i) for i in range(13)] + [(0, float("nan"), 13 + i) for i in range(3)]
        self.assertEqual(loads.busy_until(made)[2], 4)
        self.assertEqual(loads.busy_until(made[10:])[2], 10)


# ---- servers and runs ---------------------------------------------------------------------------

class Servers(unittest.TestCase):
    def stop(self, command, ended=False):
        with tempfile.TemporaryDirectory() as directory, \
                mock.patch.object(servers, "STOP_LIMIT_S", 0.2):
            engine = servers.engines.Engine(os.path.join(directory, "server"), 1, 2)
            process = engine.spawn("it", ["sh", "-c", command])
            if ended:
                process.wait()
            servers.stop_broker(engine, "stopped")

    def test_one_that_does_not_stop_or_dies_is_a_failure(self):
        self.stop("exit 143", ended=True)
        for command in ("trap '' TERM; exec sleep 60", "exec sleep 60"):
            with self.assertRaisesRegex(servers.Failed, "did not stop well"):
                self.stop(command)

    def test_a_port_that_is_taken_is_named(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with mock.patch.object(servers, "ALL_PORTS", (port,)):
                self.assertEqual(servers.taken_ports(), [port])
        with mock.patch.object(servers, "ALL_PORTS", (port,)):
            self.assertEqual(servers.taken_ports(), [])

    def test_only_the_release_variant_is_measured(self):
        with tempfile.TemporaryDirectory() as directory:
            for variant in ("release", "asan"):
                binary = pathlib.Path(directory, variant, "mini-broker")
                binary.parent.mkdir()
                binary.touch()
                with mock.patch.dict(os.environ, {"BINARY": str(binary)}):
                    if variant == "release":
                        self.assertEqual(servers.binary_given(), binary.resolve())
                    else:
                        self.assertRaises(SystemExit, servers.binary_given)

    def test_a_limit_ends_what_waits(self):
        with self.assertRaisesRegex(servers.Failed, "longer than 1 s"), servers.limited(1):
            servers.came(lambda: False, 60)

    def test_each_kind_has_its_load_its_limit_and_its_table(self):
        kinds = {case.kind for case in cases.CASES}
        for found in (loads.KINDS, loads.SLACK_S, report.TABLES):
            self.assertEqual(set(found), kinds)
        self.assertEqual(len({case.name for case in cases.CASES}), len(cases.CASES))
        self.assertEqual(cases.named(["memory"]), list(cases.MEMORY))


class Runs(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.below = pathlib.Path(directory.name)
        self.results = self.below / "results.jsonl"
        self.asked = []

    def one(self, case, name, directory, *_):
        """In place of a run: that of the official broker fails."""
        self.asked.append((case.name, name))
        if name == "rocketmq":
            (directory / "server").mkdir()
            (directory / "server/broker.out").write_text("no more room\n", encoding="ascii")
            raise servers.Failed("it died")
        with self.results.open("a", encoding="ascii") as file:
            file.write('{"case": "of another"}\n')
        return {"per_s": 1}

    def run_it(self, at_hand=lambda: NOW, **more):
        """(how many failed, what was said)"""
        arguments = argparse.Namespace(results=self.results, directory=self.below)
        said = io.StringIO()
        (self.below / "made").mkdir(exist_ok=True)
        with mock.patch.multiple(runner, one=self.one, at_hand=at_hand), \
                mock.patch.object(servers, "binary_given", lambda: self.below / "mini-broker"), \
                mock.patch.dict(os.environ, {"ROUNDS": "2", **more}), \
                contextlib.redirect_stdout(said):
            failed = runner.Bench(arguments, self.below / "made").run(cases.named(["backlog"]))
        return failed, said.getvalue()

    def test_the_others_are_run_and_logs_are_kept(self):
        failed, said = self.run_it()
        self.assertEqual(failed, 2)
        self.assertEqual([name for _, name in self.asked],
                         ["mini", "rocketmq", "rocketmq", "mini"])
        self.assertIn("FAILED: backlog-rocketmq-1: it died", said)
        self.assertTrue((self.below / "failed-backlog-rocketmq-1/server/broker.out").exists())
        self.assertEqual(list((self.below / "made").iterdir()), [])

    def test_lines_that_came_meanwhile_stay_and_what_is_done_is_not_run_again(self):
        self.run_it()
        found = [row["case"] for row in parts.load(self.results)]
        self.assertEqual(found, ["of another", "backlog"] * 2)
        self.asked.clear()
        self.run_it()
        self.assertEqual([name for _, name in self.asked], ["rocketmq"] * 2)

    def test_other_settings_are_run_again(self):
        self.run_it()
        for more in ({"WARM": "3"}, {"SECONDS": "10"},
                     {"at_hand": lambda: {**NOW, "settings": "s3"}}):
            self.asked.clear()
            self.run_it(**more)
            self.assertEqual(len(self.asked), 4, more)

    def test_what_changes_meanwhile_is_not_recorded(self):
        found = iter([NOW, {**NOW, "tree": "t3"}])
        with self.assertRaisesRegex(SystemExit, "have changed"):
            self.run_it(lambda: next(found))
        self.assertNotIn("backlog", self.results.read_text(encoding="ascii"))


# ---- the page -----------------------------------------------------------------------------------

def row(case, engine, number, version=NEW, **figures):
    """What a run might have found: the mini-broker is a hundred times better in all."""
    value = 1 if engine == "mini" else 100
    made = {**dict.fromkeys(FIELDS, value), "per_s": 101 - value, "consumed_per_s": 101 - value,
            "failed": 0, "beside_percent": 1.0, "steal_percent": 0.0, "machine": MACHINE,
            "date": "2026-11-29", "java": "-server", "case": case.name, "engine": engine,
            "round": number, **dict(zip(report.VERSION, version))}
    return {**made, **figures}


def rows(rounds=cases.ROUNDS, version=NEW, chosen=cases.CASES):
    return [row(case, engine, number, version) for number in range(rounds) for case in chosen
            for engine in cases.SERVERS]


class Goals(unittest.TestCase):
    def goal(self, what, results):
        goal = next(goal for goal in cases.GOALS if what in goal.what)
        return report.goal_row(goal, report.Medians(results))

    def test_reached_and_missed(self):
        for goal in cases.GOALS:
            self.assertRegex(self.goal(goal.what, rows()), r"(\d+) of \1 \| reached \|$")
        slow = [row(cases.SENDS[3], engine, number, per_s=per_s) for number in range(cases.ROUNDS)
                for engine, per_s in (("mini", 1), ("rocketmq", 2))]
        others = rows(chosen=[case for case in cases.SENDS if case != cases.SENDS[3]])
        self.assertIn(f"| 0.5 | {cases.SENDS[3].name} | 18 of 18 | **missed** |",
                      self.goal("messages a second", others + slow))

    def test_so_far(self):
        self.assertIn("18 of 18 | reached so far |", self.goal("messages a second", rows(4)))
        self.assertIn("| 17 of 18 | reached so far |",
                      self.goal("messages a second", rows(chosen=cases.SENDS[1:])))
        self.assertIn("| 1 of 1 | reached so far |", self.goal("start", rows(1)))

    def test_not_run(self):
        self.assertIn("| 0 of 2 | not run |", self.goal("consumed", rows(chosen=cases.SENDS)))
        ours = [found for found in rows() if found["engine"] == "mini"]
        self.assertIn("| 0 of 18 | not run |", self.goal("messages a second", ours))
        self.assertIn("| 1 of 1 | reached |", self.goal("start", ours))

    def test_messages_that_failed(self):
        ours = [row(cases.SENDS[0], "mini", 5, failed=3)]
        theirs = [row(cases.SENDS[0], "rocketmq", 5, failed=1200)]
        self.assertIn("| **missed** (3 failed) |", self.goal("messages a second", rows() + ours))
        self.assertIn("| reached; rocketmq: 1,200 failed |",
                      self.goal("messages a second", rows() + theirs))
        self.assertIn("| reached |", self.goal("p99.9", rows() + ours))

    def test_the_slowest_start_counts_but_not_the_cold_one(self):
        for field, word in (("killed_sending_s", "**missed**"), ("cold_s", "reached")):
            made = [row(cases.STARTS[0], engine, number, **{field: 5})
                    for number in range(cases.ROUNDS) for engine in cases.SERVERS]
            self.assertIn(f"| {word} |", self.goal("start", made))


class Page(unittest.TestCase):
    def shown(self, results):
        return report.version(report.shown(results).all()[0])

    def test_a_complete_version_is_not_replaced_by_a_single_row(self):
        self.assertEqual(self.shown(rows(version=OLD) + rows(1, NEW, cases.SENDS[:1])), OLD)
        self.assertEqual(self.shown(rows(version=OLD) + rows()), NEW)

    def test_the_newest_complete_one_is_shown(self):
        self.assertEqual(self.shown(rows(version=NEW) + rows(version=OLD)), OLD)

    def test_where_none_is_complete_the_one_with_most_is(self):
        self.assertEqual(self.shown(rows(2, OLD) + rows(1, NEW)), OLD)
        self.assertEqual(self.shown(rows(1, OLD) + rows(1, NEW)), NEW)

    def test_other_times_are_another_version(self):
        short = ("t2", "s2", 3, 10)
        self.assertEqual(self.shown(rows(version=short) + rows(4)), short)
        self.assertEqual(self.shown(rows(4, short) + rows(4)), NEW)

    def test_what_is_stale_or_not_run_says_so(self):
        page = report.page(report.shown(rows(version=OLD)), NOW)
        self.assertIn("**Stale**", page)
        self.assertNotIn("Not run", page)
        page = report.page(report.shown(rows(1, NEW, cases.SENDS)), NOW)
        self.assertNotIn("**Stale**", page)
        self.assertIn("Not run: memory-async, memory-sync, latency-", page)
        self.assertIn("One round of 5 so far", page)
        self.assertIn("have 3 of the 5 rounds", report.page(report.shown(rows(3)), NOW))

    def test_every_case_is_in_a_table(self):
        page = report.page(report.shown(rows()), NOW)
        for case in cases.CASES:
            self.assertIn(f"| {case.name} | rocketmq | 5 |", page)

    def test_nothing_measured_leaves_the_page(self):
        before = report.TABLE.read_bytes()
        with self.assertRaisesRegex(SystemExit, "nothing has been measured"):
            report.write([], NOW)
        self.assertEqual(report.TABLE.read_bytes(), before)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[1:]])
