#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""proof.py - what the store is trusted for: runs each row of the proof in parts and keeps a table.

    proof.py [ROW...]           the parts that are missing; MINUTES=n stops after that time, JOBS=n
                                runs so many at once (default 1: some need both threads)
    proof.py --table [ROW...]   runs nothing: writes and prints the table
    proof.py --short [ROW...]   one short run of each, nothing recorded; JOBS=n

A part that ended well is a line of tests/proof/results.jsonl and is not run again on the same tree
of lib/ (and, of some rows, of what else they are about), so that a run can be stopped and taken up
on another machine. tests/PROOF.md shows for each row the newest tree on which it is complete; when
that is not the tree at hand the row is stale.
It prints the rows that were asked for; the page has all of them. Exit status 1 if one that was
asked for lacks its figure, is stale, or found a violation.
"""
import concurrent.futures
import datetime
import os
import re
import subprocess
import sys
import threading
import time

import parts
from parts import ROOT
from proof_rows import ROWS, SHORT_LONGEST, SHORT_SECONDS

RESULTS = ROOT / "tests/proof/results.jsonl"
TABLE = ROOT / "tests/PROOF.md"
LOGS = ROOT / "build/proof"
FIGURES = re.compile(r"^figures:((?: [a-z_0-9]+=-?[0-9]+)+)\s*$", re.MULTILINE)
SKIP = re.compile(r"^skip: .*$", re.MULTILINE)

record_lock = threading.Lock()


def record(result):
    """Takes the place of what the same part said on the same tree."""
    key = ("row", "part", "tree")
    with record_lock:
        kept = [r for r in parts.load(RESULTS) if any(r[k] != result[k] for k in key)]
        parts.save(RESULTS, kept + [result])


def run(row, part, command, limit_s):
    """(exit status, figures, reason for a skip, log) of one command line."""
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / f"{row.name}-{part}.log"
    with log.open("wb") as out:
        status = parts.run(["/bin/sh", "-c", command], limit_s, out)
    text = log.read_text(encoding="utf-8", errors="replace")
    found = FIGURES.findall(text)
    figures = dict((name, int(value)) for name, value in
                   (pair.split("=") for pair in found[-1].split())) if found else {}
    skip = SKIP.search(text)
    return status, figures, skip.group(0) if skip and not found else None, log


def build(targets):
    for target in dict.fromkeys(targets):
        print(f"building: make {target}", flush=True)
        subprocess.run(f"${{MAKE:-make}} -j{os.cpu_count()} {target}", cwd=ROOT, shell=True,
                       check=True, stdout=subprocess.DEVNULL)


def shown(figures):
    return ", ".join(f"{name.replace('_', ' ')} {value:,}" for name, value in figures.items())


def run_part(row, part):
    tree = parts.tree_of(*row.folders)
    begin = time.monotonic()
    status, figures, _, log = run(row, part, row.command(part), row.limit_s)
    seconds = round(time.monotonic() - begin)
    good = status == 0 and bool(figures)
    if good and tree and parts.tree_of(*row.folders) == tree:
        record({"row": row.name, "part": part, "tree": tree, "figures": figures,
                "seconds": seconds, "date": datetime.date.today().isoformat()})
    verdict = shown(figures) if good else f"FAILED, status {status}, see {log.relative_to(ROOT)}"
    print(f"{row.name} {part + 1}/{row.parts} ({seconds} s): {verdict}", flush=True)
    return good


def pooled(function, work):
    """The results of all, JOBS at once."""
    with concurrent.futures.ThreadPoolExecutor(int(os.environ.get("JOBS", "1"))) as pool:
        jobs = [pool.submit(function, *arguments) for arguments in work]
        try:
            return [job.result() for job in jobs]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            parts.end_all()
            raise


def run_missing(rows):
    done = {(r["row"], r["part"], r["tree"]) for r in parts.load(RESULTS)}
    trees = {row.name: parts.tree_of(*row.folders) for row in rows}
    work = [(row, part) for row in rows for part in range(row.parts)
            if (row.name, part, trees[row.name]) not in done]
    build(target for row in rows if any(row is r for r, _ in work)
          for target in (*row.build, *row.build_whole))
    minutes = float(os.environ.get("MINUTES", "0"))
    end = time.monotonic() + 60 * minutes if minutes else float("inf")
    return sum(not good for good in pooled(
        lambda row, part: time.monotonic() >= end or run_part(row, part), work))


def run_row_short(row):
    """What became of it."""
    begin = time.monotonic()
    status, figures, skip, log = run(row, "short", row.short, 4 * SHORT_SECONDS)
    seconds = round(time.monotonic() - begin)
    if status in (0, 77) and skip:
        print(f"skip  {row.name:12} ({seconds} s) {skip}", flush=True)
        return "skipped"
    if status == 0 and figures:
        print(f"ok    {row.name:12} ({seconds} s) {shown(figures)}", flush=True)
        return "holds"
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    print(f"FAIL  {row.name:12} ({seconds} s) status {status}, log {log}\n" +
          "\n".join("      " + line for line in lines[-40:]), flush=True)
    return "failed"


def run_short(rows):
    """Each row once, as long as a change may be kept waiting for it; nothing is recorded."""
    rows = [row for row in rows if row.short]
    build(target for row in rows for target in row.build)
    # The longest first, and the rest beside them.
    rows.sort(key=lambda row: SHORT_LONGEST.index(row.name) if row.name in SHORT_LONGEST else 99)
    said = pooled(run_row_short, [(row,) for row in rows])
    bad, skipped = said.count("failed"), said.count("skipped")
    print(f"{len(rows) - bad - skipped} rows hold, {skipped} skipped, {bad} failed")
    return bad


def summed(row, results):
    figures = {}
    for result in results:
        for name, value in result["figures"].items():
            figures[name] = row.join(name)(figures[name], value) if name in figures else value
    return figures


def state_of(row, results, tree):
    """(the results shown, their figures, what is to be said of them)"""
    trees = {}
    for result in results:
        trees.setdefault(result["tree"], []).append(result)
    here = trees.pop(tree, [])
    if row.holds(summed(row, here), len(here)):
        return here, summed(row, here), "holds"
    for old in reversed(list(trees.values())):
        if row.holds(summed(row, old), len(old)):
            return old, summed(row, old), "stale"
    return here, summed(row, here), "incomplete" if here else "not run"


def table(rows):
    results = parts.load(RESULTS)
    lines = ["| what | figure needed | measured | parts | tree | last run | |",
             "|---|---|---|---|---|---|---|"]
    missing = 0
    for row in rows:
        mine = [r for r in results if r["row"] == row.name]
        used, figures, state = state_of(row, mine, parts.tree_of(*row.folders))
        missing += state != "holds"
        minutes = sum(r["seconds"] for r in used) / 60
        lines.append(
            f"| `{row.name}`: {row.title} | {row.needed()} | {shown(figures) or '-'} | "
            f"{len(used)} of {row.parts}, {minutes:.0f} min | "
            f"{used[-1]['tree'] if used else '-'} | "
            f"{max(r['date'] for r in used) if used else '-'} | "
            f"{state if state == 'holds' else '**' + state + '**'} |")
    return lines, missing


HEAD = """# What has been tried on the store

