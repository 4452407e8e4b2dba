# SPDX-License-Identifier: BSD-2-Clause
"""What a run of run.py found, as a page: RESULTS.md is that of the last whole run."""

import subprocess

import artifacts

HEAD = """# What unmodified clients found

Written by `tests/broker/run.py --results tests/broker/RESULTS.md`, {date}: {what}, SEED={seed}, on
{trees}.
{passed} passed, {failed} failed, {skipped} skipped. [README.md](README.md) says what each client
is, with version and checksum, and what is compared.
"""
MARKS = {"passed": "yes", "skipped": "skipped", "FAILED": "**no**"}


def trees():
    """Of what was tried. A + stands for changes that are not in a commit."""
    names = []
    for folder in ("lib", "examples/mini-broker", "tests/broker"):
        name = subprocess.run(["git", "rev-parse", "--short=12", f"HEAD:{folder}"], check=True,
                              cwd=artifacts.ROOT, capture_output=True, text=True).stdout.strip()
        changed = subprocess.run(["git", "status", "--porcelain", "--", folder], check=True,
                                 cwd=artifacts.ROOT, capture_output=True, text=True).stdout
        changed = [line for line in changed.splitlines() if not line.endswith(".md")]
        names.append(f"`{folder}` {name}{'+' if changed else ''}")
    return ", ".join(names)


def is_example(row):
    return row["case"].startswith("example-")


def is_class(row):
    return row["client"].startswith("rocketmq-test")


def cell(text):
    return text.replace("|", "\\|").replace("\n", " ")


def by_client(rows):
    """A line for each case, a column for each client."""
    clients = sorted({row["client"] for row in rows})
    names = list(dict.fromkeys(sorted(row["case"] for row in rows)))
    found = {(row["case"], row["client"]): row["result"] for row in rows}
    lines = ["| | " + " | ".join(clients) + " |", "|---" * (len(clients) + 1) + "|"]
    for name in names:
        marks = [MARKS.get(found.get((name, client)), "") for client in clients]
        lines.append(f"| {name} | " + " | ".join(marks) + " |")
    return lines


def by_row(rows):
    lines = ["| | | s | |", "|---|---|---|---|"]
    for row in sorted(rows, key=lambda row: row["case"]):
        lines.append(f"| {row['case']} | {MARKS[row['result']]} | {row['seconds']:.0f} "
                     f"| {cell(row['text'])} |")
    return lines


def remarks(rows):
    """What was not passed, with its reason."""
    rows = [row for row in rows if row["result"] != "passed"]
    return [*(f"- {row['case']}, {row['client']}: {row['result']}: {cell(row['text'])}"
                  for row in sorted(rows, key=lambda row: (row["case"], row["client"])))]


def write(path, table, what, seed, date):
    parts = (
        ("Cases", by_client, [r for r in table.rows
                              if not is_example(r) and not is_class(r) and r["client"] != "-"]),
        ("Cases of no client, or of several", by_row,
         [r for r in table.rows if not is_example(r) and not is_class(r) and r["client"] == "-"]),
        ("Official examples", by_client, [r for r in table.rows if is_example(r)]),
        ("RocketMQ's own integration tests", by_row, [r for r in table.rows if is_class(r)]),
    )
    lines = [HEAD.format(what=what, seed=seed, date=date, trees=trees(),
                         **{state.lower(): table.count(state)
                            for state in ("passed", "FAILED", "skipped")})]
    for title, form, rows in parts:
        if rows:
            lines += [f"## {title}", "", *form(rows)]
            said = remarks(rows) if form is by_client else []
            lines += ["", *said, ""] if said else [""]
    with open(path, "w", encoding="utf-8") as out:
        out.write("\n".join(lines).rstrip() + "\n")
