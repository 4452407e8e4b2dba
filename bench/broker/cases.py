# SPDX-License-Identifier: BSD-2-Clause
"""cases.py - what is asked of both brokers, and what the goals are."""
import dataclasses

SIZES = {"128B": 128, "1K": 1024, "4K": 4096}
THREADS = (1, 8, 64)
FLUSHES = ("async", "sync")
PACED = 2000
START_BYTES = 10 * 2**30
START_SIZE = 4096
SERVERS = ("mini", "rocketmq")
ROUNDS = 5  # at least


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    kind: str  # a function of loads.py
    flush: str
    size: int = 1024
    threads: int = 8
    rate: int = 0  # sends a second; 0: as many as it takes
    pretouch: bool = True  # the official broker makes its whole heap resident, as its script does


SENDS = tuple(Case(f"send-{flush}-{name}-{threads}", "send", flush, size, threads)
              for flush in FLUSHES for name, size in SIZES.items() for threads in THREADS)
MEMORY = tuple(Case(f"memory-{flush}", "memory", flush, pretouch=False) for flush in FLUSHES)
LATENCIES = tuple(case for flush in FLUSHES for case in
                  (Case(f"latency-{flush}-{PACED}-a-second", "latency", flush, 1024, 16, PACED),
                   Case(f"latency-{flush}-full", "latency", flush, 1024, 8)))
READS = (Case("send-and-consume", "consume", "async"), Case("backlog", "backlog", "async"))
STARTS = (Case("start", "start", "async", START_SIZE, 64),)
CASES = (*SENDS, *MEMORY, *LATENCIES, *READS, *STARTS)


@dataclasses.dataclass(frozen=True)
class Goal:
    """Of the worst of its cases and fields."""
    what: str
    cases: tuple
    fields: tuple
    kind: str  # at most or at least
    wanted: float
    ratio: bool = True  # mini / rocketmq; else what mini has


GOALS = (
    Goal("messages a second", SENDS, ("per_s",), "at least", 1),
    Goal("processor time of the server a message", SENDS, ("cpu_us",), "at most", 1 / 3),
    Goal("resident memory of the server", MEMORY, ("rss_mib",), "at most", 1 / 20),
    Goal("p99.9 of a send", LATENCIES, ("p999_us",), "at most", 1 / 2),
    Goal("messages consumed a second", READS, ("consumed_per_s",), "at least", 1),
    Goal("start to serving 10 GiB, s", STARTS, ("stopped_s", "killed_s", "killed_sending_s"),
         "at most", 1, ratio=False),
)


def named(words):
    """Those whose name or kind is one of the words; all without words."""
    chosen = [case for case in CASES if not words or case.name in words or case.kind in words]
    known = {case.name for case in CASES} | {case.kind for case in CASES}
    unknown = sorted(set(words) - known)
    if unknown:
        raise KeyError(" ".join(unknown))
    return chosen
