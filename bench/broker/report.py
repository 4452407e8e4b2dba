# SPDX-License-Identifier: BSD-2-Clause
"""report.py - bench/BROKER.md and its plots, from bench/broker/results.jsonl."""
import pathlib
import statistics
import sys

import cases
from cases import ROUNDS, SERVERS

BENCH = pathlib.Path(__file__).resolve().parents[1]
TABLE = BENCH / "BROKER.md"
PLOTS = BENCH / "plots"
# Results are only beside each other if all of these are the same.
VERSION = ("tree", "settings", "warm_s", "counted_s")
HEAD = """# The mini-broker beside RocketMQ's broker

Written by `make bench-broker` (`bench/broker/run.py`), which runs what is missing and may be
stopped and called again; each run is a line of `bench/broker/results.jsonl`. Both brokers are
loaded by the same unmodified clients: `org.apache.rocketmq.example.benchmark` Producer and Consumer
of 5.5.0 on client 5.3.3, and for percentiles `SendLatency.java` on that client. They take turns,
and who begins alternates from round to round: of five rounds, the mini-broker goes first in three.
The server has one hardware thread, the clients the other of the same core. 8 queues; both index the
unique key of each message. Before each run the page cache is dropped.

The official broker is 5.3.3 with its stock settings and `waitTimeMillsInSendQueue=1000`. Its
virtual machine has the flags of its `runbroker.sh`, with a heap of 4 GiB and 2 GiB of direct memory
in place of 8 and 15. One of them, AlwaysPreTouch, makes the whole heap resident; memory is compared
in runs of its own without it (memory-async, memory-sync), which favours the official broker.
Resident memory counts maps of files, for both.

Throughput is what the producer prints each ten seconds, which is about the last nine of them.
Processor time is /proc's of the server process, from the line behind the warm time to the last one
that counts, for as many messages as that throughput makes in it. Messages that failed are those
since that first line.

With async flush a send is answered before the disk has it. A power cut takes from the mini-broker
what came since its last flush, which begins 10 ms after a message or at 16 MiB; from the official
one what came since its last, which is each 500 ms for whole groups of four pages and each 10 s for
the rest. With sync flush nothing that was answered.

Not asked: p99.9 at other sizes than 1 KiB, messages with keys (keyEnable), batches, how often fsync
is called, how many bytes are written for each of a message, and official programs that are made to
write headers in JSON (they write binary ones; `SendLatency.java` JSON, the client's default).
"""


def version(row):
    return tuple(row[name] for name in VERSION)


class Medians:
    """Of the results of one version."""

    def __init__(self, rows):
        self.rows = {}
        for row in rows:
            self.rows.setdefault((row["case"], row["engine"]), []).append(row)

    def all(self):
        return [row for found in self.rows.values() for row in found]

    def of(self, case, engine):
        return self.rows.get((case.name, engine), [])

    def both(self, case):
        return all(self.of(case, engine) for engine in SERVERS)

    def rounds(self, case, engine):
        return len({row["round"] for row in self.of(case, engine)})

    def complete(self, chosen=cases.CASES, engines=SERVERS):
        return all(self.rounds(case, engine) >= ROUNDS for case in chosen for engine in engines)

    def failed(self, chosen, engine):
        return int(sum(row.get("failed", 0) for case in chosen for row in self.of(case, engine)))

    def middle(self, case, engine, field):
        return statistics.median(row[field] for row in self.of(case, engine))

    def ratio(self, case, field):
        return self.middle(case, "mini", field) / self.middle(case, "rocketmq", field)

    def cell(self, case, engine, field, form):
        values = sorted(row[field] for row in self.of(case, engine))
        spread = f" ({form.format(values[0])}–{form.format(values[-1])})" if len(values) > 1 else ""
        return form.format(statistics.median(values)) + spread


