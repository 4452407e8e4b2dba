# SPDX-License-Identifier: BSD-2-Clause
"""report.py - bench/BROKER.md and its plots, from bench/broker/results.jsonl."""
import pathlib
import statistics
import sys

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402

import cases  # noqa: E402

BENCH = pathlib.Path(__file__).resolve().parents[1]
sys.path.append(str(BENCH))
import plots  # noqa: E402  colours and the look of all plots

TABLE = BENCH / "BROKER.md"
PLOTS = BENCH / "plots"
ROUNDS = 5
SERVERS = ("mini", "rocketmq")
COLOURS = {"mini": plots.OURS, "rocketmq": "#444444"}
HEAD = """# The mini-broker beside RocketMQ's broker

Written by `make bench-broker` (`bench/broker/run.py`), which runs what is missing and may be
stopped and called again; each run is a line of `bench/broker/results.jsonl`. Both brokers are
loaded by the same unmodified clients, in turns: `org.apache.rocketmq.example.benchmark` Producer
and Consumer of 5.5.0 on client 5.3.3, and for percentiles `SendLatency.java` on that client. The
server has one hardware thread, the clients the other of the same core. The official broker is 5.3.3
with its stock settings and `waitTimeMillsInSendQueue=1000`; its resident memory counts its maps of
files, as ours does. 8 queues; both index the unique key of each message. Before each run the page
cache is dropped; what the first seconds bring does not count; messages that failed are told.
Throughput is what the producer prints for windows of ten seconds, processor time is /proc's of the
server process over the same windows.
"""


class Medians:
    """Of the results on one tree."""

    def __init__(self, results, tree):
        self.rows = {}
        for row in results:
            if row["tree"] == tree:
                self.rows.setdefault((row["case"], row["engine"]), []).append(row)

    def of(self, case, engine):
        return self.rows.get((case.name, engine), [])

    def both(self, case):
        return all(self.of(case, engine) for engine in SERVERS)

    def middle(self, case, engine, field):
        return statistics.median(row[field] for row in self.of(case, engine))

    def ratio(self, case, field):
        return self.middle(case, "mini", field) / self.middle(case, "rocketmq", field)

    def cell(self, case, engine, field, form):
        values = sorted(row[field] for row in self.of(case, engine))
        spread = f" ({form.format(values[0])}–{form.format(values[-1])})" if len(values) > 1 else ""
        return form.format(statistics.median(values)) + spread


COUNT, SMALL, TINY = "{:,.0f}", "{:.1f}", "{:.2f}"
PROCESSOR = ("server's processor time a message, µs", "cpu_us", SMALL)
# Of each kind: (heading, note, columns: (title, field, form)).
TABLES = {
    "send": ("Sending", "Flush, bytes of a body, threads that send.",
             (("messages a second", "per_s", COUNT), ("mean, ms", "mean_ms", TINY),
              ("longest, ms", "max_ms", COUNT), ("failed", "failed", COUNT), PROCESSOR,
              ("resident, MiB", "rss_mib", COUNT))),
    "latency": ("Latency of a send", f"1 KiB. {cases.PACED:,} a second by 16 threads, each at its "
                "due time; *full*: 8 threads, each as soon as it has its answer.",
                (("messages a second", "per_s", COUNT), ("p50, µs", "p50_us", COUNT),
                 ("p99", "p99_us", COUNT), ("p99.9", "p999_us", COUNT),
                 ("p99.99", "p9999_us", COUNT), ("longest", "max_us", COUNT),
                 ("failed", "failed", COUNT))),
    "consume": ("Sending and consuming", "8 threads send 1 KiB, 20 consume.",
                (("sent a second", "per_s", COUNT), ("consumed a second", "consumed_per_s", COUNT),
                 ("from birth to consumer, ms", "born_to_consumed_ms", TINY), PROCESSOR)),
    "backlog": ("Catching up", "A group finds two million messages of 1 KiB; its best ten seconds.",
                (("consumed a second", "consumed_per_s", COUNT), PROCESSOR)),
    "start": ("Start", "A store of 10 GiB (bodies of 4 KiB), its files in the page cache: from the "
              "start of the process until a pull of its last message is answered.",
              (("after a stop, s", "stopped_s", TINY), ("after kill -9, s", "killed_s", TINY))),
}


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
                ratios = ["" if field == "failed" else f"**{medians.ratio(case, field):.2f}**"
                          for _, field, _ in columns]
                yield f"| | mini / rocketmq | | {' | '.join(ratios)} |"
        yield ""


