#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""peers_table.py - what peers.sh has found, as a table.

    peers_table.py [--write] RESULTS

Prints the table and the line of figures; fails if libcommitlog itself has broken a promise. With
--write it makes tests/PEERS.md and the part of README.md between its two marks.
"""
import datetime
import pathlib
import platform
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
TITLES = {"commitlog": "libcommitlog", "commitlog-mmap": "libcommitlog, mmap", "sqlite": "SQLite",
          "lmdb": "LMDB", "lmdb-writemap": "LMDB, WRITEMAP", "rocksdb": "RocksDB",
          "rocksdb-absolute": "RocksDB, absolute"}
OWN = ("commitlog", "commitlog-mmap")
BEGIN, END = "<!-- peers: begin, written by make proof-peers -->", "<!-- peers: end -->"

INTRODUCTION = """\
# The same faults for others

Written by `make proof-peers` (tests/peers/peers.sh), not by hand. Each store is what its packages
give, opened as its documents say it is safe, behind the same few calls (tests/peers/engine.h),
with the same records, of 100 to 2000 random bytes, on the same disk that loses its cache
(tests/powercut/fault_disk.c). A record counts as acknowledged when the call that promises
durability has returned success; that is noted on another disk.

One run, of one version each, on one machine: a 0 says that nothing was found here, not that
nothing can be. The faults are those that libcommitlog was made for; others were not tried. The
stores do not do the same work: SQLite, LMDB and RocksDB are databases, and much in them has no
like here.
"""

READING = """\
## How to read it

- **Power cuts** (ext4): four threads append until the power goes, at a write of the disk or at a
  moment, with none, some or all of what was not flushed kept; then it is mounted, opened and
  read. *Not opened again*: or took no append afterwards.
- **A request fails** (ext4): one write or flush of the disk answers EIO, once, under one thread;
  about half of them are the first write behind 100 appends, which is data. ext4 tells of it in one
  flush; the next it calls a success. In every second round the program tries 60 more appends; in
  the others it ends at the first error and the store is opened again in the same boot, where the
  page cache has what the disk has not, read, and appended to. Then the power goes, and nothing
  that was not flushed survives. *The file system gave up*: ext4 was read-only after it, so little
  could follow; that depends on what the store asks of it. *A reader died*: then the records are
  read one by one by readers that may die, and count as lost only if none of them gets them.
  *Read, then gone*: records that were never acknowledged, that a read after the failure gave as
  they were appended, and that the disk did not have. A round in which ext4 itself says that it
  has lost what it had called durable (see tests/powercut/powercut.sh) is left out of losses.
- **A full disk**: a small file system is filled to the last few MiB and then by appends; after 20
  more, space is made. *Goes on*: the same program appends again within 15 seconds.
- **Flipped bits**: {records} records, in four sessions, each closed. One bit of the files that
  hold records is flipped, the store opened, every record read, the store's own check run.
  *Noticed*: by an error or the check. *Wrong data*: a read gave other bytes than were appended,
  and no error. *Silently missing*: no such record, and no error. *More than one record*: out of
  reach, each time a bit was flipped; where a normal open refuses, read-only is tried, no repair
  and no other mode.

## What else to know

- SQLite has no check over its pages by default. Its checksum VFS is an extension that the
  distribution does not package, so it was not measured.
- RocksDB as packaged has its assertions compiled in: where *died* is not 0 one of them has ended
  the process (`AssertFalseAndGetStatusForPrevError`) after a write or a flush had failed. What a
  build without assertions does there was not measured.
- RocksDB drops by default what follows a bad record of its write-ahead log; *absolute* is its
  strict mode, which refuses to open. A flip in a table file costs the records of that block.