COUNT, SMALL, TINY = "{:,.0f}", "{:.1f}", "{:.2f}"
RATE, FAILED = ("messages a second", "per_s", COUNT), ("failed", "failed", COUNT)
PROCESSOR = ("server's processor time a message, µs", "cpu_us", SMALL)
# Of each kind: (heading, note, columns: (title, field, form)).
TABLES = {
    "send": ("Sending", "Flush, bytes of a body, threads that send.",
             (RATE, ("mean, ms", "mean_ms", TINY), FAILED, PROCESSOR)),
    "memory": ("Resident memory", "8 threads that send 1 KiB as fast as they can, at the end of "
               "the counted time; MiB. The official broker without AlwaysPreTouch.",
               (RATE, ("resident", "rss_mib", COUNT), ("most", "hwm_mib", COUNT),
                ("of it, of no file", "anon_mib", COUNT), ("of files", "file_mib", COUNT), FAILED)),
    "latency": ("Latency of a send", f"1 KiB. {cases.PACED:,} a second by 16 threads, each at its "
                "due time, behind a warm time without pace; *full*: 8 threads, each as soon as it "
                "has its answer. Of sends that were answered SEND_OK.",
                (RATE, ("p50, µs", "p50_us", COUNT), ("p99", "p99_us", COUNT),
                 ("p99.9", "p999_us", COUNT), ("p99.99", "p9999_us", COUNT),
                 ("longest", "max_us", COUNT), FAILED)),
    "consume": ("Sending and consuming", "8 threads send 1 KiB, 20 consume.",
                (("sent a second", "per_s", COUNT), ("consumed a second", "consumed_per_s", COUNT),
                 ("from birth to consumer, ms", "born_to_consumed_ms", TINY), FAILED, PROCESSOR)),
    "backlog": ("Catching up", "A group finds two million messages of 1 KiB; its best nine "
                "seconds, and the processor time until it has all.",
                (("consumed a second", "consumed_per_s", COUNT), PROCESSOR)),
    "start": ("Start", "A store of 10 GiB (bodies of 4 KiB): from the start of the process until a "
              "pull of its last message is answered. Its files have just been read, so that they "
              "are in the page cache; cold, caches were dropped, of programs, too. When it was "
              "killed while a producer sends, the message is the last from before.",
              (("after a stop, s", "stopped_s", TINY),
               ("after kill -9, s", "killed_s", TINY),
               ("after kill -9 while a producer sends, s", "killed_sending_s", TINY),
               ("cold, after a stop, s", "cold_s", TINY))),
}


def ratio_text(medians, case, field):
    if field == "failed" or not medians.middle(case, "rocketmq", field):
        return ""
    return f"**{medians.ratio(case, field):.2f}**"


def tables(medians):
    for kind, (heading, note, columns) in TABLES.items():
        chosen = [case for case in cases.CASES if case.kind == kind and
                  any(medians.of(case, engine) for engine in SERVERS)]
        if not chosen:
            continue
        yield f"## {heading}\n\n{note}\n"
        yield "| case | server | runs | " + " | ".join(title for title, *_ in columns) + " |"
        yield "|---" * (3 + len(columns)) + "|"
        for case in chosen:
            for engine in SERVERS:
                if medians.of(case, engine):
                    cells = [medians.cell(case, engine, field, form) for _, field, form in columns]
                    yield f"| {case.name} | {engine} | {len(medians.of(case, engine))} | " \
                        f"{' | '.join(cells)} |"
            if medians.both(case):
                ratios = [ratio_text(medians, case, field) for _, field, _ in columns]
                yield f"| | mini / rocketmq | | {' | '.join(ratios)} |"
        yield ""


def verdict(goal, value, medians):
    """A goal is not reached with messages that we refused; that the other did is noted."""
    good = value >= goal.wanted if goal.kind == "at least" else value <= goal.wanted
    ours, others = (medians.failed(goal.cases, engine) for engine in SERVERS)
    words = "reached" if good and not ours else "**missed**"
    if ours:
        words += f" ({ours:,} failed)"
    if not medians.complete(goal.cases, SERVERS if goal.ratio else SERVERS[:1]):
        words += " so far"
    return words + (f"; rocketmq: {others:,} failed" if others else "")