def goals(medians):
    lines = ["## Goals\n", "Ratios mini / rocketmq, the worst of all cases that have been run.\n",
             "| what | goal | worst | where | cases | |", "|---|---|---|---|---|---|"]
    for what, chosen, field, kind, wanted in cases.GOALS:
        found = [(medians.ratio(case, field), case.name) for case in chosen if medians.both(case)]
        if not found:
            continue
        value, where = min(found) if kind == "at least" else max(found)
        good = value >= wanted if kind == "at least" else value <= wanted
        lines.append(f"| {what} | {kind} {wanted:.3g} | {value:.3g} | {where} | {len(found)} of "
                     f"{len(chosen)} | {'reached' if good else '**missed**'} |")
    for case in cases.STARTS:
        if medians.of(case, "mini"):
            value = max(medians.middle(case, "mini", field) for field in ("stopped_s", "killed_s"))
            good = "reached" if value < cases.START_GOAL_S else "**missed**"
            lines.append(f"| start to serving 10 GiB, s | under {cases.START_GOAL_S} | "
                         f"{value:.2f} | {case.name} | 1 of 1 | {good} |")
    return [*lines, ""] if len(lines) > 4 else []


def by_threads(medians):
    """Throughput: a panel for each size, lines for the servers."""
    chosen = [case for case in cases.SENDS if medians.both(case)]
    if not chosen:
        return None
    figure, panels = plt.subplots(len(cases.FLUSHES), len(cases.SIZES), figsize=(9, 5.2),
                                  sharex=True, squeeze=False)
    for row, flush in zip(panels, cases.FLUSHES):
        for axes, (name, size) in zip(row, cases.SIZES.items()):
            for engine in SERVERS:
                mine = [case for case in chosen if (case.flush, case.size) == (flush, size)]
                axes.plot([case.threads for case in mine],
                          [medians.middle(case, engine, "per_s") / 1e3 for case in mine],
                          marker="o", markersize=4, color=COLOURS[engine], label=engine)
            axes.set_xscale("log", base=2)
            axes.set_xticks(cases.THREADS, [str(count) for count in cases.THREADS])
            axes.set_ylim(bottom=0)
            axes.set(title=f"{flush}, {name}")
    for axes in panels[-1]:
        axes.set_xlabel("threads that send")
    for axes in panels[:, 0]:
        axes.set_ylabel("thousand a second")
    panels[0][0].legend()
    return figure


def by_percentile(medians):
    chosen = [case for case in cases.LATENCIES if medians.both(case)]
    if not chosen:
        return None
    fields = (("p50_us", "50"), ("p99_us", "99"), ("p999_us", "99.9"), ("p9999_us", "99.99"),
              ("max_us", "max"))
    figure, panels = plt.subplots(1, len(chosen), figsize=(2.6 * len(chosen) + 1, 3.2), sharey=True,
                                  squeeze=False)
    for axes, case in zip(panels[0], chosen):
        for engine in SERVERS:
            axes.plot([label for _, label in fields],
                      [medians.middle(case, engine, field) / 1e3 for field, _ in fields],
                      marker="o", markersize=4, color=COLOURS[engine], label=engine)
        axes.set_yscale("log")
        axes.set(title=case.name.removeprefix("latency-"), xlabel="percentile")
    panels[0][0].set_ylabel("ms a send")
    panels[0][0].legend()
    return figure


def draw(medians):
    drawn = []
    PLOTS.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context(plots.SETTINGS):
        for name, title, make in (("broker-throughput", "Messages a second by threads", by_threads),
                                  ("broker-latency", "Latency of a send", by_percentile)):
            figure = make(medians)
            path = PLOTS / f"{name}.svg"
            if figure is None:
                path.unlink(missing_ok=True)
                continue
            plots.save(figure, path)
            drawn.append(f"![{title}](plots/{name}.svg)\n")
    return drawn


def about(medians, tree, newest):
    rows = [row for found in medians.rows.values() for row in found]
    dates = sorted({row["date"] for row in rows})
    words = [f"Measured on {', '.join(sorted({row['cpu'] for row in rows}))}, "
             f"{' to '.join(dict.fromkeys((dates[0], dates[-1])))}, trees of "
             f"`lib/` and `examples/mini-broker/` {tree.replace('+', ' and ')}."]
    if tree != newest:
        words.append("**Stale**: the trees at hand are others.")
    for name, text in (("java", "The official broker's virtual machine: `{}`."),
                       ("warm_s", "The first {} seconds of each run do not count.")):
        values = dict.fromkeys(str(row[name]) for row in rows if name in row)
        words += [text.format(" or ".join(values))] if values else []
    counts = [len(found) for found in medians.rows.values()]
    few, most = min(counts), max(counts)
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


def write(results, newest):
    """Of the newest tree for which there is anything."""
    trees = [row["tree"] for row in results]
    if not trees:
        sys.exit("nothing has been measured")
    tree = newest if newest in trees else trees[-1]
    medians = Medians(results, tree)
    lines = [HEAD, about(medians, tree, newest), *goals(medians), *draw(medians),
             *tables(medians)]
    TABLE.write_text("\n".join(lines).rstrip() + "\n", encoding="utf-8")
