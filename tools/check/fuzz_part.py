#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""fuzz_part.py - fuzzes one target with libFuzzer for so much CPU time: one part of a long run.

    fuzz_part.py BUILD TARGET SECONDS    BUILD is that of `make fuzz`; SEED=n or one by chance,
                                         FLAGS="..." more flags of libFuzzer

Begins with fuzz/corpus/TARGET and the seeds of `make fuzz-seeds` and with nothing else, so that a
part does not depend on those before it. Inputs that reach new code are copied to
BUILD/found/TARGET, from where `make fuzz-merge` takes what the corpus lacks; an input that crashes
is left in BUILD. Prints a line of figures: the CPU time of the fuzzer as the kernel counted it,
and what libFuzzer says it executed. Exit status 1 on a finding.
"""
import os
import pathlib
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time

# Without CPU time for so long it hangs: the alarm of libFuzzer is not heard by a stopped process.
STALL_S = 300
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
# What is freed is kept for a while, so that a later use is seen; more only costs cache.
ASAN_OPTIONS = "quarantine_size_mb=16:malloc_context_size=8"
# Stores are large inputs that reach thousands of edges: to count how rare each is costs as much as
# to run them.
TARGET_FLAGS = {"jsonl": ["-max_len=4096"], "filter": ["-max_len=4096"],
                "remoting": ["-max_len=4096"],
                "store": ["-max_len=65536", "-len_control=0", "-entropic=0"]}
OTHER_FLAGS = ["-max_len=65536", "-len_control=0"]


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def wait(process, seconds):
    """(status, CPU seconds): asks it to end once it has had its time; it then prints its sums."""
    asked = False
    last, since = 0.0, time.monotonic()
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid != 0:
            return os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime
        now = cpu_seconds(process.pid)
        if now > last:
            last, since = now, time.monotonic()
        elif time.monotonic() - since > STALL_S:
            process.kill()
        if not asked and now >= seconds:
            process.send_signal(signal.SIGUSR1)
            asked = True
        time.sleep(0.2)


def keep(new, found):
    found.mkdir(parents=True, exist_ok=True)
    for path in new.iterdir():
        shutil.copy(path, found / path.name)


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    build, target, seconds = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2], float(sys.argv[3])
    seed = int(os.environ.get("SEED") or random.randrange(1, 1 << 31))
    corpora = [pathlib.Path("fuzz/corpus", target).resolve(), build / "seeds" / target]
    dictionary = pathlib.Path(f"fuzz/{target}.dict").resolve()
    log = build / f"{target}-{seed}.log"
    with tempfile.TemporaryDirectory(prefix=f"part-{target}-", dir=build) as new:
        command = [str(build / "fuzz" / target), f"-seed={seed}", "-print_final_stats=1",
                   f"-artifact_prefix={build}/{target}-", *TARGET_FLAGS.get(target, OTHER_FLAGS),
                   *([f"-dict={dictionary}"] if dictionary.exists() else []),
                   *shlex.split(os.environ.get("FLAGS", "")), new,
                   *(str(path) for path in corpora if path.is_dir())]
        print(f"SEED={seed} {target}: {seconds:.0f} s of CPU time, log {log}", flush=True)
        with log.open("wb") as out:
            process = subprocess.Popen(command, cwd=build, stdout=out, stderr=out,
                                       env=os.environ | {"ASAN_OPTIONS": ASAN_OPTIONS})
            try:
                status, used = wait(process, seconds)
            except BaseException:
                process.kill()
                raise
        keep(pathlib.Path(new), build / "found" / target)
    text = log.read_text(encoding="utf-8", errors="replace")
    executions = re.findall(r"^stat::number_of_executed_units: *([0-9]+)", text, re.MULTILINE)
    # Whatever ends it before its time is a finding: a crash, a leak, too slow, too large.
    findings = 0 if status == 0 and executions and used >= seconds else 1
    if findings:
        print("\n".join(text.splitlines()[-60:]))
        print(f"{target}: exit status {status} after {used:.0f} s; see {log}")
    print(f"figures: cpu_seconds={int(used)} executions={executions[-1] if executions else 0} "
          f"findings={findings}")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
