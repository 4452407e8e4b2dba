# SPDX-License-Identifier: BSD-2-Clause
"""results.py - bench/results.jsonl: what has been measured, and the medians of it.

Kinds of lines: a `result` is what one program printed, with where and when; what many of them would
repeat stands in lines of its own, by a name: `about` (setting, losses, version of an engine) and
`machine`. They are joined when they are read.
"""
import hashlib
import json
import pathlib
import statistics
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools/check"))
import parts  # noqa: E402

ROUNDS = 5  # at least
RESULTS = parts.ROOT / "bench/results.jsonl"
ABOUT = ("family", "version", "setting", "lost_at_kill", "lost_at_power_cut", "promise", "verifies")


def name_of(fields):
    text = json.dumps(fields, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def load(path):
    """The results in their order, joined."""
    lines = parts.load(path)
    shared = {(line["kind"], line["id"]): line["fields"] for line in lines
              if line["kind"] != "result"}
    joined = []
    for line in lines:
        if line["kind"] == "result":
            fields = {name: value for name, value in line.items() if name != "kind"}
            fields["machine"] = shared[("machine", line["machine"])]
            fields.update(shared.get(("about", fields.pop("about", "")), {}))
            joined.append(fields)
    return joined


def save(path, results):
    shared, lines = {}, []
    for result in results:
        fields = dict(result)
        about = {name: fields.pop(name) for name in ABOUT if name in fields}
        for kind, content in (("machine", fields["machine"]), ("about", about)):
            fields[kind] = name_of(content)
            shared[(kind, fields[kind])] = content
        lines.append({"kind": "result", **fields})
    parts.save(path, [{"kind": kind, "id": name, "fields": content}
                      for (kind, name), content in sorted(shared.items())] + lines)


def of(results, case, system):
    """Those that the case still asks for in the same words."""
    expected = {run.name: case.expected(run) for run in case.runs}
    return [r for r in results if r["case"] == case.name and r["system"] == system and
            expected.get(r["run"]) == r["command"]]


def complete_rounds(results, case, system, tree):
    """Numbers of the rounds in which every run of the case has a result."""
    seen = {}
    for r in of(results, case, system):
        if r["tree"] == tree:
            seen.setdefault(r["round"], set()).add(r["run"])
    return sorted(number for number, names in seen.items()
                  if names == {run.name for run in case.runs})


def record(path, case, system, number, tree, new):
    """A round takes the place of the one with its number; what is complete, of older trees."""
    def of_round(r):
        return (r["case"], r["system"], r["round"], r["tree"]) == (case.name, system, number, tree)

    kept = [r for r in load(path) if not of_round(r)] + new
    if len(complete_rounds(kept, case, system, tree)) >= ROUNDS:
        kept = [r for r in kept if (r["case"], r["system"]) != (case.name, system) or
                r["tree"] == tree]
    save(path, kept)


class Medians:
    """Figures of one case on one file system; called with a run and a field."""

    def __init__(self, results, case):
        self.lines = {}
        self.split = {run.name: run.split for run in case.runs}
        for r in results:
            self.lines.setdefault(r["run"], []).append(r)

    def values(self, run, field, row=None):
        found = [r[field] for r in self.lines.get(run, ()) if field in r and
                 (row is None or r[self.split[run]] == row)]
        if not found:
            raise KeyError(f"{run}: {field}")
        return found

    def __call__(self, run, field="ns"):
        return statistics.median(self.values(run, field))

    def row_names(self, run):
        """What tells the lines of the run apart, in order."""
        split = self.split[run]
        return sorted({r[split] for r in self.lines.get(run, ())}) if split else [None]

    def rows(self, run, field):
        """The medians of all lines of a run that prints several."""
        found = [statistics.median(self.values(run, field, row)) for row in self.row_names(run)]
        if not found:
            raise KeyError(f"{run}: {field}")
        return found


def state_of(results, case, system, tree):
    """(the results that are shown, what is to be said of them: "" when they hold)"""
    mine = of(results, case, system)
    here = [r for r in mine if r["tree"] == tree]
    rounds = complete_rounds(mine, case, system, tree)
    if len(rounds) >= ROUNDS:
        return [r for r in here if r["round"] in rounds], ""
    trees = list(dict.fromkeys(r["tree"] for r in mine if r["tree"] != tree))
    for old in reversed(trees):
        rounds = complete_rounds(mine, case, system, old)
        if len(rounds) >= ROUNDS:
            return ([r for r in mine if r["tree"] == old and r["round"] in rounds],
                    f"stale: tree {old}")
    if not here:
        return [], "not run"
    missing = [run.name for run in case.runs if all(r["run"] != run.name for r in here)]
    lacks = f"; lacks {', '.join(missing)}" if missing else ""
    return here, f"incomplete: {len({r['round'] for r in here})} rounds of {ROUNDS}{lacks}"
