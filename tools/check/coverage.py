#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""coverage.py - how many lines of decode and recovery code the fuzz corpora and the tests reach.

    coverage.py BUILD TARGET... -- TEST...    BUILD is a build with gcov (make coverage)

First every fuzz target replays its corpus, then the tests that recover stores run; the table has a
column for the corpora alone and one for both. Exit status 1 if both together leave more than one
line in twenty, or if a program fails. V=1 lists the lines that nothing reaches. A line counts as
gcov counts it, none is excluded.
"""
import collections
import glob
import json
import os
import pathlib
import subprocess
import sys

LEAST_PERMILLE = 950
# Decode and recovery code: what turns bytes of a file, or of the memory of a writer that is gone,
# into a meaning, and what decides and does what recovery does. Not what only makes new files, and
# not what answers from memory.
SOURCES = [
    "lib/format/*.[ch]",  # every byte of every file
    "lib/filter/*.[ch]",  # the text of a filter, and its run on attributes
    "lib/recovery/*.[ch]",  # facts, plan, run; LOCK, the directory, the evidence of the live area
    "lib/segment/segment_name.c",  # names of files
    "lib/segment/segment.c",  # reads of a segment, its footer
    "lib/segment/segment_open.c",  # header, size, state
    "lib/segment/segment_set.c",  # the folder, put in order
    "lib/segment/segment_scan.[ch]",  # records
    "lib/segment/segment_scan_internal.h",
    "lib/segment/segment_search.c",  # records behind damage
    "lib/segment/segment_cut.c",  # what recovery writes into segments
    "lib/segment/quarantine.c",  # where it puts what it takes out
    "lib/view/checkpoint_file.c",  # CHECKPOINT
    "lib/view/image.c",  # view files found and mapped
    "lib/view/queue_sealed.c",  # .cq
    "lib/view/key_sealed.c",  # .key
    "lib/view/fold_open.c",  # which view files are believed
    "lib/view/fold_state.c",  # .state
    "lib/view/fold_files.c",  # view files made anew
    "lib/view/fold_log.c",  # records applied again
    "lib/log/live.c",  # the live area of another process
    "lib/log/reader.c",  # records for a reader
    "lib/upkeep/verify*.[ch]",  # all of it, asked for
    "lib/upkeep/scrub.c",
    "lib/store/offline.c",  # recover and verify without a store
    "lib/store/lost.c",  # what went with damage
]


def run(command, log):
    status = subprocess.run(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                            check=False).returncode
    if status not in (0, 77):
        print(f"{command[0]} failed with status {status}; see {log.name}")
    return status in (0, 77)


def forget(build):
    for counts in build.rglob("*.gcda"):
        counts.unlink()


def counts_of(notes):
    """What gcov says of one object: [(file, line, times)]."""
    done = subprocess.run(["gcov", "--json-format", "--stdout", str(notes)], check=True, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    for text in done.stdout.splitlines():
        for file in json.loads(text)["files"]:
            for line in file["lines"]:
                yield file["file"], line["line_number"], line["count"]


def measure(build, files):
    """{file: {line: times}} over all objects; a line of a header is in many."""
    lines = {file: collections.Counter() for file in files}
    for notes in sorted((build / "obj/lib").rglob("*.gcno")):
        for file, line, times in counts_of(notes):
            if file in lines:
                lines[file][line] += times
    return lines


def covered(lines):
    return sum(times > 0 for times in lines.values())


def permille(part, whole):
    return part * 1000 // whole if whole else 1000


def spans(numbers):
    """[3, 4, 5, 9] -> 3-5 9"""
    out = []
    for number in numbers:
        if out and out[-1][1] == number - 1:
            out[-1][1] = number
        else:
            out.append([number, number])
    return " ".join(str(a) if a == b else f"{a}-{b}" for a, b in out)


def table(corpora, both):
    print(f"{'file':<36} {'lines':>6} {'corpora':>9} {'with tests':>11}")
    for file in sorted(both):
        whole = len(both[file])
        if whole == 0:
            continue  # a header of declarations
        print(f"{file:<36} {whole:>6} {100 * covered(corpora[file]) / whole:>8.1f}% "
              f"{100 * covered(both[file]) / whole:>10.1f}%")
        missing = sorted(line for line, times in both[file].items() if times == 0)
        if missing and os.environ.get("V") == "1":
            print(f"    not reached: {spans(missing)}")
        alone = sorted(line for line, times in corpora[file].items() if times == 0)
        if alone and os.environ.get("V") == "1":
            print(f"    by no corpus: {spans(alone)}")


def main():
    build = pathlib.Path(sys.argv[1])
    split = sys.argv.index("--")
    targets, tests = sys.argv[2:split], sys.argv[split + 1:]
    files = sorted(file for pattern in SOURCES for file in glob.glob(pattern))
    gone = [pattern for pattern in SOURCES if not glob.glob(pattern)]
    if gone or not targets:
        sys.exit(f"coverage.py: no file is called {' '.join(gone)}" if gone else __doc__)
    forget(build)
    good = True
    with open(build / "coverage.log", "wb") as log:
        for target in targets:
            good = run([target], log) and good
        corpora = measure(build, files)
        for test in tests:
            good = run([test], log) and good
        both = measure(build, files)
    table(corpora, both)
    whole = sum(len(lines) for lines in both.values())
    reached = sum(covered(lines) for lines in both.values())
    alone = sum(covered(lines) for lines in corpora.values())
    print(f"figures: lines={whole} covered={reached} permille={permille(reached, whole)} "
          f"permille_corpora={permille(alone, whole)}")
    if reached * 1000 < LEAST_PERMILLE * whole:
        print(f"less than {LEAST_PERMILLE} of 1000 lines are reached; V=1 lists the others")
        good = False
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
