#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""report_test.py - that the runner runs what is missing, and that the tables say what is true.

With results that were made up and with programs that only pretend; takes a few seconds.
"""
import contextlib
import io
import os
import pathlib
import stat
import subprocess
import sys
import tempfile
import unittest

import questions
import report
import run as runner
import results as store
from results import parts

TREE, OLDER = "aaaaaaaaaaaa", "bbbbbbbbbbbb"
MACHINE = {"cpu": "a CPU", "cpus": 2, "kernel": "Linux", "memory_gib": 1.0, "compiler": "cc",
           "flags": "-O2"}
# A program that says which engine it was asked for, and fails for one that is called so.
PRETENDER = """#!/bin/sh
engine=$2
echo "$engine" >>"$PRETENDED"
[ "$engine" != "$FAILS" ] || { echo "it broke" >&2; exit 1; }
echo '{"question": "append", "engine": "'"$engine"'", "setting": "-", "ns": 100.0}'
"""


def case_of(name):
    return next(case for case in questions.CASES if case.name == name)


def made_up(case, run, system, number, tree, ns):
    """What a program might have printed: each figure is ns, but for those that are ratios."""
    line = {"case": case.name, "system": system, "round": number, "tree": tree, "run": run.name,
            "command": case.expected(run), "date": "2026-01-01", "machine": MACHINE,
            "mount": "ext4; rw", "question": case.program, "engine": run.engine,
            "family": run.engine.title(),
            "version": "1", "setting": "as it | is", "lost_at_kill": "nothing",
            "lost_at_power_cut": "a tail", "promise": "async", "verifies": True, "records": 1000,
            "disk_bytes": 2_000_000, "fdatasyncs": 1, "fsyncs": 2, "msyncs": 3, "ns": ns,
            "log_bytes": 2**30, "beside_percent": 1.0, "steal_percent": 0.0}
    for figure in (*case.figures, *case.columns):
        line.setdefault(figure.field, ns)
    words = run.options + case.options
    for name in ("threads", "queues", "bytes"):
        if f"--{name}" in words:
            line[name] = int(words[words.index(f"--{name}") + 1])
    for field, _ in (("p50", 0), ("p90", 0), ("p99", 0), ("p999", 0), ("p9999", 0), ("max", 0)):
        line[f"call_{field}_ns"] = ns
    for field in ("asleep_to_futex", "process_to_futex"):
        line[field] = 1.0
    return line


def all_of(case, tree, ns=None, rounds=store.ROUNDS, systems=None):
    """The nth round is n nanoseconds slower, the last one is far off; others take twice as long."""
    ns = ns or {}
    return [made_up(case, run, system, number, tree,
                    ns.get(run.name, 100 if run.engine in questions.OUR_ENGINES else 1000) +
                    (number if number < 4 else 5000))
            for system in systems or case.systems for number in range(rounds) for run in case.runs]


def everything(tree):
    return sum((all_of(case, tree) for case in questions.CASES), [])


class Questions(unittest.TestCase):
    def test_names_are_there_once_and_bases_exist(self):
        names = [case.name for case in questions.CASES]
        self.assertEqual(len(names), len(set(names)))
        for case in questions.CASES:
            contestants = [run.name for run in case.runs]
            self.assertEqual(len(contestants), len(set(contestants)), case.name)
            for run in case.runs:
                self.assertIn(run.base, ["", *contestants], case.name)

    def test_every_question_is_asked(self):
        asked = {word for case in questions.CASES for word in case.question.split(", ")}
        self.assertLessEqual({f"W{number}" for number in range(1, 15)}, asked)

    def test_every_goal_has_its_contestants(self):
        for case in questions.CASES:
            medians = store.Medians(all_of(case, TREE), case)
            for goal in case.goals:
                self.assertNotEqual(report.verdict(goal, medians)[1], "not measured", goal.text)

    def test_words_select(self):
        self.assertEqual([case.name for case in questions.select(["W14"])], ["w14", "w14-small"])
        self.assertIn(case_of("w1"), questions.select(["append"]))
        self.assertRaises(KeyError, questions.select, ["w99"])


class Results(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.path = pathlib.Path(self.directory.name) / "results.jsonl"

    def test_what_is_saved_is_loaded(self):
        made = all_of(case_of("w1"), TREE)
        store.save(self.path, made)
        self.assertEqual(store.load(self.path), made)
        # What repeats itself is there once.
        self.assertEqual(self.path.read_text(encoding="utf-8").count(MACHINE["cpu"]), 1)

    def test_a_round_takes_the_place_of_its_like(self):
        case = case_of("w3")
        for ns in (300, 200):
            new = [made_up(case, run, "root", 0, TREE, ns) for run in case.runs]
            store.record(self.path, case, "root", 0, TREE, new)
        self.assertEqual({line["ns"] for line in store.load(self.path)}, {200})

    def test_older_trees_go_when_the_new_one_is_complete(self):
        case = case_of("w3")
        store.save(self.path, all_of(case, OLDER))
        for number in range(store.ROUNDS):
            trees = {line["tree"] for line in store.load(self.path) if line["system"] == "root"}
            self.assertIn(OLDER, trees)
            new = [made_up(case, run, "root", number, TREE, 1) for run in case.runs]
            store.record(self.path, case, "root", number, TREE, new)
        left = {(line["system"], line["tree"]) for line in store.load(self.path)}
        self.assertEqual(left, {("root", TREE), ("ext4", OLDER), ("xfs", OLDER)})

    def test_a_round_without_a_contestant_is_not_complete(self):
        case = case_of("w1")
        lines = [line for line in all_of(case, TREE, systems=["root"])
                 if (line["round"], line["run"]) != (2, "lmdb")]
        self.assertEqual(store.complete_rounds(lines, case, "root", TREE), [0, 1, 3, 4])
        self.assertIn("incomplete", store.state_of(lines, case, "root", TREE)[1])

    def test_other_words_are_another_question(self):
        case = case_of("w1")
        lines = [{**line, "command": line["command"] + "0"} for line in all_of(case, TREE)]
        self.assertEqual(store.state_of(lines, case, "root", TREE), ([], "not run"))

    def test_complete_and_older_is_stale_even_beside_what_is_begun(self):
        case = case_of("w1")
        lines = all_of(case, OLDER) + all_of(case, TREE, rounds=2)
        shown, state = store.state_of(lines, case, "root", TREE)
        self.assertEqual(state, f"stale: tree {OLDER}")
        self.assertEqual({line["tree"] for line in shown}, {OLDER})


class Page(unittest.TestCase):
    def test_complete_results_hold(self):
        text, _, missing = report.page(everything(TREE), TREE, [])
        self.assertEqual(missing, 0)
        for word in ("not run", "incomplete", "not measured", "**stale"):
            self.assertNotIn(word, text)
        self.assertIn("as it \\| is", text)

    def test_results_of_another_tree_are_stale(self):
        text, _, missing = report.page(everything(OLDER), TREE, [])
        self.assertEqual(missing, sum(len(case.systems) for case in questions.CASES))
        self.assertIn(f"**stale: tree {OLDER}**", text)

    def test_a_guest_that_gives_memory_back_says_so(self):
        guest = {**MACHINE, "gives_memory_back": True}
        lines = [{**line, "machine": guest} for line in everything(TREE)]
        self.assertIn(report.MEMORY_TEXT, report.page(lines, TREE, [])[0])
        self.assertNotIn(report.MEMORY_TEXT, report.page(everything(TREE), TREE, [])[0])

    def test_the_median_counts_and_not_the_mean(self):
        case = case_of("w1")
        medians = store.Medians(all_of(case, TREE, systems=["root"]), case)
        self.assertEqual(medians("commitlog"), 102)

    def goal(self, ns, text):
        case = case_of("w1")
        medians = store.Medians(all_of(case, TREE, ns, systems=["root"]), case)
        return report.verdict(next(g for g in case.goals if text in g.text), medians)[1]

    def test_goals_are_computed(self):
        self.assertEqual(self.goal({"lmdb": 210}, "LMDB"), "reached")
        self.assertEqual(self.goal({"lmdb": 190}, "LMDB"), "**missed**")
        # The best variant counts.
        self.assertEqual(self.goal({"rocksdb-batch": 300}, "RocksDB"), "**missed**")
        self.assertEqual(self.goal({"limit-pwrite": 90}, "bare pwrite"), "reached")
        self.assertEqual(self.goal({"limit-pwrite": 70}, "bare pwrite"), "**missed**")

    def test_the_worst_number_of_threads_counts(self):
        case = case_of("w14")
        ns = {"commitlog, 4 threads": 120}
        medians = store.Medians(all_of(case, TREE, ns, systems=["root"]), case)
        self.assertEqual(report.verdict(case.goals[0], medians)[1], "**missed**")

    def test_the_largest_size_counts(self):
        case = case_of("w13")
        lines = all_of(case, TREE)
        larger = [{**line, "log_bytes": 2**31, "ns": line["ns"] * 2} for line in lines]
        value, word = report.verdict(case.goals[0], store.Medians(lines + larger, case))
        self.assertEqual((value, word), ("2.00", "**missed**"))

    def test_who_is_ahead_is_marked_and_a_limit_is_not(self):
        case = case_of("w1")
        lines = all_of(case, TREE, {"sqlite": 40, "limit-memory": 30}, systems=["root"])
        table = report.figure_table(case, case.figures[0], store.Medians(lines, case),
                                    report.Settings(), True)
        row = {line.split("|")[1].strip(): line for line in table}
        self.assertIn("ahead of us", row["sqlite"])
        self.assertNotIn("ahead", row["limit-memory (limit)"] + row["lmdb"] + row["commitlog"])
        self.assertIn("1 / 2 / 3", row["lmdb"])
        self.assertIn("| 1.91 MiB, 2,000 B each |", row["lmdb"])

    def test_figures_have_three_digits(self):
        self.assertEqual([report.time_text(ns) for ns in (0.5, 12.34, 999, 1234, 5e7, 2.5e9)],
                         ["0.500 ns", "12.3 ns", "999 ns", "1.23 µs", "50.0 ms", "2.50 s"])
        self.assertEqual([report.three(ratio) for ratio in (0, 0.00138, 0.0525, 0.217, 1, 12345)],
                         ["0", "0.00138", "0.0525", "0.217", "1.00", "12,345"])

    def test_a_batch_is_named(self):
        case = case_of("w1")
        lines = [{**line, "batch": 1000 if line["engine"] == "lmdb" else 1}
                 for line in all_of(case, TREE, {"lmdb": 200}, systems=["root"])]
        medians = store.Medians(lines, case)
        self.assertEqual(report.best_peer(case, medians, "ns", "commitlog"),
                         ("Lmdb, 1,000 at once", 202))
        settings = report.Settings()
        report.figure_table(case, case.figures[0], medians, settings, True)
        self.assertIn("| async | 1000 | as it", "\n".join(settings.table()))

    def test_ours_by_maps_is_compared_with_ours(self):
        case = case_of("w9")
        lines = all_of(case, TREE, {"commitlog-mmap, 10 ms": 1000}, systems=["root"])
        table = report.figure_table(case, case.figures[0], store.Medians(lines, case),
                                    report.Settings(), True)
        row = next(line for line in table if "| commitlog-mmap, 10 ms |" in line)
        self.assertIn("| 9.82 |", row)

    def test_the_readme_is_written_as_a_whole_or_not_at_all(self):
        with tempfile.TemporaryDirectory() as directory:
            path = pathlib.Path(directory) / "README.md"
            before = f"a\n{report.BEGIN}old\n{report.END}b\n"
            path.write_text(before, encoding="utf-8")
            half = all_of(case_of("w1"), TREE)
            self.assertFalse(report.write_readme(path, report.page(half, TREE, [])[1], TREE, []))
            self.assertEqual(path.read_text(encoding="utf-8"), before)
            few = [line for line in everything(TREE) if line["round"] == 0]
            less = [line for line in everything(TREE)
                    if (line["case"], line["round"]) != ("w12", 2)]
            self.assertFalse(report.write_readme(path, report.page(less, TREE, [])[1], TREE, []))
            self.assertFalse(report.write_readme(path, report.page(few, TREE, [])[1], TREE, []))
            shown = report.page(everything(TREE), TREE, [])[1]
            self.assertTrue(report.write_readme(path, shown, TREE, [("latency", "Latency")]))
            text = path.read_text(encoding="utf-8")
            self.assertTrue(text.startswith("a\n") and text.endswith("b\n"))
            self.assertNotIn("old", text)
            self.assertIn("bench/plots/latency.svg", text)
            self.assertIn("Lmdb", text)

    def test_the_readme_has_the_section(self):
        text = report.README.read_text(encoding="utf-8")
        self.assertEqual((text.count(report.BEGIN), text.count(report.END)), (1, 1))


class Plots(unittest.TestCase):
    def test_the_same_results_give_the_same_bytes(self):
        try:
            import plots
        except ImportError:
            self.skipTest("no matplotlib for this Python")
        shown = report.page(everything(TREE), TREE, [])[1]
        with tempfile.TemporaryDirectory() as directory:
            found = []
            for name in ("one", "two"):
                below = pathlib.Path(directory) / name
                drawn = plots.draw(shown, below)
                self.assertEqual([n for n, _ in drawn], [n for n, _, _ in plots.PLOTS])
                found.append({p.name: p.read_bytes() for p in below.iterdir()})
            self.assertEqual(found[0], found[1])
            self.assertNotIn(b"<dc:date>", b"".join(found[0].values()))
            self.assertEqual(plots.draw(report.page([], TREE, [])[1], below), [])
            self.assertEqual(list(below.iterdir()), [])


class Runner(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.below = pathlib.Path(directory.name)
        program = self.below / "bench/append"
        program.parent.mkdir()
        program.write_text(PRETENDER, encoding="utf-8")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        self.results = self.below / "results.jsonl"

    def run_it(self, *arguments, **more):
        """(exit status, which engines were asked, in order; what was said)"""
        asked = self.below / "asked"
        asked.write_text("", encoding="utf-8")
        environment = {**os.environ, "BUILD": str(self.below), "PRETENDED": str(asked),
                       "ENGINES": "commitlog lmdb sqlite", "SYSTEMS": "root", "ROUNDS": "2",
                       "FAILS": "", **more}
        done = subprocess.run(
            [sys.executable, str(parts.ROOT / "bench/run.py"), "--directory",
             str(self.below / "runs"), "--results", str(self.results), *arguments],
            check=False, env=environment, text=True, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT)
        return done.returncode, asked.read_text(encoding="utf-8").split(), done.stdout

    def recorded(self):
        return [(line["round"], line["run"]) for line in store.load(self.results)]

    def test_rounds_are_turned_and_the_first_is_not_counted(self):
        _, asked, _ = self.run_it("w1")
        rounds = [asked[i:i + 3] for i in range(0, len(asked), 3)]
        self.assertEqual(rounds[1:], [["commitlog", "lmdb", "sqlite"],
                                      ["sqlite", "lmdb", "commitlog"]])
        self.assertEqual(len(rounds), 3)
        self.assertEqual(len(self.recorded()), 6)
        line = store.load(self.results)[0]
        self.assertEqual(line["command"],
                         "append --engine commitlog --records 1000000 --bytes 1024")
        self.assertEqual(list((self.below / "runs").iterdir()), [])

    def test_places_and_neighbours_change(self):
        for count in (2, 3, 5, 17):
            names = [str(i) for i in range(count)]
            orders = [runner.turned(names, number) for number in range(5)]
            self.assertTrue(all(sorted(order) == sorted(names) for order in orders))
            places = {order.index("0") for order in orders}
            before = {order[order.index("0") - 1] for order in orders if order[0] != "0"}
            self.assertGreaterEqual(len(places), min(count, 3))
            self.assertGreaterEqual(len(before), min(count - 1, 2))

    def test_two_do_not_measure_at_once(self):
        try:
            held = parts.only_one("commitlog-bench")
        except SystemExit:
            held = contextlib.nullcontext()  # somebody does at this moment
        with held:
            done = subprocess.run([sys.executable, str(parts.ROOT / "bench/run.py"), "hash"],
                                  check=False, env={**os.environ, "SYSTEMS": ""}, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertEqual(done.returncode, 1)
        self.assertIn("another commitlog-bench runs", done.stdout)

    def test_what_fails_is_said_and_the_others_are_kept(self):
        status, _, said = self.run_it("w1", FAILS="lmdb")
        self.assertEqual(status, 1)
        self.assertIn("it broke", said)
        self.assertEqual({run for _, run in self.recorded()}, {"commitlog", "sqlite"})

    def test_no_round_begins_behind_the_time(self):
        _, asked, _ = self.run_it("w1", MINUTES="0.0000001")
        self.assertEqual(asked, [])

    def test_a_program_that_is_not_there_is_named(self):
        status, _, said = self.run_it("w3")
        self.assertEqual(status, 1)
        self.assertIn("not built: durable", said)

    def test_the_short_round_records_nothing(self):
        _, asked, said = self.run_it("--short", "w1")
        self.assertIn("lmdb", asked)
        self.assertIn("failed", said)
        self.assertFalse(self.results.exists())

    def test_only_complete_rounds_are_not_run_again(self):
        case = case_of("w1")
        lines = all_of(case, parts.tree_of_lib() or "uncommitted", systems=["root"], rounds=2)
        store.save(self.results, lines)
        _, asked, _ = self.run_it("w1")
        self.assertEqual(asked, [])
        store.save(self.results, [line for line in lines
                                  if (line["round"], line["run"]) != (1, "pmemlog")])
        _, asked, _ = self.run_it("w1")
        self.assertEqual(len(asked), 6)  # the one that is not counted, and the second


class Main(unittest.TestCase):
    def test_it_writes_what_it_is_told_to_write(self):
        with tempfile.TemporaryDirectory() as directory:
            below = pathlib.Path(directory)
            store.save(below / "r.jsonl", all_of(case_of("w1"), OLDER))
            before = report.README.read_bytes()
            arguments = ["report.py", "--results", str(below / "r.jsonl"), "--output", directory]
            try:
                import plots  # noqa: F401
            except ImportError:
                self.skipTest("no matplotlib for this Python")
            with contextlib.redirect_stdout(io.StringIO()):
                sys.argv = arguments
                self.assertEqual(report.main(), 1)
            self.assertIn("stale", (below / "RESULTS.md").read_text(encoding="utf-8"))
            self.assertEqual(report.README.read_bytes(), before)


if __name__ == "__main__":
    unittest.main(argv=[sys.argv[0], *sys.argv[1:]])