Written by `make proof`, which runs what is missing in parts and may be stopped and called again;
`make proof-table` only writes this page. Every row is a program of this tree that ends with an
error if what it checks is violated once; its figures are those of all its parts. *holds*: on the
tree of `lib/` that was at hand when the page was written, {tree}
(`git rev-parse HEAD:lib`; behind a + what else a row is about). *stale*: the figures are of an
older tree. Each part is a line of `tests/proof/results.jsonl`; the rows are defined in
`tools/check/proof_rows.py`. `make proof ROWS="nth soak"` runs some, `MINUTES=30` for that long.

*struck*: the fault that was asked for was met. *ghosts*: records that were never appended, or
were cut, and are read. *latched missing*: a store that failed and went on. *untold*: a request
failed without which the file system could do. *flips unsettled*: in stores whose writer died.
*torn taken*: of these, taken for a torn tail.

"""


def main():
    arguments = sys.argv[1:]
    if {a for a in arguments if a.startswith("-")} - {"--table", "--short"}:
        sys.exit(__doc__)
    names = [a for a in arguments if not a.startswith("-")]
    unknown = set(names) - {row.name for row in ROWS}
    if unknown:
        sys.exit(f"no such row: {' '.join(sorted(unknown))}; there are "
                 f"{' '.join(row.name for row in ROWS)}")
    rows = [row for row in ROWS if not names or row.name in names]
    parts.exit_at_sigterm()
    os.environ.pop("ROWS", None)  # of this program; tests have rows of their own
    if "--short" in arguments:
        return 1 if run_short(rows) else 0
    tree = parts.tree_of_lib()
    bad = 0
    if "--table" not in arguments:
        if any(parts.tree_of(*row.folders) is None for row in rows):
            sys.exit("lib/, include/ or what a row is about beside them differs from the last "
                     "commit: commit first, or a row would name a tree that nobody has")
        bad = run_missing(rows)
    lines, _ = table(ROWS)
    TABLE.write_text(HEAD.format(tree=tree or "which had changes that were not committed") +
                     "\n".join(lines) + "\n", encoding="utf-8")
    lines, missing = table(rows)
    print("\n".join(lines))
    if missing or bad:
        print(f"{missing} of {len(rows)} rows lack their figure on this tree, "
              f"{bad} parts failed")
    return 1 if missing or bad else 0


if __name__ == "__main__":
    sys.exit(main())