def goal_row(goal, medians):
    """The worst of what has been run."""
    found = []
    for case in goal.cases:
        if medians.both(case) if goal.ratio else medians.of(case, "mini"):
            found += [(medians.ratio(case, field) if goal.ratio else
                       medians.middle(case, "mini", field), case.name) for field in goal.fields]
    begin = f"| {goal.what} | {goal.kind} {goal.wanted:.3g} | "
    count = f"{len({name for _, name in found})} of {len(goal.cases)}"
    if not found:
        return f"{begin}| | {count} | not run |"
    value, where = min(found) if goal.kind == "at least" else max(found)
    return f"{begin}{value:.3g} | {where} | {count} | {verdict(goal, value, medians)} |"


def goals(medians):
    return ["## Goals\n", "Ratios mini / rocketmq, but for the start: the worst of all cases that "
            "have been run.\n",
            "| what | goal | worst | where | cases | |", "|---|---|---|---|---|---|",
            *(goal_row(goal, medians) for goal in cases.GOALS), ""]


def machine_text(rows):
    found = dict.fromkeys(f"{row['machine']['cpu']}, {row['machine']['cpus']} CPUs, "
                          f"{row['machine']['memory_gib']} GiB, {row['machine']['kernel']}"
                          for row in rows)
    beside, steal = ([row[f"{what}_percent"] for row in rows] for what in ("beside", "steal"))
    return (f"Beside a run, other processes and the kernel's threads had "
            f"{statistics.median(beside):.0f} % of one CPU (median; most {max(beside):.0f} %), "
            f"other machines {statistics.median(steal):.0f} % (most {max(steal):.0f} %).",
            " and ".join(found))


def about(medians, newest):
    rows = medians.all()
    row = rows[0]
    dates = sorted({row["date"] for row in rows})
    beside, machines = machine_text(rows)
    words = [f"Measured on {machines}, {' to '.join(dict.fromkeys((dates[0], dates[-1])))}, trees "
             f"of `lib/`, `include/` and `examples/mini-broker/` {row['tree'].replace('+', ', ')}, "
             f"settings {row['settings']}."]
    if any(row[name] != newest[name] for name in ("tree", "settings")):
        words.append("**Stale**: the trees or the settings at hand are others.")
    words += [beside, f"The official broker's virtual machine: `{row['java']}`, and "
              "`-XX:+AlwaysPreTouch` but in memory-*.",
              f"The first {row['warm_s']} seconds of each run do not count; {row['counted_s']} do."]
    few = min(medians.rounds(case, engine) for case in cases.CASES for engine in SERVERS)
    most = max(len(found) for found in medians.rows.values())
    if most == 1:
        words.append(f"**One round of {ROUNDS} so far: single values, no medians.**")
    elif few < ROUNDS:
        words.append(f"Some cases have {few} of the {ROUNDS} rounds that figures should have.")
    missing = [case.name for case in cases.CASES if not medians.both(case)]
    if missing:
        words.append(f"Not run: {', '.join(missing)}.")
    if most > 1:
        words.append("Medians, with the lowest and the highest.")
    return " ".join(words) + "\n"


def shown(results):
    """Of the newest version that is complete; where there is none, of the one that has most."""
    versions = dict.fromkeys(version(row) for row in reversed(results))
    found = [Medians(row for row in results if version(row) == each) for each in versions]
    return next((medians for medians in found if medians.complete()),
                max(found, key=lambda medians: len(medians.all())))


def page(medians, newest, drawn=()):
    lines = [HEAD, about(medians, newest), *goals(medians), *drawn, *tables(medians)]
    return "\n".join(lines).rstrip() + "\n"


def write(results, newest):
    """`newest`: the tree and the settings at hand."""
    if not results:
        sys.exit(f"nothing has been measured: {TABLE.name} stays as it is")
    import drawings  # pylint: disable=import-outside-toplevel  needs matplotlib
    medians = shown(results)
    TABLE.write_text(page(medians, newest, drawings.draw(medians, PLOTS)), encoding="utf-8")
