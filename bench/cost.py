#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""cost.py - what an append is made of: the processor time of each of its steps.

    cost.py [--runs N] [--records N] [--bytes N,N] PROGRAM     PROGRAM: bench/append, with frame
                                                               pointers (`make bench-cost`)

perf(1) looks 5,000 times a second of processor time where each thread is, with the whole stack.
Only what the appending thread does inside its loop counts, and what the library's threads do
meanwhile. The innermost frame that a rule below names says which step it is: so a copy made for the
fold is the fold's, and a page fault is a page fault wherever it is met. The sizes take turns.
Printed as the table of COST.md: nanoseconds of processor time a record, over all runs.
"""
import argparse
import collections
import json
import re
import subprocess
import tempfile

HERTZ = 5000
LOOP = "appender_run"  # of bench/append.c
LIBRARY_THREADS = ("commitlog", "commitlog-drain")  # as perf(1) has them
# In this order for each frame, from the innermost to the outermost.
STEPS = (
    ("pwrite of what is drained", r"__x64_sys_pwrite64"),
    ("write-back that sealing begins, and fsync", r"__x64_sys_(sync_file_range|fdatasync|fsync)"),
    ("page faults", r"asm_exc_page_fault"),
    ("other system calls", r"__x64_sys_"),
    ("clock", r"clock_gettime|clg_claim_time|clg_linux_clock"),
    ("check (XXH3 of header, key and body)", r"XXH|clg_hash64|clg_record_seal"),
    ("fold into the views", r"fold_step|clg_fold_|[a-z]+_apply$|clg_queue_active_append"),
    ("copy of the body", r"__mem(cpy|move)|clg_copy"),
    ("claim, commit and their lock", r"clg_claim_|claim_|clg_mutex_"),
    ("publish and wake", r"clg_publish"),
    ("header and layout of the record", r"clg_record_|clg_appender_"),
    ("arguments, topic and queue", r"encode_|clg_registry_|clg_store_enter|clg_message_"),
    ("the calls themselves, counters, limits",
     r"commitlog_append|append_record|clg_store_append|clg_log_"),
    ("the measuring loop", r"writer_|bench_|" + LOOP),
)
RULES = tuple((name, re.compile(pattern)) for name, pattern in STEPS)
HEAD = re.compile(r"^(\S+)\s+\d+\s+([\d.]+):")
FRAME = re.compile(r"^\s+[0-9a-f]+ (.+?)(?:\+0x[0-9a-f]+)? \(.*\)$")


def samples_of(text):
    """(thread's name, moment, symbols from the innermost frame on) of each sample"""
    sample = None
    for line in text.splitlines():
        head, frame = HEAD.match(line), FRAME.match(line)
        if head:
            sample = (head.group(1), float(head.group(2)), [])
        elif frame:
            sample[2].append(frame.group(1))
        elif sample:
            yield sample
            sample = None


def step_of(symbols):
    for symbol in symbols:
        for name, pattern in RULES:
            if pattern.match(symbol):
                return name
    return "other"


def take(program, records, size, directory):
    """Counts of (side, step) over one run, and the version measured."""
    data = f"{directory}/perf.data"
    line = subprocess.run(
        ["perf", "record", "-q", "-e", "cpu-clock", "-F", str(HERTZ), "--call-graph", "fp", "-o",
         data, program, "--engine", "commitlog", "--records", str(records), "--bytes", str(size),
         "--directory", directory], check=True, text=True, stdout=subprocess.PIPE).stdout
    text = subprocess.run(["perf", "script", "-i", data, "-F", "comm,tid,time,ip,sym,symoff,dso"],
                          check=True, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL).stdout
    samples = list(samples_of(text))
    loop = [s for s in samples if LOOP in s[2]]
    first, last = loop[0][1], loop[-1][1]
    service = [s for s in samples if s[0] in LIBRARY_THREADS and first <= s[1] <= last]
    counts = collections.Counter(("append", step_of(s[2])) for s in loop)
    counts.update(("service", step_of(s[2])) for s in service)
    return counts, json.loads(line.splitlines()[-1])["version"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--bytes", default="128,1024")
    parser.add_argument("program")
    options = parser.parse_args()
    sizes = [int(size) for size in options.bytes.split(",")]
    sums = {size: collections.Counter() for size in sizes}
    with tempfile.TemporaryDirectory(prefix="cost-") as directory:
        for _ in range(options.runs):
            for size in sizes:
                counts, version = take(options.program, options.records, size, directory)
                sums[size].update(counts)
    print(f"{version}; {options.runs} runs of {options.records:,} records\n")
    print("| step | " + " | ".join(f"{size} B: append | {size} B: the library's threads"
                                   for size in sizes) + " |")
    print("|---" * (1 + 2 * len(sizes)) + "|")
    per_sample = 1e9 / HERTZ / options.runs / options.records
    columns = [(size, side) for size in sizes for side in ("append", "service")]
    for name in [name for name, _ in STEPS] + ["other"]:
        values = [sums[size][(side, name)] * per_sample for size, side in columns]
        if any(values):
            print(f"| {name} | " + " | ".join(f"{v:.1f}" if v else "" for v in values) + " |")
    totals = [sum(n for (where, _), n in sums[size].items() if where == side) * per_sample
              for size, side in columns]
    print("| all | " + " | ".join(f"{total:.1f}" for total in totals) + " |")


if __name__ == "__main__":
    main()
