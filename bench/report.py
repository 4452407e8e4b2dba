#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""report.py - writes bench/RESULTS.md, bench/plots/ and a section of README.md from results.jsonl.

    report.py [--results FILE] [--output DIR]    DIR: instead of bench/; README.md stays as it is

Exit status 1 unless every case has its rounds on the tree of lib/ at hand. A goal that is missed is
no failure of the report: it stands in it.
"""
import argparse
import math
import pathlib
import re
import statistics
import sys

import questions
import results as store
from results import parts

README = parts.ROOT / "README.md"
BEGIN = "<!-- speed: begin; make bench replaces what is here once it has measured it -->\n"
END = "<!-- speed: end -->\n"


# ---- how figures are shown ----------------------------------------------------------------------

def three(value):
    """Three digits that count, and no exponent."""
    if value == 0:
        return "0"
    return f"{value:,.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"


def time_text(ns):
    for unit, size in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if abs(ns) >= size:
            return f"{three(ns / size)} {unit}"
    return f"{three(ns)} ns"


def bytes_text(count):
    for unit, size in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if abs(count) >= size:
            return f"{three(count / size)} {unit}"
    return f"{count:.0f} B"


SHOWN = {"time": time_text, "bytes": bytes_text, "ratio": three,
         "count": lambda value: f"{value:,.0f}"}


def counted(number, word):
    return f"{number} {word}" + ("" if number == 1 else "s")


def median_text(values, show):
    return show(statistics.median(values)) if values else "-"


def flushes_text(lines):
    """fdatasync, fsync, msync: the medians."""
    names = ("fdatasyncs", "fsyncs", "msyncs")
    if not all(name in line for line in lines for name in names):
        return "-"
    return " / ".join(f"{statistics.median(line[name] for line in lines):.0f}" for name in names)


# Where the store has these records and no others, and more of them than it reserves room for.
PER_RECORD = ("append", "read", "queues", "keys")


def disk_text(lines):
    """What the files have in blocks, and of that each record."""
    found = [line for line in lines if line.get("disk_bytes")]
    if not found:
        return "-"
    text = bytes_text(statistics.median(line["disk_bytes"] for line in found))
    if found[0].get("question") in PER_RECORD:
        each = statistics.median(line["disk_bytes"] / line["records"] for line in found)
        text += f", {each:,.0f} B each"
    return text


# ---- what engines are set to --------------------------------------------------------------------

class Settings:
    """Numbers for what was set and what is lost, in the order in which tables name them."""

    FIELDS = ("engine", "version", "promise", "batch", "setting", "lost_at_kill",
              "lost_at_power_cut", "verifies")

    def __init__(self):
        self.numbers = {}

    def number(self, line):
        if "setting" not in line:
            return ""
        key = tuple(line.get(name, "") for name in self.FIELDS)
        return self.numbers.setdefault(key, len(self.numbers) + 1)

    def table(self):
        rows = ["| | engine | promise | records a commit | setting | lost at kill -9 | lost at a "
                "power cut | reads verified |", "|---|---|---|---|---|---|---|---|"]
        for key, number in self.numbers.items():
            engine, version, promise, batch, setting, kill, power, verifies = key
            words = (f'<a id="s{number}"></a>{number}', f"`{engine}`, {version}", promise, batch,
                     setting, kill, power, "yes" if verifies else "no")
            rows.append("| " + " | ".join(escaped(word) for word in words) + " |")
        return rows


def escaped(word):
    return str(word).replace("|", "\\|").replace("\n", " ")


# ---- goals --------------------------------------------------------------------------------------

def goal_text(goal):
    if goal.unit == "ratio":
        return f"{goal.kind} {goal.wanted:g} ×"
    return f"{goal.kind} {SHOWN[goal.unit](goal.wanted)}"


def verdict(goal, medians):
    """(what was reached, reached / missed / not measured)"""
    try:
        value = goal.value(medians)
    except KeyError:
        return "-", "not measured"
    return SHOWN[goal.unit](value), "reached" if goal.reached(value) else "**missed**"


def goals_table(shown):
    """`shown`: (case, system) -> (lines, state)"""
    rows = ["| | | goal | " + " | ".join(questions.SYSTEMS) + " |",
            "|---|---|---|" + "---|" * len(questions.SYSTEMS)]
    for case in questions.CASES:
        for goal in case.goals:
            cells = []
            for system in questions.SYSTEMS:
                lines, state = shown.get((case.name, system), ([], ""))
                if system not in case.systems:
                    cells.append("")
                    continue
                value, word = verdict(goal, store.Medians(lines, case))
                if goal.stretch and word == "**missed**":
                    word = "missed"
                doubt = f" ({state.partition(':')[0]})" if state and lines else ""
                cells.append(f"{value}: {word}{doubt}")
            what = goal.text + (" (stretch)" if goal.stretch else "")
            rows.append(f"| {case.question} | {what} | {goal_text(goal)} | " +
                        " | ".join(cells) + " |")
    return rows


# ---- tables of a case ---------------------------------------------------------------------------

def ratio_text(run, value, base, higher):
    """Time to ours; who is ahead of us is marked."""
    if not base or not value:
        return "-"
    times = base / value if higher else value / base
    ours = run.engine in questions.OUR_ENGINES
    if times < 1 and not ours and run.engine not in questions.LIMIT_ENGINES:
        return f"**{three(times)}, ahead of us**"
    return three(times)


def contestant_rows(case, medians):
    """(run, name, its lines) in the order of the case."""
    for run in case.runs:
        lines = medians.lines.get(run.name, [])
        for row in medians.row_names(run.name) if lines else ():
            name = f"{run.name}, {bytes_text(row)}" if run.split == "log_bytes" else run.name
            yield run, name, [r for r in lines if row is None or r[run.split] == row]


def figure_table(case, figure, medians, settings, first):
    head = ["", f"{figure.title}: median", "least … most", "libcommitlog = 1"]
    if first:
        head += [column.title for column in case.columns]
        head += ["fdatasync / fsync / msync", "on disk", "setting"]
    rows = []
    show = SHOWN[figure.unit]
    for run, name, lines in contestant_rows(case, medians):
        values = [line[figure.field] for line in lines if figure.field in line]
        try:
            base = medians(run.base, figure.field) if run.base else 0
        except KeyError:
            base = 0
        value = statistics.median(values) if values else 0
        limit = " (limit)" if run.engine in questions.LIMIT_ENGINES else ""
        row = [name + limit, median_text(values, show),
               f"{show(min(values))} … {show(max(values))}" if values else "-",
               ratio_text(run, value, base, figure.higher)]
        if first:
            row += [median_text([line[column.field] for line in lines if column.field in line],
                                SHOWN[column.unit]) for column in case.columns]
            number = settings.number(lines[-1])
            row += [flushes_text(lines), disk_text(lines),
                    f"[{number}](#s{number})" if number else ""]
        rows.append(row)
    # A column in which nobody has anything says nothing.
    kept = [i for i in range(len(head)) if i == 0 or any(row[i] not in ("-", "") for row in rows)]
    return ["| " + " | ".join(cells[i] for i in kept) + " |"
            for cells in (head, ["---"] * len(head), *rows)]


def case_text(case, shown, settings):
    text = [f"### {case.question}: {case.title}", ""]
    if case.note:
        text += [case.note, ""]
    text += [f"`{' '.join((case.program, *case.options))}`", ""]
    for system in case.systems:
        lines, state = shown[(case.name, system)]
        label = f"**{system}**"
        if lines:
            rounds = counted(len({line["round"] for line in lines}), "round")
            trees = ", ".join(sorted({line["tree"] for line in lines}))
            label += f" ({lines[-1]['mount']}): {rounds}, tree {trees}"
        text += [label + (f" - **{state}**" if state else ""), ""]
        if not lines:
            continue
        medians = store.Medians(lines, case)
        for i, figure in enumerate(case.figures):
            text += [*figure_table(case, figure, medians, settings, i == 0), ""]
    return text


# ---- the page -----------------------------------------------------------------------------------

HEAD = """# How fast it is

