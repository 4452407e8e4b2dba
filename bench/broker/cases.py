# SPDX-License-Identifier: BSD-2-Clause
"""cases.py - what is asked of both brokers, and what the goals are."""
import dataclasses

SIZES = {"128B": 128, "1K": 1024, "4K": 4096}
THREADS = (1, 8, 64)
FLUSHES = ("async", "sync")
PACED = 2000
START_BYTES = 10 * 2**30
START_SIZE = 4096


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    kind: str  # a function of loads.py
    flush: str
    size: int = 1024
    threads: int = 8
    rate: int = 0  # sends a second; 0: as many as it takes


SENDS = tuple(Case(f"send-{flush}-{name}-{threads}", "send", flush, size, threads)
              for flush in FLUSHES for name, size in SIZES.items() for threads in THREADS)
LATENCIES = tuple(case for flush in FLUSHES for case in
                  (Case(f"latency-{flush}-{PACED}-a-second", "latency", flush, 1024, 16, PACED),
                   Case(f"latency-{flush}-full", "latency", flush, 1024, 8)))
READS = (Case("send-and-consume", "consume", "async"), Case("backlog", "backlog", "async"))
STARTS = (Case("start", "start", "async", START_SIZE, 64),)
CASES = (*SENDS, *LATENCIES, *READS, *STARTS)

# (what, of which cases, field, at most or at least, how much): mini / rocketmq of each case.
GOALS = (("messages a second", SENDS, "per_s", "at least", 1),
         ("processor time of the server a message", SENDS, "cpu_us", "at most", 1 / 3),
         ("resident memory of the server", SENDS, "rss_mib", "at most", 1 / 20),
         ("p99.9 of a send", LATENCIES, "p999_us", "at most", 1 / 2),
         ("messages consumed a second", READS, "consumed_per_s", "at least", 1))
START_GOAL_S = 1


def named(words):
    """Those whose name or kind is one of the words; all without words."""
    chosen = [case for case in CASES if not words or case.name in words or case.kind in words]
    known = {case.name for case in CASES} | {case.kind for case in CASES}
    unknown = sorted(set(words) - known)
    if unknown:
        raise KeyError(" ".join(unknown))
    return chosen