- libcommitlog refuses its mmap engine on btrfs, where a full disk would be a signal.
- The map of LMDB is larger than the disk, so that a full disk is a full disk.
"""


class Results:
    def __init__(self, path):
        self.run, self.about, self.parts, self.files = {}, {}, {}, {}
        for line in pathlib.Path(path).read_text(encoding="utf-8").splitlines():
            word, rest = line.split(" ", 1)
            if word == "run":
                self.run = words(rest)
            elif word == "about":
                engine, text = rest.split(" ", 1)
                name, value = text.split("=", 1)
                self.about.setdefault(engine, {})[name] = value
            else:
                self.part(words(line))

    def part(self, row):
        key = (row["engine"], row["part"] + "." + row.get("system", "") if "system" in row
               else row["part"])
        if row["part"] == "flips" and row["file"] != "all":
            self.files.setdefault(row["engine"], []).append(row)
        else:
            self.parts[key] = row

    def engines(self):
        return list(self.about)

    def get(self, engine, part, name):
        return int(self.parts[engine, part][name])

    def systems(self):
        found = [part[5:] for _, part in self.parts if part.startswith("full.")]
        return list(dict.fromkeys(found))


def words(text):
    return dict(word.split("=", 1) for word in text.split())


def rows_of(results):
    """(title, one cell for each engine); a title alone begins a group."""
    def row(title, part, *names):
        return title, [" / ".join(f"{results.get(engine, part, name):,}" for name in names)
                       for engine in results.engines()]
    yield "**Power cuts**", None
    yield row("cuts", "cuts", "cuts")
    yield row("records acknowledged", "cuts", "acknowledged")
    yield row("of these lost", "cuts", "lost")
    yield row("not opened again", "cuts", "refused")
    yield "**A request fails**", None
    yield row("rounds / the program saw an error", "fails", "rounds", "saw")
    yield row("the program died", "fails", "died")
    yield row("the file system gave up", "fails", "gave_up")
    yield row("acknowledged by the same program after the error", "fails", "after")
    yield row("acknowledged, lost: went on", "fails", "lost_running")
    yield row("acknowledged, lost: opened again in the same boot", "fails", "lost_reopened")
    yield row("rounds that lost acknowledged records", "fails", "losing")
    yield row("rounds after which a reader died", "fails", "reader_deaths")
    yield row("read, then gone", "fails", "phantoms")
    for system in results.systems():
        part = f"full.{system}"
        yield f"**A full disk, {system}**", None
        yield row("rounds: error / SIGBUS / died", part, "errors", "sigbus", "died")
        if any(results.get(engine, part, "unsupported") for engine in results.engines()):
            yield row("rounds: refuses this file system", part, "unsupported")
        yield row("goes on by itself / after a reopen", part, "goes_on", "after_reopen")
        yield row("acknowledged / lost", part, "acknowledged", "lost")
    yield "**Flipped bits, each alone**", None
    yield row("flips", "flips", "flips")
    yield row("noticed", "flips", "detected")
    yield row("harmless: all records right", "flips", "harmless")
    yield row("wrong data given", "flips", "wrong")
    yield row("records silently missing", "flips", "silent")
    yield row("the program died", "flips", "died")
    yield row("more than one record out of reach / at most", "flips", "more", "most")


def markdown(results):
    engines = [TITLES[engine] for engine in results.engines()]
    lines = ["| | " + " | ".join(engines) + " |", "|---|" + "---|" * len(engines)]
    for title, cells in rows_of(results):
        lines.append(f"| {title} | " + " | ".join(cells or [""] * len(engines)) + " |")
    return "\n".join(lines)


def terminal(results):
    engines = results.engines()
    width = max(len(title) for title, _ in rows_of(results))
    lines = [" " * width + "".join(f"{engine:>18}" for engine in engines)]
    for title, cells in rows_of(results):
        lines.append(f"{title.strip('*'):<{width}}" +
                     "".join(f"{cell:>18}" for cell in cells or []))
    return "\n".join(lines)


def files_table(results):
    lines = ["| | file | flips | noticed | harmless | wrong | of these seen by the check | "
             "silently missing | died | at most |", "|---|---|---|---|---|---|---|---|---|---|"]
    for engine in results.engines():
        for row in results.files.get(engine, []):
            cells = [row[name] for name in ("file", "flips", "detected", "harmless", "wrong",
                                            "wrong_checked", "silent", "died", "most")]
            lines.append(f"| {TITLES[engine]} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def tree():
    def git(*arguments):
        return subprocess.run(["git", *arguments], cwd=ROOT, check=True, text=True,
                              capture_output=True).stdout.strip()
    changed = " with changes" if git("status", "--porcelain", "lib") else ""
    return git("rev-parse", "--short=12", "HEAD:lib") + changed


def provenance(results):
    run = results.run
    command = (f"SEED={run['seed']} CUTS={run['cuts']} FAILS={run['fails']} FULLS={run['fulls']} "
               f"FLIPS={run['flips']} make proof-peers")
    return (f"Run of {datetime.datetime.now(datetime.timezone.utc):%Y-%m-%d}, tree of `lib/` "
            f"{tree()}, Linux {platform.release().split('-')[0]} {platform.machine()}; again with\n"
            f"`{command}`\n(the same draws; when a request meets the power is the machine's).")


def write(results):
    settings = "\n".join(f"- **{TITLES[engine]}**: {about['version']}; {about['setting']}"
                         for engine, about in results.about.items())
    records = results.get("commitlog", "flips", "records")
    text = "\n".join([INTRODUCTION, provenance(results), "", settings, "", markdown(results), "",
                      READING.format(records=records), "## Flipped bits, by file", "",
                      files_table(results), ""])
    (ROOT / "tests/PEERS.md").write_text(text, encoding="utf-8")
    readme = ROOT / "README.md"
    before, rest = readme.read_text(encoding="utf-8").split(BEGIN)
    _, after = rest.split(END)
    versions = dict.fromkeys(about["version"] for about in results.about.values())
    note = f"{', '.join(versions)}. {provenance(results)}"
    readme.write_text(f"{before}{BEGIN}\n{markdown(results)}\n\n{note}\n{END}{after}",
                      encoding="utf-8")
    print("written: tests/PEERS.md, README.md")


def broken(results):
    """What libcommitlog promises, and how often it did not hold."""
    promises = {"cuts": ("lost", "wrong", "refused", "hung"),
                "fails": ("lost_running", "lost_reopened", "phantoms", "wrong", "refused", "after",
                          "died", "reader_deaths"),
                "flips": ("wrong", "silent", "died")}
    count = 0
    for engine in OWN:
        if engine not in results.about:
            continue
        for part, names in promises.items():
            for name in names:
                found = results.get(engine, part, name)
                # The mmap engine's stores on a disk that is gone may be SIGBUS: commitlog(7).
                if found and not (engine == "commitlog-mmap" and (part, name) == ("fails", "died")):
                    print(f"FAILED: {engine}: {part}: {name}={found}")
                    count += found
        for system in results.systems():
            part = f"full.{system}"
            # On btrfs a write may find no room for metadata, which latches the store until it is
            # opened again, and the mmap engine is refused: commitlog(7), commitlog-options(7).
            needed = ["errors", "goes_on", "after_reopen"]
            rounds = results.get(engine, part, "rounds")
            if system == "btrfs":
                needed.remove("goes_on")
                if engine == "commitlog-mmap":
                    rounds -= results.get(engine, part, "unsupported")
            short = sum(rounds - results.get(engine, part, name) for name in needed)
            if short + results.get(engine, part, "lost"):
                print(f"FAILED: {engine}: {part}: {results.parts[engine, part]}")
                count += short + results.get(engine, part, "lost")
    return count


def figures(results, violations):
    def total(part, name, engines):
        return sum(results.get(engine, part, name) for engine in engines)
    engines = results.engines()
    own = [engine for engine in OWN if engine in results.about]
    lost = total("cuts", "lost", own) + sum(
        total("fails", name, own) for name in ("lost_running", "lost_reopened")) + sum(
        total(f"full.{system}", "lost", own) for system in results.systems())
    return (f"figures: engines={len(engines)} cuts={total('cuts', 'cuts', engines)} "
            f"acknowledged={total('cuts', 'acknowledged', engines)} "
            f"failed_requests={total('fails', 'rounds', engines)} "
            f"flips={total('flips', 'flips', engines)} commitlog_lost={lost} "
            f"commitlog_unnoticed={total('flips', 'wrong', own) + total('flips', 'silent', own)} "
            f"commitlog_broken={violations}")


def main():
    results = Results(sys.argv[-1])
    print(terminal(results))
    if "--write" in sys.argv:
        write(results)
    violations = broken(results)
    print(figures(results, violations))
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