Written by `make bench`, which runs what is missing in parts and may be stopped and called again
(`MINUTES=60`, `WHAT="append durable"`, `ROUNDS=5`, `SYSTEMS="root ext4 xfs"`); `make bench-table`
only writes this page. Each question is a program of `bench/` that answers for one engine, in one
process; every record that it counts is read back and compared (of the largest stores, W11 and W13,
the last ones and samples). Within a round each engine runs
once, in an order that changes from round to round; a round that is not counted comes first. Figures
are medians over the rounds, with the least and the most; ratios are ratios of medians of the same
rounds, or the median of what a program compares within a run. *root*: the file system at hand;
*ext4*, *xfs*: in an image on it, by a loop device with direct I/O. *stale*: measured on an older
tree of `lib/` than the one that was at hand when the page was written, {tree}. Where another engine
is ahead of us, it says so. The lines behind the tables
are in `bench/results.jsonl`, the questions in `bench/questions.py`.

What `ns` counts and what is outside the clock is said at the head of each program. A limit is no
store: it does the least that one has to do.
"""

# Measured: bench/COST.md, "Measuring".
MEMORY_TEXT = """\
- it is a guest that gives free memory back to its host, and a page that it asks for again takes 5
  to 10 µs. Which run meets such pages is chance, less so for RocketMQ, whose warm-up has just used
  them; they cost most where files are written through maps (commitlog-mmap, pmemlog, RocketMQ);
  the least of the rounds met fewest of them"""

# What the machines of record do not say of themselves, by name and number of CPUs.
THREADS_TEXT = {("AMD EPYC", 2): "a virtual machine, whose two CPUs are hardware threads of one "
                "core: what two threads do at once takes each of them longer"}


def flush_text(results):
    """What the disk takes for a flush: of each file system, from the bare loop."""
    found = {}
    for line in results:
        if line["case"] == "w3" and line["engine"] == "limit-fdatasync":
            found.setdefault(line["system"], []).append(line["ns"])
    if not found:
        return []
    each = ", ".join(f"{system} {median_text(ns, time_text)}" for system, ns in found.items())
    return [f"- pwrite of 1 KiB and fdatasync, nothing else: {each}; a disk that has to reach its "
            "medium takes longer"]


def machine_text(results):
    text = ["## Machine", ""]
    machines = {}
    for line in results:
        machines.setdefault(tuple(sorted(line["machine"].items())), []).append(line)
    for fields, lines in machines.items():
        machine = dict(fields)
        dates = sorted({line["date"] for line in lines})
        hashes = [line["hash_1024_gb_per_s"] for line in lines if line["case"] == "hash"]
        beside = [line["beside_percent"] for line in lines if "beside_percent" in line]
        steal = [line["steal_percent"] for line in lines if "steal_percent" in line]
        text += [f"- {machine['cpu']}, {machine['cpus']} CPUs, {machine['memory_gib']} GiB, "
                 f"{machine['kernel']}; {dates[0]} to {dates[-1]}",
                 *(f"- {THREADS_TEXT[key]}" for key in [(machine["cpu"], machine["cpus"])]
                   if key in THREADS_TEXT), *flush_text(lines),
                 f"- {machine['compiler']}; `{machine['flags']}`",
                 f"- XXH3 of 1 KiB: {median_text(hashes, three)} GB/s"]
        if beside:
            text.append(f"- beside a run, other processes and the kernel's threads had "
                        f"{statistics.median(beside):.0f} % of one CPU (median; most "
                        f"{max(beside):.0f} %), other machines {statistics.median(steal):.0f} % "
                        f"(most {max(steal):.0f} %)")
        if machine.get("gives_memory_back"):
            text.append(MEMORY_TEXT)
    return text + [""]


def plots_text(names):
    if not names:
        return []
    return ["## Plots", "", *(f"![{title}](plots/{name}.svg)\n" for name, title in names)]


def page(results, tree, plots):
    shown = {(case.name, system): store.state_of(results, case, system, tree)
             for case in questions.CASES for system in case.systems}
    used = [line for lines, _ in shown.values() for line in lines]
    settings = Settings()
    body = sum((case_text(case, shown, settings) for case in questions.CASES), [])
    text = [HEAD.format(tree=tree or "which had changes that were not committed"),
            *machine_text(used), "## Goals", "", *goals_table(shown), "", *plots_text(plots),
            "## Questions", "", *body, "## Settings and losses", "", *settings.table()]
    missing = sum(1 for _, state in shown.values() if state)
    return "\n".join(text) + "\n", shown, missing


# ---- README.md ----------------------------------------------------------------------------------

def run_name(line, run):
    """The engine as it calls itself, and how many records it was given at once."""
    batch = line.get("batch", 1)
    return line.get("family", run.engine) + (f", {batch:,} at once" if batch > 1 else "")


def best_peer(case, medians, field, base):
    """(name, its median): of all that are neither ours nor a limit, beside this run of ours."""
    best = None
    for run in case.runs:
        if (run.base == base and field in {key for line in medians.lines.get(run.name, ())
                                           for key in line} and
                run.engine not in questions.OUR_ENGINES | questions.LIMIT_ENGINES):
            value = medians(run.name, field)
            name = run_name(medians.lines[run.name][-1], run)
            best = (name, value) if best is None or value < best[1] else best
    return best


def rate_text(ns):
    per_s = 1e9 / ns
    return f"{three(per_s / 1e6)} M/s" if per_s >= 1e6 else f"{three(per_s / 1e3)} k/s"


# What the README shows: case, our run, field, words, how.
README_ROWS = (
    ("w1", "commitlog", "ns", "append 1 KiB, one thread, asynchronous", rate_text),
    ("w2", "commitlog", "ns", "append 128 bytes, one thread, asynchronous", rate_text),
    ("w3", "commitlog", "ns", "append 1 KiB, durable, one thread", rate_text),
    ("w4", "commitlog, 16 threads", "ns", "append 1 KiB, durable, 16 threads", rate_text),
    ("w5", "commitlog", "compared_ns",
     "read 1 KiB in order from the page cache, each byte compared; ours verified besides",
     rate_text),
    ("w6", "commitlog", "ns", "read 1 KiB at a random offset", time_text),
    ("w7", "commitlog", "ns", "open after kill -9 behind a million records of 1 KiB", time_text),
    ("w8", "commitlog", "ns", "append 1 KiB to 1,000 queues in turn", rate_text),
)


# What else its plots show.
README_PLOTS = ("sizes", "w9", "w9-peers", "w12", "w14")


def readme_rows(shown):
    for name, run, field, words, show in README_ROWS:
        case = next(case for case in questions.CASES if case.name == name)
        lines, _ = shown[(name, "root")]
        medians = store.Medians(lines, case)
        try:
            ours = medians(run, field)
        except KeyError:
            continue
        peer = best_peer(case, medians, field, run)
        yield (f"| {words} | {show(ours)} | " +
               (f"{peer[0]} {show(peer[1])} | {three(peer[1] / ours)} |" if peer else "- | - |"))


def readme_text(shown, tree, plots):
    rows = list(readme_rows(shown))
    lines = [line for (_, system), (found, _) in shown.items() if system == "root"
             for line in found]
    machine = lines[-1]["machine"]
    trees = sorted({line["tree"] for line in lines})
    virtual = THREADS_TEXT.get((machine["cpu"], machine["cpus"]), "")
    stale = "" if trees == [tree] else f", tree of `lib/` {', '.join(trees)}, not the one at hand"
    text = ["Medians of interleaved rounds on one machine, beside the fastest of LMDB, RocksDB, "
            "LevelDB, SQLite, WiredTiger,", "libpmemlog and RocketMQ's own store "
            f"({machine['cpu']}, {machine['cpus']} CPUs, {machine['kernel']}"
            f"{'; ' + virtual if virtual else ''}; "
            f"{lines[-1]['mount'].split(';')[0]}{stale}).",
            "All questions, goals that were missed, settings, and what each engine loses: "
            "[bench/RESULTS.md](bench/RESULTS.md); run it with `make bench`.", "",
            "| | libcommitlog | the fastest other | times faster |", "|---|---|---|---|", *rows, ""]
    text += [f"![{title}](bench/plots/{name}.svg)\n" for name, title in plots]
    return "\n".join(text)


def write_readme(path, shown, tree, plots):
    """Only where all rounds of what it shows are there: what stands there is better than half."""
    text = path.read_text(encoding="utf-8")
    if (len(list(readme_rows(shown))) != len(README_ROWS) or
            any(shown[(name, "root")][1].startswith(("incomplete", "not run"))
                for name in (*(row[0] for row in README_ROWS), *README_PLOTS))):
        return False
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        sys.exit(f"{path.name} has no section between {BEGIN.strip()} and {END.strip()}")
    new = re.sub(re.escape(BEGIN) + ".*" + re.escape(END),
                 lambda _: BEGIN + readme_text(shown, tree, plots) + END, text, flags=re.DOTALL)
    parts.write_text(path, new)
    return True


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--results", type=pathlib.Path, default=store.RESULTS)
    parser.add_argument("--output", type=pathlib.Path)
    arguments = parser.parse_args()
    output = arguments.output or parts.ROOT / "bench"
    results, tree = store.load(arguments.results), parts.tree_of_lib()
    if not results:
        sys.exit(f"{arguments.results}: nothing has been measured yet: make bench")
    if arguments.results != store.RESULTS and tree is None:
        tree = "uncommitted"
    _, shown, _ = page(results, tree, [])
    try:
        import plots
        drawn = plots.draw(shown, output / "plots")
    except ImportError:
        sys.exit("no matplotlib for this Python: make deps-bench, and Debian's /usr/bin/python3")
    text, shown, missing = page(results, tree, drawn)
    parts.write_text(output / "RESULTS.md", text)
    print(f"{output / 'RESULTS.md'}: {len(results)} lines, {len(drawn)} plots")
    if not arguments.output:
        print("README.md: " + ("written" if write_readme(README, shown, tree, drawn)
                               else "left as it is: not all of its figures have been measured"))
    if missing:
        print(f"{missing} tables lack their rounds on this tree")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
